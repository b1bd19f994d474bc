"""Blame that survives being asked for every minute."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detente.kernel.sequential import Evidence, rate, share


def nights_blamed(seed: int, *, worse: float, nights: int = 300, looks: int = 60) -> int:
    """How many nights of looking every minute end in blame: 5 new and 95 old calls a minute."""
    chance, blamed = random.Random(seed), 0
    for _ in range(nights):
        evidence = Evidence()
        for _ in range(looks):
            new = sum(chance.random() < 0.02 * worse for _ in range(5))
            old = sum(chance.random() < 0.02 for _ in range(95))
            evidence = share(evidence, new=new, old=old, new_share=0.05)
            if evidence.blames():
                blamed += 1
                break
    return blamed


def test_an_innocent_change_is_seldom_blamed() -> None:
    """Looked at sixty times, no more than α of the nights blame a change that changed nothing."""
    assert nights_blamed(1, worse=1) <= 0.05 * 300


def test_a_broken_change_is_found() -> None:
    """Ten times as many failures are found nearly always."""
    assert nights_blamed(2, worse=10) > 0.95 * 300


def test_a_check_that_begins_to_fail() -> None:
    """A few failures in a row are enough where one in a hundred was known; one is not."""
    one = rate(Evidence(), failed=1, passed=10, known=0.01)
    assert not one.blames()
    assert rate(one, failed=4, passed=0, known=0.01).blames()


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=8))
def test_looking_more_often_changes_nothing(looks: list[tuple[int, int]]) -> None:
    """The same failures in one look or in many are the same evidence."""
    evidence = Evidence()
    for new, old in looks:
        evidence = share(evidence, new=new, old=old, new_share=0.3)
    new, old = sum(new for new, _ in looks), sum(old for _, old in looks)
    at_once = share(Evidence(), new=new, old=old, new_share=0.3)
    assert evidence.e_value == pytest.approx(at_once.e_value)
    assert (evidence.seen, evidence.against) == (at_once.seen, at_once.against)


def test_a_side_without_calls_tells_nothing() -> None:
    """Where only one side was called, its failures are nobody's fault yet."""
    assert share(Evidence(), new=9, old=0, new_share=1.0) == Evidence()
    with pytest.raises(ValueError, match="between 0 and 1"):
        rate(Evidence(), failed=1, passed=0, known=0.0)
