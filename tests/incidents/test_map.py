"""Does one thing that fells many make one incident, and is it known what falls with it?"""

from __future__ import annotations

import asyncio

from detente.facts.acceptance import BeganFailing, PassesAgain
from detente.facts.incidents import Closed
from detente.facts.watch import CameBack, WentDown
from detente.facts.work import BreakerOpened
from detente.incidents import pages, queries
from detente.kernel.fact import Subject
from detente.kernel.ledger import Query
from detente.kernel.node import Node
from detente.kernel.slice import Ask

CAS, PORTAL, REGISTRY = "infrastructure:cas", "service:portal", "service:registry"


async def fails(node: Node, of: Subject) -> None:
    about = f"check:{of.partition(':')[2]}"
    down = WentDown(about=about, of=of, since=node.clock.now(), reason="refused", failures=3)
    await node.record(down, by="watch")
    await asyncio.sleep(1)


async def works(node: Node, of: Subject) -> None:
    about = f"check:{of.partition(':')[2]}"
    back = CameBack(about=about, of=of, since=node.clock.now(), lasted=1.0)
    await node.record(back, by="watch")
    await asyncio.sleep(1)


def open_ones(node: Node) -> list[tuple[str, str, list[str]]]:
    return [
        (each.number, each.of, [cause.cause for cause in each.down])
        for each in queries.going_on(node.rows)
    ]


def test_what_falls_joins_the_incident_of_what_felled_it(agency) -> None:
    """The sign-on server falls, then everything that needs it: one incident, not three."""

    async def story(node: Node) -> None:
        await fails(node, CAS)
        await fails(node, PORTAL)
        await fails(node, REGISTRY)
        causes = ["check:cas", "check:portal", "check:registry"]
        assert open_ones(node) == [("1", CAS, causes)]
        await works(node, CAS)
        await fails(node, "service:search")
        assert [each[1] for each in open_ones(node)] == [CAS, "service:search"], "a stranger to it"
        await works(node, PORTAL)
        await works(node, REGISTRY)
        await fails(node, PORTAL)
        assert open_ones(node)[0] == ("1", CAS, ["check:portal"]), "it stumbles on its way up"
        await works(node, PORTAL)
        await works(node, "service:search")
        await asyncio.sleep(130)
        assert open_ones(node) == []

    agency.play(story)


def test_what_was_seen_first_goes_on_in_the_incident_of_what_felled_it(agency) -> None:
    """Two services are seen down before the server that they need: theirs go on in its incident."""

    async def story(node: Node) -> None:
        await fails(node, PORTAL)
        await fails(node, REGISTRY)
        assert len(open_ones(node)) == 2
        await fails(node, CAS)
        causes = ["check:cas", "check:portal", "check:registry"]
        assert open_ones(node) == [("3", CAS, causes)]
        closed = [each.fact for each in node.ledger.read(Query(names=(Closed.name,)))]
        assert [(each.about, each.into) for each in closed] == [
            ("incident:1", "incident:3"), ("incident:2", "incident:3"),
        ]  # fmt: skip
        room = pages.room(node, Ask(path={"number": "1"}))
        assert (room.headline, room.state) == (
            "Portal: goes on as incident 3",
            "part of incident 3",
        )
        for each in (CAS, PORTAL, REGISTRY):
            await works(node, each)
        await asyncio.sleep(130)
        assert open_ones(node) == []

    agency.play(story)


def test_what_failed_long_before_keeps_its_own(agency) -> None:
    """The portal has been down for an hour: the server cannot have felled it."""

    async def story(node: Node) -> None:
        await fails(node, PORTAL)
        await asyncio.sleep(3_600)
        await fails(node, CAS)
        assert [each[1] for each in open_ones(node)] == [PORTAL, CAS]

    agency.play(story)


def test_what_something_can_live_without_fells_nothing(agency) -> None:
    """The portal can live without search, so its failing has another reason."""

    async def story(node: Node) -> None:
        await fails(node, "service:search")
        await fails(node, PORTAL)
        assert [each[1] for each in open_ones(node)] == ["service:search", PORTAL]

    agency.play(story)


def test_an_acceptance_test_that_fails_in_production_opens_one(agency) -> None:
    """A failing test is a cause like a failing check, and leaves when it passes again."""

    async def story(node: Node) -> None:
        failing = BeganFailing(
            about="test:sign-in", of=PORTAL, since=node.clock.now(), reason="no button"
        )
        await node.record(failing, by="acceptance")
        await asyncio.sleep(1)
        assert open_ones(node) == [("1", PORTAL, ["test:sign-in"])]
        await fails(node, PORTAL)
        passes = PassesAgain(about="test:sign-in", of=PORTAL, since=node.clock.now(), lasted=1.0)
        await node.record(passes, by="acceptance")
        await asyncio.sleep(1)
        assert open_ones(node) == [("1", PORTAL, ["check:portal"])]

    agency.play(story)


def test_a_drill_wakes_nobody(stage) -> None:
    """A breaker that opens because the vendor is played dead is no incident."""

    async def story(node: Node) -> None:
        opened = BreakerOpened(
            about="route:charge", vendor="vendor:cardpay", reason="played", drill=True
        )
        await node.record(opened, by="work")
        await asyncio.sleep(1)
        assert open_ones(node) == []

    stage.play(story)


def test_what_cannot_be_done_is_said_with_its_worth(agency) -> None:
    """The room and Now name the journeys that fall, and what an hour of them is worth."""

    async def story(node: Node) -> None:
        await fails(node, CAS)
        room = pages.room(node, Ask(path={"number": "1"}))
        assert [each.title for each in room.falls.journeys] == [
            "Renew a permit",
            "Look up an owner",
        ]
        assert room.falls.others == (PORTAL, REGISTRY)
        assert [str(each) for each in room.falls.an_hour] == ["1\u202f500.00 EUR"]
        (sign,) = pages.signs(node)
        said = "cannot be done: Renew a permit and Look up an owner, 1\u202f500.00 EUR an hour"
        assert said in sign.sentence
        assert sign.about == CAS

    agency.play(story)
