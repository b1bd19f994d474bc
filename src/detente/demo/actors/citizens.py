"""Who wants something from the agency? Citizens, who sign on once and then go about their business.

    GET /stats           how often each application served them, and how

Each has a browser's memory: cookies of the sign-on server and of every application. They fill in the
real form of the sign-on server when they are shown it.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
from collections import Counter
from html import unescape
from urllib.parse import urljoin

import aiohttp
from aiohttp import web

from detente.demo.actors import Door, answer, until_told_to_stop

_FIELD = re.compile(r'<input[^>]*\bname="(\w+)"[^>]*>')
_VALUE = re.compile(r'\bvalue="([^"]*)"')


class Citizen:
    """One person with one browser."""

    def __init__(self, name: str, password: str, patience: float) -> None:
        self._name = name
        self._password = password
        self._browser = aiohttp.ClientSession(
            cookie_jar=aiohttp.CookieJar(unsafe=True),  # cookies of addresses that are numbers
            timeout=aiohttp.ClientTimeout(total=patience),
        )

    async def visit(self, application: str) -> str:
        """Open it, signing on if asked to; answers how that went."""
        try:
            async with self._browser.get(application) as page:
                text, status, url = await page.text(), page.status, str(page.url)
                how = page.headers.get("X-Sign-On", "")
            if 'name="lt"' in text:
                status, how = await self._sign_on(url, text)
        except (aiohttp.ClientError, TimeoutError):
            return "no answer"
        return how if status == 200 and how else "turned away"

    async def _sign_on(self, url: str, form: str) -> tuple[int, str]:
        fields = {found[1]: _value(found[0]) for found in _FIELD.finditer(form)}
        fields.pop("warn", None)
        fields |= {"username": self._name, "password": self._password}
        async with self._browser.post(urljoin(url, ""), data=fields) as page:
            await page.read()
            return page.status, page.headers.get("X-Sign-On", "")

    async def leave(self) -> None:
        await self._browser.close()


def _value(field: str) -> str:
    found = _VALUE.search(field)
    return unescape(found[1]) if found else ""


async def _live(asked: argparse.Namespace) -> None:
    visits: dict[str, Counter[str]] = {name: Counter() for name, _ in asked.application}

    async def stats(_request: web.Request) -> web.Response:
        return answer(visits)

    app = web.Application()
    app.router.add_get("/stats", stats)
    door = Door(app, asked.port)
    await door.open()
    name, _, password = asked.user.partition(":")
    people = [Citizen(name, password, asked.patience) for _ in range(asked.people)]
    lives = [asyncio.create_task(_life(each, asked, visits)) for each in people]
    await until_told_to_stop(door.port)
    for life in lives:
        life.cancel()
    await asyncio.gather(*lives, return_exceptions=True)
    for each in people:
        await each.leave()
    await door.close()


async def _life(
    citizen: Citizen, asked: argparse.Namespace, visits: dict[str, Counter[str]]
) -> None:
    luck = random.Random()
    while True:
        for name, address in asked.application:
            visits[name][await citizen.visit(address)] += 1
            await asyncio.sleep(luck.uniform(0.5, 1.5) / asked.rate)


def _application(said: str) -> tuple[str, str]:
    name, _, address = said.partition("=")
    return name, address


def main() -> None:
    """Live until told to stop."""
    asking = argparse.ArgumentParser(description="Citizens of the demo.")
    asking.add_argument("--application", action="append", type=_application, required=True)
    asking.add_argument("--user", required=True, help="NAME:PASSWORD")
    asking.add_argument("--people", type=int, default=4)
    asking.add_argument("--rate", type=float, default=2.0, help="visits a second, of each")
    asking.add_argument("--patience", type=float, default=4.0, help="seconds")
    asking.add_argument("--port", type=int, default=0)
    asyncio.run(_live(asking.parse_args()))


if __name__ == "__main__":
    main()
