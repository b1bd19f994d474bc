"""The queue, a call and the money: what stands where."""

from __future__ import annotations

import msgspec

from detente.kernel import spans
from detente.kernel.faces import Told, tell
from detente.kernel.fact import Subject, Tone, plain
from detente.kernel.ledger import Query
from detente.kernel.money import Money, total
from detente.kernel.network import Reply
from detente.kernel.node import Node
from detente.kernel.slice import Ask, Page, Panel, Sign
from detente.work import queries
from detente.work.decisions import Call, State
from detente.work.effects import Mailroom
from detente.work.engine.travel import Request
from detente.work.pages.masked import masks
from detente.work.queries import Reason, Sum, Waiting
from detente.work.queries.drills import Rehearsal, rehearsals
from detente.work.queries.failures import failures
from detente.work.settings import Work


class Queue(msgspec.Struct, frozen=True, kw_only=True):
    """Everything waiting, and where the money stands."""

    waiting: list[Call]  # the oldest of them
    waiting_calls: int  # all of them
    held: list[Call]  # those a person must decide, the last changed first
    reasons: list[Reason]  # why the others are parked
    books: list[Sum]
    at_stake: tuple[Money, ...]
    unpriced: int  # waiting calls of which nobody knows what they are worth
    routes: list[RouteState]
    done_lately: list[Call]
    recovered: Sum  # of what was charged: what had to wait for it
    drills: list[Rehearsal]  # the last ones
    failures: int  # ways to break that were seen in the last 24 hours
    statements: bool  # may a vendor's book be laid beside ours?


class RouteState(msgspec.Struct, frozen=True, kw_only=True):
    """How one route is doing."""

    about: Subject
    vendor: Subject
    state: str  # calls go through, stopped waiting, paused, in a drill
    tone: str
    reason: str
    waiting: int


class CallPage(msgspec.Struct, frozen=True, kw_only=True):
    """One call with its history and what was asked, with secrets masked."""

    call: Call
    history: list[Told]
    request: str | None  # as it is sent
    original: str | None  # as it came, if it was edited
    headers: dict[str, str]
    answer: str | None


class Books(msgspec.Struct, frozen=True, kw_only=True):
    """The money of one vendor or route: every accepted call in exactly one state."""

    books: list[Sum]
    waiting: list[Call]
    routes: list[RouteState]
    recovered: Sum


def queue(node: Node, _ask: Ask) -> Queue:
    waiting = queries.waiting(node.rows)
    all_waiting = queries.waiting_by_route(node.rows).values()
    return Queue(
        waiting=waiting,
        books=queries.books(node.rows),
        held=queries.listed(node.rows, "held"),
        reasons=queries.reasons(node.rows),
        waiting_calls=sum(each.calls for each in all_waiting),
        at_stake=total(amount for each in all_waiting for amount in each.money),
        unpriced=sum(each.unpriced for each in all_waiting),
        routes=[_route_state(node, name) for name in node.settings(Work).routes],
        done_lately=_done_lately(node),
        recovered=queries.recovered(node.rows),
        drills=rehearsals(node, limit=5),
        failures=sum(1 for each in failures(node.rows, node.now()) if sum(each.hours)),
        statements=any(each.statement for each in node.settings(Work).routes.values()),
    )


def _done_lately(node: Node) -> list[Call]:
    states: tuple[State, ...] = ("charged", "settled", "refunded", "handed back", "lost")
    done = [each for state in states for each in queries.listed(node.rows, state, limit=20)]
    parked = [each for each in done if each.parked_at is not None]
    return sorted(parked, key=lambda each: -each.changed_at)[:20]


def _route_state(node: Node, name: str) -> RouteState:
    about = f"route:{name}"
    going = {span.kind: span for span in spans.going_on(node.rows) if span.about == about}
    if not node.running:
        state, tone, reason = "Détente is not running", "plain", "no call is passed on"
    elif "drill" in going:
        # Loud: whoever looks at anything during a drill must know that it is one.
        reason = f"DRILL, nothing is broken: it {going['drill'].says}"
        state, tone = "in a drill", "warn"
    elif "pause" in going:
        state, tone, reason = "paused", "warn", going["pause"].says
    elif "breaker" in going:
        state, tone, reason = "stopped waiting", "bad", going["breaker"].says
    else:
        state, tone, reason = "calls go through", "good", ""
    count = queries.waiting_by_route(node.rows).get(name, Waiting()).calls
    vendor = f"vendor:{node.settings(Work).routes[name].vendor}"
    return RouteState(
        about=about, vendor=vendor, state=state, tone=tone, reason=reason, waiting=count
    )


def one_call(node: Node, ask: Ask) -> CallPage:
    return _call_page(node, f"call:{ask.path['call']}")


def _call_page(node: Node, about: Subject) -> CallPage:
    call = queries.call_or_not_found(node.rows, about)
    about = call.about  # people may have named it by its end
    request = _request(node, call.request)
    first = queries.requests(node, about)[:1]
    original = _request(node, first[0]) if first and first[0] != call.request else None
    kept_answer = node.ledger.attachment(call.answer) if call.answer else None
    answer = msgspec.msgpack.decode(kept_answer, type=Reply).body if kept_answer else None
    mask = masks(node, call.route)
    return CallPage(
        call=call,
        history=[tell(node, each) for each in node.ledger.read(Query(subjects=(about,)))],
        request=mask.body(request.body) if request else None,
        original=mask.body(original.body) if original else None,
        headers=mask.headers(request.headers) if request else {},
        answer=mask.body(answer) if answer else None,
    )


def _request(node: Node, position: int) -> Request | None:
    kept = node.ledger.attachment(position)
    return msgspec.msgpack.decode(kept, type=Request) if kept else None


# -- signs on Now ------------------------------------------------------------------------------


def signs(node: Node) -> list[Sign]:
    found = []
    waiting = queries.waiting_by_route(node.rows)
    routes = node.settings(Work).routes
    for name in routes:
        state = _route_state(node, name)
        if state.tone != "good" or name in waiting:
            found.append(_route_sign(node, state, waiting.get(name, Waiting())))
    found += _full_signs(node) + _mail_signs(node)
    return [*found, *(_stray_sign(name, waiting[name]) for name in waiting if name not in routes)]


def _full_signs(node: Node) -> list[Sign]:
    most, kept = node.settings(Work).park_at_most, queries.bytes_kept(node.rows)
    if kept < most * _NEARLY:
        return []
    waiting = queries.waiting_by_route(node.rows)
    fullest = max(waiting, key=lambda name: waiting[name].calls, default="")
    share = f"{kept / most:.0%} of the room for waiting calls ({most}) is taken"
    says = f"{share}; where a vendor is away, new calls are turned away when it is full"
    tone: Tone = "bad" if kept >= most else "warn"
    return [Sign(tone=tone, about=f"route:{fullest}", sentence=says, href="/work")]


_NEARLY = 0.8


def _mail_signs(node: Node) -> list[Sign]:
    room: Mailroom | None = node.part(Mailroom)
    if room is None or not room.trouble:
        return []
    says = f"cannot be asked about the queue by mail: {room.trouble}"
    return [Sign(tone="warn", about=f"team:{room.mail.to[0]}", sentence=says, href="/work")]


def _stray_sign(name: str, waiting: Waiting) -> Sign:
    """Calls whose route was taken out of `detente.yaml`: nobody sends them any more."""
    waits = "1 call waits" if waiting.calls == 1 else f"{waiting.calls} calls wait"
    return Sign(
        tone="warn",
        about=f"route:{name}",
        sentence=f"{waits} for a route that is no longer declared; settle by hand or declare it",
        since=waiting.since,
        costs=waiting.money,
        href="/work",
    )


def _route_sign(node: Node, state: RouteState, waiting: Waiting) -> Sign:
    going = [span for span in spans.going_on(node.rows) if span.about == state.about]
    route = plain(state.about)
    held = sum(each.calls for each in queries.books(node.rows, route=route) if each.state == "held")
    parked = state.waiting - held
    said = (
        state.reason,
        f"{parked} {'call waits' if parked == 1 else 'calls wait'} to be passed on"
        if parked
        else "",
        f"{held} {'call waits' if held == 1 else 'calls wait'} for a person" if held else "",
    )
    sentence = "; ".join(part for part in said if part)
    return Sign(
        tone="warn",
        about=state.about,
        sentence=sentence,
        since=going[0].start if going else waiting.since,
        costs=waiting.money,
        href="/work",
        of=state.vendor,
    )


# -- panels ------------------------------------------------------------------------------------


def books_panel(node: Node, about: Subject) -> Books | None:
    vendor = about if about.startswith("vendor:") else None
    route = plain(about) if about.startswith("route:") else None
    routes = [
        _route_state(node, name)
        for name, each in node.settings(Work).routes.items()
        if name == route or f"vendor:{each.vendor}" == vendor
    ]
    if not routes:
        return None
    waiting = queries.waiting(node.rows, vendor=vendor, route=route)
    books = queries.books(node.rows, vendor=vendor, route=route)
    recovered = queries.recovered(node.rows, vendor=vendor, route=route)
    return Books(books=books, waiting=waiting, routes=routes, recovered=recovered)


def call_panel(node: Node, about: Subject) -> CallPage:
    return _call_page(node, about)


PAGES = (
    Page(
        path="/work",
        title="Queue",
        answer=queue,
        template="work/queue.html",
        in_menu=True,
        hears=("work.*",),
    ),
    Page(
        path="/work/calls/{call}",
        title="Call",
        answer=one_call,
        template="work/call.html",
        hears=("work.*",),
    ),
)

PANELS = (
    Panel(
        title="Queue and money",
        kinds=("vendor", "route"),
        answer=books_panel,
        template="work/books.html",
    ),
    Panel(title="The call", kinds=("call",), answer=call_panel, template="work/call_panel.html"),
)
