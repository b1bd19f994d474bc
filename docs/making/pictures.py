"""What does Détente look like while something is wrong?

The demo's world is played up to its climax, on real processes: CardPay hangs, calls are parked,
Anna from operations has it. Then the pages are opened in a real browser and photographed as they are.
"""

from __future__ import annotations

import asyncio
import io
import tempfile
from pathlib import Path

from detente.demo.telling import Teller
from detente.demo.vendor_story import VendorStory
from making.browser import Tab, browser

PICTURES = Path(__file__).parents[1] / "pictures"


class NothingToShow(Exception):
    """The world did not get as far as it should, or a page did not open; the message says which."""


_PAGES = {"now": "/", "queue": "/work", "incident": "/incidents/1"}
_SCREENS = {"desktop": (1280, 960), "phone": (390, 844)}
_TALLEST = {"desktop": 1100, "phone": 1100}  # what is below is more of the same
_GOOD_DAY = 20.0  # seconds of sales before anything goes wrong
_BAD_MINUTE = 25.0  # seconds of parking before the pictures


async def take() -> list[str]:
    """Play the world and take every picture; answers with what does not fit its screen."""
    PICTURES.mkdir(exist_ok=True)
    complaints: list[str] = []
    async with browser() as tab:
        with tempfile.TemporaryDirectory(prefix="detente-pictures-") as home:
            story = VendorStory(Path(home), Teller(io.StringIO()))
            try:
                await _up_to_the_climax(story)
                for name, path in _PAGES.items():
                    complaints += await _all_ways(tab, name, f"{story.address}{path}")
            finally:
                await story.clear_stage()
    return complaints


async def _up_to_the_climax(story: VendorStory) -> None:
    await story.set_stage()
    await story.open_shop()
    await asyncio.sleep(_GOOD_DAY)
    await story.twin_mood(refuse=True)
    await story.mood(latency=0.7, book_and_lose=0.15)
    await asyncio.sleep(8)
    await story.mood(hang=True)
    if not await story.until("incidents.opened", 30):
        raise NothingToShow("CardPay hangs and no incident was opened: there is nothing to show")
    await story.until("pager.told", 15, count=2)
    await story.take_incident("Anna from operations")
    await asyncio.sleep(_BAD_MINUTE)


async def _all_ways(tab: Tab, name: str, url: str) -> list[str]:
    """One page on a desk and on a phone, by day and by night."""
    complaints = []
    for screen, (width, height) in _SCREENS.items():
        for light in ("light", "dark"):
            phone = screen == "phone"
            await tab.open(url, width=width, height=height, phone=phone, dark=light == "dark")
            if (status := await tab.status()) != 200:
                raise NothingToShow(f"{url} answered HTTP {status}: there is nothing to show")
            tall = min(max(await tab.height(), height), _TALLEST[screen])
            picture = await tab.picture(width=width, height=tall)
            (PICTURES / f"{name}-{screen}-{light}.png").write_bytes(picture)
        if out := await tab.wider_than_screen():
            complaints.append(f"{name} is {out} points wider than a {screen}")
    return complaints
