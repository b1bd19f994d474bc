"""How does each promise stand in its period?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

import msgspec

from detente.facts.sla import (
    CheckpointSigned,
    Claimed,
    ClaimSettled,
    Excluded,
    IncludedAgain,
    PromiseBroken,
    PromiseRestored,
    VendorTold,
)
from detente.kernel import spans
from detente.kernel.clock import NS, Instant, lasting
from detente.kernel.fact import Recorded
from detente.kernel.ledger import Query
from detente.kernel.node import Node
from detente.kernel.slice import NotFound
from detente.kernel.spans import Span
from detente.kernel.views import Rows
from detente.sla import decisions
from detente.sla.decisions import Account, Evidence, Standing
from detente.sla.decisions.claims import Claim, Dealings, Ticket, claim, dealings, tickets
from detente.sla.engine.calendar import Period, period_at, period_named
from detente.sla.engine.deadlines import windows
from detente.sla.engine.log import Log
from detente.sla.engine.moments import Moments, both, union, without
from detente.sla.engine.note import Signer
from detente.sla.settings import Promise, Sla

LATE = 60 * NS
"""A sheet is filed some seconds after its end; later than this it is missing."""


class Reckoning(msgspec.Struct, frozen=True, kw_only=True):
    """A promise in one period: by what it is measured, what that was made of, how it stands."""

    name: str
    promise: Promise
    checks: tuple[str, ...]
    former: tuple[str, ...] = ()
    """Those of the checks that are not declared any more."""
    failed: int = 0
    """Runs that failed outside outages, of so many `runs` outside outages."""
    runs: int = 0
    made_of: Account
    standing: Standing
    without: Standing | None = None
    """How it would stand with nothing left out; None if nothing was."""
    done: Dealings
    """What people did about it."""

    @property
    def began(self) -> Instant:
        """When the first outage that counts began."""
        return self.made_of.outages[0][0] if self.made_of.outages else self.standing.period.start


def promise_named(node: Node, name: str) -> Promise:
    """The promise of that name; NotFound if nobody made it."""
    promises = node.settings(Sla).promises
    if name not in promises:
        known = ", ".join(promises) or "none yet"
        raise NotFound(f"No promise is called “{name}”. Declared: {known}.")
    return promises[name]


def period_asked(node: Node, promise: Promise, name: str | None) -> Period:
    """The period somebody asked for, by default the running one; NotFound if it is none or to come."""
    now = node.clock.now()
    running = period_at(now, promise.period, promise.timezone)
    if not name:
        return running
    try:
        period = period_named(name, promise.period, promise.timezone)
    except ValueError as wrong:
        raise NotFound(f"{wrong}.") from None
    if period.start > now:
        raise NotFound(f"{name} has not begun; the running {promise.period} is {running.name}.")
    return period


def reckon(
    node: Node, name: str, promise: Promise, period: Period, *, proven: bool = False
) -> Reckoning:
    """How the promise stands in that period, or stood at its end.

    `proven` counts an outage that still lasts only up to the last sheet in which nothing answered:
    it may turn out to have ended a few runs ago, and a fact cannot be taken back.
    """
    now = node.clock.now()
    until = min(now, period.end)
    declared = checks_of(node, promise)
    former = former_checks(node, promise, period.start, until)
    seen = [
        evidence(node.rows, check, period.start, until, now, proven=proven)
        for check in (*declared, *former)
    ]
    whole = decisions.account(
        decisions.in_turn(seen, len(declared), (period.start, until)) if former else seen,
        (period.start, until),
        down_when=promise.down_when,
        minimum=round(promise.minimum_outage * NS),
    )
    done = dealings_of(node, name)
    made_of = _leave_out(promise, whole, done, period.start, until)
    standing = decisions.stand(promise, period, until, made_of)
    failed, runs = outside_outages(node.rows, (*declared, *former), period.start, until)
    return Reckoning(
        failed=failed,
        runs=runs,
        name=name,
        promise=promise,
        checks=(*declared, *former),
        former=former,
        made_of=made_of,
        standing=standing,
        without=decisions.stand(promise, period, until, whole) if made_of.excluded else None,
        done=done,
    )


def _leave_out(
    promise: Promise, whole: Account, done: Dealings, start: Instant, end: Instant
) -> Account:
    excludes = promise.excludes
    at_most = None if excludes is None or excludes.at_most is None else round(excludes.at_most * NS)
    planned = windows(excludes, start, end, promise.timezone)
    return decisions.leave_out(whole, done.left_out, planned, at_most)


def dealings_of(node: Node, name: str) -> Dealings:
    """What people did about the promise, and what was written down about it."""
    return dealings(node.ledger.read(Query(names=("sla.*",), subjects=(f"promise:{name}",))))


def claims(node: Node, name: str) -> list[Claim]:
    """What is owed, claimed or settled for the running period, the one before, and every other that
    was broken or claimed; the oldest first."""
    found = [claim_of(node, each) for each in _worth_a_claim(node, name)]
    return [each for each in found if each is not None]


def claim_of(node: Node, found: Reckoning) -> Claim | None:
    """The claim for a period that was reckoned."""
    return claim(found.promise, found.standing, found.began, found.done, node.clock.now())


def _worth_a_claim(node: Node, name: str) -> list[Reckoning]:
    promise, now = promise_named(node, name), node.clock.now()
    if not promise.credits:
        return []
    done = dealings_of(node, name)
    running = period_at(now, promise.period, promise.timezone)
    before = period_at(running.start - 1, promise.period, promise.timezone)
    named = {*done.broken, *(each.period for each in done.claims)}
    periods = {before, running, *(_periods(named, promise))}
    return [
        reckon(node, name, promise, each)
        for each in sorted(periods, key=lambda one: one.start)
        if each.start <= now
    ]


def _periods(names: Iterable[str], promise: Promise) -> Iterator[Period]:
    """Those of these that are periods of the contract as it is now."""
    for name in names:
        with suppress(ValueError):
            yield period_named(name, promise.period, promise.timezone)


def untold(node: Node, name: str) -> list[Ticket]:
    """Outages of the running period and the one before that the vendor has not heard of from us."""
    promise, now = promise_named(node, name), node.clock.now()
    if promise.claim is None or promise.claim.ticket_within is None:
        return []
    running = period_at(now, promise.period, promise.timezone)
    before = period_at(running.start - 1, promise.period, promise.timezone)
    reckoned = [reckon(node, name, promise, each) for each in (before, running)]
    outages = union(stretch for each in reckoned for stretch in each.made_of.outages)
    return tickets(promise, outages, reckoned[0].done, now)


def checks_of(node: Node, promise: Promise) -> tuple[str, ...]:
    """What measures the promise: the checks it names, or the vendor's production checks."""
    return promise.checks or node.catalogue.measures_of(f"vendor:{promise.vendor}")


def outside_outages(
    rows: Rows, checks: Sequence[str], start: Instant, end: Instant
) -> tuple[int, int]:
    """How many runs failed without there being an outage, of how many."""
    asked = f"""select coalesce(sum(failed), 0), coalesce(sum(runs), 0) from sla_hour
      where name in ({",".join("?" * len(checks))}) and hour >= ? and hour < ?"""
    ((failed, runs),) = rows.execute(asked, (*checks, start, end))
    return int(failed), int(runs)


def former_checks(node: Node, promise: Promise, start: Instant, end: Instant) -> tuple[str, ...]:
    """What measured the vendor then and is not declared any more: taking it out undoes no outage."""
    if promise.checks:
        return ()
    vendor = f"vendor:{promise.vendor}"
    return tuple(
        name
        for name, environment in node.rows.execute(_FORMER, (vendor, end, start))
        if name not in node.catalogue.measures and node.catalogue.in_production(vendor, environment)
    )


_FORMER = """
select name, environment from sla_measured m where of = ?1 and exists
  (select 1 from sla_seen s where s.name = m.name and s.start < ?2 and s.stop > ?3) order by name
"""


def evidence(
    rows: Rows, check: str, start: Instant, end: Instant, now: Instant, *, proven: bool = False
) -> Evidence:
    """What is known of the check in about that time. Outages keep their whole length."""
    about = [f"check:{check}"]
    last = _last_failing(rows, check) if proven else now
    outages = [
        (span.start, max(span.start, min(last, now)) if span.end is None else span.end)
        for span in spans.overlapping(rows, start, end, kind="outage", about=about)
    ]
    blind = spans.overlapping(rows, start, end, kind="blind", about=about)
    seen = without(_seen(rows, check, start, end, now), spans.clip(blind, start, end))
    return Evidence(outages=union(outages), seen=seen)


_SEEN = "select start, stop from sla_seen where name = ? and start < ? and stop > ? order by start"
_FRESH = """
select until, 2 * (until - since) from sla_filed f where name = ? and running and exists
  (select 1 from sla_seen s where s.name = f.name and s.place = f.place and s.stop = f.until)
"""


def _seen(rows: Rows, check: str, start: Instant, end: Instant, now: Instant) -> Moments:
    """When somebody looked. The sheet being written just now counts, until it is overdue."""
    filed = [(int(left), int(right)) for left, right in rows.execute(_SEEN, (check, end, start))]
    for until, patience in rows.execute(_FRESH, (check,)):
        if until < now <= until + patience + LATE:
            filed.append((until, now))
    return both(union(filed), [(start, end)]) if end > start else []


def _last_failing(rows: Rows, check: str) -> Instant:
    for (at,) in rows.execute("select max(failing) from sla_filed where name = ?", (check,)):
        return int(at or 0)
    return 0


class Outage(msgspec.Struct, frozen=True, kw_only=True):
    """One outage of a check that reaches into the period, with the facts that tell of it."""

    check: str
    span: Span
    lasted: float
    counts: bool


def outages(node: Node, found: Reckoning) -> list[Outage]:
    """The outages of the period, newest first."""
    period, now = found.standing.period, node.clock.now()
    about = [f"check:{check}" for check in found.checks]
    spanning = spans.overlapping(
        node.rows, period.start, found.standing.until, kind="outage", about=about or [""]
    )
    return [
        Outage(
            check=span.about.partition(":")[2],
            span=span,
            lasted=span.seconds(now),
            counts=bool(both(found.made_of.down, spans.clip([span], period.start, now))),
        )
        for span in reversed(spanning)
    ]


# Evidence


def log(node: Node) -> Log:
    """The hashes of the ledger, as far as they were read; `effects.read_on` reads on."""
    if node.part(Log) is None:
        node.parts[Log] = Log()
    found: Log = node.part(Log)
    return found


def signer(node: Node) -> Signer:
    """Whose signature stands under checkpoints."""
    named = node.settings(Sla).origin or "/".join(["detente", *node.name.lower().split()])
    return Signer(named.replace("+", "-"), node.key_for("checkpoints"))


def last_checkpoint(node: Node) -> CheckpointSigned | None:
    """What was signed last."""
    asked = Query(names=(CheckpointSigned.name,))
    for recorded in node.ledger.read(asked, backwards=True, limit=1):
        assert isinstance(recorded.fact, CheckpointSigned)
        return recorded.fact
    return None


def is_dealt_with(recorded: Recorded, period: Period) -> bool:
    """What was left out of the period or claimed for it matters whenever that was done."""
    match recorded.fact:
        case Excluded() | IncludedAgain() as fact:
            return fact.start < period.end and fact.end > period.start
        case Claimed() | ClaimSettled() | PromiseBroken() | PromiseRestored():
            return recorded.fact.period == period.name
        case VendorTold():
            return period.start <= recorded.at < period.end
        case _:
            return False


def in_words(node: Node, found: Reckoning) -> str:
    """What the sender of the evidence says of it."""
    made, vendor = found.standing, node.catalogue.title(f"vendor:{found.promise.vendor}")
    owed = f"; owed: {made.owed}" if made.owed else ""
    if found.without:
        with_all = found.without.under_contract_says
        owed += f"; {lasting(made.excluded)} left out, {with_all} under the contract without that"
    return (
        f"{vendor} promised {made.target} ({found.name}, {made.period.name}). Measured by"
        f" {', '.join(found.checks) or 'nothing'}: {made.attained_says}{owed}."
    )
