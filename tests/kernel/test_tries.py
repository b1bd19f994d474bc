"""What was tried is added up by source, and what straddles a change says nothing about it."""

from __future__ import annotations

from detente.facts.acceptance import Ran
from detente.facts.watch import SheetFiled, Tally
from detente.facts.work import CallCharged, CallParked, CallRefused
from detente.kernel import tries
from detente.kernel.clock import NS
from detente.kernel.fact import Fact, Recorded
from detente.kernel.sequential import known_rate
from detente.kernel.tries import Tries
from detente.kernel.views import Rows, Views

SOME = {"route": "pay", "vendor": "vendor:pay"}
CHARGED = CallCharged(about="call:1", status=200, seconds=0.1, **SOME)  # type: ignore[arg-type]
AGAIN = CallCharged(about="call:1", status=200, seconds=0.1, attempt=2, **SOME)  # type: ignore[arg-type]
REFUSED = CallRefused(about="call:1", status=422, seconds=0.1, **SOME)  # type: ignore[arg-type]
PARKED = CallParked(about="call:1", reason="away", unknown=False, **SOME)  # type: ignore[arg-type]


def folded(*facts: tuple[float, Fact]) -> Rows:
    """The rows after these facts, each at its second."""
    projection = tries.projection()
    rows = Views(":memory:", [projection]).rows
    for position, (second, fact) in enumerate(facts):
        projection.fold(rows, Recorded(position, int(second * NS), "test", fact))
    return rows


def sheet(since: int, until: int, *, failed: int, ok: int) -> SheetFiled:
    tally = Tally(expected=failed + ok, ok=ok, failed=failed)
    return SheetFiled(
        about="place:here", since=since * NS, until=until * NS, sha256="", tallies={"shop": tally}
    )


def test_a_sheet_that_straddles_the_moment_counts_on_neither_side() -> None:
    """It tells of both times at once, so nobody knows which it blames."""
    rows = folded(
        (60, sheet(0, 60, failed=1, ok=9)),
        (120, sheet(60, 120, failed=5, ok=5)),
        (180, sheet(120, 180, failed=2, ok=8)),
    )
    assert tries.total(rows, "check:shop", 0, 90 * NS) == Tries(1, 9)
    assert tries.between(rows, "check:shop", 90 * NS) == [Tries(2, 8, at=120 * NS)]


def test_calls_count_once_whatever_becomes_of_them() -> None:
    """Parked is a failure for good; refused is an answer; sending again is no new try."""
    rows = folded((1, CHARGED), (2, REFUSED), (3, PARKED), (20, AGAIN))
    assert tries.total(rows, "route:pay", 0) == Tries(failed=1, passed=2, refused=1)


def test_tests_count_in_production_by_themselves_and_by_suite() -> None:
    """What failed at the gate is nobody's outage; a test of no suite counts for its service."""
    ran = {"took": 1.0, "of": "service:shop"}
    rows = folded(
        (1, Ran(about="test:buy", place="production", outcome="failed", suite="s", **ran)),  # type: ignore[arg-type]
        (2, Ran(about="test:buy", place="production", outcome="passed", **ran)),  # type: ignore[arg-type]
        (3, Ran(about="test:buy", place="gate", outcome="failed", suite="s", **ran)),  # type: ignore[arg-type]
    )
    found = {each: tries.total(rows, each, 0) for each in ("test:buy", "suite:s", "service:shop")}
    assert found == {
        "test:buy": Tries(1, 1), "suite:s": Tries(1, 0), "service:shop": Tries(0, 1),
    }  # fmt: skip


def test_a_week_is_kept() -> None:
    """Nobody asks for more, and calls are many."""
    rows = folded((1, PARKED), (tries.KEPT + 10, CHARGED))
    assert tries.between(rows, "route:pay", 0) == [Tries(passed=1, at=int(tries.KEPT + 10) * NS)]


def test_what_is_known_leaves_room_above_what_was_seen() -> None:
    """Less where much was seen; of what was never tried, nothing is known."""
    assert 0.01 < known_rate(10, 1000) < 0.02 < known_rate(1, 100) < 0.06
    assert known_rate(0, 0) > 0.99
