"""A world to try things in: months in seconds, from a seed, with faults whenever you like.

    from detente.testing import World, simulate

    async def story(world: World) -> None:
        world.vendor("cardpay").hangs = True
        await world.passes(60)
        assert world.facts("watch.went_down")

    simulate(story, declared=open("detente.yaml").read())

The node in it is the real one: the same effects, decisions, ledger and pages. Only the clock, chance
and the network are the world's.
"""

from detente.testing.loop import SimulatedLoop
from detente.testing.world import Mood, SimulatedNetwork, SimulatedVendor, Way, World, simulate

__all__ = [
    "Mood",
    "SimulatedLoop",
    "SimulatedNetwork",
    "SimulatedVendor",
    "Way",
    "World",
    "simulate",
]
