"""Whose turn is it, whatever clocks, holidays and covers do?"""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detente.kernel.clock import NS, Instant, instant, moment
from detente.pager.engine.rota import Cover, Shift, shifts
from detente.pager.settings import Changes, Moment, Rota

BERLIN = "Europe/Berlin"
HOUR = 3_600 * NS


def at(text: str, zone: str = BERLIN) -> Instant:
    return instant(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)))


def rota(changes: str = "weekly on monday 09:00", *people: str, **more: object) -> Rota:
    return Rota(
        people=people or ("ada", "bob"),
        changes=Changes.read(changes),
        timezone=BERLIN,
        **more,  # type: ignore[arg-type]
    )


def told(found: list[Shift]) -> list[tuple[str, str | None]]:
    return [(f"{moment(each.start, BERLIN):%a %d %b %H:%M}", each.person) for each in found]


def test_turns_change_by_the_clock_on_the_wall() -> None:
    """Monday 09:00 stays 09:00 when clocks change: that week is an hour longer, or shorter."""
    made = rota(begins=Moment.read("2026-10-12"))
    found = shifts(made, at("2026-10-19 09:00"), at("2026-11-09 09:00"), away={})
    assert told(found) == [
        ("Mon 19 Oct 09:00", "bob"), ("Mon 26 Oct 09:00", "ada"), ("Mon 02 Nov 09:00", "bob"),
    ]  # fmt: skip
    assert [(each.end - each.start) // HOUR for each in found] == [169, 168, 168]
    spring = shifts(rota(), at("2026-03-23 09:00"), at("2026-03-30 09:00"), away={})
    assert [(each.end - each.start) // HOUR for each in spring] == [167]


def test_a_handover_in_the_hour_that_is_missing_or_twice() -> None:
    """02:30 on the night clocks change happens once, and nobody is off duty meanwhile."""
    for day in ("2026-03-28 12:00", "2026-10-24 12:00"):
        start = at(day)
        found = shifts(rota("daily 02:30"), start, start + 48 * HOUR, away={})
        assert [each.person for each in found] in (["ada", "bob", "ada"], ["bob", "ada", "bob"])
        assert all(left.end == right.start for left, right in pairwise(found))
    (spring,) = shifts(rota("daily 02:30"), at("2026-03-29 03:30"), at("2026-03-29 03:31"), away={})
    assert spring.start == at("2026-03-29 03:30")


def test_who_is_away_leaves_a_gap_and_who_covers_fills_it() -> None:
    """A holiday without a cover is nobody's; with one it is somebody's, for exactly so long."""
    made = rota(begins=Moment.read("2026-10-26"))
    week = at("2026-10-26 09:00"), at("2026-11-02 09:00")
    away = {"ada": [(at("2026-10-28"), at("2026-10-30"))]}
    assert told(shifts(made, *week, away=away)) == [
        ("Mon 26 Oct 09:00", "ada"), ("Wed 28 Oct 00:00", None), ("Fri 30 Oct 00:00", "ada"),
    ]  # fmt: skip
    covers = [
        Cover(person="bob", start=at("2026-10-28"), end=at("2026-10-30")),
        Cover(person="cleo", start=at("2026-10-29"), end=at("2026-10-30")),
    ]
    covered = shifts(made, *week, away=away, covers=covers)
    assert told(covered) == [
        ("Mon 26 Oct 09:00", "ada"), ("Wed 28 Oct 00:00", "bob"), ("Thu 29 Oct 00:00", "cleo"),
        ("Fri 30 Oct 00:00", "ada"),
    ]  # fmt: skip
    assert covered[1].instead_of == "ada"


def test_before_it_begins_it_is_nobodys() -> None:
    """The first one's first turn is where people wrote it."""
    found = shifts(
        rota(begins=Moment.read("2026-10-26")),
        at("2026-10-20 09:00"),
        at("2026-11-03 09:00"),
        away={},
    )
    assert told(found) == [
        ("Tue 20 Oct 09:00", None), ("Mon 26 Oct 09:00", "ada"), ("Mon 02 Nov 09:00", "bob"),
    ]  # fmt: skip


def test_one_person_has_turns_too() -> None:
    """Handovers to oneself are still handovers."""
    found = shifts(
        rota("daily 09:00", "ada"), at("2026-10-20 09:00"), at("2026-10-22 09:00"), away={}
    )
    assert [each.person for each in found] == ["ada", "ada"]


MOMENTS = st.integers(1_704_067_200, 1_893_456_000).map(
    lambda seconds: seconds * NS
)  # 2024 to 2029
LENGTHS = st.integers(1, 60 * 24).map(lambda hours: hours * HOUR)
RHYTHMS = st.sampled_from(["daily 02:30", "weekly on sunday 02:30", "every 3 days 23:59"])
STRETCHES = st.tuples(MOMENTS, LENGTHS).map(lambda two: (two[0], two[0] + two[1]))


@given(
    start=MOMENTS,
    length=LENGTHS,
    rhythm=RHYTHMS,
    away=st.lists(STRETCHES, max_size=2),
    covers=st.lists(STRETCHES, max_size=2),
    share=st.floats(0, 1),
)
def test_every_moment_is_in_one_shift(
    start: Instant,
    length: int,
    rhythm: str,
    away: list[tuple[Instant, Instant]],
    covers: list[tuple[Instant, Instant]],
    share: float,
) -> None:
    """A window is covered without gap or overlap, and splitting it changes nobody's turn."""
    end = start + length
    made = rota(rhythm, "ada", "bob", "cleo")
    by_hand = [Cover(person="dan", start=left, end=right) for left, right in covers]
    found = shifts(made, start, end, away={"ada": away}, covers=by_hand)
    assert (found[0].start, found[-1].end) == (start, end)
    assert all(left.end == right.start and left.start < left.end for left, right in pairwise(found))
    at = start + round(length * share)
    if at < end:
        (one,) = shifts(made, at, at + 1, away={"ada": away}, covers=by_hand)
        (same,) = (each for each in found if each.start <= at < each.end)
        assert one.person == same.person


@pytest.mark.parametrize(
    ("written", "days", "weekday", "hour"),
    [
        ("weekly on monday 09:00", 7, 0, 9),
        ("Weekly  on Friday at 8:05", 7, 4, 8),
        ("daily 08:00", 1, None, 8),
        ("every 2 weeks on sunday 12:00", 14, 6, 12),
        ("every 3 days 00:00", 3, None, 0),
    ],
)
def test_when_turns_change(written: str, days: int, weekday: int | None, hour: int) -> None:
    """As people say it."""
    read = Changes.read(written)
    assert (read.days, read.weekday, read.at.hour) == (days, weekday, hour)


@pytest.mark.parametrize(
    "written", ["weekly 09:00", "daily on monday 09:00", "monthly", "daily 25:00", "daily 9", 7]
)
def test_what_is_no_rhythm_is_explained(written: object) -> None:
    """With what to write instead."""
    with pytest.raises(ValueError, match=r"weekly on monday 09:00"):
        Changes.read(written)


def test_moments_are_the_rotas() -> None:
    """Without a time zone of their own, because two clocks in one line confuse people."""
    assert Moment.read("2026-12-24 09:00").within(BERLIN) == at("2026-12-24 09:00")
    assert Moment.read("2026-12-24").within(BERLIN) == at("2026-12-24 00:00")
    for wrong in ("christmas", "2026-12-24T09:00Z", "2026-02-30"):
        with pytest.raises(ValueError, match="expected a moment such as"):
            Moment.read(wrong)
