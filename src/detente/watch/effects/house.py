"""What ends when nobody watches it any more, and what is forgotten in time?"""

from __future__ import annotations

import asyncio

from detente.facts.watch import Retired, SheetFiled
from detente.kernel import spans
from detente.kernel.clock import later
from detente.kernel.fact import Subject
from detente.kernel.ledger import Query
from detente.kernel.node import Node
from detente.watch.decisions import look_of
from detente.watch.settings import Watch


async def retire(node: Node) -> None:
    """Whatever goes on of a check that is not declared any more ends here: nobody would see it end."""
    watched = _watched(node.settings(Watch))
    going = [each for each in spans.going_on(node.rows) if each.kind in _OURS]
    latest = {each.about: each.opened_by for each in going if each.about not in watched}
    for about, opened_by in latest.items():  # one fact ends all that goes on of a check
        key = f"retired:{opened_by}"
        await node.record(Retired(about=about), by="detente:watch", key=key)


_OURS = ("outage", "warning", "blind", "unreached")


def _watched(watch: Watch) -> set[Subject]:
    """Every check, and every look of one that is still made."""
    looks = {
        look_of(name, place)
        for name, check in watch.checks.items()
        for place in watch.looking_at(check)
        if watch.looking_at(check) != (watch.place,)
    }
    return looks | {f"check:{name}" for name in watch.checks}


async def expire(node: Node) -> None:
    """Forget what single runs said long ago. The sheets stay, with their tallies."""
    gone = later(node.clock.now(), -node.settings(Watch).keep_details)
    sheets, reader = Query(names=(SheetFiled.name,)), "watch: details"
    while True:
        reached = node.ledger.read_by(reader)
        found = node.ledger.read(sheets, after=reached, limit=_AT_ONCE)
        old = [each.position for each in found if each.at < gone]
        if not old:
            return
        await node.ledger.expire(old)
        await node.ledger.append((), by="detente:watch", reader=(reader, old[-1]))


_AT_ONCE = 200
_HOUR = 3600.0


async def keep_house(node: Node) -> None:
    await retire(node)
    while True:
        await expire(node)
        await asyncio.sleep(_HOUR)
