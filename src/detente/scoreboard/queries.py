"""What does the score stand at?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from detente.facts.acceptance import Ran
from detente.facts.dependencies import ChangePlanned, ChangeRecorded, Suspected
from detente.facts.incidents import (
    ActionDone,
    ActionDropped,
    ActionTakenOn,
    Closed,
    Opened,
    RetrospectiveClosed,
)
from detente.facts.pager import Taken, Told
from detente.facts.releases import (
    Began,
    Requested,
    Reviewed,
    ReviewOpened,
    RolledBack,
    Shipped,
)
from detente.facts.scoreboard import AdviceDeclined, AdviceTaken, Advised
from detente.facts.sla import Claimed, PromiseBroken, PromiseRestored
from detente.facts.toggles import FlippedBack, SwitchedOff, SwitchedOn
from detente.facts.watch import LostSight, Warned, WarningPassed
from detente.facts.work import CallHeld, CallParked, DrillBegan
from detente.kernel import spans
from detente.kernel.clock import NS, Instant, Seconds, later
from detente.kernel.fact import Fact, Recorded, Subject, plain
from detente.kernel.ledger import Query
from detente.kernel.money import Money, total
from detente.kernel.node import Node
from detente.kernel.spans import Span
from detente.scoreboard.decisions.delivery import Delivery, delivery
from detente.scoreboard.decisions.fairness import Side, Unfair, sides, unfair
from detente.scoreboard.decisions.history import History, still_broken
from detente.scoreboard.decisions.money import (
    Down,
    Loss,
    Worked,
    losses,
    stretches,
    worked,
)
from detente.scoreboard.settings import Scoreboard

State = Literal["charged", "recovered", "refunded", "lost"]

_READ: tuple[type[Fact], ...] = (
    ActionDone, ActionDropped, ActionTakenOn, Began, CallHeld, ChangePlanned, ChangeRecorded, Claimed, Closed,
    DrillBegan, FlippedBack, LostSight, Opened, PromiseBroken, PromiseRestored, Requested, RetrospectiveClosed,
    ReviewOpened, Reviewed, RolledBack, Shipped, Suspected, SwitchedOff, SwitchedOn, Taken, Told,
    Warned, WarningPassed,
)  # fmt: skip
"""What the score and its rules are computed from."""

_NEWEST: tuple[tuple[type[Fact], int], ...] = ((CallParked, 500), (Ran, 5_000))
"""Of these there may be very many; the newest say enough."""

_BEFORE: Seconds = 3600.0
"""A change explains what fell within an hour after it, if undoing it cured that."""


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """Both sides on one page, in one currency each."""

    start: Instant
    now: Instant
    delivered: Delivery
    journeys: list[Worked]
    lost: list[Loss]
    lost_in_all: tuple[Money, ...]
    kept: tuple[Money, ...]  # sales taken while the vendor was away, and charged later
    kept_calls: int
    sold: tuple[Money, ...]  # straight away
    refunded: tuple[Money, ...]
    given_up: tuple[Money, ...]  # accepted, and never paid
    owed: tuple[Money, ...]  # by vendors, under their contracts
    at_risk: tuple[Money, ...]  # parked just now
    at_risk_calls: int
    sides: tuple[Side, Side]
    unfair: list[Unfair]


def history(node: Node) -> History:
    """The facts of the window."""
    now = node.clock.now()
    start = max(later(now, -node.settings(Scoreboard).window), node.began())
    before = _position_at(node, start)
    asked = Query(names=tuple(kind.name for kind in _READ))
    facts = [*node.ledger.read(asked, after=before)]
    for kind, most in _NEWEST:
        some = Query(names=(kind.name,))
        facts += node.ledger.read(some, after=before, backwards=True, limit=most)
    facts.sort(key=lambda each: each.position)
    return History(facts, node.catalogue, start, now)


def _position_at(node: Node, start: Instant) -> int:
    """The last position before that moment; time never goes back in a ledger."""
    low, high = 0, node.ledger.head()
    while low < high:
        middle = (low + high) // 2
        found = next(iter(node.ledger.read(after=middle, limit=1)), None)
        if found is None or found.at >= start:
            high = middle
        else:
            low = found.position
    return low


def score(node: Node) -> Score:
    """How both sides are doing."""
    told = history(node)
    settings = node.settings(Scoreboard)
    found = stretches(downs(node, told), node.catalogue, told.start, told.now)
    lost = losses(found, node.catalogue)
    journeys = worked(found, node.catalogue, told.start, told.now)
    delivered = delivery(told)
    uptime = settings.targets.uptime
    both = sides(
        delivered, journeys, settings.targets.deliveries, None if uptime is None else float(uptime)
    )
    window = (told.now - told.start) / NS
    frozen = spans.covered(
        spans.overlapping(node.rows, told.start, told.now, kind="freeze"), told.start, told.now
    )
    calls, at_risk = _parked(node)
    kept_calls, kept = _sales(node, "recovered", told.start)
    return Score(
        start=told.start,
        now=told.now,
        delivered=delivered,
        journeys=journeys,
        lost=lost,
        lost_in_all=total(money for each in lost for money in each.worth),
        kept=kept,
        kept_calls=kept_calls,
        sold=_sales(node, "charged", told.start)[1],
        refunded=_sales(node, "refunded", told.start)[1],
        given_up=_sales(node, "lost", told.start)[1],
        owed=total(fact.owed for _, fact in still_broken(told) if fact.owed),
        at_risk=at_risk,
        at_risk_calls=calls,
        sides=both,
        unfair=[*unfair(both, delivered, lost, frozen, window)],
    )


def downs(node: Node, told: History) -> list[Down]:
    """Everything that was down in the window, by whichever check, route or test told."""
    found = [
        Down(
            of=subject,
            start=span.start,
            end=told.now if span.end is None else span.end,
            position=span.opened_by,
            changed=_changed(told, subject, span),
        )
        for span in spans.overlapping(node.rows, told.start, told.now)
        if span.kind in ("outage", "test failing") and (subject := _subject(node, span)) is not None
    ]
    return sorted(found, key=lambda each: (each.start, each.position))


def _subject(node: Node, span: Span) -> Subject | None:
    """What the span is about in the end; None for test twins and what is not declared."""
    measure = node.catalogue.measures.get(plain(span.about))
    if measure is None or not measure.is_outage:
        return None
    if not node.catalogue.in_production(measure.of, measure.environment):
        return None
    return measure.of


def _changed(told: History, subject: Subject, span: Span) -> Subject:
    """The change that explains it: made shortly before, touching it, and undone or written down."""
    needs = told.catalogue.needs
    for at, change in told.of(ChangeRecorded):
        made = change.since or at.at
        if made <= span.start <= later(made, _BEFORE) and any(
            needs.steps(each, subject) is not None for each in change.touches
        ):
            return at.about
    undoings: list[tuple[Recorded, RolledBack | FlippedBack]] = [
        *told.of(RolledBack),
        *told.of(FlippedBack),
    ]
    for at, undone in undoings:
        cured = span.end is not None and abs(span.end - at.at) < _BEFORE * NS
        if cured and plain(undone.because) == plain(span.about):
            return at.about
    return ""


def _parked(node: Node) -> tuple[int, tuple[Money, ...]]:
    """How many calls wait for their vendor just now, and what they are worth."""
    asked = "select count(*), currency, sum(minor) from scoreboard_parked group by currency"
    return _sums(node.rows.execute(asked))


def _sales(node: Node, state: State, start: Instant) -> tuple[int, tuple[Money, ...]]:
    asked = (
        "select sum(calls), currency, sum(minor) from scoreboard_sales"
        " where state = ? and hour >= ? group by currency"
    )
    return _sums(node.rows.execute(asked, (state, start - 3600 * NS)))


def _sums(found: Iterable[Any]) -> tuple[int, tuple[Money, ...]]:
    rows = [(int(calls), str(currency or ""), int(minor or 0)) for calls, currency, minor in found]
    worth = total(Money(minor, currency) for _, currency, minor in rows if currency)
    return sum(calls for calls, _, _ in rows), worth


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of advice as it stands in the ledger."""

    about: Subject
    rule: str
    subject: Subject
    do: str
    why: str
    lever: str
    evidence: tuple[int, ...]
    since: Instant
    declined: str = ""


def standing(node: Node) -> list[Given]:
    """Advice that still stands, newest first; what was declined comes last."""
    found: dict[Subject, Given] = {}
    for each in node.ledger.read(Query(names=("scoreboard.*",))):
        match each.fact:
            case Advised() as fact:
                found[each.about] = Given(
                    about=each.about,
                    rule=fact.rule,
                    subject=each.about.partition("/")[2],
                    do=fact.advice,
                    why=fact.why,
                    lever=fact.lever,
                    evidence=fact.evidence,
                    since=each.at,
                )
            case AdviceTaken():
                found.pop(each.about, None)
            case AdviceDeclined(why=why) if each.about in found:
                found[each.about] = msgspec.structs.replace(found[each.about], declined=why)
            case _:
                pass
    return sorted(found.values(), key=lambda given: (bool(given.declined), -given.since))


def about_subject(node: Node, subject: Subject) -> list[Given]:
    """Advice about this one."""
    return [each for each in standing(node) if each.subject == subject and not each.declined]
