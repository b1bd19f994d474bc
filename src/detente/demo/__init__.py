"""The stories, played live on real processes in front of a newcomer.

`detente demo` plays them; each exits non-zero if what was promised was not measured.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
import tempfile
from pathlib import Path

STORIES = ("vendor",)


def main(story: str = "vendor", *, wait: bool = True, keep: Path | None = None) -> int:
    """Play a story; answers with the exit code. `wait`: stay up afterwards until Ctrl-C."""
    from detente.demo.stage import Absent
    from detente.demo.telling import Teller

    home = keep or Path(tempfile.mkdtemp(prefix="detente-demo-"))
    home.mkdir(parents=True, exist_ok=True)
    teller = Teller()
    try:
        agree = asyncio.run(_play(story, home, teller, wait=wait and sys.stdout.isatty()))
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
    return 0 if agree else 1


async def _play(story: str, home: Path, teller: object, *, wait: bool) -> bool:
    from detente.demo import vendor_story
    from detente.demo.stage import Absent
    from detente.demo.telling import Teller

    assert isinstance(teller, Teller)
    if story not in STORIES:
        raise Absent(f"no story is called {story}; there is: {', '.join(STORIES)}")
    playing = asyncio.current_task()
    assert playing is not None
    for sign in (signal.SIGTERM, signal.SIGHUP):  # a closed terminal sends everybody home too
        asyncio.get_running_loop().add_signal_handler(sign, playing.cancel)

    async def stay(played: vendor_story.VendorStory) -> None:
        teller.plain()
        teller.plain(f"Everything stays up so that you can look around: {played.address}/")
        teller.plain("Ctrl-C ends it.")
        await asyncio.Event().wait()

    return await vendor_story.play(home, teller, stay=stay if wait else None)
