"""What becomes of a call: plain calls, plain asserts."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detente.facts.work import CallCharged, CallHeld, CallParked, CallRefused, ReplayFailed
from detente.kernel.clock import NS
from detente.kernel.money import Money
from detente.work import decisions
from detente.work.decisions import Call, Outcome
from detente.work.settings import MoneyIn, Replay

CALL = Call(
    about="call:1",
    route="payments",
    vendor="vendor:cardpay",
    key="policy-1",
    method="POST",
    path="/charges",
    sha256="",
    state="taken",
    money=Money(4990, "EUR"),
    taken_at=0,
    changed_at=0,
    request=1,
)


def test_a_yes_is_charged() -> None:
    """What the vendor accepted is charged, with its worth."""
    (fact,) = decisions.settle_first(CALL, decisions.answered(201, 0.1), repeatable=True)
    assert isinstance(fact, CallCharged)
    assert fact.money == Money(4990, "EUR")


@pytest.mark.parametrize("status", [400, 402, 403, 404, 409, 422])
def test_a_refusal_of_business_is_never_parked(status: int) -> None:
    """A card declined is an answer; the caller hears it and nothing is kept for later."""
    (fact,) = decisions.settle_first(CALL, decisions.answered(status, 0.1), repeatable=True)
    assert isinstance(fact, CallRefused)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_a_vendor_in_trouble_is_parked(status: int) -> None:
    """Too busy, too early and broken are the vendor's trouble, not the customer's."""
    (fact,) = decisions.settle_first(CALL, decisions.answered(status, 0.1), repeatable=True)
    assert isinstance(fact, CallParked)
    assert str(status) in fact.reason


def test_being_told_to_slow_down_leaves_no_doubt() -> None:
    """HTTP 429 means that the vendor did not act on it."""
    (fact,) = decisions.settle_first(CALL, decisions.answered(429, 0.1), repeatable=True)
    assert isinstance(fact, CallParked)
    assert not fact.unknown


def test_a_lost_answer_is_parked_as_unknown() -> None:
    """Sent and not answered: the vendor may have it, and the fact says so."""
    lost = Outcome(status=None, seconds=2.0, reason="no answer within 2 s", unknown=True)
    (fact,) = decisions.settle_first(CALL, lost, repeatable=True)
    assert isinstance(fact, CallParked)
    assert fact.unknown


def test_what_may_be_done_and_cannot_be_recognised_waits_for_a_person() -> None:
    """Without an idempotency key the machine never repeats what may have happened."""
    lost = Outcome(status=None, seconds=2.0, reason="no answer", unknown=True)
    parked, held = decisions.settle_first(CALL, lost, repeatable=False)
    assert isinstance(parked, CallParked)
    assert isinstance(held, CallHeld)


def test_what_was_never_sent_is_safe_even_without_a_key() -> None:
    """A refused connection proves that nothing happened."""
    refused = Outcome(status=None, seconds=0.01, reason="connection refused")
    (fact,) = decisions.settle_first(CALL, refused, repeatable=False)
    assert isinstance(fact, CallParked)


def replayed(outcome: Outcome, call: Call = CALL, *, repeatable: bool = True) -> list[object]:
    return list(
        decisions.settle_replay(
            call, outcome, Replay(), repeatable=repeatable, now=100 * NS, chance=0.0
        )
    )


def test_a_replay_that_is_refused_waits_for_a_person() -> None:
    """The customer was told that it was taken, so no machine may drop it."""
    failed, held = replayed(decisions.answered(402, 0.1))
    assert isinstance(failed, ReplayFailed)
    assert isinstance(held, CallHeld)
    assert "402" in held.reason


def test_doubt_never_goes_away_by_itself() -> None:
    """A call that may have been done stays so, even if a later attempt never got there."""
    doubtful = msgspec.structs.replace(CALL, unknown=True, state="parked")
    (failed,) = replayed(Outcome(status=None, seconds=0.1, reason="connection refused"), doubtful)
    assert isinstance(failed, ReplayFailed)
    assert failed.unknown


@given(st.integers(1, 10_000), st.floats(0, 0.999))
def test_waits_grow_and_stay_within_bounds(attempt: int, chance: float) -> None:
    """However often it failed, the next attempt comes, and not before three quarters of its wait."""
    plan = Replay()
    wait = decisions.wait_before(attempt, plan, chance)
    assert 0.75 * plan.first_wait <= wait <= plan.longest_wait


@given(st.integers(0, 10_000))
def test_the_pace_starts_gently_and_is_capped(successes: int) -> None:
    """Never faster than allowed, and at first as slow as asked."""
    plan = Replay()
    assert decisions.pace(plan, 0) == 1 / plan.starts_at
    assert decisions.pace(plan, successes) >= 1 / plan.at_most


@pytest.mark.parametrize(
    ("body", "where", "expected"),
    [
        (
            b'{"amount": 4990, "currency": "eur"}',
            MoneyIn(amount="/amount", currency="/currency"),
            4990,
        ),
        (b'{"sum": {"v": "49.90"}}', MoneyIn(amount="/sum/v", currency="EUR", unit="major"), 4990),
        (b'{"items": [{"v": 12}]}', MoneyIn(amount="/items/0/v", currency="EUR"), 12),
        (b'{"a/b": 7}', MoneyIn(amount="/a~1b", currency="EUR"), 7),
    ],
)
def test_worth_is_read_from_the_call(body: bytes, where: MoneyIn, expected: int) -> None:
    """Amounts and currencies are found where the route says."""
    assert decisions.worth(body, where) == Money(expected, "EUR")


@given(st.binary())
def test_worth_never_stumbles(body: bytes) -> None:
    """Whatever arrives, a call is taken; it may just have no known worth."""
    decisions.worth(body, MoneyIn(amount="/amount", currency="/currency"))


def test_money_with_more_digits_than_coins_has_no_known_worth() -> None:
    """A fraction of a cent is not silently rounded."""
    where = MoneyIn(amount="/amount", currency="EUR", unit="major")
    assert decisions.worth(b'{"amount": "1.005"}', where) is None
