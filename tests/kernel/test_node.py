"""A node reacts to each fact once, crash or no crash, and what it recorded it can see."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apsw
import pytest
from msgspec.structs import replace

from detente.app import declared_type, open_views, put_together
from detente.facts.incidents import Noted
from detente.facts.watch import WentDown
from detente.kernel import spans
from detente.kernel.clock import SystemClock
from detente.kernel.fact import Fact, Recorded, Unfit
from detente.kernel.ledger import Condition, Conflict, Query
from detente.kernel.ledger.sqlite import SqliteLedger
from detente.kernel.network import RealNetwork
from detente.kernel.node import Node
from detente.watch.settings import Watch


def node_on(path: Path) -> Node:
    ledger = SqliteLedger(path / "ledger.db", clock=SystemClock(), writer="inline")
    return put_together(
        declared_type()(),
        ledger=ledger,
        views=open_views(ledger, ":memory:"),
        clock=SystemClock(),
        chance=random.Random(1),
        network=RealNetwork(),
    )


async def close(node: Node) -> None:
    node.views.close()
    await node.ledger.close()


def down(about: str = "check:a") -> WentDown:
    return WentDown(about=about, of="vendor:v", since=1, reason="x", failures=3)


def test_what_is_recorded_is_seen(tmp_path: Path) -> None:
    """When record returns, the rows know of it; a refused condition writes nothing."""

    async def story() -> None:
        node = node_on(tmp_path)
        receipt = await node.record(down(), by="test")
        assert spans.is_open(node.rows, "outage", "check:a")
        stale = Condition(Query(subjects=("check:a",)), after=receipt.first - 1)
        with pytest.raises(Conflict):
            await node.record(down(), by="test", condition=stale)
        assert node.ledger.head() == receipt.last
        await close(node)

    asyncio.run(story())


def test_what_cannot_be_kept_leaves_the_node_well(tmp_path: Path) -> None:
    """Refused before it is written: the next fact is taken, and nobody says the disk is full."""

    async def story() -> None:
        node = node_on(tmp_path)
        with pytest.raises(Unfit, match="failures: no fact can hold this number"):
            await node.record(replace(down(), failures=1 << 70), by="test")
        assert (node.ledger.head(), node.unwritten) == (0, None)
        await node.record(down(), by="test")
        await close(node)

    asyncio.run(story())


def test_a_ledger_that_holds_what_no_row_can_is_opened(tmp_path: Path) -> None:
    """One fact from before it was refused stops neither the start nor what comes after it."""

    async def story() -> None:
        node = node_on(tmp_path)
        await node.record(down("check:a"), by="test")
        await close(node)
        file = apsw.Connection(str(tmp_path / "ledger.db"))
        larger = ('"since":1,', f'"since":{1 << 70},')
        file.execute("update fact set body = replace(body, ?, ?)", larger)
        file.close()
        again = node_on(tmp_path)
        assert "span" in {each.noun for each in again.views.unfolded()}
        await again.record(down("check:b"), by="test")
        assert spans.is_open(again.rows, "outage", "check:b")
        await close(again)

    asyncio.run(story())


def test_settings_and_parts_are_found_by_type(tmp_path: Path) -> None:
    """A slice asks for what it declared and for what runs, and hears plainly if there is none."""

    async def story() -> None:
        node = node_on(tmp_path)
        assert isinstance(node.settings(Watch), Watch)
        with pytest.raises(LookupError, match="Recorded"):
            node.settings(Recorded)
        assert node.part(dict) is None
        node.parts[dict] = {}
        assert node.part(dict) == {}
        await close(node)

    asyncio.run(story())


def note(recorded: Recorded) -> Sequence[Fact]:
    return [Noted(about="incident:1", note=f"saw {recorded.about}")]


async def reacts(node: Node, decide: Any, until: int) -> None:
    """Let it react until so many notes stand in the ledger."""
    reacting = asyncio.create_task(node.react("tester", ("watch.went_down",), decide))
    while len(notes(node)) < until and not reacting.done():
        await asyncio.sleep(0)
    reacting.cancel()
    await asyncio.gather(reacting, return_exceptions=True)


def notes(node: Node) -> list[str]:
    return [
        each.fact.note
        for each in node.ledger.read(Query(names=("incidents.noted",)))
        if isinstance(each.fact, Noted)
    ]


def test_each_fact_is_reacted_to_once(tmp_path: Path) -> None:
    """Whatever was decided before a stop is not decided again after it; nothing is passed over."""

    async def story() -> None:
        expected: list[str] = []
        for start in range(4):
            node = node_on(tmp_path)
            for number in range(3):
                await node.record(down(f"check:{start}{number}"), by="test")
                expected.append(f"saw check:{start}{number}")
            await reacts(node, note, until=len(expected) - start % 2)  # sometimes stopped short
            await close(node)
        node = node_on(tmp_path)
        await reacts(node, note, until=len(expected))
        assert notes(node) == expected
        await close(node)

    asyncio.run(story())


def test_a_decision_that_stumbles_is_made_again(tmp_path: Path) -> None:
    """An error passes over nothing: next time the same fact is decided on first."""

    async def story() -> None:
        node = node_on(tmp_path)
        await node.record(down("check:a"), by="test")
        await node.record(down("check:b"), by="test")

        async def stumbles(recorded: Recorded) -> Sequence[Fact]:
            if recorded.about == "check:b":
                raise RuntimeError("not today")
            return note(recorded)

        with pytest.raises(RuntimeError, match="not today"):
            await node.react("tester", ("watch.went_down",), stumbles)
        await reacts(node, note, until=2)
        assert notes(node) == ["saw check:a", "saw check:b"]
        await close(node)

    asyncio.run(story())
