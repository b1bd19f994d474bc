"""The rota in everybody's own calendar."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from detente.kernel.clock import later, moment
from detente.kernel.node import Node
from detente.kernel.slice import Answered, Asked, Endpoint, NotFound
from detente.pager import queries
from detente.pager.engine.rota import Shift
from detente.pager.settings import Pager

if TYPE_CHECKING:
    import icalendar

_BACK = 30 * 86_400.0
_AHEAD = 120 * 86_400.0
_ASKED = ("person", "rota")


async def calendar(node: Node, asked: Asked) -> Answered:
    """Who is on call, as iCalendar; `?person=ada` or `?rota=on-call` for a part of it."""
    import icalendar

    person, rota = (_known(node, what, asked.query.get(what, "")) for what in _ASKED)
    made = icalendar.Calendar()
    made.add("prodid", "-//Detente//rota//EN")
    made.add("version", "2.0")
    made.add("x-wr-calname", f"{node.name}: on call")
    made.add("refresh-interval;value=duration", "PT1H")
    for name in (rota,) if rota else node.settings(Pager).rota:
        for event in _events(node, name, person):
            made.add_component(event)
    return Answered(body=made.to_ical(), type="text/calendar; charset=utf-8")


def _known(node: Node, what: str, said: str) -> str:
    pager = node.settings(Pager)
    there: Any = {"person": pager.people, "rota": pager.rota}[what]
    if said and said not in there:
        raise NotFound(f"There is no {what} {said}; declared: {', '.join(there) or 'none'}.")
    return said


def _events(node: Node, rota: str, person: str) -> Iterator[icalendar.Event]:
    now = node.clock.now()
    start, end = later(now, -_BACK), later(now, _AHEAD)
    for shift in queries.shifts(node, rota, start, end):
        whole = (
            shift.start > start
        )  # the first one began earlier, and would seem to begin ever later
        if whole and shift.person is not None and person in ("", shift.person):
            yield _event(node, rota, shift)


def _event(node: Node, rota: str, shift: Shift) -> icalendar.Event:
    import icalendar

    event = icalendar.Event()
    who = queries.called(node, shift.person or "")
    event.add("uid", f"{rota}.{shift.start // 1_000_000_000}@detente")
    event.add("dtstamp", moment(node.clock.now()))
    event.add("dtstart", moment(shift.start))
    event.add("dtend", moment(shift.end))
    event.add("summary", f"{who}: {rota}")
    if shift.instead_of:
        event.add("description", f"Instead of {queries.called(node, shift.instead_of)}")
    event.add("transp", "TRANSPARENT")  # on call is not busy
    event.add("url", f"{node.address}/pager")
    return event


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/pager/rota.ics",
        explains="Who is on call, as a calendar to subscribe to; with ?person= or ?rota= a part of it.",
        answer=calendar,
    ),
)
