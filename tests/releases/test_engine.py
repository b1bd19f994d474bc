"""Evidence, freezes, times, processes and the calendar's feed, each by itself."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

import icalendar
import pytest

from detente.kernel.clock import NS, instant, moment
from detente.kernel.feed import Entry, calendar
from detente.kernel.tries import Tries
from detente.releases.engine import times
from detente.releases.engine.evidence import Source, enough, known_rate, weigh
from detente.releases.engine.freezes import stretches
from detente.releases.engine.processes import Running, still_running, wait_for_marked
from detente.releases.settings import Freeze, LocalTime, Weekly


def at(text: str) -> int:
    return instant(datetime.fromisoformat(text).replace(tzinfo=UTC))


# -- evidence


def blamed_in(chance: random.Random, fails: float, *, looks: int, each: int, sources: int) -> bool:
    """One watch of several things, looked at again and again."""
    told = [Tries()] * sources
    for _ in range(looks):
        for i in range(sources):
            failed = sum(chance.random() < fails for _ in range(each))
            told[i] += Tries(failed, each - failed)
        found = [
            Source(about=f"check:{i}", what="", before=Tries(10, 990), since=one)
            for i, one in enumerate(told)
        ]
        if any(weigh(one, sources=sources).blames for one in found):
            return True
    return False


def test_an_innocent_release_is_seldom_blamed() -> None:
    """Three things that fail as often as before, looked at sixty times: blamed in under 5 of 100."""
    chance = random.Random(7)
    blamed = sum(blamed_in(chance, 0.01, looks=60, each=5, sources=3) for _ in range(200))
    assert blamed <= 10


def test_a_broken_release_is_blamed() -> None:
    """A fifth of all runs fails: found in ten looks, nearly always."""
    chance = random.Random(8)
    blamed = sum(blamed_in(chance, 0.2, looks=10, each=5, sources=3) for _ in range(100))
    assert blamed >= 95


def test_what_is_known_leaves_room() -> None:
    """Above what was seen, never below one in a hundred, and cautious where little was seen."""
    assert known_rate(Tries(0, 10_000)) == 0.01
    assert known_rate(Tries(0, 3)) == known_rate(Tries()) == 0.05
    assert known_rate(Tries(100, 900)) > 0.1
    assert known_rate(Tries(5, 0)) > 0.9
    assert enough(0.01, 0.05) > enough(0.1, 0.05) > 0


# -- freezes and times


def test_a_weekly_freeze_keeps_the_clock_on_the_wall() -> None:
    """Friday 15:00 in Berlin before and after summer time ends."""
    freeze = Freeze(
        title="Weekend", reason="r", owner="o", weekly=Weekly.read("Fri 15:00 to Mon 06:00")
    )
    found = list(stretches(freeze, "Europe/Berlin", at("2026-10-21"), at("2026-11-03")))
    assert [moment(each.start, "UTC").hour for each in found] == [13, 14]
    assert [moment(each.start, "Europe/Berlin").hour for each in found] == [15, 15]
    assert found[0].end - found[0].start == (63 + 1) * 3600 * NS, "that weekend is an hour longer"


def test_a_freeze_that_has_begun_before_the_window_is_seen() -> None:
    """Saturday alone lies within a freeze from Friday on."""
    freeze = Freeze(
        title="Weekend", reason="r", owner="o", weekly=Weekly.read("Fri 15:00 to Mon 06:00")
    )
    (found,) = stretches(freeze, "UTC", at("2026-11-28T10:00"), at("2026-11-28T11:00"))
    assert (found.start, found.end) == (at("2026-11-27T15:00"), at("2026-11-30T06:00"))
    dated = Freeze(
        title="x",
        reason="r",
        owner="o",
        starts=LocalTime("2026-12-20"),
        until=LocalTime("2027-01-04 06:00"),
    )
    (found,) = stretches(dated, "Europe/Berlin", at("2026-12-31"), at("2027-01-01"))
    assert found.start == at("2026-12-19T23:00")
    assert list(stretches(dated, "UTC", at("2027-02-01"), at("2027-02-02"))) == []


@pytest.mark.parametrize(
    ("said", "means"),
    [
        ("now", "2026-11-23T12:00"), ("in 2h", "2026-11-23T14:00"), ("21:00", "2026-11-23T20:00"),
        ("11:00", "2026-11-24T10:00"), ("2026-12-01 21:00", "2026-12-01T20:00"),
        ("2026-12-01T21:00:00Z", "2026-12-01T21:00"),
    ],
)  # fmt: skip
def test_people_say_when(said: str, means: str) -> None:
    """Where the team is, unless they say the offset themselves."""
    assert times.when(said, at("2026-11-23T12:00"), "Europe/Berlin") == at(means)


@pytest.mark.parametrize("said", ["tomorrow", "25:00", "in a while", "2026-13-01", ""])
def test_no_time_is_said_to_be_none(said: str) -> None:
    """With how one is written."""
    with pytest.raises(times.NoTime):
        times.when(said, 0, "UTC")


# -- processes


def run(argv: list[str], *, timeout: float = 5.0, cwd: Path | None = None) -> tuple[str, bytes]:
    async def story() -> tuple[str, bytes]:
        running = Running(argv)
        ended = await running.run(
            cwd=cwd, environment={"A": "1"}, mark="releases-test", timeout=timeout
        )
        return ended.why, ended.printed

    return asyncio.run(story())


def test_how_programs_end(tmp_path: Path) -> None:
    """Well, with a code, by a signal, not at all, or never begun: each has its sentence."""
    assert run(["sh", "-c", "echo $A; echo err >&2"]) == ("", b"1\nerr\n")
    assert run(["sh", "-c", "exit 3"])[0] == "sh ended with exit code 3"
    assert run(["sh", "-c", "kill -SEGV $$"])[0] == "sh was ended by SIGSEGV"
    assert (
        run(["nosuch-program"])[0]
        == "nosuch-program could not be started: there is no such program"
    )
    assert "there is no folder" in run(["true"], cwd=tmp_path / "nowhere")[0]
    assert "could not be started" in run(["a\0b"])[0]
    assert "chmod +x" in run([str(Path(__file__))])[0]


def test_what_hangs_is_ended_with_all_that_it_started() -> None:
    """Nothing of its group is left behind."""
    why, printed = run(["sh", "-c", "echo began; sleep 300 & sleep 300"], timeout=0.3)
    assert why == "sh was still running after 300 ms, and was ended"
    assert printed == b"began\n"
    assert still_running("releases-test") == []


def test_what_it_starts_for_good_is_not_waited_for(tmp_path: Path) -> None:
    """The shop that a ship starts runs on, and is not taken for the ship."""
    mark = f"releases-test-{tmp_path.name}"
    pid = tmp_path / "pid"

    async def story() -> None:
        program = f"setsid sleep 30 >/dev/null 2>&1 & echo $! > {pid}"
        ended = await Running(["sh", "-c", program]).run(
            cwd=None, environment={}, mark=mark, timeout=5
        )
        assert ended.well
        assert still_running(mark) == []
        os.kill(int(pid.read_text()), signal.SIGKILL)

    asyncio.run(story())


def test_much_that_is_printed_is_cut_in_the_middle() -> None:
    """Its beginning and its end are kept."""
    program = "print('first'); print('x' * 400_000); print('last')"
    _, printed = run([sys.executable, "-c", program])
    assert len(printed) < 200_000
    assert printed.startswith(b"first")
    assert printed.endswith(b"last\n")
    assert b"bytes left out" in printed


def test_what_is_left_alone_goes_on(tmp_path: Path) -> None:
    """A node that stops in the middle of a ship leaves it running, and the next one finds it."""
    done = tmp_path / "done"
    mark = f"releases-test-{tmp_path.name}"

    async def story() -> None:
        running = Running(["sh", "-c", f"sleep 0.5; echo; touch {done}"])
        task = asyncio.create_task(
            running.run(cwd=None, environment={}, mark=mark, timeout=60, left_alone=True)
        )
        while not still_running(mark):
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert still_running(mark)
        assert await wait_for_marked(mark, 10)
        assert done.exists(), "writing to nobody did not end it"

    asyncio.run(story())


# -- the feed


def test_any_calendar_program_reads_it() -> None:
    """Parsed by a library that is none of ours: identity, number, state and time."""
    entry = Entry(
        uid="release-1@detente", title="Shop: Baskets, cheaper; now", start=at("2026-12-01T20:00"),
        end=at("2026-12-01T21:00"), changed=at("2026-11-23"), sequence=2, says="one\ntwo", cancelled=True,
        url="http://here/releases/1",
    )  # fmt: skip
    read = icalendar.Calendar.from_ical(calendar("Releases, Grünkohl & Co.", [entry]))
    assert read["x-wr-calname"] == "Releases, Grünkohl & Co."
    (event,) = read.walk("VEVENT")
    assert (event["uid"], event["sequence"], event["status"]) == (
        "release-1@detente",
        2,
        "CANCELLED",
    )
    assert event["summary"] == "Shop: Baskets, cheaper; now"
    assert event["description"] == "one\ntwo"
    assert event.start == datetime(2026, 12, 1, 20, tzinfo=UTC)
