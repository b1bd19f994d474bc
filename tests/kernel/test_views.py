"""Rebuilt equals live, whatever happened and however it was read."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detente.app import open_views
from detente.facts.watch import OUTAGE, WentDown
from detente.kernel import spans, tries
from detente.kernel.clock import SystemClock
from detente.kernel.fact import Fact, Recorded
from detente.kernel.ledger import Ledger
from detente.kernel.ledger.sqlite import SqliteLedger
from detente.kernel.views import Projection, Rows, Views
from detente.slices import CARDS
from detente.testing import World, simulate

from .plausible import facts


def all_projections() -> list[Projection]:
    kinds = [kind for card in CARDS for kind in card.spans]
    made = [card.projection for card in CARDS if card.projection]
    return [spans.projection(kinds), tries.projection(), *made]


def dump(rows: Rows) -> dict[str, list[Any]]:
    """Every row of every table but the kernel's own note of how far it has read."""
    named = "select name from sqlite_master where type = 'table' and name not like 'sqlite_%'"
    tables = [name for (name,) in rows.execute(named) if name != "views_read"]
    return {name: sorted(rows.execute(f'select * from "{name}"'), key=repr) for name in tables}


def ledger_of(*batches: Sequence[Fact], path: Path | str = ":memory:") -> SqliteLedger:
    ledger = SqliteLedger(path, clock=SystemClock(), writer="inline")
    for batch in batches:
        add(ledger, *batch)
    return ledger


def add(ledger: Ledger, *some: Fact) -> None:
    asyncio.run(ledger.append(some, by="test"))


def close(ledger: Ledger, *views: Views) -> None:
    for each in views:
        each.close()
    asyncio.run(ledger.close())


def rebuilt(ledger: Ledger) -> dict[str, list[Any]]:
    views = Views(":memory:", all_projections())
    views.catch_up(ledger)
    rows = dump(views.rows)
    views.close()
    return rows


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(st.lists(facts(), min_size=1, max_size=12), max_size=6))
def test_rebuilt_equals_live(history: list[list[Fact]]) -> None:
    """Rows folded as things happened, in batches of any size, are those folded at once later."""
    ledger = ledger_of()
    live = Views(":memory:", all_projections())
    for batch in history:
        add(ledger, *batch)
        live.catch_up(ledger)
    before = dump(live.rows)
    assert rebuilt(ledger) == before
    live.rebuild(ledger)
    assert dump(live.rows) == before
    close(ledger, live)


DECLARED = """
teams: {dev: {mail: [dev@shop.example]}}
vendors:
  cardpay: {environments: {production: {}, test: {twin_of: production}}}
watch:
  checks:
    cardpay: {http: "http://cardpay.test/health", every: 10s, timeout: 2s}
    twin: {of: cardpay, environment: test, http: "http://twin.test/health", every: 10s}
    certificate: {of: cardpay, tls: "cardpay.test:443", every: 60s}
work:
  routes:
    payments: {vendor: cardpay, to: "http://cardpay.test", timeout: 2s}
    keyless: {vendor: cardpay, to: "http://cardpay.test", timeout: 2s, idempotency: null}
mail: {server: "mail.example:25", tls: none, from: "Détente <detente@shop.example>"}
"""


@pytest.mark.parametrize("seed", range(3))
def test_rebuilt_equals_live_in_a_simulated_world(seed: int) -> None:
    """After an hour of a moody vendor the node's own rows equal those folded from its ledger."""

    async def story(world: World) -> None:
        for _ in range(60):
            for name in ("cardpay", "twin"):
                vendor, chance = world.vendor(name), world.chance
                vendor.hangs, vendor.away = chance.random() < 0.2, chance.random() < 0.2
                vendor.errors = vendor.loses_answers = chance.choice([0.0, 0.5])
            world.prober.blind = world.chance.random() < 0.1
            route = world.chance.choice(["payments", "keyless"])
            await world.call(route, {"amount": 1, "currency": "EUR"})
            await world.passes(60)
        assert rebuilt(world.node.ledger) == dump(world.node.rows)
        assert world.facts("watch.went_down")
        assert world.facts("work.call_parked")

    simulate(story, declared=DECLARED, seed=seed)


# -- crashes and company -----------------------------------------------------------------------


class PowerWent(BaseException):
    """Nobody hears of it, and nobody answers."""


class Counter:
    """A projection that counts, and stumbles where it is told to."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.stumbles_at = 0
        self.error = error or PowerWent()
        tables = "create table count_seen(position integer primary key)"
        self.projection = Projection("count", tables, (WentDown.name,), self._fold)

    def _fold(self, rows: Rows, recorded: Recorded) -> None:
        rows.execute("insert into count_seen values (?)", (recorded.position,))
        if recorded.position == self.stumbles_at:
            raise self.error


def falls(number: int) -> list[Fact]:
    return [
        WentDown(about="check:a", of="vendor:v", since=1, reason="x", failures=each)
        for each in range(number)
    ]


def counted(views: Views) -> list[int]:
    asked = "select position from count_seen order by position"
    return [position for (position,) in views.rows.execute(asked)]


def test_a_crash_in_a_batch_leaves_nothing_of_it(tmp_path: Path) -> None:
    """A batch is folded whole or not at all; afterwards folding goes on where it stood."""
    counter = Counter()
    ledger = ledger_of(falls(3))
    views = Views(tmp_path / "views", [counter.projection])
    views.catch_up(ledger)
    add(ledger, *falls(4))
    counter.stumbles_at = 6
    with pytest.raises(PowerWent):
        views.catch_up(ledger)
    assert (views.position, counted(views)) == (3, [1, 2, 3])
    views.close()
    counter.stumbles_at = 0
    again = Views(tmp_path / "views", [counter.projection])
    assert again.position == 3
    assert again.catch_up(ledger) == 7
    assert counted(again) == [1, 2, 3, 4, 5, 6, 7]
    close(ledger, again)


STUMBLES = [OverflowError("too large"), KeyError("gone"), apsw.ConstraintError("not null")]


@pytest.mark.parametrize("error", STUMBLES, ids=repr)
def test_a_fact_that_cannot_be_folded_is_passed_by(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    """One projection misses that fact, says so once, and goes on; the others have it."""
    counter, outages = Counter(error), spans.projection([OUTAGE])
    counter.stumbles_at = 2
    ledger = ledger_of(falls(3))
    views = Views(tmp_path / "views", [counter.projection, outages])
    assert views.catch_up(ledger) == views.position == 3
    assert (counted(views), spans.is_open(views.rows, "outage", "check:a")) == ([1, 3], True)
    (missing,) = views.unfolded()
    assert (missing.noun, missing.facts, missing.first) == ("count", 1, 2)
    assert missing.error.startswith(type(error).__name__)
    assert [each.levelname for each in caplog.records] == ["ERROR"]
    live = dump(views.rows)
    views.rebuild(ledger)
    assert dump(views.rows) == live
    counter.stumbles_at = 5
    add(ledger, *falls(3))
    views.close()
    again = Views(tmp_path / "views", [counter.projection, outages])
    assert (again.catch_up(ledger), counted(again)) == (6, [1, 3, 4, 6])
    assert [(each.facts, each.first) for each in again.unfolded()] == [(2, 2)]
    close(ledger, again)


@pytest.mark.parametrize("error", [apsw.FullError("full"), apsw.BusyError("locked"), MemoryError()])
def test_what_is_not_the_facts_fault_is_tried_again(tmp_path: Path, error: Exception) -> None:
    """A full disk, a locked file: nothing is passed by, and the next try folds it."""
    counter, ledger = Counter(error), ledger_of(falls(3))
    views = Views(tmp_path / "views", [counter.projection])
    counter.stumbles_at = 2
    with pytest.raises(type(error)):
        views.catch_up(ledger)
    counter.stumbles_at = 0
    assert (views.catch_up(ledger), counted(views), views.unfolded()) == (3, [1, 2, 3], [])
    close(ledger, views)


def test_two_on_one_file_fold_nothing_twice(tmp_path: Path) -> None:
    """Two views of one file, taking turns in any order, see each fact once and never go back."""
    chance, counter = random.Random(7), Counter()
    ledger = ledger_of()
    pair = [Views(tmp_path / "views", [counter.projection]) for _ in range(2)]
    for _ in range(60):
        add(ledger, *falls(chance.randrange(4)), *falls(1))
        chance.choice(pair).catch_up(ledger)
    assert pair[0].catch_up(ledger) == pair[1].catch_up(ledger) == ledger.head()
    assert counted(pair[0]) == list(range(1, ledger.head() + 1))
    close(ledger, *pair)


def test_what_somebody_else_folded_meanwhile_is_not_folded_again(tmp_path: Path) -> None:
    """Between reading the ledger and folding, somebody else may have folded, or begun anew."""
    counter = Counter()
    ledger = ledger_of(falls(5))
    one, other = (Views(tmp_path / "views", [counter.projection]) for _ in range(2))

    class Meanwhile:
        """The ledger, with something happening as it is read."""

        def __init__(self, what: Any) -> None:
            self.what = [what]

        def read(self, **asked: Any) -> Any:
            batch = list(ledger.read(**asked))
            if self.what:
                self.what.pop()()
            return batch

    assert one.catch_up(Meanwhile(lambda: other.catch_up(ledger))) == 5  # type: ignore[arg-type]
    add(ledger, *falls(2))
    assert one.catch_up(Meanwhile(lambda: other.rebuild(ledger))) == 7  # type: ignore[arg-type]
    add(ledger, *falls(2))
    begin_anew = Meanwhile(other._start_over)
    assert one.catch_up(begin_anew) == 9  # type: ignore[arg-type]
    assert counted(one) == list(range(1, 10))
    close(ledger, one, other)


def test_rows_of_another_shape_are_made_anew(tmp_path: Path) -> None:
    """A later version with other tables, facts or folding starts from the ledger, not from old rows."""
    ledger = ledger_of(falls(3))
    first = Counter().projection
    views = Views(tmp_path / "views", [first])
    views.catch_up(ledger)
    views.close()
    changed = Projection(first.noun, first.tables, first.hears, first.fold, version=2)
    views = Views(tmp_path / "views", [changed])
    assert (views.position, counted(views)) == (0, [])
    assert views.catch_up(ledger) == 3
    close(ledger, views)


# -- as the node opens them ----------------------------------------------------------------------


def test_a_damaged_file_is_folded_again(tmp_path: Path) -> None:
    """Rows are only ever a copy: a file that is no database is replaced."""
    ledger = ledger_of(falls(3))
    path = tmp_path / "detente.views"
    path.write_bytes(b"this is not a database at all" * 100)
    views = open_views(ledger, path)
    assert views.position == 3
    assert spans.is_open(views.rows, "outage", "check:a")
    views.close()
    with path.open("r+b") as file:
        file.write(b"\0" * 100)
    views = open_views(ledger, path)
    assert spans.is_open(views.rows, "outage", "check:a")
    close(ledger, views)


@pytest.mark.parametrize("facts_in_the_other", [1, 3, 5])
def test_rows_of_another_ledger_are_not_believed(tmp_path: Path, facts_in_the_other: int) -> None:
    """After the ledger was replaced or brought back from a copy, nothing old is shown."""
    path = tmp_path / "detente.views"
    ledger = ledger_of(falls(3))
    close(ledger, open_views(ledger, path))
    other = ledger_of([WentDown(about="check:b", of="vendor:v", since=1, reason="y", failures=1)])
    for _ in range(facts_in_the_other - 1):
        add(other, *falls(1))
    views = open_views(other, path)
    assert views.position == facts_in_the_other
    assert spans.is_open(views.rows, "outage", "check:b")
    assert dump(views.rows) == rebuilt(other)
    close(other, views)


def test_rows_that_agree_are_kept(tmp_path: Path) -> None:
    """Opening again folds nothing again: a start stays quick however long the ledger is."""
    path = tmp_path / "detente.views"
    ledger = ledger_of(falls(3))
    views = open_views(ledger, path)
    views.rows.execute("update span set says = 'a mark that only a fold would remove'")
    views.close()
    views = open_views(ledger, path)
    (says,) = views.rows.execute("select says from span").fetchone()
    assert says.startswith("a mark")
    close(ledger, views)


def test_a_place_where_nothing_can_be_written_is_told(tmp_path: Path) -> None:
    """A folder in the way is one sentence with a remedy."""
    from detente.kernel.node import CannotStart

    ledger = ledger_of(falls(1))
    (tmp_path / "detente.views").mkdir()
    with pytest.raises(CannotStart, match="cannot be written"):
        open_views(ledger, tmp_path / "detente.views")
    close(ledger)


def test_a_power_cut_tears_nothing(tmp_path: Path) -> None:
    """Commits may be forgotten (and are folded again) but pages are never half written."""
    views = Views(tmp_path / "views", [])
    (level,) = views.rows.execute("pragma synchronous").fetchone()
    assert level == 1  # normal
    views.close()
