"""Which drills were there, and what came of them?"""

from __future__ import annotations

import msgspec

from detente.facts.work import DrillBegan, DrillEnded, DrillPassed
from detente.kernel.clock import Instant, Seconds
from detente.kernel.fact import Subject, plain
from detente.kernel.ledger import Query
from detente.kernel.node import Node
from detente.work import queries
from detente.work.decisions import Counts

_NAMES = (DrillBegan.name, DrillEnded.name, DrillPassed.name)


class Rehearsal(msgspec.Struct, frozen=True, kw_only=True):
    """One drill, from its beginning to what is known of its calls."""

    about: Subject
    vendor: Subject
    how: str
    reason: str
    by: str
    position: int  # of the fact that began it
    began: Instant
    until: Instant
    ended: Instant | None = None
    aborted: bool = False
    counts: Counts = Counts()
    caught_up: Seconds | None = None  # None: some of its calls still wait


def rehearsals(node: Node, *, about: Subject | None = None, limit: int = 20) -> list[Rehearsal]:
    """Drills, the last one first."""
    asked = Query(names=_NAMES, subjects=(about,) if about else ())
    facts = list(node.ledger.read(asked, backwards=True, limit=limit * 3))
    found: dict[Subject, Rehearsal] = {}
    done: list[Rehearsal] = []
    for recorded in reversed(facts):
        fact = recorded.fact
        before = found.get(recorded.about)
        if isinstance(fact, DrillBegan):
            done += [before] if before else []
            found[recorded.about] = Rehearsal(
                about=fact.about, vendor=fact.vendor, how=fact.how, reason=fact.reason,
                by=recorded.by, position=recorded.position, began=recorded.at, until=fact.until,
            )  # fmt: skip
        elif before and isinstance(fact, DrillEnded):
            changed = msgspec.structs.replace(
                before, ended=fact.since or recorded.at, aborted=fact.aborted
            )
            found[recorded.about] = changed
        elif before and isinstance(fact, DrillPassed):
            found[recorded.about] = msgspec.structs.replace(before, caught_up=fact.caught_up)
    every = sorted([*done, *found.values()], key=lambda each: -each.began)[:limit]
    return [_counted(node, each) for each in every]


def _counted(node: Node, it: Rehearsal) -> Rehearsal:
    end = node.now() + 1 if it.ended is None else it.ended
    counts = queries.counts(node.rows, plain(it.about), it.began, end)
    return msgspec.structs.replace(it, counts=counts)
