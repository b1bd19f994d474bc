"""A promise over a month of facts: what was seen, what is shown, what is written down."""

from __future__ import annotations

import asyncio
import io
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest
from rich.console import Console

from detente.app import declared_type, open_views, put_together
from detente.app import mistakes as mistakes_of
from detente.facts.node import Started
from detente.facts.sla import PromiseBroken
from detente.facts.watch import CameBack, LostSight, RegainedSight, SheetFiled, Tally, WentDown
from detente.kernel.catalogue import Catalogue, Vendor
from detente.kernel.clock import NS, Instant, instant
from detente.kernel.config import Mistake, loads
from detente.kernel.fact import Fact
from detente.kernel.ledger import Query
from detente.kernel.ledger.sqlite import SqliteLedger
from detente.kernel.network import RealNetwork
from detente.kernel.node import Node
from detente.kernel.slice import Ask, NotFound, Page
from detente.kernel.terminal.show import show
from detente.kernel.terminal.words import Seeing
from detente.kernel.web.kit import Reading, draw, environment
from detente.sla import cli as sla_cli
from detente.sla import pages, queries
from detente.sla.decisions import Standing
from detente.sla.effects import EFFECTS, look
from detente.sla.levers import LEVERS
from detente.sla.settings import Sla, mistakes
from detente.sla.slice import card
from detente.watch.slice import card as watch

T = TypeVar("T")
CARDS = (watch, card)
MINUTE = 60 * NS
START = instant(datetime(2026, 11, 10, 12, 0, tzinfo=UTC))

DECLARED = """
vendors:
  cardpay:
    title: CardPay
    environments:
      production: {}
      test: {twin_of: production}
watch:
  checks:
    cardpay: {http: "https://cardpay.example/health"}
    cardpay-test: {of: cardpay, environment: test, http: "https://test.cardpay.example/health"}
    cardpay-certificate: {of: cardpay, tls: "cardpay.example:443"}
sla:
  promises:
    uptime:
      vendor: cardpay
      target: 99.9%
      fee: 4000 EUR
      credits: [{below: 99.9%, owed: 10%}, {below: 99%, owed: 25%}, {below: 95%, owed: 100%}]
"""


class HandClock:
    """A clock that stands until somebody moves it."""

    def __init__(self) -> None:
        self.at = START

    def now(self) -> Instant:
        return self.at


class Diary:
    """A node into whose ledger the test writes what happened."""

    def __init__(self, node: Node, clock: HandClock) -> None:
        self.node = node
        self.clock = clock

    async def tell(self, *facts: Fact) -> None:
        await self.node.record(*facts, by="test")

    async def watched(
        self, minutes: int, *, check: str = "cardpay", every: int = 1, ok: int = 2, of: int = 2
    ) -> None:
        """So many minutes go by, each with a sheet in which `ok` of `of` runs told something."""
        for minute in range(minutes):
            since, self.clock.at = self.clock.at, self.clock.at + MINUTE
            tally = Tally(expected=of, ok=ok, not_run=of - ok)
            await self.tell(sheet(since, since + MINUTE, {} if minute % every else {check: tally}))

    async def failed(self, minutes: int, check: str = "cardpay") -> None:
        """So many minutes of failures, first of which the check went down."""
        since = self.clock.at
        await self.tell(
            WentDown(
                about=f"check:{check}", of="vendor:cardpay", since=since, reason="no", failures=3
            )
        )
        for _ in range(minutes):
            begin, self.clock.at = self.clock.at, self.clock.at + MINUTE
            await self.tell(sheet(begin, begin + MINUTE, {check: Tally(expected=2, failed=2)}))

    async def answers(self, check: str = "cardpay") -> None:
        at = self.clock.at
        await self.tell(CameBack(about=f"check:{check}", of="vendor:cardpay", since=at, lasted=0.0))

    def standing(self, *, proven: bool = False) -> Standing:
        promise = queries.promise_named(self.node, "uptime")
        period = queries.period_asked(self.node, promise, None)
        return queries.reckon(self.node, "uptime", promise, period, proven=proven).standing

    def broken(self) -> Sequence[Fact]:
        asked = Query(names=(PromiseBroken.name,))
        return [recorded.fact for recorded in self.node.ledger.read(asked)]


def sheet(since: Instant, until: Instant, tallies: dict[str, Tally]) -> SheetFiled:
    return SheetFiled(about="place:here", since=since, until=until, sha256="", tallies=tallies)


def told(
    story: Callable[[Diary], Awaitable[T]],
    declared: str = DECLARED,
    *,
    path: Path | str = ":memory:",
    clock: HandClock | None = None,
) -> T:
    """Tell a story to a node of its own; with a path, on what earlier stories left there."""
    clock = clock or HandClock()

    async def tell() -> T:
        ledger = SqliteLedger(path, clock=clock, writer="inline")
        views = open_views(ledger, ":memory:", CARDS)
        views.catch_up(ledger)
        node = put_together(
            loads(declared, declared_type(CARDS)), ledger=ledger, views=views, clock=clock,
            chance=random.Random(1), network=RealNetwork(), cards=CARDS,
        )  # fmt: skip
        try:
            return await story(Diary(node, clock))
        finally:
            views.close()
            await ledger.close()

    return asyncio.run(tell())


# -- what was seen -----------------------------------------------------------------------------


def test_time_is_measured_from_the_first_sheet_on() -> None:
    """What lies before the first sheet is not measured, what sheets cover is up."""

    async def story(diary: Diary) -> None:
        await diary.watched(90)
        standing = diary.standing()
        assert (standing.up, standing.down) == (90 * 60, 0)
        assert standing.unmeasured == standing.elapsed - 90 * 60
        assert list(diary.node.rows.execute("select count(*) from sla_seen")) == [(1,)]

    told(story)


def test_a_node_that_was_off_did_not_look() -> None:
    """The hour in which the node was not running is not measured, and neither up nor down."""

    async def story(diary: Diary) -> None:
        await diary.watched(60)
        diary.clock.at += 60 * MINUTE
        await diary.tell(Started(about="node:here", version="1"))
        await diary.watched(60)
        assert diary.standing().up == 120 * 60
        assert list(diary.node.rows.execute("select count(*) from sla_seen")) == [(2,)]

    told(story)


def test_runs_that_told_nothing_take_their_share_of_the_sheet() -> None:
    """Of a minute in which one of four runs was not run, a quarter is not measured."""

    async def story(diary: Diary) -> None:
        await diary.watched(10)
        await diary.watched(1, ok=3, of=4)
        await diary.watched(10)
        assert diary.standing().up == 20 * 60 + 45

    told(story)


def test_a_check_that_runs_seldom_is_seen_in_between() -> None:
    """A check asked once in five sheets, and answering, was seen all the time."""

    async def story(diary: Diary) -> None:
        await diary.watched(60, every=5)
        assert diary.standing().up == 60 * 60

    told(story)


def test_blind_time_is_not_measured() -> None:
    """From losing sight to regaining it nobody could tell, whatever the sheets say."""

    async def story(diary: Diary) -> None:
        await diary.watched(10)
        await diary.tell(LostSight(about="check:cardpay", since=diary.clock.at, reason="cut off"))
        await diary.watched(5)
        await diary.tell(RegainedSight(about="check:cardpay", since=diary.clock.at))
        await diary.watched(10)
        assert diary.standing().up == 20 * 60

    told(story)


def test_the_sheet_being_written_counts_until_it_is_overdue() -> None:
    """Between two sheets the number does not flicker; a sheet that never comes is not measured."""

    async def story(diary: Diary) -> None:
        await diary.watched(10)
        diary.clock.at += 2 * MINUTE
        assert diary.standing().up == 12 * 60
        diary.clock.at += 2 * MINUTE
        assert diary.standing().up == 10 * 60

    told(story)


def test_after_a_start_nothing_is_taken_for_granted() -> None:
    """A node that has just started again does not claim to have looked while it was gone."""

    async def story(diary: Diary) -> None:
        await diary.watched(10)
        diary.clock.at += MINUTE
        await diary.tell(Started(about="node:here", version="1", unannounced_end=True))
        assert diary.standing().up == 10 * 60

    told(story)


def test_only_the_vendors_production_checks_measure_a_promise() -> None:
    """Its test twin and a certificate that expires soon are no downtime."""

    async def story(diary: Diary) -> None:
        promise = queries.promise_named(diary.node, "uptime")
        assert queries.checks_of(diary.node, promise) == ("cardpay",)
        await diary.failed(30, "cardpay-test")
        assert diary.standing().down == 0

    told(story)


def test_rows_folded_anew_are_the_rows_folded_live() -> None:
    """Rebuilding the views gives the same stretches of seen time."""

    async def story(diary: Diary) -> None:
        await diary.watched(5)
        await diary.watched(2, ok=1, of=3)
        await diary.tell(Started(about="node:here", version="1"))
        await diary.failed(3)
        live = [list(diary.node.rows.execute(f"select * from {t}")) for t in _TABLES]
        diary.node.views.rebuild(diary.node.ledger)
        assert [list(diary.node.rows.execute(f"select * from {t}")) for t in _TABLES] == live

    told(story)


_TABLES = ("sla_seen", "sla_filed")


# -- what is written down ----------------------------------------------------------------------


def test_a_promise_is_broken_once_a_period() -> None:
    """43 min 12 s are allowed: the 44th minute makes one fact, and an hour more no second one."""

    async def story(diary: Diary) -> None:
        await diary.failed(43)
        await look(diary.node)
        assert diary.broken() == []
        await diary.failed(1)
        await look(diary.node)
        await diary.failed(60)
        await look(diary.node)
        (fact,) = diary.broken()
        assert isinstance(fact, PromiseBroken)
        assert (fact.period, fact.down, fact.about) == ("2026-11", 44 * 60, "promise:uptime")

    told(story)


def test_what_may_yet_turn_out_to_be_over_breaks_nothing() -> None:
    """While no sheet says that it still fails, an open outage does not grow for the record."""

    async def story(diary: Diary) -> None:
        await diary.failed(43)
        diary.clock.at += 2 * MINUTE
        assert diary.standing().broken
        assert not diary.standing(proven=True).broken
        await look(diary.node)
        assert diary.broken() == []

    told(story)


def test_an_outage_known_only_after_midnight_still_breaks_the_old_month() -> None:
    """The last minutes of a month are judged shortly after its end too."""

    async def story(diary: Diary) -> None:
        diary.clock.at = instant(datetime(2026, 11, 30, 23, 10, tzinfo=UTC))
        await diary.failed(52)
        await look(diary.node)
        (fact,) = diary.broken()
        assert isinstance(fact, PromiseBroken)
        assert fact.period == "2026-11"

    told(story)


def test_the_effect_looks_after_every_outage() -> None:
    """With the effect running, a check that comes back is enough for the fact to be written."""

    async def story(diary: Diary) -> None:
        effect = EFFECTS[0]
        assert effect.wanted(diary.node)
        running = asyncio.ensure_future(effect.run(diary.node))
        await asyncio.sleep(0)
        await diary.failed(50)
        await diary.answers()
        async for batch in diary.node.follow((PromiseBroken.name,), after=0):
            assert len(batch) == 1
            break
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    told(story)


# -- what is shown -----------------------------------------------------------------------------


def drawn(node: Node, page: Page, ask: Ask) -> str:
    """The page as a reader gets it, and proof that programs get it too."""
    answer = page.answer(node, ask)
    assert msgspec.json.decode(msgspec.json.encode(answer))
    folders = {"sla": Path(pages.__file__).parent / "templates"}
    templates = environment(node, folders, pages=pages.PAGES, levers=LEVERS)
    reading = Reading(now=node.clock.now(), path=page.path)
    return draw(templates, page.template, reading, answer=answer, page=page)


def shown(node: Node, **query: str) -> str:
    return drawn(node, pages.PAGES[1], Ask(path={"promise": "uptime"}, query=query))


def test_a_quiet_month_is_shown_as_such() -> None:
    """The page says what is left, so far, and that nothing is owed."""

    async def story(diary: Diary) -> None:
        await diary.watched(10)
        text = shown(diary.node)
        assert "43 min 12 s of 43 min 12 s left" in text
        assert "The target can still be met." in text
        assert "so far" in text
        assert "No outage" in text
        assert pages.signs(diary.node) == []
        assert "43 min 12 s left" in drawn(diary.node, pages.PAGES[0], Ask())

    told(story)


def test_a_broken_promise_is_shown_with_its_outages_its_facts_and_what_is_owed() -> None:
    """Everything that the number rests on is on the page, and Now says it in a sentence."""

    async def story(diary: Diary) -> None:
        await diary.watched(10)
        await diary.failed(50)
        await diary.answers()
        await look(diary.node)
        text = shown(diary.node)
        assert "reached, so far" in text
        assert "Broken: the target can no longer be met." in text
        for recorded in diary.node.ledger.read(Query(names=("watch.went_down", "sla.*"))):
            assert f"#f{recorded.position}" in text
        (sign,) = pages.signs(diary.node)
        assert sign.sentence == (
            "CardPay broke its promise of 99.9% for November 2026: 6 min 48 s more than the"
            " 43 min 12 s allowed; they owe us 400.00 EUR so far"
        )
        assert sign.costs == ()
        assert "none left, 6 min 48 s more than the 43 min 12 s allowed" in text

    told(story)


def test_seconds_of_downtime_do_not_make_a_red_day() -> None:
    """The strip of days shows an outage in its true length."""

    async def story(diary: Diary) -> None:
        await diary.watched(10)
        await diary.failed(1)
        await diary.answers()
        (card,) = pages.promises(diary.node, Ask()).promises
        bad = [each for each in card.days if each.tone == "bad"]
        assert [round((each.end - each.start) / NS) for each in bad] == [60]
        assert any(each.tone == "good" and "1 min down" in each.says for each in card.days)

    told(story)


@pytest.mark.parametrize(
    ("part", "says"),
    [
        (0.0, "0%"), (0.0001, "less than 0.1%"), (0.5, "50.0%"), (0.9999, "more than 99.9%"),
        (1.0, "100%"),
    ],
)  # fmt: skip
def test_a_share_is_never_rounded_to_all_or_nothing(part: float, says: str) -> None:
    """99.99% is not everything, 0.01% is not nothing."""
    assert pages.share(part) == says


def test_a_terminal_of_80_columns_breaks_no_word() -> None:
    """The tables of a promise have the page's heads, and each cell in one piece."""

    async def story(diary: Diary) -> None:
        await diary.watched(10)
        await diary.failed(50)
        page = pages.one_promise(diary.node, Ask(path={"promise": "uptime"}))
        file = io.StringIO()
        console = Console(file=file, color_system=None, width=80)
        show(page, on=console, see=Seeing(diary.clock.now()))
        said = file.getvalue()
        for words in ("Attained below", "Downtime", "Share", "Owed", "Reached", "How much"):
            assert words in said
        assert "! reached" in said
        assert "more than 43 min 12 s" in said
        assert sla_cli.promise

    told(story)


def test_a_budget_that_runs_low_is_worth_a_sign() -> None:
    """With less than a quarter left, Now says how much."""

    async def story(diary: Diary) -> None:
        await diary.failed(40)
        await diary.answers()
        (sign,) = pages.signs(diary.node)
        expected = "CardPay promised 99.9%: 3 min 12 s of 43 min 12 s left for November 2026"
        assert (sign.tone, sign.sentence) == ("warn", expected)

    told(story)


def test_past_periods_are_final_and_those_to_come_are_refused() -> None:
    """A month that is over says so; one that has not begun, or is none, is not found."""

    async def story(diary: Diary) -> None:
        text = shown(diary.node, period="2026-10")
        assert "Nobody measured it." in text
        assert "?period=2026-11" in text
        for wrong in ("2026-12", "last"):
            with pytest.raises(NotFound):
                shown(diary.node, period=wrong)
        with pytest.raises(NotFound, match="Declared: uptime"):
            drawn(diary.node, pages.PAGES[1], Ask(path={"promise": "upime"}))

    told(story)


def test_a_promise_without_checks_says_so() -> None:
    """What nothing measures is not shown as kept, and Now asks for a check."""

    async def story(diary: Diary) -> None:
        assert "Nothing measures it" in shown(diary.node)
        (sign,) = pages.signs(diary.node)
        assert "nothing measures what lonely promised" in sign.sentence

    told(story, "vendors: {lonely: {}}\nsla: {promises: {uptime: {vendor: lonely, target: 99%}}}")


def test_the_vendors_page_shows_its_promises() -> None:
    """The panel is there for the vendor and for the promise, and for nobody else."""

    async def story(diary: Diary) -> None:
        (panel,) = pages.PANELS
        for about in ("vendor:cardpay", "promise:uptime"):
            found = panel.answer(diary.node, about)
            assert isinstance(found, pages.Promises)
            assert [each.name for each in found.promises] == ["uptime"]
        assert panel.answer(diary.node, "vendor:other") is None

    told(story)


# -- what people write -------------------------------------------------------------------------

CATALOGUE = Catalogue(vendors={"cardpay": Vendor()})


def wrong(promise: str) -> list[Mistake]:
    text = f"sla: {{promises: {{uptime: {promise}}}}}"
    declared = loads(text, declared_type(CARDS))
    sla: Sla = getattr(declared, "sla")  # noqa: B009 - the section is made at run time
    return list(mistakes(sla, CATALOGUE))


def says(found: Iterable[Mistake]) -> list[str]:
    return [each.says for each in found]


def test_a_right_promise_has_no_mistakes() -> None:
    """What the reference shows is accepted, a target of 100% too."""
    assert wrong("{vendor: cardpay, target: 100%, timezone: Europe/Berlin}") == []


@pytest.mark.parametrize(
    ("promise", "sentence"),
    [
        ("{vendor: cardpya, target: 99%}", "no vendor is called cardpya; did you mean cardpay?"),
        (
            "{vendor: cardpay, target: 99%, timezone: Europe/Berln}",
            "no time zone is called Europe/Berln; did you mean Europe/Berlin?",
        ),
        (
            "{vendor: cardpay, target: 99%, credits: [{below: 99%, owed: 10%}]}",
            "credits are a share of the fee; add `fee:`, for example 4000 EUR",
        ),
        (
            (
                "{vendor: cardpay, target: 99%, fee: 10 EUR,"
                " credits: [{below: 95%, owed: 50%}, {below: 99%, owed: 10%}]}"
            ),
            "99% comes after 95%; write the mildest row first",
        ),
        (
            (
                "{vendor: cardpay, target: 99%, fee: 10 EUR,"
                " credits: [{below: 99%, owed: 50%}, {below: 95%, owed: 10%}]}"
            ),
            "owes 10%, less than the milder row before it (50%)",
        ),
    ],
)
def test_each_mistake_says_what_to_do(promise: str, sentence: str) -> None:
    """A promise that cannot be is refused with the remedy."""
    assert says(wrong(promise)) == [sentence]


def test_checks_that_nobody_declared_are_found() -> None:
    """A misspelt check would measure nothing for ever, so it is a mistake with the nearest name."""
    declared = loads(
        "vendors: {cardpay: {}}\n"
        "watch: {checks: {cardpay: {http: https://cardpay.example}}}\n"
        "sla: {promises: {uptime: {vendor: cardpay, target: 99%, checks: [cardpya]}}}",
        declared_type(),
    )
    (mistake,) = mistakes_of(declared)
    assert mistake.path == ("sla", "promises", "uptime", "checks", 0)
    assert mistake.says == "no check is called cardpya; did you mean cardpay?"


def test_renaming_a_check_undoes_no_downtime(tmp_path: Path) -> None:
    """What a former check saw still counts, next to what its successor sees, and the page says so."""
    clock, path = HandClock(), tmp_path / "ledger.db"
    told(_a_bad_hour, path=path, clock=clock)
    renamed = DECLARED.replace("    cardpay: {http", "    front: {of: cardpay, http")
    standing, page = told(_a_good_hour, renamed, path=path, clock=clock)
    assert standing.down == pytest.approx(1800)
    assert standing.up == pytest.approx(1800 + 3600)
    assert page.card.checks == ("front", "cardpay")
    assert any(step.what == "Former checks" and step.value == "cardpay" for step in page.steps)


async def _a_bad_hour(diary: Diary) -> None:
    await diary.failed(30)
    await diary.answers()
    await diary.watched(30)


async def _a_good_hour(diary: Diary) -> tuple[Standing, pages.PromisePage]:
    await diary.watched(60, check="front")
    return diary.standing(), pages.one_promise(diary.node, Ask(path={"promise": "uptime"}))


def test_failures_that_are_never_an_outage_are_shown() -> None:
    """Two of three runs fail, never three in a row: nothing is owed, and nobody is told all is well."""

    async def story(diary: Diary) -> pages.PromisePage:
        for _ in range(60):
            since, diary.clock.at = diary.clock.at, diary.clock.at + MINUTE
            tally = Tally(expected=3, ok=1, failed=2)
            await diary.tell(sheet(since, since + MINUTE, {"cardpay": tally}))
        await diary.failed(10)
        await diary.answers()
        return pages.one_promise(diary.node, Ask(path={"promise": "uptime"}))

    page = told(story)
    assert page.card.failed == "120 of 180 runs"
    assert page.card.standing.down == pytest.approx(600)
