"""Who takes the cards? CardPay, a payment vendor with a book of its own and moods.

    POST /charges        charge a card; Idempotency-Key makes repeating it safe
    GET  /health         are you there?
    GET  /book           every charge, as the vendor sees it; /book/summary adds them up
    POST /mood           (control port) how it misbehaves from now on; {} is well again

Started with `--name test` it is its own test twin. Killed and started again on the same book it
remembers every charge.
"""

from __future__ import annotations

import argparse
import asyncio
import random
from collections import Counter
from pathlib import Path
from typing import Literal

import msgspec
from aiohttp import web

from detente.demo.actors import Book, Door, Sums, answer, until_told_to_stop


class Order(msgspec.Struct, frozen=True):
    """What a shop sends."""

    amount: int
    currency: str
    token: str
    reference: str

    def __post_init__(self) -> None:
        if self.amount <= 0:
            raise ValueError("amount must be some cents, more than 0")


class Charge(msgspec.Struct, frozen=True):
    """A card that was charged: one line of the book."""

    id: str
    key: str | None
    amount: int
    currency: str
    token: str
    reference: str
    status: Literal["succeeded"] = "succeeded"

    def order(self) -> Order:
        return Order(self.amount, self.currency, self.token, self.reference)


class Mood(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How it misbehaves. Fractions are shares of requests; what is not said is well."""

    latency: float = 0.0
    """Seconds before it looks at a request."""
    hang: bool | float = False
    """Takes the request and says nothing until the mood changes; then works it off, too late."""
    book_and_lose: float = 0.0
    """Books the charge and drops the line instead of answering."""
    errors: float = 0.0
    """Answers 503."""
    refuse: bool = False
    """Does not even let anybody connect."""


Fate = Literal["well", "hang", "error", "lose"]


class CardPay:
    """The vendor's mind: its book, its mood, its luck."""

    def __init__(self, name: str, book: Book, seed: int) -> None:
        self.name = name
        self.mood = Mood()
        self._mood_changed = asyncio.Event()
        # Two streams of luck, so that asking after its health does not change who gets charged.
        self._luck = {kind: random.Random(f"{seed} {kind}") for kind in ("charges", "health")}
        self._book = book
        self.charges = [msgspec.convert(entry, Charge) for entry in book.entries()]
        self._by_key = {charge.key: charge for charge in self.charges if charge.key}

    def change_mood(self, mood: Mood) -> None:
        self.mood = mood
        self._mood_changed.set()
        self._mood_changed = asyncio.Event()

    async def suffer(self, kind: Literal["charges", "health"]) -> Fate:
        """Draw what happens to a request, and wait as long as that takes."""
        mood, drawn = self.mood, self._luck[kind].random()
        changed = self._mood_changed
        if mood.latency:
            await asyncio.sleep(mood.latency)
        for share, fate in self._shares(mood):
            if drawn < share:
                if fate == "hang":
                    await changed.wait()
                    return "well"
                return fate
            drawn -= share
        return "well"

    @staticmethod
    def _shares(mood: Mood) -> tuple[tuple[float, Fate], ...]:
        return (
            (float(mood.hang), "hang"),
            (mood.errors, "error"),
            (mood.book_and_lose, "lose"),
        )

    def charge(self, order: Order, key: str | None) -> tuple[Charge, bool]:
        """The charge, and whether it had been made before. Nothing is awaited between looking the
        key up and booking, so two requests with one key can never both charge."""
        before = self._by_key.get(key) if key else None
        if before is not None:
            return before, True
        number = len(self.charges) + 1
        charge = Charge(f"ch_{self.name}_{number}", key, *msgspec.structs.astuple(order))
        self._book.write(charge)
        self.charges.append(charge)
        if key:
            self._by_key[key] = charge
        return charge, False

    def summary(self) -> dict[str, object]:
        sums, references = Sums(), Counter(charge.reference for charge in self.charges)
        for charge in self.charges:
            sums.add(charge.amount, charge.currency)
        twice = sorted(reference for reference, times in references.items() if times > 1)
        return {**msgspec.structs.asdict(sums), "charged_more_than_once": twice}


def trouble(status: int, code: str, message: str) -> web.Response:
    return answer({"error": {"code": code, "message": message}}, status)


def counter(vendor: CardPay) -> web.Application:
    """What everybody sees."""

    async def charge(request: web.Request) -> web.Response:
        body = await request.read()
        fate = await vendor.suffer("charges")
        if fate == "error":
            return trouble(503, "unavailable", "We are having a moment. Please try again.")
        try:
            order = msgspec.json.decode(body, type=Order)
        except msgspec.DecodeError as mistake:
            return trouble(400, "bad_request", str(mistake))
        told = book(order, request.headers.get("Idempotency-Key"))
        if fate == "lose" and request.transport is not None:
            request.transport.abort()
        return told

    def book(order: Order, key: str | None) -> web.Response:
        if order.token.startswith("tok_declined"):
            return trouble(402, "card_declined", "The bank says no.")
        charge, again = vendor.charge(order, key)
        if charge.order() != order:
            return trouble(422, "idempotency_key_reused", f"{key} stands for another charge.")
        headers = {"Idempotent_Replayed": "true"} if again else {}
        return answer(charge, 201, **headers)

    async def health(request: web.Request) -> web.Response:
        if await vendor.suffer("health") == "error":
            return trouble(503, "unavailable", "We are having a moment.")
        return answer({"status": "ok", "name": vendor.name})

    app = web.Application()
    app.add_routes([web.post("/charges", charge), web.get("/health", health)])
    app.add_routes(open_book(vendor))
    return app


def open_book(vendor: CardPay) -> list[web.RouteDef]:
    """The book lies open on both ports: it can be read even while the vendor refuses visitors."""

    async def book(request: web.Request) -> web.Response:
        return answer(vendor.charges)

    async def summary(request: web.Request) -> web.Response:
        return answer(vendor.summary())

    return [web.get("/book", book), web.get("/book/summary", summary)]


def backstage(vendor: CardPay, door: Door) -> web.Application:
    """What only the director of the play sees."""

    async def change(request: web.Request) -> web.Response:
        try:
            mood = msgspec.json.decode(await request.read(), type=Mood)
        except msgspec.DecodeError as mistake:
            return trouble(400, "bad_request", str(mistake))
        vendor.change_mood(mood)
        await (door.shut() if mood.refuse else door.open())
        return answer(mood)

    async def show(request: web.Request) -> web.Response:
        return answer(vendor.mood)

    app = web.Application()
    app.add_routes([web.post("/mood", change), web.get("/mood", show), *open_book(vendor)])
    return app


async def live(name: str, book_path: Path, seed: int, port: int, control_port: int) -> None:
    book = Book(book_path)
    vendor = CardPay(name, book, seed)
    door = Door(counter(vendor), port)
    control = Door(backstage(vendor, door), control_port)
    await door.open()
    await control.open()
    await until_told_to_stop(door.port, control=control.port)
    await door.shut()
    await door.close()
    await control.close()
    book.close()


def main() -> None:
    """Run CardPay until told to stop."""
    said = argparse.ArgumentParser(description=main.__doc__)
    said.add_argument("--name", default="live", help="live, or test for the test twin")
    said.add_argument("--book", type=Path, required=True, help="file that keeps every charge")
    said.add_argument("--seed", type=int, default=1, help="decides whom bad moods hit")
    said.add_argument("--port", type=int, default=0)
    said.add_argument("--control-port", type=int, default=0)
    args = said.parse_args()
    asyncio.run(live(args.name, args.book, args.seed, args.port, args.control_port))


if __name__ == "__main__":
    main()
