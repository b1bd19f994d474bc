"""Who may come in, and who is acting?

The node listens on loopback and asks nobody to log in, so the browser has to be kept honest: no
other site may read our pages through a name of its own (DNS rebinding: the Host header is checked),
post to us behind somebody's back (Origin and Sec-Fetch-Site are checked), frame us, or run its
scripts in our pages (content security policy). Programs show the node's token instead.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Awaitable, Callable
from urllib.parse import quote, unquote, urlsplit

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

_A_YEAR = 365 * 86_400
_LONGEST_NAME = 80


class TurnedAway(Exception):
    """The request may not come in; the message says why and what to do."""

    def __init__(self, status: int, says: str) -> None:
        super().__init__(says)
        self.status = status


async def add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    """On everything that leaves."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)


def check(request: web.Request, *, address: str, token: str, admitted: bool | None = None) -> None:
    """Raises TurnedAway unless the request may come in.

    `admitted`: what an address with a door of its own said; None for all others.
    """
    if not _answers_to(_name_in(request.host), address):
        raise TurnedAway(
            421,
            f"This node does not answer to the name “{request.host}”. Open it as {address}, or set "
            "`address` in detente.yaml to the address people use.",
        )
    if admitted is False and not _shows(request, token):
        raise TurnedAway(
            403,
            "The token that came with this is not the one that belongs here. Send the header "
            "“Authorization: Bearer …” with the right one.",
        )
    if admitted is not None:
        return
    if request.method not in ("GET", "HEAD") and not _may_change(request, address, token):
        raise TurnedAway(
            403,
            "This came from another site, or from a program without the node's token. Pull levers "
            "from the node's own pages, or send the header “Authorization: Bearer …” with its token.",
        )


def who(request: web.Request) -> str:
    """The person acting: what they told the page, or what a program says in its header."""
    said = request.headers.get("X-Detente-Who") or unquote(request.cookies.get("who", ""))
    return tidy(said) or "someone"


def tidy(name: str) -> str:
    """A name fit for one line of a timeline."""
    return " ".join("".join(c if c.isprintable() else " " for c in name).split())[:_LONGEST_NAME]


def remember(
    response: web.StreamResponse, name: str, value: str, *, seconds: int = _A_YEAR
) -> None:
    """Put something small into this browser, for this node only."""
    response.set_cookie(name, quote(value), max_age=seconds, httponly=True, samesite="Lax")


def _may_change(request: web.Request, address: str, token: str) -> bool:
    if _shows(request, token):
        return True
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is not None and site != "same-origin":
        return False
    if origin is None:
        return site == "same-origin"
    return urlsplit(origin).netloc in (request.host, urlsplit(address).netloc)


def _shows(request: web.Request, token: str) -> bool:
    shown = request.headers.get("Authorization", "")
    return bool(token) and hmac.compare_digest(shown.encode(), f"Bearer {token}".encode())


def _answers_to(name: str, address: str) -> bool:
    return name in ("localhost", _name_in(urlsplit(address).netloc or address)) or _loopback(name)


def _loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _name_in(host: str) -> str:
    """`localhost` of `localhost:3383`, `::1` of `[::1]:3383`."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
