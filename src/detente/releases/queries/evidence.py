"""What has been seen since the new version is in production, and what used to be?"""

from __future__ import annotations

from collections.abc import Iterator

from detente.facts.watch import WentDown
from detente.facts.work import CallCharged, CallParked, CallRefused
from detente.kernel import spans, tries
from detente.kernel.clock import NS, Instant, later
from detente.kernel.fact import Subject
from detente.kernel.ledger import Query
from detente.kernel.node import Node
from detente.kernel.tries import Tries
from detente.releases.engine.evidence import Source, Weighed, weigh
from detente.releases.settings import Watched

_CALLS = (CallCharged.name, CallRefused.name, CallParked.name)
_FAR = 1_000  # calls back, one to this vendor is found or nothing is known of it


def weighed(node: Node, watched: Watched, service: Subject, since: Instant) -> list[Weighed]:
    """Each thing that is watched, and what it says of the time since."""
    sources = [
        *(_of_check(node, name, since) for name in watched.checks),
        *(_of_suite(node, name, service, since) for name in watched.acceptance),
        *(source for name in watched.routes for source in _of_route(node, name, since)),
    ]
    return [weigh(each, sources=len(sources)) for each in sources]


def _before(node: Node, source: Subject, since: Instant) -> Tries:
    return tries.total(node.rows, source, later(since, -tries.KEPT), since)


def _since(node: Node, source: Subject, since: Instant) -> Tries:
    return tries.total(node.rows, source, since)


def _of_check(node: Node, name: str, since: Instant) -> Source:
    about = f"check:{name}"
    return Source(
        about=about,
        what="runs failed",
        before=_before(node, about, since),
        since=_since(node, about, since) + _unfiled(node, about, since),
    )


def _unfiled(node: Node, about: Subject, since: Instant) -> Tries:
    """A fall that no sheet tells of yet: its failures, and what passed between the sheet and them."""
    last, until = tries.newest(node.rows, about) or (Tries(at=since), since)
    filed = max(since, until)
    asked = Query(names=(WentDown.name,), subjects=(about,))
    for recorded in node.ledger.read(asked, backwards=True, limit=1):
        fact = recorded.fact
        if isinstance(fact, WentDown) and fact.since >= filed:
            a_second = last.of * NS / max(1, until - last.at)
            return Tries(fact.failures, int((fact.since - filed) / NS * a_second))
    return Tries()


def _of_suite(node: Node, name: str, service: Subject, since: Instant) -> Source:
    """What ran under its name, and what ran for the service under no name."""
    both = (f"suite:{name}", service)
    return Source(
        about=both[0],
        what="tests failed in production",
        before=sum((_before(node, each, since) for each in both), Tries()),
        since=sum((_since(node, each, since) for each in both), Tries()),
    )


def _of_route(node: Node, name: str, since: Instant) -> Iterator[Source]:
    """Calls that the vendor refused, and calls that it did not take: a release can break either."""
    about = f"route:{name}"
    before, after = _before(node, about, since), tries.between(node.rows, about, since)
    excused = _vendor_is_down(node, name, since)
    ours = [each for each in after if not any(s <= each.at < e for s, e in excused)]
    yield Source(
        about=about, what="calls refused", before=_refused(before), since=_refused(sum(after, Tries()))
    )  # fmt: skip
    yield Source(about=about, what="calls parked", before=before, since=sum(ours, Tries()))


def _refused(of: Tries) -> Tries:
    """Of the calls that were answered."""
    return Tries(of.refused, of.passed - of.refused)


def _vendor_is_down(node: Node, route: str, since: Instant) -> list[tuple[Instant, Instant]]:
    """When the vendor's own checks failed: what was parked then is theirs, and blames no release."""
    vendor = _vendor_of(node, route)
    checks = [f"check:{each}" for each in node.catalogue.measures_of(vendor)]
    now = node.clock.now() + 1
    found = spans.overlapping(node.rows, since, now, kind="outage", about=checks or [""])
    return spans.clip(found, since, now)


def _vendor_of(node: Node, route: str) -> Subject:
    for recorded in node.ledger.read(Query(names=_CALLS), backwards=True, limit=_FAR):
        if getattr(recorded.fact, "route", "") == route:
            return str(getattr(recorded.fact, "vendor", ""))
    return ""
