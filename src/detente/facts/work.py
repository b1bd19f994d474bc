"""What can happen to a call to a vendor, and to the route it takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from detente.kernel.clock import Instant, iso, lasting
from detente.kernel.fact import Fact, Subject, Tone, named
from detente.kernel.money import Money
from detente.kernel.spans import SpanKind
from detente.kernel.tries import Tries


@named("work.call_taken")
class CallTaken(Fact, frozen=True, kw_only=True):
    """A call arrived and is written down before the vendor hears of it. The request is attached."""

    route: str
    vendor: Subject
    key: str  # the idempotency key the vendor sees, the same at every attempt
    method: str
    path: str  # without secrets; as it came it stands in the request
    sha256: str  # of the body
    caller: str = ""  # keyed digest of who asked: the answer is for nobody else
    asked: str = ""  # SHA-256 of key, method, path and body as they came
    money: Money | None = None
    size: int = 0  # bytes of the request as it is kept

    routine: ClassVar[bool] = True

    def says(self) -> str:
        return f"was taken for {self.route}" + (f": {self.money}" if self.money else "")


@named("work.call_charged")
class CallCharged(Fact, frozen=True, kw_only=True):
    """The vendor said yes. The vendor's answer is attached."""

    route: str
    vendor: Subject
    status: int
    seconds: float
    attempt: int = 1
    money: Money | None = None

    tone: ClassVar[Tone] = "good"
    routine: ClassVar[bool] = True

    def tried(self) -> Mapping[Subject, Tries]:
        """The first attempt only: what was parked has been counted."""
        return {f"route:{self.route}": Tries(passed=1)} if self.attempt == 1 else {}

    def says(self) -> str:
        again = f" at attempt {self.attempt}" if self.attempt > 1 else ""
        return f"was accepted by the vendor{again}" + (f": {self.money}" if self.money else "")


@named("work.call_refused")
class CallRefused(Fact, frozen=True, kw_only=True):
    """The vendor said no for a reason of business; the caller was told so. Not an outage."""

    route: str
    vendor: Subject
    status: int
    seconds: float
    money: Money | None = None
    shape: str = ""  # of the vendor's answer: names and codes, no values of customers

    routine: ClassVar[bool] = True

    def tried(self) -> Mapping[Subject, Tries]:
        return {f"route:{self.route}": Tries(passed=1, refused=1)}

    def says(self) -> str:
        return f"was refused by the vendor (HTTP {self.status}), and the caller was told"


@named("work.call_parked")
class CallParked(Fact, frozen=True, kw_only=True):
    """The vendor was not there. The call waits on disk and the caller has its 202.

    `unknown`: it was sent and no answer came, so the vendor may have done it already.
    """

    route: str
    vendor: Subject
    reason: str
    unknown: bool
    money: Money | None = None
    failure: str = ""  # what broke: "no connection", "no answer", "HTTP 503", "kept back"
    shape: str = ""  # of the vendor's answer, if one came; it is attached then

    tone: ClassVar[Tone] = "warn"
    routine: ClassVar[bool] = True

    def tried(self) -> Mapping[Subject, Tries]:
        return {f"route:{self.route}": Tries(failed=1)}

    def says(self) -> str:
        doubt = " (the vendor may have it already)" if self.unknown else ""
        return f"was parked: {self.reason}{doubt}"


@named("work.replay_failed")
class ReplayFailed(Fact, frozen=True, kw_only=True):
    """A parked call was sent again and again not answered. It stays parked until `next_at`."""

    route: str
    reason: str
    attempt: int
    unknown: bool
    next_at: Instant
    failure: str = ""  # as of CallParked
    shape: str = ""

    routine: ClassVar[bool] = True

    def says(self) -> str:
        return f"was sent again without success (attempt {self.attempt}): {self.reason}"


@named("work.call_sent_again")
class CallSentAgain(Fact, frozen=True, kw_only=True):
    """A parked call goes to a vendor that could not recognise it if it came once more.

    Written down first: if we die before the answer is on disk, a person must look.
    """

    route: str

    routine: ClassVar[bool] = True

    def says(self) -> str:
        return "is being sent again now"


@named("work.call_held")
class CallHeld(Fact, frozen=True, kw_only=True):
    """A parked call waits for a person: somebody held it, or a machine must not decide this."""

    route: str
    reason: str
    until: Instant | None = None

    tone: ClassVar[Tone] = "warn"

    def says(self) -> str:
        until = f" until {iso(self.until)}" if self.until else ""
        return f"is held{until}: {self.reason}"


@named("work.call_released")
class CallReleased(Fact, frozen=True, kw_only=True):
    """Somebody asked for another attempt as soon as the vendor is there."""

    route: str

    def says(self) -> str:
        return "was put back in line"


@named("work.call_edited")
class CallEdited(Fact, frozen=True, kw_only=True):
    """Somebody changed one value in the body of a waiting call. What is sent now is attached.

    What was asked first stays beside `work.call_taken`. The value itself is not said: it may be a secret.
    """

    route: str
    pointer: str  # JSON pointer (RFC 6901) to the value
    before: str  # SHA-256 of the body as it was
    after: str  # … and as it is sent from here on
    reason: str
    money: Money | None = None  # what it is worth now
    key: str = ""  # the idempotency key from here on, if the vendor may remember the former one
    looked: bool = False  # the vendor may have had it, and a person found that it has not
    size: int = 0  # bytes of the request as it is kept

    tone: ClassVar[Tone] = "warn"

    def says(self) -> str:
        under = ", and is sent under a new key" if self.key else ""
        worth = f" (worth {self.money})" if self.money else ""
        return f"was edited at {self.pointer}{worth}{under}: {self.reason}"


@named("work.call_settled")
class CallSettled(Fact, frozen=True, kw_only=True):
    """Somebody got it done by another way and says how. Never sent again."""

    route: str
    note: str
    reference: str = ""

    tone: ClassVar[Tone] = "good"

    def says(self) -> str:
        reference = f" ({self.reference})" if self.reference else ""
        return f"was settled by hand{reference}: {self.note}"


@named("work.call_refunded")
class CallRefunded(Fact, frozen=True, kw_only=True):
    """The money went back to the customer."""

    route: str
    note: str
    reference: str = ""

    def says(self) -> str:
        reference = f" ({self.reference})" if self.reference else ""
        return f"was refunded{reference}: {self.note}"


@named("work.call_lost")
class CallLost(Fact, frozen=True, kw_only=True):
    """Somebody gave it up, and says why. The sale was accepted and will not be paid."""

    route: str
    note: str

    tone: ClassVar[Tone] = "bad"

    def says(self) -> str:
        return f"was given up: {self.note}"


@named("work.call_handed_back")
class CallHandedBack(Fact, frozen=True, kw_only=True):
    """The sale went back to whoever sold it. Never sent; who asks again under its key is told so."""

    route: str
    note: str
    looked: bool = False  # the vendor may have had it, and a person found that it has not

    tone: ClassVar[Tone] = "warn"

    def says(self) -> str:
        return f"was handed back to whoever sold it: {self.note}"


@named("work.breaker_opened")
class BreakerOpened(Fact, frozen=True, kw_only=True):
    """The vendor hangs or fails: calls on this route are parked at once instead of waiting."""

    vendor: Subject
    reason: str
    parks: bool = True
    drill: bool = False  # nobody's fault: the vendor was only played dead

    tone: ClassVar[Tone] = "bad"

    def says(self) -> str:
        instead = "calls are parked at once" if self.parks else "calls are refused at once"
        drill = "in a drill, " if self.drill else ""
        return f"{drill}stopped waiting for the vendor ({self.reason}); {instead}"


@named("work.breaker_closed")
class BreakerClosed(Fact, frozen=True, kw_only=True):
    """The vendor answers again and calls go through."""

    vendor: Subject
    lasted: float  # seconds
    retired: bool = False  # not so: the route is not declared any more, and nobody will try it
    reason: str = ""

    tone: ClassVar[Tone] = "good"

    def says(self) -> str:
        if self.retired:
            return "is no longer a route: no calls wait for it to answer"
        because = f": {self.reason}" if self.reason else ""
        return f"sends calls through again after {lasting(self.lasted)}{because}"


@named("work.route_paused")
class RoutePaused(Fact, frozen=True, kw_only=True):
    """Somebody asked that nothing is sent on this route: calls are parked until it is resumed."""

    vendor: Subject
    reason: str

    tone: ClassVar[Tone] = "warn"

    def says(self) -> str:
        return f"was paused: {self.reason}"


@named("work.route_resumed")
class RouteResumed(Fact, frozen=True, kw_only=True):
    """The route is open again; what is parked goes out gently."""

    vendor: Subject

    def says(self) -> str:
        return "was resumed"


@named("work.drill_began")
class DrillBegan(Fact, frozen=True, kw_only=True):
    """The gateway plays a dead vendor, on purpose and for a bounded time. The vendor hears nothing."""

    vendor: Subject
    how: str  # "refuse", "hang", "slow" or "errors"
    until: Instant
    reason: str

    tone: ClassVar[Tone] = "warn"

    def says(self) -> str:
        return f"is in a drill (the vendor is played, {self.how}): {self.reason}"


@named("work.drill_ended")
class DrillEnded(Fact, frozen=True, kw_only=True):
    """The vendor is asked again. Counts are of the calls taken while the drill lasted."""

    vendor: Subject
    lasted: float  # seconds
    aborted: bool = False  # somebody ended it before its time
    taken: int = 0
    parked: int = 0  # of those, kept for later
    charged: int = 0  # of those, accepted by the vendor already
    lost: int = 0
    since: Instant | None = None  # when it was over, if that was noticed later

    def says(self) -> str:
        early = ", ended early" if self.aborted else ""
        parked = f"{self.parked} of {self.taken} calls were parked"
        return f"had a drill of {lasting(self.lasted)}{early}: {parked}, {self.lost} lost"


@named("work.drill_passed")
class DrillPassed(Fact, frozen=True, kw_only=True):
    """Every call taken during the drill has come to its end: whether anything was lost is known."""

    vendor: Subject
    drill: int  # position of the fact that began it
    caught_up: float  # seconds from its end until the last call was done
    taken: int = 0
    charged: int = 0
    by_hand: int = 0  # settled or refunded by people
    refused: int = 0  # by the vendor, to the caller's face
    lost: int = 0

    tone: ClassVar[Tone] = "good"

    def says(self) -> str:
        return (
            f"came through its drill: {self.charged} of {self.taken} calls charged,"
            f" {self.lost} lost, caught up in {lasting(self.caught_up)}"
        )


@named("work.asked_people")
class AskedPeople(Fact, frozen=True, kw_only=True):
    """A mail says that the call did not run, and what can be answered to it."""

    route: str
    to: tuple[str, ...]  # who may answer
    message_id: str  # without what stands for the recipient
    together: bool = False  # one mail for many calls, which cannot be answered

    routine: ClassVar[bool] = True

    def says(self) -> str:
        return f"was put before {', '.join(self.to)} by mail"


@named("work.mail_answered")
class MailAnswered(Fact, frozen=True, kw_only=True):
    """Somebody answered the mail, and this is how it was read. Stands beside what was decided."""

    route: str
    said: str
    message_id: str

    routine: ClassVar[bool] = True

    def says(self) -> str:
        return f"was decided by mail: “{self.said}”"


@named("work.reconciled")
class Reconciled(Fact, frozen=True, kw_only=True):
    """Our books were laid beside a statement of the vendor's. The differences are attached."""

    vendor: Subject
    file: str
    sha256: str
    lines: int
    since: Instant | None = None  # our calls from here …
    until: Instant | None = None  # … to here were compared
    matched: int = 0
    only_ours: int = 0
    only_theirs: int = 0
    amount_differs: int = 0
    double: int = 0
    not_ours_to_charge: int = 0  # they charged what we count as lost, parked or refused
    given_back: int = 0  # they gave money back that we count as charged
    worth: tuple[Money, ...] = ()  # of what was matched

    def says(self) -> str:
        wrong = self.only_ours + self.only_theirs + self.amount_differs
        wrong += self.double + self.not_ours_to_charge + self.given_back
        found = "no difference" if not wrong else f"{wrong} difference{'' if wrong == 1 else 's'}"
        return f"was compared with {self.file}: {self.matched} matched, {found}"


BREAKER = SpanKind("breaker", opens=(BreakerOpened,), closes=(BreakerClosed,))
PAUSE = SpanKind("pause", opens=(RoutePaused,), closes=(RouteResumed,))
DRILL = SpanKind("drill", opens=(DrillBegan,), closes=(DrillEnded,))
