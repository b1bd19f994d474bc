"""What can people do about a promise?"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from detente.facts.sla import Claimed, ClaimSettled, Excluded, IncludedAgain, VendorTold
from detente.kernel.clock import Instant
from detente.kernel.fact import Fact, Subject, plain
from detente.kernel.forms import within_ten_years
from detente.kernel.money import Money
from detente.kernel.node import Node
from detente.kernel.slice import Lever, Pull, Refused
from detente.sla import queries
from detente.sla.decisions.claims import Claim, Exclusion
from detente.sla.engine.deadlines import read_time
from detente.sla.settings import Promise, Sla

_LONGEST = 366 * 86_400 * 1_000_000_000

Text = Annotated[str, Meta(max_length=160)]


class Exclude(msgspec.Struct, frozen=True):
    """From when until when, and why."""

    starts: Annotated[
        str, Meta(max_length=40, description="2026-11-10 12:00 in the contract's time zone")
    ]
    ends: Annotated[str, Meta(max_length=40, description="likewise")]
    reason: Annotated[
        str, Meta(max_length=160, description="such as: maintenance, announced on 2 November")
    ]


class IncludeAgain(msgspec.Struct, frozen=True):
    """Which, and why."""

    reason: Annotated[str, Meta(max_length=160, description="why it counts after all")]
    number: Annotated[
        int | None, Meta(description="its number on the promise's page, if several are left out")
    ] = None


class TheClaim(msgspec.Struct, frozen=True):
    """Under which reference, for which period, how much."""

    reference: Annotated[str, Meta(max_length=80, description="the vendor's number for it")]
    period: Annotated[
        str, Meta(max_length=10, description="2026-11; empty means the oldest that is open")
    ] = ""
    amount: Annotated[Money | None, Meta(description="empty means all that is open")] = None
    note: Text = ""


class Settle(msgspec.Struct, frozen=True):
    """What became of it."""

    outcome: Annotated[
        Literal["paid", "refused", "let go"],
        Meta(description="let go: nothing more is claimed for that period"),
    ]
    paid: Annotated[Money | None, Meta(description="how much, if it was paid")] = None
    period: Annotated[
        str, Meta(max_length=10, description="2026-11; empty means the oldest without an answer")
    ] = ""
    note: Text = ""


class Told(msgspec.Struct, frozen=True):
    """How the vendor was told."""

    reference: Annotated[str, Meta(max_length=80, description="the vendor's number for it")]
    note: Text = ""


def _promise(node: Node, about: Subject) -> Promise:
    return queries.promise_named(node, plain(about))


def _is_promise(node: Node, about: Subject) -> bool:
    return plain(about) in node.settings(Sla).promises


def _worded(said: str, what: str) -> str:
    if not said.strip():
        raise Refused(f"Please say {what}; the vendor and others will ask.")
    return said.strip()


# -- leaving out -------------------------------------------------------------------------------


def _exclude(node: Node, pull: Pull) -> list[Fact]:
    promise, form = _promise(node, pull.about), pull.form
    start, end = _time(form, "starts", promise, pull.at), _time(form, "ends", promise, pull.at)
    if end <= start:
        raise Refused("ends: that is not after the beginning.")
    if end - start > _LONGEST:
        raise Refused("ends: more than a year is no exclusion; change the promise instead.")
    fact = Excluded(
        about=pull.about,
        start=start,
        end=end,
        reason=_worded(form.reason, "why it is left out"),
        timezone=promise.timezone,
    )
    return [fact]


def _time(form: Exclude, field: str, promise: Promise, now: Instant) -> Instant:
    try:
        at = read_time(getattr(form, field), promise.timezone)
    except (ValueError, OverflowError) as wrong:
        raise Refused(f"{field}: {wrong}.") from None
    return within_ten_years(at, now, field)


def _include_again(node: Node, pull: Pull) -> list[Fact]:
    promise, form = _promise(node, pull.about), pull.form
    which = _which(_left_out(node, pull.about), form.number)
    fact = IncludedAgain(
        about=pull.about,
        exclusion=which.number,
        start=which.start,
        end=which.end,
        reason=_worded(form.reason, "why it counts after all"),
        timezone=promise.timezone,
    )
    return [fact]


def _left_out(node: Node, about: Subject) -> list[Exclusion]:
    return [each for each in queries.dealings_of(node, plain(about)).exclusions if each.holds]


def _which(there: list[Exclusion], number: int | None) -> Exclusion:
    if not there:
        raise Refused(
            "Nothing is left out by anybody; windows of the contract stand in its settings."
        )
    if number is None and len(there) == 1:
        return there[0]
    numbers = ", ".join(str(each.number) for each in there)
    found = next((each for each in there if each.number == number), None)
    if found is None:
        asked = "say which one" if number is None else f"nothing that is left out has {number}"
        raise Refused(f"number: {asked}; there are {numbers}.")
    return found


# -- claiming ----------------------------------------------------------------------------------


def _claim(node: Node, pull: Pull) -> list[Fact]:
    promise, form = _promise(node, pull.about), pull.form
    chosen = _open_claim(queries.claims(node, plain(pull.about)), form.period.strip())
    fact = Claimed(
        about=pull.about,
        vendor=f"vendor:{promise.vendor}",
        period=chosen.period.name,
        amount=_at_most(form.amount, chosen),
        reference=_worded(form.reference, "under which reference"),
        note=form.note.strip(),
    )
    return [fact]


def _open_claim(found: list[Claim], period: str) -> Claim:
    there = [each for each in found if each.open is not None]
    chosen = [each for each in there if period in ("", each.period.name)]
    if chosen:
        return chosen[0]
    names = ", ".join(each.period.name for each in there)
    if period and names:
        raise Refused(f"period: nothing is open for {period}; open is {names}.")
    raise Refused("By our count nothing is owed that was not claimed already.")


def _at_most(amount: Money | None, claim: Claim) -> Money:
    """No more than is owed: more than that the evidence does not carry."""
    assert claim.open is not None, "it was chosen for being open"
    if amount is None:
        return claim.open
    if amount.currency != claim.open.currency or not 0 < amount.minor <= claim.open.minor:
        raise Refused(f"amount: for {claim.period.name} {claim.open} are open; claim at most that.")
    return amount


def _settle(node: Node, pull: Pull) -> list[Fact]:
    promise, form = _promise(node, pull.about), pull.form
    chosen = _unsettled(queries.claims(node, plain(pull.about)), form.period.strip(), form.outcome)
    fact = ClaimSettled(
        about=pull.about,
        vendor=f"vendor:{promise.vendor}",
        period=chosen.period.name,
        outcome=form.outcome,
        paid=_paid(form, chosen),
        note=form.note.strip(),
    )
    return [fact]


def _unsettled(found: list[Claim], period: str, outcome: str) -> Claim:
    """Only what was claimed is paid or refused; what is still open can be let go too."""
    there = [each for each in found if _may_settle(each, outcome)]
    chosen = [each for each in there if period in ("", each.period.name)]
    if chosen:
        return chosen[0]
    names = ", ".join(each.period.name for each in there)
    if period and names:
        raise Refused(f"period: no claim for {period} waits for an answer; {names} does.")
    raise Refused("No claim waits for an answer. Claim first, or let go what is owed.")


def _may_settle(claim: Claim, outcome: str) -> bool:
    waits = bool(claim.made) and claim.settled is None
    return waits or (outcome == "let go" and claim.open is not None)


def _paid(form: Settle, claim: Claim) -> Money | None:
    if form.outcome != "paid":
        if form.paid is not None:
            raise Refused(f"paid: it was {form.outcome}, so leave the amount empty.")
        return None
    if form.paid is None or form.paid.minor <= 0:
        raise Refused("paid: say how much, for example 400.00 EUR.")
    if claim.made and form.paid.currency != claim.made[-1].amount.currency:
        raise Refused(f"paid: {claim.made[-1].amount} were claimed; write the same currency.")
    return form.paid


def _told(node: Node, pull: Pull) -> list[Fact]:
    reference = _worded(pull.form.reference, "under which reference")
    _promise(node, pull.about)
    return [VendorTold(about=pull.about, reference=reference, note=pull.form.note.strip())]


# -- when they are offered ---------------------------------------------------------------------


def _has_exclusions(node: Node, about: Subject) -> bool:
    return _is_promise(node, about) and bool(_left_out(node, about))


def _is_owed(node: Node, about: Subject) -> bool:
    return _is_promise(node, about) and any(
        each.open is not None for each in queries.claims(node, plain(about))
    )


def _waits(node: Node, about: Subject) -> bool:
    return _is_promise(node, about) and any(
        _may_settle(each, "let go") for each in queries.claims(node, plain(about))
    )


def _is_untold(node: Node, about: Subject) -> bool:
    return _is_promise(node, about) and bool(queries.untold(node, plain(about)))


LEVERS = (
    Lever(
        name="sla.claim",
        label="Claimed",
        explains="Writes down that you claimed the credit of the vendor.",
        kinds=("promise",),
        decide=_claim,
        offered=_is_owed,
        form=TheClaim,
        tone="good",
        unless=(Claimed.name, ClaimSettled.name),
    ),
    Lever(
        name="sla.settle_claim",
        label="Settle the claim",
        explains="Writes down what became of a claim; letting it go closes the period.",
        kinds=("promise",),
        decide=_settle,
        offered=_waits,
        form=Settle,
        unless=(Claimed.name, ClaimSettled.name),
    ),
    Lever(
        name="sla.tell_vendor",
        label="We told them",
        explains="Writes down that the vendor heard of its outages so far, as the contract asks.",
        kinds=("promise",),
        decide=_told,
        offered=_is_untold,
        form=Told,
    ),
    Lever(
        name="sla.exclude",
        label="Leave out",
        explains="Downtime in that time no longer counts, and the period is that much shorter.",
        kinds=("promise",),
        decide=_exclude,
        offered=_is_promise,
        form=Exclude,
    ),
    Lever(
        name="sla.include_again",
        label="Count again",
        explains="What was left out counts again; both stay on record.",
        kinds=("promise",),
        decide=_include_again,
        offered=_has_exclusions,
        form=IncludeAgain,
        unless=(Excluded.name, IncludedAgain.name),
    ),
)
