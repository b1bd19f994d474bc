"""Is the story told whole, and is what it came to counted right?"""

from __future__ import annotations

import asyncio

from detente.facts.incidents import Noted
from detente.facts.watch import WentDown
from detente.facts.work import CallCharged, CallHeld, CallLost, CallParked, CallTaken
from detente.incidents import queries
from detente.incidents.queries import meanwhile
from detente.kernel.fact import Fact
from detente.kernel.money import Money
from detente.kernel.node import Node

VENDOR = "vendor:cardpay"
PRICE = Money(1990, "EUR")


def parked(name: str) -> CallParked:
    return CallParked(
        about=f"call:{name}",
        route="charge",
        vendor=VENDOR,
        reason="away",
        unknown=False,
        money=PRICE,
    )


def charged(name: str) -> CallCharged:
    return CallCharged(
        about=f"call:{name}", route="charge", vendor=VENDOR, status=201, seconds=0.1, money=PRICE
    )


def down(node: Node) -> WentDown:
    now = node.clock.now()
    return WentDown(
        about="check:cardpay",
        of=VENDOR,
        since=now,
        reason="x",
        failures=1,
        environment="production",
    )


async def record(node: Node, *facts: Fact) -> None:
    await node.record(*facts, by="test")
    await asyncio.sleep(1)


def test_what_it_came_to(stage) -> None:
    """Each call parked while it lasted is in exactly one state; calls parked before are not its own."""

    async def story(node: Node) -> None:
        await record(node, parked("early"))
        await record(node, down(node))
        await record(node, *map(parked, "abcd"))
        await record(node, charged("a"), CallHeld(about="call:b", route="charge", reason="look"))
        await record(
            node, CallLost(about="call:c", route="charge", note="gave up"), charged("other")
        )
        (incident,) = queries.going_on(node.rows)
        found = {
            each.state: (each.calls, each.money)
            for each in queries.parked_during(node.rows, incident)
        }
        one = (1, (PRICE,))
        assert found == {"parked": one, "held": one, "charged": one, "lost": one}

    stage.play(story)


def test_the_story_in_order_with_counts(stage) -> None:
    """Notable facts are told, newest first, and between them what was routine is counted."""

    async def story(node: Node) -> None:
        start = node.clock.now()
        await record(node, down(node))
        await record(node, *map(parked, "abc"), charged("d"))
        await record(node, Noted(about="incident:1", note="called them"))
        taken = CallTaken(
            about="call:e",
            route="charge",
            vendor=VENDOR,
            key="k",
            method="POST",
            path="/",
            sha256="",
        )
        await record(node, taken)
        told = meanwhile.story(node.ledger, start, node.clock.now())
        assert [each.told.name for each in told.lines] == [
            "incidents.noted", "incidents.opened", "watch.went_down",
        ]  # fmt: skip
        assert told.latest == ("1 call taken",)
        assert told.lines[0].meanwhile == (
            f"1 call accepted by the vendor, worth {PRICE}", f"3 calls parked, worth {Money(5970, 'EUR')}",
        )  # fmt: skip
        assert told.lines[0].quiet == 4
        assert [each.meanwhile for each in told.lines[1:]] == [(), ()]

    stage.play(story)


def test_the_story_has_edges(stage) -> None:
    """What happened before its start and from its end on is not told."""

    async def story(node: Node) -> None:
        await record(node, Noted(about="incident:9", note="before"))
        start = node.clock.now()
        await record(node, Noted(about="incident:9", note="in it"), parked("a"))
        end = node.clock.now()
        await record(node, Noted(about="incident:9", note="after"))
        told = meanwhile.story(node.ledger, start, end)
        assert [each.told.fact.says() for each in told.lines] == ["note: in it"]
        assert told.latest == (f"1 call parked, worth {PRICE}",)
        assert meanwhile.story(node.ledger, end + 10**12, end + 10**13).lines == ()

    stage.play(story)


def test_a_long_story_is_cut_and_says_so(stage) -> None:
    """A page stays quick: it tells the newest facts, counts without reading, and links to the rest."""

    async def story(node: Node) -> None:
        start = node.clock.now()
        notes = [Noted(about="incident:9", note=str(n)) for n in range(400)]
        await record(node, *notes)
        await record(node, *(parked(str(n)) for n in range(6_000)))
        await record(node, notes[0])
        told = meanwhile.story(node.ledger, start, node.clock.now())
        assert len(told.lines) == 300
        assert told.earlier == told.lines[-1].told.position
        assert told.lines[0].meanwhile == ("6\N{NARROW NO-BREAK SPACE}000 routine facts",)

    stage.play(story)


def test_where_a_time_stands(stage) -> None:
    """The position before a time is found by halving, at both ends too."""

    async def story(node: Node) -> None:
        assert meanwhile.position_before(node.ledger, node.clock.now()) == 0
        times = []
        for n in range(7):
            times.append(node.clock.now())
            await record(node, Noted(about="incident:9", note=str(n)))
        found = [meanwhile.position_before(node.ledger, at) for at in times]
        assert found == [0, 1, 2, 3, 4, 5, 6]
        assert meanwhile.position_before(node.ledger, node.clock.now()) == 7

    stage.play(story)
