"""Can both sides see what happened, who has it and what it costs?"""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

import detente.incidents
from detente.facts.incidents import Noted
from detente.facts.pager import Taken
from detente.facts.watch import CameBack, WentDown
from detente.facts.work import CallParked
from detente.incidents import pages
from detente.incidents.pages import rooms
from detente.kernel.money import Money
from detente.kernel.node import Node
from detente.kernel.slice import Ask, NotFound, Page
from detente.kernel.web.kit import Reading, draw, environment

VENDOR = "vendor:cardpay"
ROOM = next(each for each in pages.PAGES if each.path == "/incidents/{number}")
LIST = next(each for each in pages.PAGES if each.path == "/incidents")


async def something_happens(node: Node) -> None:
    """CardPay goes down, a sale is parked, Ann takes it and writes a note."""
    down = WentDown(
        about="check:cardpay", of=VENDOR, since=node.clock.now(), reason="refused <here>", failures=3,
        environment="production",
    )  # fmt: skip
    await node.record(down, by="watch")
    await asyncio.sleep(10)
    parked = CallParked(
        about="call:1", route="charge", vendor=VENDOR, reason="away", unknown=False,
        money=Money(1990, "EUR"),
    )  # fmt: skip
    await node.record(parked, by="route:charge")
    await node.record(Taken(about="incident:1", who="Ann"), by="Ann")
    await node.record(Noted(about="incident:1", note="called <them>"), by="Ann")
    await asyncio.sleep(10)


async def it_works_again(node: Node) -> None:
    back = CameBack(about="check:cardpay", of=VENDOR, since=node.clock.now(), lasted=20.0)
    await node.record(back, by="watch")
    await asyncio.sleep(30)


def drawn(node: Node, page: Page, **path: str) -> str:
    templates = environment(
        node,
        {"incidents": Path(detente.incidents.__file__).parent / "templates"},
        pages=pages.PAGES,
        levers=node.cards[0].levers,
    )
    answer = page.answer(node, Ask(path=path))
    assert msgspec.json.encode(answer), "the page has a JSON twin"
    reading = Reading(now=node.clock.now(), path="/incidents")
    return draw(templates, page.template, reading, page=page, answer=answer)


def test_the_room_while_it_lasts(stage) -> None:
    """It says what, since when, who has it, what it costs, what happened, and what can be done."""

    async def story(node: Node) -> None:
        await something_happens(node)
        shown = drawn(node, ROOM, number="1")
        for part in (
            "CardPay is down", "refused &lt;here&gt;", "Ann", "19.90", "called &lt;them&gt;", "1 call parked",
            "waiting to be passed on", "/levers/incidents.note", "/levers/incidents.close",
        ):  # fmt: skip
            assert part in shown
        assert "<here>" not in shown
        assert "What is down" in shown

    stage.play(story)


def test_the_reason_is_that_of_what_is_still_down(stage) -> None:
    """Once the first failure is over and a second is not, everything leads with the second's."""

    async def story(node: Node) -> None:
        await something_happens(node)
        second = WentDown(
            about="check:login", of=VENDOR, since=node.clock.now(), reason="HTTP 500", failures=3,
            environment="production",
        )  # fmt: skip
        await node.record(second, by="watch")
        await it_works_again(node)
        room = pages.room(node, Ask(path={"number": "1"}))
        assert room.reason == "HTTP 500"
        assert [each.state for each in room.strands] == ["works again", "down"]
        assert pages.signs(node)[0].sentence == "incident 1, down: HTTP 500"
        assert pages.listed(node, Ask()).open[0].reason == "HTTP 500"

    stage.play(story)


def test_the_room_when_it_is_quiet_and_when_it_is_over(stage) -> None:
    """It says when it will close, and afterwards how long it was; it can still be noted on."""

    async def story(node: Node) -> None:
        await something_happens(node)
        await it_works_again(node)
        room = pages.room(node, Ask(path={"number": "1"}))
        assert (room.tone, room.state) == ("warn", "works again, being watched")
        assert "has worked again for 30 s" in room.headline
        assert "It closes" in drawn(node, ROOM, number="1")
        await asyncio.sleep(60)
        room = pages.room(node, Ask(path={"number": "1"}))
        assert (room.tone, room.state, round(room.lasted)) == ("good", "closed", 20)
        assert room.headline == "CardPay was down for 20 s"
        assert [each.name for each in room.levers] == ["incidents.note"]
        shown = drawn(node, ROOM, number="1")
        assert "/levers/incidents.close" not in shown
        assert "it lasted from" in shown
        assert "works again" in shown
        assert "What was down" in shown

    stage.play(story)


def test_the_story_begins_before_the_failure(stage) -> None:
    """What happened in the minutes before the first failure stands in the room too."""

    async def story(node: Node) -> None:
        await node.record(Noted(about="incident:9", note="long before"), by="x")
        await asyncio.sleep(301)
        await node.record(Noted(about="incident:9", note="just before"), by="x")
        await asyncio.sleep(1)
        await something_happens(node)
        room = pages.room(node, Ask(path={"number": "1"}))
        assert [each.told.says for each in room.entries][-1] == "note: just before"

    stage.play(story)


def test_the_list(stage) -> None:
    """Open ones first, then what there was; an empty list says so."""

    async def story(node: Node) -> None:
        assert "No incident is open" in drawn(node, LIST)
        await something_happens(node)
        assert "Who has it" in drawn(node, LIST)
        await it_works_again(node)
        await asyncio.sleep(60)
        shown = drawn(node, LIST)
        assert "No incident is open" in shown
        assert "Who had it" in shown

    stage.play(story)


def test_the_sign_on_now(stage) -> None:
    """An open incident is a sign about its vendor, with who has it and what waits."""

    async def story(node: Node) -> None:
        assert pages.signs(node) == []
        await something_happens(node)
        (sign,) = pages.signs(node)
        assert (sign.tone, sign.about, sign.held_by) == ("bad", VENDOR, "Ann")
        assert sign.costs == (Money(1990, "EUR"),)
        assert sign.href == "/incidents/1"
        await it_works_again(node)
        assert pages.signs(node)[0].tone == "warn"
        await asyncio.sleep(60)
        assert pages.signs(node) == []

    stage.play(story)


def test_the_panels(stage) -> None:
    """A vendor shows its last incidents; one that never failed shows nothing."""

    async def story(node: Node) -> None:
        assert rooms.last_panel(node, VENDOR) is None
        await something_happens(node)
        panel = rooms.last_panel(node, VENDOR)
        assert panel is not None
        assert panel.open is not None
        assert rooms.last_panel(node, "vendor:other") is None
        assert rooms.incident_panel(node, "incident:1") is not None
        assert rooms.incident_panel(node, "incident:2") is None

    stage.play(story)


def test_no_such_incident(stage) -> None:
    """A number that was never given is not found, with a way on."""

    async def story(node: Node) -> None:
        with pytest.raises(NotFound, match="/incidents"):
            pages.room(node, Ask(path={"number": "7"}))

    stage.play(story)
