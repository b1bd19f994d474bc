"""Who is on stage, and how do they come and go?

Every actor is a process of its own on loopback, the node among them. They are started, killed and
started again with the same ports and the same books, as real ones would be.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import re
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from detente.demo.actors import HOST
from detente.demo.actors import ports as ports_in

READY_WITHIN = 20.0  # seconds; a slow machine still makes it


class Absent(Exception):
    """An actor did not come on stage; the message says which and what it said."""


@dataclass
class Actor:
    """One process: how it is started, and while it runs, where it listens."""

    name: str
    command: Sequence[str]
    log: Path
    process: asyncio.subprocess.Process | None = None
    ports: list[int] = field(default_factory=list)
    ready: Callable[[str], list[int]] = ports_in
    environment: Mapping[str, str] = field(default_factory=dict)

    async def enter(self) -> None:
        """Start it and wait until it says that it is ready."""
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the director, who sends everybody home
                preexec_fn=_leave_with_director,
                env={
                    **os.environ,
                    "PYTHONUNBUFFERED": "1",
                    "NO_COLOR": "1",
                    **self.environment,
                },
            )
        try:
            async with asyncio.timeout(READY_WITHIN):
                self.ports = await self._ready_line()
        except TimeoutError:
            raise Absent(f"{self.name} did not get ready; see {self.log}") from None

    async def _ready_line(self) -> list[int]:
        assert self.process is not None
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            if found := self.ready(line.decode()):
                return found
        said = self.log.read_text().strip().splitlines()[-5:]
        code = await self.process.wait()
        why = " ".join(said) or "it said nothing"
        raise Absent(f"{self.name} did not come on stage (exit code {code}): {why}")

    @property
    def on_stage(self) -> bool:
        return self.process is not None and self.process.returncode is None

    async def die(self) -> None:
        """kill -9: no goodbye, no flush."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    async def leave(self) -> None:
        """Ask it to stop, and insist after a while."""
        if self.process is None or self.process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(5):
                await self.process.wait()
        except TimeoutError:
            await self.die()


def page_port(line: str) -> list[int]:
    """The port of the pages, out of what `detente up` says once it is up."""
    return [int(number) for number in re.findall(rf"http://{re.escape(HOST)}:(\d+)", line)]


def _leave_with_director() -> None:
    """Should the director be killed, nobody stays on stage (prctl(2), PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, int(signal.SIGKILL))


def program(module: str, *arguments: object) -> list[str]:
    """The command line of one of our own modules."""
    return [sys.executable, "-m", module, *(str(each) for each in arguments)]


def free_port(wanted: int = 0) -> int:
    """A port nobody listens on: the wanted one if it is free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted))
        except OSError:
            probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


class Line:
    """How the director talks to the actors: HTTP, asked again while one of them is off stage."""

    def __init__(self) -> None:
        names = aiohttp.CookieJar(unsafe=True)  # who somebody is, on a host without a name too
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=10), cookie_jar=names
        )

    async def get(self, url: str) -> Any:
        return json.loads(await self.text(url))

    async def text(self, url: str) -> str:
        return (await self._ask("GET", url))[1]

    async def raw(self, url: str) -> bytes:
        """The bytes at that address."""
        async with self._session.get(url) as reply:
            reply.raise_for_status()
            return await reply.read()

    async def post(self, url: str, body: object) -> int:
        return (await self._ask("POST", url, json=body))[0]

    async def submit(self, url: str, form: Mapping[str, str], origin: str) -> int:
        """Press a button on a page, as a browser does."""
        headers = {"Origin": origin, "Sec-Fetch-Site": "same-origin"}
        status, _ = await self._ask("POST", url, data=form, headers=headers, allow_redirects=False)
        return status

    async def close(self) -> None:
        await self._session.close()

    async def _ask(self, method: str, url: str, **more: Any) -> tuple[int, str]:
        for _ in range(60):
            try:
                async with self._session.request(method, url, **more) as reply:
                    return reply.status, await reply.text()
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.25)
        raise Absent(f"nobody answers at {url}")
