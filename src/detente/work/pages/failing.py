"""What broke, as developers want to see it and operators can read it."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from detente.kernel.clock import Instant
from detente.kernel.fact import Subject, plain
from detente.kernel.network import Reply
from detente.kernel.node import Node
from detente.kernel.slice import Ask, NotFound, Page
from detente.work import queries
from detente.work.engine.travel import Request
from detente.work.pages.masked import Masks, masks
from detente.work.queries.failures import (
    During,
    Failure,
    Follows,
    during,
    failure,
    failures,
    follows,
    latest,
)

_SAMPLES = 3


class Failures(msgspec.Struct, frozen=True, kw_only=True):
    """What broke, grouped by how, with how often, since when and whether it gets worse."""

    failures: list[Failure]
    times: int  # in the last 24 hours, all together


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One call that broke so: what was asked and what came back, with secrets masked."""

    call: Subject
    position: int  # of the fact
    at: Instant
    asked: str  # "POST /charges"
    headers: dict[str, str]
    request: str | None  # None: no longer kept
    answer: str | None  # None: there was none, or it is no longer kept


class FailurePage(msgspec.Struct, frozen=True, kw_only=True):
    """One way to break: what was going on then, and what was asked and answered."""

    failure: Failure
    follows: list[Follows]
    during: list[During]
    samples: list[Sample]
    calls: list[Subject]  # the last of them


def all_failures(node: Node, _ask: Ask) -> Failures:
    found = failures(node.rows, node.now())
    return Failures(failures=found, times=sum(sum(each.hours) for each in found))


def one_failure(node: Node, ask: Ask) -> FailurePage:
    it = failure(node.rows, ask.path["failure"], node.now())
    if it is None:
        raise NotFound(f"There is no failure {ask.path['failure']}; /work/failures lists them.")
    seen = latest(node.rows, it.id)
    return FailurePage(
        failure=it,
        follows=follows(node, it),
        during=during(node, it),
        samples=list(_samples(node, seen)),
        calls=list(dict.fromkeys(about for _, _, about in seen)),
    )


def _samples(node: Node, seen: list[tuple[int, Instant, Subject]]) -> Iterator[Sample]:
    """Of different calls, the last first, and only some."""
    told: set[Subject] = set()
    for position, at, about in seen:
        call = queries.call(node.rows, about)
        if call is None or about in told or len(told) == _SAMPLES:
            continue
        told.add(about)
        sent = max((at for at in queries.requests(node, about) if at < position), default=0)
        kept, answered = node.ledger.attachment(sent), node.ledger.attachment(position)
        request = msgspec.msgpack.decode(kept, type=Request) if kept else None
        reply = msgspec.msgpack.decode(answered, type=Reply) if answered else None
        mask = masks(node, call.route)
        yield Sample(
            call=about,
            position=position,
            at=at,
            asked=f"{call.method} {call.path}",
            headers=mask.headers(request.headers) if request else {},
            request=mask.body(request.body) if request else None,
            answer=_told(reply, mask) if reply else None,
        )


def _told(reply: Reply, mask: Masks) -> str:
    return f"HTTP {reply.status}\n{mask.body(reply.body)}" if reply.body else f"HTTP {reply.status}"


def title(it: Failure) -> str:
    return f"{it.kind} from {plain(it.vendor)}"


PAGES = (
    Page(
        path="/work/failures",
        title="Failures",
        answer=all_failures,
        template="work/failures.html",
        hears=("work.call_refused", "work.call_parked", "work.replay_failed"),
    ),
    Page(
        path="/work/failures/{failure}",
        title="Failure",
        answer=one_failure,
        template="work/failure.html",
        hears=("work.call_refused", "work.call_parked", "work.replay_failed"),
    ),
)
