from __future__ import annotations

import http.client
import json
import random
import signal
import smtplib
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from detente.demo.actors import Book, ports

pytestmark = pytest.mark.slow


class Actor:
    """One actor as a process of its own, spoken to over the wire only."""

    def __init__(self, name: str, *said: object) -> None:
        command = [sys.executable, "-m", f"detente.demo.actors.{name}", *map(str, said)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.port, *others = ports(self.process.stdout.readline())
        self.other_port = others[0] if others else 0

    def url(self, path: str = "") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def ask(
        self, path: str, body: object = None, *, port: int = 0, timeout: float = 10, **headers: str
    ) -> tuple[int, Any]:
        """POST the body if there is one, else GET."""
        line = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=timeout)
        with closing(line):
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            named["Content-Type"] = "application/json"
            encoded = None if body is None else json.dumps(body)
            line.request("GET" if body is None else "POST", path, encoded, named)
            with line.getresponse() as told:
                self.headers = told.headers
                return told.status, json.loads(told.read())

    def mood(self, **mood: object) -> None:
        assert self.ask("/mood", mood, port=self.other_port)[0] == 200

    def charge(self, key: str, *, timeout: float = 10, **changes: object) -> tuple[int, Any]:
        order = {"amount": 4990, "currency": "EUR", "token": "tok_visa", "reference": key}
        return self.ask("/charges", order | changes, timeout=timeout, Idempotency_Key=key)

    def summary(self) -> Any:
        return self.ask("/book/summary", port=self.other_port or self.port)[1]

    def stop(self) -> str:
        """Ask it to stop, as the director does; what it said last."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        said, _ = self.process.communicate(timeout=5)
        return said

    def dies(self) -> None:
        self.process.kill()
        self.process.communicate()


Starts = Callable[..., Actor]


@pytest.fixture
def start() -> Iterator[Starts]:
    """Start actors; all are gone when the test is over."""
    with ExitStack() as stack:

        def starts(name: str, *said: object) -> Actor:
            actor = Actor(name, *said)
            stack.callback(actor.stop)
            return actor

        yield starts


def test_the_vendor_charges_once_a_key(start: Starts, tmp_path: Path) -> None:
    """Many requests with one key at the same time book one charge, and all hear of the same one."""
    vendor = start("vendor", "--book", tmp_path / "book")
    vendor.mood(latency=0.05)
    with ThreadPoolExecutor(16) as pool:
        told = list(pool.map(lambda _: vendor.charge("policy-1"), range(16)))
    assert {status for status, _ in told} == {201}
    assert len({charge["id"] for _, charge in told}) == 1
    vendor.charge("policy-1")
    assert vendor.headers["Idempotent-Replayed"] == "true"
    assert vendor.charge("policy-1", amount=1)[0] == 422
    assert vendor.charge("policy-2", token="tok_declined_1")[0] == 402
    assert vendor.charge("policy-2", amount=-1)[0] == 400
    expected = {"count": 1, "sum": {"EUR": 4990}, "charged_more_than_once": []}
    assert vendor.summary() == expected
    assert vendor.charge("another-key", reference="policy-1")[0] == 201
    assert vendor.summary()["charged_more_than_once"] == ["policy-1"]


def test_the_vendors_book_survives_it(start: Starts, tmp_path: Path) -> None:
    """Killed in the middle of its work and started again, it knows every charge it answered for."""
    book = tmp_path / "book"
    vendor = start("vendor", "--book", book)
    answered = []

    def charges(lane: int) -> None:
        for each in range(10_000):
            try:
                status, charge = vendor.charge(f"policy-{lane}-{each}")
            except (OSError, http.client.HTTPException):
                return
            answered.append((status, charge["id"]))

    lanes = [threading.Thread(target=charges, args=(lane,)) for lane in range(4)]
    for lane in lanes:
        lane.start()
    while len(answered) < 50:
        time.sleep(0.01)
    vendor.dies()
    for lane in lanes:
        lane.join()
    with book.open("ab") as file:
        file.write(b'{"id":"ch_torn","key":"pol')
    again = start("vendor", "--book", book, "--port", vendor.port)
    assert again.port == vendor.port
    assert {charge for _, charge in answered} <= {each["id"] for each in again.ask("/book")[1]}
    count = again.summary()["count"]
    assert again.charge("policy-0-0")[1]["id"] in {charge for _, charge in answered}
    assert again.summary()["count"] == count


def test_the_vendors_moods(start: Starts, tmp_path: Path) -> None:
    """It loses answers, errs, hangs and refuses exactly as told, and {} makes it well again."""
    vendor = start("vendor", "--book", tmp_path / "book", "--name", "test")
    vendor.mood(book_and_lose=1.0)
    with pytest.raises((OSError, http.client.HTTPException)):
        vendor.charge("lost")
    assert [charge["reference"] for charge in vendor.ask("/book")[1]] == ["lost"]
    vendor.mood(errors=1.0)
    assert vendor.charge("erred")[0] == 503
    assert vendor.ask("/health")[0] == 503
    vendor.mood(hang=True)
    with pytest.raises(TimeoutError):
        vendor.charge("hung", timeout=0.1)
    assert vendor.summary()["count"] == 1
    vendor.mood(refuse=True)
    with pytest.raises(ConnectionRefusedError):
        vendor.charge("refused")
    vendor.mood()
    assert vendor.ask("/health") == (200, {"status": "ok", "name": "test"})
    assert vendor.charge("lost")[0] == 201
    booked = [charge["reference"] for charge in vendor.ask("/book")[1]]
    assert booked == ["lost", "hung"], "what hung is worked off in the end, unheard"
    wrong, told = vendor.ask("/mood", {"sulk": True}, port=vendor.other_port)
    assert (wrong, "sulk" in told["error"]["message"]) == (400, True)


def test_chance_is_seeded(start: Starts, tmp_path: Path) -> None:
    """The same seed hits the same requests, however often its health is asked in between."""

    def fates(name: str, *, asks_health: bool) -> list[int]:
        vendor = start("vendor", "--book", tmp_path / name, "--seed", 7)
        vendor.mood(errors=0.5)
        told = []
        for each in range(20):
            if asks_health:
                vendor.ask("/health")
            told.append(vendor.charge(f"policy-{each}")[0])
        return told

    first = fates("one", asks_health=False)
    assert first == fates("two", asks_health=True)
    assert set(first) == {201, 503}


def test_a_hanging_vendor_stops_at_once(start: Starts, tmp_path: Path) -> None:
    """Requests that hang do not keep it from stopping."""
    vendor = start("vendor", "--book", tmp_path / "book")
    vendor.mood(hang=1.0)
    with pytest.raises(TimeoutError):
        vendor.charge("hung", timeout=0.1)
    began = time.monotonic()
    vendor.stop()
    assert time.monotonic() - began < 2
    assert vendor.process.returncode == 0


def test_the_portal_tells_customers_what_happened(start: Starts, tmp_path: Path) -> None:
    """Paid, declined and failed sales are answered, counted and shown, in JSON and in HTML."""
    vendor = start("vendor", "--book", tmp_path / "vendor")
    portal = start(
        "portal", "--book", tmp_path / "sales", "--pay", vendor.url("/charges"),
        "--patience", 0.2, "--keeps-trying", 0.1,
    )  # fmt: skip
    assert portal.ask("/buy", {"amount": 4990, "token": "tok_visa"})[1]["status"] == "paid"
    assert portal.ask("/buy", {"amount": 100, "token": "tok_declined"})[0] == 402
    assert portal.ask("/buy", {"token": "tok_visa"})[0] == 400
    vendor.mood(refuse=True)
    assert portal.ask("/buy", {"amount": 500, "token": "tok_visa"})[0] == 503
    assert portal.summary() == {
        "accepted": {"count": 1, "sum": {"EUR": 4990}, "references": ["policy-1"]},
        "paid": 1,
        "payment_follows": 0,
        "declined": 1,
        "errors": 1,
        "unsure": ["policy-3"],
        "unfinished": 0,
    }
    vendor.mood()
    with closing(http.client.HTTPConnection("127.0.0.1", portal.port, timeout=10)) as line:
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        line.request("POST", "/buy", "amount=100&token=tok_declined", form)
        assert b"declined" in line.getresponse().read()
        line.request("GET", "/")
        assert b"policy-1" in line.getresponse().read()


def test_the_portal_tries_again_with_the_same_key(start: Starts, tmp_path: Path) -> None:
    """A charge whose answer was lost is asked for again and made once."""
    vendor = start("vendor", "--book", tmp_path / "vendor", "--seed", 3)
    vendor.mood(book_and_lose=0.4)
    portal = start("portal", "--book", tmp_path / "sales", "--pay", vendor.url("/charges"))
    with ThreadPoolExecutor(8) as pool:
        buys = [{"amount": 100 + each, "token": "tok_visa"} for each in range(12)]
        told = list(pool.map(lambda buy: portal.ask("/buy", buy, timeout=30), buys))
    assert {status for status, _ in told} == {201}
    sold, charged = portal.summary()["accepted"], vendor.summary()
    assert (sold["count"], sold["sum"]) == (charged["count"], charged["sum"])
    assert charged["charged_more_than_once"] == []


def test_the_portal_loses_no_sale(start: Starts, tmp_path: Path) -> None:
    """Killed at random moments, it still knows every sale it promised, and both books agree."""
    vendor = start("vendor", "--book", tmp_path / "vendor")
    vendor.mood(latency=0.02)
    said = ("portal", "--book", tmp_path / "sales", "--pay", vendor.url("/charges"))
    luck, promised = random.Random(5), []
    for _ in range(3):
        portal = start(*said)

        def buys(shop: Actor = portal) -> None:
            while True:
                try:
                    _, told = shop.ask("/buy", {"amount": 1990, "token": "tok_visa"})
                except (OSError, http.client.HTTPException):
                    return
                promised.append(told["policy"])

        lanes = [threading.Thread(target=buys) for _ in range(4)]
        for lane in lanes:
            lane.start()
        before = len(promised)
        while len(promised) < before + luck.randrange(5, 40):
            time.sleep(0.003)
        portal.dies()
        for lane in lanes:
            lane.join()
    portal = start(*said)
    while portal.summary()["unfinished"]:
        time.sleep(0.01)
    assert len(set(promised)) == len(promised)
    assert set(promised) <= set(portal.summary()["accepted"]["references"])
    charged = vendor.summary()
    assert (charged["count"], charged["sum"]) == (
        portal.summary()["accepted"]["count"],
        portal.summary()["accepted"]["sum"],
    )
    assert charged["charged_more_than_once"] == []


def test_customers_come_by_the_clock(start: Starts, tmp_path: Path) -> None:
    """They buy at their rate, some cards are declined, and they report what they lived through."""
    vendor = start("vendor", "--book", tmp_path / "vendor")
    portal = start("portal", "--book", tmp_path / "sales", "--pay", vendor.url("/charges"))
    customers = start("customers", "--shop", portal.url(), "--rate", "100/s", "--seed", 2)
    while customers.ask("/stats")[1]["came"] < 100:
        time.sleep(0.05)
    stats = json.loads(customers.stop())
    assert stats["paid"] + stats["declined"] == stats["came"]
    assert stats["error"] == stats["no_answer"] == stats["still_waiting"] == 0
    assert stats["declined"] > 0
    assert stats["wait_ms"]["p50"] <= stats["wait_ms"]["max"] < 5_000
    assert sorted(stats["insured"]) == sorted(portal.summary()["accepted"]["references"])


def test_the_mailbox_keeps_mails_and_hooks(start: Starts, tmp_path: Path) -> None:
    """Mails sent by SMTP and hooks posted are shown, threads included, also after a restart."""
    said = ("mailbox", "--folder", tmp_path / "mail")
    mailbox = start(*said)
    mail = EmailMessage()
    mail["From"], mail["To"] = "detente@portal.example", "Dev <dev@portal.example>"
    mail["Subject"] = "Re: CardPay does not answer – parked"
    mail["Message-ID"], mail["In-Reply-To"] = "<2@portal>", "<1@portal>"
    mail["References"] = "<0@portal> <1@portal>"
    mail.set_content("Nobody was charged twice. Grüße\n")
    with smtplib.SMTP("127.0.0.1", mailbox.port, timeout=10) as server:
        server.send_message(mail)
    assert mailbox.ask("/hook", {"text": "hello"}, port=mailbox.other_port)[0] == 200
    mailbox.dies()
    again = start(*said)
    assert again.ask("/hooks", port=again.other_port)[1] == [{"text": "hello"}]
    assert again.ask("/mails", port=again.other_port)[1] == [
        {
            "from": "detente@portal.example",
            "to": "Dev <dev@portal.example>",
            "subject": "Re: CardPay does not answer – parked",
            "message-id": "<2@portal>",
            "in-reply-to": "<1@portal>",
            "references": "<0@portal> <1@portal>",
            "text": "Nobody was charged twice. Grüße\n",
        }
    ]


def test_a_book_forgets_only_what_nobody_was_told(tmp_path: Path) -> None:
    """A line torn by a crash is dropped; whole lines stay and new ones follow."""
    path = tmp_path / "shelf" / "book"
    with closing(Book(path)) as book:
        book.write({"n": 1})
    with path.open("ab") as file:
        file.write(b'{"n": 2')
    with closing(Book(path)) as book:
        book.write({"n": 3})
        assert list(book.entries()) == [{"n": 1}, {"n": 3}]
