"""Does the ledger lead to the right incidents, restarts and stragglers included?"""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from detente.facts.watch import CameBack, WentDown
from detente.facts.work import BreakerClosed, BreakerOpened
from detente.incidents import queries
from detente.incidents.levers import LEVERS, Close, Note
from detente.kernel.fact import Fact
from detente.kernel.ledger import Query
from detente.kernel.node import Node
from detente.kernel.slice import Pull, Refused
from detente.kernel.views import Views

VENDOR = "vendor:cardpay"


async def fails(
    node: Node, about: str = "check:cardpay", *, of: str = VENDOR, env: str = "production"
) -> None:
    since = node.clock.now()
    await node.record(
        WentDown(about=about, of=of, since=since, reason="refused", failures=3, environment=env),
        by="watch",
    )
    await asyncio.sleep(0.01)


async def works(node: Node, about: str = "check:cardpay", *, of: str = VENDOR) -> None:
    since = node.clock.now()
    await node.record(CameBack(about=about, of=of, since=since, lasted=1.0), by="watch")
    await asyncio.sleep(0.01)


def names(node: Node) -> list[str]:
    return [each.name.partition(".")[2] for each in node.ledger.read(Query(names=("incidents.*",)))]


def pull(node: Node, name: str, form: object, about: str = "incident:1") -> list[Fact]:
    lever = next(each for each in LEVERS if each.name == name)
    return list(lever.decide(node, Pull(about=about, by="ann", at=node.clock.now(), form=form)))


def test_from_failure_to_closing(stage) -> None:
    """One incident from the first failure to the end of the quiet time."""

    async def story(node: Node) -> None:
        await fails(node)
        await node.record(
            BreakerOpened(about="route:charge", vendor=VENDOR, reason="slow"), by="work"
        )
        await asyncio.sleep(30)
        await works(node)
        assert queries.open_of(node.rows, VENDOR) is not None
        await node.record(BreakerClosed(about="route:charge", vendor=VENDOR, lasted=30), by="work")
        await asyncio.sleep(59)
        assert names(node) == ["opened", "cause_joined", "cause_left", "cause_left"]
        await asyncio.sleep(2)
        assert names(node)[-1] == "closed"
        (over,) = queries.lately(node.rows)
        assert over.lasted == pytest.approx(30, abs=0.1)
        assert [each.cause for each in over.causes] == ["check:cardpay", "route:charge"]

    stage.play(story)


def test_a_flapping_vendor_is_one_incident(stage) -> None:
    """Failing again within the quiet time is the same incident; the next one later has number 2."""

    async def story(node: Node) -> None:
        for _ in range(5):
            await fails(node)
            await asyncio.sleep(20)
            await works(node)
            await asyncio.sleep(40)
        await asyncio.sleep(30)
        assert names(node).count("opened") == 1
        assert names(node).count("closed") == 1
        await fails(node)
        assert [each.about for each in queries.going_on(node.rows)] == ["incident:2"]

    stage.play(story)


def test_a_vendor_that_comes_and_goes_for_hours_wakes_people_once(stage) -> None:
    """Up for longer than the quiet time, and down again: from the second time on it is one incident."""

    async def story(node: Node) -> None:
        for _ in range(80):
            await fails(node)
            await asyncio.sleep(90)
            await works(node)
            await asyncio.sleep(90)
        assert names(node).count("opened") == 2
        await asyncio.sleep(60)
        assert not queries.going_on(node.rows), "two in a row: twice the quiet time"

    stage.play(story)


def test_two_vendors_are_two_incidents(stage) -> None:
    """Each vendor has its own incident, with its own number and its own closing."""

    async def story(node: Node) -> None:
        await fails(node)
        await fails(node, "check:other", of="vendor:other")
        assert [each.number for each in queries.going_on(node.rows)] == ["1", "2"]
        await works(node)
        await works(node, "check:other", of="vendor:other")
        await asyncio.sleep(61)
        assert not queries.going_on(node.rows)

    stage.play(story)


def test_the_twin_alone_opens_nothing(stage) -> None:
    """A test twin is noted in an incident of production, and alone it is no incident."""

    async def story(node: Node) -> None:
        await fails(node, "check:twin", env="test")
        assert names(node) == []
        await fails(node)
        (incident,) = queries.going_on(node.rows)
        assert [(each.cause, each.remark) for each in incident.causes] == [
            ("check:cardpay", False), ("check:twin", True),
        ]  # fmt: skip
        await works(node)
        await asyncio.sleep(61)
        assert not queries.going_on(node.rows)

    stage.play(story)


def test_the_closing_survives_a_restart(stage) -> None:
    """What was decided before a restart is not decided again, and the quiet time goes on."""

    async def before(node: Node) -> None:
        await fails(node)
        await works(node)
        await asyncio.sleep(20)

    async def after(node: Node) -> None:
        await asyncio.sleep(30)
        assert names(node) == ["opened", "cause_left"]
        await asyncio.sleep(15)
        assert names(node) == ["opened", "cause_left", "closed"]

    stage.play(before)
    stage.play(after)


def test_what_happened_while_it_was_away(stage) -> None:
    """Facts that nobody has decided on are decided in order, though the rows know better already."""

    async def unattended(node: Node) -> None:
        await fails(node)
        await asyncio.sleep(300)
        await works(node)
        await asyncio.sleep(600)
        await fails(node)

    async def attended(node: Node) -> None:
        assert names(node) == ["opened", "cause_left", "closed", "opened"]
        (incident,) = queries.going_on(node.rows)
        assert incident.number == "2"
        assert queries.lately(node.rows)[0].lasted == pytest.approx(300, abs=0.1)

    stage.running = False
    stage.play(unattended)
    stage.running = True
    stage.play(attended)


def test_read_again_is_decided_once(stage) -> None:
    """A crash after deciding and before noting how far was read repeats nothing."""

    async def story(node: Node) -> None:
        await fails(node)

    async def rewind(node: Node) -> None:
        await node.ledger.append((), by="test", reader=("incidents", 0))

    async def again(node: Node) -> None:
        await fails(node, "check:other", of="vendor:other")
        assert names(node) == ["opened", "opened"]

    stage.play(story)
    stage.running = False
    stage.play(rewind)
    stage.running = True
    stage.play(again)


def test_closing_by_hand_while_down(stage) -> None:
    """Refused while something is down, unless one insists; the next failure is a new incident."""

    async def story(node: Node) -> None:
        await fails(node)
        with pytest.raises(Refused, match="Still down: cardpay"):
            pull(node, "incidents.close", Close(note="over"))
        with pytest.raises(Refused, match="how it ended"):
            pull(node, "incidents.close", Close(note=" ", although_down=True))
        facts = pull(node, "incidents.close", Close(note="they moved", although_down=True))
        await node.record(*facts, by="ann")
        with pytest.raises(Refused, match="closed already"):
            pull(node, "incidents.close", Close(note="over"))
        await node.record(*pull(node, "incidents.note", Note(note="seen")), by="ann")
        await works(node)
        assert names(node) == ["opened", "closed", "noted"]
        await fails(node)
        assert names(node)[-1] == "opened"
        assert queries.lately(node.rows)[0].note == "they moved"

    stage.play(story)


def test_no_quiet_time_is_fine(stage) -> None:
    """With `closes_after: 0s` an incident ends with its last cause."""
    stage.settings = replace(stage.settings, closes_after=0.0)

    async def story(node: Node) -> None:
        await fails(node)
        await works(node)
        await asyncio.sleep(0.1)
        assert names(node) == ["opened", "cause_left", "closed"]

    stage.play(story)


def test_rebuilt_equals_live(stage) -> None:
    """Folding the whole ledger again gives the same rows."""

    async def story(node: Node) -> None:
        await fails(node)
        await fails(node, "check:twin", env="test")
        await works(node)
        await asyncio.sleep(61)
        await fails(node)
        card = node.cards[0]
        assert card.projection is not None
        again = Views(":memory:", [card.projection])
        again.catch_up(node.ledger)
        for table in ("incident", "cause", "down", "call"):
            asked = f"select * from incidents_{table}"
            assert list(node.rows.execute(asked)) == list(again.rows.execute(asked))
        again.close()

    stage.play(story)
