"""Writes down that a promise was broken, once a promise and period, when it can no longer be met, and
that it is kept again if it is with what people left out; and sums the ledger up in signed checkpoints.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

import msgspec

from detente.facts.sla import CheckpointSigned, Excluded, IncludedAgain
from detente.facts.watch import CameBack, WentDown
from detente.kernel.clock import Instant, later
from detente.kernel.fact import Fact
from detente.kernel.node import Node
from detente.kernel.slice import Effect
from detente.sla import decisions, queries
from detente.sla.engine.bundle import About, Gathering
from detente.sla.engine.calendar import Period, period_at
from detente.sla.engine.log import Log
from detente.sla.queries import Reckoning
from detente.sla.settings import Promise, Sla

_EVERY = 60.0
_AT_ONCE = 500
_JUST_ENDED = 3600.0
"""What happened in a period may be known a little after its end."""


async def look(node: Node) -> None:
    """Record every promise that is broken by now, or kept again, and was not recorded yet."""
    now = node.clock.now()
    for name, promise in node.settings(Sla).promises.items():
        await _look_at(node, name, promise, (later(now, -_JUST_ENDED), now))


async def look_at_the_past(node: Node) -> None:
    """The same for every period of which something was left out."""
    for name, promise in node.settings(Sla).promises.items():
        done = queries.dealings_of(node, name)
        moments = [at for each in done.exclusions for at in (each.start, each.end - 1)]
        await _look_at(node, name, promise, moments)


async def _look_at(node: Node, name: str, promise: Promise, moments: Iterable[Instant]) -> None:
    now = node.clock.now()
    periods = [period_at(at, promise.period, promise.timezone) for at in moments if at <= now]
    for period in dict.fromkeys(periods):
        facts, key = _verdict(node, name, promise, period)
        if facts:
            await node.record(*facts, by="detente:sla", key=key)


def _verdict(node: Node, name: str, promise: Promise, period: Period) -> tuple[Sequence[Fact], str]:
    """What is new about it, and a name under which it is written once, whoever sees it first."""
    found = queries.reckon(node, name, promise, period, proven=True)
    key = f"sla:{name}:{period.name}"
    if (told := found.done.broken.get(period.name)) is not None:
        without = found.without or found.standing
        return decisions.restored(name, promise, found.standing, without), f"{key}:{told}"
    if (kept := found.done.restored.get(period.name)) is not None:
        key = f"{key}:{kept}"
    return decisions.broken(name, promise, found.standing), key


async def _keep_count(node: Node) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(_after_outages(node))
        group.create_task(_every_minute(node))
        group.create_task(_after_exclusions(node))


async def _after_outages(node: Node) -> None:
    async for _ in node.follow((WentDown.name, CameBack.name), after=node.ledger.head()):
        await look(node)


async def _after_exclusions(node: Node) -> None:
    """People leave out what is long over. What they did while the node was off is seen at its start."""
    head = node.ledger.head()
    await look_at_the_past(node)
    async for _ in node.follow((Excluded.name, IncludedAgain.name), after=head):
        await look_at_the_past(node)


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


async def gather(node: Node, found: Reckoning, name: str) -> bytes:
    """The evidence for a promise in a period: a zip file that anybody can check offline."""
    log, period = queries.log(node), found.standing.period
    until = min(found.standing.until, node.clock.now())
    subjects = {f"check:{each}" for each in found.checks} | {f"promise:{found.name}"}
    gathering, index, position = Gathering(subjects, found.checks), 0, 0
    async with log.busy:  # one at a time: it reads the whole ledger
        await read_on(node, log)
        while position < log.position:
            for recorded in node.ledger.read(after=position, until=log.position, limit=_AT_ONCE):
                gathering.note(recorded)
                dealt = queries.is_dealt_with(recorded, period)
                inside = period.start <= recorded.at <= until + queries.LATE
                if gathering.wants(recorded) and (inside or dealt):
                    detail = node.ledger.attachment(recorded.position)
                    gathering.take(index, recorded, detail)
                index, position = index + 1, recorded.position
            await asyncio.sleep(0)
        signer = queries.signer(node)
        about = About(
            says=queries.in_words(node, found),
            key=signer.verifier_key,
            promise=found.name,
            period=period.name,
            start=max(period.start, node.began()),
            until=until,
            place=f"place:{getattr(node.declared.get('watch'), 'place', 'here')}",
            terms=msgspec.Raw(msgspec.json.encode(found.promise, enc_hook=str)),
            checks=found.checks,
        )
        return gathering.packed(name, about, log, signer)


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
