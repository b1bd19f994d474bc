"""Is somebody paged, then somebody else, until one of them has it?"""

from __future__ import annotations

import asyncio
from typing import Any

import icalendar
import pytest
from msgspec.structs import replace

from detente.facts.incidents import Closed, Opened
from detente.facts.pager import Taken
from detente.kernel.clock import later
from detente.kernel.config import Duration, Webhook
from detente.kernel.forms import BadForm
from detente.kernel.ledger import Query
from detente.kernel.node import Node
from detente.kernel.slice import Ask, Asked, NotFound, Pull
from detente.kernel.views import Views
from detente.pager import decisions, pages, queries
from detente.pager.decisions import Matter
from detente.pager.endpoints import calendar
from detente.pager.levers import LEVERS, Cover
from detente.pager.settings import Away, Changes, Moment, Pager, Person, Rota, Step

BEFORE = "2026-11-01 09:00"  # simulated time begins on Monday 2 November 2026, 09:00 UTC

PAGER = Pager(
    people={
        "ada": Person(title="Ada Lovelace", mail=("ada@example.com",), team="dev"),
        "bob": Person(webhook=Webhook.read("http://chat.test/bob"), team="ops"),
        "cleo": Person(mail=("cleo@example.com",)),
    },
    rota={
        "on-call": Rota(
            people=("ada", "bob"),
            changes=Changes.read("daily 09:00"),
            begins=Moment.read("2026-11-02"),
        )
    },
    escalation=(
        Step(after=Duration(0), tell="on-call"),
        Step(after=Duration(300), tell="bob"),
        Step(after=Duration(900), tell="everybody"),
    ),
)


@pytest.fixture
def rota(stage: Any) -> Any:
    """The stage, where the incident's team is only dev and people take turns."""
    stage.pager = PAGER
    return stage


async def opens(node: Node) -> None:
    await node.record(
        Opened(
            about="incident:1", of="vendor:other", since=node.clock.now(), cause="check:x",
            reason="refused",
        ),
        by="test",
    )  # fmt: skip
    await asyncio.sleep(1)


def paged(node: Node) -> list[tuple[str, str, int]]:
    found = [each.fact for each in node.ledger.read(Query(names=("pager.told",)))]
    return [(each.team, each.message, each.step) for each in found if each.team != "dev"]  # type: ignore[attr-defined]


def test_step_by_step_until_somebody_has_it(rota: Any) -> None:
    """Whoever is on call at once, the next after five minutes, then everybody; then nobody more."""

    async def story(node: Node) -> None:
        await opens(node)
        assert paged(node) == [("ada", "opened", 1)]
        await asyncio.sleep(298)
        assert len(paged(node)) == 1
        await asyncio.sleep(2)
        assert paged(node)[1:] == [("bob", "opened", 2)]
        await asyncio.sleep(601)
        assert sorted(paged(node)[2:]) == [
            ("ada", "again", 3), ("bob", "again", 3), ("cleo", "opened", 3),
        ]  # fmt: skip
        await node.record(Taken(about="incident:1", who="Cleo"), by="Cleo")
        await asyncio.sleep(86_400)
        assert sorted(paged(node)[5:]) == [(who, "taken", 0) for who in ("ada", "bob", "cleo")]

    rota.play(story)
    to_ada = [each for each in rota.network.mails if "ada@" in each["To"]]
    assert [each["Importance"] for each in to_ada] == ["high", "high", None]
    assert len({each["Message-ID"] for each in to_ada}) == 3
    assert "You are paged because: you are on call (on-call)" in str(to_ada[0])
    assert "Nobody has it yet: other is down" in str(to_ada[1])


def test_who_has_it_is_woken_by_nobody(rota: Any) -> None:
    """Once somebody has it no step comes any more, and who was not paged hears nothing at all."""

    async def story(node: Node) -> None:
        await opens(node)
        await node.record(Taken(about="incident:1", who="Ada"), by="Ada")
        await asyncio.sleep(4_000)
        await node.record(
            Closed(about="incident:1", since=node.clock.now(), lasted=60.0), by="test"
        )
        await asyncio.sleep(4_000)
        assert paged(node) == [("ada", "opened", 1), ("ada", "taken", 0), ("ada", "closed", 0)]

    rota.play(story)


def test_a_restart_neither_repeats_nor_forgets_a_step(rota: Any) -> None:
    """What became due while the node was away is done when it is back; what was done is done."""

    async def before(node: Node) -> None:
        await opens(node)
        assert paged(node) == [("ada", "opened", 1)]

    async def away(_node: Node) -> None:
        await asyncio.sleep(400)

    async def after(node: Node) -> None:
        await asyncio.sleep(1)
        assert paged(node) == [("ada", "opened", 1), ("bob", "opened", 2)]

    rota.play(before)
    rota.running = False
    rota.play(away)
    rota.running = True
    rota.play(after)


def test_who_is_on_call_is_who_was_when_the_step_came(rota: Any) -> None:
    """A handover in the middle of an incident pages nobody by itself."""

    async def story(node: Node) -> None:
        await asyncio.sleep(86_400 - 10)
        await opens(node)
        await asyncio.sleep(60)
        assert paged(node) == [("ada", "opened", 1)]
        assert queries.on_call(node, "on-call", node.clock.now()) == "bob"

    rota.play(story)


def test_a_step_that_reaches_nobody_is_no_reason_to_wait(rota: Any) -> None:
    """Nobody on call: the next step takes its time."""
    holiday = Away(starts=Moment.read(BEFORE), until=Moment.read("2026-11-04"))
    ada = replace(PAGER.people["ada"], away=(holiday,))
    rota.pager = replace(PAGER, people={**PAGER.people, "ada": ada})

    async def story(node: Node) -> None:
        (sign,) = pages.signs(node)
        assert (sign.tone, sign.about) == ("bad", "rota:on-call")
        assert sign.sentence == (
            "nobody is on call until Tue 3 Nov 09:00, because Ada Lovelace is away"
        )
        await opens(node)
        assert paged(node) == [("bob", "opened", 2)]

    rota.play(story)


def test_somebody_covers_and_drops_it_again(rota: Any) -> None:
    """The lever counts over the order, until it is dropped."""
    cover = next(each for each in LEVERS if each.name == "pager.cover")
    drop = next(each for each in LEVERS if each.name == "pager.drop_cover")

    async def story(node: Node) -> None:
        form = Cover(who="cleo", until="2026-11-02 18:00")
        pull = Pull(about="rota:on-call", by="Cleo", at=node.clock.now(), form=form)
        await node.record(*cover.decide(node, pull), by="Cleo")
        await opens(node)
        assert paged(node) == [("cleo", "opened", 1)]
        (view,) = pages.overview(node, Ask()).rotas
        assert (view.now.title, view.now.instead_of) == ("cleo", "Ada Lovelace")
        (line,) = view.covers
        dropped = drop.decide(node, Pull(about=line.about, by="Cleo", at=0, form=None))
        await node.record(*dropped, by="Cleo")
        assert queries.on_call(node, "on-call", node.clock.now()) == "ada"
        with pytest.raises(NotFound):
            drop.decide(node, Pull(about=line.about, by="Cleo", at=0, form=None))
        for wrong, says in {
            Cover(who="nobody", until="2026-11-03"): "who: nobody is called nobody",
            Cover(who="bob", until="tomorrow"): "until: expected a moment",
            Cover(who="bob", until="2026-11-01"): "until: it has to end after",
            Cover(who="bob", until="2300-01-01"): "until: this is more than ten years from now",
            Cover(who="bob", until="2026-11-03", starts="0002-01-01"): "starts: this is more than",
        }.items():
            with pytest.raises(BadForm, match=says):
                cover.decide(node, replace(pull, form=wrong))

    rota.play(story)


def test_who_is_woken_is_counted(rota: Any) -> None:
    """Pages, and pages at night, of either side."""

    async def story(node: Node) -> None:
        await asyncio.sleep(14 * 3_600)  # 23:00
        await opens(node)
        await asyncio.sleep(1_000)
        told = pages.overview(node, Ask())
        assert [(each.title, each.team, each.times, each.at_night) for each in told.paged] == [
            ("Ada Lovelace", "dev", 2, 2), ("bob", "Operations", 2, 2), ("cleo", "", 1, 1),
        ]  # fmt: skip
        assert [(each.tell, each.reaches) for each in told.steps] == [
            ("on-call", ("Ada Lovelace",)), ("bob", ("bob",)),
            ("everybody", ("Ada Lovelace", "bob", "cleo")),
        ]  # fmt: skip

    rota.play(story)


def test_the_rota_in_everybodys_calendar(rota: Any) -> None:
    """A feed that calendar programs read, whole or of one person, with names that stay."""

    async def story(node: Node) -> None:
        async def feed(**query: str) -> list[icalendar.Event]:
            answered = await calendar(node, Asked(method="GET", query=query))
            assert answered.type.startswith("text/calendar")
            return list(icalendar.Calendar.from_ical(answered.body).walk("VEVENT"))

        everybody = await feed()
        assert str(everybody[0]["SUMMARY"]) == "Ada Lovelace: on-call"
        assert everybody[0].decoded("DTSTART").isoformat() == "2026-11-02T09:00:00+00:00"
        assert len(await feed(person="bob")) == len(everybody) // 2
        await asyncio.sleep(3_600)
        assert [each["UID"] for each in await feed()] == [each["UID"] for each in everybody]
        for wrong in ({"person": "eve"}, {"rota": "x"}):
            with pytest.raises(NotFound, match="There is no"):
                await feed(**wrong)

    rota.play(story)


def test_rebuilt_equals_live(rota: Any) -> None:
    """Pages, covers and marks folded anew are those there were."""

    async def story(node: Node) -> None:
        form = Cover(who="cleo", until="2026-11-05")
        lever = next(each for each in LEVERS if each.name == "pager.cover")
        pull = Pull(about="rota:on-call", by="Cleo", at=node.clock.now(), form=form)
        await node.record(*lever.decide(node, pull), by="Cleo")
        await opens(node)
        await asyncio.sleep(1_000)
        tables = ("pager_mark", "pager_page", "pager_cover")
        live = [list(node.rows.execute(f"select * from {each}")) for each in tables]
        assert all(live)
        projection = node.cards[0].projection
        assert projection is not None
        anew = Views(":memory:", [projection])
        anew.catch_up(node.ledger)
        assert [list(anew.rows.execute(f"select * from {each}")) for each in tables] == live
        anew.close()

    rota.play(story)


MATTER = Matter(
    about="incident:1", of="vendor:x", cause="check:x", since=0, reason="", opened_at=0, opened=1
)


def test_steps_in_plain_arithmetic() -> None:
    """Which steps are due, and when the next one is."""
    steps = [(0.0, "a"), (60.0, "nobody"), (300.0, "b"), (600.0, "c")]

    def who(tell: str, _at: int) -> list[str]:
        return [] if tell == "nobody" else [tell]

    def climbed(at: float, matter: Matter = MATTER) -> tuple[list[str], object]:
        rungs, following = decisions.climbed(matter, steps, who, later(0, at))
        return [each.because for each in rungs], following

    assert climbed(0) == (["a"], later(0, 60))
    assert climbed(60) == (["a", "nobody", "b"], later(0, 600))
    assert climbed(700) == (["a", "nobody", "b", "c"], None)
    assert climbed(700, replace(MATTER, held_by="Ann", taken=2)) == ([], None)
    assert climbed(700, replace(MATTER, closed=3)) == ([], None)
