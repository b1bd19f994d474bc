"""The desk between callers and vendors, when the disk, the caller or the configuration fails it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from detente.facts.work import CallCharged, CallParked, CallTaken
from detente.kernel.fact import Fact
from detente.kernel.ledger import LedgerFull, Receipt
from detente.kernel.network import NoAnswer, NotReached, Reply
from detente.kernel.slice import Ask, Lever, Pull, Refused
from detente.testing import World, simulate
from detente.work import levers, pages, queries
from detente.work.effects import Desk
from detente.work.engine.travel import Incoming, Outgoing
from detente.work.settings import Work

DECLARED = """
vendors:
  cardpay: {title: CardPay}
work:
  routes:
    payments:
      vendor: cardpay
      to: http://cardpay.test
      timeout: 2s
      money: {amount: /amount, currency: /currency}
      breaker: {minimum_calls: 5, open_for: 2s}
      replay: {first_wait: 5s}
    keyless: {vendor: cardpay, to: http://cardpay.test, timeout: 2s, idempotency: null}
    unparked: {vendor: cardpay, to: http://cardpay.test, timeout: 2s, park: []}
"""

SALE = {"amount": 4990, "currency": "EUR", "token": "tok_1"}

Story = Callable[[World], Awaitable[None]]


def play(story: Story, declared: str = DECLARED, **given: Any) -> None:
    simulate(story, declared=declared, **given)


def states(world: World) -> dict[str, int]:
    return {each.state: each.calls for each in queries.books(world.node.rows)}


def desk_of(world: World) -> Desk:
    desk: Desk = world.node.part(Desk)
    return desk


async def send(world: World, route: str = "payments", **given: Any) -> Outgoing:
    """A call with everything under our control."""
    asked = {"method": "POST", "path": "/charges", "headers": (), "body": json.dumps(SALE).encode()}
    return await desk_of(world).answer(Incoming(route, **{**asked, **given}))  # type: ignore[arg-type]


class Full:
    """A ledger whose disk is full whenever facts of these kinds come."""

    def __init__(self, world: World, *kinds: type[Fact]) -> None:
        self.kinds = kinds
        self.refused = 0
        self._append = world.node.ledger.append
        world.node.ledger.append = self.append  # type: ignore[method-assign]

    async def append(self, facts: Sequence[Fact], **given: Any) -> Receipt:
        if any(isinstance(fact, self.kinds) for fact in facts):
            self.refused += 1
            raise LedgerFull("The disk is full. Free some space.")
        return await self._append(facts, **given)


# -- the disk ------------------------------------------------------------------------------------


def test_a_full_disk_turns_callers_away_before_the_vendor_hears() -> None:
    """What cannot be written down is not sent: a clear 503, and nobody is charged."""

    async def story(world: World) -> None:
        disk = Full(world, CallTaken)
        first, second = await asyncio.gather(
            world.call("payments", SALE, key="k1"), world.call("payments", SALE, key="k1")
        )
        for answer in (first, second):
            assert answer.status == 503
            assert b"nothing was sent and nothing was kept" in answer.body
            assert b"Free some space" in answer.body
        assert world.vendor("cardpay").asked == 0
        disk.kinds = ()
        assert (await world.call("payments", SALE, key="k1")).status == 201
        assert states(world) == {"charged": 1}

    play(story)


def test_a_yes_of_the_vendor_is_written_down_however_long_it_takes() -> None:
    """The vendor has charged; the caller hears so at once, the books as soon as the disk has room."""

    async def story(world: World) -> None:
        disk = Full(world, CallCharged)
        assert (await world.call("payments", SALE, key="k1")).status == 201
        again = await world.call("payments", SALE, key="k1")
        assert again.status == 202
        await world.passes(300)
        assert disk.refused > 3
        assert states(world) == {"taken": 1}
        disk.kinds = ()
        await world.passes(60)
        assert states(world) == {"charged": 1}
        assert len(world.facts("work.call_charged")) == 1
        assert world.vendor("cardpay").asked == 1

    play(story)


def test_a_call_that_could_not_be_parked_yet_is_parked_later() -> None:
    """The call itself is on disk, so the caller has its 202; it is parked and replayed in the end."""

    async def story(world: World) -> None:
        disk = Full(world, CallParked)
        world.vendor("cardpay").away = True
        assert (await world.call("payments", SALE, key="k1")).status == 202
        disk.kinds = ()
        world.vendor("cardpay").away = False
        await world.passes(60)
        assert states(world) == {"charged": 1}

    play(story)


@pytest.mark.parametrize("route", ["payments", "keyless"])
def test_a_replay_that_cannot_be_written_down_is_not_sent_twice(route: str) -> None:
    """While the vendor's yes waits for the disk, the same call is not sent again."""

    async def story(world: World) -> None:
        vendor = world.vendor("cardpay")
        vendor.away = True
        await world.call(route, SALE)
        disk = Full(world, CallCharged)
        vendor.away = False
        asked = vendor.asked
        await world.passes(600)
        assert vendor.asked == asked + 1
        disk.kinds = ()
        await world.passes(60)
        assert states(world) == {"charged": 1}
        assert (len(vendor.book), vendor.asked) == (1, asked + 1)

    play(story)


def test_a_keyless_replay_that_died_on_the_way_waits_for_a_person(tmp_path: Path) -> None:
    """Killed between the vendor's yes and the disk, a call that cannot be recognised is held."""
    ledger = tmp_path / "ledger.db"
    books: list[int] = []

    async def killed(world: World) -> None:
        vendor = world.vendor("cardpay")
        vendor.away = True
        await world.call("keyless", SALE)
        Full(world, CallCharged)  # nothing of the yes ever reaches the disk
        vendor.away = False
        await world.passes(60)
        books.append(len(vendor.book))

    async def after(world: World) -> None:
        await world.passes(3600)
        assert states(world) == {"held": 1}
        assert world.vendor("cardpay").asked == 0
        (call,) = queries.waiting(world.node.rows)
        assert "look in their book" in call.reason

    play(killed, ledger=ledger)
    assert books == [1]
    play(after, ledger=ledger)


def test_views_that_cannot_be_written_do_not_stop_sales() -> None:
    """A call is sent and answered from what is on disk, even while the rows lag behind."""

    async def story(world: World) -> None:
        import apsw

        def stuck(_ledger: object) -> int:
            raise apsw.FullError("database or disk is full")

        catch_up, world.node.views.catch_up = world.node.views.catch_up, stuck  # type: ignore[method-assign]
        world.node.ledger._callbacks.clear()  # type: ignore[attr-defined]
        assert (await world.call("payments", SALE, key="k1")).status == 201
        world.node.views.catch_up = catch_up  # type: ignore[method-assign]
        world.node.views.catch_up(world.node.ledger)
        assert states(world) == {"charged": 1}

    play(story)


# -- callers -------------------------------------------------------------------------------------


def test_a_caller_who_hangs_up_stops_nothing() -> None:
    """The call goes on, is written down, and others under the same key still get its answer."""

    async def story(world: World) -> None:
        world.vendor("cardpay").latency = 1.0
        first = asyncio.create_task(world.call("payments", SALE, key="k1"))
        await world.passes(0.1)
        second = asyncio.create_task(world.call("payments", SALE, key="k1"))
        await world.passes(0.1)
        first.cancel()
        assert (await second).status == 201
        assert first.cancelled()
        assert states(world) == {"charged": 1}
        assert world.vendor("cardpay").asked == 1

    play(story)


def test_a_node_that_stops_takes_up_what_was_under_way(tmp_path: Path) -> None:
    """A call that was with the vendor at the end is parked at the next start and charged once."""
    ledger = tmp_path / "ledger.db"

    async def stopped(world: World) -> None:
        world.vendor("cardpay").latency = 1.5
        caller = asyncio.create_task(world.call("payments", SALE, key="k1"))
        await world.passes(1.0)
        caller.cancel()

    async def after(world: World) -> None:
        await world.passes(60)
        assert states(world) == {"charged": 1}
        (parked,) = world.facts("work.call_parked")
        assert parked.unknown  # type: ignore[attr-defined]

    play(stopped, ledger=ledger)
    play(after, ledger=ledger)


def test_one_key_is_one_request() -> None:
    """A key that comes back with another body, path or method is a mistake and told so."""

    async def story(world: World) -> None:
        key = (("idempotency-key", "k1"),)
        assert (await send(world, headers=key)).status == 201
        assert (await send(world, headers=key)).status == 201
        for other in ({"body": b"{}"}, {"path": "/refunds"}):
            answer = await send(world, headers=key, **other)
            assert answer.status == 422
        assert world.vendor("cardpay").asked == 1

    play(story)


class Ear:
    """A network that remembers what was sent."""

    def __init__(self, world: World, *replies: Reply | Exception) -> None:
        self.sent: list[tuple[str, str, dict[str, str]]] = []
        self.replies = list(replies)
        world.node.network = self  # type: ignore[assignment]

    async def call(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout: float = 10.0,
    ) -> Reply:
        self.sent.append((method, url, dict(headers or {})))
        await asyncio.sleep(0.01)
        reply = self.replies.pop(0) if self.replies else Reply(201, (), b"{}")
        if isinstance(reply, Exception):
            raise reply
        return reply

    async def close(self) -> None:
        pass


def test_headers_reach_the_vendor_once() -> None:
    """The key goes out once however it was spelt; repeated headers are joined, none is dropped."""

    async def story(world: World) -> None:
        ear = Ear(world)
        given = (
            ("idempotency-key", "k1"),
            ("X-A", "1"),
            ("x-a", "2"),
            ("Cookie", "a"),
            ("cookie", "b"),
        )
        await send(world, headers=given)
        assert ear.sent[0][2] == {"X-A": "1, 2", "Cookie": "a; b", "Idempotency-Key": "k1"}
        await send(world, "unparked", headers=given)
        assert ear.sent[1][2] == {"idempotency-key": "k1", "X-A": "1, 2", "Cookie": "a; b"}
        await send(world, "keyless", headers=given)
        assert "k1" not in ear.sent[2][2].values()

    play(story)


@pytest.mark.parametrize(
    "path",
    [
        ".evil.example/charges",
        "@evil.example/",
        ":81/",
        "/../admin",
        "/a/%2e%2e/b",
        "/%2E",
        "/..\\a",
    ],
)
def test_nobody_is_led_out_of_a_route(path: str) -> None:
    """The vendor's key travels in the headers: a path must never make it go elsewhere."""

    async def story(world: World) -> None:
        ear = Ear(world)
        assert (await send(world, path=path)).status == 400
        assert (await send(world, path=path, method="GET")).status == 400
        assert ear.sent == []

    play(story)


@pytest.mark.parametrize("path", ["", "/", "?a=../b", "/a..b/...", "/charges/1?x=%2e%2e/"])
def test_ordinary_paths_go_through(path: str) -> None:
    """Dots inside names and behind the question mark are nobody's business."""

    async def story(world: World) -> None:
        ear = Ear(world)
        assert (await send(world, path=path)).status == 201
        assert ear.sent[0][1] == f"http://cardpay.test{path}"

    play(story)


def test_bytes_that_are_no_text_are_kept_and_sent() -> None:
    """A header in Latin-1, as old programs write them, does not cost a sale."""

    async def story(world: World) -> None:
        latin = b"Jos\xe9".decode("utf-8", "surrogateescape")
        given = (("X-Name", latin), ("Idempotency-Key", latin))
        assert (await send(world, headers=given, path=f"/{latin}")).status == 201
        assert (await send(world, headers=given, path=f"/{latin}")).status == 201
        assert states(world) == {"charged": 1}
        assert world.facts("work.call_taken")[0].key == "José"  # type: ignore[attr-defined]

    play(story)


@pytest.mark.parametrize(
    "amount",
    [
        "10000000000000000000",
        '"1e400000"',
        "1e999",
        "1e18",
        "19.9",
        "true",
        "null",
        '"1_000"',
        "[]",
    ],
)
def test_what_is_no_amount_costs_no_sale(amount: str) -> None:
    """Whatever stands where the money should be, the sale is taken, and the books go on working."""

    async def story(world: World) -> None:
        body = f'{{"amount": {amount}, "currency": "EUR", "token": "t"}}'.encode()
        assert (await send(world, body=body)).status == 201
        assert world.facts("work.call_taken")[0].money is None  # type: ignore[attr-defined]
        assert (await world.call("payments", SALE)).status == 201
        assert states(world) == {"charged": 2}

    play(story)


def test_a_very_large_body_is_parked_and_replayed_whole() -> None:
    """Ten megabytes wait on disk as well as ten bytes."""

    async def story(world: World) -> None:
        vendor = world.vendor("cardpay")
        vendor.away = True
        body = json.dumps({**SALE, "note": "x" * 10_000_000}).encode()
        assert (await send(world, body=body)).status == 202
        vendor.away = False
        await world.passes(60)
        (charge,) = vendor.book.values()
        assert len(str(charge["note"])) == 10_000_000

    play(story)


@pytest.mark.parametrize("status", [301, 307, 308])
def test_being_sent_elsewhere_is_no_yes(status: int) -> None:
    """A redirect that asks for the same request again has charged nobody."""

    async def story(world: World) -> None:
        Ear(world, Reply(status, (("Location", "/new"),), b""))
        assert (await send(world)).status == status
        assert states(world) == {"refused": 1}

    play(story)


def test_an_answer_that_is_no_longer_kept_is_not_made_up() -> None:
    """After the answers were let go, a repeated key hears how it ended, never "taken"."""

    async def story(world: World) -> None:
        await world.call("payments", SALE, key="yes")
        await world.call("payments", {**SALE, "token": "tok_declined"}, key="no")
        await world.passes(8 * 86_400)
        yes = await world.call("payments", SALE, key="yes")
        no = await world.call("payments", {**SALE, "token": "tok_declined"}, key="no")
        assert (yes.status, json.loads(yes.body)["status"]) == (200, "charged")
        assert no.status == 402
        assert world.vendor("cardpay").asked == 2

    play(story)


# -- the queue -----------------------------------------------------------------------------------


def test_calls_that_always_fail_starve_nobody() -> None:
    """However many calls the vendor chokes on, the others go through."""

    async def story(world: World) -> None:
        vendor = world.vendor("cardpay")
        charge = vendor._charge

        def choke(headers: Mapping[str, str], body: bytes, chance: Any) -> Reply:
            if b"poison" in body:
                return Reply(500, (), b"")
            return charge(headers, body, chance)

        vendor._charge = choke  # type: ignore[method-assign]
        vendor.away = True
        for number in range(30):
            await world.call("payments", {**SALE, "token": "poison"}, key=f"bad{number}")
        for number in range(10):
            await world.call("payments", SALE, key=f"good{number}")
        vendor.away = False
        await world.passes(1800)
        assert states(world)["charged"] == 10

    play(story, DECLARED.replace("minimum_calls: 5", "minimum_calls: 1000"))


def test_a_request_that_is_gone_stops_no_other() -> None:
    """A call whose request cannot be read any more is held for a person; the queue goes on."""

    async def story(world: World) -> None:
        vendor = world.vendor("cardpay")
        vendor.away = True
        await world.call("payments", SALE, key="k1")
        await world.call("payments", SALE, key="k2")
        oldest = queries.waiting(world.node.rows)[0]
        await world.node.ledger.expire([oldest.request])
        vendor.away = False
        await world.passes(120)
        assert states(world) == {"charged": 1, "held": 1}
        assert "settle it or give it up" in queries.waiting(world.node.rows)[0].reason

    play(story)


def lever(name: str) -> Lever:
    return next(each for each in levers.LEVERS if each.name == name)


def decided(world: World, name: str, about: str, **form: object) -> Sequence[Fact]:
    found = lever(name)
    return found.decide(world.node, Pull(about, "anna", world.now, found.form(**form)))


def test_what_a_person_decides_is_not_sent_meanwhile() -> None:
    """Between a decision and the disk the machine keeps its hands off; once sent, people wait."""

    async def story(world: World) -> None:
        vendor = world.vendor("cardpay")
        vendor.away = True
        await world.call("payments", SALE, key="k1")
        (call,) = queries.waiting(world.node.rows)
        vendor.away, vendor.latency, asked = False, 1.0, vendor.asked
        facts = decided(world, "work.settle", call.about, note="by phone")
        await world.passes(1.5)  # a slow disk
        assert vendor.asked == asked
        await world.node.record(*facts, by="anna")
        await world.passes(600)
        assert states(world) == {"settled": 1}
        vendor.away = True
        await world.call("payments", SALE, key="k2")
        vendor.away = False
        (call,) = queries.waiting(world.node.rows)
        while call.about not in desk_of(world).at_vendor:
            await world.passes(0.1)
        with pytest.raises(Refused, match="with the vendor"):
            decided(world, "work.give_up", call.about, reason="x")
        await world.passes(10)

    play(story)


@pytest.mark.parametrize("hours", [-1, 0, 1e300, float("inf"), float("nan")])
def test_nobody_holds_a_call_for_ever(hours: float) -> None:
    """A time that cannot be is refused where the form is read."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"reason": "x", "hours": hours}, levers.Hold)


@pytest.mark.parametrize("others", [True, False])
def test_calls_of_a_route_that_is_gone_stay_with_people(tmp_path: Path, others: bool) -> None:
    """Taken out of the configuration, a route leaves its calls visible and settleable."""
    ledger = tmp_path / "ledger.db"

    async def before(world: World) -> None:
        vendor = world.vendor("cardpay")
        vendor.away = True
        await world.call("payments", SALE, key="parked")
        vendor.away, vendor.hangs = False, True
        caller = asyncio.create_task(world.call("payments", SALE, key="under way"))
        await world.passes(0.5)
        caller.cancel()

    rest = "work: {routes: {other: {vendor: cardpay, to: http://cardpay.test}}}" if others else ""

    async def after(world: World) -> None:
        await world.passes(60)
        assert states(world) == {"parked": 1, "held": 1}
        page = pages.queue(world.node, Ask())
        assert len(page.waiting) == page.waiting_calls == 2
        (sign,) = pages.signs(world.node)
        assert "2 calls wait for a route that is no longer declared" in sign.sentence
        assert [str(each) for each in sign.costs] == ["99.80 EUR"]
        for call in page.waiting:
            assert msgspec.json.encode(pages.call_panel(world.node, call.about))
            with pytest.raises(Refused, match="no longer declared"):
                decided(world, "work.retry", call.about)
            facts = decided(world, "work.settle", call.about, note="by phone")
            await world.node.record(*facts, by="anna")
        assert states(world) == {"settled": 2}
        assert pages.signs(world.node) == []

    play(before, ledger=ledger)
    play(after, f"vendors: {{cardpay: {{}}}}\n{rest}", ledger=ledger)


def test_a_charged_call_has_a_page_with_the_answer() -> None:
    """What the vendor said stands on the call's page, with secrets masked."""

    async def story(world: World) -> None:
        await world.call("payments", {**SALE, "pan": 4111111111111111}, key="k1")
        (call,) = queries.listed(world.node.rows, "charged")
        page = pages.one_call(world.node, Ask(path={"call": call.about.partition(":")[2]}))
        assert page.answer is not None
        assert "ch_1" in page.answer
        assert "4111111111111111" not in f"{page.request}{page.answer}"
        assert "tok_1" not in f"{page.request}{page.answer}"

    play(story)


def test_all_that_waits_is_counted_however_much_it_is() -> None:
    """A page lists two hundred calls; what is at stake is the sum of all."""

    async def story(world: World) -> None:
        world.vendor("cardpay").away = True
        for number in range(250):
            await world.call("payments", SALE, key=f"k{number}")
        page = pages.queue(world.node, Ask())
        assert (len(page.waiting), page.waiting_calls) == (200, 250)
        assert [str(each) for each in page.at_stake] == ["12\u202f475.00 EUR"]
        (sign,) = pages.signs(world.node)
        assert sign.costs == page.at_stake
        assert "250 calls wait" in sign.sentence

    play(story)


def test_a_finished_call_is_never_put_back_in_line() -> None:
    """Whatever is written about a call after it was settled, it is not sent again."""

    async def story(world: World) -> None:
        from detente.facts.work import CallReleased, ReplayFailed

        world.vendor("cardpay").away = True
        await world.call("payments", SALE)
        (call,) = queries.waiting(world.node.rows)
        await world.node.record(*decided(world, "work.settle", call.about, note="x"), by="anna")
        late = ReplayFailed(
            about=call.about,
            route="payments",
            reason="x",
            attempt=1,
            unknown=False,
            next_at=world.now,
        )
        await world.node.record(
            late, CallReleased(about=call.about, route="payments"), by="somebody late"
        )
        assert states(world) == {"settled": 1}

    play(story)


def test_the_mistakes_of_a_route_are_told() -> None:
    """What could never work is told at start, with its place."""
    from detente.kernel.catalogue import Catalogue, Vendor
    from detente.work.settings import MoneyIn, Patience, Replay, Route, mistakes

    routes = {
        "a/b": Route(vendor="cardpay", to="http://x", timeout=0),  # type: ignore[arg-type]
        "slow": Route(vendor="cardpai", to="http://x", breaker=Patience(slow_after=9)),  # type: ignore[arg-type]
        "coin": Route(vendor="cardpay", to="http://x", money=MoneyIn(amount="/a", currency="euro")),  # type: ignore[arg-type]
        "fast": Route(
            vendor="cardpay",
            to="http://x",
            replay=Replay(starts_at=99, first_wait=999),  # type: ignore[arg-type]
        ),
    }
    found = {
        each.path[2:]
        for each in mistakes(Work(routes=routes), Catalogue(vendors={"cardpay": Vendor()}))
    }
    assert found == {
        ("a/b",), ("a/b", "timeout"), ("slow", "vendor"), ("slow", "breaker", "slow_after"),
        ("coin", "money", "currency"), ("fast", "replay", "starts_at"), ("fast", "replay", "first_wait"),
    }  # fmt: skip


def test_outcomes_of_the_network_are_told_apart() -> None:
    """What never got there is safe to repeat; what got no answer may have been done."""

    async def story(world: World) -> None:
        Ear(world, NotReached("no connection"), NoAnswer("it hung up"))
        await asyncio.gather(send(world), send(world))
        parked = world.facts("work.call_parked")
        assert [each.unknown for each in parked] == [False, True]  # type: ignore[attr-defined]

    play(story)


# -- secrets, strangers and accidents ------------------------------------------------------------


def test_an_answer_is_for_its_caller_alone() -> None:
    """Who has the key but other credentials hears that it is known, and nothing of the answer."""

    async def story(world: World) -> None:
        anna = (("Idempotency-Key", "k1"), ("Authorization", "Bearer anna"))
        ben = (("Idempotency-Key", "k1"), ("Authorization", "Bearer ben"))
        first, meanwhile = await asyncio.gather(send(world, headers=anna), send(world, headers=ben))
        assert (first.status, meanwhile.status) == (201, 202)
        assert (await send(world, headers=anna)).status == 201
        for other in (ben, ben[:1], (*anna, ("Cookie", "a"))):
            answer = await send(world, headers=other)
            assert answer.status == 202
            assert b"ch_1" not in answer.body
        assert world.vendor("cardpay").asked == 1

    play(story)


def test_secrets_in_an_address_reach_the_vendor_and_nobody_else() -> None:
    """The ledger and the pages have the path without them; the replay sends it as it came."""

    async def story(world: World) -> None:
        ear = Ear(world, NotReached("no connection"))
        path = "/charges?api_key=hush&card=4111111111111111&a=1"
        given = {"path": path, "headers": (("Idempotency-Key", "k1"),)}
        assert (await send(world, **given)).status == 202
        assert (await send(world, **given)).status == 202
        await world.passes(60)
        assert {url for _, url, _ in ear.sent} == {f"http://cardpay.test{path}"}
        assert len(ear.sent) == 2
        (taken,) = world.facts("work.call_taken")
        (call,) = queries.listed(world.node.rows, "charged")
        page = msgspec.json.encode(pages.call_panel(world.node, call.about))
        for seen in (repr(taken), page.decode()):
            assert "hush" not in seen
            assert "4111111111111111" not in seen
            assert "a=1" in seen

    play(story)


def test_our_own_key_is_not_shown_when_the_vendor_says_it_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever the vendor repeats, the page does not; without the key the call waits."""
    declared = DECLARED.replace(
        "      timeout: 2s\n      money",
        "      timeout: 2s\n      secret_headers: {X-Vendor: {env: CARDPAY_KEY}}\n      money",
    )
    monkeypatch.delenv("CARDPAY_KEY", raising=False)

    async def story(world: World) -> None:
        ear = Ear(world, Reply(201, (), b'{"you": "sent sk_hush"}'))
        assert (await send(world)).status == 202
        (call,) = queries.waiting(world.node.rows)
        assert "CARDPAY_KEY" in call.reason
        assert not call.unknown
        assert ear.sent == []
        monkeypatch.setenv("CARDPAY_KEY", "sk_hush")
        await world.passes(60)
        assert states(world) == {"charged": 1}
        assert ear.sent[0][2]["X-Vendor"] == "sk_hush"
        page = pages.call_panel(world.node, call.about)
        assert page.answer is not None
        assert "sk_hush" not in page.answer
        assert "you" in page.answer

    play(story, declared)


@pytest.mark.parametrize(("route", "then"), [("payments", "charged"), ("keyless", "held")])
def test_an_error_of_our_own_costs_no_sale(
    route: str, then: str, caplog: pytest.LogCaptureFixture
) -> None:
    """One call's accident is logged and the call kept: others never notice."""

    async def story(world: World) -> None:
        Ear(world, RuntimeError("nobody foresaw this"))
        assert (await send(world, route)).status == 202
        await world.passes(60)
        assert states(world) == {then: 1}
        (parked,) = world.facts("work.call_parked")
        assert parked.unknown  # type: ignore[attr-defined]
        assert "RuntimeError" in parked.reason  # type: ignore[attr-defined]

    play(story)
    assert "nobody foresaw this" in caplog.text


def test_an_accident_while_replaying_holds_that_call_alone() -> None:
    """A call that cannot be sent again waits for a person; the next one goes out."""

    async def story(world: World) -> None:
        gone, accident = NotReached("no connection"), RuntimeError("nobody foresaw this")
        Ear(world, gone, gone, accident)
        await asyncio.gather(send(world), send(world))
        await world.passes(60)
        assert states(world) == {"charged": 1, "held": 1}
        (held,) = queries.listed(world.node.rows, "held")
        assert "inside Détente (RuntimeError)" in held.reason
        Ear(world, accident)
        assert (await send(world, "unparked")).status == 500

    play(story)


def test_a_header_with_an_underscore_is_the_same_header() -> None:
    """Servers that read `_` as `-` must not find a caller's value beside the route's."""
    declared = DECLARED.replace(
        "      timeout: 2s\n      money",
        "      timeout: 2s\n      headers: {X-Shop: ours}\n      money",
    )

    async def story(world: World) -> None:
        ear = Ear(world)
        given = (("X_Shop", "theirs"), ("idempotency_key", "x"), ("Proxy-Connection", "close"))
        await send(world, headers=given)
        names = sorted(ear.sent[0][2])
        assert names == ["Idempotency-Key", "X-Shop"]

    play(story, declared)


# -- routes that nobody uses ---------------------------------------------------------------------

CHECKED = """
watch:
  checks:
    cardpay: {http: "http://cardpay.test/health", every: 5s, timeout: 1s}
"""


def closings(world: World) -> list[str]:
    return [each.reason for each in world.facts("work.breaker_closed")]  # type: ignore[attr-defined]


def test_a_route_that_parks_nothing_is_free_again_without_a_caller() -> None:
    """Its breaker closes when the vendor's check is well, and not before."""

    async def story(world: World) -> None:
        vendor = world.vendor("cardpay")
        vendor.away = True
        for _ in range(6):
            await send(world, "unparked")
        await world.passes(300)
        assert len(world.facts("work.breaker_opened")) >= 1
        assert closings(world) == []
        vendor.away = False
        await world.passes(120)
        assert "its check answers" in closings(world)[-1]
        assert (await send(world, "unparked")).status == 201

    play(story, DECLARED + CHECKED)


def test_silence_is_no_recovery() -> None:
    """Without a check nobody knows, so the breaker waits for the next call and tells nothing good."""

    async def story(world: World) -> None:
        vendor = world.vendor("cardpay")
        vendor.away = True
        for _ in range(6):
            await send(world, "unparked")
        await world.passes(3600)
        assert closings(world) == []
        assert world.facts("incidents.closed") == []
        vendor.away = False
        for _ in range(2):
            assert (await send(world, "unparked")).status == 201
        await world.passes(1)
        assert len(closings(world)) == 1

    play(story)


def test_another_request_is_not_taken_for_the_first() -> None:
    """Requests that differ only where their address is masked are two requests."""

    async def story(world: World) -> None:
        key = (("Idempotency-Key", "k1"),)
        assert (await send(world, path="/charges?account=1", headers=key)).status == 201
        assert (await send(world, path="/charges?account=2", headers=key)).status == 422

    play(story)


def test_a_queue_that_is_empty_needs_no_second_probe() -> None:
    """The one parked call went through: nothing else can tell, so that is enough."""

    async def story(world: World) -> None:
        vendor = world.vendor("cardpay")
        await world.call("payments", {**SALE, "token": "tok_declined"}, key="no")
        vendor.errors = 1.0
        for number in range(4):
            await world.call("payments", {}, key=f"g{number}", method="GET")
        await world.call("payments", SALE, key="k1")
        assert len(world.facts("work.breaker_opened")) == 1
        vendor.errors = 0.0
        await world.passes(60)
        assert states(world) == {"refused": 1, "charged": 1}
        assert closings(world) == ["the last call came back well and nothing waits to be sent"]

    play(story, DECLARED.replace("minimum_calls: 5", "minimum_calls: 6"))


def test_a_clock_that_was_put_back_stops_no_replay(tmp_path: Path) -> None:
    """A ledger a day ahead of the clock: what waits is sent with the usual waits, not in a day."""
    ledger = tmp_path / "ledger.db"

    async def tomorrow(world: World) -> None:
        world.vendor("cardpay").away = True
        await world.call("payments", SALE, key="k1")
        await world.passes(20)

    async def today(world: World) -> None:
        vendor = world.vendor("cardpay")
        vendor.away = True
        await world.call("payments", SALE, key="k2")
        await world.passes(600)
        assert 4 < vendor.asked < 60
        vendor.away = False
        await world.passes(600)
        assert states(world) == {"charged": 2}

    play(tomorrow, ledger=ledger, start=datetime(2026, 11, 3, 9, tzinfo=UTC))
    play(today, ledger=ledger, start=datetime(2026, 11, 2, 9, tzinfo=UTC))


def test_the_running_sums_are_the_sums_of_the_calls() -> None:
    """Whatever happened, and rebuilt as well as live."""

    def counted(world: World, table: str, calls: str, minor: str) -> list[tuple[object, ...]]:
        asked = f"""select vendor, route, state, coalesce(currency, ''), {calls},
          coalesce({minor}, 0) from {table} group by 1, 2, 3, 4 having {calls} > 0 order by 1, 2, 3, 4"""
        return list(world.node.rows.execute(asked))

    async def story(world: World) -> None:
        vendor = world.vendor("cardpay")
        for number in range(60):
            vendor.errors = vendor.loses_answers = world.chance.choice([0.0, 0.5])
            sale = {**SALE, "currency": world.chance.choice(["EUR", "JPY", "none"])}
            route = world.chance.choice(["payments", "keyless"])
            await world.call(route, sale, key=f"k{number}")
            await world.passes(world.chance.random() * 5)
        await world.passes(20)
        live = counted(world, "work_sum", "sum(calls)", "sum(minor)")
        assert len(live) > 4
        assert live == counted(world, "work_call", "count(*)", "sum(minor)")
        world.node.views.rebuild(world.node.ledger)
        assert live == counted(world, "work_sum", "sum(calls)", "sum(minor)")

    play(story)


def test_what_must_not_leak_or_break_is_told_at_start() -> None:
    """Names and passwords in addresses, headers HTTP cannot carry, an open door: each has its place."""
    from detente.kernel.catalogue import Catalogue, Vendor
    from detente.kernel.config import Address, Url
    from detente.work.settings import Route, mistakes

    to = Url("http://x")
    routes = {
        "a": Route(vendor="cardpay", to=Url("http://me:hush@x"), idempotency="Content-Type"),
        "b": Route(vendor="cardpay", to=to, headers={"X A": "1", "X-B": "1\r\nX-C: 2", "TE": "x"}),
        "c": Route(
            vendor="cardpay", to=to, headers={"Host": "x", "X-D": "é\t1"}, idempotency="a b"
        ),
    }
    work = Work(routes=routes, gateway=Address("0.0.0.0:3384"))
    found = [each.path[1:] for each in mistakes(work, Catalogue(vendors={"cardpay": Vendor()}))]
    assert found == [
        ("gateway",), ("routes", "a", "to"), ("routes", "a", "idempotency"),
        ("routes", "b", "headers", "X A"), ("routes", "b", "headers", "TE"),
        ("routes", "b", "headers", "X-B"), ("routes", "c", "idempotency"),
    ]  # fmt: skip
    trusting = Work(gateway=Address("0.0.0.0:3384"), trust_network=True)
    assert list(mistakes(trusting, Catalogue())) == []
