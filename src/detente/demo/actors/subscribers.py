"""Who wants a number? People who order one, some of whom bring theirs along.

GET /stats           how many were served, and how many saw an error
"""

from __future__ import annotations

import argparse
import asyncio
import random
from collections import Counter

import aiohttp
from aiohttp import web

from detente.demo.actors import Door, answer, until_told_to_stop

TARIFFS = ("basic", "flat", "business")


async def order(client: aiohttp.ClientSession, shop: str, luck: random.Random, number: int) -> str:
    """One order; a connection that breaks is tried once more, as browsers do."""
    wanted = {
        "tariff": luck.choice(TARIFFS),
        "brings_number": luck.random() < 0.5,
        "customer": f"subscriber-{number}",
    }
    for _ in range(2):
        try:
            async with client.post(f"{shop}/orders", json=wanted) as told:
                await told.read()
                return "served" if told.status == 201 else "error"
        except (aiohttp.ClientError, TimeoutError):
            await asyncio.sleep(0.2)
    return "no answer"


async def _live(shop: str, rate: float, seed: int, port: int) -> None:
    outcomes: Counter[str] = Counter()

    async def stats(_request: web.Request) -> web.Response:
        return answer({name: outcomes[name] for name in ("served", "error", "no answer")})

    app = web.Application()
    app.router.add_get("/stats", stats)
    door = Door(app, port)
    await door.open()
    timeout = aiohttp.ClientTimeout(total=5)
    async with aiohttp.ClientSession(timeout=timeout) as client:
        coming = asyncio.create_task(_crowd(client, shop, rate, random.Random(seed), outcomes))
        await until_told_to_stop(door.port)
        coming.cancel()
        await asyncio.wait([coming])
    await door.close()


async def _crowd(
    client: aiohttp.ClientSession,
    shop: str,
    rate: float,
    luck: random.Random,
    outcomes: Counter[str],
) -> None:
    number = 0
    async with asyncio.TaskGroup() as inside:

        async def one(mine: int) -> None:
            outcomes[await order(client, shop, luck, mine)] += 1

        while True:
            number += 1
            inside.create_task(one(number))
            await asyncio.sleep(1 / rate)


def main() -> None:
    """Come until told to stop."""
    asking = argparse.ArgumentParser(description="Subscribers of the demo.")
    asking.add_argument("--shop", required=True)
    asking.add_argument("--rate", type=float, default=8.0, help="orders a second")
    asking.add_argument("--seed", type=int, default=7)
    asking.add_argument("--port", type=int, default=0)
    asked = asking.parse_args()
    asyncio.run(_live(asked.shop, asked.rate, asked.seed, asked.port))


if __name__ == "__main__":
    main()
