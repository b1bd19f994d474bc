"""What falls when this falls?

A node stands while each of its needs is met, and a need is met while at least so many of its members
stand: *all of* is one need each, *any of* is one of several, *k of n* says how many. What it *can live
without* weakens it and never fells it. Failure then spreads upwards until nothing more falls.

Dependencies are a conjunction and not a question of reachability, so articulation points and
dominators miss the server that everything needs; propagation finds it.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property

import msgspec

from detente.kernel.fact import Subject


class Need(msgspec.Struct, frozen=True):
    """At least `at_least` of `of` must stand; a soft need only weakens who has it."""

    of: tuple[Subject, ...]
    at_least: int = 1
    soft: bool = False


class Fallen(msgspec.Struct, frozen=True):
    """One node that does not stand, and what it fell over: nothing, if it was the first."""

    node: Subject
    over: tuple[Subject, ...] = ()


class Needs:
    """Everything that was declared, and what it needs."""

    def __init__(self, nodes: Mapping[Subject, Sequence[Need]]) -> None:
        self.nodes = {node: tuple(needs) for node, needs in nodes.items()}

    @cached_property
    def _asked_by(self) -> Mapping[Subject, tuple[tuple[Subject, int], ...]]:
        """Who asks for it, and in which of its needs."""
        asked: dict[Subject, list[tuple[Subject, int]]] = defaultdict(list)
        for node, needs in self.nodes.items():
            for index, need in enumerate(needs):
                for member in dict.fromkeys(need.of):
                    asked[member].append((node, index))
        return {member: tuple(askers) for member, askers in asked.items()}

    def falls(self, down: Iterable[Subject]) -> tuple[Fallen, ...]:
        """What falls when these do, themselves included, in the order in which it spreads."""
        fallen = {node: Fallen(node) for node in dict.fromkeys(down)}
        gone: Counter[tuple[Subject, int]] = Counter()
        spreading = deque(fallen)
        while spreading:
            here = spreading.popleft()
            for asker, index in self._asked_by.get(here, ()):
                need = self.nodes[asker][index]
                gone[asker, index] += 1
                if need.soft or asker in fallen or not _unmet(need, gone[asker, index]):
                    continue
                fallen[asker] = Fallen(asker, tuple(each for each in need.of if each in fallen))
                spreading.append(asker)
        return tuple(fallen.values())

    def weakened(self, down: Iterable[Subject]) -> tuple[Subject, ...]:
        """What stands, but has lost a spare or something that it can live without."""
        fallen = {each.node for each in self.falls(down)}
        return tuple(
            node
            for node, needs in self.nodes.items()
            if node not in fallen and any(member in fallen for need in needs for member in need.of)
        )

    def needing(self, node: Subject, *, soft: bool = False) -> tuple[Subject, ...]:
        """Who needs it, directly or through others, nearest first; spares count as needed."""
        return tuple(each for each, _steps in self._upwards(node, soft=soft))[1:]

    def steps(self, cause: Subject, effect: Subject) -> int | None:
        """How many needs lie between them: 0 for itself, None if `effect` does not need `cause`."""
        return next(
            (steps for each, steps in self._upwards(cause, soft=True) if each == effect), None
        )

    def _upwards(self, node: Subject, *, soft: bool) -> Iterator[tuple[Subject, int]]:
        seen, frontier = {node}, deque([(node, 0)])
        while frontier:
            here, steps = frontier.popleft()
            yield here, steps
            for asker, index in self._asked_by.get(here, ()):
                if asker not in seen and (soft or not self.nodes[asker][index].soft):
                    seen.add(asker)
                    frontier.append((asker, steps + 1))


def _unmet(need: Need, gone: int) -> bool:
    return len(set(need.of)) - gone < need.at_least
