"""A real agent and a real node: over HTTP, through crashes, with and without the right token."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner

from detente.app import load_declared, opened, run, serve
from detente.commands import root
from detente.facts.watch import SheetFiled
from detente.kernel.config import Address
from detente.kernel.ledger import Query
from detente.kernel.network import RealNetwork
from detente.kernel.node import Node

TOKEN = "a-token-of-berlin"
DECLARED = """
vendors: {cardpay: {}}
watch:
  sheet: 1s
  places: {berlin: {token: {file: berlin.token}}}
  checks:
    cardpay: {tcp: "127.0.0.1:PORT", every: 1s, timeout: 500ms, from: [here, berlin]}
    dummy: {of: cardpay, plugin: [/bin/sh, -c, "echo 'fine | took=3ms;5'"], every: 1s, timeout: 500ms, from: [berlin]}
"""


@contextlib.asynccontextmanager
async def a_node(home: Path, port: int = 0) -> AsyncIterator[tuple[Node, int]]:
    """A node with its pages open, stopped in order at the end."""
    declared = load_declared(home / "detente.yaml")
    async with opened(declared, home) as node:
        server, port = await serve(node, Address(f"127.0.0.1:{port}"))
        stop = asyncio.Event()
        running = asyncio.create_task(run(node, stop))
        try:
            yield node, port
        finally:
            stop.set()
            await running
            await server.close()


@contextlib.asynccontextmanager
async def an_agent(home: Path, port: int, *more: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """An agent as a process of its own, killed without a word at the end."""
    agent = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "detente", "agent", "--node", f"http://127.0.0.1:{port}",
        "--place", "berlin", "--token-file", str(home / "berlin.token"),
        "--spool", str(home / "spool"), *more,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield agent
    finally:
        with contextlib.suppress(ProcessLookupError):
            agent.send_signal(signal.SIGKILL)
        await agent.wait()


def declare(home: Path, port: int) -> None:
    (home / "detente.yaml").write_text(DECLARED.replace("PORT", str(port)))
    (home / "berlin.token").write_text(TOKEN)


def sheets(node: Node) -> list[SheetFiled]:
    found = node.ledger.read(Query(names=(SheetFiled.name,), subjects=("place:berlin",)))
    return [each.fact for each in found if isinstance(each.fact, SheetFiled)]


def answered(node: Node, check: str) -> int:
    """How many good answers Berlin has told of."""
    return sum(each.tallies[check].ok for each in sheets(node) if check in each.tallies)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():
            await asyncio.sleep(0.05)


@pytest.mark.slow
def test_an_agent_survives_the_node_and_its_own_end(tmp_path: Path) -> None:
    """The node goes away and comes back, the agent is killed: no moment is told twice, none is made up."""

    async def story(target: int) -> None:
        declare(tmp_path, target)
        async with a_node(tmp_path) as (node, port):
            async with an_agent(tmp_path, port, "--plugins"):
                await until(lambda: len(sheets(node)) >= 2)
        async with an_agent(tmp_path, port, "--plugins"):  # nobody to report to
            await until(lambda: len(list((tmp_path / "spool").glob("*.sheet"))) >= 2)
        async with a_node(tmp_path, port) as (node, _):
            waiting = len(list((tmp_path / "spool").glob("*.sheet")))
            before = len(sheets(node))
            async with an_agent(tmp_path, port, "--plugins"):
                await until(lambda: len(sheets(node)) >= before + waiting + 2)
                await until(lambda: answered(node, "dummy") >= 3 and answered(node, "cardpay") >= 3)
            filed = sheets(node)
        assert all(one.until <= two.since for one, two in pairwise(filed))

    with socket.create_server(("127.0.0.1", 0)) as target:
        asyncio.run(story(target.getsockname()[1]))


@pytest.mark.slow
def test_an_agent_told_to_stop_keeps_what_it_saw(tmp_path: Path) -> None:
    """SIGTERM ends it cleanly, with the open sheet in the spool."""

    async def story() -> None:
        declare(tmp_path, 1)
        async with a_node(tmp_path) as (node, port):
            async with an_agent(tmp_path, port) as agent:
                await until(lambda: len(sheets(node)) >= 3)
                agent.terminate()
                assert await agent.wait() == 0
            told = " ".join(each.reason for each in _inconclusive(node))
        assert list((tmp_path / "spool").glob("*.sheet"))
        assert "this agent runs no plugins for others" in told

    asyncio.run(story())


def _inconclusive(node: Node) -> list[object]:
    from detente.watch.decisions import read_sheet

    found = node.ledger.read(Query(names=(SheetFiled.name,), subjects=("place:berlin",)))
    packed = [node.ledger.attachment(each.position) or b"" for each in found]
    lines = [read_sheet(each).checks.get("dummy", []) for each in packed]
    return [run for line in lines for _, run in line if run and run.verdict == "inconclusive"]


def test_the_door_of_a_place(tmp_path: Path) -> None:
    """Without the token of the place nobody reads its orders or reports for it; the node's own opens too."""

    async def story() -> None:
        declare(tmp_path, 1)
        network = RealNetwork()
        async with a_node(tmp_path) as (node, port):
            base = f"http://127.0.0.1:{port}/watch"

            async def asked(method: str, path: str, token: str, body: bytes = b"") -> int:
                headers = {"Authorization": f"Bearer {token}"} if token else {}
                reply = await network.call(method, f"{base}/{path}", headers=headers, body=body)
                return reply.status

            assert await asked("GET", "orders/berlin", TOKEN) == 200
            assert await asked("GET", "orders/berlin", node.token) == 200
            assert await asked("GET", "orders/berlin", "") == 403
            assert await asked("GET", "orders/berlin", "wrong") == 403
            assert await asked("POST", "sheets/berlin", "wrong", b"x") == 403
            assert await asked("POST", "sheets/paris", TOKEN, b"x") == 403
            assert await asked("POST", "sheets/berlin", TOKEN, b"x") == 400
            assert await asked("POST", "sheets/berlin", TOKEN, b"x" * 500_000) == 400
        await network.close()

    asyncio.run(story())


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["--node", "http://detente.example"], "is not an address that starts with https://"),
        (["--token-file", "nowhere"], "The token cannot be read from nowhere"),
        (["--token-file", os.devnull], "Put the token into it"),
        (["--spool", os.devnull], "Sheets cannot be kept in"),
    ],
)
def test_an_agent_that_cannot_work_says_why(tmp_path: Path, given: list[str], says: str) -> None:
    """One sentence, and nothing is begun."""
    (tmp_path / "token").write_text(TOKEN)
    usual = {
        "--node": "https://detente.example", "--place": "berlin",
        "--token-file": str(tmp_path / "token"), "--spool": str(tmp_path / "spool"),
    }  # fmt: skip
    usual[given[0]] = given[1]
    done = CliRunner().invoke(root, ["agent", *(word for pair in usual.items() for word in pair)])
    assert done.exit_code != 0
    assert says in done.output
