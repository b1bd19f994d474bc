"""Weeks in seconds: who is told, when, and what stands in the morning's mail."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path

import msgspec
import pytest

from detente.facts.dependencies import ChangePlanned
from detente.facts.incidents import Closed, Opened
from detente.facts.releases import Done, Requested, RolledBack, RunAsked, Told
from detente.facts.toggles import SwitchedOff
from detente.facts.work import CallCharged, CallParked
from detente.kernel.clock import later
from detente.kernel.forms import fill
from detente.kernel.money import Money
from detente.kernel.slice import Ask, Pull, Refused
from detente.kernel.web.kit import Reading, draw, environment
from detente.releases import levers, pages, queries
from detente.releases import slice as ours
from detente.testing import World, simulate

DECLARED = """
name: Telecom
teams:
  dev: {title: Development, mail: [dev@shop.test]}
  ops: {title: Operations, mail: [ops@shop.test]}
  biz: {title: Business, mail: [biz@shop.test]}
  far: {title: Far away, mail: [far@shop.test]}
  chat: {title: Chat, webhook: "https://chat.test/hooks/geheim"}
mail: {server: "mail.shop.test:25", from: "Détente <d@shop.test>"}
infrastructure: {sso: {title: Sign-on, teams: [ops]}}
services:
  shop: {title: Shop, teams: [dev], needs: [sso]}
  other: {title: Other, teams: [far]}
journeys:
  buy: {title: Buying, earns: 1200 EUR, needs: [shop], teams: [biz]}
  renew: {title: Renewing, earns: 300 EUR, needs: [shop, sso], teams: [biz]}
releases:
  timezone: Europe/Berlin
  must_know: [chat]
  lead_time: {normal: 2d}
  billing_code: "TEL-[0-9]{4}"
  morning_report: {to: [dev, ops], at: "07:00"}
  freezes:
    - {title: Weekend, weekly: "Fri 15:00 to Mon 06:00", reason: nobody is there, owner: Ann}
  services:
    shop: {ship: {run: [./ship.sh]}, back: {run: [./back.sh]}}
"""
A = "release:1"
MONDAY = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
A_DAY = 86_400.0


async def pulled(world: World, name: str, about: str, **said: str) -> None:
    lever = next(each for each in levers.LEVERS if each.name == f"releases.{name}")
    pull = Pull(about=about, by="Ann", at=world.now, form=fill(lever.form, said))
    await world.node.record(*lever.decide(world.node, pull), by="Ann")


async def asked(world: World, starts: str = "in 3d", **said: str) -> None:
    said = {"title": "Cheaper basket", "billing_code": "TEL-2026", **said}
    await pulled(world, "request", "service:shop", starts=starts, **said)


def to(world: World, who: str) -> list[EmailMessage]:
    return [each for each in world.network.mails if who in str(each["To"])]


def words(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


def test_whoever_must_know_is_told_once_and_in_time() -> None:
    """Teams of what is touched and of what needs it, and those named; nobody else, and nobody twice."""

    async def story(world: World) -> None:
        await asked(world, people="Ann, Bob", plan="As always.")
        await world.passes(6 * 3600)
        mails = [each for each in world.network.mails if "release 1" in str(each["Subject"])]
        assert sorted(str(each["To"]) for each in mails) == ["biz@shop.test", "dev@shop.test"]
        ((url, hook),) = world.network.hooks
        assert url.endswith("geheim")
        assert isinstance(hook, dict)
        assert hook["release"] == A
        told = [each for each in world.facts("releases.told") if isinstance(each, Told)]
        assert {each.team for each in told if each.about == A} == {
            "team:biz",
            "team:dev",
            "team:chat",
        }
        said = words(mails[0])
        for part in (
            "A release of Shop is planned for Thu 5 Nov 2026, 10:00 CET: Cheaper basket",
            "2 journeys fall with it (Buying, Renewing), worth 1 500.00 EUR an hour",
            "Shop is a central point of failure", "Who is there: Ann, Bob", "TEL-2026",
            "/releases/calendar.ics",
        ):  # fmt: skip
            assert part.replace(" ", "") in said.replace("\N{NARROW NO-BREAK SPACE}", "").replace(
                " ", ""
            ), part

    simulate(story, declared=DECLARED, start=MONDAY)


def test_a_change_and_a_withdrawal_are_told_once_in_the_same_thread() -> None:
    """The answer to the first mail, with the same subject; who never heard of it hears nothing."""

    async def story(world: World) -> None:
        await asked(world)
        await world.passes(60)
        await pulled(world, "change", A, starts="in 4d")
        await world.passes(60)
        await pulled(world, "withdraw", A, why="not needed")
        await world.passes(3600)
        first, changed, gone = (
            each for each in to(world, "dev") if "release 1" in str(each["Subject"])
        )
        assert changed["In-Reply-To"] == gone["In-Reply-To"] == first["Message-ID"]
        assert str(changed["Subject"]) == f"Re: {first['Subject']}"
        assert "was changed" in words(changed)
        assert "will not take place" in words(gone)
        assert "Why: not needed" in words(gone)
        assert not to(world, "far")

    simulate(story, declared=DECLARED, start=MONDAY)


def test_a_mail_server_that_is_away_is_tried_again() -> None:
    """Told when it is back, once; until then Now says who could not be told."""

    async def story(world: World) -> None:
        world.network.mail_is_down = True
        await asked(world)
        await world.passes(600)
        (sign, *_) = [each for each in pages.signs(world.node) if each.about == "team:biz"]
        assert "Business could not be told by mail about release 1" in sign.sentence
        world.network.mail_is_down = False
        await world.passes(600)
        assert len([each for each in to(world, "biz") if "release 1" in str(each["Subject"])]) == 1
        assert not [each for each in pages.signs(world.node) if each.about == "team:biz"]

    simulate(story, declared=DECLARED, start=MONDAY)


def test_a_restart_tells_nobody_again(tmp_path: Path) -> None:
    """What was noted is not said twice; the one mail that was not noted is the same mail again."""
    ids: list[str] = []

    async def first(world: World) -> None:
        await asked(world)
        await world.passes(60)
        ids.extend(str(each["Message-ID"]) for each in to(world, "dev"))

    async def second(world: World) -> None:
        await world.passes(3600)
        assert not [each for each in world.network.mails if "release 1" in str(each["Subject"])]

    ledger = tmp_path / "detente.db"
    simulate(first, declared=DECLARED, start=MONDAY, ledger=ledger)
    simulate(second, declared=DECLARED, start=datetime(2026, 11, 2, 10, tzinfo=UTC), ledger=ledger)
    assert len(ids) == 1
    assert ids[0].startswith("<release-1.requested.dev.")


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ({"starts": "in 1d"}, "a normal release is announced 2 days ahead"),
        ({"starts": "2026-11-01 09:00"}, "a normal release is announced 2 days ahead"),
        ({"starts": "2026-11-01 09:00", "kind": "emergency"}, "that is over"),
        ({"billing_code": "42"}, "“42” is no billing code; they look like TEL-"),
        ({"billing_code": ""}, "please give a billing code"),
        ({"touches": "sos"}, "nothing is called sos; did you mean sso?"),
        ({"lasts": "a while"}, "a while"),
        ({"title": " "}, "what will be different"),
    ],
)
def test_what_is_asked_wrongly_changes_nothing(said: dict[str, str], says: str) -> None:
    """One sentence that names the field and the remedy."""

    async def story(world: World) -> None:
        with pytest.raises(Refused, match=says.replace("(", "\\(")):
            await asked(world, **said)
        assert not world.facts("releases.*")

    simulate(story, declared=DECLARED, start=MONDAY)


def test_what_whoever_asks_hears_at_once() -> None:
    """The risk from the map, what else happens then, and the freeze that it falls into."""

    async def story(world: World) -> None:
        change = ChangePlanned(
            about="change:7", title="move sso", starts=later(world.now, 4.26 * A_DAY)
        )
        await world.node.record(change, by="Eve")
        await asked(world, starts="in 4d", lasts="1d")
        await asked(world, starts="2026-11-06 16:00", touches="sso")
        fact = world.facts("releases.requested")[1]
        assert isinstance(fact, Requested)
        assert fact.overlaps == ("release:1", "change:7")
        assert fact.frozen == "Weekend"
        assert fact.falls == ("journey:buy", "journey:renew")
        assert "infrastructure:sso" in fact.central
        assert "Falls into the freeze “Weekend”" in fact.says()

    simulate(story, declared=DECLARED, start=MONDAY)


def test_two_at_the_same_moment_get_two_numbers() -> None:
    """There is one node, and it counts."""

    async def story(world: World) -> None:
        await asyncio.gather(asked(world), asked(world), asked(world))
        assert [each.about for each in world.facts("releases.requested")] == [
            "release:1",
            "release:2",
            "release:3",
        ]

    simulate(story, declared=DECLARED, start=MONDAY)


def test_a_freeze_stops_it_and_a_reason_lets_it_through() -> None:
    """Refused with who, why and until when; with a reason it goes, and is reviewed afterwards."""

    async def story(world: World) -> None:
        await asked(world, starts="2026-11-06 16:00", kind="standard")
        await world.passes(6 * 3600)
        with pytest.raises(Refused, match="“Weekend” holds until Mon 9 Nov 06:00: nobody is there"):
            await pulled(world, "run", A)
        assert not world.facts("releases.run_asked")
        await pulled(world, "run", A, through="the shop sells nothing")
        (fact,) = world.facts("releases.run_asked")
        assert isinstance(fact, RunAsked)
        assert fact.through == "the shop sells nothing"

    declared = DECLARED.replace("[./ship.sh]", "[/nonexistent/ship]")
    simulate(story, declared=declared, start=datetime(2026, 11, 6, 9, 30, tzinfo=UTC))


def test_it_is_not_run_long_before_it_was_announced() -> None:
    """Whoever was told a time can rely on it; an emergency is now."""

    async def story(world: World) -> None:
        await asked(world)
        with pytest.raises(Refused, match="It was announced for Thu 5 Nov 10:00"):
            await pulled(world, "run", A)
        with pytest.raises(Refused, match="It is withdrawn"):
            await pulled(world, "withdraw", A, why="x")
            await pulled(world, "run", A)

    simulate(story, declared=DECLARED, start=MONDAY)


async def a_night(world: World) -> None:
    """A release stays, one comes back, something breaks and is mended, calls wait, a toggle flips."""
    node, now = world.node, world.now
    for about, title in ((A, "Cheaper basket"), ("release:2", "New prices")):
        asked = Requested(
            about=about, title=title, service="service:shop", starts=now, ends=now + 1
        )
        await node.record(asked, by="Ann")
    why = "check shop: 6 of 14 runs failed, where at most 1.0% used to; evidence 275 to 1, and 20 to 1 decides"
    await node.record(
        Done(about=A, version="v2", lasted=60.0),
        RolledBack(
            about="release:2",
            to="v2",
            why=why,
            because="check:shop",
            e_value=275.0,
            failed=6,
            of=14,
        ),
        Opened(
            about="incident:1", of="service:shop", since=now, cause="check:shop", reason="HTTP 500"
        ),
        SwitchedOff(about="toggle:basket", why="it was slow"),
        CallParked(
            about="call:1",
            route="r",
            vendor="vendor:v",
            reason="away",
            unknown=False,
            money=Money(1990, "EUR"),
        ),
        CallParked(
            about="call:2",
            route="r",
            vendor="vendor:v",
            reason="away",
            unknown=False,
            money=Money(10, "EUR"),
        ),
        by="test",
    )
    await world.passes(60)
    await node.record(
        Closed(about="incident:1", since=world.now, lasted=60.0),
        CallCharged(about="call:1", route="r", vendor="vendor:v", status=200, seconds=0.1),
        by="test",
    )


def test_the_morning_report() -> None:
    """At 07:00 where the team is, once, to each: what stayed, what came back and why in numbers."""

    async def story(world: World) -> None:
        await world.passes(12 * 3600)
        await a_night(world)
        today = Requested(
            about="release:3", title="Tonight", service="service:shop",
            starts=later(world.now, 20 * 3600), ends=later(world.now, 21 * 3600), people=("Eve",),
        )  # fmt: skip
        await world.node.record(today, by="Ann")
        await world.passes(1.6 * A_DAY)
        mornings = [each for each in to(world, "ops") if "2026-11-03" in str(each["Subject"])]
        (mail,) = mornings
        assert str(mail["Date"]).startswith("Tue, 03 Nov 2026 06:00")
        said = words(mail)
        for part in (
            "1 release shipped and stayed, 1 came back, 1 incident",
            "Cheaper basket: done: v2 stays",
            "New prices: rolled back to v2: check shop: 6 of 14 runs failed",
            "evidence 275 to 1, and 20 to 1 decides",
            "Shop: incident 1: HTTP 500; ",
            "switched off: it was slow",
            "2 calls were parked, worth 20.00 EUR; 1 of them wait still",
            "Release 3: Tonight (normal), Eve",
        ):
            assert part in said, (part, said)
        rich = mail.get_body(("html",))
        assert rich is not None
        assert "evidence 275 to 1" in str(rich.get_content())
        days = [
            str(each["Subject"])[10:20]
            for each in to(world, "dev")
            if "] 2026" in str(each["Subject"])
        ]
        assert days == ["2026-11-03", "2026-11-04"]

    simulate(story, declared=DECLARED, start=MONDAY)


def test_a_morning_without_mail_is_made_up_for_and_told_once(tmp_path: Path) -> None:
    """The server comes back at nine, the node is restarted at ten: each team has one mail."""
    mails: list[EmailMessage] = []

    async def first(world: World) -> None:
        await world.passes(21 * 3600 - 600)
        world.network.mail_is_down = True
        await world.passes(2 * 3600)
        world.network.mail_is_down = False
        await world.passes(3600)
        mails.extend(world.network.mails)

    async def second(world: World) -> None:
        await world.passes(3600)
        mails.extend(world.network.mails)

    ledger = tmp_path / "detente.db"
    simulate(first, declared=DECLARED, start=MONDAY, ledger=ledger)
    simulate(second, declared=DECLARED, start=datetime(2026, 11, 3, 10, tzinfo=UTC), ledger=ledger)
    assert sorted(str(each["To"]) for each in mails) == ["dev@shop.test", "ops@shop.test"]
    assert "A quiet night" in words(mails[0])


def test_nobody_gets_the_morning_in_the_afternoon() -> None:
    """A node that was down all morning says nothing until the next."""

    async def story(world: World) -> None:
        await world.passes(3600)
        assert not world.network.mails

    simulate(story, declared=DECLARED, start=datetime(2026, 11, 2, 14, 0, tzinfo=UTC))


def test_every_page_can_be_drawn_and_read_by_programs() -> None:
    """Empty, planned, and after a night; what people wrote is text and nothing else."""

    async def story(world: World) -> None:
        node = world.node
        folder = {"releases": Path(ours.__file__).parent / "templates"}
        templates = environment(node, folder, pages=pages.PAGES, levers=levers.LEVERS)

        def drawn(page: int, **path: str) -> str:
            wanted = pages.PAGES[page]
            answer = wanted.answer(node, Ask(path=path))
            assert msgspec.json.encode(answer)
            reading = Reading(now=node.clock.now(), path=wanted.path)
            return draw(templates, wanted.template, reading, page=wanted, answer=answer)

        assert "Nothing is planned" in drawn(0)
        assert "A quiet night" in drawn(1)
        await asked(world, title="Cheaper <basket>", people="Ann")
        assert "Cheaper &lt;basket&gt;" in drawn(0)
        room = drawn(2, number="1")
        for part in (
            "Cheaper &lt;basket&gt;",
            "/levers/releases.withdraw",
            "2 journeys fall",
            "gate",
            "not told yet",
        ):
            assert part in room
        await a_night(world)
        assert "6 of 14 runs failed" in drawn(1)
        panel = pages.lately_panel(node, "service:shop")
        assert panel is None or panel.over is not None
        assert queries.must_know(node, ("service:other",)) == ("far", "chat")

    simulate(story, declared=DECLARED, start=MONDAY)
