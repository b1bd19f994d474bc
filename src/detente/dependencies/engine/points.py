"""Which points are central, which have a spare, and which two must not fall together?

What falls is counted in journeys and in what they earn in an hour. Sums in different currencies are
never added: a fall weighs as much as the largest share that it takes, of the journeys or of the money
in any one currency.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import combinations, islice
from math import comb

import msgspec

from detente.kernel.catalogue import Catalogue
from detente.kernel.fact import Subject, kind
from detente.kernel.money import Money, total
from detente.kernel.needs import Fallen

MOST_STEPS = 300_000
"""Pairs tried times things in the map: more would keep a page waiting."""


class Fall(msgspec.Struct, frozen=True, kw_only=True):
    """What falls when these do, and what that is worth."""

    down: tuple[Subject, ...]
    fallen: tuple[Fallen, ...]  # in the order in which it spreads, the first ones not included
    journeys: tuple[Subject, ...]
    an_hour: tuple[Money, ...]  # what these journeys earn in an hour
    share: float  # of all journeys, or of the money in a currency, whichever is more


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """Two that fell a journey together which neither fells alone."""

    both: tuple[Subject, Subject]
    journeys: tuple[Subject, ...]  # those that neither fells alone
    an_hour: tuple[Money, ...]
    share: float


class Pairs(msgspec.Struct, frozen=True, kw_only=True):
    """The pairs found, heaviest first, and how many there was no time to try."""

    found: tuple[Pair, ...]
    untried: int = 0  # at most so many; some of them may be the same


class Atlas:
    """The catalogue's map, with every single failure thought through once."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self.needs = catalogue.needs
        self.journeys = tuple(f"journey:{name}" for name in catalogue.journeys)
        self.an_hour = self._earned(self.journeys)

    def fall(self, *down: Subject) -> Fall:
        """What falls when these do."""
        fallen = self.needs.falls(down)
        journeys = tuple(each.node for each in fallen if kind(each.node) == "journey")
        return Fall(
            down=down,
            fallen=fallen[len(set(down)) :],
            journeys=journeys,
            an_hour=self._earned(journeys),
            share=self._share(journeys),
        )

    @cached_property
    def points(self) -> tuple[Fall, ...]:
        """What falls with each thing that is not a journey itself, heaviest first."""
        nodes = (each for each in self.needs.nodes if kind(each) != "journey")
        return tuple(sorted((self.fall(each) for each in nodes), key=_weight))

    def central(self, from_share: float) -> tuple[Fall, ...]:
        """The central points of failure."""
        return tuple(each for each in self.points if is_central(each, from_share))

    def spares(self, node: Subject) -> tuple[Subject, ...]:
        """What can stand in for it, where one of several is enough."""
        beside = (
            member
            for needs in self.needs.nodes.values()
            for need in needs
            if node in need.of and not need.soft and _slack(need.of, need.at_least)
            for member in need.of
            if member != node
        )
        return tuple(dict.fromkeys(beside))

    @cached_property
    def pairs(self) -> Pairs:
        """Two that fell a journey only together.

        Something falls over both and over neither alone only where a need loses a member to each of
        them, so pairs are looked for at needs with spares and nowhere else.
        """
        groups, most = self._who_share_needs(), MOST_STEPS // max(1, len(self.needs.nodes))
        tried = list(dict.fromkeys(islice(_couples(groups), most)))
        there = sum(comb(len(group), 2) for group in groups)
        found = (pair for couple in tried if (pair := self._pair(couple)))
        untried = max(0, there - most)
        return Pairs(found=tuple(sorted(found, key=_pair_weight)), untried=untried)

    def _who_share_needs(self) -> list[list[Subject]]:
        """For each need with spares: who takes some of its members along, and not too many."""
        takes = {
            each.down[0]: {each.down[0], *(one.node for one in each.fallen)} for each in self.points
        }
        groups = {
            tuple(_who_take_some(takes, need.of, need.at_least))
            for needs in self.needs.nodes.values()
            for need in needs
            if not need.soft and _slack(need.of, need.at_least)
        }
        return sorted(map(list, groups), key=len)

    def _pair(self, couple: tuple[Subject, Subject]) -> Pair | None:
        alone = {each for one in couple for each in self._alone[one]}
        journeys = tuple(
            each.node
            for each in self.needs.falls(couple)
            if kind(each.node) == "journey" and each.node not in alone
        )
        if not journeys:
            return None
        earned = self._earned(journeys)
        return Pair(both=couple, journeys=journeys, an_hour=earned, share=self._share(journeys))

    @cached_property
    def _alone(self) -> dict[Subject, tuple[Subject, ...]]:
        return {each.down[0]: each.journeys for each in self.points}

    def _earned(self, journeys: Iterable[Subject]) -> tuple[Money, ...]:
        declared = self.catalogue.journeys
        earns = (declared[each.partition(":")[2]].earns for each in journeys)
        return total(each for each in earns if each is not None)

    def _share(self, journeys: Sequence[Subject]) -> float:
        if not journeys:
            return 0.0
        whole = {each.currency: each.minor for each in self.an_hour}
        shares = [
            each.minor / whole[each.currency] for each in self._earned(journeys) if each.minor
        ]
        return max(len(journeys) / len(self.journeys), *shares, 0.0)


def is_central(fall: Fall, from_share: float) -> bool:
    return bool(fall.journeys) and fall.share >= from_share


def _slack(of: Sequence[Subject], at_least: int) -> int:
    """How many of its members a need can lose."""
    return max(0, len(set(of)) - at_least)


def _who_take_some(
    takes: dict[Subject, set[Subject]], of: Sequence[Subject], at_least: int
) -> list[Subject]:
    """Who takes members of that need along, but not so many that it is unmet."""
    members, slack = set(of), _slack(of, at_least)
    return sorted(each for each, taken in takes.items() if 0 < len(taken & members) <= slack)


def _couples(groups: Iterable[Sequence[Subject]]) -> Iterator[tuple[Subject, Subject]]:
    for group in groups:
        yield from combinations(group, 2)


def _weight(fall: Fall) -> tuple[float, int, int, int, Subject]:
    earned = sum(each.minor for each in fall.an_hour) if len(fall.an_hour) == 1 else 0
    return -fall.share, -len(fall.journeys), -earned, -len(fall.fallen), fall.down[0]


def _pair_weight(pair: Pair) -> tuple[float, int, tuple[Subject, Subject]]:
    return -pair.share, -len(pair.journeys), pair.both
