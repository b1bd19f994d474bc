"""Who works for the citizens? One application of a government agency, behind a CAS server.

    GET /            for people who are signed on; everybody else is sent to the sign-on server
    GET /health      can people who are signed on be served?

It speaks the CAS protocol (3.0, serviceValidate) and keeps a session for a little while; then it asks
again. With `--bridges SECONDS` it goes on with whom it knew for so long when the sign-on server does
not answer; without, it does what most applications do: nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from html import escape
from urllib.parse import quote
from xml.etree import ElementTree as Xml

import aiohttp
from aiohttp import web

from detente.demo.actors import HOST, Door, until_told_to_stop
from detente.work import Known, Unavailable, guard

_CAS = "{http://www.yale.edu/tp/cas}"


class NotSignedOn(Exception):
    """The sign-on server answers, and does not vouch for this person."""


class SignOn:
    """The way to the CAS server, which is asked who somebody is."""

    def __init__(self, cas: str, public: str, service: str, client: aiohttp.ClientSession) -> None:
        self._cas = cas  # where we ask
        self._public = public  # where people sign on
        self._service = service
        self._client = client

    @property
    def page(self) -> str:
        """Where people are sent to sign on."""
        return f"{self._public}/cas/login?service={quote(self._service, safe='')}"

    async def is_there(self) -> bool:
        """Can people sign on just now?"""
        try:
            await self._get(f"{self._cas}/alive")
        except (aiohttp.ClientError, TimeoutError):
            return False
        return True

    async def who(self, _session: str, ticket: str) -> str:
        """The name behind a ticket."""
        service = quote(self._service, safe="")
        said = await self._get(f"{self._cas}/cas/serviceValidate?service={service}&ticket={ticket}")
        name = Xml.fromstring(said).findtext(f"{_CAS}authenticationSuccess/{_CAS}user")
        if name is None:
            raise NotSignedOn
        return name

    async def _get(self, url: str) -> str:
        async with self._client.get(url) as reply:
            reply.raise_for_status()
            return await reply.text()


class Application:
    """One application with its sessions."""

    def __init__(
        self,
        name: str,
        sign_on: SignOn,
        asks: Callable[[str, str], Awaitable[Known[str]]],
        *,
        lasts: float,
        bridges: float,
    ) -> None:
        self._name = name
        self._sign_on = sign_on
        self._asks = asks
        self._lasts = lasts
        self._bridges = bridges
        self._fresh_until: dict[str, float] = {}
        self._known: dict[str, Known[str]] = {}

    async def page(self, request: web.Request) -> web.StreamResponse:
        """For people who are signed on."""
        session = request.cookies.get(f"session-{self._name}") or secrets.token_urlsafe(16)
        if time.monotonic() < self._fresh_until.get(session, 0):
            return self._served(session)
        ticket = request.query.get("ticket", "")
        if not ticket and await self._sign_on.is_there():
            return self._remembering(session, _to(self._sign_on.page))
        try:
            self._known[session] = await self._asks(session, ticket)
        except NotSignedOn:
            return _to(self._sign_on.page)
        except (Unavailable, aiohttp.ClientError, TimeoutError):
            return web.Response(status=503, text="Sign-on does not answer. Please come back later.")
        self._fresh_until[session] = time.monotonic() + self._lasts
        return self._remembering(session, _to("/") if ticket else self._served(session))

    def _remembering(self, session: str, answer: web.Response) -> web.Response:
        answer.set_cookie(f"session-{self._name}", session, httponly=True, samesite="Lax")
        return answer

    def _served(self, session: str) -> web.Response:
        known = self._known[session]
        how = "known from before" if known.age else "signed on"
        text = (
            f"<!doctype html><title>{self._name}</title><h1>{self._name}</h1>"
            f"<p>{escape(known.value)}, {how}.</p>"
        )
        return web.Response(text=text, content_type="text/html", headers={"X-Sign-On": how})

    async def health(self, _request: web.Request) -> web.Response:
        """Can people who are signed on be served?"""
        if await self._sign_on.is_there():
            return web.Response(text="sign-on answers")
        if self._bridges:
            return web.Response(text="sign-on is away; people known from before are served")
        return web.Response(status=503, text="sign-on does not answer")


def _to(where: str) -> web.Response:
    return web.Response(status=302, headers={"Location": where})


def _as_fresh(
    who: Callable[[str, str], Awaitable[str]],
) -> Callable[[str, str], Awaitable[Known[str]]]:
    """Without a guard every answer is of this moment, or there is none."""

    async def asks(session: str, ticket: str) -> Known[str]:
        if not ticket:
            raise TimeoutError
        return Known(await who(session, ticket), 0.0)

    return asks


async def _work(asked: argparse.Namespace) -> None:
    timeout = aiohttp.ClientTimeout(total=asked.patience)
    async with aiohttp.ClientSession(timeout=timeout) as client:
        service = f"http://{HOST}:{asked.port}/"
        sign_on = SignOn(asked.cas, asked.public or asked.cas, service, client)
        asks = _as_fresh(sign_on.who)
        if asked.bridges:
            asks = guard(
                "sign-on",
                timeout=asked.patience,
                answers=(NotSignedOn,),
                last_known_good=asked.bridges,
                key=lambda session, _ticket: session,
            )(sign_on.who)
        here = Application(asked.name, sign_on, asks, lasts=asked.lasts, bridges=asked.bridges)
        app = web.Application()
        app.router.add_get("/", here.page)
        app.router.add_get("/health", here.health)
        door = Door(app, asked.port)
        await door.open()
        await until_told_to_stop(door.port)
        await door.close()


def main() -> None:
    """Serve until told to stop."""
    asking = argparse.ArgumentParser(description="One application of the agency.")
    asking.add_argument("--name", required=True)
    asking.add_argument("--cas", required=True, help="where the application asks who somebody is")
    asking.add_argument("--public", help="where people sign on, if that is another address")
    asking.add_argument("--port", type=int, required=True)
    asking.add_argument("--patience", type=float, default=1.0, help="seconds")
    asking.add_argument("--lasts", type=float, default=3.0, help="seconds that a session is fresh")
    asking.add_argument("--bridges", type=float, default=0.0, help="seconds without sign-on")
    asyncio.run(_work(asking.parse_args()))


if __name__ == "__main__":
    main()
