"""What did people do about a promise: what was left out, claimed, paid; and what must be done by when?

A claim is for a period. What is owed and not claimed yet is *open*: in a running period what is owed can
still grow, and then the rest is claimed too. A claim is over when it was paid or refused; letting it go
closes the whole period, however much was owed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from detente.facts.sla import (
    Claimed,
    ClaimSettled,
    Excluded,
    IncludedAgain,
    PromiseBroken,
    PromiseRestored,
    VendorTold,
)
from detente.kernel.clock import Instant, Seconds, lasting, later, seconds_between
from detente.kernel.fact import Recorded, Tone
from detente.kernel.money import Money
from detente.sla.decisions import Standing
from detente.sla.engine.calendar import Period
from detente.sla.engine.deadlines import by_when, deadline
from detente.sla.engine.moments import Moments, union
from detente.sla.settings import Promise

# -- what people did -------------------------------------------------------------------------------


class Exclusion(msgspec.Struct, frozen=True, kw_only=True):
    """A time that somebody left out, and whether it was taken back."""

    number: int
    """Where the fact stands in the ledger."""
    at: Instant
    by: str
    start: Instant
    end: Instant
    reason: str
    back_at: Instant | None = None
    back_by: str = ""
    back_why: str = ""

    @property
    def holds(self) -> bool:
        return self.back_at is None


class ClaimMade(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody claimed so much."""

    at: Instant
    by: str
    period: str
    amount: Money
    reference: str
    note: str


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the claims for a period so far."""

    at: Instant
    by: str
    period: str
    outcome: Literal["paid", "refused", "let go"]
    paid: Money | None
    note: str


class Dealings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that people did about one promise."""

    exclusions: Sequence[Exclusion] = ()
    claims: Sequence[ClaimMade] = ()
    settlements: Sequence[Settlement] = ()
    told: Sequence[Instant] = ()
    """When the vendor heard of its outages from us."""
    broken: Mapping[str, int] = {}
    """Periods for which the ledger's last word is that it was broken, and where that stands."""
    restored: Mapping[str, int] = {}
    """Those for which it is that it is kept again."""

    @property
    def left_out(self) -> Moments:
        return union((each.start, each.end) for each in self.exclusions if each.holds)


def dealings(facts: Iterable[Recorded]) -> Dealings:
    """What the facts about one promise, in order, come to."""
    exclusions: dict[int, Exclusion] = {}
    claims: list[ClaimMade] = []
    settlements: list[Settlement] = []
    told: list[Instant] = []
    broken: dict[str, int] = {}
    restored: dict[str, int] = {}
    for recorded in facts:
        match recorded.fact:
            case Excluded():
                exclusions[recorded.position] = _excluded(recorded, recorded.fact)
            case IncludedAgain(exclusion=number) if number in exclusions:
                before = exclusions[number]
                exclusions[number] = _back(before, recorded, recorded.fact)
            case Claimed():
                claims.append(_claimed(recorded, recorded.fact))
            case ClaimSettled():
                settlements.append(_settled(recorded, recorded.fact))
            case VendorTold():
                told.append(recorded.at)
            case PromiseBroken(period=period):
                broken[period] = recorded.position
                restored.pop(period, None)
            case PromiseRestored(period=period):
                restored[period] = recorded.position
                broken.pop(period, None)
            case _:
                pass
    return Dealings(
        exclusions=tuple(exclusions.values()),
        claims=claims,
        settlements=settlements,
        told=told,
        broken=broken,
        restored=restored,
    )


def _excluded(recorded: Recorded, fact: Excluded) -> Exclusion:
    return Exclusion(
        number=recorded.position,
        at=recorded.at,
        by=recorded.by,
        start=fact.start,
        end=fact.end,
        reason=fact.reason,
    )


def _back(exclusion: Exclusion, recorded: Recorded, fact: IncludedAgain) -> Exclusion:
    return msgspec.structs.replace(
        exclusion, back_at=recorded.at, back_by=recorded.by, back_why=fact.reason
    )


def _claimed(recorded: Recorded, fact: Claimed) -> ClaimMade:
    return ClaimMade(
        at=recorded.at,
        by=recorded.by,
        period=fact.period,
        amount=fact.amount,
        reference=fact.reference,
        note=fact.note,
    )


def _settled(recorded: Recorded, fact: ClaimSettled) -> Settlement:
    return Settlement(
        at=recorded.at,
        by=recorded.by,
        period=fact.period,
        outcome=fact.outcome,
        paid=fact.paid,
        note=fact.note,
    )


# -- what must be done by when ---------------------------------------------------------------------


_SOON = 3 * 86_400.0


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """Something the contract wants by a certain moment."""

    by: Instant
    left: Seconds
    """Negative once it is too late."""
    tone: Tone
    says: str  # "by the end of 30 Dec 2026 (Europe/Berlin): 29 days left"

    @property
    def overdue(self) -> bool:
        return self.left <= 0


def due(by: Instant, now: Instant, zone: str, *, soon: Seconds = _SOON) -> Due:
    """How close that moment is, on the contract's clock. `soon`: what is left when it gets urgent."""
    left = seconds_between(now, by)
    rest = f"{lasting(left)} left" if left > 0 else f"{lasting(-left)} too late"
    return Due(
        by=by,
        left=left,
        tone="bad" if left <= soon else "warn",
        says=f"by {by_when(by, zone)} ({zone}): {rest}",
    )


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """What is owed for one period, what was claimed of it, and until when the rest must be."""

    period: Period
    final: bool
    owed: Money | None
    open: Money | None
    """What is owed and was not claimed; None if there is nothing to do."""
    due: Due | None
    """None if nothing is open, or the contract's deadline is not written down."""
    made: tuple[ClaimMade, ...]
    settled: Settlement | None
    """None while a claim has no answer."""

    @property
    def tone(self) -> Tone:
        if self.open is not None:
            return self.due.tone if self.due else "plain"
        return "plain" if self.settled is None else "good"

    @property
    def says(self) -> str:
        """One sentence: to be claimed, waiting, or over."""
        if self.open is not None:
            so_far = "" if self.final else ", so far"
            return f"{self.open} to claim{so_far}{f', {self.due.says}' if self.due else ''}"
        if self.settled is None:
            sent = self.made[-1]
            return f"{sent.amount} claimed ({sent.reference}), no answer yet"
        if self.settled.paid:
            return f"paid {self.settled.paid}"
        return self.settled.outcome


def claim(
    promise: Promise, standing: Standing, incident: Instant, done: Dealings, now: Instant
) -> Claim | None:
    """The claim for that period; None if nothing is owed and nothing was claimed."""
    period = standing.period
    made = tuple(each for each in done.claims if each.period == period.name)
    over = [each for each in done.settlements if each.period == period.name]
    if standing.owed is None and not made:
        return None
    left = None if over and over[-1].outcome == "let go" else _open(standing.owed, made)
    answered = bool(over) and (not made or over[-1].at >= made[-1].at)
    by = (
        None
        if left is None or promise.claim is None
        else due(deadline(promise.claim, period, incident, promise.timezone), now, promise.timezone)
    )
    return Claim(
        period=period,
        final=standing.final,
        owed=standing.owed,
        open=left,
        due=by,
        made=made,
        settled=over[-1] if answered else None,
    )


def _open(owed: Money | None, made: Sequence[ClaimMade]) -> Money | None:
    """What is owed beyond what was claimed in that currency."""
    if owed is None:
        return None
    claimed = sum(each.amount.minor for each in made if each.amount.currency == owed.currency)
    rest = Money(owed.minor - claimed, owed.currency)
    return rest if rest.minor > 0 else None


class Ticket(msgspec.Struct, frozen=True):
    """An outage of which the vendor has not heard from us."""

    began: Instant
    due: Due


def tickets(promise: Promise, outages: Moments, done: Dealings, now: Instant) -> list[Ticket]:
    """The outages that count and that nobody told the vendor of, oldest first."""
    within = promise.claim.ticket_within if promise.claim else None
    if within is None:
        return []
    last, soon = max(done.told, default=-1), min(_SOON, within / 4)
    return [
        Ticket(start, due(later(start, within), now, promise.timezone, soon=soon))
        for start, _ in outages
        if start > last
    ]
