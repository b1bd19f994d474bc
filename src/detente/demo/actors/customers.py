"""Who buys? Customers, at a steady rate, who remember how long they had to wait.

    GET /stats           what they have lived through so far; printed too when told to stop

They come by the clock and not when the one before is served: a slow shop meets the same crowd as a
fast one, and waiting counts from the moment a customer walks in.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from time import monotonic

import aiohttp
import msgspec
from aiohttp import web

from detente.demo.actors import Door, answer, until_told_to_stop

PRICES = (990, 1490, 1990, 2990, 4990, 7990, 12_990)
DECLINED = 0.03
CLOSING = 1.0  # seconds for those inside to be served once told to stop
STATUSES = {201: "paid", 202: "accepted", 402: "declined"}


class Lived(msgspec.Struct):
    """What became of the customers. Waits are milliseconds, from walking in to being answered."""

    came: int = 0
    outcomes: Counter[str] = msgspec.field(default_factory=Counter)
    insured: list[str] = []
    waits: list[int] = []

    def stats(self) -> dict[str, object]:
        waits = sorted(self.waits)
        return {
            "came": self.came,
            **{name: self.outcomes[name] for name in (*STATUSES.values(), "error", "no_answer")},
            "still_waiting": self.came - self.outcomes.total(),
            "wait_ms": {
                "p50": _quantile(waits, 0.5),
                "p95": _quantile(waits, 0.95),
                "p99": _quantile(waits, 0.99),
                "max": _quantile(waits, 1.0),
            },
            "insured": self.insured,  # policies that customers were promised
        }


def _quantile(ordered: list[int], share: float) -> int | None:
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else None


def purchases(seed: int) -> Iterator[dict[str, object]]:
    """Who comes next, and with what card: the same crowd for the same seed."""
    luck = random.Random(seed)
    number = 0
    while True:
        number += 1
        amount = luck.choice(PRICES) + luck.choice((0, 0, 0, luck.randrange(1, 1000)))
        card = "tok_declined" if luck.random() < DECLINED else "tok_visa"
        yield {
            "amount": amount,
            "currency": "EUR",
            "token": f"{card}_{luck.randrange(10_000):04}",
            "customer": f"customer-{number}",
        }


async def buy(
    client: aiohttp.ClientSession,
    shop: str,
    purchase: dict[str, object],
    walked_in: float,
    lived: Lived,
) -> None:
    """One customer: walks in, orders, waits."""
    try:
        async with client.post(f"{shop}/buy", json=purchase) as told:
            body = await told.json()
            outcome = STATUSES.get(told.status, "error")
    except (aiohttp.ClientError, TimeoutError, ValueError):
        outcome, body = "no_answer", {}
    lived.outcomes[outcome] += 1
    lived.waits.append(round((monotonic() - walked_in) * 1000))
    if outcome in ("paid", "accepted"):
        lived.insured.append(body["policy"])


async def crowd(
    client: aiohttp.ClientSession, shop: str, rate: float, seed: int, lived: Lived
) -> None:
    """Let them come, one every 1/rate seconds; leave when told, once those inside are served."""
    inside: set[asyncio.Task[None]] = set()
    began = monotonic()
    try:
        for purchase in purchases(seed):
            walks_in = began + lived.came / rate
            await asyncio.sleep(max(0.0, walks_in - monotonic()))
            lived.came += 1
            customer = asyncio.create_task(buy(client, shop, purchase, walks_in, lived))
            inside.add(customer)
            customer.add_done_callback(inside.discard)
    finally:
        if inside:
            _, still_waiting = await asyncio.wait(inside, timeout=CLOSING)
            for customer in still_waiting:
                customer.cancel()


async def live(shop: str, rate: float, seed: int, patience: float, port: int) -> None:
    lived = Lived()

    async def stats(request: web.Request) -> web.Response:
        return answer(lived.stats())

    app = web.Application()
    app.add_routes([web.get("/stats", stats)])
    door = Door(app, port)
    await door.open()
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=patience)
    ) as client:
        coming = asyncio.create_task(crowd(client, shop, rate, seed, lived))
        await until_told_to_stop(door.port)
        coming.cancel()
        await asyncio.wait([coming])
    await door.close()
    sys.stdout.write(msgspec.json.encode(lived.stats()).decode() + "\n")


def a_rate(said: str) -> float:
    """'5/s' or '5': customers a second."""
    rate = float(Fraction(said.removesuffix("/s")))
    if rate <= 0:
        raise ValueError("somebody has to come")
    return rate


def main() -> None:
    """Send customers to the shop until told to stop."""
    said = argparse.ArgumentParser(description=main.__doc__)
    said.add_argument("--shop", required=True, help="address of the portal")
    said.add_argument("--rate", type=a_rate, default=5.0, help="customers a second, such as 5/s")
    said.add_argument("--seed", type=int, default=1, help="decides who comes, with what card")
    said.add_argument("--patience", type=float, default=30.0, help="seconds until one walks out")
    said.add_argument("--port", type=int, default=0)
    args = said.parse_args()
    asyncio.run(live(args.shop.rstrip("/"), args.rate, args.seed, args.patience, args.port))


if __name__ == "__main__":
    main()
