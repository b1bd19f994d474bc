"""The same question over TLS: shake hands first, then ask.

The difference to plain HTTP is that TLS hands out bytes in records of its own: a socket that epoll
calls quiet may still have something to read, and reading may want to write.
"""

from __future__ import annotations

import ssl

from detente.watch.engine.http import CHUNK, HttpRun
from detente.watch.engine.loop import READ, WRITE
from detente.watch.engine.tls import TlsRun


class HttpsRun(TlsRun, HttpRun):
    """Connects, shakes hands, asks, listens, judges."""

    __slots__ = ()

    def secured(self) -> None:
        self.ask()

    def on_writable(self, _events: int) -> None:
        assert self.sock is not None
        try:
            sent = self.sock.send(self.unsent)
        except ssl.SSLWantReadError:
            self.loop.change(self.fd, READ, self.on_writable)
        except ssl.SSLWantWriteError:
            self.loop.change(self.fd, WRITE, self.on_writable)
        except OSError as wrong:
            self.broken_off(wrong)
        else:
            self.has_sent(sent)

    def on_readable(self, _events: int) -> None:
        assert self.sock is not None
        more = True
        while more:
            try:
                chunk = self.sock.recv(CHUNK)
            except ssl.SSLWantReadError:
                self.loop.change(self.fd, READ, self.on_readable)
                return
            except ssl.SSLWantWriteError:
                self.loop.change(self.fd, WRITE, self.on_readable)
                return
            except OSError as wrong:
                self.broken_off(wrong)
                return
            more = self.hear(chunk)

    def broken_off(self, wrong: OSError) -> None:
        if isinstance(wrong, ssl.SSLError):
            reason = (wrong.reason or "unknown").replace("_", " ").lower()
            self.fail(f"the TLS connection broke: {reason}", self.phase)
        else:
            super().broken_off(wrong)
