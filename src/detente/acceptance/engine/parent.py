"""How does the node keep a suite warm, and end it when it hangs?

One process a suite, which has the suite imported and runs it when asked. It is started again when a
file of the suite has changed, when it died, and after so many runs; and it is ended together with
everything it started when a test takes too long. What ran until then counts; the rest is run by the
next process.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from detente.kernel.clock import Seconds, lasting

log = logging.getLogger("detente.acceptance.suite")

MODULE = "detente.acceptance.engine.worker"
_COLLECTING: Seconds = 60.0
_FAREWELL: Seconds = 2.0
_RUNS = 200  # pytest keeps a little of each run; a fresh process has forgotten it
_LONGEST_LINE = 1 << 20


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a process needs to know to hold a suite."""

    path: Path
    home: Path  # where it runs
    python: str = sys.executable
    environment: Mapping[str, str] = {}


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """Run these tests there, now."""

    place: str
    base_url: str
    only: tuple[str, ...] = ()
    timeout: Seconds = 30.0  # for one test


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One test of the suite."""

    id: str
    of: str = ""
    sha256: str = ""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """One test, run once."""

    test: str
    outcome: str
    took: Seconds
    of: str = ""
    sha256: str = ""
    reason: str = ""


class CannotRun(Exception):
    """No test of the suite can be run; the message says why."""


Account = Callable[[str], Mapping[str, str]]
"""A test account by its name: user and password, or why there is none (missing)."""


class _Gone(Exception):
    """The process ended, or was ended, in the middle of something."""


class Suite:
    """One suite, ready to run. Whoever asks waits for whoever asked before."""

    def __init__(self, plan: Plan, account: Account) -> None:
        self.tests: dict[str, Found] = {}
        self._plan = plan
        self._account = account
        self._process: Process | None = None
        self._complaints: asyncio.Task[None] | None = None
        self._said: deque[str] = deque(maxlen=20)  # the last lines of its standard error
        self._print = ""
        self._runs = 0
        self._turn = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        """The process that holds the suite now."""
        return None if self._process is None else self._process.pid

    async def run(self, order: Order) -> list[Outcome]:
        """Run the tests and answer with one outcome each, in order. Raises CannotRun."""
        async with self._turn:
            try:
                return await self._run(order)
            except BaseException:
                await self._end()  # nobody listens to it any more, and a test may be under way
                raise

    async def close(self) -> None:
        """End the process, and whatever a test left running."""
        async with self._turn:
            await self._end()

    async def _run(self, order: Order) -> list[Outcome]:
        outcomes: dict[str, Outcome] = {}
        while True:
            await self._ready()
            wanted = self._wanted(order)
            left = tuple(each for each in wanted if each not in outcomes)
            if not left:
                return [outcomes[each] for each in wanted]
            some = await self._some(msgspec.structs.replace(order, only=left))
            outcomes |= {each.test: each for each in some}
            if not outcomes.keys() & set(left):
                raise CannotRun(f"pytest says nothing of “{left[0]}”")

    def _wanted(self, order: Order) -> list[str]:
        if strange := [each for each in order.only if each not in self.tests]:
            there = ", ".join(self.tests)
            raise CannotRun(f"no acceptance test here is called “{strange[0]}”; there are: {there}")
        if not self.tests:
            raise CannotRun(
                f"no test below {self._plan.path} is marked: write @pytest.mark.acceptance above"
                " those that vouch for something, or the tag @acceptance above a scenario"
            )
        return [each for each in self.tests if not order.only or each in order.only]

    async def _some(self, order: Order) -> list[Outcome]:
        """Run until the end, or until the process ends: then what it was at has failed."""
        outcomes: list[Outcome] = []
        began, since = "", 0.0
        clock = asyncio.get_running_loop().time
        try:
            async for heard in self._heard(order):
                match heard:
                    case {"began": str(test)}:
                        began, since = test, clock()
                    case {"account": str(name)}:
                        await self._say(dict(self._account(name)))
                    case {"outcome": dict(outcome)}:
                        outcomes.append(msgspec.convert(outcome, Outcome))
                        began = ""
        except _Gone as gone:
            await self._end()
            if not began:
                raise CannotRun(str(gone)) from None
            outcomes.append(self._ended(began, str(gone), clock() - since))
        return outcomes

    async def _heard(self, order: Order) -> AsyncIterator[dict[str, Any]]:
        """What it says until it is done. Raises _Gone, also when it says nothing for too long."""
        await self._say(msgspec.to_builtins(order))
        while True:
            try:
                async with asyncio.timeout(order.timeout):
                    heard = await self._hear()
            except TimeoutError:
                why = f"it took longer than {lasting(order.timeout)} and was ended"
                raise _Gone(why) from None
            if "done" in heard:
                return
            yield heard

    def _ended(self, test: str, why: str, took: Seconds) -> Outcome:
        known = self.tests[test]
        return Outcome(
            test=test, outcome="failed", took=took, of=known.of, sha256=known.sha256, reason=why
        )

    # -- one process -----------------------------------------------------------------------------

    async def _ready(self) -> None:
        """A process that holds the suite as it stands on disk. Raises CannotRun."""
        fresh = fingerprint(self._plan.path)
        alive = self._process is not None and self._process.returncode is None
        if alive and fresh == self._print and self._runs < _RUNS:
            self._runs += 1
            return
        await self._end()
        self._print, self._runs = fresh, 1
        try:
            await self._start()
        except TimeoutError:
            raise CannotRun(
                f"its tests were not even found within {lasting(_COLLECTING)}"
            ) from None
        except _Gone as gone:
            raise CannotRun(str(gone)) from None

    async def _start(self) -> None:
        plan = self._plan
        if not plan.path.exists():
            raise CannotRun(f"there is nothing at {plan.path}; correct `path` under the suite")
        try:
            self._process = await asyncio.create_subprocess_exec(
                plan.python, "-P", "-m", MODULE, cwd=plan.home, env=_surroundings(plan),
                stdin=PIPE, stdout=PIPE, stderr=PIPE, start_new_session=True, limit=_LONGEST_LINE,
            )  # fmt: skip
        except OSError as error:
            raise CannotRun(f"{plan.python} cannot be started: {error.strerror}") from None
        self._said.clear()
        self._complaints = asyncio.create_task(self._listen_to_complaints(self._process))
        async with asyncio.timeout(_COLLECTING):
            await self._say({"path": str(plan.path)})
            heard = await self._hear()
        if "broken" in heard:
            raise CannotRun(heard["broken"])
        found = msgspec.convert(heard["tests"], list[Found])
        self.tests = {each.id: each for each in found}

    async def _say(self, said: Mapping[str, Any]) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        with contextlib.suppress(ConnectionError):  # it has just died: that is heard next
            self._process.stdin.write(json.dumps(said).encode() + b"\n")
            await self._process.stdin.drain()

    async def _hear(self) -> dict[str, Any]:
        process = self._process
        assert process is not None
        assert process.stdout is not None
        try:
            line = await process.stdout.readline()
            return dict(json.loads(line)) if line else await self._gone(process)
        except ValueError as error:
            raise _Gone(f"it said what nobody understands ({error})") from None

    async def _gone(self, process: Process) -> dict[str, Any]:
        """Why it is no longer there."""
        code = await process.wait()
        if self._complaints is not None:
            await asyncio.wait([self._complaints], timeout=_FAREWELL)
        said = next((each for each in reversed(self._said) if each), "")
        ended = f"its process ended with {_ending(code)}" + (f": {said}" if said else "")
        raise _Gone(_missing(said, self._plan.python) or ended)

    async def _end(self) -> None:
        """The whole process group: a test may have started a browser."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        if self._complaints is not None:
            self._complaints.cancel()
            await asyncio.gather(self._complaints, return_exceptions=True)
            self._complaints = None

    async def _listen_to_complaints(self, process: Process) -> None:
        assert process.stderr is not None
        while line := await process.stderr.readline():
            said = line.decode("utf-8", "replace").rstrip()
            self._said.append(said)
            log.debug("%s: %s", self._plan.path, said)


def _missing(said: str, python: str) -> str:
    """The commonest reason, with its remedy."""
    for name in ("detente", "pytest"):
        if f"No module named '{name}" in said or f"No module named {name}" in said:
            return f"{python} has no {name}: install it there with `pip install {name}`"
    return ""


def _ending(code: int) -> str:
    if code < 0:
        return f"signal {-code} ({signal.Signals(-code).name})"
    return f"exit code {code}"


_NEEDED = ("PATH", "HOME", "LANG", "TZ", "TMPDIR", "DISPLAY", "XDG_CACHE_HOME")
_FAMILIES = ("LC_", "SSL_", "PLAYWRIGHT_")


def _surroundings(plan: Plan) -> dict[str, str]:
    """The environment less the node's secrets: what a test needs, its suite names."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _NEEDED or name.startswith(_FAMILIES)
    }
    return {**kept, "PYTHONDONTWRITEBYTECODE": "1", **plan.environment}


_SOURCES = {".py", ".feature", ".toml", ".ini", ".cfg"}
_IGNORED = {"__pycache__", ".git", ".venv", "node_modules"}


def fingerprint(path: Path) -> str:
    """Changes when a file of the suite does."""
    made = hashlib.sha256()
    for file in sorted(_sources(path)):
        with contextlib.suppress(FileNotFoundError):
            seen = file.stat()
            made.update(f"{file}\0{seen.st_mtime_ns}\0{seen.st_size}\0".encode())
    return made.hexdigest()


def _sources(path: Path) -> Iterable[Path]:
    if path.is_file():
        yield from _sources(path.parent)
        return
    for folder, folders, files in os.walk(path):
        folders[:] = [each for each in folders if each not in _IGNORED]
        yield from (Path(folder, each) for each in files if Path(each).suffix in _SOURCES)
