"""The ledger's time never goes back, and never stands still."""

from __future__ import annotations

import asyncio

from detente.facts.node import Stopped
from detente.kernel.clock import NS, Instant
from detente.kernel.ledger.sqlite import SqliteLedger


class Hand:
    """A clock whose hand the test moves."""

    def __init__(self) -> None:
        self.at: Instant = 1_000 * NS

    def now(self) -> Instant:
        return self.at


def test_a_clock_put_back_slows_time_until_it_has_caught_up() -> None:
    """After a step back of 100 s time goes on at half speed, and is the clock's own 200 s later."""

    async def play() -> list[Instant]:
        clock = Hand()
        ledger = SqliteLedger(":memory:", clock=clock, writer="inline")
        for step in (0, -100, 10, 10, 190):
            clock.at += step * NS
            await ledger.append([Stopped(about="node:here", ran_for=1.0)], by="test")
        times = [each.at // NS for each in ledger.read()]
        await ledger.close()
        return times

    assert asyncio.run(play()) == [1000, 1000, 1005, 1010, 1110]
