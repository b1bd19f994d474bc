"""The gate from a terminal, and results that others wrote."""

from __future__ import annotations

import asyncio
import json
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner, Result

from detente.acceptance.effects import Runner
from detente.commands import root
from detente.kernel.ledger import Query
from detente.kernel.terminal.calling import leave_note

from .conftest import NAMES, Shop, Stage

pytestmark = pytest.mark.slow


def test_the_gate_from_a_terminal(stage: Stage, shop: Shop) -> None:
    """`detente acceptance run` shows a table and ends with 0, 1 or 2; the answer is JSON for programs."""

    async def story() -> None:
        async with stage.node() as (node, address):
            where = urlsplit(address)
            leave_note(stage.home / "detente.db", "127.0.0.1", where.port or 0)

            async def say(*words: str) -> Result:
                config = ["--config", str(stage.home / "detente.yaml")]
                asked = ["acceptance", *words, *config]
                return await asyncio.to_thread(CliRunner().invoke, root, asked)

            while node.part(Runner) is None:
                await asyncio.sleep(0.01)
            good = await say("run", "shop", "--release", "12", "--run", "r1")
            assert (good.exit_code, all(name in good.output for name in NAMES)) == (0, True)
            shop.sells = False
            bad = await say("run", "shop", "--place", "gate", "--json")
            assert (bad.exit_code, json.loads(bad.output)["failed"]) == (1, 2)
            again = await say("run", "shop", "--run", "r1", "--json")
            assert (again.exit_code, json.loads(again.output)["passed"]) == (0, True)
            (stage.home / "acceptance" / "test_shop.py").write_text("import nothing_like_it")
            broken = await say("run", "shop")
            assert (broken.exit_code, "could not be run" in broken.output) == (2, True)
            wrong = await say("run", "shup")
            assert wrong.exit_code != 0

            (stage.home / "out.xml").write_text(
                '<testsuite><testcase name="x y" time="1"/></testsuite>'
            )
            file = str(stage.home / "out.xml")
            first = await say("import", file, "--place", "ci", "--of", "shop")
            assert first.output == "✓ 1 result taken.\n"
            second = await say("import", file, "--place", "ci", "--of", "shop")
            assert second.output == "✓ 0 results taken, 1 were known already.\n"
            (fact,) = (each.fact for each in node.ledger.read(Query(subjects=("test:x y",))))
            assert fact.says() == "passed in ci after 1 s"
            assert "x y" in (await say()).output
            page = await say("test", "a policy can be bought")
            assert "Release gate" in page.output
            assert (await say("test", "nothing/of the kind")).exit_code != 0

    asyncio.run(story())
