"""Spans are half-open, so windows add up, and nothing is counted twice."""

from __future__ import annotations

from itertools import pairwise

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detente.facts.watch import OUTAGE, WARNING, CameBack, Retired, Warned, WasDown, WentDown
from detente.kernel import spans
from detente.kernel.clock import NS
from detente.kernel.fact import Fact, Recorded
from detente.kernel.spans import Span, SpanKind, clip, covered

at = st.integers(0, 1000)


@st.composite
def some_spans(draw: st.DrawFn) -> list[Span]:
    made = []
    for start, length in draw(st.lists(st.tuples(at, st.none() | st.integers(0, 300)))):
        end = None if length is None else start + length
        made.append(Span("outage", "check:a", start, end, 1, None, ""))
    return made


@given(some_spans(), at, at, at)
def test_splitting_a_window_adds_up(some: list[Span], one: int, two: int, three: int) -> None:
    """What is covered in two windows side by side is what is covered in both together."""
    start, middle, end = sorted((one, two, three))
    parts = covered(some, start, middle) + covered(some, middle, end)
    assert parts == pytest.approx(covered(some, start, end), abs=1e-15)


@given(some_spans(), at, at)
def test_clipping_merges_and_stays_inside(some: list[Span], one: int, two: int) -> None:
    """The parts are in order, never touch each other, and lie inside the window."""
    start, end = sorted((one, two))
    parts = clip(some, start, end)
    assert all(start <= left < right <= end for left, right in parts)
    assert all(before[1] < after[0] for before, after in pairwise(parts))
    assert 0 <= covered(some, start, end) <= (end - start) / NS


@given(some_spans(), at, at)
def test_each_moment_is_covered_or_not(some: list[Span], one: int, two: int) -> None:
    """Counting moment by moment gives the same sum: starts count, ends do not."""
    start, end = sorted((one, two))
    counted = sum(
        any(span.start <= each and (span.end is None or each < span.end) for span in some)
        for each in range(start, end)
    )
    assert covered(some, start, end) == counted / NS


def test_a_span_going_on_lasts_until_now() -> None:
    """What has not ended is as long as it has lasted so far."""
    assert Span("outage", "check:a", 0, None, 1, None, "").seconds(5 * NS) == 5
    assert Span("outage", "check:a", 0, 2 * NS, 1, 2, "").seconds(5 * NS) == 2


# -- rows ----------------------------------------------------------------------------------------


def folded(
    *facts: tuple[int, Fact], kinds: tuple[SpanKind, ...] = (OUTAGE, WARNING)
) -> apsw.Connection:
    rows = apsw.Connection(":memory:")
    made = spans.projection(kinds)
    rows.execute(made.tables)
    for position, (when, fact) in enumerate(facts, start=1):
        made.fold(rows, Recorded(position, when, "test", fact))
    return rows


def down(since: int, about: str = "check:a") -> WentDown:
    return WentDown(about=about, of="vendor:v", since=since, reason="no answer", failures=3)


def back(since: int, about: str = "check:a") -> CameBack:
    return CameBack(about=about, of="vendor:v", since=since, lasted=1.0)


def test_a_fact_says_when_it_really_began() -> None:
    """An outage lasts from the first failure to the first good answer, not from when it was told."""
    rows = folded((30, down(10)), (60, back(50)))
    (span,) = spans.overlapping(rows, 0, 100)
    assert (span.start, span.end, span.opened_by, span.closed_by) == (10, 50, 1, 2)
    assert not spans.is_open(rows, "outage", "check:a")


def test_what_is_open_stays_one_span() -> None:
    """A second opening changes nothing, and another subject has its own span."""
    rows = folded((30, down(10)), (40, down(20)), (50, down(20, "check:b")))
    assert [(each.about, each.start) for each in spans.going_on(rows, "outage")] == [
        ("check:a", 10),
        ("check:b", 20),
    ]
    assert spans.going_on(rows, "warning") == []


def test_a_close_without_an_opening_is_nothing() -> None:
    """Nothing is made up for what was never opened."""
    assert spans.overlapping(folded((10, back(5))), 0, 100) == []


def test_a_span_never_ends_before_it_began() -> None:
    """Clocks step; lengths stay at zero or above."""
    rows = folded((30, down(20)), (40, back(10)))
    (span,) = rows.execute("select start, stop from span")
    assert span == (20, 20)


def test_overlapping_is_half_open() -> None:
    """What ended as the window begins, or begins as it ends, was not going on in it."""
    rows = folded((10, down(10)), (20, back(20)), (30, down(30)))
    assert spans.overlapping(rows, 20, 30) == []
    assert len(spans.overlapping(rows, 19, 31)) == 2
    assert len(spans.overlapping(rows, 0, 100, kind="outage", about=["check:a"])) == 2
    assert spans.overlapping(rows, 0, 100, about=["check:b"]) == []
    assert spans.overlapping(rows, 0, 100, about=[]) == []
    assert spans.overlapping(rows, 0, 100, kind="warning") == []


def test_rows_are_made_anew_when_a_span_changes_its_meaning() -> None:
    """The shape tells apart kinds that hear the same facts and make different spans of them."""
    one = SpanKind("outage", opens=(WentDown,), closes=(CameBack, Retired), whole=(WasDown,))
    other = SpanKind("outage", opens=(CameBack,), closes=(WentDown,))
    renamed = SpanKind("fall", opens=(WentDown,), closes=(CameBack,))
    shapes = {spans.projection([kind]).shape() for kind in (one, other, renamed)}
    assert len(shapes) == 3
    assert spans.projection([one]).shape() == spans.projection([OUTAGE]).shape()


def test_a_span_that_was_over_before_anybody_heard_of_it() -> None:
    """One fact tells all of it, beside one that goes on, and it never ends before it began."""
    late = WasDown(
        about="check:a", of="vendor:v", place="place:b", since=5, until=20, reason="no answer"
    )
    backwards = WasDown(
        about="check:a", of="vendor:v", place="place:b", since=50, until=40, reason="no answer"
    )
    rows = folded((30, down(30)), (90, late), (95, backwards))
    assert [(each.start, each.end) for each in spans.overlapping(rows, 0, 100)] == [
        (5, 20), (30, None), (50, 50),
    ]  # fmt: skip
    assert [each.start for each in spans.going_on(rows)] == [30]


def test_two_kinds_do_not_mix() -> None:
    """A warning and an outage of one check are two spans."""
    warned = Warned(about="check:a", of="vendor:v", since=5, reason="expires soon")
    rows = folded((10, warned), (20, down(15)), (30, back(25)))
    assert [each.kind for each in spans.going_on(rows)] == ["warning"]
