"""Which points are central, which are spares, and which two must not fall together?"""

from __future__ import annotations

import time
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detente.dependencies.engine.points import Atlas
from detente.kernel.catalogue import Catalogue, Group, Infrastructure, Journey, Service
from detente.kernel.money import Money

from .agency import atlas


def test_the_sign_on_server_and_the_host_below_it_are_the_heaviest() -> None:
    """Everything falls with them, which no look at the shape of the graph alone would find."""
    first, second, *_ = atlas().points
    assert [each.down for each in (first, second)] == [
        ("infrastructure:vmhost1",),
        ("infrastructure:cas",),
    ]
    assert len(second.journeys) == 4
    assert second.an_hour == (Money(420_000, "EUR"),)
    assert second.share == 1.0


def test_a_spare_fells_nothing_and_names_what_it_stands_in_for() -> None:
    """One of two databases is no central point."""
    there = atlas()
    (db1,) = (each for each in there.points if each.down == ("infrastructure:db1",))
    assert (db1.fallen, db1.journeys, db1.share) == ((), (), 0.0)
    assert there.spares("infrastructure:db1") == ("infrastructure:db2",)
    assert there.spares("infrastructure:cas") == ()
    assert there.spares("infrastructure:mailer") == (), "what one can live without is no spare"


def test_pairs_that_fell_what_neither_fells_alone() -> None:
    """Both databases; and one of them with the host of the other."""
    pairs = atlas().pairs
    both = ("infrastructure:db1", "infrastructure:db2")
    host = ("infrastructure:db1", "infrastructure:vmhost2")
    assert [each.both for each in pairs.found] == [both, host]
    assert pairs.found[0].journeys == ("journey:renew", "journey:pay")
    assert pairs.found[0].an_hour == (Money(360_000, "EUR"),)
    assert pairs.untried == 0


def test_money_counts_in_shares_of_its_own_currency() -> None:
    """Half of the dollars weigh as much as half of the journeys; they are never added to euros."""
    declared = """
infrastructure: {a: {}, b: {}}
journeys:
  one: {earns: 10 USD, needs: [a]}
  two: {earns: 900 EUR, needs: [b]}
  three: {earns: 100 EUR, needs: [a]}
"""
    there = atlas(declared)
    by_name = {each.down[0]: each for each in there.points}
    a, b = by_name["infrastructure:a"], by_name["infrastructure:b"]
    assert a.an_hour == (Money(10_000, "EUR"), Money(1_000, "USD"))
    assert a.share == 1.0, "all of the dollars"
    assert b.share == pytest.approx(0.9)
    assert [each.down[0] for each in there.central(0.95)] == ["infrastructure:a"]


def test_a_journey_is_no_central_point_and_an_empty_map_has_none() -> None:
    """Points are what journeys stand on."""
    assert all(not each.down[0].startswith("journey:") for each in atlas().points)
    empty = Atlas(Catalogue())
    assert (empty.points, empty.pairs.found, empty.central(0.01)) == ((), (), ())


names = st.sampled_from("abcde")
groups = st.lists(names, min_size=2, max_size=3, unique=True).map(
    lambda of: Group(any_of=tuple(of))
)
two_of_three = st.just(Group(at_least=2, of=("a", "b", "c")))
needs = st.lists(st.one_of(names, groups, two_of_three), max_size=3).map(tuple)


@settings(max_examples=150)
@given(st.lists(needs, min_size=2, max_size=4), st.lists(needs, min_size=5, max_size=5))
def test_no_pair_is_missed(journeys: list, below: list) -> None:  # type: ignore[type-arg]
    """What is found at the needs with spares is what trying every pair finds."""
    kept = {
        name: Infrastructure(needs=tuple(each for each in need if each != name))
        for name, need in zip("abcde", below, strict=True)
    }
    there = Atlas(
        Catalogue(
            infrastructure=kept,
            journeys={f"j{index}": Journey(needs=need) for index, need in enumerate(journeys)},
        )
    )
    by_hand = set()
    for one, two in combinations([f"infrastructure:{name}" for name in "abcde"], 2):
        alone = {*there.fall(one).journeys, *there.fall(two).journeys}
        if set(there.fall(one, two).journeys) - alone:
            by_hand.add((one, two))
    assert {each.both for each in there.pairs.found} == by_hand


@pytest.mark.slow
def test_a_thousand_things_are_thought_through_in_a_moment() -> None:
    """Every single failure of a large map, and as many pairs as there is time for, and it says so."""
    hosts = {
        f"h{n}": Infrastructure(needs=(f"h{n // 3}", f"h{n // 7}") if n > 3 else ())
        for n in range(400)
    }
    services = {
        f"s{n}": Service(
            needs=(f"h{n % 400}", Group(any_of=(f"h{n * 7 % 400}", f"h{n * 13 % 399}")))
        )
        for n in range(1, 500)
    }
    journeys = {
        f"j{n}": Journey(needs=(f"s{n}", f"s{n * 4}"), earns=Money(n * 100, "EUR"))
        for n in range(1, 101)
    }
    there = Atlas(Catalogue(infrastructure=hosts, services=services, journeys=journeys))
    began = time.perf_counter()
    assert len(there.points) == 899
    assert time.perf_counter() - began < 2
    assert there.pairs.untried > 0
    assert time.perf_counter() - began < 8
