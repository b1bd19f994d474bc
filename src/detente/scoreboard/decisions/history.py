"""What the score is computed from: the facts of a window, and what was declared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import TypeVar

from detente.facts.incidents import Closed, Opened
from detente.facts.sla import PromiseBroken, PromiseRestored
from detente.kernel.catalogue import Catalogue
from detente.kernel.clock import Instant
from detente.kernel.fact import Fact, Recorded, Subject

F = TypeVar("F", bound=Fact)


class History:
    """Facts in order, from `start` to `now`; what is asked for is read off them."""

    def __init__(
        self, facts: Iterable[Recorded], catalogue: Catalogue, start: Instant, now: Instant
    ) -> None:
        self.facts = tuple(facts)
        self.catalogue = catalogue
        self.start = start
        self.now = now

    @cached_property
    def _by_name(self) -> dict[str, list[Recorded]]:
        found: dict[str, list[Recorded]] = defaultdict(list)
        for each in self.facts:
            found[each.name].append(each)
        return found

    def of(self, kind: type[F], about: Subject | None = None) -> Iterator[tuple[Recorded, F]]:
        """Facts of that kind with where and when they stand, oldest first."""
        for each in self._by_name.get(kind.name, ()):
            if isinstance(each.fact, kind) and about in (None, each.about):
                yield each, each.fact

    def incidents(self) -> Iterator[tuple[Recorded, Opened]]:
        """What was opened, without what turned out to be a part of another incident: nothing twice."""
        parts = {at.about for at, closed in self.of(Closed) if closed.into}
        return ((at, opened) for at, opened in self.of(Opened) if at.about not in parts)


def still_broken(history: History) -> list[tuple[Recorded, PromiseBroken]]:
    """Promises that are broken by the last that was said of each period."""
    found: dict[tuple[Subject, str], tuple[Recorded, PromiseBroken]] = {}
    kept = {(at.about, fact.period): at.position for at, fact in history.of(PromiseRestored)}
    for at, fact in history.of(PromiseBroken):
        found[at.about, fact.period] = (at, fact)
    return [pair for key, pair in found.items() if pair[0].position > kept.get(key, 0)]
