"""Is it seen when things fall together, and is nobody suspected of an accident?"""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detente.dependencies.engine.together import (
    SELDOM,
    Burst,
    Onset,
    bursts,
    chance,
    unexplained,
)
from detente.kernel.clock import NS

from .agency import catalogue

NEEDS = catalogue().needs


def onset(node: str, second: float) -> Onset:
    return Onset(node, round(second * NS))


def test_a_moment_is_what_began_within_it() -> None:
    """Once each; the first one opens the moment, and a lonely one is none."""
    seen = [onset("a", 0), onset("b", 299), onset("a", 200), onset("c", 301), onset("d", 1_000)]
    assert bursts(seen, 300) == [Burst(0, ("a", "b"))]
    assert bursts([*seen, onset("e", 302)], 300)[1] == Burst(301 * NS, ("c", "e"))


def test_the_chance_is_what_was_measured_before() -> None:
    """Six of thirty in one of 8 640 moments, each of which falls three times a month: no accident."""
    times = {str(each): 3 for each in range(30)}
    assert chance(6, times, 8_640) == pytest.approx(5e-11, rel=0.01)
    assert chance(2, times, 8_640) > SELDOM, "two of thirty fall together by accident now and then"
    assert chance(31, times, 8_640) == 0.0
    assert chance(0, times, 8_640) == 1.0


def test_a_young_history_suspects_nobody() -> None:
    """After an hour nothing is known about how often things fall."""
    assert chance(3, {"a": 1, "b": 1, "c": 1}, 12) > SELDOM


@given(
    st.integers(1, 6),
    st.dictionaries(st.integers(0, 9), st.integers(0, 50), min_size=1),
    st.integers(1, 5_000),
)
def test_chances_are_chances(together: int, times: dict[int, int], moments: int) -> None:
    """Between 0 and 1, and the more that fall the less likely."""
    named = {str(name): count for name, count in times.items()}
    fewer, more = chance(together, named, moments), chance(together + 1, named, moments)
    assert 0 <= more <= fewer <= 1


@pytest.mark.slow
def test_thirty_things_that_share_nothing_are_never_suspected() -> None:
    """Ten months of accidents make no suspicion; one outage of something shared makes one at once."""
    luck = random.Random(7)
    month, nodes = 30 * 86_400, [f"service:{each}" for each in range(30)]
    for _ in range(10):
        seen = [onset(node, luck.random() * month) for node in nodes for _ in range(3)]
        times = Counter(each.node for each in seen)
        moments = month // 300
        innocent = bursts(seen, 300)
        assert all(chance(len(each.nodes), times, moments) > SELDOM for each in innocent)
        shared = luck.random() * month
        seen += [onset(node, shared + luck.random() * 60) for node in nodes[:6]]
        times = Counter(each.node for each in seen)
        largest = max(bursts(seen, 300), key=lambda burst: len(burst.nodes))
        assert chance(len(largest.nodes), times, moments) < SELDOM


def test_what_the_map_explains_is_no_riddle() -> None:
    """Over each other, or over something that both need: one group. Otherwise each for itself."""
    assert unexplained(["infrastructure:cas", "service:tax"], NEEDS) == [("infrastructure:cas",)]
    assert unexplained(["service:tax", "service:forms"], NEEDS) == [
        ("service:forms", "service:tax")
    ]
    assert unexplained(["infrastructure:db1", "infrastructure:cas"], NEEDS) == [
        ("infrastructure:cas", "infrastructure:db1")
    ], "both stand on one host"
    assert len(unexplained(["infrastructure:db2", "vendor:cardpay", "service:forms"], NEEDS)) == 3
    assert unexplained(["service:nobody"], NEEDS) == [("service:nobody",)]
