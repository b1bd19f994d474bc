"""What does this check say right now?

One run, in this process, with the same machinery that the prober uses.
"""

from __future__ import annotations

from collections.abc import Sequence

from detente.kernel.clock import Clock, SystemClock
from detente.watch.engine.kinds import kind_of_run
from detente.watch.engine.loop import Loop
from detente.watch.engine.plan import Plan
from detente.watch.engine.resolver import Resolver, server
from detente.watch.engine.run import Run
from detente.watch.engine.wire import Probe, Result


def probe_once(
    probe: Probe, *, resolvers: Sequence[str] = (), clock: Clock | None = None
) -> Result:
    """Make one run and wait for its result: at most the probe's timeout."""
    over: list[Run] = []
    loop = Loop()
    resolver = Resolver(loop, servers=[server(written) for written in resolvers])
    plan = Plan(probe)
    now = (clock or SystemClock()).now()
    try:
        kind_of_run(plan)(plan, loop, resolver, over.append, slot=now, at=now).begin()
        while not over:
            loop.turn(1.0)
    finally:
        resolver.close()
        loop.close()
    return over[0].result()
