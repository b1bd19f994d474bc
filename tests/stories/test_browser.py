"""The pages in a real browser: they update themselves, and work without JavaScript."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from detente.app import declared_type, mistakes, opened, serve
from detente.facts.watch import WentDown
from detente.kernel.config import Address, loads
from detente.kernel.node import Node

sys.path.insert(0, str(Path(__file__).parents[2] / "docs"))

from making.browser import NoBrowser, Tab, browser

pytestmark = [pytest.mark.browser, pytest.mark.slow]

DECLARED = """
name: Sunny Side
vendors: {cardpay: {title: CardPay}}
watch:
  checks:
    cardpay: {http: "http://127.0.0.1:9/health", every: 60s}
work:
  routes:
    payments: {vendor: cardpay, to: "http://127.0.0.1:9"}
"""


@asynccontextmanager
async def a_page(home: Path) -> AsyncIterator[tuple[Node, str, Tab]]:
    """A real node's pages on a port of their own, and a browser."""
    declared = loads(DECLARED, declared_type(), cross=mistakes)
    async with opened(declared, home) as node, browser() as tab:
        server, port = await serve(node, Address("127.0.0.1:0"))
        try:
            yield node, f"http://127.0.0.1:{port}", tab
        finally:
            await server.close()


def look(home: Path, story: Callable[[Node, str, Tab], Awaitable[None]]) -> None:
    async def play() -> None:
        async with a_page(home) as (node, address, tab):
            await story(node, address, tab)

    try:
        asyncio.run(play())
    except NoBrowser as missing:
        if "chromium" in os.environ.get("DETENTE_WANTS", "").split():
            raise
        pytest.skip(str(missing))


async def text(tab: Tab) -> str:
    asked = "document.body ? document.body.innerText : ''"  # there is none between two pages
    found = await tab.ask("Runtime.evaluate", expression=asked)
    return str(found["result"].get("value", ""))


async def until(tab: Tab, words: str) -> None:
    async with asyncio.timeout(10):
        while words not in await text(tab):
            await asyncio.sleep(0.05)


async def desktop(tab: Tab, url: str) -> None:
    await tab.open(url, width=1280, height=900, phone=False, dark=False)


def test_an_open_page_tells_what_happens_without_being_asked(tmp_path: Path) -> None:
    """A fact that lands while *Now* is open changes its headline, and the page is not loaded anew."""

    async def story(node: Node, address: str, tab: Tab) -> None:
        await desktop(tab, address)
        await tab.ask("Runtime.evaluate", expression="window.stillTheSamePage = true")
        fell = WentDown(
            about="check:cardpay", of="vendor:cardpay", since=node.clock.now(),
            reason="connection refused", failures=3,
        )  # fmt: skip
        await node.record(fell, by="place:here")
        await until(tab, "One thing is not all right")
        await until(tab, "connection refused")
        same = await tab.ask("Runtime.evaluate", expression="window.stillTheSamePage")
        assert same["result"]["value"] is True

    look(tmp_path, story)


def test_everything_works_without_javascript(tmp_path: Path) -> None:
    """With scripts switched off a lever is still a form that does its one thing and says so."""

    async def story(node: Node, address: str, tab: Tab) -> None:
        await tab.ask("Emulation.setScriptExecutionDisabled", value=True)
        await tab.ask("Page.enable")
        await tab.ask("Page.navigate", url=f"{address}/subject/route/payments")
        await until(tab, "Pause the route")
        await press(tab, "summary", "Pause the route")
        await press(tab, 'input[name="reason"], textarea[name="reason"]', "")
        await tab.ask("Input.insertText", text="they are moving house")
        await press(tab, "details[open] form button", "Pause the route")
        await until(tab, "was paused: they are moving house")
        paused = [each.name for each in node.ledger.read() if each.name.startswith("work.")]
        assert paused == ["work.route_paused"]

    look(tmp_path, story)


async def press(tab: Tab, selector: str, words: str) -> None:
    """Click the first element that matches and carries those words, as a finger does."""
    document = await tab.ask("DOM.getDocument", depth=0)
    root = document["root"]["nodeId"]
    found = await tab.ask("DOM.querySelectorAll", nodeId=root, selector=selector)
    for each in found["nodeIds"]:
        html = (await tab.ask("DOM.getOuterHTML", nodeId=each))["outerHTML"]
        if words in html:
            await tab.ask("DOM.scrollIntoViewIfNeeded", nodeId=each)
            box = (await tab.ask("DOM.getBoxModel", nodeId=each))["model"]["content"]
            x, y = (box[0] + box[4]) / 2, (box[1] + box[5]) / 2
            for kind in ("mousePressed", "mouseReleased"):
                await tab.ask(
                    "Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1
                )
            await asyncio.sleep(0.2)
            return
    raise AssertionError(f"nothing like {selector} carries “{words}”")
