"""How is a program run so that nothing of it is lost, and nothing of it left behind?

Each runs in a process group of its own, and what it prints goes into a file and not into a pipe: when
the node dies in the middle, the program is not torn down by a broken pipe half way through shipping.
A shell that waits for it carries a mark, by which the next node finds whether it still runs. What it
starts for good (the shop itself) does not carry the mark, and is nobody's to end.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

import msgspec

from detente.kernel import masking
from detente.kernel.clock import Seconds, lasting

_TAIL = 4_000  # bytes that are shown while it runs
_KEPT = 128 * 1024  # bytes that are kept of what it printed, from its beginning and its end
_WAITING = '"$@"; exit $?'  # two commands, so that no shell puts the program in its own place
_GRACE: Seconds = 5.0  # between asking it to end and ending it


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How a program ended: `why` is empty when it did well."""

    why: str
    printed: bytes

    @property
    def well(self) -> bool:
        return not self.why

    @property
    def words(self) -> str:
        return self.printed.decode("utf-8", "replace")


class Running:
    """A program on its way; `printed` may be read meanwhile."""

    def __init__(self, argv: Sequence[str]) -> None:
        self.title = " ".join(argv)
        self._argv = list(argv)
        self._output: IO[bytes] | None = None

    def tail(self) -> str:
        """The last lines of what it has printed so far."""
        if self._output is None:
            return ""
        size = os.fstat(self._output.fileno()).st_size
        start = max(0, size - _TAIL)
        said = os.pread(self._output.fileno(), _TAIL, start).decode("utf-8", "replace")
        return said.partition("\n")[2] if start and "\n" in said else said

    async def run(
        self,
        *,
        cwd: Path | None,
        environment: Mapping[str, str],
        mark: str,
        timeout: Seconds,
        left_alone: bool = False,
        withheld: Collection[str] = (),
    ) -> Ended:
        """Run it to its end, or to the end of its time, in our environment less what is `withheld`.

        Cancelled, it is ended with all that it started; `left_alone`, it goes on by itself, because
        half a release is worse than one whose end nobody sees.
        """
        if why := _cannot_start(self._argv[0], cwd):
            return Ended(why=why, printed=b"")
        with tempfile.TemporaryFile() as output:
            argv = ["/bin/sh", "-c", _WAITING, mark, *self._argv]
            try:
                process = _start(argv, cwd, {**_ours(withheld), **environment}, output)
            except (OSError, ValueError) as error:
                return Ended(why=f"{self._argv[0]} could not be started: {error}", printed=b"")
            self._output = output
            try:
                why = await self._wait(process, timeout)
            except asyncio.CancelledError:
                if left_alone:
                    _let_go_of(process)
                else:
                    await end_group(process)
                raise
            finally:
                self._output = None
            return Ended(why=why, printed=_kept(output))

    async def _wait(self, process: subprocess.Popen[bytes], timeout: Seconds) -> str:
        try:
            async with asyncio.timeout(timeout):
                code = await _end_of(process)
        except TimeoutError:
            await end_group(process)
            return f"{self._argv[0]} was still running after {lasting(timeout)}, and was ended"
        return "" if code == 0 else f"{self._argv[0]} {_ended(code)}"


def _ours(withheld: Collection[str]) -> dict[str, str]:
    """Our environment without those variables, and without our own tokens."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in withheld and not (name.startswith("DETENTE_") and masking.is_secret(name))
    }


def _start(
    argv: Sequence[str], cwd: Path | None, environment: Mapping[str, str], output: IO[bytes]
) -> subprocess.Popen[bytes]:
    # Not asyncio's own: its transport kills a process that is still running when it is let go of.
    return subprocess.Popen(
        argv,
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )


_left: list[subprocess.Popen[bytes]] = []


def _let_go_of(process: subprocess.Popen[bytes]) -> None:
    """It goes on without us; kept, so that it is no zombie for ever once it has ended."""
    _left[:] = [each for each in (*_left, process) if each.poll() is None]


async def _end_of(process: subprocess.Popen[bytes]) -> int:
    """Its exit code, once it has ended."""
    descriptor = os.pidfd_open(process.pid)
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, over.set)
    try:
        await over.wait()
        return process.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def _ended(code: int) -> str:
    sign = -code if code < 0 else code - 128 if 128 < code < 160 else 0  # as shells say it
    with suppress(ValueError):
        return f"was ended by {signal.Signals(sign).name}"
    return f"ended with exit code {code}"


def _cannot_start(program: str, cwd: Path | None) -> str:
    """Why it could not even begin; empty if it can."""
    if cwd is not None and not cwd.is_dir():
        return f"there is no folder {cwd}; say under releases.services where the repository is"
    path = (cwd or Path()) / program if "/" in program else shutil.which(program)
    with suppress(ValueError):  # what no path can be, Popen will say
        if path is None or not Path(path).exists():
            return f"{program} could not be started: there is no such program"
        if not os.access(path, os.X_OK):
            return f"{program} could not be started: it may not be executed; use chmod +x"
    return ""


async def end_group(process: subprocess.Popen[bytes]) -> None:
    """Ask its whole group to end, then end it."""
    await _end(process.pid)
    process.wait()


async def _end(group: int) -> None:
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(group, sign)
        for _ in range(100):
            if not _lives(group):
                return
            await asyncio.sleep(_GRACE / 100)


def _lives(group: int) -> bool:
    """Does anything of that group still run? What has ended and is only not buried does not."""
    for entry in Path("/proc").iterdir():
        with suppress(OSError, IndexError):
            state, _parent, its, *_ = (entry / "stat").read_text().rpartition(")")[2].split()
            if entry.name.isdigit() and its == str(group) and state not in "ZX":
                return True
    return False


def _kept(output: IO[bytes]) -> bytes:
    """Its beginning and its end; what lies between is left out when it is long."""
    size = output.seek(0, os.SEEK_END)
    output.seek(0)
    if size <= _KEPT:
        return output.read()
    first = output.read(_KEPT // 2)
    output.seek(size - _KEPT // 2)
    return first + f"\n… {size - _KEPT} bytes left out …\n".encode() + output.read()


def still_running(mark: str) -> list[int]:
    """The shells that carry this mark, each the first of its group."""
    return sorted(_carrying(mark.encode()))


def _carrying(mark: bytes) -> Iterator[int]:
    for entry in Path("/proc").iterdir():
        with suppress(OSError):  # it has ended meanwhile, or is somebody else's
            if entry.name.isdigit() and (entry / "cmdline").read_bytes().split(b"\0")[3:4] == [
                mark
            ]:
                yield int(entry.name)


async def end_marked(mark: str) -> None:
    """End whatever still carries this mark, with its group."""
    for group in still_running(mark):
        await _end(group)


async def wait_for_marked(mark: str, timeout: Seconds) -> bool:
    """Wait until nothing carries this mark any more; False if that takes too long."""
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout):
            while still_running(mark):
                await asyncio.sleep(0.2)
            return True
    return False
