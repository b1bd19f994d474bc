"""Writes down that a promise was broken, once a promise and period, when it can no longer be met;
and sums the ledger up in signed checkpoints.
"""

from __future__ import annotations

import asyncio

from detente.facts.sla import CheckpointSigned
from detente.facts.watch import CameBack, WentDown
from detente.kernel.clock import later
from detente.kernel.node import Node
from detente.kernel.slice import Effect
from detente.sla import decisions, queries
from detente.sla.engine.calendar import period_at
from detente.sla.engine.log import Log
from detente.sla.settings import Promise, Sla

_EVERY = 60.0
_AT_ONCE = 500
_JUST_ENDED = 3600.0
"""What happened in a period may be known a little after its end."""


async def look(node: Node) -> None:
    """Record every promise that is broken by now and was not recorded yet."""
    for name, promise in node.settings(Sla).promises.items():
        await _look_at(node, name, promise)


async def _look_at(node: Node, name: str, promise: Promise) -> None:
    now = node.clock.now()
    moments = (later(now, -_JUST_ENDED), now)
    for period in dict.fromkeys(period_at(at, promise.period, promise.timezone) for at in moments):
        standing = queries.reckon(node, name, promise, period, proven=True).standing
        facts = decisions.broken(name, promise, standing)
        if facts and queries.told_broken(node, name, period.name) is None:
            await node.record(*facts, by="detente:sla", key=f"sla:{name}:{period.name}")


async def _keep_count(node: Node) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(_after_outages(node))
        group.create_task(_every_minute(node))


async def _after_outages(node: Node) -> None:
    async for _ in node.follow((WentDown.name, CameBack.name), after=node.ledger.head()):
        await look(node)


async def _every_minute(node: Node) -> None:
    """While an outage lasts the downtime grows without a fact; and sheets come after their time."""
    while True:
        await look(node)
        await asyncio.sleep(_EVERY)


async def sign(node: Node) -> None:
    """Sign what the ledger holds, if anything was added but checkpoints."""
    log = queries.log(node)
    await read_on(node, log)
    last = queries.last_checkpoint(node)
    if last is not None and log.size - last.size <= 1:
        return
    note = queries.signer(node).checkpoint(log.size, log.root)
    fact = CheckpointSigned(about="ledger:here", size=log.size, note=note)
    await node.record(fact, by="detente:sla", key=f"checkpoint:{log.size}")


async def read_on(node: Node, log: Log) -> None:
    """Take in what was added since, giving way to others now and then."""
    while log.position < node.ledger.head():
        for recorded in node.ledger.read(after=log.position, limit=_AT_ONCE):
            log.add(recorded)
        await asyncio.sleep(0)


async def _sign_on_time(node: Node) -> None:
    while True:
        await sign(node)
        await asyncio.sleep(node.settings(Sla).checkpoint_every)


def _has_promises(node: Node) -> bool:
    return bool(node.settings(Sla).promises)


EFFECTS = (
    Effect("sla", _keep_count, wanted=_has_promises),
    Effect("sla: checkpoints", _sign_on_time),
)
