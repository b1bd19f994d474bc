"""What is counted against a release, and what is not its fault?"""

from __future__ import annotations

import asyncio

import pytest

from detente.facts.acceptance import Ran
from detente.facts.watch import SheetFiled, Tally, WentDown
from detente.facts.work import CallCharged, CallParked, CallRefused
from detente.kernel.clock import NS, later
from detente.kernel.ledger import Query
from detente.kernel.node import Node
from detente.releases.queries import evidence
from detente.releases.settings import Watched

from .conftest import Shop

VENDOR = "vendor:pay"
BESIDE = """
vendors: {pay: {}}
watch: {checks: {pay: {http: "http://pay.test/", every: 10s}}}
"""


class ByHand:
    """A clock that is moved on by the test."""

    at = 1_800_000_000 * NS

    def now(self) -> int:
        return self.at


def ran(outcome: str, **more: str) -> Ran:
    return Ran(
        about="test:buy", place=more.pop("place", "production"), outcome=outcome, took=1.0, **more
    )  # type: ignore[arg-type]


def calls(charged: int = 0, refused: int = 0, parked: int = 0) -> list[object]:
    some = {"route": "pay", "vendor": VENDOR}
    return [
        *(CallCharged(about=f"call:c{i}", status=200, seconds=0.1, **some) for i in range(charged)),
        *(CallRefused(about=f"call:r{i}", status=422, seconds=0.1, **some) for i in range(refused)),
        *(
            CallParked(about=f"call:p{i}", reason="away", unknown=False, **some)
            for i in range(parked)
        ),
    ]


async def weighed(
    node: Node, since: int, **watched: tuple[str, ...]
) -> dict[str, tuple[int, int, bool]]:
    found = evidence.weighed(node, Watched(**watched), "service:shop", since)  # type: ignore[arg-type]
    return {
        each.source.what: (each.source.since.failed, each.source.since.of, each.blames)
        for each in found
    }


def test_suites_count_in_production_only(shop: Shop) -> None:
    """Runs in CI and at the gate say nothing of production; another suite's are another's."""
    shop.clock = clock = ByHand()

    async def story() -> None:
        async with shop.node(carries=False) as node:
            await node.record(
                *[ran("passed", suite="shop")] * 49, ran("passed", of="service:shop"), by="test"
            )
            clock.at += 60 * NS
            since = clock.at
            await node.record(
                *[ran("failed", suite="shop")] * 4, ran("passed", suite="shop"), ran("skipped", suite="shop"),
                *[ran("failed", suite="other")] * 9, *[ran("failed", suite="shop", place="gate")] * 9,
                by="test",
            )  # fmt: skip
            found = await weighed(node, since, acceptance=("shop",))
            assert found == {"tests failed in production": (4, 5, True)}

    asyncio.run(story())


def test_a_release_that_sends_nonsense_is_found_by_what_the_vendor_refuses(shop: Shop) -> None:
    """Cards are declined on any day; six in ten are not."""
    shop.beside, shop.clock = BESIDE, (clock := ByHand())

    async def story() -> None:
        async with shop.node(carries=False) as node:
            await node.record(*calls(charged=95, refused=5), by="test")  # type: ignore[arg-type]
            clock.at += 60 * NS
            since = clock.at
            await node.record(*calls(charged=8, refused=12), by="test")  # type: ignore[arg-type]
            found = await weighed(node, since, routes=("pay",))
            assert found["calls refused"] == (12, 20, True)
            assert found["calls parked"] == (0, 20, False)

    asyncio.run(story())


def test_what_is_parked_while_the_vendor_is_down_is_theirs(shop: Shop) -> None:
    """The vendor's own check fails: no release of ours is blamed for that."""
    shop.beside = BESIDE

    async def story() -> None:
        async with shop.node(carries=False) as node:
            await node.record(*calls(charged=100), by="test")  # type: ignore[arg-type]
            since = node.clock.now()
            down = WentDown(
                about="check:pay",
                of=VENDOR,
                since=since,
                reason="HTTP 503",
                failures=3,
                environment="production",
            )
            await node.record(down, by="test")
            await node.record(*calls(parked=30), by="test")  # type: ignore[arg-type]
            found = await weighed(node, since, routes=("pay",))
            assert found["calls parked"] == (0, 0, False)

    asyncio.run(story())


def test_a_sheet_from_before_counts_for_before(shop: Shop) -> None:
    """One that began before the release and ended after it tells of both, and counts for neither."""
    shop.beside = BESIDE

    async def story() -> None:
        async with shop.node(carries=False) as node:
            since = node.clock.now()

            def sheet(begins: float, failed: int) -> SheetFiled:
                tally = {"pay": Tally(expected=10, ok=10 - failed, failed=failed)}
                start = later(since, begins)
                return SheetFiled(
                    about="place:here",
                    since=start,
                    until=later(start, 100),
                    sha256="",
                    tallies=tally,
                )

            await node.record(
                sheet(-250, 0), sheet(-150, 0), sheet(-50, 9), sheet(50, 3), by="test"
            )
            (found,) = evidence.weighed(node, Watched(checks=("pay",)), "service:shop", since)
            assert (found.source.before.failed, found.source.before.of) == (0, 20)
            assert (found.source.since.failed, found.source.since.of) == (3, 10)

    asyncio.run(story())


@pytest.mark.slow
def test_a_real_suite_at_the_gate_and_in_production(shop: Shop) -> None:
    """The same test stops the release at the gate, and takes it back from production."""
    suite = shop.home / "accept"
    suite.mkdir()
    test = 'import pathlib, pytest\n\n@pytest.mark.acceptance(of="shop", id="it can be bought")\ndef test_it():\n'
    (suite / "test_shop.py").write_text(
        f"{test}    assert not pathlib.Path({str(shop.home / 'bad')!r}).exists(), 'sold out'\n"
    )
    urls = "{gate: http://127.0.0.1:9, production: http://127.0.0.1:9}"
    shop.beside = (
        f"acceptance: {{suites: {{smoke: {{of: shop, path: {suite}, base_url: {urls}}}}}}}"
    )
    shop.gate = shop.verify = "smoke"
    shop.script("ship", f'echo "$DETENTE_VERSION" > {shop.live}; touch {shop.home}/bad')

    async def story() -> None:
        async with shop.node() as node:
            await shop.let_go(node)
            release = await shop.comes_to(node, "rolled back", "stopped")
            assert release.state == "rolled back", release.outcome
            gate, _ship, verify, _back = release.steps
            assert gate.note.startswith("smoke: ")
            assert "it can be bought" in verify.note
            assert "sold out" in verify.note
            places = [
                each.fact.place for each in node.ledger.read(Query(names=("acceptance.ran",)))
            ]
            assert places == ["gate", "production"]

    asyncio.run(story())
