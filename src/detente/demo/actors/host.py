"""Where does a program run? A machine that runs whatever `current` points to.

SIGHUP brings up what it points to now, and takes the old one down once the new one answers. What
crashes is started again.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from detente.demo.actors import HOST, until_told_to_stop


class Machine:
    """The program that runs, and the one before it while both do."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder = folder
        self._port = port
        self._running: asyncio.subprocess.Process | None = None
        self._changing = asyncio.Lock()

    async def change(self) -> None:
        """Bring up what `current` points to; then the old one may go."""
        async with self._changing:
            before = self._running
            program = (self._folder / "current").resolve() / "app.py"
            command = [sys.executable, str(program), "--port", str(self._port)]
            self._running = await asyncio.create_subprocess_exec(*command, cwd=program.parent)
            await self._answers(self._running.pid)
            await _end(before)
            (self._folder / "settled").write_text(program.parent.name)

    async def keep_up(self) -> None:
        """Start again what crashed."""
        while True:
            await asyncio.sleep(0.3)
            if self._running is not None and self._running.returncode is not None:
                await self.change()

    async def down(self) -> None:
        await _end(self._running)

    async def _answers(self, pid: int) -> None:
        """Until it listens: its own socket, as the kernel says."""
        wanted = f"0100007F:{self._port:04X}"
        for _ in range(200):
            await asyncio.sleep(0.05)
            with suppress(OSError):
                sockets = {str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir()}
                for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
                    part = line.split()
                    if part[1] == wanted and part[3] == "0A" and f"socket:[{part[9]}]" in sockets:
                        return


async def _end(process: asyncio.subprocess.Process | None) -> None:
    if process is None or process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(5):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


async def _work(folder: Path, port: int) -> None:
    machine = Machine(folder, port)
    (folder / "pid").write_text(str(os.getpid()))
    changes: set[asyncio.Task[None]] = set()

    def change() -> None:
        task = asyncio.create_task(machine.change())
        changes.add(task)
        task.add_done_callback(changes.discard)

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, change)
    await machine.change()
    keeping = asyncio.create_task(machine.keep_up())
    await until_told_to_stop(port)
    keeping.cancel()
    await machine.down()


def main() -> None:
    """Run it until told to stop."""
    asking = argparse.ArgumentParser(description=f"A machine on {HOST}.")
    asking.add_argument("--folder", type=Path, required=True)
    asking.add_argument("--port", type=int, required=True)
    asked = asking.parse_args()
    asyncio.run(_work(asked.folder, asked.port))


if __name__ == "__main__":
    main()
