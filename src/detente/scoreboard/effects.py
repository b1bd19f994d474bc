"""Writes down what the facts call for, and when they no longer do."""

from __future__ import annotations

import asyncio

from detente.facts.scoreboard import AdviceTaken, Advised
from detente.kernel.fact import Fact
from detente.kernel.node import Node
from detente.kernel.slice import Effect
from detente.scoreboard import queries
from detente.scoreboard.decisions.advice import advise

_EVERY = 600.0


async def look(node: Node) -> None:
    """Record advice that is new, and that what was advised is not so any more."""
    wanted = {each.key: each for each in advise(queries.history(node))}
    standing = {each.about for each in queries.standing(node)}
    facts: list[Fact] = [
        Advised(
            about=key,
            rule=each.rule,
            advice=each.do,
            why=each.why,
            evidence=each.evidence,
            lever=each.lever,
        )
        for key, each in wanted.items()
        if key not in standing
    ]
    facts += [AdviceTaken(about=key) for key in sorted(standing - set(wanted))]
    if facts:
        await node.record(*facts, by="detente:scoreboard")


async def _keep_advising(node: Node) -> None:
    while True:
        await look(node)
        await asyncio.sleep(_EVERY)


EFFECTS = (Effect("scoreboard", _keep_advising),)
