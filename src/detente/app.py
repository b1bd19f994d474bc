"""How does a node come to life?

Opens the ledger, folds the views, mounts pages and levers, starts effects. Knows slices only by
their cards.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import random
import secrets
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import apsw
import msgspec
from msgspec import Meta

import detente
from detente.facts.node import Started, Stopped
from detente.kernel import spans, tries
from detente.kernel.catalogue import Catalogue, Infrastructure, Journey, Service, Team, Vendor
from detente.kernel.clock import Clock, SystemClock, seconds_between
from detente.kernel.config import Address, Mistake, Url, load
from detente.kernel.ledger import Ledger, LedgerError, Query, beside
from detente.kernel.ledger.sqlite import SqliteLedger
from detente.kernel.mailing import Mail
from detente.kernel.network import Network, RealNetwork
from detente.kernel.node import CannotStart, Node
from detente.kernel.slice import Effect, Lever, Page, Slice
from detente.kernel.views import NotViews, Projection, Views
from detente.slices import CARDS

if TYPE_CHECKING:
    from detente.kernel.web.server import WebServer

log = logging.getLogger(__name__)


class Web(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the pages are."""

    listen: Annotated[Address, Meta(description="where the pages are served")] = Address(
        "127.0.0.1:3383"
    )
    address: Annotated[
        Url | None, Meta(description="how people reach the pages, for links in mails")
    ] = None
    trust_network: Annotated[
        bool,
        Meta(
            description="true if everybody who can reach `listen` may see and do everything, for"
            " example behind a proxy that signs people on"
        ),
    ] = False


class Declared(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What stands in `detente.yaml`."""

    name: Annotated[str, Meta(description="your team's or company's name")] = "Détente"
    ledger: Annotated[str, Meta(description="the ledger's file, relative to this one")] = (
        "detente.db"
    )
    web: Web = Web()
    mail: Mail | None = None
    teams: Mapping[str, Team] = {}
    vendors: Mapping[str, Vendor] = {}
    services: Mapping[str, Service] = {}
    infrastructure: Mapping[str, Infrastructure] = {}
    journeys: Mapping[str, Journey] = {}


def declared_type(cards: Sequence[Slice] = CARDS) -> type[Declared]:
    """`Declared` with a section for each slice."""
    sections = [(card.noun, card.settings, card.settings()) for card in cards]
    made = msgspec.defstruct(
        "Declared",
        sections,
        bases=(Declared,),
        frozen=True,
        kw_only=True,
        forbid_unknown_fields=True,
    )
    made.__doc__ = Declared.__doc__
    return cast("type[Declared]", made)


def load_declared(path: Path, environ: Mapping[str, str] | None = None) -> Declared:
    """What people declared. Raises ConfigErrors with every mistake at once."""
    environ = os.environ if environ is None else environ
    return load(path, declared_type(), environ=environ, cross=mistakes)


def mistakes(declared: Declared) -> Iterator[Mistake]:
    """What is wrong between sections that are each right."""
    catalogue = catalogue_of(declared)
    yield from catalogue.mistakes()
    for card in CARDS:
        if card.mistakes is not None:
            yield from card.mistakes(getattr(declared, card.noun), catalogue)
    if not declared.web.trust_network and not _is_loopback(declared.web.listen.host):
        says = (
            "others could reach this address, and there is no sign-on yet: listen on 127.0.0.1, or"
            " say `trust_network: true` if a proxy in front signs people on"
        )
        yield Mistake(("web", "listen"), says)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def catalogue_of(declared: Declared, cards: Sequence[Slice] = CARDS) -> Catalogue:
    """What was declared, with what the slices measure of it."""
    bare = Catalogue(
        mail=declared.mail,
        teams=declared.teams,
        vendors=declared.vendors,
        services=declared.services,
        infrastructure=declared.infrastructure,
        journeys=declared.journeys,
    )
    measures = {
        name: measure
        for card in cards
        if card.measures is not None
        for name, measure in card.measures(getattr(declared, card.noun), bare).items()
    }
    names = {
        kind: dict.fromkeys(those)
        for card in cards
        if card.declares is not None
        for kind, those in card.declares(getattr(declared, card.noun)).items()
    }
    return msgspec.structs.replace(bare, measures=measures, names=names)


def pages_of(cards: Iterable[Slice] = CARDS) -> list[Page]:
    """The kernel's own pages, then each slice's."""
    from detente.kernel.faces import now_page, subject_page, timeline_page

    own = [now_page(), timeline_page(), subject_page()]
    return [*own, *(page for card in cards for page in card.pages)]


def levers_of(cards: Iterable[Slice] = CARDS) -> list[Lever]:
    return [lever for card in cards for lever in card.levers]


def ledger_path(declared: Declared, home: Path) -> Path:
    return home / declared.ledger


def open_views(ledger: Ledger, path: Path | str, cards: Sequence[Slice] = CARDS) -> Views:
    """The views of these slices, caught up; folded anew where the file is no use."""
    kinds = [kind for card in cards for kind in card.spans]
    projections = [spans.projection(kinds), tries.projection()]
    projections += [card.projection for card in cards if card.projection is not None]
    try:
        try:
            return _caught_up(ledger, path, projections)
        except (apsw.CorruptError, apsw.NotADBError):
            log.warning("%s was damaged; it is folded again from the ledger", path)
            _remove(path)
        return _caught_up(ledger, path, projections)
    except NotViews as error:
        raise CannotStart(str(error)) from error
    except (OSError, *_UNWRITABLE) as error:
        raise CannotStart(
            f"{path} cannot be written ({error}). Give this user the right to, or free some space."
        ) from error


_UNWRITABLE = (apsw.CantOpenError, apsw.ReadOnlyError, apsw.IOError, apsw.FullError)


def _caught_up(ledger: Ledger, path: Path | str, projections: Sequence[Projection]) -> Views:
    views = Views(path, projections)
    try:
        views.check(ledger)
        views.catch_up(ledger)
    except BaseException:
        views.close()
        raise
    return views


def _remove(path: Path | str) -> None:
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def views_path(ledger: Path) -> Path:
    return beside(ledger, "views")


def token_for(ledger: Path) -> str:
    """What programs on this machine show to be let in."""
    return _kept_secret(beside(ledger, "token"), "The token for programs on this machine")


def key_for(ledger: Path) -> bytes:
    """What this node signs with; every purpose has a key of its own made from it."""
    return _kept_secret(beside(ledger, "key"), "The key that this node signs with").encode()


def _kept_secret(path: Path, what: str) -> str:
    """Made once, by chance; only this user can read the file."""
    try:
        with suppress(FileNotFoundError):
            path.chmod(0o600)  # it may have come back from a backup
            if kept := path.read_text().strip():
                return kept
        return _new_secret(path)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise CannotStart(
            f"{what} cannot be kept in {path}: {why}. Give this user the right to write there."
        ) from error


def _new_secret(path: Path) -> str:
    """Whole or not at all, and never for a moment in a file that others can read."""
    token = secrets.token_urlsafe(32)
    fresh = beside(path, "new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(token)
    fresh.replace(path)
    return token


def put_together(
    declared: Declared,
    *,
    ledger: Ledger,
    views: Views,
    clock: Clock,
    chance: random.Random,
    network: Network,
    token: str = "",
    key: bytes = b"",
    cards: Sequence[Slice] = CARDS,
) -> Node:
    """A node out of its parts, nothing started."""
    listen = declared.web.listen
    return Node(
        clock=clock,
        chance=chance,
        network=network,
        ledger=ledger,
        views=views,
        catalogue=catalogue_of(declared, cards),
        cards=tuple(cards),
        declared={card.noun: getattr(declared, card.noun) for card in cards},
        address=str(declared.web.address or f"http://{listen}").rstrip("/"),
        token=token,
        key=key,
        name=declared.name,
    )


@asynccontextmanager
async def opened(declared: Declared, home: Path) -> AsyncIterator[Node]:
    """The real node on this machine, its ledger open for writing, nothing started yet."""
    path = ledger_path(declared, home)
    clock = SystemClock()
    ledger = SqliteLedger(path, clock=clock, holder=f"detente up ({declared.web.listen})")
    try:
        views = open_views(ledger, views_path(path))
        views.hurry()
        ledger.on_commit(partial(views.catch_up, ledger))
        network = RealNetwork()
        try:
            yield put_together(
                declared,
                ledger=ledger,
                views=views,
                clock=clock,
                chance=random.SystemRandom(),
                network=network,
                token=token_for(path),
                key=key_for(path),
            )
        finally:
            await network.close()
            views.close()
    finally:
        await ledger.close()


@asynccontextmanager
async def looking(declared: Declared, home: Path) -> AsyncIterator[Node]:
    """The same node for looking only: while none runs, or beside one that does."""
    path = ledger_path(declared, home)
    if not path.exists():
        raise CannotStart(f"There is no ledger at {path} yet. Start a node with `detente up`.")
    ledger = SqliteLedger(path, clock=SystemClock(), read_only=True)
    try:
        views = open_views(ledger, ":memory:")
        try:
            node = put_together(
                declared,
                ledger=ledger,
                views=views,
                clock=SystemClock(),
                chance=random.SystemRandom(),
                network=RealNetwork(),
            )
            node.running = False
            yield node
        finally:
            views.close()
    finally:
        await ledger.close()


async def serve(node: Node, listen: Address) -> tuple[WebServer, int]:
    """Open the pages; answers with the port, which matters when 0 was asked for."""
    from detente.kernel.web.server import WebServer, application

    site = application(
        node, pages_of(node.cards), levers_of(node.cards), address=node.address, token=node.token
    )
    server = WebServer(site)
    return server, await server.start(listen.host, listen.port)


async def run(node: Node, stop: asyncio.Event) -> None:
    """Keep every effect going until asked to stop. CannotStart ends it at once."""
    began = node.clock.now()
    await _note_start(node)
    effects = [effect for card in node.cards for effect in card.effects if effect.wanted(node)]
    tasks = [asyncio.create_task(keep_going(node, effect), name=effect.name) for effect in effects]
    tasks.append(asyncio.create_task(_look_for_room(node), name="look for room"))
    waiting = asyncio.create_task(stop.wait())
    try:
        ended, _ = await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in ended:
            task.result()
    finally:
        for task in (waiting, *tasks):
            task.cancel()
        await asyncio.gather(waiting, *tasks, return_exceptions=True)
        ran_for = seconds_between(began, node.clock.now())
        with suppress(LedgerError):
            await node.record(Stopped(about="node:here", ran_for=ran_for), by="detente")


async def _note_start(node: Node) -> None:
    lately = node.ledger.read(Query(names=("node.*",)), backwards=True, limit=1)
    crashed = any(isinstance(last.fact, Started) for last in lately)
    started = Started(about="node:here", version=detente.__version__, unannounced_end=crashed)
    await node.record(started, by="detente")


async def _look_for_room(node: Node) -> None:
    """While nothing could be written, see now and then whether it can be again."""
    while True:
        await asyncio.sleep(10)
        if node.unwritten is not None:
            with suppress(LedgerError):
                await node.record(by="detente", reader=("node", node.ledger.head()))


_PATIENCE = (1.0, 2.0, 5.0, 10.0, 30.0)  # seconds before an effect that stumbled is started again
_STEADY = 60.0  # seconds after which a stumble is a new one


async def keep_going(node: Node, effect: Effect) -> None:
    """Run an effect for ever; one that stumbles is started again and does not pull others down."""
    stumbles = 0
    loop = asyncio.get_running_loop()
    while True:
        began = loop.time()
        try:
            await effect.run(node)
        except CannotStart:
            raise
        except Exception as error:
            cannot = _cannot_start(error)
            if cannot is not None:
                raise cannot from error
            log.error("%s stumbled and starts again: %s", effect.name, _whole(error))
            log.debug("where it stumbled", exc_info=error)
        if loop.time() - began > _STEADY:
            stumbles = 0
        await asyncio.sleep(_PATIENCE[min(stumbles, len(_PATIENCE) - 1)])
        stumbles += 1


def _cannot_start(error: BaseException) -> CannotStart | None:
    """A CannotStart inside a task group comes out in an ExceptionGroup."""
    if isinstance(error, CannotStart):
        return error
    for inner in getattr(error, "exceptions", ()):
        found = _cannot_start(inner)
        if found:
            return found
    return None


def _whole(error: BaseException) -> str:
    inner = getattr(error, "exceptions", None)
    if inner:
        return "; ".join(_whole(each) for each in inner)
    return f"{type(error).__name__}: {error}"
