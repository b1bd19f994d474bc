"""A waiting call is put right and sent once, or given back to whoever sold it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest

from detente.facts.work import CallEdited
from detente.kernel.fact import Fact
from detente.kernel.ledger import Receipt
from detente.kernel.slice import Ask, Refused
from detente.testing import World, simulate
from detente.work import pages, queries
from detente.work.decisions import Call
from detente.work.engine.travel import Request

T = TypeVar("T")

DECLARED = """
vendors:
  cardpay: {title: CardPay}
work:
  keep_requests: 1h
  routes:
    payments:
      vendor: cardpay
      to: http://cardpay.test
      timeout: 2s
      money: {amount: /amount, currency: /currency}
      breaker: {minimum_calls: 50}
      replay: {first_wait: 1s}
    keyless: {vendor: cardpay, to: http://cardpay.test, timeout: 2s, idempotency: null}
"""
SALE = {"amount": 4990, "currency": "EUR", "token": "tok_old"}
CALL = pages.PAGES[1]


def states(world: World) -> dict[str, int]:
    return {each.state: each.calls for each in queries.books(world.node.rows)}


def worth(world: World) -> dict[str, list[str]]:
    return {each.state: [str(it) for it in each.money] for each in queries.books(world.node.rows)}


async def parked(world: World, key: str = "k1", route: str = "payments", **said: object) -> Call:
    """A call whose vendor was away."""
    world.vendor("cardpay").away = True
    assert (await world.call(route, {**SALE, **said}, key=key)).status == 202
    (call,) = queries.waiting(world.node.rows)
    return call


async def edit(world: World, call: Call, pointer: str, value: str, **form: str) -> None:
    await world.pull(
        "work.edit", call.about, pointer=pointer, value=value, **{"reason": "typo"} | form
    )


def test_an_edited_call_is_sent_once_as_it_is_now() -> None:
    """Under the caller's key where the vendor never saw it; the caller's own repeat is still known."""

    async def story(world: World) -> None:
        call = await parked(world)
        await edit(world, call, "/token", "tok_new", reason="the customer has a new card")
        world.vendor("cardpay").away = False
        await world.passes(60)
        assert world.vendor("cardpay").book == {"k1": {"id": "ch_1", **SALE, "token": "tok_new"}}
        assert states(world) == {"charged": 1}
        assert (await world.call("payments", SALE, key="k1")).status == 202
        assert (await world.call("payments", {**SALE, "token": "tok_new"}, key="k1")).status == 422
        assert len(world.vendor("cardpay").book) == 1

    simulate(story, declared=DECLARED)


def test_history_says_that_and_why_and_never_the_value() -> None:
    """The first request stays beside the first fact; the fact has a digest of both bodies."""

    async def story(world: World) -> None:
        call = await parked(world)
        await edit(world, call, "/token", "tok_new")
        (fact,) = world.facts("work.call_edited")
        assert isinstance(fact, CallEdited)
        assert (fact.pointer, fact.reason, fact.key, fact.looked) == ("/token", "typo", "", False)
        bodies = [request(world, at).body for at in queries.requests(world.node, call.about)]
        assert json.loads(bodies[0])["token"] == "tok_old"
        assert [hashlib.sha256(each).hexdigest() for each in bodies] == [fact.before, fact.after]
        assert b"tok_new" not in b"".join(map(msgspec.json.encode, world.facts()))
        page = CALL.answer(world.node, Ask(path={"call": call.about[5:]}))
        assert isinstance(page, pages.CallPage)
        assert "tok_" not in str(page.request) + str(page.original)
        assert page.original is not None
        with pytest.raises(Refused, match="•••"):
            await edit(world, call, "/token", "•••")

    simulate(story, declared=DECLARED)


def request(world: World, position: int) -> Request:
    return msgspec.msgpack.decode(world.node.ledger.attachment(position) or b"", type=Request)


def test_an_edited_amount_is_what_the_sale_is_worth() -> None:
    """In the books at once, live as well as rebuilt, and in what was charged."""

    async def story(world: World) -> None:
        call = await parked(world)
        with pytest.raises(Refused, match="no longer say what the sale is worth"):
            await edit(world, call, "/currency", "euros")
        await edit(world, call, "/amount", "1990")
        assert worth(world) == {"parked": ["19.90 EUR"]}
        world.node.views.rebuild(world.node.ledger)
        assert worth(world) == {"parked": ["19.90 EUR"]}
        world.vendor("cardpay").away = False
        await world.passes(60)
        assert worth(world)["charged"] == ["19.90 EUR"]
        board = list(world.node.rows.execute("select state, minor from scoreboard_sales"))
        assert board == [("recovered", 1990)]

    simulate(story, declared=DECLARED)


def test_a_vendor_that_said_no_is_asked_under_a_new_key() -> None:
    """It would answer for the request that it remembers. A held call waits until somebody retries it."""

    async def story(world: World) -> None:
        call = await parked(world, token="tok_declined")
        world.vendor("cardpay").away = False
        await world.passes(60)
        assert states(world) == {"held": 1}
        await edit(world, call, "/token", "tok_new")
        (fact,) = world.facts("work.call_edited")
        assert isinstance(fact, CallEdited) and len(fact.key) == 36
        await world.passes(60)
        assert states(world) == {"held": 1}
        await world.pull("work.retry", call.about)
        await world.passes(60)
        assert [*world.vendor("cardpay").book] == [fact.key]
        (found,) = queries.of_keys(world.node.rows, "payments", [fact.key])
        assert (found.about, found.key, found.sent_key) == (call.about, "k1", fact.key)

    simulate(story, declared=DECLARED)


@pytest.mark.parametrize("route", ["payments", "keyless"])
@pytest.mark.parametrize("lever", ["work.edit", "work.hand_back"])
def test_what_the_vendor_may_have_is_looked_up_first(route: str, lever: str) -> None:
    """Changed or sold again, it could be charged twice: somebody has to say that they looked."""
    form = {"work.edit": {"pointer": "/token", "value": "tok_new", "reason": "typo"}}
    said = form.get(lever, {"note": "ask for another card"})

    async def story(world: World) -> None:
        world.vendor("cardpay").hangs = True
        assert (await world.call(route, SALE, key="k1")).status == 202
        (call,) = queries.waiting(world.node.rows)
        with pytest.raises(Refused, match="Look in their book"):
            await _when_free(world, lever, call, **said)
        await _when_free(world, lever, call, looked="true", **said)
        (fact,) = world.facts("work.call_edited", "work.call_handed_back")
        assert fact.looked  # type: ignore[attr-defined]
        assert bool(getattr(fact, "key", "")) == (lever == "work.edit" and route == "payments")
        found = queries.call(world.node.rows, call.about)
        assert found and found.unknown == (lever == "work.hand_back")

    simulate(story, declared=DECLARED)


async def _when_free(world: World, lever: str, call: Call, **form: str) -> None:
    """People wait while the vendor has it."""
    for _ in range(100):
        try:
            return await world.pull(lever, call.about, **form)
        except Refused as why:
            if "this very moment" not in str(why):
                raise
            await world.passes(0.5)
    raise AssertionError("it never came back")


def test_a_sale_that_was_handed_back_is_never_sent_and_its_seller_hears_so() -> None:
    """It is in one state, keeps its worth there, and whoever asks again under its key is told why."""

    async def story(world: World) -> None:
        call = await parked(world)
        await world.pull("work.hand_back", call.about, note="the card has run out")
        world.vendor("cardpay").away = False
        await world.passes(3600)
        assert worth(world) | states(world) == {"handed back": 1}
        again = await world.call("payments", SALE, key="k1")
        assert again.status == 409
        assert b"handed back" in again.body and b"the card has run out" in again.body
        assert not world.vendor("cardpay").book
        for lever, form in (("work.retry", {}), ("work.settle", {"note": "x"})):
            with pytest.raises(Refused, match="handed back already"):
                await world.pull(lever, call.about, **form)

    simulate(story, declared=DECLARED)


def test_both_requests_go_when_the_call_is_done() -> None:
    """Attachments of an edited call expire like others, the first one too."""

    async def story(world: World) -> None:
        call = await parked(world)
        await edit(world, call, "/token", "tok_new")
        world.vendor("cardpay").away = False
        await world.passes(4 * 3600)
        kept = [world.node.ledger.attachment(at) for at in queries.requests(world.node, call.about)]
        assert kept == [None, None]

    simulate(story, declared=DECLARED)


def test_whoever_is_later_edits_nothing() -> None:
    """Two people at once: one is asked to look again, so that neither's change is undone unseen."""

    async def story(world: World) -> None:
        call = await parked(world)
        at_once = world.node.ledger.append

        async def slowly(facts: Sequence[Fact], **given: Any) -> Receipt:
            await asyncio.sleep(0.1)
            return await at_once(facts, **given)

        world.node.ledger.append = slowly  # type: ignore[method-assign]
        both = await asyncio.gather(
            edit(world, call, "/token", "tok_a"), edit(world, call, "/amount", "1"),
            return_exceptions=True,
        )  # fmt: skip
        assert [type(each) for each in both] == [type(None), Refused]
        assert len(world.facts("work.call_edited")) == 1

    simulate(story, declared=DECLARED)


@pytest.mark.parametrize("seed", range(3))
def test_whatever_people_and_vendors_do_each_sale_is_in_one_state(seed: int) -> None:
    """Edited, held, handed back and replayed at random: charged once or not, and rebuilt equals live."""

    async def story(world: World) -> None:
        vendor, chance = world.vendor("cardpay"), world.chance
        for number in range(60):
            vendor.away, vendor.hangs = chance.random() < 0.5, chance.random() < 0.2
            vendor.loses_answers = chance.choice([0.0, 0.5])
            await world.call("payments", {**SALE, "reference": f"r{number}"}, key=f"k{number}")
            for call in queries.waiting(world.node.rows)[:2]:
                await _meddle(world, call)
            await world.passes(chance.random() * 3)
        vendor.away = vendor.hangs = False
        vendor.loses_answers = 0.0
        await world.passes(7200)
        found = states(world), worth(world)
        assert sum(found[0].values()) == 60
        charged = [each["reference"] for each in vendor.book.values()]
        assert len(charged) == len(set(charged)) == found[0]["charged"]
        world.node.views.rebuild(world.node.ledger)
        assert found == (states(world), worth(world))

    simulate(story, declared=DECLARED, seed=seed)


async def _meddle(world: World, call: Call) -> None:
    """People who never say that they looked, since nobody did."""
    what = world.chance.choice(["work.edit", "work.hand_back", "work.hold", "work.retry", ""])
    amount = str(world.chance.randrange(1, 9_999))
    forms = {
        "work.edit": {"pointer": "/amount", "value": amount, "reason": "typo"},
        "work.hand_back": {"note": "ask again"},
        "work.hold": {"reason": "wait", "hours": "0.1"},
    }
    try:
        if what:
            await world.pull(what, call.about, **forms.get(what, {}))
    except Refused:
        pass  # the vendor has it, or may have it


# -- for real ------------------------------------------------------------------------------------


class Vendor:
    """Notes what it was sent."""

    def __init__(self) -> None:
        self.heard: list[tuple[dict[str, str], bytes]] = []
        vendor = self

        class Asked(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                vendor.heard.append((dict(self.headers), body))
                self.send_response(201)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_said: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Asked, bind_and_activate=False)
        self.server.server_bind()  # nobody listens yet: connections are refused
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever)

    def begin(self) -> None:
        self.server.server_activate()
        self.thread.start()

    def end(self) -> None:
        if self.thread.is_alive():
            self.server.shutdown()
            self.thread.join()
        self.server.server_close()


DECLARED_FOR_REAL = """
web: {{listen: "127.0.0.1:{web}"}}
vendors:
  cardpay: {{title: CardPay}}
work:
  gateway: 127.0.0.1:{gateway}
  routes:
    payments:
      vendor: cardpay
      to: http://127.0.0.1:{vendor}
      timeout: 2s
      breaker: {{minimum_calls: 50}}
      replay: {{first_wait: 1s, longest_wait: 1s}}
"""


def free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports: list[int] = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports


@contextmanager
def up(config: Path) -> Iterator[None]:
    """A real node, killed with -9 in the end."""
    command = [sys.executable, "-m", "detente", "up", "--config", str(config)]
    with (
        (config.parent / "log").open("ab") as log,
        subprocess.Popen(command, stdout=log, stderr=log) as node,
    ):
        try:
            yield
        finally:
            node.kill()


def read(asked: str | urllib.request.Request) -> Any:
    with urllib.request.urlopen(asked) as answer:
        return json.load(answer)


def soon(ask: Callable[[], T]) -> T:
    """What it answers once it answers something."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            if found := ask():
                return found
        except OSError:
            pass
        time.sleep(0.05)
    raise AssertionError("it took too long")


@pytest.mark.slow
def test_killed_between_edit_and_replay_the_edited_call_is_sent_once(tmp_path: Path) -> None:
    """Real processes: what was acknowledged is on disk, with a length that is that of the new body."""
    vendor, (web, gateway) = Vendor(), free_ports(2)
    config = tmp_path / "detente.yaml"
    config.write_text(DECLARED_FOR_REAL.format(web=web, gateway=gateway, vendor=vendor.port))
    sale = urllib.request.Request(
        f"http://127.0.0.1:{gateway}/payments/charges",
        json.dumps(SALE).encode(),
        {"Content-Type": "application/json", "Idempotency-Key": "k1"},
    )
    queue = f"http://127.0.0.1:{web}/work.json"
    try:
        with up(config):
            soon(lambda: read(sale))
            (call,) = soon(lambda: read(queue)["waiting"])
            words = ("work", "edit", call["about"][-6:], "--pointer", "/token")
            more = (
                "--value",
                "tok_with_a_longer_name",
                "--reason",
                "typo",
                "--config",
                str(config),
            )
            command = [sys.executable, "-m", "detente", *words, *more]
            done = subprocess.run(command, capture_output=True, text=True)
            assert "was edited at /token: typo" in done.stdout, done.stderr
        vendor.begin()
        with up(config):
            soon(lambda: read(queue)["books"][0]["state"] == "charged")
    finally:
        vendor.end()
    ((headers, body),) = vendor.heard
    assert json.loads(body) == {**SALE, "token": "tok_with_a_longer_name"}
    assert headers["Idempotency-Key"] == "k1"
