"""Does the last good answer stand in while they are away, and no longer than agreed?"""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from detente.work import Unavailable, guard
from detente.work.engine.guard import RememberingGuard
from detente.work.engine.known import Memory

_names = (f"sign-on-{number}" for number in itertools.count())


class Time:
    """A clock that stands until told to move, for the program and for the wall."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> int:
        return round(self.seconds * 1e9)


class NotValid(Exception):
    """The sign-on server answers: this session is none."""


class SignOn:
    """A sign-on server that can go away."""

    def __init__(self) -> None:
        self.away = False
        self.asked = 0

    def who_is(self, session: str) -> str:
        self.asked += 1
        if self.away:
            raise ConnectionRefusedError("connection refused")
        if session.startswith("bad"):
            raise NotValid
        return f"user of {session}"


def remembering(time: Time, *, file: Path | None = None, most: int = 1_000) -> RememberingGuard:
    made = guard(
        next(_names), last_known_good="15m", key=lambda session: session, answers=(NotValid,)
    )
    made._memory = Memory("sign-on", most=most, file=file, now=time.monotonic, clock=time)
    return made


def test_the_last_good_answer_stands_in_and_says_how_old_it_is() -> None:
    """Fresh answers are 0 seconds old; while they are away the former one comes with its age."""
    time, server = Time(), SignOn()
    who_is = remembering(time)(server.who_is)
    fresh = who_is("s1")
    assert (fresh.value, fresh.age, fresh.is_old) == ("user of s1", 0, False)
    server.away = True
    time.seconds += 600
    old = who_is("s1")
    assert (old.value, old.age, old.is_old) == ("user of s1", 600, True)


def test_nobody_lives_on_an_answer_older_than_agreed() -> None:
    """After the bound it stops, and says what is missing."""
    time, server = Time(), SignOn()
    who_is = remembering(time)(server.who_is)
    who_is("s1")
    server.away = True
    time.seconds += 15 * 60
    assert who_is("s1").is_old, "to the second"
    time.seconds += 1
    with pytest.raises(Unavailable, match="their last answer is 15 min 1 s old, more than 15 min"):
        who_is("s1")
    with pytest.raises(Unavailable, match="connection refused; no former answer is known") as why:
        who_is("s2")
    assert isinstance(why.value.__cause__, ConnectionRefusedError)


def test_a_no_of_theirs_takes_the_former_answer_back() -> None:
    """A session that was ended must not come to life again when the server goes away."""
    time, server = Time(), SignOn()
    answers = {"s1": "anna"}

    def who_is(session: str) -> str:
        if server.away:
            raise ConnectionRefusedError
        if session not in answers:
            raise NotValid
        return answers[session]

    guarded = remembering(time)(who_is)
    assert guarded("s1").value == "anna"
    answers.clear()
    with pytest.raises(NotValid):
        guarded("s1")
    server.away = True
    with pytest.raises(Unavailable, match="no former answer"):
        guarded("s1")


def test_what_is_awaited_is_remembered_too() -> None:
    """The same for async functions, cut short or refused."""
    time, hangs = Time(), asyncio.Event()
    made = guard(next(_names), timeout=0.01, last_known_good=timedelta(minutes=15))
    made._memory = Memory("sign-on", most=5, now=time.monotonic)

    @made
    async def rates(of: str) -> dict[str, float]:
        if hangs.is_set():
            await asyncio.Event().wait()
        return {of: 1.1}

    async def story() -> None:
        assert (await rates("EUR")).age == 0
        hangs.set()
        time.seconds += 5
        answer = await rates("EUR")
        assert (answer.value, answer.age) == ({"EUR": 1.1}, 5)

    asyncio.run(story())


def test_only_so_many_are_remembered() -> None:
    """The one that was not asked for longest goes first."""
    time, server = Time(), SignOn()
    who_is = remembering(time, most=2)(server.who_is)
    for session in ("s1", "s2", "s3"):
        who_is(session)
    server.away = True
    assert who_is("s3").value == "user of s3"
    with pytest.raises(Unavailable):
        who_is("s1")


def test_a_restart_in_the_middle_of_the_outage_keeps_what_was_known(tmp_path: Path) -> None:
    """Another process takes the answers from the file, with their age; keys stand there as digests."""
    time, server, file = Time(), SignOn(), tmp_path / "known"
    remembering(time, file=file)(server.who_is)("ticket-ST-4711")
    server.away = True
    time.seconds += 60
    after = remembering(time, file=file)(server.who_is)("ticket-ST-4711")
    assert (after.value, after.age) == ("user of ticket-ST-4711", 60)
    assert file.stat().st_mode & 0o777 == 0o600
    remembering(time, file=file)
    everything = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert everything.count(b"ticket-ST-4711") == everything.count(b"user of ticket-ST-4711")


def test_a_clock_put_back_makes_nothing_younger(tmp_path: Path) -> None:
    """Whoever cannot say how old an answer is does not hand it out."""
    time, server, file = Time(), SignOn(), tmp_path / "known"
    remembering(time, file=file)(server.who_is)("s1")
    server.away = True
    time.seconds -= 60
    with pytest.raises(Unavailable, match="no former answer"):
        remembering(time, file=file)(server.who_is)("s1")


@pytest.mark.parametrize("content", [b"", b"no database at all " * 100])
def test_a_file_that_is_no_use_fails_nobody(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Then the answers are in memory only, and the log says so once."""
    time, server, file = Time(), SignOn(), tmp_path / "known"
    file.write_bytes(content)
    who_is = remembering(time, file=file)(server.who_is)
    assert [who_is(f"s{number}").age for number in range(3)] == [0, 0, 0]
    server.away = True
    assert who_is("s1").is_old
    assert len(caplog.messages) == (1 if content else 0)


def test_answers_come_back_from_disk_as_what_the_function_says(tmp_path: Path) -> None:
    """A tuple is a tuple again."""
    time = Time()
    away: list[bool] = []

    def rights(session: str) -> tuple[str, ...]:
        if away:
            raise ConnectionError
        return (session, "read")

    remembering(time, file=tmp_path / "known")(rights)("s1")
    away.append(True)
    time.seconds += 1
    assert remembering(time, file=tmp_path / "known")(rights)("s1").value == ("s1", "read")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"last_known_good": 0}, "it must be some time"),
        ({"last_known_good": "15 minutes"}, "write 15m"),
        ({"last_known_good": "15m", "fallback": None}, "fallback or last_known_good, not both"),
        ({"last_known_good": "15m", "keep": "known"}, "which part of a call names its answer"),
        ({"last_known_good": "15m", "most": 0}, "must be 1 or more"),
        ({"keep": "known"}, "remembers nothing"),
    ],
)
def test_what_makes_no_sense_is_refused(given: dict[str, Any], says: str) -> None:
    """When the program starts, not when the vendor goes away."""
    with pytest.raises(ValueError, match=says):
        guard(next(_names), **given)


def test_arguments_that_name_nothing_are_refused() -> None:
    """A list is no name for an answer."""
    made = guard(next(_names), last_known_good=60)(len)
    with pytest.raises(TypeError, match="say what names the answer"):
        made(["a"])


def test_many_threads_remember_at_once(tmp_path: Path) -> None:
    """Nobody gets somebody else's answer, and nothing is torn."""
    time, server = Time(), SignOn()
    who_is = remembering(time, file=tmp_path / "known", most=50)(server.who_is)
    wrong: list[str] = []

    def ask(first: int) -> None:
        for number in range(200):
            session = f"s{(first + number) % 80}"
            if who_is(session).value != f"user of {session}":
                wrong.append(session)

    threads = [threading.Thread(target=ask, args=(each * 7,)) for each in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


_FORKS = """
import os, threading
from detente.work import guard
away = []
@guard("cas", last_known_good="15m", key=str, keep={file!r})
def who(session):
    if away: raise ConnectionError
    return session.upper()
who("a")
busy = threading.Event()
def hold():
    with memory._lock:
        busy.set(); threading.Event().wait()
import gc
from detente.work.engine.known import Memory
memory = next(each for each in gc.get_objects() if isinstance(each, Memory))
threading.Thread(target=hold, daemon=True).start()
busy.wait()
child = os.fork()
if child == 0:
    away.append(1)
    os._exit(0 if who("a").value == "A" and who("a").is_old else 1)
os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_fork_while_a_thread_remembers_is_no_deadlock(tmp_path: Path) -> None:
    """The child has locks of its own, and a connection of its own."""
    code = _FORKS.format(file=str(tmp_path / "known"))
    done = subprocess.run([sys.executable, "-c", code], timeout=20, env={**os.environ})
    assert done.returncode == 0
