"""A shop that can be broken on request, a suite that vouches for it, and a node that runs it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from detente.app import load_declared, opened, run, serve
from detente.kernel.config import Address
from detente.kernel.node import Node

SECRET = "hunter2-and-then-some"

TESTS = """
import time, urllib.request, urllib.error
import pytest
from pytest_bdd import given, scenarios, then, when

scenarios("buying.feature")


@given("a shop", target_fixture="shop")
def shop(base_url):
    return base_url


@when("somebody asks for it", target_fixture="answer")
def ask(shop):
    return urllib.request.urlopen(shop, timeout=5).status


@then("it answers")
def answers(answer):
    assert answer == 200


@pytest.mark.acceptance(of="shop", id="a policy can be bought")
def test_buying(base_url, account, place):
    buyer = account("buyer")
    asked = urllib.request.Request(f"{base_url}/buy/{place}", headers={"X-Who": buyer.user, "X-Pass": buyer.password})
    try:
        urllib.request.urlopen(asked, timeout=5)
    except urllib.error.HTTPError as wrong:
        pytest.fail(f"HTTP {wrong.code} for {buyer.user} with {buyer.password}")


@pytest.mark.acceptance
def test_the_price_list_is_short(base_url):
    pass


def test_of_something_else():
    raise AssertionError("nobody asked for me")
"""

FEATURE = """
Feature: Buying

  @acceptance
  Scenario: the shop is open
    Given a shop
    When somebody asks for it
    Then it answers
"""

NAMES = ["Buying: the shop is open", "a policy can be bought", "shop: the price list is short"]


@dataclass
class Shop:
    """Somebody's program."""

    url: str = ""
    sells: bool = True
    bought: list[tuple[str, str, str]] = field(default_factory=list)  # place, user, password


@pytest.fixture
def shop() -> Iterator[Shop]:
    made = Shop()

    class Counter(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith("/buy/"):
                who = (self.headers["X-Who"], self.headers["X-Pass"])
                made.bought.append((self.path.removeprefix("/buy/"), *who))
            self.send_response(200 if made.sells else 503)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_said: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Counter)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    made.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A folder with acceptance tests, one of them a scenario."""
    folder = tmp_path / "acceptance"
    folder.mkdir()
    (folder / "test_shop.py").write_text(TESTS)
    (folder / "buying.feature").write_text(FEATURE)
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\n")
    return folder


@dataclass
class Stage:
    """Where nodes are started, one after the other, on one ledger."""

    home: Path
    environ: Mapping[str, str]

    def write(self, text: str) -> None:
        (self.home / "detente.yaml").write_text(text)

    @asynccontextmanager
    async def node(self) -> AsyncIterator[tuple[Node, str]]:
        """A running node, and where its pages are."""
        declared = load_declared(self.home / "detente.yaml", self.environ)
        async with opened(declared, self.home) as node:
            web, port = await serve(node, Address("127.0.0.1:0"))
            stop = asyncio.Event()
            running = asyncio.create_task(run(node, stop))
            try:
                yield node, f"http://127.0.0.1:{port}"
            finally:
                stop.set()
                await running
                await web.close()


@pytest.fixture
def stage(tmp_path: Path, suite: Path, shop: Shop) -> Stage:
    made = Stage(tmp_path, {"BUYER_PASSWORD": SECRET})
    made.write(declared(shop.url))
    return made


def declared(url: str, more: str = "") -> str:
    return f"""
services:
  shop: {{title: The shop}}
acceptance:
  suites:
    shop:
      of: shop
      path: acceptance
      base_url: {{gate: "{url}", production: "{url}"}}
      timeout: 10s
{more}
  accounts:
    buyer: {{user: ada.test, password: {{env: BUYER_PASSWORD}}}}
"""
