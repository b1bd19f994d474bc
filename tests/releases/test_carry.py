"""Is a release carried through its steps, and back when it must be?"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from detente.facts.incidents import Opened
from detente.facts.releases import BackAsked, Held, Requested, RunAsked, WentOn
from detente.facts.toggles import SwitchedOn
from detente.facts.watch import SheetFiled, Tally, WentDown
from detente.kernel.clock import NS, later
from detente.kernel.fact import Fact
from detente.kernel.ledger import Query
from detente.kernel.node import Node
from detente.releases import queries

from .conftest import ABOUT, Shop


def facts(node: Node, *names: str) -> list[Fact]:
    asked = Query(names=tuple(f"releases.{each}" for each in names), subjects=(ABOUT,))
    return [each.fact for each in node.ledger.read(asked)]


def test_one_command_ships_it(shop: Shop) -> None:
    """Gate, ship, verify; the new version runs, and what it replaced and how old it was is known."""

    async def story() -> None:
        async with shop.node() as node:
            await shop.let_go(node)
            release = await shop.comes_to(node, "done", "stopped", "rolled back", "stuck")
            assert release.outcome == f"done: {shop.new[:10]} stays"
            assert shop.runs() == shop.new
            assert shop.ran() == ["gate", "ship", "verify"]
            (began,) = facts(node, "began")
            assert (began.version, began.before, began.commits) == (shop.new, shop.old, 1)
            assert 0 <= node.clock.now() - began.committed < 120 * NS
            notes = {each.step: each.note for each in facts(node, "step_passed")}
            assert notes["gate"].endswith("gate.sh: 12 passed")

    asyncio.run(story())


def test_a_gate_that_fails_changes_nothing(shop: Shop) -> None:
    """It says which program said no and what it printed last; what it printed is kept, masked."""
    shop.script(
        "gate", "echo password=hunter22 http://x.test/?token=abcdefgh; echo 2 failed; exit 3"
    )

    async def story() -> None:
        async with shop.node() as node:
            await shop.let_go(node)
            release = await shop.comes_to(node, "stopped")
            assert "gate.sh ended with exit code 3: 2 failed" in release.outcome
            assert shop.runs() == shop.old
            assert shop.ran() == ["gate"]
            printed = node.ledger.attachment(release.steps[-1].position)
            assert printed is not None
            assert b"2 failed" in printed
            assert b"abcdefgh" not in printed

    asyncio.run(story())


def test_a_program_that_is_not_there(shop: Shop) -> None:
    """The sentence names it, and production is as it was."""
    (shop.home / "gate.sh").unlink()

    async def story() -> None:
        async with shop.node() as node:
            await shop.let_go(node)
            release = await shop.comes_to(node, "stopped")
            assert "gate.sh could not be started: there is no such program" in release.outcome

    asyncio.run(story())


def test_a_version_that_git_does_not_know(shop: Shop) -> None:
    """Nothing is begun with a version that is not there."""

    async def story() -> None:
        async with shop.node() as node:
            await shop.let_go(node)
            await shop.comes_to(node, "done")
            now = node.clock.now()
            asked = Requested(
                about="release:2", title="x", service="service:shop", starts=now, ends=now,
                version="nosuch",
            )  # fmt: skip
            await node.record(asked, RunAsked(about="release:2"), by="Ann")
            async for _ in node.follow(("releases.stopped",), after=0):
                break
            second = queries.one(node.rows, "release:2")
            assert second is not None
            assert "git knows no version nosuch" in second.outcome

    asyncio.run(story())


def test_a_ship_that_hangs_is_ended_and_taken_back(shop: Shop) -> None:
    """After its time it is ended, with what it started; half of it is there, so it goes back."""
    shop.script("ship", f"echo half > {shop.live}; sleep 300 & sleep 300")

    async def story() -> None:
        async with shop.node() as node:
            await shop.let_go(node)
            release = await shop.comes_to(node, "rolled back")
            assert "was still running after 1 s, and was ended" in release.outcome
            assert shop.runs() == shop.old

    asyncio.run(story())


def test_a_ship_that_fails_before_it_changed_anything(shop: Shop) -> None:
    """Production still has the version before, so there is nothing to take back."""
    shop.script("ship", "echo no disk; exit 1")

    async def story() -> None:
        async with shop.node() as node:
            await shop.let_go(node)
            release = await shop.comes_to(node, "stopped")
            assert "ship.sh ended with exit code 1: no disk" in release.outcome
            assert shop.ran() == ["gate", "ship"]

    asyncio.run(story())


def test_a_ship_that_says_yes_and_does_nothing(shop: Shop) -> None:
    """An exit code of 0 is no proof: production is asked."""
    shop.script("ship", "echo all fine")

    async def story() -> None:
        async with shop.node() as node:
            await shop.let_go(node)
            release = await shop.comes_to(node, "stopped")
            assert "ended well, but production still has" in release.outcome

    asyncio.run(story())


def test_what_fails_in_production_comes_back(shop: Shop) -> None:
    """Verify says no: the version before runs again, and the reason stands with it."""
    shop.script("verify", "echo the basket is empty; exit 1")

    async def story() -> None:
        async with shop.node() as node:
            await shop.let_go(node)
            release = await shop.comes_to(node, "rolled back")
            assert "the basket is empty" in release.outcome
            assert (release.to, shop.runs()) == (shop.old, shop.old)
            assert shop.ran() == ["gate", "ship", "verify", "back"]

    asyncio.run(story())


def test_a_way_back_that_fails_needs_a_person(shop: Shop) -> None:
    """It says so loudly; a person may try again, and then it is back."""
    shop.script("verify", "exit 1")
    shop.script("back", "echo host b does not answer; exit 1")

    async def story() -> None:
        async with shop.node() as node:
            await shop.let_go(node)
            release = await shop.comes_to(node, "stuck")
            assert "host b does not answer" in release.outcome
            shop.script("back", f'echo "$DETENTE_PREVIOUS" > {shop.live}')
            await node.record(BackAsked(about=ABOUT, why="host b is there again"), by="Ann")
            release = await shop.comes_to(node, "rolled back")
            assert shop.runs() == shop.old

    asyncio.run(story())


def test_held_until_somebody_lets_it_go_on(shop: Shop) -> None:
    """A step on its way ends, and the next does not begin."""
    shop.script("gate", "sleep 0.3")

    async def story() -> None:
        async with shop.node() as node:
            await shop.let_go(node)
            await shop.has_begun(node, "gate")
            await node.record(Held(about=ABOUT, why="a question"), by="Ann")
            async for _ in node.follow(("releases.step_passed",), after=0):
                break
            assert shop.ran() == ["gate"]
            await node.record(WentOn(about=ABOUT), by="Ann")
            await shop.comes_to(node, "done")

    asyncio.run(story())


def test_gone_back_during_the_gate_ships_nothing(shop: Shop) -> None:
    """The gate is dropped at once, with its processes."""
    shop.script("gate", "sleep 300")

    async def story() -> None:
        async with shop.node() as node:
            await shop.let_go(node)
            await shop.has_begun(node, "gate")
            await node.record(BackAsked(about=ABOUT, why="wrong branch"), by="Ann")
            release = await shop.comes_to(node, "stopped")
            assert release.outcome.endswith("wrong branch")
            assert shop.ran() == ["gate"]

    asyncio.run(story())


def test_gone_back_during_the_ship_lets_it_end_first(shop: Shop) -> None:
    """Half a ship is worse than a whole one: it ends, and is then taken back."""
    shop.script(
        "ship", f'sleep 0.4; echo "$DETENTE_VERSION" > {shop.live}; echo whole >> {shop.log}'
    )

    async def story() -> None:
        async with shop.node() as node:
            await shop.let_go(node)
            await shop.has_begun(node, "ship")
            await node.record(BackAsked(about=ABOUT, why="prices are wrong"), by="Ann")
            release = await shop.comes_to(node, "rolled back")
            assert release.outcome.endswith("prices are wrong")
            assert shop.ran() == ["gate", "ship", "whole", "back"]
            assert shop.runs() == shop.old

    asyncio.run(story())


def test_an_open_incident_stops_it_unless_it_mends_it(shop: Shop) -> None:
    """What is on fire is not released upon; an emergency is, and is reviewed afterwards."""

    async def story() -> None:
        async with shop.node() as node:
            now = node.clock.now()
            fire = Opened(
                about="incident:3",
                of="service:shop",
                since=now,
                cause="check:shop",
                reason="HTTP 500",
            )
            await node.record(fire, by="test")
            await shop.let_go(node)
            release = await shop.comes_to(node, "stopped")
            assert "incident 3 is open: Shop, HTTP 500" in release.outcome

    asyncio.run(story())


def test_an_emergency_passes_and_is_reviewed(shop: Shop) -> None:
    """The same path with the smaller gate, and a review with a date."""
    shop.more = """
      emergency: []
  freezes: [{title: Christmas, from: 2020-01-01, until: 2090-01-01, reason: everybody buys, owner: Eve}]
"""

    async def story() -> None:
        async with shop.node() as node:
            await shop.let_go(node, kind="emergency")
            release = await shop.comes_to(node, "done", "stopped")
            assert release.state == "done"
            assert shop.ran() == ["ship", "verify"]
            assert release.wants_review
            assert "although the freeze “Christmas” holds until" in release.review
            assert release.review_due is not None

    asyncio.run(story())


def test_a_freeze_explains_itself(shop: Shop) -> None:
    """Its reason, until when, and whom to ask."""
    shop.more = """
  freezes: [{title: Christmas, from: 2020-01-01, until: 2090-01-01, reason: everybody buys, owner: Eve}]
"""

    async def story() -> None:
        async with shop.node() as node:
            await shop.let_go(node)
            release = await shop.comes_to(node, "stopped")
            assert (
                "“Christmas” holds until Sun 1 Jan 00:00 UTC: everybody buys. Ask Eve"
                in release.outcome
            )
            assert shop.ran() == []

    asyncio.run(story())


WATCHED = "watch: {for: 1s, checks: [shop]}"
CHECKS = 'watch: {checks: {shop: {http: "http://shop.test/", every: 10s}}}'
TOGGLES = "teams: {dev: {title: Development}}\ntoggles: {toggles: {basket: {owner: dev}}}"


def sheet(node: Node, seconds: float, *, failed: int, ok: int) -> SheetFiled:
    """A sheet that ends so many seconds from now."""
    until = later(node.clock.now(), seconds)
    lasts = 0.01 if seconds > 0 else 10.0 * (failed + ok)
    tally = Tally(expected=failed + ok, ok=ok, failed=failed)
    return SheetFiled(
        about="place:here",
        since=later(until, -lasts),
        until=until,
        sha256="",
        tallies={"shop": tally},
    )


def test_the_watch_takes_it_back_in_numbers(shop: Shop) -> None:
    """Evidence since it shipped against what was known before; the sentence carries the numbers."""
    shop.beside, shop.watch = CHECKS, WATCHED

    async def story() -> None:
        async with shop.node() as node:
            await node.record(sheet(node, -60, failed=0, ok=500), by="test")
            await shop.let_go(node)
            async for _ in node.follow(("releases.shipped",), after=0):
                break
            await node.record(sheet(node, 0.2, failed=6, ok=4), by="test")
            release = await shop.comes_to(node, "rolled back")
            (fact,) = facts(node, "rolled_back")
            assert (fact.because, fact.failed, fact.of) == ("check:shop", 6, 10)
            assert fact.e_value > 20
            assert "check shop: 6 of 10 runs failed, where at most 1.0% used to" in release.outcome
            assert shop.runs() == shop.old

    asyncio.run(story())


def test_a_fall_that_no_sheet_tells_of_yet(shop: Shop) -> None:
    """Nobody waits for the next sheet while production is down."""
    shop.beside, shop.watch = CHECKS, "watch: {for: 20s, checks: [shop]}"

    async def story() -> None:
        async with shop.node() as node:
            await node.record(sheet(node, -60, failed=0, ok=500), by="test")
            await shop.let_go(node)
            async for _ in node.follow(("releases.shipped",), after=0):
                break
            now = node.clock.now()
            down = WentDown(
                about="check:shop", of="service:shop", since=now, reason="HTTP 500", failures=3
            )
            await node.record(down, by="test")
            release = await shop.comes_to(node, "rolled back")
            assert "3 of 3 runs failed" in release.outcome

    asyncio.run(story())


def test_too_little_is_said_to_be_too_little(shop: Shop) -> None:
    """A quiet watch is no proof, and does not pretend to be one."""
    shop.beside, shop.watch = CHECKS, WATCHED

    async def story() -> None:
        async with shop.node() as node:
            await shop.let_go(node)
            release = await shop.comes_to(node, "done")
            note = release.steps[-1].note
            assert note == "shop: 0 of 0 runs failed; not enough to see a fivefold worsening: shop"

    asyncio.run(story())


def test_the_toggle_first_and_the_release_second(shop: Shop) -> None:
    """Its toggle is switched off; when that does not help, the release is taken back as well."""
    shop.beside = f"{CHECKS}\n{TOGGLES}"
    shop.watch = "watch: {for: 20s, checks: [shop]}"

    async def story() -> None:
        async with shop.node() as node:
            await node.record(
                sheet(node, -60, failed=0, ok=500), SwitchedOn(about="toggle:basket"), by="test"
            )
            await shop.let_go(node, toggles=("toggle:basket",))
            async for _ in node.follow(("releases.shipped",), after=0):
                break
            await node.record(sheet(node, 0.2, failed=6, ok=4), by="test")
            async for batch in node.follow(("releases.toggle_switched_back",), after=0):
                assert "6 of 10 runs failed" in batch[0].fact.says()
                break
            (off,) = node.ledger.read(Query(names=("toggles.switched_off",)))
            assert (off.about, off.by) == ("toggle:basket", "detente:releases")
            assert shop.runs() == shop.new, "the release itself is still there"
            await node.record(sheet(node, 0.5, failed=6, ok=4), by="test")
            await shop.comes_to(node, "rolled back")
            assert shop.runs() == shop.old

    asyncio.run(story())


def test_programs_neither_get_nor_tell_the_nodes_secrets(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the configuration refers to, and our tokens, are not theirs; what looks secret is hidden."""
    monkeypatch.setenv("BUYER", "from-the-environment")
    monkeypatch.setenv("DETENTE_TOKEN", "the-token-of-a-node")
    monkeypatch.setenv("DEPLOY_KEY", "needed to deploy")
    (tmp_path / "seller").write_text("from-a-file\n")
    shop.beside = f"""
acceptance:
  accounts:
    buyer: {{user: ann, password: {{env: BUYER}}}}
    seller: {{user: eve, password: {{file: {tmp_path}/seller}}}}
"""
    shop.script(
        "gate", f"env | sort; cat {tmp_path}/seller; echo with $(cat {tmp_path}/seller)"
    )  # fmt: skip

    async def story() -> None:
        async with shop.node() as node:
            await shop.let_go(node)
            release = await shop.comes_to(node, "done", "stopped")
            (gate,) = [each for each in facts(node, "step_passed") if each.step == "gate"]
            assert gate.note.endswith("with •••")
            step = next(each for each in release.steps if each.name == "gate")
            printed = (node.ledger.attachment(step.position) or b"").decode()
            assert "DEPLOY_KEY=•••\n" in printed
            assert f"DETENTE_VERSION={shop.new}\n" in printed
            for gone in ("BUYER", "DETENTE_TOKEN", "from-a-file", "needed to deploy"):
                assert gone not in printed

    asyncio.run(story())
