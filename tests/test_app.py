"""How a node comes to life, stumbles, and ends."""

from __future__ import annotations

import asyncio
import random
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from detente.app import (
    declared_type,
    load_declared,
    looking,
    open_views,
    opened,
    pages_of,
    put_together,
    run,
    token_for,
)
from detente.facts.node import Started
from detente.kernel.clock import SystemClock
from detente.kernel.config import ConfigErrors
from detente.kernel.ledger import Query
from detente.kernel.ledger.sqlite import SqliteLedger
from detente.kernel.network import RealNetwork
from detente.kernel.node import CannotStart, Node
from detente.kernel.slice import Ask, Effect, Slice, encoded
from detente.testing import SimulatedLoop, World, simulate
from detente.watch.settings import Watch


def living(effects: list[Effect], story: Callable[[Node, asyncio.Event], Awaitable[None]]) -> None:
    """A node whose only slice has these effects, in simulated time."""
    card = Slice(noun="watch", question="Does it run?", settings=Watch, effects=tuple(effects))

    async def play() -> None:
        ledger = SqliteLedger(":memory:", clock=SystemClock(), writer="inline")
        node = put_together(
            declared_type()(),
            ledger=ledger,
            views=open_views(ledger, ":memory:"),
            clock=SystemClock(),
            chance=random.Random(1),
            network=RealNetwork(),
            cards=(card,),
        )
        try:
            await story(node, asyncio.Event())
        finally:
            node.views.close()
            await ledger.close()

    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        runner.run(play())


def stumbles(times: list[float], error: Exception, works_for: float = 0.0) -> Effect:
    async def effect(_node: Node) -> None:
        times.append(asyncio.get_running_loop().time())
        await asyncio.sleep(works_for)
        raise error

    return Effect("stumbling", effect)


async def for_a_while(node: Node, stop: asyncio.Event, seconds: float) -> None:
    running = asyncio.create_task(run(node, stop))
    await asyncio.sleep(seconds)
    stop.set()
    await running


def test_an_effect_that_stumbles_starts_again_and_pulls_nobody_down() -> None:
    """It waits longer each time; the others notice nothing."""
    times: list[float] = []
    steady: list[str] = []

    async def goes_on(_node: Node) -> None:
        steady.append("began")
        await asyncio.sleep(1e9)

    async def story(node: Node, stop: asyncio.Event) -> None:
        await for_a_while(node, stop, 60)

    broken = ExceptionGroup("several", [RuntimeError("one"), OSError("two")])
    living([stumbles(times, broken), Effect("steady", goes_on)], story)
    assert [round(each) for each in times] == [0, 1, 3, 8, 18, 48]
    assert steady == ["began"]


def test_an_effect_that_worked_for_long_starts_again_at_once() -> None:
    """A stumble a day does not add up to long waits."""
    times: list[float] = []

    async def story(node: Node, stop: asyncio.Event) -> None:
        await for_a_while(node, stop, 1000)

    living([stumbles(times, RuntimeError("now and then"), works_for=100)], story)
    assert [round(each) for each in times[:4]] == [0, 101, 202, 303]


@pytest.mark.parametrize("grouped", [True, False])
def test_what_cannot_start_ends_the_node(grouped: bool) -> None:
    """One sentence for the person who started it, also out of a group of tasks; and it says so."""
    cannot: Exception = CannotStart("The port is taken.")
    error = ExceptionGroup("tasks", [ExceptionGroup("deeper", [cannot])]) if grouped else cannot

    async def story(node: Node, stop: asyncio.Event) -> None:
        with pytest.raises(CannotStart, match="The port is taken"):
            await run(node, stop)
        names = [each.name for each in node.ledger.read()]
        assert names == ["node.started", "node.stopped"]

    living([stumbles([], error)], story)


def test_an_end_without_notice_is_noticed(tmp_path: Path) -> None:
    """After an orderly stop nothing is said; after a crash the next start says so."""

    async def story(node: Node, stop: asyncio.Event) -> None:
        await for_a_while(node, asyncio.Event(), 1)
        await for_a_while(node, asyncio.Event(), 1)
        await node.record(Started(about="node:here", version="0"), by="somebody who was killed")
        await for_a_while(node, asyncio.Event(), 1)
        started = [each.fact for each in node.ledger.read(Query(names=("node.started",)))]
        assert [each.unannounced_end for each in started if isinstance(each, Started)] == [
            False, False, False, True,
        ]  # fmt: skip

    living([], story)


# -- files -----------------------------------------------------------------------------------------


def test_the_token_is_for_this_user_only(tmp_path: Path) -> None:
    """It is made once, whole, and nobody else may read it, not even after a backup brought it back."""
    path = tmp_path / "detente.db.token"
    token = token_for(tmp_path / "detente.db")
    assert len(token) > 30
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    assert token_for(tmp_path / "detente.db") == token
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_text("")
    assert len(token_for(tmp_path / "detente.db")) > 30
    assert [each.name for each in tmp_path.iterdir()] == ["detente.db.token"]


def test_a_token_that_cannot_be_kept_is_told(tmp_path: Path) -> None:
    """A folder in the way is a sentence, not a traceback."""
    (tmp_path / "detente.db.token").mkdir()
    with pytest.raises(CannotStart, match=r"detente\.db\.token"):
        token_for(tmp_path / "detente.db")


def test_a_damaged_views_file_is_folded_again(tmp_path: Path) -> None:
    """The node starts as if nothing had been, and its rows are those of the ledger."""

    async def story() -> None:
        declared = declared_type()()
        for damage in (b"", b"nonsense" * 1000, b"SQLite format 3\0" + b"\xff" * 5000):
            if damage:
                (tmp_path / "detente.db.views").write_bytes(damage)
                for beside in tmp_path.glob("detente.db.views-*"):
                    beside.unlink()
            async with opened(declared, tmp_path) as node:
                await node.record(Started(about="node:here", version="1"), by="test")
                assert node.views.position == node.ledger.head() > 0

    asyncio.run(story())


def test_looking_without_a_ledger_says_how_to_get_one(tmp_path: Path) -> None:
    """`detente now` before the first `detente up` explains itself."""

    async def story() -> None:
        with pytest.raises(CannotStart, match="detente up"):
            async with looking(declared_type()(), tmp_path):
                pass

    asyncio.run(story())


def test_looking_beside_a_node_that_runs(tmp_path: Path) -> None:
    """Whoever looks holds nothing up and sees what was recorded."""

    async def story() -> None:
        declared = declared_type()()
        async with opened(declared, tmp_path) as node:
            await node.record(Started(about="node:here", version="1"), by="test")
            async with looking(declared, tmp_path) as seen:
                assert seen.ledger.head() == node.ledger.head()
                assert seen.views.position == node.views.position

    asyncio.run(story())


# -- configuration ---------------------------------------------------------------------------------

WRONG = """\
vendors:
  cardpay: {teams: [dve]}
teams:
  dev: {}
web:
  listen: 0.0.0.0:3383
watch:
  checks:
    cardpai: {http: "http://cardpay.test"}
work:
  routes:
    payments:
      vendor: cardpai
      to: http://cardpay.test
"""


def test_mistakes_between_sections_are_told_at_once_with_their_lines(tmp_path: Path) -> None:
    """Each with the line it stands on and what to write instead."""
    path = tmp_path / "detente.yaml"
    path.write_text(WRONG)
    with pytest.raises(ConfigErrors) as found:
        load_declared(path, {})
    says = str(found.value)
    for line, hint in (
        (2, "did you mean dev?"),
        (6, "there is no sign-on yet"),
        (9, "whose check is this?"),
        (13, "did you mean cardpay?"),
    ):
        assert any(f"detente.yaml:{line}:" in each and hint in each for each in says.splitlines())


@pytest.mark.parametrize(
    ("host", "fine"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("localhost", True),
        ("127.0.0.1.evil.example", False),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
    ],
)
def test_only_this_machine_gets_in_without_sign_on(tmp_path: Path, host: str, fine: bool) -> None:
    """A name that only looks like the loopback address is not it."""
    path = tmp_path / "detente.yaml"
    path.write_text(f"web: {{listen: '{host}:3383'}}\n")
    if fine:
        load_declared(path, {})
    else:
        with pytest.raises(ConfigErrors, match="no sign-on yet"):
            load_declared(path, {})


EVERYTHING = """
name: Sunny Side
mail: {server: "mail.example:25", tls: none, from: "d <d@shop.example>"}
teams: {dev: {mail: [dev@shop.example]}, ops: {mail: [ops@shop.example]}}
vendors: {cardpay: {title: CardPay}}
services: {shop: {needs: [cardpay]}}
journeys: {buy: {earns: 10 EUR, needs: [shop]}}
watch: {checks: {cardpay: {http: "http://cardpay.test/", every: 10s}}}
work: {routes: {payments: {vendor: cardpay, to: "http://cardpay.test", drill_at_most: 5m}}}
pager:
  people: {ada: {mail: [ada@shop.example], team: dev}}
  rota: {on-call: {people: [ada], changes: weekly on monday 09:00, timezone: UTC}}
  escalation: [{after: 5m, tell: on-call}]
sla: {promises: {up: {vendor: cardpay, target: 99.9%, fee: 10 EUR, credits: [{below: 99%, owed: 10%}], claim: {within: 30d}}}}
toggles: {toggles: {new: {owner: dev, for: shop, guard: {for: 5m}}}}
acceptance: {suites: {shop: {of: shop, path: tests, base_url: {production: "http://shop.test"}}}}
releases:
  services: {shop: {ship: {run: ["true"]}, back: {run: ["true"]}, watch: {for: 5m}}}
  freezes: [{title: x, reason: y, owner: z, weekly: "Fri 15:00 to Mon 06:00"}]
scoreboard: {targets: {deliveries: 1, uptime: 99.9%}}
"""


def test_every_page_can_be_told_to_programs() -> None:
    """With everything declared, what each page answers can be written as JSON."""

    async def story(world: World) -> None:
        await world.passes(120)
        for page in pages_of(world.node.cards):
            if "{" not in page.path:
                assert encoded(page.answer(world.node, Ask())).startswith(b"{"), page.path

    simulate(story, declared=EVERYTHING)
