"""Did the vendor do it, and what becomes of the call?

Each call we took is written down before the vendor hears of it, and ends in exactly one state:
charged, settled by hand, refunded, handed back, lost, or refused while the caller was still there. Until
then it is parked (or held for a person). Only what is safe to repeat is ever repeated by the machine.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Literal

import msgspec

from detente.facts.work import (
    BreakerClosed,
    CallCharged,
    CallEdited,
    CallHeld,
    CallParked,
    CallRefused,
    CallSentAgain,
    DrillEnded,
    DrillPassed,
    ReplayFailed,
)
from detente.kernel.clock import Instant, Seconds, later, seconds_between
from detente.kernel.fact import Fact, plain
from detente.kernel.money import Money, money
from detente.kernel.spans import Span
from detente.work.engine import editing, failing
from detente.work.engine.letter import Said
from detente.work.engine.travel import Request
from detente.work.settings import MoneyIn, Replay

State = Literal[
    "taken", "parked", "held", "charged", "refused", "settled", "refunded", "handed back", "lost"
]
WAITING: tuple[State, ...] = ("parked", "held")


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one call."""

    about: str  # call:…
    route: str
    vendor: str
    key: str
    method: str
    path: str
    sha256: str
    caller: str = ""
    asked: str = ""
    state: State
    money: Money | None = None
    reason: str = ""
    unknown: bool = False  # the vendor may have done it already
    attempts: int = 0
    taken_at: Instant
    parked_at: Instant | None = None
    next_at: Instant | None = None  # not before then; None: when a person says so
    changed_at: Instant
    request: int  # position of the fact that carries the request as it is sent
    answer: int | None = None  # position of the fact that carries the vendor's answer
    status: int | None = None
    note: str = ""
    size: int = 0  # bytes of its request
    asks: bool = False  # a machine holds it: people must decide
    asked_at: Instant | None = None  # when they were asked by mail
    new_key: str = ""  # since it was edited, where the vendor may remember the caller's
    heard: bool = False  # the vendor may have seen that key

    @property
    def sent_key(self) -> str:
        """The idempotency key that the vendor sees; `key` is the caller's."""
        return self.new_key or self.key


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of sending a call once."""

    status: int | None  # None: no answer
    seconds: Seconds
    reason: str = ""
    unknown: bool = False  # sent, and the vendor may have acted on it
    kept_back: bool = False  # our own breaker did not let it out
    played: bool = False  # in a drill: the vendor heard nothing of it
    shape: str = ""  # of the answer, where it says what went wrong

    @property
    def failure(self) -> str:
        """What broke, in two words."""
        if self.played:
            return failing.DRILL
        if self.kept_back or self.reason.startswith("not sent"):
            return failing.KEPT_BACK
        if self.status is not None:
            return f"HTTP {self.status}"
        return "no answer" if self.unknown else failing.NOT_REACHED

    @property
    def accepted(self) -> bool:
        return self.status is not None and 200 <= self.status < 400 and not self._elsewhere

    @property
    def refused(self) -> bool:
        """A refusal of business. Too early, too many and timed out are the vendor's trouble."""
        if self.status is None or self.troubled:
            return False
        return 400 <= self.status < 500 or self._elsewhere

    @property
    def _elsewhere(self) -> bool:
        """The same request is wanted at another address: nothing was done at this one."""
        return self.status in (301, 307, 308)

    @property
    def troubled(self) -> bool:
        """The vendor is not well: this is what breakers count."""
        return self.status is None or self.status >= 500 or self.status in (408, 425, 429)


def answered(status: int, seconds: Seconds, body: bytes = b"") -> Outcome:
    """What an answer means. A 5xx may come from behind the point of no return, so it is unknown."""
    troubled = status >= 500 or status in (408, 425)
    done = Outcome(status=status, seconds=seconds).accepted
    reason = "" if done else f"the vendor answered HTTP {status}"
    looks = "" if done else failing.shape(body)
    return Outcome(status=status, seconds=seconds, reason=reason, unknown=troubled, shape=looks)


def settle_first(call: Call, outcome: Outcome, *, repeatable: bool) -> list[Fact]:
    """What becomes of a call whose caller is still waiting."""
    if outcome.accepted:
        return [_charged(call, outcome, attempt=1)]
    if outcome.refused:
        assert outcome.status is not None
        return [
            CallRefused(
                about=call.about, route=call.route, vendor=call.vendor, status=outcome.status,
                seconds=outcome.seconds, money=call.money, shape=outcome.shape,
            )
        ]  # fmt: skip
    return park(
        call, outcome.reason, unknown=outcome.unknown, repeatable=repeatable,
        failure=outcome.failure, shape=outcome.shape,
    )  # fmt: skip


def _charged(call: Call, outcome: Outcome, *, attempt: int) -> CallCharged:
    assert outcome.status is not None
    return CallCharged(
        about=call.about, route=call.route, vendor=call.vendor, status=outcome.status,
        seconds=outcome.seconds, attempt=attempt, money=call.money,
    )  # fmt: skip


def park(
    call: Call,
    reason: str,
    *,
    unknown: bool,
    repeatable: bool,
    failure: str = failing.OURS,
    shape: str = "",
) -> list[Fact]:
    """Keep it. What the vendor may have done and could not recognise waits for a person."""
    parked = CallParked(
        about=call.about, route=call.route, vendor=call.vendor, reason=reason, unknown=unknown,
        money=call.money, failure=failure, shape=shape,
    )  # fmt: skip
    if unknown and not repeatable:
        return [parked, CallHeld(about=call.about, route=call.route, reason=_LOOK_FIRST)]
    return [parked]


def settle_replay(
    call: Call, outcome: Outcome, plan: Replay, *, repeatable: bool, now: Instant, chance: float
) -> list[Fact]:
    """What becomes of a parked call that was sent again. `chance` in [0, 1) spreads the waits."""
    attempt = call.attempts + 1
    if outcome.accepted:
        return [_charged(call, outcome, attempt=attempt + 1)]
    failed = ReplayFailed(
        about=call.about,
        route=call.route,
        reason=outcome.reason,
        attempt=attempt,
        # A refusal is an answer: under a key the vendor knows, it settles what was in doubt.
        unknown=(call.unknown and not (outcome.refused and repeatable)) or outcome.unknown,
        next_at=later(now, wait_before(attempt, plan, chance)),
        failure=outcome.failure,
        shape=outcome.shape,
    )
    if outcome.refused:
        refusal = (
            f"the vendor refused it (HTTP {outcome.status}); the customer was told it was taken"
        )
        return [failed, CallHeld(about=call.about, route=call.route, reason=refusal)]
    if outcome.unknown and not repeatable:
        return [failed, CallHeld(about=call.about, route=call.route, reason=_LOOK_FIRST)]
    return [failed]


_LOOK_FIRST = (
    "the vendor may have done it and cannot recognise a repeated call: look in their book, then"
    " settle it or retry it"
)


def wait_before(attempt: int, plan: Replay, chance: float) -> Seconds:
    """Doubling waits up to the longest, each shortened by up to a quarter so calls spread out."""
    wait = min(plan.longest_wait, plan.first_wait * 2.0 ** min(attempt - 1, 30))
    return wait * (1 - chance / 4)


def pace(plan: Replay, successes: int) -> Seconds:
    """Seconds between two replays after that many successes in a row: faster with every one."""
    rate = min(plan.at_most, plan.starts_at * 1.25**successes) if successes < 100 else plan.at_most
    return 1 / rate


def before_replay(call: Call, *, repeatable: bool) -> list[Fact]:
    """What is written down before a parked call is sent again.

    If we die before the answer is on disk, a call that the vendor could not recognise must wait for
    a person. So that is on disk first, and whatever the vendor says takes it from there.
    """
    return [] if repeatable else [CallSentAgain(about=call.about, route=call.route)]


def stumbled(call: Call, error: Exception) -> list[Fact]:
    """What becomes of a parked call that we cannot send for a reason nobody foresaw."""
    reason = f"sending it failed inside Détente ({type(error).__name__}); {_LOOK_FIRST}"
    return [CallHeld(about=call.about, route=call.route, reason=reason)]


def stumbled_first(call: Call, error: Exception, *, repeatable: bool) -> list[Fact]:
    """The same of a call whose caller still waits. Perhaps the vendor has it."""
    reason = f"sending it failed inside Détente ({type(error).__name__})"
    return park(call, reason, unknown=True, repeatable=repeatable)


def without_request(call: Call) -> list[Fact]:
    """What becomes of a call whose request cannot be read any more."""
    reason = "its request is not there any more, so it cannot be sent: settle it or give it up"
    return [CallHeld(about=call.about, route=call.route, reason=reason)]


def recover(call: Call, *, repeatable: bool) -> list[Fact]:
    """What becomes of a call that was with the vendor when the node died."""
    reason = "Détente stopped while the vendor had it"
    if call.parked_at is not None:  # only what a machine must not repeat is written down as sent
        return [CallHeld(about=call.about, route=call.route, reason=f"{reason}; {_LOOK_FIRST}")]
    return park(call, reason, unknown=True, repeatable=repeatable)


def edit(
    call: Call,
    request: Request,
    pointer: str,
    said: str,
    *,
    where: MoneyIn | None,
    new_key: str,
    looked: bool,
    reason: str,
) -> tuple[CallEdited, Request]:
    """One value in a waiting call is another. Raises CannotEdit.

    A vendor that may have seen the key knows it with the former body: it would answer for that one, or
    refuse. So the call goes out under `new_key` then (empty where the vendor is shown no keys).
    """
    after = editing.edited(request, pointer, said)
    was, now = worth(request.body, where), worth(after.body, where)
    if was is not None and now is None:
        raise editing.CannotEdit("value: the request would no longer say what the sale is worth.")
    may_remember = call.unknown or call.heard
    fact = CallEdited(
        about=call.about, route=call.route, pointer=pointer, before=editing.sha256(request),
        after=editing.sha256(after), reason=reason, money=call.money if was == now else now,
        key=new_key if may_remember else "", looked=call.unknown and looked,
    )  # fmt: skip
    return fact, after


def worth(body: bytes, where: MoneyIn | None) -> Money | None:
    """What a call is worth; None if it does not say so in the way that was declared."""
    if where is None:
        return None
    try:
        document = json.loads(body, parse_float=Decimal)
        amount = _pointed(document, where.amount)
        currency = where.currency
        if currency.startswith("/"):
            currency = str(_pointed(document, currency))
        if isinstance(amount, bool) or not isinstance(amount, int | Decimal | str):
            return None
        return money(amount, currency.upper(), unit=where.unit)
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        return None


def said(body: bytes, pointer: str) -> str | None:
    """What stands at that place of a call's request, as text."""
    try:
        found = _pointed(json.loads(body), pointer)
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        return None
    return str(found) if isinstance(found, str | int) else None


def _pointed(document: Any, pointer: str) -> Any:
    """What a JSON pointer (RFC 6901) points at. KeyError, IndexError or TypeError if at nothing."""
    for name in editing.steps(pointer):
        counted = isinstance(document, list) and name.isdecimal()  # nothing counts from the end
        document = document[int(name) if counted else name]
    return document


# -- failures ------------------------------------------------------------------------------------

Trend = Literal["new", "rising", "steady", "falling", "quiet"]


def trend(hours: Sequence[int], *, is_new: bool) -> Trend:
    """How it goes, from how often it happened in each of the last 24 hours.

    The last six hours are laid beside the six before: half as many again, or half as many, is a
    change; a handful more or less is none.
    """
    lately, before = sum(hours[-6:]), sum(hours[-12:-6])
    if not sum(hours):
        return "quiet"
    if is_new:
        return "new"
    if lately >= before * 1.5 and lately - before >= 3:
        return "rising"
    if lately <= before * 0.5 and before - lately >= 3:
        return "falling"
    return "steady" if lately else "quiet"


# -- answers by mail -----------------------------------------------------------------------------


def number(call: Call) -> str:
    """What people and addresses call it by."""
    return plain(call.about)


def lever_for(said: Said) -> tuple[str, dict[str, object]]:
    """Which lever somebody meant, and what to fill in."""
    match said.word:
        case "retry":
            return "work.retry", {}
        case "hold":
            reason = said.note or "asked for by mail"
            hours = {} if said.seconds is None else {"hours": said.seconds / 3_600}
            return "work.hold", {"reason": reason, **hours}
        case "settled":
            note = said.note or "settled by mail"
            return "work.settle", {"note": note, "reference": said.reference}
        case "hand back":
            return "work.hand_back", {"note": said.note or "handed back by mail", "looked": True}
        case "give up":
            return "work.give_up", {"reason": said.note or "given up by mail"}
        case "unclear":
            raise ValueError("what is unclear is not acted upon")


# -- drills --------------------------------------------------------------------------------------


class Counts(msgspec.Struct, frozen=True):
    """What became of the calls taken on a route within some time."""

    taken: int = 0
    parked: int = 0
    charged: int = 0
    by_hand: int = 0
    refused: int = 0
    lost: int = 0
    waiting: int = 0  # not done yet: with the vendor, parked or held


def end_drill(
    span: Span, vendor: str, counts: Counts, breaker: Span | None, *, over: Instant, now: Instant,
    aborted: bool,
) -> list[Fact]:  # fmt: skip
    """What is written down when the vendor is asked again. `breaker`: one that opened in the drill.

    It is closed with the drill: whatever opens from here on is real. `over`: when it really was; the
    node may not have been there to notice.
    """
    ended = DrillEnded(
        about=span.about, vendor=vendor, lasted=max(0.0, span.seconds(over)), aborted=aborted,
        taken=counts.taken, parked=counts.parked, charged=counts.charged, lost=counts.lost,
        since=over,
    )  # fmt: skip
    if breaker is None:
        return [ended]
    lasted = max(0.0, breaker.seconds(now))
    closed = BreakerClosed(
        about=span.about, vendor=vendor, lasted=lasted, reason="the drill is over"
    )
    return [ended, closed]


def pass_drill(
    about: str, vendor: str, drill: int, ended: Instant, counts: Counts, *, now: Instant
) -> list[Fact]:
    """Once no call of the drill waits any more, it is known whether anything was lost."""
    if counts.waiting:
        return []
    return [
        DrillPassed(
            about=about, vendor=vendor, drill=drill, caught_up=max(0.0, seconds_between(ended, now)),
            taken=counts.taken, charged=counts.charged, by_hand=counts.by_hand,
            refused=counts.refused, lost=counts.lost,
        )
    ]  # fmt: skip
