"""Watching a vendor in a simulated world: what is recorded, and what is admitted not to be known."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from detente.commands import root
from detente.facts.watch import CameBack, LostSight, SheetFiled, WentDown, parts_of, seal_of
from detente.kernel import faces, spans
from detente.kernel.catalogue import Catalogue, Vendor
from detente.kernel.clock import NS, instant
from detente.kernel.config import Secret
from detente.kernel.fact import Fact
from detente.kernel.ledger import LedgerFull, Receipt
from detente.kernel.slice import Ask
from detente.testing import World, simulate
from detente.watch import pages, queries
from detente.watch.effects import Watcher
from detente.watch.effects.orders import probe
from detente.watch.engine.wire import Result
from detente.watch.settings import Check, Expect, Outside, Watch, mistakes

DECLARED = """
vendors: {cardpay: {}}
watch:
  checks:
    cardpay: {http: "http://cardpay.test/health", every: 10s, timeout: 2s}
    hourly: {of: cardpay, tcp: "cardpay.test:443", every: 1h, timeout: 2s}
"""


def sheets(world: World) -> list[SheetFiled]:
    return [each for each in world.facts("watch.sheet_filed") if isinstance(each, SheetFiled)]


def state(world: World, name: str = "cardpay") -> str:
    return {each.name: each.state for each in queries.standings(world.node)}[name]


def test_an_outage_has_its_right_times() -> None:
    """It lasts from the first run that failed to the first that was answered."""

    async def story(world: World) -> None:
        vendor = world.vendor("cardpay")
        await world.passes(120)
        assert state(world) == "up"
        went = world.now
        vendor.away = True
        await world.passes(600)
        assert state(world) == "down"
        came = world.now
        vendor.away = False
        await world.passes(120)
        (down,), (back,) = world.facts("watch.went_down"), world.facts("watch.came_back")
        assert isinstance(down, WentDown)
        assert isinstance(back, CameBack)
        assert went <= down.since <= went + 10 * NS
        assert came <= back.since <= came + 10 * NS
        assert back.lasted == (back.since - down.since) / NS
        assert state(world) == "up"

    simulate(story, declared=DECLARED)


def test_a_prober_that_is_cut_off_blames_nobody() -> None:
    """Its own trouble is lost sight, never an outage, and the page says so."""

    async def story(world: World) -> None:
        await world.passes(120)
        world.prober.blind = True
        await world.passes(600)
        assert world.facts("watch.went_down") == []
        assert isinstance(world.facts("watch.lost_sight")[0], LostSight)
        assert state(world) == "cannot tell"
        assert [sign.tone for sign in pages.signs(world.node)] == ["warn"]
        world.prober.blind = False
        await world.passes(120)
        assert len(world.facts("watch.regained_sight")) == 1
        assert state(world) == "up"

    simulate(story, declared=DECLARED)


def test_sheets_cover_a_day_without_gap_or_overlap() -> None:
    """One begins where the last ended, each expected slot is in exactly one, and the bytes match."""

    async def story(world: World) -> None:
        began = world.now
        await world.passes(86_400)
        filed = sheets(world)
        assert began - NS <= filed[0].since <= began
        assert all(one.until == other.since for one, other in pairwise(filed))
        assert filed[-1].until > world.now - 60 * NS
        covered = filed[-1].until - filed[0].since
        expected = sum(
            each.tallies["cardpay"].expected for each in filed if "cardpay" in each.tallies
        )
        assert abs(expected - covered / (10 * NS)) <= 1
        assert (
            sum(each.tallies["hourly"].expected for each in filed if "hourly" in each.tallies) == 24
        )
        assert all(tally.not_run == 0 for each in filed for tally in each.tallies.values())
        for recorded in world.recorded("watch.sheet_filed")[:50]:
            packed = world.node.ledger.attachment(recorded.position)
            assert packed is not None
            assert isinstance(recorded.fact, SheetFiled)
            assert seal_of(parts_of(packed).values()) == recorded.fact.sha256
        (standing, _) = queries.standings(world.node)
        assert standing.unmeasured == []

    simulate(story, declared=DECLARED)


def test_the_time_between_two_runs_of_the_node_is_unmeasured(tmp_path: Path) -> None:
    """After a stop nobody pretends to have looked; an outage goes on until it is seen to end."""
    ledger = tmp_path / "ledger.db"

    async def before(world: World) -> int:
        await world.passes(600)
        world.vendor("cardpay").away = True
        await world.passes(120)
        return world.now

    async def after(world: World) -> int:
        began = world.now
        assert state(world) == "down"
        await world.passes(600)
        assert len(world.facts("watch.went_down")) == len(world.facts("watch.came_back")) == 1
        (standing, _) = queries.standings(world.node)
        assert any(start <= stopped <= began <= end for start, end in slack(standing.unmeasured))
        assert state(world) == "up"
        filed = sheets(world)
        assert all(one.until <= other.since for one, other in pairwise(filed))
        assert sum(one.until < other.since for one, other in pairwise(filed)) == 1
        return began

    def slack(gaps: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        return [(start - 30 * NS, end + 30 * NS) for start, end in gaps]

    morning, noon = datetime(2026, 11, 2, 9, tzinfo=UTC), datetime(2026, 11, 2, 12, tzinfo=UTC)
    stopped = simulate(before, declared=DECLARED, ledger=ledger, start=morning)
    assert simulate(after, declared=DECLARED, ledger=ledger, start=noon) >= instant(noon)


def test_nothing_seen_lately_is_not_called_up() -> None:
    """A prober that fell silent leaves "cannot tell", not yesterday's good news."""

    async def story(world: World) -> None:
        await world.passes(600)
        assert state(world) == "up"
        await world.prober.close()
        await world.passes(600)
        assert state(world) == "cannot tell"
        assert sheets(world)[-1].tallies["cardpay"].not_run > 0

    simulate(story, declared=DECLARED)


def test_two_failures_are_not_an_outage_yet() -> None:
    """What has answered before and fails for the first time is still up."""

    async def story(world: World) -> None:
        watcher: Watcher = world.node.part(Watcher)
        await world.passes(300)
        await watcher.file(world.now)
        world.vendor("cardpay").away = True
        await world.passes(19)
        await watcher.file(world.now)
        assert sheets(world)[-1].tallies["cardpay"].ok == 0
        assert world.facts("watch.went_down") == []
        assert state(world) == "up"

    simulate(story, declared=DECLARED)


def test_the_first_sheet_comes_soon() -> None:
    """Who has just started a node sees that it looks, within seconds."""

    async def story(world: World) -> None:
        await world.passes(5)
        assert len(sheets(world)) == 1

    simulate(story, declared=DECLARED)


def test_looks_outside_the_schedule_are_filed() -> None:
    """A first look at start is judged, filed with its own slot, and counted."""

    async def story(world: World) -> None:
        watcher: Watcher = world.node.part(Watcher)
        at = world.now + 123
        await watcher.heard([Result(id="hourly", slot=at, at=at, verdict="ok", total=0.1)])
        await world.passes(30)
        assert sheets(world)[0].tallies["hourly"].ok == 1
        assert watcher.standings["hourly"].seen >= at

    simulate(story, declared=DECLARED)


class Full:
    """A ledger that takes nothing for a while."""

    def __init__(self, world: World) -> None:
        self.is_full = True
        self._append = world.node.ledger.append
        world.node.ledger.append = self.append  # type: ignore[method-assign]

    async def append(self, facts: Sequence[Fact], **given: Any) -> Receipt:
        if self.is_full:
            raise LedgerFull("The disk is full.")
        return await self._append(facts, **given)


def test_a_full_disk_forgets_no_outage_and_no_result() -> None:
    """What was seen while the disk was full is written down, with its own times, once it is not."""

    async def story(world: World) -> None:
        await world.passes(100)
        disk = Full(world)
        went = world.now
        world.vendor("cardpay").away = True
        await world.passes(300)
        disk.is_full = False
        await world.passes(100)
        (down,) = world.facts("watch.went_down")
        assert isinstance(down, WentDown)
        assert went <= down.since <= went + 10 * NS
        filed = sheets(world)
        assert all(one.until == other.since for one, other in pairwise(filed))
        assert all(tally.not_run == 0 for each in filed for tally in each.tallies.values())

    simulate(story, declared=DECLARED)


def test_a_ledger_that_takes_nothing_is_the_first_thing_told() -> None:
    """While nothing can be written down *Now* says so, and it stops once something was."""

    async def story(world: World) -> None:
        await world.passes(100)
        disk = Full(world)
        await world.passes(100)
        first, *_ = faces.signs_of(world.node)
        assert (first.tone, first.about) == ("bad", "node:here")
        assert "The disk is full" in first.sentence
        disk.is_full = False
        await world.passes(100)
        assert not faces.signs_of(world.node)

    simulate(story, declared=DECLARED)


def test_a_check_taken_out_while_it_was_down(tmp_path: Path) -> None:
    """At the next start its outage ends, and the incident that waited for it."""

    async def falls(world: World) -> None:
        world.vendor("cardpay").away = True
        await world.passes(100)
        assert spans.going_on(world.node.rows, "incident")

    async def gone(world: World) -> None:
        await world.passes(100)
        assert len(world.facts("watch.retired")) == 1
        assert not spans.going_on(world.node.rows)
        (left,) = world.facts("incidents.cause_left")
        assert "no longer declared" in left.says()

    async def again(world: World) -> None:
        await world.passes(100)
        assert len(world.facts("watch.retired")) == 1

    ledger = tmp_path / "ledger.db"
    simulate(falls, declared=DECLARED, ledger=ledger)
    for story in (gone, again):
        renamed = DECLARED.replace("cardpay: {http", "renamed: {of: cardpay, http")
        simulate(story, declared=renamed, ledger=ledger, start=datetime(2026, 11, 3, tzinfo=UTC))


def test_details_are_forgotten_and_counts_stay() -> None:
    """What single runs said is kept for as long as asked; the sheet that counts them for good."""

    async def story(world: World) -> None:
        await world.passes(3 * 3600)
        filed, ledger = world.recorded("watch.sheet_filed"), world.node.ledger
        assert ledger.attachment(filed[0].position) is None
        assert ledger.attachment(filed[-1].position)
        old = [each for each in filed if each.at < world.now - 2 * 3600 * NS]
        assert not any(ledger.attachment(each.position) for each in old)

    kept = DECLARED.replace("watch:\n", "watch:\n  keep_details: 1h\n")
    simulate(story, declared=kept)


def test_failing_often_and_never_long_enough_deserves_a_look() -> None:
    """It counts as up, and both its page and *Now* say how often it did not answer."""

    async def story(world: World) -> None:
        vendor = world.vendor("cardpay")
        for _ in range(60):
            vendor.away = True
            await world.passes(20)
            vendor.away = False
            await world.passes(10)
        assert state(world) == "up"
        (sign,) = (each for each in faces.signs_of(world.node) if each.tone == "warn")
        assert sign.about == "check:cardpay"
        assert "runs failed, never 3 in a row" in sign.sentence
        page = pages.one_check(world.node, Ask(path={"check": "cardpay"}))
        assert page.check.flaws
        assert page.check.flaws.share == pytest.approx(2 / 3, abs=0.05)

    simulate(story, declared=DECLARED)


def test_the_failures_of_an_outage_are_its_own() -> None:
    """What failed within an outage is told by the outage."""

    async def story(world: World) -> None:
        world.vendor("cardpay").away = True
        await world.passes(600)
        world.vendor("cardpay").away = False
        await world.passes(600)
        page = pages.one_check(world.node, Ask(path={"check": "cardpay"}))
        assert page.check.flaws is None

    simulate(story, declared=DECLARED)


def test_results_that_come_while_a_sheet_is_written_are_in_the_next() -> None:
    """Filing waits for the disk; what arrives meanwhile is not dropped."""

    async def story(world: World) -> None:
        watcher: Watcher = world.node.part(Watcher)
        append = world.node.ledger.append
        late: list[Result] = []

        async def slow(facts: Sequence[Fact], **given: Any) -> Receipt:
            if isinstance(facts[0], SheetFiled) and not late:
                at = facts[0].until - 1
                late.append(Result(id="hourly", slot=at, at=at, verdict="ok"))
                await watcher.heard(late)
            return await append(facts, **given)

        world.node.ledger.append = slow  # type: ignore[method-assign]
        await world.passes(100)
        told = [each.tallies["hourly"].ok for each in sheets(world) if "hourly" in each.tallies]
        assert sum(told) == 1

    simulate(story, declared=DECLARED)


def test_pages_answer() -> None:
    """The overview groups by vendor; a check has its page, and an unknown one is not found."""
    from detente.kernel.slice import NotFound

    async def story(world: World) -> None:
        await world.passes(60)
        (group,) = pages.overview(world.node, Ask()).groups
        assert (group.of, len(group.checks)) == ("vendor:cardpay", 2)
        assert pages.one_check(world.node, Ask(path={"check": "cardpay"})).seen
        with pytest.raises(NotFound):
            pages.one_check(world.node, Ask(path={"check": "nobody"}))
        assert pages.check_panel(world.node, "check:nobody") is None

    simulate(story, declared=DECLARED)


def test_mistakes_are_told_with_their_place() -> None:
    """What could never work is told at start."""
    checks = {
        "nothing": Check(of="cardpay"),
        "both": Check(of="cardpay", http="http://x", tcp="x:1"),  # type: ignore[arg-type]
        "quick": Check(of="cardpay", http="http://x", every=0.5, timeout=0.1),  # type: ignore[arg-type]
        "long": Check(of="cardpay", http="http://x", every=5, timeout=9),  # type: ignore[arg-type]
        "whose": Check(http="http://x"),  # type: ignore[arg-type]
        "typo": Check(of="cardpai", http="http://x"),  # type: ignore[arg-type]
        "often": Check(of="cardpay", http="http://x", every=2),  # type: ignore[arg-type]
        "regex": Check(of="cardpay", http="http://x", expect=Expect(matches="(")),  # type: ignore[arg-type]
        "port": Check(of="cardpay", tcp="x:1", expect=Expect(body="hello")),  # type: ignore[arg-type]
    }
    watch = Watch(checks=checks, sheet=0.5)  # type: ignore[arg-type]
    found = {each.path[1:] for each in mistakes(watch, Catalogue(vendors={"cardpay": Vendor()}))}
    assert found == {
        ("sheet",), ("checks", "nothing"), ("checks", "both", "tcp"), ("checks", "quick", "every"),
        ("checks", "long", "timeout"), ("checks", "whose"), ("checks", "typo", "of"),
        ("checks", "regex", "expect", "matches"), ("checks", "port", "expect"),
    }  # fmt: skip


def test_mistakes_of_plugins_and_places_are_told_with_their_place() -> None:
    """What could never be run, or asked from nowhere, is told at start."""
    checks = {
        "open": Check(of="cardpay", plugin="check_http -u 'never closed"),
        "empty": Check(of="cardpay", plugin=""),
        "somewhere": Check(of="cardpay", plugin=("./check_it",)),
        "zero": Check(of="cardpay", plugin=("check_it", "a\0b")),
        "host": Check(of="cardpay", plugin=("check_http", "-H", "{host}")),
        "secret": Check(of="cardpay", plugin=("check_http", "-a", "{pass}")),
        "both": Check(of="cardpay", http="http://x", plugin="check_http"),  # type: ignore[arg-type]
        "where": Check(of="cardpay", http="http://x", seen_from=("here", "berln")),  # type: ignore[arg-type]
        "many": Check(of="cardpay", http="http://x", agree=2),  # type: ignore[arg-type]
        "fine": Check(of="cardpay", plugin='check_http -H {host} -r "{3}"', host="example.org"),
    }
    places = {"berlin": Outside(token=Secret(env="TOKEN")), "here": Outside(token=Secret(env="X"))}
    watch = Watch(checks=checks, places=places)
    found = {each.path[1:] for each in mistakes(watch, Catalogue(vendors={"cardpay": Vendor()}))}
    assert found == {
        ("checks", "open", "plugin"), ("checks", "empty", "plugin"), ("checks", "zero", "plugin"),
        ("checks", "somewhere", "plugin"), ("checks", "host", "plugin"), ("places", "here"),
        ("checks", "secret", "plugin"), ("checks", "both", "plugin"),
        ("checks", "where", "from", 1), ("checks", "many", "agree"),
    }  # fmt: skip


def test_a_plugins_secrets_reach_the_plugin_and_nothing_else() -> None:
    """They are filled in where it is started; what is shown has the names in their place."""
    environ = {"PASSWORD": "open sesame", "TOKEN": "t0ken"}
    check = Check(
        of="cardpay",
        plugin="check_it -H {host} -p {password} --regex {other}",
        host="example.org",
        secret_arguments={"password": Secret(env="PASSWORD", environ=environ)},
        env={"LANG": "C"},
        secret_env={"TOKEN": Secret(env="TOKEN", environ=environ)},
    )
    asked = probe("it", check, Watch())
    assert asked.command == (
        "check_it", "-H", "example.org", "-p", "open sesame", "--regex", "{other}",
    )  # fmt: skip
    assert asked.surroundings == {"LANG": "C", "TOKEN": "t0ken"}
    assert asked.secrets == ("open sesame", "t0ken")
    assert asked.target == check.target == "check_it -H example.org -p {password} --regex {other}"


def test_a_plugin_that_warns_is_shown_with_what_it_measured() -> None:
    """Its warning stands on *Now* and its numbers on its page; it was never down."""
    declared = """
vendors: {cardpay: {}}
watch: {checks: {disk: {of: cardpay, plugin: check_disk, every: 10s, timeout: 2s}}}
"""

    async def story(world: World) -> None:
        watcher: Watcher = world.node.part(Watcher)
        for number in range(4):
            at = world.now + number * 10 * NS
            said = {"reason": "DISK WARNING", "measured": "/=95%;90;99 inodes=3%"}
            await watcher.heard([Result(id="disk", slot=at, at=at, verdict="warned", **said)])  # type: ignore[arg-type]
        await watcher.file(world.now + 60 * NS)
        assert state(world, "disk") == "warning"
        assert world.facts("watch.went_down") == []
        page = pages.one_check(world.node, Ask(path={"check": "disk"}))
        assert [(each.label, each.tone) for each in page.measured] == [
            ("/", "warn"),
            ("inodes", "plain"),
        ]
        assert sheets(world)[-1].tallies["disk"].warned == 4

    simulate(story, declared=declared)


def test_any_declared_check_can_be_tried_by_its_name(tmp_path: Path) -> None:
    """`detente watch try NAME` runs a plugin once, whatever else stands in the file."""
    config = tmp_path / "detente.yaml"
    config.write_text(
        "vendors: {cardpay: {title: 3}}\nwatch: {checks: {disk: {plugin: [/bin/sh, -c, "
        "\"echo 'fine | a=3ms;5'\"]}, sad: {plugin: [/bin/sh, -c, 'exit 2']}}}\n"
    )

    def tried(name: str) -> Any:
        return CliRunner().invoke(root, ["watch", "try", name, "--config", str(config)])

    assert tried("disk").exit_code == 0
    assert "It answers: fine" in tried("disk").output
    assert "3 ms" in tried("disk").output
    assert tried("sad").exit_code == 1
    assert "did you mean disk?" in tried("dsk").output
    config.write_text("watch: {checks: {disk: {plugn: check_disk}}}\n")
    assert "`detente config check` tells them" in tried("disk").output
