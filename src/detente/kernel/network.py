"""How do we reach somebody else's machine?

Everything that leaves the node goes through a `Network` that was handed in, so the same code runs
against the simulated world. What matters to callers is not only that a call failed but whether the
other side may have acted on it: `NotReached` means it never got there, `NoAnswer` that nobody knows.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Mapping
from email.message import EmailMessage
from io import BytesIO
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from detente.kernel import masking
from detente.kernel.clock import Seconds, lasting

if TYPE_CHECKING:
    import aiohttp
    import aiosmtplib
    import yarl

# RFC 9110, 7.6.1, and what programs still say: these speak of one connection, not of a call.
OF_ONE_CONNECTION = frozenset(
    {
        "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection",
        "te", "trailer", "transfer-encoding", "upgrade", "host", "content-length", "expect", "date",
        "server",
    }
)  # fmt: skip


class Reply(msgspec.Struct, frozen=True):
    """What the other side answered."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class NotReached(Exception):
    """The call never got there, so it is safe to send it again."""


class NoAnswer(Exception):
    """It was sent and no answer came: the other side may or may not have acted on it."""


class MailServer(msgspec.Struct, frozen=True, kw_only=True):
    """Where mail is handed over. `tls`: none, starttls (asked for after connecting) or implicit."""

    host: str
    port: int = 587
    user: str | None = None
    password: str | None = None
    tls: str = "starttls"


class Unwelcome(msgspec.Struct, frozen=True):
    """An address that the mail server did not take the mail for, in its own words."""

    to: str
    reason: str
    for_good: bool  # trying again will not help: somebody must put the address or the server right


class Network(Protocol):
    """The ways out."""

    async def call(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout: Seconds = 10.0,
    ) -> Reply:
        """One HTTP request, redirects not followed. Raises NotReached or NoAnswer."""
        ...

    async def mail(self, message: EmailMessage, server: MailServer) -> tuple[Unwelcome, ...]:
        """Hand a mail over; answers with the addresses that it was not taken for, maybe all of them.

        Returns once the server took it for the others; raises NotReached or NoAnswer.
        """
        ...

    async def close(self) -> None: ...


MAX_REPLY = 10 * 1024 * 1024  # bytes; more than this is not an answer to a business call


class RealNetwork:
    """HTTP by aiohttp, mail by aiosmtplib."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def call(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout: Seconds = 10.0,
    ) -> Reply:
        import aiohttp

        trail: dict[str, Any] = {}
        request = self._open().request(
            method, _to_the_letter(url), headers=headers, data=BytesIO(body) if body else None, allow_redirects=False,
            trace_request_ctx=trail,
        )  # fmt: skip
        try:
            async with asyncio.timeout(timeout), request as response:
                content = await _whole(response.content)
                pairs = tuple(
                    (str(name), readable(value)) for name, value in response.headers.items()
                )
                return Reply(response.status, pairs, content)
        except TimeoutError:
            if trail.get("sent"):
                raise NoAnswer(f"no answer within {lasting(timeout)}") from None
            raise NotReached(f"no connection within {lasting(timeout)}") from None
        except aiohttp.InvalidURL:
            raise NotReached(f"{masking.address(url)} is not an address") from None
        except ValueError as error:  # a header that no connection could carry
            raise NotReached(f"it cannot be sent: {_why(error)}") from error
        except (aiohttp.ClientError, OSError) as error:
            if trail.get("sent"):
                raise NoAnswer(
                    f"the connection broke before an answer came ({_why(error)})"
                ) from error
            raise NotReached(f"no connection: {_why(error)}") from error

    async def mail(self, message: EmailMessage, server: MailServer) -> tuple[Unwelcome, ...]:
        import aiosmtplib

        try:
            refused, _ = await aiosmtplib.send(
                message,
                hostname=server.host,
                port=server.port,
                username=server.user,
                password=server.password,
                use_tls=server.tls == "implicit",
                start_tls=server.tls == "starttls",
                timeout=15,
            )
        except aiosmtplib.SMTPRecipientsRefused as error:
            return tuple(_unwelcome(each.recipient, each) for each in error.recipients)
        except aiosmtplib.SMTPReadTimeoutError as error:
            raise NoAnswer(f"{server.host} did not say whether it took the mail") from error
        except (aiosmtplib.SMTPException, OSError) as error:
            where = f"{server.host}:{server.port}"
            raise NotReached(f"the mail server {where} did not take it: {_why(error)}") from error
        return tuple(_unwelcome(to, answer) for to, answer in refused.items())

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            import aiohttp

            trace = aiohttp.TraceConfig()

            async def sent(_session: object, context: Any, _params: object) -> None:
                if context.trace_request_ctx is not None:
                    context.trace_request_ctx["sent"] = True

            trace.on_request_headers_sent.append(sent)
            self._session = aiohttp.ClientSession(
                trace_configs=[trace],
                auto_decompress=False,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),  # ours counts
                cookie_jar=aiohttp.DummyCookieJar(),
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=5),
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            )
        return self._session


def is_loopback(host: str) -> bool:
    """Does that name or address mean this machine alone?"""
    name = host.strip("[]").rstrip(".").lower()
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")


def _to_the_letter(url: str) -> yarl.URL:
    """An address as it was written: the other side may have signed it. NotReached if it is none."""
    import yarl

    try:
        return yarl.URL(url, encoded=all("!" <= sign <= "~" for sign in url))
    except ValueError:
        raise NotReached(f"{masking.address(url)} is not an address") from None


def _unwelcome(to: str, answer: aiosmtplib.SMTPResponse | Any) -> Unwelcome:
    words = answer.message.replace("\n", " ").strip()
    return Unwelcome(to, f"{answer.code} {words}".strip(), for_good=answer.code >= 500)


def readable(said: str) -> str:
    """Bytes that were not UTF-8 are read as Latin-1, as HTTP once did: what is kept is text."""
    try:
        said.encode()
    except UnicodeEncodeError:
        return said.encode("utf-8", "surrogateescape").decode("latin-1")
    return said


async def _whole(stream: aiohttp.StreamReader) -> bytes:
    """Everything the other side says; NoAnswer if it does not come to an end."""
    content = bytearray()
    async for chunk in stream.iter_any():
        content += chunk
        if len(content) > MAX_REPLY:
            raise NoAnswer(f"the answer is longer than {MAX_REPLY // 1024**2} MB")
    return bytes(content)


def _why(error: BaseException) -> str:
    said = getattr(error, "os_error", None) or error
    reason = getattr(said, "strerror", None) or str(said) or type(said).__name__
    return reason.splitlines()[0]
