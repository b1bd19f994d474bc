"""A real node on a real port, in a thread of its own, for clients that block."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

from detente.app import declared_type, mistakes, opened, serve
from detente.kernel.config import Address, loads
from detente.kernel.node import Node

DECLARED = """
teams: {dev: {}}
toggles:
  toggles:
    checkout:
      owner: dev
      rules: [{who: {plan: gold}}]
    half: {percent: 50%}
    timeout: {default: 1500, at_most: 2000}
    rate: {variants: {whole: 1.0, part: 0.5}, default: whole}
"""


class Running:
    """`with Running(folder) as node:`; started again it has the same port."""

    def __init__(self, home: Path, declared: str = DECLARED, port: int = 0) -> None:
        self.home, self.declared, self.port = home, declared, port
        self.node: Node
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Running:
        self._thread.start()
        assert self._ready.wait(30), "the node did not come up"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(30)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._up())

    async def _up(self) -> None:
        declared = loads(self.declared, declared_type(), cross=mistakes)
        async with opened(declared, self.home) as self.node:
            server, self.port = await serve(self.node, Address(f"127.0.0.1:{self.port}"))
            self._ready.set()
            await self._stop.wait()
            await server.close()

    def ask(
        self, method: str, path: str, body: Any = None, *, token: bool = True, **headers: str
    ) -> tuple[int, Any, dict[str, str]]:
        """Status, body and headers."""
        shown = {"Authorization": f"Bearer {self.node.token}"} if token else {}
        said = {name.replace("_", "-"): value for name, value in headers.items()}
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            line.request(method, path, content if body is not None else None, {**shown, **said})
            answer = line.getresponse()
            text = answer.read()
            told = json.loads(text) if text else None
            return answer.status, told, {k.lower(): v for k, v in answer.getheaders()}
        finally:
            line.close()

    def pull(self, lever: str, toggle: str, **said: Any) -> None:
        """Somebody switches."""
        form = {"about": f"toggle:{toggle}", "why": "we want it", **said}
        status, told, _ = self.ask(
            "POST",
            f"/levers/toggles.{lever}",
            form,
            Accept="application/json",
            Content_Type="application/json",
        )
        assert status == 200, told
