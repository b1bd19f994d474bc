"""A suite at the release gate and in production, on real processes."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import aiohttp
import pytest

from detente.acceptance.effects import Asked, Report, Runner
from detente.facts.acceptance import BeganFailing, CouldNotRun, PassesAgain, Ran, RunsAgain
from detente.kernel.ledger import Query
from detente.kernel.node import Node

from .conftest import NAMES, SECRET, Shop, Stage, declared

pytestmark = pytest.mark.slow


def rans(node: Node) -> list[Ran]:
    return [each.fact for each in node.ledger.read(Query(names=(Ran.name,)))]  # type: ignore[misc]


async def until_runner(node: Node) -> Runner:
    while (runner := node.part(Runner)) is None:
        await asyncio.sleep(0.01)
    found: Runner = runner
    return found


async def until(node: Node, *names: str) -> None:
    """The newest of these facts has come."""
    async for batch in node.ledger.follow(Query(names=names)):
        if batch:
            return


async def post(address: str, node: Node, path: str, body: object) -> tuple[int, dict[str, object]]:
    headers = {"Authorization": f"Bearer {node.token}"}
    async with aiohttp.ClientSession() as session:
        async with session.post(f"{address}{path}", json=body, headers=headers) as answer:
            return answer.status, await answer.json()


def test_the_gate_runs_the_suite_and_tells(stage: Stage, shop: Shop) -> None:
    """Asked for a run, the node answers with each test, once the facts are on disk."""

    async def story() -> None:
        async with stage.node() as (node, address):
            await until_runner(node)
            asked = {"suite": "shop", "place": "gate", "release": "12", "version": "abc"}
            status, said = await post(address, node, "/acceptance/runs", asked)
            assert (status, said["passed"], said["says"]) == (200, True, "3 of 3 passed")
            facts = rans(node)
            assert sorted(each.about for each in facts) == sorted(f"test:{each}" for each in NAMES)
            assert {(each.place, each.release, each.of, each.version) for each in facts} == {
                ("gate", "release:12", "service:shop", "abc")
            }
            assert all(len(each.sha256) == 64 for each in facts)

    asyncio.run(story())
    assert shop.bought == [("gate", "ada.test", SECRET)]


def test_no_password_is_told(stage: Stage, shop: Shop) -> None:
    """What a failing test says is written down without the password it was given."""
    shop.sells = False

    async def story() -> None:
        async with stage.node() as (node, _):
            found = await (await until_runner(node)).run(Asked(suite="shop", place="gate"))
            assert not found.passed
            failed = {each.test: each.reason for each in found.results if each.outcome == "failed"}
            assert failed["a policy can be bought"] == "Failed: HTTP 503 for ada.test with •••"

    asyncio.run(story())
    assert SECRET.encode() not in b"".join(
        each.read_bytes() for each in stage.home.iterdir() if each.name.startswith("detente.db")
    )


def test_the_suite_is_kept_warm_and_follows_its_files(stage: Stage, suite: Path) -> None:
    """One process runs it again and again, until a file of the suite changes."""

    async def story() -> None:
        async with stage.node() as (node, _):
            runner = await until_runner(node)
            tester = runner._testers["shop"]
            await runner.run(Asked(suite="shop", place="gate"))
            pid = tester.pid  # type: ignore[attr-defined]
            assert (await runner.run(Asked(suite="shop", place="gate"))).passed
            assert tester.pid == pid  # type: ignore[attr-defined]
            before = {each.about: each.sha256 for each in rans(node)}
            text = (suite / "test_shop.py").read_text()
            (suite / "test_shop.py").write_text(text.replace("    pass\n", "    assert base_url\n"))
            assert (await runner.run(Asked(suite="shop", place="gate"))).passed
            assert tester.pid != pid  # type: ignore[attr-defined]
            after = {each.about: each.sha256 for each in rans(node)}
            changed = {each for each in after if after[each] != before[each]}
            assert changed == {"test:shop: the price list is short"}

    asyncio.run(story())


def test_a_run_with_a_name_is_run_once(stage: Stage, shop: Shop) -> None:
    """Whoever asks again, even of the next node, hears what was found and nothing runs."""
    asked = Asked(suite="shop", place="gate", run="release-12-1")

    async def story() -> Report:
        async with stage.node() as (node, _):
            runner = await until_runner(node)
            both = await asyncio.gather(runner.run(asked), runner.run(asked))
            assert both[0] == both[1]
            assert len(rans(node)) == 3
            return both[0]

    first, again = asyncio.run(story()), asyncio.run(story())
    assert len(shop.bought) == 1
    assert (first.says, sorted(each.test for each in first.results)) == (
        again.says,
        sorted(each.test for each in again.results),
    )


def test_a_test_that_hangs_or_dies_fails_alone(stage: Stage, suite: Path, shop: Shop) -> None:
    """It is ended with everything it started; the tests after it run."""
    (suite / "test_wild.py").write_text(
        "import os, subprocess, time, pytest\n"
        "pytestmark = pytest.mark.acceptance(of='shop')\n"
        "def test_a_hang():\n"
        f"    child = subprocess.Popen(['sleep', '600'])\n"
        f"    open({str(stage.home / 'child')!r}, 'w').write(str(child.pid))\n"
        "    time.sleep(600)\n"
        "def test_death():\n"
        "    os.kill(os.getpid(), 11)\n"
        "def test_life():\n"
        "    pass\n"
    )
    stage.write(declared(shop.url).replace("timeout: 10s", "timeout: 2s"))

    async def story() -> None:
        async with stage.node() as (node, _):
            found = await (await until_runner(node)).run(Asked(suite="shop", place="gate"))
            told = {each.test: (each.outcome, each.reason) for each in found.results}
            assert told["wild: a hang"] == ("failed", "it took longer than 2 s and was ended")
            assert told["wild: death"][0] == "failed"
            assert "signal 11 (SIGSEGV)" in told["wild: death"][1]
            assert told["wild: life"] == ("passed", "")
            assert len(found.results) == 6

    asyncio.run(story())
    child = int((stage.home / "child").read_text())
    state = Path(f"/proc/{child}/stat")
    assert not state.exists() or state.read_text().split()[2] == "Z"


def test_production_begins_to_fail_and_passes_again(stage: Stage, shop: Shop) -> None:
    """Two failures in a row are news, and so is the first pass after them."""
    stage.write(declared(shop.url, "      every: 1s\n      only: [a policy can be bought]"))

    async def story() -> None:
        async with stage.node() as (node, _):
            await until(node, Ran.name)
            shop.sells = False
            await until(node, BeganFailing.name)
            shop.sells = True
            await until(node, PassesAgain.name)
            assert {each.about for each in rans(node)} == {"test:a policy can be bought"}
            began = next(each.fact for each in node.ledger.read(Query(names=(BeganFailing.name,))))
            assert isinstance(began, BeganFailing)
            assert (began.failures, began.of) == (2, "service:shop")

    asyncio.run(story())


def test_a_suite_that_cannot_be_run_is_told_once(stage: Stage, suite: Path, shop: Shop) -> None:
    """A broken suite vouches for nothing: the gate stays shut, production is unknown, not down."""
    stage.write(declared(shop.url, "      every: 1s"))
    whole = (suite / "test_shop.py").read_text()
    (suite / "test_shop.py").write_text("import nothing_of_that_name\n")

    async def story() -> None:
        async with stage.node() as (node, address):
            await until(node, CouldNotRun.name)
            runner = await until_runner(node)
            found = await runner.run(Asked(suite="shop", place="gate"))
            assert not found.passed
            assert "No module named 'nothing_of_that_name'" in found.broken
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"{address}/now.json") as now,
            ):
                said = json.loads(await now.text())["signs"]
            assert "cannot be run in production" in said[0]["sentence"]
            (suite / "test_shop.py").write_text(whole)
            await until(node, RunsAgain.name)
            told = [*node.ledger.read(Query(names=(CouldNotRun.name,)))]
            assert len(told) == 1

    asyncio.run(story())


def test_what_is_not_understood_changes_nothing(stage: Stage) -> None:
    """Suites nobody declared, places that are none, results without a name: one sentence each."""

    async def story() -> None:
        async with stage.node() as (node, address):
            await until_runner(node)
            wrong: list[tuple[str, object, str]] = [
                ("runs", {"suite": "shup", "place": "gate"}, "no suite is called shup"),
                ("runs", {"suite": "shop", "place": "moon"}, "moon is no place"),
                ("runs", {"suite": "shop", "place": "ci"}, "nothing says where shop finds ci"),
                ("runs", {"suite": "shop", "plaice": "ci"}, "unknown field plaice"),
                (
                    "runs",
                    {"suite": "shop", "place": "gate", "base_url": "http://evil.test/"},
                    "base_url: tests sign on",
                ),
                ("results", {"run": "1", "place": "ci", "result": []}, "unknown field result"),
                (
                    "results",
                    {
                        "run": "1",
                        "place": "ci",
                        "results": [{"test": "t", "outcome": "passed", "token": "x"}],
                    },
                    "unknown field token",
                ),
                ("results", {"run": " ", "place": "ci", "results": []}, "run: give the run a name"),
                (
                    "results",
                    {"run": "1", "place": "ci", "results": [{"test": "t", "outcome": "maybe"}]},
                    "results[0].outcome: maybe is none of",
                ),
                (
                    "results",
                    {"run": "1", "place": "ci", "results": [{"test": " ", "outcome": "passed"}]},
                    "results[0].test: a test has a name",
                ),
            ]
            for path, body, says in wrong:
                status, said = await post(address, node, f"/acceptance/{path}", body)
                assert status == 400
                assert says in str(said["error"])
            assert rans(node) == []

    asyncio.run(story())


def test_nothing_secret_stands_on_the_command_line(stage: Stage) -> None:
    """The worker's arguments and environment hold no password."""

    async def story() -> None:
        async with stage.node() as (node, _):
            runner = await until_runner(node)
            await runner.run(Asked(suite="shop", place="gate"))
            pid = runner._testers["shop"].pid  # type: ignore[attr-defined]
            for what in ("cmdline", "environ"):
                assert SECRET.encode() not in Path(f"/proc/{pid}/{what}").read_bytes()
            return

    os.environ["BUYER_PASSWORD"] = SECRET
    try:
        asyncio.run(story())
    finally:
        del os.environ["BUYER_PASSWORD"]
