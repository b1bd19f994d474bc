"""What happens in one run of one check, and what became of it?

A run is a small state machine: look the name up, connect, shake hands, ask, listen. Every state is
a method that the loop calls when there is something to do, every step notes how long it took, and
one deadline stands over all of it. This module holds what all kinds of checks share; `tcp`, `tls`
and `http` go one step further each.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from detente.kernel.clock import Instant, Seconds
from detente.watch.engine.faults import Fault, fault
from detente.watch.engine.loop import BROKEN, WRITE, Loop
from detente.watch.engine.plan import Address, Plan, literal
from detente.watch.engine.resolver import Found, Resolver
from detente.watch.engine.wire import Phase, Result, Verdict

if TYPE_CHECKING:
    from detente.watch.engine.answer import Answer

_STREAM = socket.SOCK_STREAM | socket.SOCK_NONBLOCK
_BEGUN = (0, errno.EINPROGRESS)

_WHILE: dict[Phase, str] = {
    "dns": "looking up the name",
    "connect": "connecting",
    "tls": "connected, in the TLS handshake",
    "first_byte": "connected, waiting for the first byte",
    "transfer": "receiving the answer",
}

_SPENT: dict[Phase, str] = {
    "dns": "looking up the name",
    "connect": "connecting",
    "tls": "in the TLS handshake",
    "first_byte": "waiting for the first byte",
    "transfer": "receiving the answer",
}


class Run:
    """One run, from its slot to its result."""

    __slots__ = (
        "address",
        "answer",
        "answered",
        "at",
        "began",
        "connect",
        "distrust",
        "dns",
        "done",
        "ended",
        "failed_in",
        "fd",
        "first_byte",
        "holder",
        "lateness",
        "loop",
        "lost",
        "mark",
        "phase",
        "plan",
        "reason",
        "received",
        "resolver",
        "slot",
        "sock",
        "status",
        "tick",
        "tls",
        "tls_expires",
        "tls_fingerprint",
        "tls_version",
        "transfer",
        "unsent",
        "verdict",
    )

    def __init__(
        self,
        plan: Plan,
        loop: Loop,
        resolver: Resolver,
        done: Callable[[Run], None],
        *,
        slot: Instant,
        at: Instant,
        holder: object = None,
    ) -> None:
        self.plan = plan
        self.loop = loop
        self.resolver = resolver
        self.done = done
        self.slot = slot
        self.at = at
        self.lateness: Seconds = (at - slot) / 1e9
        self.holder = holder
        self.sock: socket.socket | None = None
        self.fd = -1
        self.address: Address | None = plan.address
        self.phase: Phase = "dns"
        self.dns: Seconds | None = None
        self.connect: Seconds | None = None
        self.tls: Seconds | None = None
        self.first_byte: Seconds | None = None
        self.transfer: Seconds | None = None
        self.verdict: Verdict = "inconclusive"
        self.reason = ""
        self.failed_in: Phase | None = None
        self.answered = False  # the target itself said something that we understood
        self.answer: Answer | None = None  # http
        self.unsent = b""
        self.status: int | None = None
        self.received = 0
        self.distrust: str | None = None  # tls: what is wrong with the certificate
        self.tls_expires: Instant | None = None
        self.tls_version: str | None = None
        self.tls_fingerprint: str | None = None

    # -- the way there ------------------------------------------------------------------------

    def begin(self) -> None:
        """Start the clock and take the first step."""
        loop = self.loop
        now = self.began = self.mark = self.ended = loop.monotonic()
        self.lost = loop.lost
        plan = self.plan
        if plan.mistake is not None:
            self.tick = 0
            self.conclude("inconclusive", plan.mistake)
            return
        self.tick = loop.deadlines.add(self, now + plan.probe.timeout)
        if self.address is not None:
            self.dns = 0.0
            self.dial()
        else:
            self.resolver.look_up(plan.host, plan.family, self, plan.probe.timeout / 4)

    def found(self, answer: Found) -> None:
        """The name has this address."""
        self.dns = self.lap()
        self.address = literal(answer.ip, self.plan.port)
        self.dial()

    def not_found(self, why: Fault) -> None:
        self.blame(why, "dns")

    def dial(self) -> None:
        """Begin to connect, always afresh."""
        self.phase = "connect"
        address = self.address
        assert address is not None
        try:
            sock = self.sock = socket.socket(address.family, _STREAM)
            code = sock.connect_ex(address.where)
            if code in _BEGUN:
                self.fd = sock.fileno()
                self.loop.watch(self.fd, WRITE, self.on_connected)
                return
        except OSError as wrong:
            code = wrong.errno or errno.EIO
        self.blame(fault(code, self.where(), at_once=True), "connect")

    def on_connected(self, events: int) -> None:
        """The connection stands, or it was turned down."""
        if events & BROKEN:
            assert self.sock is not None
            code = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            self.blame(fault(code or errno.ECONNRESET, self.where()), "connect")
            return
        self.connect = self.lap()
        self.connected()

    def connected(self) -> None:
        """What this kind of check does with a connection."""
        self.answered = True
        self.judge_speed()

    # -- the way out --------------------------------------------------------------------------

    def judge_speed(self) -> None:
        """Everything was right. Was it soon enough?"""
        total = self.loop.monotonic() - self.began
        wanted = self.plan.probe.slow_after
        if wanted is None or total <= wanted:
            self.conclude("ok", "")
            return
        slowest = self._slowest()
        reason = f"answered after {total:.3g} s, wanted within {wanted:g} s"
        self.too_long(f"{reason} (most of it {_SPENT[slowest]})", slowest, wanted)

    def _slowest(self) -> Phase:
        spent: dict[Phase, Seconds | None] = {
            "dns": self.dns,
            "connect": self.connect,
            "tls": self.tls,
            "first_byte": self.first_byte,
            "transfer": self.transfer,
        }
        return max(spent, key=lambda phase: spent[phase] or 0.0)

    def expire(self) -> None:
        """The deadline has come."""
        timeout = self.plan.probe.timeout
        if self.phase == "dns":
            silence = self.resolver.silence(self.plan.host, self.began)
            self.blame(Fault(silence.ours, f"{silence.reason} within {timeout:g} s"), "dns")
            return
        reason = f"no answer from {self.where()} within {timeout:g} s ({_WHILE[self.phase]})"
        if self.phase == "transfer":
            reason = f"the answer was not complete within {timeout:g} s"
        self.too_long(reason, self.phase, timeout)

    def blame(self, why: Fault, phase: Phase) -> None:
        """Something did not work: ours or theirs?"""
        if why.ours:
            self.conclude("inconclusive", why.reason, phase)
        else:
            self.fail(why.reason, phase)

    def too_long(self, reason: str, phase: Phase, limit: Seconds) -> None:
        """It took too long. If this loop itself lost a good part of that time, say so instead."""
        lost = self.loop.lost - self.lost
        if lost > limit / 10:
            reason = f"the prober itself was held up for {lost:.1f} s ({reason})"
            self.conclude("inconclusive", reason, phase)
        else:
            self.fail(reason, phase)

    def fail(self, reason: str, phase: Phase) -> None:
        """Not as expected."""
        self.conclude("failed", reason, phase)

    def conclude(self, verdict: Verdict, reason: str, failed_in: Phase | None = None) -> None:
        """The run is over."""
        self.ended = self.loop.monotonic()
        self.verdict = verdict
        self.reason = reason
        self.failed_in = failed_in
        self.let_go()
        self.done(self)

    def cancel(self) -> None:
        """Nobody wants the result any more."""
        self.let_go()

    def let_go(self) -> None:
        """Give back the socket, the deadline and the place in the resolver's queue."""
        self.loop.deadlines.discard(self, self.tick)
        if self.phase == "dns":
            self.resolver.leave(self.plan.host, self.plan.family, self)
        self.hang_up()

    def hang_up(self) -> None:
        if self.sock is not None:
            self.loop.closing(self.fd)
            self.sock.close()
            self.sock = None

    # -- for the account ----------------------------------------------------------------------

    def lap(self) -> Seconds:
        """How long the step took that just ended."""
        now = self.loop.monotonic()
        taken = now - self.mark
        self.mark = now
        return taken

    def where(self) -> str:
        """The address as people write it."""
        if self.address is None:
            return self.plan.place
        ip, port = self.address.ip, self.plan.port
        return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"

    def result(self) -> Result:
        """What to report."""
        return Result(
            id=self.plan.probe.id,
            slot=self.slot,
            at=self.at,
            verdict=self.verdict,
            reason=self.reason,
            failed_in=self.failed_in,
            dns=self.dns,
            connect=self.connect,
            tls=self.tls,
            first_byte=self.first_byte,
            transfer=self.transfer,
            total=self.ended - self.began,
            lateness=self.lateness,
            status=self.status,
            ip=None if self.address is None else self.address.ip,
            bytes=self.received,
            tls_expires=self.tls_expires,
            tls_version=self.tls_version,
            tls_fingerprint=self.tls_fingerprint,
        )
