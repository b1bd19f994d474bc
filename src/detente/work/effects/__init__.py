"""Takes calls for vendors, sends them on, parks them when the vendor is not there, replays them.

The order of writing is what keeps sales: a call is on disk before the vendor hears of it, and parked
on disk before the caller is told so. After `kill -9` the calls that were with the vendor are parked
as *unknown* and sent again under the same idempotency key.
"""

from __future__ import annotations

import asyncio

from detente.kernel import spans
from detente.kernel.node import CannotStart, Node
from detente.kernel.slice import Effect
from detente.work import queries
from detente.work.effects.breakers import retired
from detente.work.effects.desk import Desk
from detente.work.effects.mailroom import Mailroom, stand
from detente.work.engine.gateway import Gateway
from detente.work.settings import Work

__all__ = ["EFFECTS", "Desk", "Mailroom"]


async def _stand(node: Node) -> None:
    """Open the gateway and keep everything behind it going."""
    desk = Desk(node)
    await desk.recover()
    if not desk.work.routes:  # there was only something to take up from former routes
        await asyncio.Event().wait()
    node.parts[Desk] = desk
    gateway = (node.part(Gateway) or Gateway)(desk.answer, names=desk.work.gateway_names)
    address = desk.work.gateway
    try:
        await gateway.start(address.host, address.port)
    except OSError as error:
        raise CannotStart(
            f"The gateway cannot listen on {address}: {(error.strerror or str(error)).lower()}. Stop"
            " what listens there, or choose another address as work.gateway."
        ) from error
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(desk.breakers.follow_facts())
            group.create_task(desk.breakers.note_changes())
            group.create_task(desk.breakers.look_after())
            group.create_task(desk.forget())
            group.create_task(desk.drills.follow_facts())
            group.create_task(desk.drills.end_in_time())
            for name in desk.work.routes:
                group.create_task(desk.replay_route(name))
    finally:
        node.parts.pop(Desk, None)
        await gateway.close()
        await desk.close()


def _has_routes(node: Node) -> bool:
    taken_up = queries.unfinished(node.rows) or retired(node) or spans.going_on(node.rows, "drill")
    return bool(node.settings(Work).routes or taken_up)


def _asks_by_mail(node: Node) -> bool:
    work = node.settings(Work)
    return work.mail is not None and bool(work.routes)


EFFECTS = (
    Effect("gateway", _stand, wanted=_has_routes),
    Effect("queue mail", stand, wanted=_asks_by_mail),
)
