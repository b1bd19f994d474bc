"""What is at which address?

Every page twice, as HTML and as JSON; levers to pull by POST; facts as they land, as server-sent
events; the description of all this for programs at `/openapi.json`. Mistakes of the visitor and of
our own come back as a calm page, or as `{"error": …}`, in plain words.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import resource
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit
from zoneinfo import available_timezones

import jinja2
import msgspec
from aiohttp import web

from detente.kernel.fact import Unfit
from detente.kernel.forms import BadForm
from detente.kernel.ledger import LedgerError
from detente.kernel.slice import Ask, Asked, Endpoint, Lever, NotFound, Page, Refused, encoded
from detente.kernel.web import door
from detente.kernel.web.door import TurnedAway
from detente.kernel.web.kit import STATIC, Flash, Reading, draw, environment
from detente.kernel.web.live import Live
from detente.kernel.web.openapi import describe
from detente.kernel.web.pulling import Outcome, Pulling, asked, told_in_short

if TYPE_CHECKING:
    from detente.kernel.node import Node

_LARGEST_POST = 256 * 1024
_KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_ZONES = frozenset(available_timezones())
_FLASH_SECONDS = 30
_MOST_STREAMS = 2_000
_COME_BACK = "10"  # seconds, when there are too many
_encoder = msgspec.json.Encoder()
_log = logging.getLogger(__name__)


class PortInUse(Exception):
    """Something else listens there; the message says where and what to do."""


def application(
    node: Node,
    pages: Sequence[Page],
    levers: Sequence[Lever],
    *,
    address: str,
    token: str = "",
    folders: Mapping[str, Path] | None = None,
    streams: int | None = None,
) -> web.Application:
    """All addresses of the node. `folders`: where each noun's templates are, if not beside it.

    `streams`: how many programs may listen at the same time, if not as many as there is room for.
    """
    folders = _beside(node) if folders is None else folders
    templates = environment(node, folders, pages=pages, levers=levers)
    site = Site(node, templates, Pulling(node, levers), address=address, token=token)
    site.most_streams = _most_streams() if streams is None else streams
    app = web.Application(middlewares=[site.at_the_door], client_max_size=_LARGEST_POST)
    app.on_response_prepare.append(door.add_headers)
    live = Live(node)
    app.on_shutdown.append(live.close)
    app.on_shutdown.append(site.let_go)
    app.router.add_get("/live", live.listen)
    for endpoint in (each for card in node.cards for each in card.endpoints):
        app.router.add_route(endpoint.method, endpoint.path, site.to_programs(endpoint))
    app.router.add_post("/levers/{lever}", site.pull)
    app.router.add_post("/who", site.introduce)
    app.router.add_get("/openapi.json", _described(node, address, pages, levers))
    for file in STATIC.iterdir():
        app.router.add_get(f"/static/{file.name}", _static(file))
    for path, page, twin in sorted(_addresses(pages), key=_plainest_first):
        app.router.add_get(path, site.as_json(page) if twin else site.as_html(page))
    return app


class WebServer:
    """The node's pages on a port."""

    def __init__(self, app: web.Application) -> None:
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=2.0)

    async def start(self, host: str, port: int) -> int:
        """Listen; answers with the port, which matters when 0 was asked for."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        try:
            await site.start()
        except OSError as failure:
            await self._runner.cleanup()
            if failure.errno != errno.EADDRINUSE:
                raise
            raise PortInUse(
                f"Something already listens on {host}:{port}, perhaps another Détente. Stop it, or "
                "choose another port with `detente up --port`."
            ) from None
        return int(self._runner.addresses[0][1])

    async def close(self) -> None:
        """Let open pages go and stop listening."""
        await self._runner.cleanup()


class Site:
    """Pages drawn for whoever asks."""

    def __init__(
        self,
        node: Node,
        templates: jinja2.Environment,
        pulling: Pulling,
        *,
        address: str,
        token: str,
    ) -> None:
        self._node = node
        self._templates = templates
        self._pulling = pulling
        self._address = address
        self._token = token
        self._streams: set[asyncio.Task[Any]] = set()
        self.most_streams = _MOST_STREAMS
        self._doors: dict[Any, Callable[[Node, Asked], bool]] = {}

    def as_html(self, page: Page) -> door.Handler:
        async def answer(request: web.Request) -> web.StreamResponse:
            reading = self._reading(request)
            found = page.answer(self._node, _ask(request))
            return self._page(request, reading, page.template, page=page, answer=found)

        return answer

    def as_json(self, page: Page) -> door.Handler:
        async def answer(request: web.Request) -> web.StreamResponse:
            return _json(encoded(page.answer(self._node, _ask(request))))

        return answer

    def to_programs(self, endpoint: Endpoint) -> door.Handler:
        async def answer(request: web.Request) -> web.StreamResponse:
            request[_TO_PROGRAMS] = "text/html" not in request.headers.get("Accept", "")
            request[_LARGEST] = largest = endpoint.largest or _LARGEST_POST
            body = request.clone(client_max_size=largest)
            asked = msgspec.structs.replace(_outside(request), body=await body.read())
            answered = await endpoint.answer(self._node, asked)
            headers = {**_FRESH, **answered.headers, "Content-Type": answered.type}
            if answered.stream is None:
                return web.Response(body=answered.body, status=answered.status, headers=headers)
            response = web.StreamResponse(status=answered.status, headers=headers)
            with suppress(ConnectionError), self._kept_open():
                await response.prepare(request)
                async for some in answered.stream:
                    await response.write(some)
            return response

        if endpoint.admits is not None:
            self._doors[answer] = endpoint.admits
        return answer

    @contextmanager
    def _kept_open(self) -> Iterator[None]:
        """Nobody waits for a stream to end, so it is cut when the node stops."""
        if len(self._streams) >= self.most_streams:
            raise web.HTTPServiceUnavailable(
                reason=f"{len(self._streams)} programs listen already; come back later"
            )
        task = asyncio.current_task()
        assert task is not None
        self._streams.add(task)
        try:
            yield
        finally:
            self._streams.discard(task)

    async def let_go(self, _app: web.Application) -> None:
        """Whoever still listens hears the line break, and comes back."""
        for task in [*self._streams]:
            task.cancel()

    def _admitted(self, request: web.Request) -> bool | None:
        """What an address with a door of its own says to that; None if it has none."""
        admits = self._doors.get(request.match_info.handler)
        return None if admits is None else admits(self._node, _outside(request))

    async def pull(self, request: web.Request) -> web.StreamResponse:
        """A lever, pulled from a page or by a program."""
        said = await asked(request)
        outcome = await self._pulling.pull(request.match_info["lever"], said, by=door.who(request))
        if _wants_json(request):
            return _json(_encoder.encode(outcome))
        return self._back(request, self._said(outcome), outcome.about)

    async def introduce(self, request: web.Request) -> web.StreamResponse:
        """Somebody says who they are; from now on their facts carry the name."""
        name = door.tidy(str((await asked(request)).get("who", "")))
        says = f"Hello {name}. What you do here carries your name." if name else "Name forgotten."
        response = self._back(request, Flash("plain", says), None)
        door.remember(response, "who", name)
        return response

    @property
    def at_the_door(self) -> Any:
        """Checks whoever comes, and answers in plain words when something is wrong."""

        @web.middleware
        async def guard(request: web.Request, handler: door.Handler) -> web.StreamResponse:
            try:
                door.check(
                    request,
                    address=self._address,
                    token=self._token,
                    admitted=self._admitted(request),
                )
                return await handler(request)
            except _PLAIN as wrong:
                answer = self._wrong(request, _status(wrong), _in_words(request, wrong))
                if isinstance(wrong, web.HTTPServiceUnavailable):
                    answer.headers["Retry-After"] = _COME_BACK
                return answer
            except Exception:  # noqa: BLE001 - one broken page must not look like a broken node
                _log.exception("%s %s failed", request.method, request.path)
                return self._wrong(request, 500, _OURS)

        return guard

    def _page(
        self, request: web.Request, reading: Reading, template: str, **variables: Any
    ) -> web.Response:
        text = draw(self._templates, template, reading, **variables)
        response = web.Response(text=text, content_type="text/html", headers=_FRESH)
        if reading.flash:
            response.del_cookie("flash", samesite="Lax")
        return response

    def _wrong(self, request: web.Request, status: int, says: str) -> web.Response:
        if _wants_json(request):
            return _json(_encoder.encode({"error": says}), status)
        reading, title = self._reading(request), _TITLES.get(status, "That did not work")
        response = self._page(
            request,
            reading,
            "wrong.html",
            page=None,
            title=title,
            says=says,
            back=_back_to(request),
        )
        response.set_status(status)
        return response

    def _back(self, request: web.Request, flash: Flash, about: str | None) -> web.Response:
        """To the page where the button was, where the flash is told."""
        where = _back_to(request) or (self._templates.filters["href"](about) if about else "/")
        response = web.Response(status=303, headers={"Location": where, **_FRESH})
        door.remember(response, "flash", f"{flash.tone}|{flash.says}", seconds=_FLASH_SECONDS)
        return response

    def _said(self, outcome: Outcome) -> Flash:
        title = self._node.title(outcome.about)
        return Flash("good", f"{title}: {told_in_short(outcome)}")

    def _reading(self, request: web.Request) -> Reading:
        zone = unquote(request.cookies.get("zone", ""))
        return Reading(
            now=self._node.clock.now(),
            zone=zone if zone in _ZONES else "UTC",
            who=door.who(request),
            path=request.path_qs,
            position=self._node.ledger.head(),
            flash=_flash(request),
        )


def _outside(request: web.Request) -> Asked:
    """A program's request as far as it can be read before its body."""
    return Asked(
        method=request.method,
        path=dict(request.match_info),
        query=dict(request.query),
        headers={name.lower(): value for name, value in request.headers.items()},
        by=door.who(request),
    )


# Addresses


def _addresses(pages: Sequence[Page]) -> list[tuple[str, Page, bool]]:
    """(path, page, is it the JSON twin) of everything there is to GET."""
    found = []
    for page in pages:
        twins = ("/.json", "/now.json") if page.path == "/" else (f"{page.path}.json",)
        found += [(page.path, page, False), *((twin, page, True) for twin in twins)]
    return found


def _plainest_first(address: tuple[str, Page, bool]) -> tuple[int, bool]:
    """`/calls/new` before `/calls/{call}.json` before `/calls/{call}`: the first match answers."""
    path, _page, twin = address
    return path.count("{"), not twin


def _beside(node: Node) -> dict[str, Path]:
    """Each slice keeps its templates in its own folder."""
    home = Path(__file__).parents[2]
    return {card.noun: home / card.noun / "templates" for card in node.cards}


def _described(
    node: Node, address: str, pages: Sequence[Page], levers: Sequence[Lever]
) -> door.Handler:
    endpoints = [each for card in node.cards for each in card.endpoints]
    body = _encoder.encode(describe(node.name, address, pages, levers, endpoints))

    async def answer(_request: web.Request) -> web.StreamResponse:
        return _json(body)

    return answer


def _static(file: Path) -> door.Handler:
    body, kind = file.read_bytes(), _KINDS.get(file.suffix, "application/octet-stream")

    async def answer(request: web.Request) -> web.StreamResponse:
        keep = "max-age=31536000, immutable" if "v" in request.query else "no-cache"
        return web.Response(
            body=body, content_type=kind, charset="utf-8", headers={"Cache-Control": keep}
        )

    return answer


# Requests and answers

_TO_PROGRAMS = web.RequestKey("to_programs", bool)
_LARGEST = web.RequestKey("largest", int)
_PLAIN = (TurnedAway, NotFound, BadForm, Unfit, Refused, LedgerError, web.HTTPError)
_FRESH = {"Cache-Control": "no-store"}
_OURS = "Something went wrong on our side. The node's log says what; nothing was changed."
_TITLES = {
    400: "That could not be used",
    403: "Not from here",
    404: "Nothing here",
    409: "Not now",
    413: "Too much at once",
    421: "Wrong name",
    500: "Our mistake",
    503: "Not just now",
}


def _ask(request: web.Request) -> Ask:
    return Ask(path=dict(request.match_info), query=dict(request.query))


def _wants_json(request: web.Request) -> bool:
    accepts = request.headers.get("Accept", "")
    return (
        request.get(_TO_PROGRAMS, False)
        or request.path.endswith(".json")
        or request.content_type == "application/json"
        or ("application/json" in accepts and "text/html" not in accepts)
    )


def _json(body: bytes, status: int = 200) -> web.Response:
    return web.Response(body=body, status=status, content_type="application/json", headers=_FRESH)


def _status(wrong: Exception) -> int:
    match wrong:
        case TurnedAway():
            return wrong.status
        case web.HTTPError():
            return wrong.status
        case NotFound():
            return 404
        case BadForm() | Unfit():
            return 400
        case Refused():
            return 409
        case _:
            return 503


def _in_words(request: web.Request, wrong: Exception) -> str:
    match wrong:
        case web.HTTPNotFound():
            return f"There is no page at {request.path}."
        case web.HTTPMethodNotAllowed():
            return f"{request.path} does not take {request.method}."
        case web.HTTPRequestEntityTooLarge():
            return (
                f"That is more than the {_size(request.get(_LARGEST, _LARGEST_POST))} taken here."
            )
        case web.HTTPError():
            return f"{wrong.reason}."
        case _:
            return str(wrong) or (type(wrong).__doc__ or "").partition("\n")[0]


def _size(bytes: int) -> str:
    kilo = bytes / 1024
    return f"{kilo:.0f} kB" if kilo < 1024 else f"{kilo / 1024:.3g} MB"


def _most_streams() -> int:
    """Each holds a socket, and half of what there is stays for callers, pages and vendors."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST_STREAMS if files == resource.RLIM_INFINITY else min(_MOST_STREAMS, files // 2)


def _back_to(request: web.Request) -> str | None:
    """The page of ours that the visitor came from."""
    came = urlsplit(request.headers.get("Referer", ""))
    if came.netloc != request.host or not came.path.startswith("/") or came.path.startswith("//"):
        return None
    return came.path + (f"?{came.query}" if came.query else "")


def _flash(request: web.Request) -> Flash | None:
    """Left for the next page a person opens; a page refreshing itself does not take it."""
    if "X-Detente-Live" in request.headers:
        return None
    tone, _, says = unquote(request.cookies.get("flash", "")).partition("|")
    if not says or tone not in ("good", "bad", "warn", "plain"):
        return None
    return msgspec.convert({"tone": tone, "says": says}, Flash)
