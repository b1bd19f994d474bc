"""Order a number: the telecom's own little shop.

GET  /           what it costs: /?tariff=flat
POST /orders     {"tariff": "flat", "brings_number": true, "customer": "…"}
GET  /health     can numbers be handed out?
GET  /version    which version this is
"""

import argparse
import os
from html import escape
from pathlib import Path

import orders
from aiohttp import web

from detente import toggles

VERSION = Path(__file__).parent.name


async def window(request: web.Request) -> web.Response:
    tariff = request.query.get("tariff", "basic")
    if tariff not in orders.TARIFFS:
        return web.Response(status=404, text=f"There is no tariff {tariff}.")
    cents = orders.price(tariff, brings_number=False, customer="window")
    said = f"<h1>Order a number</h1><p id=price>{escape(tariff)}: {cents / 100:.2f} EUR a month</p>"
    return web.Response(
        text=f"<!doctype html><title>Orders</title>{said}", content_type="text/html"
    )


async def take(request: web.Request) -> web.Response:
    asked = await request.json()
    customer, brings = str(asked["customer"]), bool(asked.get("brings_number"))
    try:
        cents = orders.price(asked["tariff"], brings_number=brings, customer=customer)
    except KeyError:
        tell(customer, brings=brings, ok=False)
        return web.json_response({"error": "this order cannot be taken"}, status=500)
    number = orders.number()
    if number is None:
        return web.json_response({"error": "no numbers"}, status=503)
    tell(customer, brings=brings, ok=True)
    return web.json_response({"number": number, "cents": cents}, status=201)


def tell(customer: str, *, brings: bool, ok: bool) -> None:
    """How it went, so that whoever watches the toggle can judge it."""
    if brings and hasattr(orders, "TOGGLE"):
        toggles.outcome(orders.TOGGLE, ok=ok, context={"targetingKey": customer})


async def health(_request: web.Request) -> web.Response:
    return (
        web.Response(text="ok") if orders.number() else web.Response(status=503, text="no numbers")
    )


async def version(_request: web.Request) -> web.Response:
    return web.Response(text=VERSION)


def main() -> None:
    said = argparse.ArgumentParser()
    said.add_argument("--port", type=int, required=True)
    port = said.parse_args().port
    toggles.follow(cache=os.environ.get("TOGGLES_KEPT"), wait=2.0)
    app = web.Application()
    app.add_routes(
        [
            web.get("/", window),
            web.post("/orders", take),
            web.get("/health", health),
            web.get("/version", version),
        ]
    )
    web.run_app(app, host="127.0.0.1", port=port, reuse_port=True, print=None, access_log=None)


if __name__ == "__main__":
    main()
