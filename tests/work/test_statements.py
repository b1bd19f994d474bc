"""Are our books and the vendor's laid side by side, whichever way the file comes in?"""

from __future__ import annotations

import asyncio
import re

import msgspec
import pytest
from tests.work.test_pages import drawn, printed

from detente.facts.work import Reconciled
from detente.kernel.forms import BadForm
from detente.kernel.slice import Answered, Ask, Asked, NotFound, Refused
from detente.testing import World, simulate
from detente.work import pages, queries
from detente.work.pages.statements import Reconciliation, all_reconciliations, hand_in

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
      statement: {reference: Merchant ref, amount: Amount, currency: EUR, status: Status}
    orders:
      vendor: cardpay
      to: http://cardpay.test
      money: {amount: /amount, currency: /currency}
      statement: {reference: Order, amount: Amount, currency: EUR, ours: /order}
    plain: {vendor: cardpay, to: http://cardpay.test}
"""
SALE = {"amount": 1990, "currency": "EUR"}
GOOD = "Merchant ref;Amount;Status\nk1;19,90;paid\nk2;19,90;paid\nk3;19,90;paid\n"


async def handed(
    world: World, content: str, route: str = "payments", **given: str
) -> Reconciliation:
    answered = await send(world, content.encode(), route, **given)
    return msgspec.json.decode(answered.body, type=Reconciliation)


async def send(
    world: World, content: bytes, route: str = "payments", headers: dict[str, str] | None = None, **query: str
) -> Answered:  # fmt: skip
    asked = Asked(
        method="POST", path={"route": route}, query={"file": "cardpay.csv", **query},
        headers=headers or {}, body=content, by="anna",
    )  # fmt: skip
    return await hand_in(world.node, asked)


async def three_sales(world: World) -> None:
    for number in (1, 2, 3):
        await world.call("payments", SALE, key=f"k{number}")
        await world.passes(60)


def test_books_that_agree() -> None:
    """Everything matched, the sum with it, and a fact with the file's digest."""

    async def story(world: World) -> None:
        await three_sales(world)
        told = await handed(world, GOOD)
        assert (told.matched, told.wrong, told.lines) == (3, 0, 3)
        assert [str(each) for each in told.worth] == ["59.70 EUR"]
        (fact,) = world.facts("work.reconciled")
        assert isinstance(fact, Reconciled)
        assert len(fact.sha256) == 64
        assert fact.says() == "was compared with cardpay.csv: 3 matched, no difference"
        assert "Both books say the same" in drawn(world, _ONE, reconciliation=str(told.position))
        assert "no difference" in printed(world, told)

    simulate(story, declared=DECLARED)


def test_every_difference_names_its_line_and_our_call() -> None:
    """Missing there, unknown here, another amount, twice, and charged though it is parked here."""

    async def story(world: World) -> None:
        await three_sales(world)
        world.vendor("cardpay").away = True
        await world.call("payments", SALE, key="k4")
        told = await handed(
            world,
            "Merchant ref;Amount;Status\nk1;19,90;paid\nk1;19,90;paid\nk9;5,00;paid\nk3;19,95;paid\n"
            "k4;19,90;paid\nk2;19,90;declined\n",
        )
        kinds = {each.kind: each for each in told.differences}
        assert set(kinds) == {
            "double",
            "only theirs",
            "amount differs",
            "not ours to charge",
            "only ours",
        }
        assert kinds["double"].lines == (2, 3)
        assert kinds["only ours"].reference == "k2"
        assert kinds["not ours to charge"].state == "parked"
        shown = drawn(world, _ONE, reconciliation=str(told.position))
        for each in told.differences:
            assert each.reference in shown
            if each.about:
                assert each.about.partition(":")[2] in shown
        assert "5 differences" in drawn(world, _ALL) + printed(world, told)

    simulate(story, declared=DECLARED)


def test_the_days_say_what_is_expected() -> None:
    """Without them, from the first to the last call they list; with them, all of those days."""

    async def story(world: World) -> None:
        await three_sales(world)
        only = "Merchant ref;Amount;Status\nk1;19,90;paid\nk2;19,90;paid\n"
        assert (await handed(world, only)).wrong == 0, "k3 came later than what they list"
        day = {"since": "2026-11-02", "until": "2026-11-02"}
        assert (await handed(world, only, **day)).numbers == {"only ours": 1}
        early = {"since": "2026-11-01", "until": "2026-11-01"}
        assert (await handed(world, only, **early)).wrong == 0
        with pytest.raises(BadForm, match="since: 'soon' is not a day"):
            await handed(world, only, since="soon")
        for name, day in (("since", "0002-01-01"), ("until", "9999-12-31")):
            with pytest.raises(BadForm, match=f"{name}: this is more than ten years"):
                await handed(world, only, **{name: day})

    simulate(story, declared=DECLARED)


def test_a_reference_that_stands_in_the_request() -> None:
    """Where the vendor knows calls by something else than our key."""

    async def story(world: World) -> None:
        await world.call("orders", {**SALE, "order": "A-1"})
        await world.passes(1)
        await world.call("orders", {**SALE, "order": "A-2"})
        told = await handed(world, "Order,Amount\nA-1,19.90\nA-2,19.90\n", "orders")
        assert (told.matched, told.wrong) == (2, 0)
        day = {"since": "2026-11-02", "until": "2026-11-02"}
        missing = await handed(world, "Order,Amount\nA-1,19.90\n", "orders", **day)
        assert [each.reference for each in missing.differences] == ["A-2"]

    simulate(story, declared=DECLARED)


def test_what_cannot_be_compared_changes_nothing() -> None:
    """One sentence with the place and the remedy."""

    async def story(world: World) -> None:
        before = world.node.ledger.head()
        with pytest.raises(
            BadForm, match=r"cardpay.csv cannot be read: line 2: 'x' is not an amount"
        ):
            await handed(world, "Merchant ref,Amount,Status\nk1,x,paid\n")
        with pytest.raises(Refused, match="work: routes: plain: statement:"):
            await handed(world, GOOD, "plain")
        with pytest.raises(NotFound, match="declared: payments, orders, plain"):
            await handed(world, GOOD, "nonsense")
        for nothing in ("0", "1", "x", "9" * 30):
            with pytest.raises(NotFound, match="/work/reconciliations lists them"):
                _ONE.answer(world.node, Ask(path={"reconciliation": nothing}))
        assert world.node.ledger.head() == before

    simulate(story, declared=DECLARED)


def test_a_form_hands_a_file_in() -> None:
    """A browser is led to the page; without a file it is told so."""

    def form(name: str) -> bytes:
        head = f'Content-Disposition: form-data; name="statement"; filename="{name}"'
        since = 'Content-Disposition: form-data; name="since"\r\n\r\n'
        parts = [f"{head}\r\nContent-Type: text/csv\r\n\r\n{GOOD}", since]
        return "".join(f"--xyz\r\n{part}\r\n" for part in parts).encode() + b"--xyz--\r\n"

    async def story(world: World) -> None:
        await three_sales(world)
        browser = {"content-type": "multipart/form-data; boundary=xyz", "accept": "text/html"}
        answered = await send(world, form("november.csv"), headers=browser)
        assert answered.status == 303
        (fact,) = world.facts("work.reconciled")
        assert isinstance(fact, Reconciled)
        assert (fact.file, fact.matched) == ("november.csv", 3)
        assert re.fullmatch(r"/work/reconciliations/\d+", answered.headers["Location"])
        with pytest.raises(BadForm, match="choose the vendor's file first"):
            await send(
                world, form(""), headers={"content-type": "multipart/form-data; boundary=xyz"}
            )
        assert "november.csv" in drawn(world, _ALL)
        assert "november.csv" in printed(world, all_reconciliations(world.node, Ask()))

    simulate(story, declared=DECLARED)


def test_what_was_recovered_stands_beside_what_was_charged() -> None:
    """Of the charged calls, those that had to wait; each is still in one state only."""

    async def story(world: World) -> None:
        await world.call("payments", SALE, key="k1")
        world.vendor("cardpay").away = True
        await world.call("payments", SALE, key="k2")
        world.vendor("cardpay").away = False
        await world.passes(600)
        recovered = queries.recovered(world.node.rows)
        assert (recovered.calls, [str(each) for each in recovered.money]) == (1, ["19.90 EUR"])
        assert [(each.state, each.calls) for each in queries.books(world.node.rows)] == [
            ("charged", 2)
        ]
        page = pages.queue(world.node, Ask())
        assert "recovered" in drawn(world, pages.PAGES[0])
        assert "1 charged call recovered" in printed(world, page)

    simulate(story, declared=DECLARED)


def test_the_room_for_what_waits_has_an_end() -> None:
    """Then new calls get an honest 503, known ones their answer, and nothing that waits is lost."""

    async def story(world: World) -> None:
        vendor = world.vendor("cardpay")
        vendor.away = True
        body = {**SALE, "note": "x" * 400}
        answers = [await world.call("payments", body, key=f"k{number}") for number in range(20)]
        statuses = [each.status for each in answers]
        assert statuses == sorted(statuses), "accepted until it is full"
        taken = statuses.count(202)
        assert 5 < taken < 20
        assert b"more than 5kB wait already; nothing was sent" in answers[-1].body
        assert (await world.call("payments", body, key="k1")).status == 202, "known already"
        assert any("is taken" in sign.sentence for sign in pages.signs(world.node))
        vendor.away = False
        await world.passes(600)
        assert (await world.call("payments", body, key="new")).status == 201
        assert [(each.state, each.calls) for each in queries.books(world.node.rows)] == [
            ("charged", taken + 1)
        ]
        assert queries.bytes_kept(world.node.rows) == 0

    simulate(story, declared=DECLARED.replace("work:\n", "work:\n  park_at_most: 5kB\n"))


def test_while_calls_go_through_nothing_is_turned_away() -> None:
    """What people have not decided on takes the room, and the vendor is well."""

    async def story(world: World) -> None:
        vendor = world.vendor("cardpay")
        vendor.away = True
        body = {**SALE, "note": "x" * 2_000}
        await asyncio.gather(
            *(world.call("payments", body, key=f"k{number}") for number in range(3))
        )
        vendor.away = False
        assert queries.bytes_kept(world.node.rows) > 5_000
        assert (await world.call("payments", body, key="more")).status == 201

    simulate(story, declared=DECLARED.replace("work:\n", "work:\n  park_at_most: 5kB\n"))


_ALL, _ONE = pages.PAGES[4], pages.PAGES[5]
