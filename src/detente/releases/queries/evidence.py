"""What has been seen since the new version is in production, and what used to be?"""

from __future__ import annotations

from collections.abc import Iterator

from detente.facts.acceptance import Ran
from detente.facts.watch import SheetFiled, WentDown
from detente.facts.work import CallCharged, CallParked, CallRefused
from detente.kernel import spans
from detente.kernel.clock import NS, Instant, Seconds, later
from detente.kernel.fact import Subject
from detente.kernel.ledger import Query
from detente.kernel.node import Node
from detente.kernel.sequential import ALPHA
from detente.releases.engine.evidence import Source, Tally, Weighed, weigh
from detente.releases.settings import Watched

_LOOK_BACK: Seconds = 14 * 86_400.0
_MOST_BEFORE = 4_000  # facts of the time before that are counted: enough to know a rate


def needed(sources: int) -> float:
    """What an e-value must reach when so many things are watched."""
    return max(1, sources) / ALPHA


def weighed(node: Node, watched: Watched, service: Subject, since: Instant) -> list[Weighed]:
    """Each thing that is watched, and what it says of the time since."""
    sources = [
        *(_of_check(node, name, since) for name in watched.checks),
        *(_of_suite(node, name, service, since) for name in watched.acceptance),
        *(source for name in watched.routes for source in _of_route(node, name, since)),
    ]
    return [weigh(each, sources=len(sources)) for each in sources]


def _of_check(node: Node, name: str, since: Instant) -> Source:
    about = f"check:{name}"
    before = after = Tally()
    last: SheetFiled | None = None
    for recorded in node.ledger.read(Query(names=(SheetFiled.name,)), backwards=True):
        sheet = recorded.fact
        if not isinstance(sheet, SheetFiled) or sheet.until < later(since, -_LOOK_BACK):
            break
        tally = sheet.tallies.get(name)
        if tally is None:
            continue
        counted = Tally(tally.failed, tally.ok + tally.failed)
        if sheet.since >= since:
            after += counted
        elif sheet.until <= since:
            before += counted
        last = last or sheet
        if before.of >= _MOST_BEFORE:
            break
    return Source(
        about=about,
        what="runs failed",
        before=before,
        since=after + _unfiled(node, name, since, last),
    )


def _unfiled(node: Node, name: str, since: Instant, last: SheetFiled | None) -> Tally:
    """A fall that no sheet tells of yet: its failures, and what passed between the sheet and them."""
    filed = max(since, last.until) if last is not None else since
    about = (f"check:{name}",)
    fell = node.ledger.read(Query(names=(WentDown.name,), subjects=about), backwards=True, limit=1)
    for recorded in fell:
        fact = recorded.fact
        if isinstance(fact, WentDown) and fact.since >= filed:
            passed = int((fact.since - filed) / NS * _runs_a_second(name, last))
            return Tally(fact.failures, fact.failures + passed)
    return Tally()


def _runs_a_second(name: str, last: SheetFiled | None) -> float:
    if last is None or last.until <= last.since:
        return 0.0
    return last.tallies[name].expected * NS / (last.until - last.since)


def _of_suite(node: Node, name: str, service: Subject, since: Instant) -> Source:
    before = after = Tally()
    counted = 0
    for recorded in node.ledger.read(Query(names=(Ran.name,)), backwards=True):
        fact = recorded.fact
        if recorded.at < later(since, -_LOOK_BACK) or counted >= _MOST_BEFORE:
            break
        if not isinstance(fact, Ran) or fact.place != "production" or fact.outcome == "skipped":
            continue
        if getattr(fact, "suite", "") not in (name, "") or (
            not getattr(fact, "suite", "") and fact.of != service
        ):
            continue
        counted += 1
        once = Tally(int(fact.outcome == "failed"), 1)
        if recorded.at >= since:
            after += once
        else:
            before += once
    return Source(
        about=f"suite:{name}", what="tests failed in production", before=before, since=after
    )


def _of_route(node: Node, name: str, since: Instant) -> Iterator[Source]:
    """Calls that the vendor refused, and calls that it did not take: a release can break either."""
    refused, parked = [Tally(), Tally()], [Tally(), Tally()]
    excused = _vendor_is_down(node, name, since)
    counted = 0
    names = (CallCharged.name, CallRefused.name, CallParked.name)
    for recorded in node.ledger.read(Query(names=names), backwards=True):
        fact = recorded.fact
        if recorded.at < later(since, -_LOOK_BACK) or counted >= _MOST_BEFORE:
            break
        if getattr(fact, "route", "") != name:
            continue
        when = int(recorded.at >= since)
        counted += 1 - when
        if not isinstance(fact, CallParked):
            refused[when] += Tally(int(isinstance(fact, CallRefused)), 1)
        if not (when and any(start <= recorded.at < end for start, end in excused)):
            parked[when] += Tally(int(isinstance(fact, CallParked)), 1)
    about = f"route:{name}"
    yield Source(about=about, what="calls refused", before=refused[0], since=refused[1])
    yield Source(about=about, what="calls parked", before=parked[0], since=parked[1])


def _vendor_is_down(node: Node, route: str, since: Instant) -> list[tuple[Instant, Instant]]:
    """When the vendor's own checks failed: what was parked then is theirs, and blames no release."""
    vendor = _vendor_of(node, route)
    checks = [f"check:{each}" for each in node.catalogue.measures_of(vendor)]
    now = node.clock.now() + 1
    found = spans.overlapping(node.rows, since, now, kind="outage", about=checks or [""])
    return spans.clip(found, since, now)


def _vendor_of(node: Node, route: str) -> Subject:
    names = (CallCharged.name, CallRefused.name, CallParked.name)
    for recorded in node.ledger.read(Query(names=names), backwards=True, limit=_MOST_BEFORE):
        if getattr(recorded.fact, "route", "") == route:
            return str(getattr(recorded.fact, "vendor", ""))
    return ""
