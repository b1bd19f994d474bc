"""What of a request travels on, and what does a caller get to read?

Requests and answers as they pass the gateway, and the rules of HTTP that decide which parts of them
reach the other side. Knows no server, no vendor and no ledger.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from urllib.parse import unquote

import msgspec

from detente.kernel import network


class Incoming(msgspec.Struct, frozen=True):
    """What a caller asks of a vendor."""

    route: str
    method: str
    path: str  # behind the route, with its query
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), None)


class Outgoing(msgspec.Struct, frozen=True):
    """What the caller is told."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class Request(msgspec.Struct, frozen=True):
    """A caller's request as it is kept beside the fact, so that it can be sent again."""

    headers: tuple[tuple[str, str], ...]
    body: bytes
    path: str = ""  # as it came; the fact has it without secrets


def end_to_end(
    headers: Iterable[tuple[str, str]], *, without: Container[str] = ()
) -> tuple[tuple[str, str], ...]:
    """The headers that travel on, less those of one connection and those named (as `alike`)."""
    pairs = list(headers)
    listed = {
        token.strip().lower()
        for name, value in pairs
        if name.lower() == "connection"
        for token in value.split(",")
    }
    dropped = network.OF_ONE_CONNECTION | listed
    return tuple(
        (name, value)
        for name, value in pairs
        if name.lower() not in dropped and alike(name) not in without
    )


def alike(name: str) -> str:
    """How a header's name reads to programs that take `_` for `-`, as many servers hand it on."""
    return name.lower().replace("_", "-")


def joined(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """One value a name, as RFC 9110, 5.3 allows; cookies have a separator of their own."""
    joined: dict[str, tuple[str, str]] = {}
    for name, value in headers:
        lower = name.lower()
        if lower in joined:
            comma = "; " if lower == "cookie" else ", "
            value = f"{joined[lower][1]}{comma}{value}"
        joined[lower] = (joined[lower][0] if lower in joined else name, value)
    return dict(joined.values())


def stays_below(path: str) -> bool:
    """Would the vendor's address stay what it is with this path behind it?"""
    before = path.partition("?")[0]
    steps = unquote(before).replace("\\", "/").split("/")
    return (not path or path[0] in "/?") and "." not in steps and ".." not in steps


def readable(incoming: Incoming) -> Incoming:
    """Bytes that were not UTF-8 are read as Latin-1, as HTTP once did: a fact holds text only."""
    return Incoming(
        incoming.route,
        incoming.method,
        network.readable(incoming.path),
        tuple(
            (network.readable(name), network.readable(value)) for name, value in incoming.headers
        ),
        incoming.body,
    )


def problem(status: int, says: str, *, retry_after: int | None = None) -> Outgoing:
    """An error as RFC 9457 problem details."""
    body = msgspec.json.encode({"title": "Détente", "status": status, "detail": says})
    headers: list[tuple[str, str]] = [("Content-Type", "application/problem+json")]
    if retry_after is not None:
        headers.append(("Retry-After", str(retry_after)))
    return Outgoing(status, tuple(headers), body)
