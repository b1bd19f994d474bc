"""Where do callers of a vendor come in?

An HTTP server in front of the routes: `http://<gateway>/<route>/rest?query` arrives as an `Incoming`
and whatever answers it is handed in. Knows nothing of vendors, breakers or ledgers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING
from urllib.parse import unquote

from detente.work.engine.travel import Incoming, Outgoing

if TYPE_CHECKING:
    from aiohttp import web

MAX_REQUEST = 10 * 1024 * 1024  # bytes


class Gateway:
    """The server. `answer` is asked once per request and must always answer."""

    def __init__(self, answer: Callable[[Incoming], Awaitable[Outgoing]]) -> None:
        self._answer = answer
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def start(self, host: str, port: int) -> None:
        """Listen. OSError if the port is taken."""

        from aiohttp import web

        app = web.Application(client_max_size=MAX_REQUEST)
        app.router.add_route("*", "/{anything:.*}", self._handle)
        self._runner = web.AppRunner(
            app,
            access_log=None,
            handle_signals=False,
            shutdown_timeout=1.0,
            auto_decompress=False,
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:

        from aiohttp import web

        body = await request.read()
        # Cut as it was written: what stands behind the route is the vendor's to decode.
        target = request.rel_url.raw_path_qs.removeprefix("/")
        end = next((at for at, sign in enumerate(target) if sign in "/?"), len(target))
        route, path = unquote(target[:end]), target[end:]
        pairs = tuple((str(name), value) for name, value in request.headers.items())
        incoming = Incoming(route, request.method, path, pairs, body)
        outgoing = await self._answer(incoming)
        response = web.Response(status=outgoing.status, body=outgoing.body)
        for name, value in outgoing.headers:
            response.headers.add(name, value)
        return response
