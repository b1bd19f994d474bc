"""The stories, played live on real processes in front of a newcomer.

`detente demo` plays them one after the other, each on a stage of its own, and ends with a table: what
was promised in each, what was measured. It exits non-zero if anything promised was not kept.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from detente.demo.story import Promised, Story
    from detente.demo.telling import Teller

STORIES = ("vendor", "sso", "release")
"""In the order in which they are told; `detente demo --story` plays one."""

_PORT = 3383


def main(story: str | None = None, *, wait: bool = True, keep: Path | None = None) -> int:
    """Play one story, or all; answers with the exit code. `wait`: stay up until Ctrl-C."""
    from detente.demo.stage import Absent
    from detente.demo.telling import Teller

    home = keep or Path(tempfile.mkdtemp(prefix="detente-demo-"))
    teller = Teller()
    told = STORIES if story is None else (story,)
    try:
        table = asyncio.run(_play(told, home, teller, wait=wait and sys.stdout.isatty()))
    except (KeyboardInterrupt, asyncio.CancelledError):
        teller.plain()
        teller.plain("Stopped. Nothing of the demo is left running.")
        return 130
    except Absent as absent:
        teller.line("bad", str(absent))
        return 2
    finally:
        if keep is None:
            shutil.rmtree(home, ignore_errors=True)
    return 0 if table and all(each.kept for each in table) else 1


async def _play(
    stories: Sequence[str], home: Path, teller: Teller, *, wait: bool
) -> list[Promised]:
    """With somebody to look around afterwards, every stage stays open to the end."""
    from detente.demo.stage import Absent
    from detente.demo.story import Promised, play

    playing = asyncio.current_task()
    assert playing is not None
    for sign in (signal.SIGTERM, signal.SIGHUP):  # a closed terminal sends everybody home too
        asyncio.get_running_loop().add_signal_handler(sign, playing.cancel)
    table: list[Promised] = []
    played: list[Story] = []
    async with AsyncExitStack() as stages:
        for index, name in enumerate(stories):
            story = _story(name, home / name, teller, web=_PORT + index)
            await stages.enter_async_context(story)
            try:
                table += await play(story)
            except Absent as absent:
                table += [*story.table, Promised(name, "0", "it can be played", str(absent), False)]
            played.append(story)
            if not wait:
                await stages.aclose()
        teller.table(table)
        if wait:
            await _look_around(played, teller)
    return table


def _story(name: str, home: Path, teller: Teller, *, web: int) -> Story:
    from detente.demo.release_story import ReleaseStory
    from detente.demo.sso_story import SignOnStory
    from detente.demo.stage import Absent
    from detente.demo.vendor_story import VendorStory

    kinds: dict[str, type[Story]] = {
        kind.name: kind for kind in (VendorStory, SignOnStory, ReleaseStory)
    }
    if name not in kinds:
        raise Absent(f"no story is called {name}; there are: {', '.join(kinds)}")
    if home.is_dir() and any(home.iterdir()):
        raise Absent(f"{home} holds a story already; name a new folder with --keep, or remove it")
    return kinds[name](home, teller, web=web)


async def _look_around(played: Sequence[Story], teller: Teller) -> None:
    teller.plain()
    teller.plain("Everything stays up so that you can look around:")
    for story in played:
        teller.plain(f"  {story.address}/   {story.title}")
    teller.plain("Ctrl-C ends it.")
    await asyncio.Event().wait()
