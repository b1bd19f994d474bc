"""What can happen to a call to a vendor, and to the route it takes."""

from __future__ import annotations

from typing import ClassVar

from detente.kernel.clock import Instant, iso, lasting
from detente.kernel.fact import Fact, Subject, Tone, named
from detente.kernel.money import Money
from detente.kernel.spans import SpanKind


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

    routine: ClassVar[bool] = True

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

    tone: ClassVar[Tone] = "warn"
    routine: ClassVar[bool] = True

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


@named("work.breaker_opened")
class BreakerOpened(Fact, frozen=True, kw_only=True):
    """The vendor hangs or fails: calls on this route are parked at once instead of waiting."""

    vendor: Subject
    reason: str
    parks: bool = True

    tone: ClassVar[Tone] = "bad"

    def says(self) -> str:
        instead = "calls are parked at once" if self.parks else "calls are refused at once"
        return f"stopped waiting for the vendor ({self.reason}); {instead}"


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


BREAKER = SpanKind("breaker", opens=(BreakerOpened,), closes=(BreakerClosed,))
PAUSE = SpanKind("pause", opens=(RoutePaused,), closes=(RouteResumed,))
