"""The rota in everybody's own calendar."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from detente.kernel.clock import later
from detente.kernel.feed import TYPE, Entry
from detente.kernel.feed import calendar as fed
from detente.kernel.node import Node
from detente.kernel.slice import Answered, Asked, Endpoint, NotFound
from detente.pager import queries
from detente.pager.engine.rota import Shift
from detente.pager.settings import Pager

_BACK = 30 * 86_400.0
_AHEAD = 120 * 86_400.0
_ASKED = ("person", "rota")


async def calendar(node: Node, asked: Asked) -> Answered:
    """Who is on call, as iCalendar; `?person=ada` or `?rota=on-call` for a part of it."""
    person, rota = (_known(node, what, asked.query.get(what, "")) for what in _ASKED)
    rotas = (rota,) if rota else tuple(node.settings(Pager).rota)
    entries = (entry for name in rotas for entry in _entries(node, name, person))
    return Answered(body=fed(f"{node.name}: on call", entries), type=TYPE)


def _known(node: Node, what: str, said: str) -> str:
    pager = node.settings(Pager)
    there: Any = {"person": pager.people, "rota": pager.rota}[what]
    if said and said not in there:
        raise NotFound(f"There is no {what} {said}; declared: {', '.join(there) or 'none'}.")
    return said


def _entries(node: Node, rota: str, person: str) -> Iterator[Entry]:
    now = node.clock.now()
    start, end = later(now, -_BACK), later(now, _AHEAD)
    for shift in queries.shifts(node, rota, start, end):
        whole = (
            shift.start > start
        )  # the first one began earlier, and would seem to begin ever later
        if whole and shift.person is not None and person in ("", shift.person):
            yield _entry(node, rota, shift)


def _entry(node: Node, rota: str, shift: Shift) -> Entry:
    return Entry(
        uid=f"{rota}.{shift.start // 1_000_000_000}@detente",
        title=f"{queries.called(node, shift.person or '')}: {rota}",
        start=shift.start,
        end=shift.end,
        changed=node.clock.now(),
        says=f"Instead of {queries.called(node, shift.instead_of)}" if shift.instead_of else "",
        url=f"{node.address}/pager",
        busy=False,  # on call is not busy
    )


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/pager/rota.ics",
        explains="Who is on call, as a calendar to subscribe to; with ?person= or ?rota= a part of it.",
        answer=calendar,
    ),
)
