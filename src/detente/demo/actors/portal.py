"""Who sells the policies? A small insurance portal that takes cards through somebody else.

    POST /buy            buy a policy, as JSON or as a form
    GET  /               the shop window, with how the day is going
    GET  /book           every sale and what became of it; /book/summary adds them up

It is as careful as a shop should be: the order is in its book before the card is charged, every
attempt to charge carries the same key, the outcome is in the book before the customer hears it, and
orders that a crash left unfinished are finished first thing. It knows nothing of who takes the
payment: a vendor, or something that stands in front of one.
"""

from __future__ import annotations

import argparse
import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from html import escape
from pathlib import Path
from typing import Literal

import aiohttp
import msgspec
from aiohttp import web

from detente.demo.actors import Book, Door, Sums, answer, until_told_to_stop


class Purchase(msgspec.Struct, frozen=True):
    """What a customer asks for. Amounts are cents."""

    amount: int
    token: str
    currency: str = "EUR"
    customer: str = ""


class Ordered(msgspec.Struct, frozen=True, tag="ordered"):
    """Somebody wants this policy; the card has not been charged yet."""

    policy: str
    amount: int
    currency: str
    token: str
    customer: str


Outcome = Literal["paid", "accepted", "declined", "failed"]
"""Accepted: sold, the payment follows. Failed: the customer saw an error and has no policy."""


class Ended(msgspec.Struct, frozen=True, tag="ended"):
    """What the customer was told."""

    policy: str
    outcome: Outcome
    because: str = ""
    unsure: bool = False  # failed without an answer: the card may have been charged after all


class Sale(msgspec.Struct):
    """An order and, once known, its outcome."""

    order: Ordered
    ended: Ended | None = None

    @property
    def outcome(self) -> Outcome | None:
        return self.ended.outcome if self.ended else None


MEANS: Mapping[int, Outcome] = {200: "paid", 201: "paid", 202: "accepted", 402: "declined"}
SAYS: Mapping[Outcome, tuple[int, str]] = {
    "paid": (201, "You are insured."),
    "accepted": (202, "You are insured. Your card will be charged a little later."),
    "declined": (402, "Your card was declined. You have not been charged."),
    "failed": (503, "We cannot take payments right now. Please try again later."),
}


class Portal:
    """The sales book and the way to get paid."""

    def __init__(self, book: Book, pay: str, *, patience: float, keeps_trying: float) -> None:
        self.sales: dict[str, Sale] = {}
        self._book = book
        self._pay = pay
        self._keeps_trying = keeps_trying
        self._timeout = aiohttp.ClientTimeout(total=patience)
        for entry in book.entries():
            self._enter(msgspec.convert(entry, Ordered | Ended))

    def _enter(self, entry: Ordered | Ended) -> None:
        if isinstance(entry, Ordered):
            self.sales[entry.policy] = Sale(entry)
        else:
            self.sales[entry.policy].ended = entry

    def _record(self, entry: Ordered | Ended) -> None:
        self._book.write(entry)
        self._enter(entry)

    async def sell(self, client: aiohttp.ClientSession, purchase: Purchase) -> Sale:
        order = Ordered(
            f"policy-{len(self.sales) + 1}",
            purchase.amount,
            purchase.currency,
            purchase.token,
            purchase.customer,
        )
        self._record(order)
        return await self.finish(client, order)

    async def finish(self, client: aiohttp.ClientSession, order: Ordered) -> Sale:
        """Charge the card and write down how that went, in this order."""
        self._record(await self._charge(client, order))
        return self.sales[order.policy]

    async def finish_the_unfinished(self, client: aiohttp.ClientSession) -> None:
        """Orders from before a crash: their cards may have been charged, so ask again."""
        unfinished = [sale.order for sale in self.sales.values() if sale.ended is None]
        async with asyncio.TaskGroup() as group:
            for order in unfinished:
                group.create_task(self.finish(client, order))

    async def _charge(self, client: aiohttp.ClientSession, order: Ordered) -> Ended:
        """Try until they answer; the same key each time, so that trying twice charges once."""
        clock = asyncio.get_running_loop().time
        gives_up_at, pause = clock() + self._keeps_trying, 0.2
        while True:
            try:
                status, because = await self._ask(client, order)
            except (aiohttp.ClientError, TimeoutError) as error:
                because = f"{type(error).__name__}: {error}"
            else:
                if status < 500:
                    return Ended(order.policy, MEANS.get(status, "failed"), because)
            if clock() + pause > gives_up_at:
                return Ended(order.policy, "failed", because, unsure=True)
            await asyncio.sleep(pause)
            pause = min(2 * pause, 1.0)

    async def _ask(self, client: aiohttp.ClientSession, order: Ordered) -> tuple[int, str]:
        charge = {
            "amount": order.amount,
            "currency": order.currency,
            "token": order.token,
            "reference": order.policy,
        }
        headers = {"Idempotency-Key": f"portal-{order.policy}"}
        async with client.post(
            self._pay, json=charge, headers=headers, timeout=self._timeout
        ) as told:
            return told.status, f"{told.status} {(await told.text())[:200]}"

    def summary(self) -> dict[str, object]:
        """Accepted sales are those a customer was told about: paid, or with payment to follow."""
        counts = Counter(sale.outcome for sale in self.sales.values())
        sold = [sale.order for sale in self.sales.values() if sale.outcome in ("paid", "accepted")]
        accepted = Sums()
        for order in sold:
            accepted.add(order.amount, order.currency)
        return {
            "accepted": {
                **msgspec.structs.asdict(accepted),
                "references": [o.policy for o in sold],
            },
            "paid": counts["paid"],
            "payment_follows": counts["accepted"],
            "declined": counts["declined"],
            "errors": counts["failed"],
            "unsure": [p for p, sale in self.sales.items() if sale.ended and sale.ended.unsure],
            "unfinished": counts[None],
        }


def shop(portal: Portal) -> web.Application:
    """The shop on the street."""
    client = web.AppKey("client", aiohttp.ClientSession)

    async def trading(app: web.Application) -> AsyncIterator[None]:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            app[client] = session
            unfinished = asyncio.create_task(portal.finish_the_unfinished(session))
            yield
            unfinished.cancel()
            await asyncio.wait([unfinished])

    async def buy(request: web.Request) -> web.Response:
        is_form = request.content_type != "application/json"
        try:
            if is_form:
                purchase = msgspec.convert(dict(await request.post()), Purchase, strict=False)
            else:
                purchase = msgspec.json.decode(await request.read(), type=Purchase)
        except msgspec.DecodeError as mistake:
            return answer({"error": str(mistake)}, 400)
        sale = await portal.sell(request.app[client], purchase)
        status, says = SAYS[sale.outcome or "failed"]
        if is_form:
            policy = f"<p>Your policy: {sale.order.policy}</p>" if status < 300 else ""
            return page(f"<h1>{says}</h1>{policy}<p><a href='/'>Back to the shop</a></p>", status)
        told = {"policy": sale.order.policy, "status": sale.outcome, "message": says}
        return answer(told, status)

    async def window(request: web.Request) -> web.Response:
        return page(_window(portal))

    async def book(request: web.Request) -> web.Response:
        return answer(list(portal.sales.values()))

    async def summary(request: web.Request) -> web.Response:
        return answer(portal.summary())

    app = web.Application()
    app.cleanup_ctx.append(trading)
    app.add_routes(
        [
            web.get("/", window),
            web.post("/buy", buy),
            web.get("/book", book),
            web.get("/book/summary", summary),
        ]
    )
    return app


def _window(portal: Portal) -> str:
    counts = portal.summary()
    shown = {
        "Paid": counts["paid"],
        "Sold, payment follows": counts["payment_follows"],
        "Declined": counts["declined"],
        "Errors shown": counts["errors"],
    }
    tiles = "".join(f"<dt>{name}</dt><dd>{number}</dd>" for name, number in shown.items())
    latest = "".join(
        f"<li>{sale.order.policy} · {sale.order.amount / 100:.2f} {escape(sale.order.currency)}"
        f" · {sale.outcome or 'being paid'}</li>"
        for sale in reversed(list(portal.sales.values())[-10:])
    )
    return f"""
<h1>Sunny Side Insurance</h1>
<p>A policy in one click. We never lose your order.</p>
<form method="post" action="/buy">
<label>Price in cents <input name="amount" type="number" min="1" value="4990" required></label>
<label>Card <input name="token" value="tok_visa_4242" required></label>
<button>Buy</button>
</form>
<h2>Today</h2><dl>{tiles}</dl>
<h2>Latest sales</h2><ol>{latest or "<li>Nobody has bought yet.</li>"}</ol>
"""


_STYLE = """
:root{color-scheme:light dark;font:1rem/1.5 system-ui,sans-serif}
body{max-width:40rem;margin:2rem auto;padding:0 1rem}
form{display:flex;flex-wrap:wrap;gap:1rem;align-items:end}
label{display:grid;gap:.25rem}input,button{font:inherit;padding:.4rem .6rem}
dl{display:grid;grid-template-columns:repeat(auto-fit,minmax(9rem,1fr));gap:1rem}
dl dd{margin:0;font-size:2rem;grid-row:2}ol{list-style:none;padding:0}
"""


def page(body: str, status: int = 200) -> web.Response:
    head = (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>Sunny Side Insurance</title><style>{_STYLE}</style>"
    )
    return web.Response(text=head + body, status=status, content_type="text/html")


async def live(portal: Portal, book: Book, port: int) -> None:
    door = Door(shop(portal), port)
    await door.open()
    await until_told_to_stop(door.port)
    await door.shut()
    await door.close()
    book.close()


def main() -> None:
    """Run the insurance portal until told to stop."""
    said = argparse.ArgumentParser(description=main.__doc__)
    said.add_argument("--pay", required=True, help="address to which charges are posted")
    said.add_argument("--book", type=Path, required=True, help="file that keeps every sale")
    said.add_argument("--patience", type=float, default=10.0, help="seconds for one attempt")
    said.add_argument(
        "--keeps-trying", type=float, default=15.0, help="seconds before an error is shown"
    )
    said.add_argument("--port", type=int, default=0)
    args = said.parse_args()
    book = Book(args.book)
    portal = Portal(book, args.pay, patience=args.patience, keeps_trying=args.keeps_trying)
    asyncio.run(live(portal, book, args.port))


if __name__ == "__main__":
    main()
