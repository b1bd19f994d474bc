"""Is an incident told in five acts, each sentence with the facts that it rests on?"""

from __future__ import annotations

import asyncio

from tests.incidents.test_pages import drawn

from detente.facts.dependencies import ChangeRecorded
from detente.facts.incidents import Noted
from detente.facts.pager import Taken, Told
from detente.facts.watch import CameBack, WentDown
from detente.facts.work import CallCharged, CallParked
from detente.incidents import pages
from detente.incidents.engine.acts import Moment, play
from detente.incidents.engine.curve import drawn as curve_of
from detente.incidents.engine.curve import sampled
from detente.incidents.pages.story import Story, story
from detente.kernel.clock import NS
from detente.kernel.fact import Subject
from detente.kernel.money import Money
from detente.kernel.node import Node
from detente.kernel.slice import Ask

CAS, PORTAL = "infrastructure:cas", "service:portal"
PAGE = next(each for each in pages.PAGES if each.path == "/incidents/{number}/story")


async def fails(node: Node, of: Subject) -> None:
    down = WentDown(
        about=f"check:{of.partition(':')[2]}", of=of, since=node.clock.now() - 5 * NS,
        reason="refused", failures=3,
    )  # fmt: skip
    await node.record(down, by="watch")
    await asyncio.sleep(10)


async def works(node: Node, of: Subject) -> None:
    about, since = f"check:{of.partition(':')[2]}", node.clock.now()
    await node.record(CameBack(about=about, of=of, since=since, lasted=1.0), by="watch")
    await asyncio.sleep(10)


async def a_morning(node: Node) -> None:
    """The sign-on server was moved, does not come up, is moved back, and stumbles once more."""
    moved = ChangeRecorded(about="change:vm", title="moved sign-on to a VM", touches=(CAS,))
    await node.record(moved, by="ann")
    await asyncio.sleep(600)
    await fails(node, CAS)
    await fails(node, PORTAL)
    told = Told(about="incident:1", team="ops", channel="mail", message="opened")
    await node.record(told, Taken(about="incident:1", who="Bob"), by="pager")
    await asyncio.sleep(60)
    await node.record(Noted(about="incident:1", note="moved it back"), by="Bob")
    await asyncio.sleep(20)
    await works(node, CAS)
    await works(node, PORTAL)
    await fails(node, PORTAL)
    await works(node, PORTAL)
    await asyncio.sleep(130)


def told(node: Node) -> Story:
    return story(node, Ask(path={"number": "1"}))


GOLDEN = {
    "exposition": ["Change vm was made: moved sign-on to a VM."],
    "rising action": [
        "Check cas went down: refused.",
        "Incident 1 was opened, 5 s after the failure.",
        "Check portal went down too: refused.",
        "Ops was told by mail that it began.",
        "Bob has it.",
    ],
    "climax": ["Bob wrote: moved it back."],
    "falling action": [
        "Check cas works again.",
        "Check portal works again.",
        "Check portal went down too: refused.",
        "Check portal works again.",
    ],
    "dénouement": ["Incident 1 was closed after 2 min 15 s."],
}


def test_the_golden_story(agency) -> None:
    """The morning of story two, as a reader would tell it."""

    async def morning(node: Node) -> None:
        await a_morning(node)
        found = told(node)
        retold = {act.name: [each.says for each in act.moments] for act in found.acts}
        assert retold == GOLDEN
        assert found.turned_by_hand
        assert found.suspense is not None
        assert found.peak == "1\u202f500.00 EUR at risk an hour"
        facts = {each.position: each for each in node.ledger.read()}
        for act in found.acts:
            for each in act.moments:
                assert each.cites, f"“{each.says}” rests on nothing"
                assert set(each.cites) <= set(facts)
        page = drawn(node, PAGE, number="1")
        for part in ("Sign-on, in five acts", "the last suspense", "<polyline", "III. Climax"):
            assert part in page

    agency.play(morning)


def test_while_it_lasts_and_when_it_was_short(stage) -> None:
    """What has not been played is said; a minute's outage is a small play, and told as one."""

    async def short(node: Node) -> None:
        await fails(node, "vendor:cardpay")
        assert [act.says for act in told(node).acts][2] == "It has not turned yet."
        assert "It has not turned yet" in drawn(node, PAGE, number="1")
        await works(node, "vendor:cardpay")
        await asyncio.sleep(130)
        found = told(node)
        assert [len(act.moments) for act in found.acts] == [0, 2, 1, 0, 1]
        assert not found.turned_by_hand
        assert found.peak == "1 thing down"
        assert "by itself" in drawn(node, PAGE, number="1")

    stage.play(short)


def test_parked_calls_are_told_as_one(stage) -> None:
    """Forty parked sales are one sentence with their worth, and one more when they went out."""

    async def busy(node: Node) -> None:
        await fails(node, "vendor:cardpay")
        worth = Money(1000, "EUR")
        for number in range(40):
            parked = CallParked(
                about=f"call:{number}", route="charge", vendor="vendor:cardpay", reason="away",
                unknown=False, money=worth,
            )  # fmt: skip
            await node.record(parked, by="work")
        await works(node, "vendor:cardpay")
        for number in range(40):
            charged = CallCharged(
                about=f"call:{number}", route="charge", vendor="vendor:cardpay", status=200,
                seconds=0.1, attempt=2, money=worth,
            )  # fmt: skip
            await node.record(charged, by="work")
        await asyncio.sleep(130)
        said = [each.says for act in told(node).acts for each in act.moments]
        assert "40 calls were parked on disk instead of being lost, worth 400.00 EUR." in said
        assert (
            "40 calls were passed on after all, and accepted by the vendor, worth 400.00 EUR."
            in said
        )

    stage.play(busy)


def test_the_curve_is_drawn_in_its_acts() -> None:
    """Bands fill the width in order, and the line is highest where the play is."""
    moments = [
        Moment(at=0, sort="change", says=""),
        Moment(at=86_400 * NS, sort="failure", says="", lift=2),
        Moment(at=86_500 * NS, sort="action", says=""),
        Moment(at=86_510 * NS, sort="recovery", says="", lift=-1),
        Moment(at=86_520 * NS, sort="recovery", says="", lift=-1),
        Moment(at=86_600 * NS, sort="end", says=""),
    ]
    curve = curve_of(play(moments), 90_000 * NS)
    assert [band.numeral for band in curve.bands] == ["I", "II", "III", "IV", "V"]
    assert curve.bands[0].left == 0
    assert round(curve.bands[-1].left + curve.bands[-1].width) == 100
    lefts = [left for left, _ in curve.points]
    assert lefts == sorted(lefts), "time runs one way"
    heights = sampled(curve, 50)
    assert (max(heights), heights[0], heights[-1]) == (1.0, 0.0, 0.0)
    assert [spot.says for spot in curve.spots] == ["the turn"]
    assert curve_of(play([]), 0).bands == ()
