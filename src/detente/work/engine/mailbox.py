"""Where do answers by mail come in?

A small SMTP server for the team's own mail server to hand mail to. It takes mail for one address and
nothing else, hands it on, and says that it has it only when whoever it was handed to says so. Knows
nothing of calls, and never sends a mail itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

log = logging.getLogger(__name__)

MAX_MAIL = 1024 * 1024  # bytes; nobody needs more to say "retry"
_PATIENCE = 60.0  # seconds of silence
_MOST_AT_ONCE = 20


class Delivered(msgspec.Struct, frozen=True):
    """One mail as it was handed over."""

    return_path: str
    to: tuple[str, ...]
    content: bytes


class Verdict(msgspec.Struct, frozen=True):
    """What the mail server is told: taken, not now, or never."""

    code: int  # 250, 451, 550
    says: str


class Mailbox:
    """The listener. `take` decides on each mail; `is_ours` on each address."""

    def __init__(
        self, take: Callable[[Delivered], Awaitable[Verdict]], is_ours: Callable[[str], bool]
    ) -> None:
        self._take = take
        self._is_ours = is_ours
        self._server: asyncio.Server | None = None
        self._here = 0
        self.port = 0

    async def start(self, host: str, port: int) -> None:
        """Listen. OSError if the port is taken."""
        from aiosmtpd.smtp import SMTP

        def session() -> SMTP:
            return SMTP(
                self, data_size_limit=MAX_MAIL, hostname="detente", ident="Detente",
                enable_SMTPUTF8=True, timeout=_PATIENCE, loop=asyncio.get_running_loop(),
            )  # fmt: skip

        self._server = await asyncio.get_running_loop().create_server(session, host, port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()

    # What aiosmtpd calls, by its names

    async def handle_RCPT(  # noqa: N802
        self, _server: Any, _session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if not self._is_ours(address):
            return "550 5.1.1 Only answers to mails of this queue are taken here"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 OK"

    async def handle_DATA(  # noqa: N802
        self, _server: Any, _session: Any, envelope: Any
    ) -> str:
        if self._here >= _MOST_AT_ONCE:
            return "451 4.3.2 Too many mails at once, please try again"
        self._here += 1
        try:
            content = envelope.content
            delivered = Delivered(
                envelope.mail_from or "",
                tuple(envelope.rcpt_tos),
                content if isinstance(content, bytes) else content.encode(),
            )
            verdict = await self._take(delivered)
            return f"{verdict.code} {_enhanced(verdict.code)} {_one_line(verdict.says)}"
        except Exception:  # one mail must not end the server; it comes again
            log.exception("a mail could not be taken")
            return "451 4.3.0 That failed on our side, please try again"
        finally:
            self._here -= 1


def _enhanced(code: int) -> str:
    return {250: "2.0.0", 451: "4.3.0"}.get(code, "5.7.1")


def _one_line(says: str) -> str:
    return " ".join(says.encode("ascii", "replace").decode().split())[:400]
