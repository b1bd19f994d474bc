"""Where do callers of a vendor come in?

An HTTP server in front of the routes: `http://<gateway>/<route>/rest?query` arrives as an `Incoming`
and whatever answers it is handed in. Knows nothing of vendors, breakers or ledgers.

Routes carry our own keys, so programs may call them and web pages may not: a browser says by itself
that a page asks, and by which name it came.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from detente.kernel.network import is_loopback
from detente.work.engine.travel import Incoming, Outgoing, problem

if TYPE_CHECKING:
    from aiohttp import web

MAX_REQUEST = 10 * 1024 * 1024  # bytes


class Gateway:
    """The server. `answer` is asked once per request and must always answer."""

    def __init__(
        self, answer: Callable[[Incoming], Awaitable[Outgoing]], *, names: Collection[str] = ()
    ) -> None:
        self._answer = answer
        self._names = names
        self._runner: web.AppRunner | None = None
        self._loopback = False
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
        self._loopback = is_loopback(host)

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:

        from aiohttp import web

        outgoing = turned_away(request.headers, only_here=self._loopback, names=self._names)
        if outgoing is None:
            try:
                outgoing = await self._answer(await self._incoming(request))
            except web.HTTPRequestEntityTooLarge:
                most = f"{MAX_REQUEST // 1024**2} MB"
                outgoing = problem(413, f"the body is longer than {most}; nothing was sent or kept")
        response = web.Response(status=outgoing.status, body=outgoing.body)
        for name, value in outgoing.headers:
            response.headers.add(name, value)
        return response

    async def _incoming(self, request: web.Request) -> Incoming:
        body = await request.read()
        # Cut as it was written: what stands behind the route is the vendor's to decode.
        target = request.rel_url.raw_path_qs.removeprefix("/")
        end = next((at for at, sign in enumerate(target) if sign in "/?"), len(target))
        route, path = unquote(target[:end]), target[end:]
        pairs = tuple((str(name), value) for name, value in request.headers.items())
        return Incoming(route, request.method, path, pairs, body)


def turned_away(
    headers: Mapping[str, str], *, only_here: bool, names: Collection[str] = ()
) -> Outgoing | None:
    """Why a request may not come in, or None. `only_here`: we listen on this machine alone.

    `names`: what callers may call the gateway besides; where any are given, only those and this
    machine's own will do, so a page that has its own name point here gets nothing.
    """
    if "Origin" in headers or headers.get("Sec-Fetch-Site", "none") != "none":
        says = "a web page asked for this; routes carry your keys and are for programs on your side"
        return problem(403, f"{says}, so let your server call it")
    named = headers.get("Host", "")
    if (only_here or names) and named and not _is_ours(_name_in(named), names):
        if names:
            says = f"the gateway does not answer to {named!r}; call it as {' or '.join(names)}"
            return problem(421, f"{says}, or add that name to work: gateway_names:")
        says = f"the gateway listens on this machine alone and does not answer to {named!r}"
        return problem(421, f"{says}; call it as localhost")
    return None


def _is_ours(name: str, names: Collection[str]) -> bool:
    return is_loopback(name) or name.lower() in {each.strip("[]").lower() for each in names}


def _name_in(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
