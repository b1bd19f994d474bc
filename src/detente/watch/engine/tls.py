"""Do they speak TLS, are they who they should be, and how much longer?

A check of kind *tls* ends after the handshake; *http* goes on from here if the URL says https.
`ssl` is loaded with the first check that needs it.
"""

from __future__ import annotations

import ssl
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from detente.kernel.clock import Instant, moment, seconds_between
from detente.watch.engine import certificate
from detente.watch.engine.faults import Fault, fault
from detente.watch.engine.loop import BROKEN, READ, WRITE
from detente.watch.engine.run import Run
from detente.watch.engine.wire import Phase

_DAY = 86_400

_EXPIRED, _TOO_EARLY, _WRONG_NAME, _WRONG_IP = 10, 9, 62, 64
_UNKNOWN_ISSUER = {2, 18, 19, 20, 21, 27}
_REVOKED = 23
_NOT_TLS = {
    "HTTP_REQUEST",
    "PACKET_LENGTH_TOO_LONG",
    "RECORD_LAYER_FAILURE",
    "UNKNOWN_PROTOCOL",
    "WRONG_VERSION_NUMBER",
}


@lru_cache(maxsize=64)
def _context(ca_file: str | None, _stamp: int, verify: bool) -> ssl.SSLContext:
    """One context per authority: making one for every run costs 28 times as much as the run."""
    context = ssl.create_default_context(cafile=ca_file)
    context.set_alpn_protocols(["http/1.1"])
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def context(ca_file: str | None, verify: bool) -> ssl.SSLContext:
    """The context for an authority file, read again when the file changes. May raise OSError."""
    stamp = Path(ca_file).stat().st_mtime_ns if ca_file else 0
    return _context(ca_file, stamp, verify)


class TlsRun(Run):
    """Connects and shakes hands, looks at the certificate, and leaves."""

    __slots__ = ()

    def connected(self) -> None:
        self.shake_hands(verify=self.plan.probe.tls_verify)

    def shake_hands(self, *, verify: bool) -> None:
        """Begin the handshake on the connection that stands."""
        self.phase = "tls"
        probe, sock = self.plan.probe, self.sock
        assert sock is not None
        try:
            trust = context(probe.ca_file, verify)
        except (OSError, ssl.SSLError) as wrong:
            reason = f"the prober cannot use the authority file {probe.ca_file}: {wrong}"
            self.conclude("inconclusive", reason, "tls")
            return
        try:
            self.sock = trust.wrap_socket(
                sock, server_hostname=self.plan.server_name, do_handshake_on_connect=False
            )
        except OSError as wrong:  # it was reset just now
            self.blame(fault(wrong.errno or 0, self.where()), "tls")
        except ValueError as wrong:
            self.conclude("inconclusive", f"the server name cannot be used: {wrong}", "tls")
        else:
            self.on_handshake(0)

    @property
    def secure_sock(self) -> ssl.SSLSocket:
        assert isinstance(self.sock, ssl.SSLSocket)
        return self.sock

    def on_handshake(self, _events: int) -> None:
        """One step further in the handshake."""
        try:
            self.secure_sock.do_handshake()
        except ssl.SSLWantReadError:
            self.loop.change(self.fd, READ, self.on_handshake)
        except ssl.SSLWantWriteError:
            self.loop.change(self.fd, WRITE, self.on_handshake)
        except ssl.SSLCertVerificationError as wrong:
            self.distrusted(wrong)
        except ssl.SSLError as wrong:
            self.handshake_failed(_in_words(wrong))
        except OSError as wrong:
            self.handshake_failed(fault(wrong.errno or 104, self.where()).reason)
        else:
            self.shaken()

    def handshake_failed(self, reason: str) -> None:
        self.blame(Fault(False, f"{reason} (in the TLS handshake)"), "tls")

    def distrusted(self, wrong: ssl.SSLCertVerificationError) -> None:
        """The certificate is not good. Connect once more, trusting all, just to read it."""
        self.tls = self.lap()
        self.answered = True
        self.distrust = _distrust(wrong, self.plan.server_name)
        self.hang_up()
        self.dial()

    def on_connected(self, events: int) -> None:
        if self.distrust is not None and not events & BROKEN:
            self.shake_hands(verify=False)
        else:
            super().on_connected(events)

    def blame(self, why: Fault, phase: Phase) -> None:
        """As ever, unless we already know what is wrong and only came back to read more."""
        if self.distrust is not None:
            self.fail(self.distrust, "tls")
        else:
            super().blame(why, phase)

    def expire(self) -> None:
        if self.distrust is not None:
            self.fail(self.distrust, "tls")
        else:
            super().expire()

    def shaken(self) -> None:
        """Hands are shaken: what does the certificate say?"""
        der = self.secure_sock.getpeercert(binary_form=True)
        self.tls_expires = certificate.expires(der) if der else None
        self.tls_fingerprint = sha256(der).hexdigest() if der else None
        self.tls_version = self.secure_sock.version()
        if self.distrust is not None:
            self.fail(self._distrust_with_date(), "tls")
            return
        self.tls = self.lap()
        self.answered = True
        too_soon = self._too_soon()
        if too_soon is None:
            self.secured()
        else:
            self.fail(too_soon, "tls")

    def _distrust_with_date(self) -> str:
        assert self.distrust is not None
        if self.tls_expires is not None and self.tls_expires <= self.at:
            return _remaining(self.tls_expires, self.at)
        return self.distrust

    def _too_soon(self) -> str | None:
        """Why the certificate does not last long enough, if so."""
        plan = self.plan
        judged = plan.probe.kind == "tls" or plan.expires_within_ns > 0
        if not judged or self.tls_expires is None:
            return None
        if self.tls_expires > self.at + plan.expires_within_ns:
            return None
        remaining = _remaining(self.tls_expires, self.at)
        if self.tls_expires <= self.at:
            return remaining
        return f"{remaining} (wanted at least {plan.probe.expires_within / _DAY:.3g})"

    def secured(self) -> None:
        """What this kind of check does with a secured connection."""
        self.judge_speed()


def _remaining(expires: Instant, now: Instant) -> str:
    days = seconds_between(now, expires) / _DAY
    if days <= 0:
        return f"certificate expired {_days(-days)} ago, on {moment(expires):%Y-%m-%d}"
    return f"certificate expires in {_days(days)}"


def _days(days: float) -> str:
    if days < 2:
        return f"{days * 24:.0f} hours"
    return f"{days:.0f} days"


def _distrust(wrong: ssl.SSLCertVerificationError, name: str) -> str:
    code = wrong.verify_code
    if code == _EXPIRED:
        return "certificate has expired"
    if code == _TOO_EARLY:
        return "certificate is not valid yet"
    if code in (_WRONG_NAME, _WRONG_IP):
        return f"certificate is not for {name}"
    if code in _UNKNOWN_ISSUER:
        return f"certificate is from an issuer that is not trusted ({wrong.verify_message})"
    if code == _REVOKED:
        return "certificate has been revoked"
    return f"certificate is not good: {wrong.verify_message}"


def _in_words(wrong: ssl.SSLError) -> str:
    reason = wrong.reason or ""
    if reason in _NOT_TLS:
        return "answered, but not with TLS"
    if isinstance(wrong, ssl.SSLEOFError) or reason == "UNEXPECTED_EOF_WHILE_READING":
        return "the other side closed the connection"
    if reason in ("UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION"):
        return "the other side speaks only versions of TLS that are too old"
    return f"no agreement on TLS: {reason.replace('_', ' ').lower() or wrong}"
