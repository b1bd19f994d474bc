"""Looking from several places in a simulated world: who is down, who is cut off, whose fault it is."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from detente.facts.watch import (
    CameBack,
    MissedFrom,
    PlaceFellSilent,
    SheetFiled,
    VerdictReached,
    WasDown,
    WentDown,
)
from detente.kernel import faces, spans
from detente.kernel.clock import NS, later
from detente.kernel.forms import BadForm
from detente.kernel.slice import Ask, Asked, NotFound
from detente.testing import World, simulate
from detente.watch import pages, queries
from detente.watch.decisions import read_sheet
from detente.watch.effects.places import Delivery, Errand, admits, take_sheet, tell_orders
from detente.watch.effects.watcher import Watcher

TOKEN = "a-token-of-berlin"
DECLARED = """
vendors:
  cardpay: {title: CardPay, environments: {production: {}, test: {twin_of: production}}}
  mailer: {title: Mailer}
  maps: {title: Maps}
services: {portal: {title: Portal}}
watch:
  places: {berlin: {title: Berlin, token: {file: TOKEN_FILE}, silent_after: 2m}}
  checks:
    cardpay: {http: "http://cardpay.test/", every: 10s, timeout: 2s, from: [here, berlin]}
    twin: {of: cardpay, environment: test, http: "http://twin.test/", every: 10s, timeout: 2s}
    mailer: {http: "http://mailer.test/", every: 10s, timeout: 2s, from: [here, berlin]}
    maps: {http: "http://maps.test/", every: 10s, timeout: 2s, from: [here, berlin]}
    portal: {http: "http://portal.test/", every: 10s, timeout: 2s, from: [here, berlin]}
    outside: {of: portal, http: "http://portal.test/", every: 10s, timeout: 2s, from: [berlin]}
"""

Story = Callable[[World], Awaitable[None]]


def play(story: Story, home: Path, *, declared: str = DECLARED, seed: int = 1) -> None:
    """With an agent in Berlin."""
    (home / "token").write_text(TOKEN)

    async def begun(world: World) -> None:
        world.look_from("berlin", home / "spool", token=TOKEN)
        await world.passes(120)
        await story(world)

    told = declared.replace("TOKEN_FILE", str(home / "token"))
    simulate(begun, declared=told, seed=seed, ledger=home / "ledger.db")


def of(world: World, kind: type, name: str) -> list[object]:
    return [each for each in world.facts(kind.name) if each.about == f"check:{name}"]  # type: ignore[attr-defined]


def sheets(world: World, place: str) -> list[SheetFiled]:
    filed = world.facts(SheetFiled.name)
    return [
        each for each in filed if isinstance(each, SheetFiled) and each.about == f"place:{place}"
    ]


def check_that_nothing_is_lost_or_doubled(world: World) -> None:
    """Berlin's sheets cover all time from its first to its last, each moment once."""
    filed = sheets(world, "berlin")
    covered = sum(each.until - each.since for each in filed)
    assert covered == filed[-1].until - filed[0].since
    expected = sum(each.tallies["cardpay"].expected for each in filed if "cardpay" in each.tallies)
    assert abs(expected - covered / (10 * NS)) <= 1


# -- down, as several places see it -----------------------------------------------------------------


def test_one_place_that_sees_it_fail_is_enough(tmp_path: Path) -> None:
    """What Berlin alone cannot reach is down, with Berlin's times; both must see it where both must agree."""

    async def story(world: World) -> None:
        went = world.now
        world.ways["berlin"].unreachable.add("maps")
        await world.passes(300)
        (down,) = of(world, WentDown, "maps")
        assert isinstance(down, WentDown)
        assert went <= down.since <= went + 20 * NS
        (missed,) = world.facts(MissedFrom.name)
        assert isinstance(missed, MissedFrom)
        assert (missed.about, missed.place) == ("look:maps@berlin", "place:berlin")
        page = pages.one_check(world.node, Ask(path={"check": "maps"})).check
        assert [(look.place, look.tone) for look in page.looks] == [
            ("here", "good"),
            ("berlin", "bad"),
        ]
        world.ways["berlin"].unreachable.clear()
        await world.passes(300)
        assert len(of(world, CameBack, "maps")) == 1
        assert not spans.going_on(world.node.rows, "unreached")

    play(story, tmp_path)


def test_where_both_must_agree_one_is_not_enough(tmp_path: Path) -> None:
    """`agree: 2` waits for the second place, and for no place that has fallen silent."""

    async def story(world: World) -> None:
        world.ways["berlin"].unreachable.add("maps")
        await world.passes(300)
        assert of(world, WentDown, "maps") == []
        world.ways["here"].unreachable.add("maps")
        await world.passes(120)
        assert len(of(world, WentDown, "maps")) == 1
        world.ways["here"].unreachable.clear()
        await world.passes(120)
        assert len(of(world, CameBack, "maps")) == 1
        world.ways["berlin"].without_node = True
        await world.passes(600)
        world.ways["here"].unreachable.add("maps")
        await world.passes(120)
        assert len(of(world, WentDown, "maps")) == 2

    declared = DECLARED.replace('maps.test/", every', 'maps.test/", agree: 2, every')
    play(story, tmp_path, declared=declared)


# -- cut off -----------------------------------------------------------------------------------------


def test_a_place_that_is_cut_off_loses_nothing_and_pages_nobody_for_the_past(
    tmp_path: Path,
) -> None:
    """It is said to be silent; later its sheets come in order, and an outage that is over is history."""

    async def story(world: World) -> None:
        world.ways["berlin"].unreachable |= {"portal"}  # and in the middle of it the node, too
        await world.passes(1)
        world.ways["berlin"].without_node = True
        await world.passes(600)
        assert [sign.about for sign in faces.signs_of(world.node) if "silent" in sign.sentence] == [
            "place:berlin"
        ]
        (silent,) = world.facts(PlaceFellSilent.name)
        assert isinstance(silent, PlaceFellSilent)
        assert world.now - silent.since > 500 * NS
        world.ways["berlin"].unreachable.clear()
        await world.passes(120)
        world.ways["berlin"].without_node = False
        await world.passes(300)
        check_that_nothing_is_lost_or_doubled(world)
        assert len(world.facts("watch.place_heard")) == 1
        assert world.facts(WentDown.name) == []
        (was,) = of(world, WasDown, "outside")
        assert isinstance(was, WasDown)
        assert 590 * NS < was.until - was.since < 640 * NS
        assert not spans.going_on(world.node.rows, "incident")
        (span,) = spans.overlapping(
            world.node.rows, 0, world.now, kind="outage", about=["check:outside"]
        )
        assert (span.start, span.end) == (was.since, was.until)

    play(story, tmp_path)


def test_an_outage_that_still_goes_on_when_a_place_is_heard_again(tmp_path: Path) -> None:
    """It is told now, with the moment at which it really began."""

    async def story(world: World) -> None:
        world.ways["berlin"].without_node = True
        world.vendor("portal").away = True
        await world.passes(600)
        assert of(world, WentDown, "outside") == []
        world.ways["berlin"].without_node = False
        await world.passes(60)
        (down,) = of(world, WentDown, "outside")
        assert isinstance(down, WentDown)
        assert down.since < world.now - 500 * NS

    play(story, tmp_path)


@pytest.mark.parametrize("seed", range(3))
def test_answers_that_get_lost_double_nothing(tmp_path: Path, seed: int) -> None:
    """Half of all answers to Berlin never arrive and its agent is killed again and again."""

    async def story(world: World) -> None:
        chance = random.Random(seed)
        world.ways["berlin"].loses = 0.5
        agent = world.agents["berlin"]
        for _ in range(8):
            await world.passes(chance.uniform(20, 90))
            agent.cancel()
            await asyncio.gather(agent, return_exceptions=True)
            agent = world.look_from("berlin", tmp_path / "spool", token=TOKEN)
        world.ways["berlin"].loses = 0.0
        await world.passes(300)
        filed = sheets(world, "berlin")
        assert all(one.until <= two.since for one, two in pairwise(filed))
        gaps = sum(two.since - one.until for one, two in pairwise(filed))
        assert gaps < NS  # a stopped agent that starts again at once leaves next to nothing out

    play(story, tmp_path, seed=seed)


def test_sheets_wait_while_the_disk_of_the_node_is_full(tmp_path: Path) -> None:
    """The agent keeps them, and what they change is written once, with them."""

    async def story(world: World) -> None:
        ledger = world.node.ledger
        append = ledger.append

        async def full(*_given: object, **_more: object) -> object:
            from detente.kernel.ledger import LedgerFull

            raise LedgerFull("The disk is full.")

        ledger.append = full  # type: ignore[assignment,method-assign]
        world.ways["berlin"].unreachable.add("maps")
        await world.passes(100)
        ledger.append = append  # type: ignore[method-assign]
        await world.passes(200)
        check_that_nothing_is_lost_or_doubled(world)
        assert len(world.facts(MissedFrom.name)) == len(of(world, WentDown, "maps")) == 1

    play(story, tmp_path)


def test_a_place_tells_what_it_had_to_give_up(tmp_path: Path) -> None:
    """Detail first; the tallies that stay are filed, and lost time is a fact."""

    async def story(world: World) -> None:
        (agent,) = world.spools
        world.ways["berlin"].without_node = True
        agent.room = 15_000
        await world.passes(3 * 3600)
        world.ways["berlin"].without_node = False
        await world.passes(600)
        (gap,) = world.facts("watch.place_gave_up")
        filed = sheets(world, "berlin")
        brief = [each for each in filed if each.without_detail]
        assert brief
        assert all(each.tallies for each in brief)
        lost = [(one.until, two.since) for one, two in pairwise(filed) if one.until != two.since]
        assert lost == [(gap.since, gap.until)]  # type: ignore[attr-defined]

    play(story, tmp_path)


# -- at the door ---------------------------------------------------------------------------------------


def delivery(world: World, since: float = -60, until: float = -30, **given: object) -> bytes:
    now = world.now
    made = Delivery(since=later(now, since), until=later(now, until), **given)  # type: ignore[arg-type]
    return msgspec.msgpack.encode(made)


def test_bad_sheets_change_nothing(tmp_path: Path) -> None:
    """Each gets a sentence that says what is wrong with it."""

    async def story(world: World) -> None:
        async def hand_in(body: bytes, place: str = "berlin") -> tuple[int, bytes]:
            asked = Asked(method="POST", path={"place": place}, body=body)
            answered = await take_sheet(world.node, asked)
            return answered.status, answered.body

        head = world.node.ledger.head()
        with pytest.raises(BadForm, match="not a sheet as `detente agent` hands it in"):
            await hand_in(b"hello")
        with pytest.raises(BadForm, match="ends before it begins"):
            await hand_in(delivery(world, -30, -60))
        with pytest.raises(NotFound, match="No place is called paris"):
            await hand_in(delivery(world), "paris")
        empty = msgspec.msgpack.encode({"since": 1, "until": 2, "checks": {}})
        with pytest.raises(BadForm, match="another time than its cover says"):
            await hand_in(delivery(world, packed=empty))
        status, says = await hand_in(delivery(world, 0, 300))
        assert (status, b"The clock of berlin is 5 min ahead" in says) == (422, True)
        known = queries.reported_until(world.node.rows, "berlin")
        overlapping = (known - world.now) / NS
        status, says = await hand_in(delivery(world, overlapping - 5, overlapping + 5))
        assert (status, b"only one agent speak" in says) == (409, True)
        assert world.node.ledger.head() == head

    play(story, tmp_path)


def test_only_the_place_itself_is_let_in(tmp_path: Path) -> None:
    """Its token opens its own two addresses, and a token that cannot be read opens nothing."""

    async def story(world: World) -> None:
        def let_in(place: str, shown: str) -> bool:
            headers = {"authorization": shown}
            return admits(world.node, Asked(method="GET", path={"place": place}, headers=headers))

        assert let_in("berlin", f"Bearer {TOKEN}")
        assert not let_in("berlin", "Bearer wrong")
        assert not let_in("berlin", "")
        assert not let_in("paris", f"Bearer {TOKEN}")
        (tmp_path / "token").unlink()
        assert not let_in("berlin", f"Bearer {TOKEN}")
        assert not let_in("berlin", "Bearer ")

    play(story, tmp_path)


def test_orders_are_told_once_until_they_change(tmp_path: Path) -> None:
    """A place hears of its own checks only, and of nothing new by a number."""

    async def story(world: World) -> None:
        first = await tell_orders(world.node, Asked(method="GET", path={"place": "berlin"}))
        errand = msgspec.json.decode(first.body, type=Errand)
        names = {each.id for each in errand.orders.probes}
        assert names == {"cardpay", "mailer", "maps", "portal", "outside"}
        headers = {"if-none-match": first.headers["ETag"]}
        asked = Asked(method="GET", path={"place": "berlin"}, headers=headers)
        assert (await tell_orders(world.node, asked)).status == 304

    play(story, tmp_path)


def test_what_is_attached_to_a_sheet_lists_every_slot(tmp_path: Path) -> None:
    """The bytes that came from Berlin are kept as they were."""

    async def story(world: World) -> None:
        recorded = [
            each for each in world.recorded(SheetFiled.name) if each.about == "place:berlin"
        ]
        packed = world.node.ledger.attachment(recorded[-1].position)
        assert packed is not None
        detail = read_sheet(packed)
        assert detail.since == recorded[-1].fact.since  # type: ignore[attr-defined]
        assert all(run is not None for line in detail.checks.values() for _, run in line)

    play(story, tmp_path)


# -- whose fault ----------------------------------------------------------------------------------------


def _vendor_gone(world: World) -> None:
    world.vendor("cardpay").away = True


def _vendor_answers_wrongly(world: World) -> None:
    world.vendor("cardpay").errors = 1.0


def _vendor_hangs(world: World) -> None:
    world.vendor("cardpay").hangs = True


def _vendors_network_gone(world: World) -> None:
    for way in world.ways.values():
        way.unreachable |= {"cardpay", "twin"}


def _our_network_gone(world: World) -> None:
    world.ways["here"].unreachable |= {"cardpay", "twin", "mailer", "maps", "portal"}


def _the_way_between(world: World) -> None:
    world.ways["here"].unreachable |= {"cardpay", "twin"}


def _portal_gone(world: World) -> None:
    world.vendor("portal").away = True


def _the_way_in(world: World) -> None:
    world.ways["berlin"].unreachable |= {"portal"}


def _noise(world: World) -> None:
    world.ways["here"].loses = 0.7


FAULTS = {
    "their server is gone": (_vendor_gone, "vendor:cardpay", {"theirs"}),
    "their server answers wrongly": (_vendor_answers_wrongly, "vendor:cardpay", {"theirs"}),
    "their server hangs": (_vendor_hangs, "vendor:cardpay", {"theirs"}),
    "their network is gone": (_vendors_network_gone, "vendor:cardpay", {"their network"}),
    "our network is gone": (_our_network_gone, "vendor:cardpay", {"our network"}),
    "the way between is broken": (_the_way_between, "vendor:cardpay", {"can't tell"}),
    "our server is gone": (_portal_gone, "service:portal", {"ours"}),
    "the way in is broken": (_the_way_in, "service:portal", {"our network"}),
    "noise": (_noise, "vendor:cardpay", {"can't tell", "our network", "none"}),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("seed", [1, 2])
def test_the_verdict_on_every_fault(tmp_path: Path, fault: str, seed: int) -> None:
    """Each kind of fault is called by its name, never by another side's, and cited."""
    strike, about, right = FAULTS[fault]

    async def story(world: World) -> None:
        strike(world)
        await world.passes(600)
        found = [each for each in world.facts(VerdictReached.name) if each.about == about]
        told = [each.fault for each in found if isinstance(each, VerdictReached)]
        last = told[-1] if told else "none"
        assert last in right, f"{fault}: {found}"
        blames_them = {"theirs", "their network"}
        assert right & blames_them or not blames_them & set(told), "nobody was blamed on the way"
        if last not in ("none", "can't tell"):
            cites_what_it_says(world, found[-1], about)

    play(story, tmp_path, seed=seed)


def cites_what_it_says(world: World, verdict: object, about: str) -> None:
    assert isinstance(verdict, VerdictReached)
    cited = [
        each.fact for at in verdict.cites for each in world.node.ledger.read(after=at - 1, until=at)
    ]
    assert any(getattr(each, "of", "") == about for each in cited)
    shown = pages.verdict_panel(world.node, about)
    assert shown is not None
    assert len(shown.rests_on) == len(verdict.cites)
    assert shown.verdict.going_on


def test_one_place_alone_is_less_sure(tmp_path: Path) -> None:
    """Without Berlin a vendor's twin and other vendors still tell; the verdict changes with what is seen."""
    alone = DECLARED.replace(", from: [here, berlin]", "").replace("from: [berlin]", "from: [here]")

    async def story(world: World) -> None:
        _vendors_network_gone(world)
        await world.passes(300)
        world.ways["here"].unreachable.discard("twin")
        await world.passes(300)
        found = [
            each for each in world.facts(VerdictReached.name) if each.about == "vendor:cardpay"
        ]
        assert [each.fault for each in found] == ["their network", "theirs"]  # type: ignore[attr-defined]
        world.ways["here"].unreachable.clear()
        await world.passes(600)
        shown = pages.verdict_panel(world.node, "vendor:cardpay")
        assert shown is not None
        assert not shown.verdict.going_on

    play(story, tmp_path, declared=alone)


def test_what_falls_because_of_a_vendor_is_the_vendors(tmp_path: Path) -> None:
    """A portal that needs a vendor which is down is not blamed for it."""
    needing = DECLARED.replace(
        "portal: {title: Portal}", "portal: {title: Portal, needs: [cardpay]}"
    )

    async def story(world: World) -> None:
        world.vendor("cardpay").errors = world.vendor("portal").errors = 1.0
        await world.passes(600)
        found = [
            each for each in world.facts(VerdictReached.name) if each.about == "service:portal"
        ]
        assert isinstance(found[-1], VerdictReached)
        assert found[-1].fault == "theirs"
        assert "it needs CardPay, which is down" in found[-1].reasons

    play(story, tmp_path, declared=needing)


# -- the rest ---------------------------------------------------------------------------------------------


def test_infrastructure_and_journeys_have_checks_too() -> None:
    """Whatever can be needed or fall can be watched, and is shown on its own page."""
    declared = """
infrastructure: {cas: {title: Sign-on}}
journeys: {permit: {needs: [cas]}}
watch:
  checks:
    cas: {tcp: "cas.test:443", every: 10s, timeout: 2s}
    renewing: {of: permit, http: "http://permit.test/renew", every: 10s, timeout: 2s}
"""

    async def story(world: World) -> None:
        world.vendor("cas").away = True
        await world.passes(120)
        (down,) = of(world, WentDown, "cas")
        assert isinstance(down, WentDown)
        assert down.of == "infrastructure:cas"
        assert pages.checks_panel(world.node, "infrastructure:cas") is not None
        assert pages.checks_panel(world.node, "journey:permit") is not None

    simulate(story, declared=declared)


def test_a_node_that_starts_again_remembers_what_every_place_saw(tmp_path: Path) -> None:
    """An outage seen from Berlin alone goes on until Berlin sees it end."""
    (tmp_path / "token").write_text(TOKEN)
    declared = DECLARED.replace("TOKEN_FILE", str(tmp_path / "token"))

    async def falls(world: World) -> None:
        world.look_from("berlin", tmp_path / "spool", token=TOKEN)
        await world.passes(120)
        world.ways["berlin"].unreachable.add("maps")
        await world.passes(200)
        assert len(of(world, WentDown, "maps")) == 1

    async def after(world: World) -> None:
        watcher: Watcher = world.node.part(Watcher)
        assert watcher.looks["maps"]["berlin"].down
        await world.passes(100)
        assert of(world, CameBack, "maps") == []
        world.look_from("berlin", tmp_path / "spool", token=TOKEN)
        await world.passes(200)
        assert len(of(world, CameBack, "maps")) == 1

    from datetime import UTC, datetime

    ledger = tmp_path / "ledger.db"
    simulate(falls, declared=declared, ledger=ledger)
    simulate(after, declared=declared, ledger=ledger, start=datetime(2026, 11, 2, 10, tzinfo=UTC))
