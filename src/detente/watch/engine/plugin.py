"""What does a Nagios plugin say, run exactly as it is?

A plugin is a program: its exit code is the verdict, its first line the reason, and what stands
behind a `|` are measurements. It is started without a shell, in a process group of its own that is
killed as a whole when its time is up, with nothing to read and next to nothing in its environment.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
from functools import partial
from pathlib import Path

import msgspec

from detente.kernel import masking
from detente.watch.engine.loop import READ
from detente.watch.engine.run import Run
from detente.watch.engine.wire import Result, Verdict

WORDS_LIMIT = 64 * 1024  # bytes of output that are read; what comes after is thrown away
REASON_LIMIT = 300  # signs of the first line that are kept
MEASURED_LIMIT = 4096  # signs of performance data that are kept; Nagios itself reads 8192 bytes

_SURROUNDINGS = {
    "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin",
    "LC_ALL": "C",
}
_AS_USUAL = (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ)  # ignored here, which is inherited
_VERDICTS: dict[int, Verdict] = {0: "ok", 1: "warned", 2: "failed", 3: "inconclusive"}
_WITHOUT_WORDS = {1: "it warns", 2: "it says critical", 3: "it says unknown"}
_NOT_STARTED = {
    errno.ENOENT: "there is no such program here: install it, or name its folder in `plugins_from`",
    errno.EACCES: "this user may not run it",
    errno.ENOEXEC: "it is no program: its first line must say what runs it",
}


class PluginRun(Run):
    """One run of one plugin."""

    __slots__ = ("_measured", "_pid", "_pidfd", "_said", "_timed_out")
    _measured: str
    _pid: int
    _pidfd: int
    _said: dict[int, bytearray]  # what it says, then what it complains, by descriptor
    _timed_out: bool

    # -- the way there ----------------------------------------------------------------------------

    def begin(self) -> None:
        loop = self.loop
        self.began = self.mark = self.ended = loop.monotonic()
        self.lost = loop.lost
        self.phase = "transfer"
        self._measured, self._pid, self._pidfd = "", 0, -1
        self._said = {}
        self._timed_out = False
        self.tick = 0
        if self.plan.mistake is not None:
            self.conclude("inconclusive", self.plan.mistake)
            return
        try:
            self._start()
        except OSError as wrong:
            why = _NOT_STARTED.get(wrong.errno or 0, os.strerror(wrong.errno or errno.EIO))
            name = self.plan.probe.command[0]
            self.conclude("inconclusive", f"{name} was not started: {why}")

    def _start(self) -> None:
        probe = self.plan.probe
        program = find(probe.command[0], probe.plugins_from)
        says, says_in = os.pipe()
        complains, complains_in = os.pipe()
        try:
            self._pid = spawn(program, probe.command, probe.surroundings, says_in, complains_in)
        except OSError:
            os.close(says)
            os.close(complains)
            raise
        finally:
            os.close(says_in)
            os.close(complains_in)
        self._pidfd = os.pidfd_open(self._pid)
        self.loop.watch(self._pidfd, READ, self._ended)
        for fd in (says, complains):
            self._said[fd] = bytearray()
            os.set_blocking(fd, False)
            self.loop.watch(fd, READ, partial(self._listen, fd))
        self.tick = self.loop.deadlines.add(self, self.began + probe.timeout)

    def _listen(self, fd: int, _events: int = 0) -> None:
        """Take some of what there is; at its end look no more."""
        heard = self._said[fd]
        try:
            chunk = os.read(fd, WORDS_LIMIT)
        except BlockingIOError:
            return
        heard += chunk[: WORDS_LIMIT - len(heard)]
        if not chunk:
            self.loop.unwatch(fd)

    # -- the way out --------------------------------------------------------------------------------

    def expire(self) -> None:
        """Its time is up. What becomes of it is told once it is really gone."""
        self._timed_out = True
        self._kill()

    def _kill(self) -> None:
        """Everything it started goes with it. Before it is reaped, so that the number is still its own."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, signal.SIGKILL)

    def _ended(self, _events: int) -> None:
        self.transfer = self.lap()
        for fd in self._said:
            self._listen(fd)
        self._kill()
        _, status = os.waitpid(self._pid, 0)
        self._pid = 0
        if self._timed_out:
            timeout = self.plan.probe.timeout
            self.too_long(
                f"it was not done within {timeout:g} s and was ended", "transfer", timeout
            )
        else:
            self._judge(os.waitstatus_to_exitcode(status))

    def _judge(self, code: int) -> None:
        said, complained = (bytes(heard) for heard in self._said.values())
        words, measured = taken_apart(said.decode("utf-8", "replace"))
        self._measured = self._masked(measured)[:MEASURED_LIMIT]
        self.received = len(said)
        words = words or _first_line(complained.decode("utf-8", "replace"))
        reason = self._masked(words)[:REASON_LIMIT]
        if code < 0:
            name = signal.Signals(-code).name
            self.conclude("inconclusive", f"the plugin itself was ended by {name}")
        elif code not in _VERDICTS:
            said_so = f" ({reason})" if reason else ""
            self.conclude(
                "inconclusive", f"the plugin ended with {code}, which means nothing{said_so}"
            )
        else:
            self._conclude(code, reason or _WITHOUT_WORDS.get(code, ""))

    def _conclude(self, code: int, reason: str) -> None:
        wanted = self.plan.probe.slow_after
        if code == 0 and wanted is not None and self.loop.monotonic() - self.began > wanted:
            self.judge_speed()
        else:
            self.conclude(_VERDICTS[code], reason, "transfer" if code == 2 else None)

    def _masked(self, said: str) -> str:
        secrets = self.plan.probe.secrets
        for short in secrets:  # a short one stands alone at most; a long one wherever it stands
            said = " ".join(masking.HIDDEN if word == short else word for word in said.split(" "))
        return masking.text(said, secrets)

    def let_go(self) -> None:
        """Give back everything; a plugin that still runs is ended and left to nobody."""
        self.loop.deadlines.discard(self, self.tick)
        if self._pid:
            self._kill()
            os.waitpid(self._pid, 0)
            self._pid = 0
        for fd in (*self._said, *([self._pidfd] if self._pidfd >= 0 else [])):
            self.loop.unwatch(fd)
            os.close(fd)
        self._said, self._pidfd = {}, -1

    def result(self) -> Result:
        return msgspec.structs.replace(super().result(), measured=self._measured)


def find(program: str, folders: tuple[str, ...]) -> str:
    """The program's file. Raises FileNotFoundError."""
    if "/" in program:
        return program
    for folder in folders:
        if (there := Path(folder) / program).is_file():
            return str(there)
    raise FileNotFoundError(errno.ENOENT, "not found", program)


def spawn(
    program: str, command: tuple[str, ...], surroundings: dict[str, str], says: int, complains: int
) -> int:
    """Start it; answers with its process id, which is also that of its group."""
    return os.posix_spawn(
        program,
        command,
        {**_SURROUNDINGS, **surroundings},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, says, 1),
            (os.POSIX_SPAWN_DUP2, complains, 2),
        ],
        setpgroup=0,
        setsigdef=_AS_USUAL,
        setsigmask=(),
    )


def taken_apart(said: str) -> tuple[str, str]:
    """The first line's words, and all performance data: behind its `|` and behind one in the rest."""
    first, _, rest = said.strip("\n").partition("\n")
    words, _, measured = first.partition("|")
    more = rest.partition("|")[2]
    both = " ".join(f"{measured} {more}".split("\n"))
    return " ".join(words.split()).rstrip(" ;"), " ".join(both.split())


def _first_line(said: str) -> str:
    return " ".join(said.strip().partition("\n")[0].split())
