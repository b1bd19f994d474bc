"""Looks whether things that share nothing declared fell together, and writes the suspicion down once.

What began to fail is read from the spans of the outages, so a restart changes nothing: the same moment
gives the same suspicion, and one that was told is not told again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

from detente.dependencies import decisions, queries
from detente.dependencies.engine.together import bursts
from detente.dependencies.settings import Dependencies
from detente.facts.watch import WentDown
from detente.kernel.clock import Instant, later, seconds_between
from detente.kernel.node import Node
from detente.kernel.slice import Effect

_A_DAY = 86_400.0


async def look(node: Node) -> None:
    """Judge every moment of the last day that is over, and in which several things fell."""
    settings, now = node.settings(Dependencies), node.now()
    start = max(later(now, -settings.looks_back), node.began())
    onsets = queries.onsets(node, start, now)
    times = Counter(dict.fromkeys(queries.watched(node), 0))
    times.update(each.node for each in onsets)
    moments = int(seconds_between(start, now) // settings.fell_together) + 1
    for burst in bursts(onsets, settings.fell_together):
        if later(now, -_A_DAY) <= burst.starts <= later(now, -_until_over(settings)):
            told = [frozenset(each.together) for each in queries.suspicions(node.rows)]
            facts = decisions.suspect(burst, node.catalogue.needs, times, moments, told)
            if facts:
                key = f"dependencies:together:{burst.starts}"
                await node.record(*facts, by="detente:dependencies", key=key)


def _until_over(settings: Dependencies) -> float:
    """Whoever fell within the moment has been noticed by then: checks fail several times first."""
    return 2 * settings.fell_together


async def _keep_looking(node: Node) -> None:
    """After every outage, once the moment in which it began is over."""
    async for _ in _outages(node):
        await look(node)
        await asyncio.sleep(_until_over(node.settings(Dependencies)) + 1)
        await look(node)


async def _outages(node: Node) -> AsyncIterator[Instant]:
    """Now, because something may have fallen before the last stop, and then as they come."""
    head = node.ledger.head()
    yield node.now()
    async for batch in node.follow((WentDown.name,), after=head):
        yield batch[-1].at


def _has_a_map(node: Node) -> bool:
    return len(queries.watched(node)) > 1


EFFECTS = (Effect("dependencies", _keep_looking, wanted=_has_a_map),)
