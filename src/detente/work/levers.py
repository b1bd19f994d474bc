"""What can people do about a call, or about a route?"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from detente.facts.work import (
    CallCharged,
    CallEdited,
    CallHandedBack,
    CallHeld,
    CallLost,
    CallRefunded,
    CallReleased,
    CallSettled,
    DrillBegan,
    ReplayFailed,
    RoutePaused,
    RouteResumed,
)
from detente.kernel import spans
from detente.kernel.clock import Instant, lasting, later
from detente.kernel.fact import Fact, Subject, plain
from detente.kernel.node import Node
from detente.kernel.slice import Decided, Lever, NotFound, Pull, Refused
from detente.work import decisions, queries
from detente.work.decisions import Call
from detente.work.effects import Desk
from detente.work.effects.drills import ending
from detente.work.engine.editing import CannotEdit
from detente.work.engine.travel import Request
from detente.work.settings import Route, Work


class Hold(msgspec.Struct, frozen=True):
    """Why nobody should send it for now."""

    reason: Annotated[str, Meta(description="why it waits")]
    hours: Annotated[
        Annotated[float, Meta(gt=0, le=8_760)] | None,
        Meta(description="nothing means until somebody says so"),
    ] = None


class Settle(msgspec.Struct, frozen=True):
    """How it was done instead."""

    note: Annotated[str, Meta(description="how it was done instead")]
    reference: Annotated[str, Meta(description="a number by which others find it")] = ""


_LOOKED = "only where the vendor may have it already: you looked in their book and it is not there"


class Edit(msgspec.Struct, frozen=True):
    """Which value is wrong, and what it should be."""

    pointer: Annotated[str, Meta(description="where it stands, such as /token or /card/holder")]
    value: Annotated[
        str, Meta(max_length=20_000, description="what should stand there; it is not shown again")
    ]
    reason: Annotated[str, Meta(description="the other side reads it too")]
    looked: Annotated[bool, Meta(description=f"{_LOOKED}; it then goes out under a new key")] = (
        False
    )


class HandBack(msgspec.Struct, frozen=True):
    """Why whoever sold it has to see to it."""

    note: Annotated[str, Meta(description="why; whoever sold it is told so")]
    looked: Annotated[bool, Meta(description=_LOOKED)] = False


class Refund(msgspec.Struct, frozen=True):
    """Why and how the money went back."""

    note: Annotated[str, Meta(description="why the money went back")]
    reference: Annotated[str, Meta(description="a number by which others find it")] = ""


class Why(msgspec.Struct, frozen=True):
    """The reason, for whoever reads it later."""

    reason: Annotated[str, Meta(description="the other side reads it too")]


class Drill(msgspec.Struct, frozen=True):
    """What is rehearsed, and for how long."""

    minutes: Annotated[float, Meta(gt=0, le=1_440, description="it ends by itself after that")]
    reason: Annotated[str, Meta(description="what you want to know; the other side reads it too")]
    how: Annotated[
        Literal["refuse", "hang", "slow", "errors"],
        Meta(
            description="refuse: no connection; hang: no answer; slow: answers late; errors: HTTP 503"
        ),
    ] = "hang"


def _waiting_call(node: Node, pull: Pull) -> Call:
    call = queries.call_or_not_found(node.rows, pull.about)
    if call.state == "taken":
        raise Refused("It is with the vendor this very moment; look again in a few seconds.")
    if call.state not in decisions.WAITING:
        raise Refused(f"This call is {call.state} already; there is nothing left to decide.")
    desk = node.part(Desk)
    if desk and not desk.decide_on(call.about):
        raise Refused("It is with the vendor this very moment; look again in a few seconds.")
    return call


def _needed(text: str, what: str) -> str:
    if not text.strip():
        raise Refused(f"Please say {what}; the other side reads it too.")
    return text.strip()


def _hold(node: Node, pull: Pull) -> list[Fact]:
    form: Hold = pull.form
    call = _waiting_call(node, pull)
    if call.state == "held":
        raise Refused(f"It is held already: {call.reason}. Retry it, or settle it by hand.")
    until: Instant | None = None if form.hours is None else later(node.now(), form.hours * 3600)
    reason = _needed(form.reason, "why it waits")
    return [CallHeld(about=call.about, route=call.route, reason=reason, until=until)]


def _retry(node: Node, pull: Pull) -> list[Fact]:
    call = _waiting_call(node, pull)
    _route_of(node, call)
    return [CallReleased(about=call.about, route=call.route)]


def _route_of(node: Node, call: Call) -> Route:
    route = node.settings(Work).routes.get(call.route)
    if route is None:
        raise Refused(
            f"The route {call.route} is no longer declared, so nobody would send it. Declare it"
            " again, or settle the call by hand."
        )
    return route


def _edit(node: Node, pull: Pull) -> Sequence[Fact]:
    form: Edit = pull.form
    reason = _needed(form.reason, "why it is edited")
    call = _waiting_call(node, pull)
    route = _route_of(node, call)
    _is_not_there(call, looked=form.looked)
    try:
        fact, request = decisions.edit(
            call, _request(node, call), form.pointer, form.value, where=route.money,
            new_key=_new_key(node) if route.idempotency else "", looked=form.looked, reason=reason,
        )  # fmt: skip
    except CannotEdit as why:
        raise Refused(str(why)) from None
    packed = msgspec.msgpack.encode(request)
    return Decided([msgspec.structs.replace(fact, size=len(packed))], attach={0: packed})


def _is_not_there(call: Call, *, looked: bool) -> None:
    """What the vendor may have done is neither changed nor sold again before somebody looked."""
    if call.unknown and not looked:
        raise Refused(
            "The vendor may have this call already. Look in their book: if it is there, settle it; if it"
            " is not, say so here (looked)."
        )


def _request(node: Node, call: Call) -> Request:
    kept = node.ledger.attachment(call.request)
    if kept is None:
        raise Refused("Its request is not there any more: settle it by hand or give it up.")
    return msgspec.msgpack.decode(kept, type=Request)


def _new_key(node: Node) -> str:
    return str(uuid.UUID(int=node.chance.getrandbits(128), version=4))


def _hand_back(node: Node, pull: Pull) -> list[Fact]:
    form: HandBack = pull.form
    note = _needed(form.note, "why it is handed back")
    call = _waiting_call(node, pull)
    _is_not_there(call, looked=form.looked)
    looked = call.unknown and form.looked
    return [CallHandedBack(about=call.about, route=call.route, note=note, looked=looked)]


def _settle(node: Node, pull: Pull) -> list[Fact]:
    note, reference = _needed(pull.form.note, "how it was done"), pull.form.reference.strip()
    call = _waiting_call(node, pull)
    return [CallSettled(about=call.about, route=call.route, note=note, reference=reference)]


def _refund(node: Node, pull: Pull) -> list[Fact]:
    call = queries.call_or_not_found(node.rows, pull.about)
    if call.state not in ("charged", "settled"):
        raise Refused(f"Only what was paid can be refunded; this call is {call.state}.")
    note, reference = (
        _needed(pull.form.note, "why the money went back"),
        pull.form.reference.strip(),
    )
    return [CallRefunded(about=call.about, route=call.route, note=note, reference=reference)]


def _give_up(node: Node, pull: Pull) -> list[Fact]:
    note = _needed(pull.form.reason, "why it is given up")
    call = _waiting_call(node, pull)
    return [CallLost(about=call.about, route=call.route, note=note)]


def _pause(node: Node, pull: Pull) -> list[Fact]:
    route = node.settings(Work).routes.get(plain(pull.about))
    if route is None:
        raise NotFound(f"There is no route {plain(pull.about)}; /work lists those declared.")
    if spans.is_open(node.rows, "pause", pull.about):
        raise Refused("The route is paused already.")
    reason = _needed(pull.form.reason, "why it is paused")
    return [RoutePaused(about=pull.about, vendor=f"vendor:{route.vendor}", reason=reason)]


def _resume(node: Node, pull: Pull) -> list[Fact]:
    route = node.settings(Work).routes.get(plain(pull.about))
    if route is None:
        raise NotFound(f"There is no route {plain(pull.about)}; /work lists those declared.")
    if not spans.is_open(node.rows, "pause", pull.about):
        raise Refused("The route is not paused.")
    return [RouteResumed(about=pull.about, vendor=f"vendor:{route.vendor}")]


def _drill(node: Node, pull: Pull) -> list[Fact]:
    form: Drill = pull.form
    route = node.settings(Work).routes.get(plain(pull.about))
    if route is None:
        raise NotFound(f"There is no route {plain(pull.about)}; /work lists those declared.")
    seconds = form.minutes * 60
    if seconds > route.drill_at_most:
        most = lasting(route.drill_at_most) if route.drill_at_most else "no time at all"
        raise Refused(
            f"A drill on this route may last {most}. Ask for less, or declare more as"
            f" work: routes: {plain(pull.about)}: drill_at_most:"
        )
    for kind, says in (("drill", "A drill is on already."), ("pause", _PAUSED)):
        if spans.is_open(node.rows, kind, pull.about):
            raise Refused(says)
    reason = _needed(form.reason, "what you want to know")
    until = later(node.now(), seconds)
    vendor = f"vendor:{route.vendor}"
    return [DrillBegan(about=pull.about, vendor=vendor, how=form.how, until=until, reason=reason)]


_PAUSED = "The route is paused, so a drill would show nothing. Resume it first."


def _end_drill(node: Node, pull: Pull) -> list[Fact]:
    facts = ending(node, pull.about, aborted=True)
    if not facts:
        raise Refused("No drill is on here.")
    return facts


def _may_drill(node: Node, about: Subject) -> bool:
    route = node.settings(Work).routes.get(plain(about))
    return route is not None and route.drill_at_most > 0 and not _in_drill(node, about)


def _in_drill(node: Node, about: Subject) -> bool:
    return spans.is_open(node.rows, "drill", about)


def _in_state(*states: str) -> Callable[[Node, Subject], bool]:
    def offered(node: Node, about: Subject) -> bool:
        found = queries.meant(node.rows, about)
        return len(found) == 1 and found[0].state in states

    return offered


def _paused(node: Node, about: Subject) -> bool:
    return spans.is_open(node.rows, "pause", about)


_STALE = tuple(
    fact.name
    for fact in (CallEdited, CallCharged, CallSettled, CallHandedBack, CallLost, ReplayFailed)
)
"""What an edit or a sale that was handed back must not be written behind."""

LEVERS = (
    Lever(
        name="work.retry",
        label="Retry",
        explains="Sends it again as soon as the vendor is there, under the same idempotency key.",
        kinds=("call",),
        decide=_retry,
        offered=_in_state(*decisions.WAITING),
    ),
    Lever(
        name="work.hold",
        label="Hold",
        explains="Keeps it back until somebody retries or settles it, or the hours are over.",
        kinds=("call",),
        decide=_hold,
        offered=_in_state("parked"),
        form=Hold,
    ),
    Lever(
        name="work.edit",
        label="Edit",
        explains=(
            "Changes one value in what is sent. It stays where it is: held until somebody retries it,"
            " or parked and sent in its turn."
        ),
        kinds=("call",),
        decide=_edit,
        offered=_in_state(*decisions.WAITING),
        form=Edit,
        unless=_STALE,
    ),
    Lever(
        name="work.settle",
        label="Settle by hand",
        explains="Says that it was done in another way. It is never sent again.",
        kinds=("call",),
        decide=_settle,
        offered=_in_state(*decisions.WAITING),
        form=Settle,
        tone="good",
    ),
    Lever(
        name="work.refund",
        label="Refunded",
        explains="Says that the customer got the money back.",
        kinds=("call",),
        decide=_refund,
        offered=_in_state("charged", "settled"),
        form=Refund,
    ),
    Lever(
        name="work.hand_back",
        label="Hand back",
        explains=(
            "Gives the sale back to whoever sold it: it is never sent, and who asks again under its key"
            " is told so."
        ),
        kinds=("call",),
        decide=_hand_back,
        offered=_in_state(*decisions.WAITING),
        form=HandBack,
        tone="warn",
        unless=_STALE,
    ),
    Lever(
        name="work.give_up",
        label="Give up",
        explains="Says that this sale will not be paid. It counts as lost.",
        kinds=("call",),
        decide=_give_up,
        offered=_in_state(*decisions.WAITING),
        form=Why,
        tone="bad",
    ),
    Lever(
        name="work.pause",
        label="Pause the route",
        explains="Sends nothing to the vendor; calls are parked until the route is resumed.",
        kinds=("route",),
        decide=_pause,
        offered=lambda node, about: not _paused(node, about),
        form=Why,
        tone="warn",
    ),
    Lever(
        name="work.resume",
        label="Resume the route",
        explains="Sends calls through again, the parked ones gently.",
        kinds=("route",),
        decide=_resume,
        offered=_paused,
        tone="good",
    ),
    Lever(
        name="work.drill",
        label="Drill",
        explains=(
            "Plays the vendor dead for a while, to see what happens: calls are parked and charged"
            " afterwards. The vendor hears nothing."
        ),
        kinds=("route",),
        decide=_drill,
        offered=_may_drill,
        form=Drill,
        tone="warn",
    ),
    Lever(
        name="work.end_drill",
        label="End the drill",
        explains="Asks the vendor again at once; what was parked goes out gently.",
        kinds=("route",),
        decide=_end_drill,
        offered=_in_drill,
        tone="good",
    ),
)
