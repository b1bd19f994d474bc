"""The same tests inside somebody's own pytest, with a node there or not."""

from __future__ import annotations

import asyncio
import importlib.metadata
import json
import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

import detente
from detente.facts.acceptance import Ran
from detente.kernel.ledger import Query
from detente.kernel.node import Node

from .conftest import NAMES, SECRET, Shop, Stage

pytestmark = pytest.mark.slow

ENTRIES = importlib.metadata.entry_points(group="pytest11", name="detente")
PLUGIN = "detente" if ENTRIES else "detente.acceptance.engine.plugin"


class Done:
    def __init__(self, code: int, out: str) -> None:
        self.code, self.out = code, out


async def pytests(home: Path, *more: str, plugin: bool = True, **environ: str) -> Done:
    """pytest as a build runs it."""
    asked = ["-p", PLUGIN] if plugin else []
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DETENTE")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "pytest", "acceptance", *asked, "-p", "no:cacheprovider", *more,
        cwd=home, env=kept | environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await process.communicate()
    return Done(process.returncode or 0, out.decode())


def build(shop: Shop, **more: str) -> dict[str, str]:
    return {
        "DETENTE_BASE_URL": shop.url,
        "DETENTE_ACCOUNT_BUYER_USER": "ada.test",
        "DETENTE_ACCOUNT_BUYER_PASSWORD": SECRET,
        "DETENTE_VERSION": "3f2a9c1",
        **more,
    }


def rans(node: Node) -> list[Ran]:
    return [each.fact for each in node.ledger.read(Query(names=(Ran.name,)))]  # type: ignore[misc]


def test_results_are_told_to_the_node(stage: Stage, shop: Shop, suite: Path) -> None:
    """`pytest --detente ADDRESS` tells every marked test, under the name it has everywhere."""

    async def story() -> None:
        async with stage.node() as (node, address):
            environ = build(shop, DETENTE_TOKEN=node.token)
            done = await pytests(stage.home, "--detente", address, **environ)
            assert f"detente: 3 results told to {address}" in done.out
            facts = rans(node)
            assert sorted(each.about for each in facts) == [f"test:{each}" for each in NAMES]
            assert {(each.place, each.outcome, each.version) for each in facts} == {
                ("ci", "passed", "3f2a9c1")
            }
            assert len({each.run for each in facts}) == 1
            assert not [*(stage.home / ".detente").rglob("*.json*")]

    asyncio.run(story())


def test_nothing_is_lost_and_nothing_counts_twice(stage: Stage, shop: Shop) -> None:
    """Results wait on disk while the node is away; what is told twice is known."""

    async def story() -> None:
        away = await pytests(stage.home, "--detente", "http://127.0.0.1:9", **build(shop))
        assert "no node answers at http://127.0.0.1:9" in away.out
        assert "kept in" in away.out
        (kept,) = (stage.home / ".detente").rglob("*.jsonl")
        told = kept.read_text()
        with kept.open("a") as file:
            file.write('{"test": "half a li')  # the build was killed while it wrote
        async with stage.node() as (node, address):
            closed = await pytests(stage.home, "--detente", address, **build(shop))
            assert "wants its token" in closed.out
            environ = build(shop, DETENTE_TOKEN=node.token)
            done = await pytests(stage.home, "--detente", address, **environ)
            assert "detente: 9 results told" in done.out
            assert len(rans(node)) == 9
            kept.write_text(told)  # as if the answer had been lost
            again = await pytests(stage.home, "--detente", address, **environ)
            assert "6 results told" in again.out
            assert len(rans(node)) == 12

    asyncio.run(story())


def test_many_long_results_are_sent_in_parts(stage: Stage, shop: Shop) -> None:
    """The node takes so much at once, and the plugin knows it; nobody else reaches that easily."""
    spool = stage.home / ".detente" / "results"
    spool.mkdir(parents=True)
    lines: list[dict[str, object]] = [{"run": "r0", "place": "ci"}]
    lines += [{"test": f"t{n}", "outcome": "failed", "reason": "é" * 5_000} for n in range(150)]
    text = "".join(json.dumps(each) + "\n" for each in lines)
    assert len(text) > 4_000_000
    (spool / "0-many.jsonl").write_text(text)

    async def story() -> None:
        async with stage.node() as (node, address):
            environ = build(shop, DETENTE_TOKEN=node.token)
            done = await pytests(stage.home, "--detente", address, "-k", "buying", **environ)
            assert "detente: 151 results told" in done.out
            assert len(rans(node)) == 151

    asyncio.run(story())


def test_without_the_option_nothing_happens(stage: Stage, shop: Shop) -> None:
    """The plugin alone tells nobody anything and leaves no file."""
    done = asyncio.run(pytests(stage.home, **build(shop)))
    assert (done.code, "detente: " in done.out) == (1, False)
    assert "3 passed" in done.out
    assert not (stage.home / ".detente").exists()


def test_no_password_is_shown(stage: Stage, shop: Shop) -> None:
    """Neither in a failing test's report, nor in JUnit XML."""
    shop.sells = False
    done = asyncio.run(pytests(stage.home, "--junitxml=out.xml", **build(shop)))
    written = (stage.home / "out.xml").read_text()
    assert "HTTP 503 for ada.test with •••" in done.out
    assert SECRET not in done.out + written
    assert 'value="a policy can be bought"' in written


def test_who_cannot_be_known_is_asked_for(stage: Stage, shop: Shop) -> None:
    """An account nobody gave, an address nobody said, a marker nobody understands: one sentence."""
    done = asyncio.run(pytests(stage.home, DETENTE_BASE_URL=shop.url))
    assert "set DETENTE_ACCOUNT_BUYER_USER" in done.out
    done = asyncio.run(pytests(stage.home))
    assert "nobody said at which address to test in ci: set DETENTE_BASE_URL" in done.out
    (stage.home / "acceptance" / "test_odd.py").write_text(
        "import pytest\n@pytest.mark.acceptance('shop')\ndef test_x(): pass\n"
    )
    done = asyncio.run(pytests(stage.home))
    assert 'write @pytest.mark.acceptance(of="shop", id="…")' in done.out
    (stage.home / "acceptance" / "test_odd.py").write_text(
        "import pytest\n"
        "pytestmark = pytest.mark.acceptance(of='shop')\n"
        "@pytest.mark.acceptance(id='a policy can be bought')\ndef test_x(): pass\n"
    )
    done = asyncio.run(pytests(stage.home))
    assert "“a policy can be bought” is the name of 2 tests" in done.out


def test_one_identity_in_three_places(stage: Stage, shop: Shop) -> None:
    """The build, the gate and production tell of the same test, and that its source is the same."""
    text = (stage.home / "detente.yaml").read_text()
    stage.write(text.replace("timeout: 10s", "timeout: 10s\n      every: 1h"))

    async def story() -> None:
        async with stage.node() as (node, address):
            environ = build(shop, DETENTE_TOKEN=node.token)
            await pytests(stage.home, "--detente", address, "-k", "buying", **environ)
            import aiohttp

            headers = {"Authorization": f"Bearer {node.token}"}
            asked = {"suite": "shop", "place": "gate", "run": "r1"}
            async with aiohttp.ClientSession(headers=headers) as session:
                async with session.post(f"{address}/acceptance/runs", json=asked) as answer:
                    assert answer.status == 200
                async with session.get(
                    f"{address}/acceptance/a%20policy%20can%20be%20bought.json"
                ) as page:
                    said = json.loads(await page.text())
                async with session.get(
                    f"{address}/acceptance/a%20policy%20can%20be%20bought"
                ) as page:
                    assert page.status == 200
            cells = [each["cell"] for each in said["places"]]
            assert [each["word"] for each in cells] == ["passed"] * 3
            assert len({each["sha256"] for each in cells}) == 1
            assert not any(each["odd"] for each in cells)

    asyncio.run(story())


def test_importing_it_is_light() -> None:
    """A build pays for no server."""
    asks = "import sys\nimport detente.acceptance.engine.plugin\nprint(*sys.modules)"
    out = subprocess.run(
        [sys.executable, "-c", asks], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"aiohttp", "apsw", "jinja2", "click", "rich", "yaml", "detente.app"} & {*out}
    assert not [name for name in out if name.startswith(("detente.kernel.node", "detente.facts"))]


def test_installed_as_others_install_it(tmp_path: Path) -> None:
    """From site-packages, where pytest finds the plugin by itself, nothing even warns."""
    site, suite = tmp_path / "site", tmp_path / "suite"
    dist = site / "detente-0.1.0.dist-info"
    dist.mkdir(parents=True)
    source = Path(detente.__file__).parent
    (site / "detente").symlink_to(source)
    files = [f"detente/{each.relative_to(source)},," for each in source.rglob("*.py")]
    (dist / "RECORD").write_text("\n".join(files) + "\n")
    (dist / "METADATA").write_text("Metadata-Version: 2.1\nName: detente\nVersion: 0.1.0\n")
    entry = "[pytest11]\ndetente = detente.acceptance.engine.plugin\n"
    (dist / "entry_points.txt").write_text(entry)
    suite.mkdir()
    (suite / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    (suite / "test_x.py").write_text(
        "import pytest\n@pytest.mark.acceptance(id='x y')\ndef test_x(base_url): assert base_url\n"
    )
    environ = {**os.environ, "PYTHONPATH": str(site), "DETENTE_BASE_URL": "http://x"}
    worker = [sys.executable, "-P", "-m", "detente.acceptance.engine.worker"]
    asked = {"place": "gate", "base_url": "http://x", "only": [], "timeout": 5}
    lines = f"{json.dumps({'path': str(suite)})}\n{json.dumps(asked)}\n"
    done = subprocess.run(
        worker, input=lines, cwd=suite, env=environ, capture_output=True, text=True, check=False
    )
    assert '"outcome": "passed"' in done.stdout, done.stderr
    build = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
    done = subprocess.run(
        build, cwd=suite, env=environ, capture_output=True, text=True, check=False
    )
    assert "1 passed" in done.stdout, done.stdout


def test_a_worker_goes_with_its_node(suite: Path, tmp_path: Path) -> None:
    """When the node is killed nobody is left behind running tests."""
    story = f"""
import asyncio
from pathlib import Path
from detente.acceptance.engine.parent import Order, Plan, Suite

async def main():
    suite = Suite(Plan(path=Path({str(suite)!r}), home=Path({str(tmp_path)!r})), lambda _name: {{}})
    await suite.run(Order(place="gate", base_url="http://127.0.0.1:9"))
    print(suite.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""
    node = subprocess.Popen([sys.executable, "-c", story], stdout=subprocess.PIPE, text=True)
    assert node.stdout is not None
    with node.stdout:
        worker = int(node.stdout.readline())
        node.kill()
        node.wait()
    ended = select.poll()
    try:
        watch = os.pidfd_open(worker)
    except ProcessLookupError:
        return
    ended.register(watch, select.POLLIN)
    assert ended.poll(10_000), "the worker is still there"
    os.close(watch)
