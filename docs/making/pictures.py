"""What does Détente look like while something is wrong, and afterwards?

The demo's worlds are played on real processes, up to the moments worth looking at. There the pages are
opened in a real browser and photographed as they are: the ones people open first on a desk and on a
phone, by day and by night, the others by day on a desk and by night on a phone.
"""

from __future__ import annotations

import asyncio
import io
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from detente.demo import release_story, sso_story
from detente.demo.release_story import TOGGLE, ReleaseStory
from detente.demo.sso_story import SignOnStory
from detente.demo.story import Story
from detente.demo.telling import Teller
from detente.demo.vendor_story import VendorStory
from making.browser import Tab, browser
from making.packing import packed

PICTURES = Path(__file__).parents[1] / "pictures"


class NothingToShow(Exception):
    """The world did not get as far as it should, or a page did not open; the message says which."""


@dataclass(frozen=True)
class View:
    """One page worth a picture. `{incident}` in its path is the incident of the day."""

    path: str
    first: bool = False  # one of the pages people open first: shown in all four ways

    @property
    def screens(self) -> Sequence[Screen]:
        return ALL_WAYS if self.first else TWO_WAYS


@dataclass(frozen=True)
class Screen:
    """How somebody looks: on a desk or a phone, by day or by night."""

    device: str
    light: str
    width: int
    height: int

    @property
    def name(self) -> str:
        return f"{self.device}-{self.light}"


_DESK, _PHONE = (1280, 960), (390, 844)
ALL_WAYS = tuple(
    Screen(device, light, *size)
    for device, size in (("desktop", _DESK), ("phone", _PHONE))
    for light in ("light", "dark")
)
TWO_WAYS = (ALL_WAYS[0], ALL_WAYS[3])
TALLEST = 1100  # points; what is below is more of the same

VIEWS = {
    "now": View("/", first=True),
    "queue": View("/work", first=True),
    "incident": View("/incidents/{incident}", first=True),
    "watch": View("/watch"),
    "failures": View("/work/failures"),
    "promise": View("/sla/cardpay-uptime"),
    "pager": View("/pager"),
    "what-if": View("/dependencies/without/cas"),
    "map": View("/dependencies", first=True),
    "changed": View("/incidents/{incident}/changed"),
    "story": View("/incidents/{incident}/story"),
    "retrospective": View("/incidents/{incident}/retrospective"),
    "changes": View("/dependencies/changes"),
    "toggle": View(f"/toggles/{TOGGLE}"),
    "toggles": View("/toggles"),
    "acceptance": View("/acceptance"),
    "releases": View("/releases"),
    "release": View("/releases/1", first=True),
    "morning": View("/releases/morning"),
    "score": View("/scoreboard", first=True),
    "delivery": View("/scoreboard/delivery"),
}

_GOOD_DAY = 20.0  # seconds of sales before anything goes wrong
_BAD_MINUTE = 25.0  # seconds of parking before the pictures


async def _vendor(story: VendorStory) -> AsyncIterator[Sequence[str]]:
    """CardPay hangs, calls are parked, Anna from operations has it; then it is over."""
    await story.open_shop()
    await asyncio.sleep(_GOOD_DAY)
    await story.twin_mood(refuse=True)
    await story.mood(latency=0.7, book_and_lose=0.15)
    await asyncio.sleep(8)
    await story.mood(hang=True)
    await _must(story, "incidents.opened", 30)
    await story.until("pager.told", 15, count=2)
    await story.take_incident("Anna from operations")
    await asyncio.sleep(_BAD_MINUTE)
    yield ("now", "queue", "incident", "watch", "failures", "promise", "pager")


async def _sso(story: SignOnStory) -> AsyncIterator[Sequence[str]]:
    """Sign-on is moved and does not come up; afterwards four questions are answered."""
    await sso_story._good_day(story)
    yield ("what-if",)
    await sso_story._moved(story)
    await sso_story._nobody_can_sign_on(story)
    if _day(story) == "0":
        raise NothingToShow("sign-on is away and no incident was opened")
    yield ("map", "changed")
    await sso_story._back_again(story)
    await sso_story._four_questions(story)
    yield ("story", "retrospective", "changes")


async def _release(story: ReleaseStory) -> AsyncIterator[Sequence[str]]:
    """A toggle flips back by itself, an emergency passes a freeze; the morning after."""
    await release_story._as_it_was(story)
    await release_story._dark(story)
    await release_story._switched_on(story)
    yield ("toggle",)
    await release_story._mended(story)
    await release_story._emergency(story)
    yield ("toggles", "acceptance", "releases", "release", "morning", "score", "delivery")


Played = Callable[[Any], AsyncIterator[Sequence[str]]]
SCENES: dict[str, tuple[type[Story], Played]] = {
    "vendor": (VendorStory, _vendor),
    "sso": (SignOnStory, _sso),
    "release": (ReleaseStory, _release),
}


async def take(stories: Sequence[str] = ()) -> list[str]:
    """Play these stories, or all, and take their pictures; answers with what does not fit its screen."""
    PICTURES.mkdir(exist_ok=True)
    os.environ["LOGNAME"] = "dana"  # who types commands is the story's business, not the machine's
    complaints: list[str] = []
    async with browser() as tab:
        for told in stories or SCENES:
            kind, scene = SCENES[told]
            with tempfile.TemporaryDirectory(prefix="detente-pictures-") as home:
                async with kind(Path(home), Teller(io.StringIO())) as story:
                    await story.set_stage()
                    async for seen in scene(story):
                        for name in seen:
                            complaints += await photograph(tab, name, story.address, _day(story))
    return complaints


def names() -> set[str]:
    """Every picture that is taken."""
    return {f"{name}-{screen.name}.png" for name, view in VIEWS.items() for screen in view.screens}


async def photograph(
    tab: Tab,
    name: str,
    address: str,
    incident: str,
    *,
    folder: Path = PICTURES,
    tallest: int = TALLEST,
) -> list[str]:
    """One page as people see it; answers with the screens that it does not fit."""
    complaints = []
    view = VIEWS[name]
    path = view.path.format(incident=incident)
    for screen in view.screens:
        phone, dark = screen.device == "phone", screen.light == "dark"
        await tab.open(
            f"{address}{path}", width=screen.width, height=screen.height, phone=phone, dark=dark
        )
        if (status := await tab.status()) != 200:
            raise NothingToShow(f"{path} answered HTTP {status}: there is nothing to show")
        tall = min(max(await tab.height(), screen.height), tallest)
        picture = await packed(tab, await tab.picture(width=screen.width, height=tall))
        (folder / f"{name}-{screen.name}.png").write_bytes(picture)
        if out := await tab.wider_than_screen():
            complaints.append(f"{name} is {out} points wider than a {screen.name}")
    return complaints


def _day(story: Story) -> str:
    """The number of the incident that the story is about."""
    about = story.incident if isinstance(story, SignOnStory) else "incident:1"
    return about.partition(":")[2]


S = TypeVar("S", bound=Story)


async def _must(story: S, fact: str, seconds: float) -> None:
    if not await story.until(fact, seconds):
        raise NothingToShow(
            f"{fact} did not happen within {seconds:.0f} s: there is nothing to show"
        )
