"""The queue's mail and the books, with a real node, a real mail server, and kill -9 in between."""

from __future__ import annotations

import json
import smtplib
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any, TypeVar

import pytest
from aiosmtpd.controller import Controller

T = TypeVar("T")

DECLARED = """
web: {{listen: "127.0.0.1:{web}"}}
teams:
  ops: {{mail: [anna@shop.test]}}
vendors:
  cardpay: {{title: CardPay}}
mail: {{server: "127.0.0.1:{smtp}", from: detente@shop.test, tls: none}}
work:
  gateway: 127.0.0.1:{gateway}
  mail:
    to: [ops]
    address: queue@shop.test
    listen: 127.0.0.1:{answers}
  routes:
    payments:
      vendor: cardpay
      to: http://127.0.0.1:{vendor}
      timeout: 300ms
      idempotency: null
      money: {{amount: /amount, currency: EUR}}
      breaker: {{minimum_calls: 50}}
      statement: {{reference: Ref, amount: Amount, currency: EUR}}
"""


class Inbox:
    """Anna's."""

    def __init__(self) -> None:
        self.mails: list[Any] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        self.mails.append(message_from_bytes(envelope.content, policy=policy.default))
        return "250 OK"


def free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports: list[int] = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports


def soon(ask: Callable[[], T | None], seconds: float = 60) -> T:
    """What it answers once it answers something."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if found := ask():
                return found
        except (OSError, smtplib.SMTPException):
            pass
        time.sleep(0.05)
    raise AssertionError("it took too long")


class House:
    """A node that can be killed, beside a vendor that takes calls and never answers."""

    def __init__(self, home: Path, inbox: Inbox, smtp: int, vendor: int) -> None:
        names = ("web", "gateway", "answers")
        self.ports = dict(zip(names, free_ports(3), strict=True))
        self.home, self.inbox = home, inbox
        self.config = home / "detente.yaml"
        self.config.write_text(DECLARED.format(smtp=smtp, vendor=vendor, **self.ports))
        self.log = (home / "log").open("ab")
        self.node = self._up()

    def _up(self) -> subprocess.Popen[bytes]:
        up = [sys.executable, "-m", "detente", "up", "--config", str(self.config)]
        return subprocess.Popen(up, stdout=self.log, stderr=self.log)

    def kill(self) -> None:
        """-9, and up again."""
        self.node.kill()
        self.node.wait()
        self.node = self._up()

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports['web']}{path}") as answer:
            return json.load(answer)

    def sell(self) -> int:
        url = f"http://127.0.0.1:{self.ports['gateway']}/payments/charges"
        asked = urllib.request.Request(url, data=b'{"amount": 4990}', method="POST")
        with urllib.request.urlopen(asked) as answer:
            return int(answer.status)

    def answer(self, mail: EmailMessage) -> bool:
        with smtplib.SMTP("127.0.0.1", self.ports["answers"]) as server:
            return not server.send_message(mail)

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        asked = [sys.executable, "-m", "detente", *words, "--config", str(self.config)]
        return subprocess.run(asked, capture_output=True, text=True)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    inbox = Inbox()
    smtp = Controller(inbox, hostname="127.0.0.1", port=free_ports(1)[0])
    smtp.start()
    with (
        socket.create_server(("127.0.0.1", 0)) as vendor,
        _up(tmp_path, inbox, smtp, vendor) as made,
    ):
        yield made
    smtp.stop()


@contextmanager
def _up(home: Path, inbox: Inbox, smtp: Controller, vendor: socket.socket) -> Iterator[House]:
    house = House(home, inbox, smtp.port, vendor.getsockname()[1])
    try:
        yield house
    finally:
        house.node.terminate()
        house.node.wait()
        house.log.close()


@pytest.mark.slow
def test_a_call_is_settled_by_mail_through_a_kill(house: House) -> None:
    """Asked before the kill, answered after it, done once; a copy of the answer changes nothing."""
    assert soon(house.sell) == 202
    asked = soon(lambda: next((each for each in house.inbox.mails if each["Reply-To"]), None))
    house.kill()
    answer = EmailMessage()
    answer["From"], answer["To"] = "Anna <anna@shop.test>", str(asked["Reply-To"])
    answer["Subject"], answer["Message-ID"] = f"AW: {asked['Subject']}", "<a1@laptop>"
    answer.set_content("settled 4711 by bank transfer\n\nQueue schrieb:\n> retry\n")
    assert soon(lambda: house.answer(answer))
    soon(lambda: any("Done: the call was settled" in _text(each) for each in house.inbox.mails))
    house.kill()
    assert soon(lambda: house.answer(answer))
    soon(lambda: any("this mail came before" in _text(each) for each in house.inbox.mails))
    (books,) = house.get("/work.json")["books"]
    assert (books["state"], books["calls"]) == ("settled", 1)
    answer.replace_header("From", "mallory@evil.test")
    with pytest.raises(smtplib.SMTPResponseException):
        house.answer(answer)


def _text(mail: Any) -> str:
    return " ".join(str(mail.get_content()).split())


@pytest.mark.slow
def test_a_statement_comes_in_by_terminal_and_by_browser(house: House) -> None:
    """Both say what differs; a mistake in the file is a sentence with its line."""
    soon(lambda: house.get("/work.json"))
    good, bad = house.home / "good.csv", house.home / "bad.csv"
    good.write_text("Ref,Amount\nzz,1.00\n")
    bad.write_text("Ref,Amount\nzz,one\n")
    told = house.command("work", "reconcile", "payments", str(good))
    assert (told.returncode, "only theirs" in told.stdout) == (1, True)
    wrong = house.command("work", "reconcile", "payments", str(bad))
    assert "bad.csv cannot be read: line 2: 'one' is not an amount" in wrong.stderr
    address = f"http://127.0.0.1:{house.ports['web']}"
    form = '--x\r\nContent-Disposition: form-data; name="statement"; filename="{}"\r\n\r\n{}\r\n--x--\r\n'
    headers = {
        "Content-Type": "multipart/form-data; boundary=x",
        "Accept": "text/html",
        "Origin": address,
    }
    where = f"{address}/work/reconciliations/payments"
    sent = form.format("b.csv", good.read_text()).encode()
    with urllib.request.urlopen(urllib.request.Request(where, sent, headers)) as page:
        assert b"only theirs" in page.read()
    broken = urllib.request.Request(where, form.format("b.csv", "Ref\n").encode(), headers)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(broken)
    assert refused.value.code == 400
    assert "no column is called Amount" in refused.value.read().decode()
    assert "text/html" in refused.value.headers["Content-Type"]
    refused.value.close()
