"""Is a message handed over once, in its thread, and is nobody's address written down?"""

from __future__ import annotations

import asyncio
import random
from email.message import EmailMessage

import pytest
from msgspec.structs import replace

from detente.app import declared_type
from detente.app import mistakes as cross
from detente.kernel import mailing
from detente.kernel.clock import NS, Instant
from detente.kernel.config import Address, ConfigErrors, Secret, Webhook, loads
from detente.kernel.mailing import Content, Mail, Section, Thread, TurnedDown
from detente.kernel.network import MailServer, NotReached, Reply, Unwelcome
from detente.testing.world import SimulatedNetwork

NOW: Instant = 1_793_610_000 * NS
MAIL = Mail(server=Address("smtp.example.com:587"), sender="Détente <detente@example.com>")
THREAD = Thread(
    about="incident:12", began=NOW, hearer="ops", subject="[us] incident 12", begins_with="opened"
)
CONTENT = Content(
    sentence="CardPay is down",
    pairs=(("Reason", "<slow>"),),
    sections=(
        Section(title="Shipped", lines=("one & two",)),
        Section(title="Broke", lines=(), nothing="Nothing."),
        Section(title="Left out", lines=()),
    ),
    links=(("The incident", "http://here/incidents/12"),),
)


def composed(what: str, *, first: bool) -> EmailMessage:
    return mailing.composed(
        CONTENT, MAIL, THREAD, what, to=["a@b.c", "d@e.f"], now=NOW, first=first
    )


def test_a_thread_holds_together() -> None:
    """Later mails answer the first under its subject; the same mail has the same name again."""
    first, then = composed("opened", first=True), composed("closed", first=False)
    assert then["Subject"] == f"Re: {first['Subject']}"
    assert then["In-Reply-To"] == then["References"] == first["Message-ID"]
    assert first["In-Reply-To"] is None
    assert composed("closed", first=False)["Message-ID"] == then["Message-ID"]
    elsewhere = replace(THREAD, began=NOW + NS)
    assert elsewhere.named("opened", MAIL.host) != THREAD.named("opened", MAIL.host)
    assert first["List-Id"] == "<incidents.example.com>"


def test_one_content_as_text_as_page_and_for_a_chat() -> None:
    """Every part stands in each; what others said never becomes markup."""
    text, page, line = mailing.text(CONTENT), mailing.page(CONTENT), mailing.line(CONTENT)
    for part in ("CardPay is down.", "Reason: <slow>", "- one & two", "Nothing."):
        assert part in text
    for part in ("CardPay is down.", "&lt;slow&gt;", "one &amp; two", "Nothing."):
        assert part in page
    assert "Left out" not in text + page
    assert "The incident: http://here/incidents/12" in line


class Picky(SimulatedNetwork):
    """A mail server that refuses some, and a chat that answers what it is told to."""

    def __init__(self, *refused: Unwelcome, status: int = 200) -> None:
        super().__init__(random.Random(1))
        self.refused = refused
        self.status = status

    async def mail(self, message: EmailMessage, server: MailServer) -> tuple[Unwelcome, ...]:
        return self.refused

    async def call(self, method: str, url: str, **_: object) -> Reply:  # type: ignore[override]
        if not self.status:
            raise NotReached(f"{url} is not there")
        return Reply(self.status, (), b"")


def hand_over(*refused: Unwelcome) -> mailing.HandedOver:
    to = ["Ann <ann@b.c>", "ben@b.c"]
    message = composed("opened", first=True)
    return asyncio.run(mailing.hand_over(Picky(*refused), MAIL, message, to))


GONE = Unwelcome("ann@b.c", "550 no ann@b.c here", for_good=True)
FULL = Unwelcome("ben@b.c", "452 full", for_good=False)


def test_who_it_was_taken_for() -> None:
    """The others are told by name; if it was for nobody, that is a failure, its addresses masked."""
    assert hand_over().to == ("Ann <ann@b.c>", "ben@b.c")
    assert hand_over(GONE) == mailing.HandedOver(to=("ben@b.c",), refused=(GONE,))
    with pytest.raises(TurnedDown) as nobody:
        hand_over(GONE, FULL)
    assert not nobody.value.for_good
    assert "a…@b.c: 550 no a…@b.c here" in str(nobody.value)
    assert "ann@" not in str(nobody.value)


def test_a_chats_address_is_never_in_what_went_wrong() -> None:
    """It is as good as a password."""
    chat = Webhook.read("https://chat.example.com/hooks/geheim")
    assert asyncio.run(mailing.call_chat(Picky(), chat, {"text": "x"})) == "chat.example.com"
    for status, says in ((0, "the chat's address is not there"), (404, "HTTP 404")):
        with pytest.raises(NotReached, match=says) as wrong:
            asyncio.run(mailing.call_chat(Picky(status=status), chat, {"text": "x"}))
        assert "geheim" not in str(wrong.value)


def test_waits_grow_and_spread() -> None:
    """Five seconds at first, five minutes in the end, each up to a quarter shorter; never given up."""
    waits = [mailing.wait_after(number, 0) for number in (1, 2, 3, 7, 8, 10_000)]
    assert waits == [5, 10, 20, 300, 300, 300]
    assert mailing.wait_after(1, 0.999) == pytest.approx(3.75, abs=0.01)
    assert mailing.in_vain(TurnedDown("no", for_good=True), 1, 0).wait == 3_600
    assert mailing.in_vain(KeyError(), 1, 0).reason == "KeyError"


def test_addresses_are_masked() -> None:
    """Enough to recognise, too little to write to."""
    assert mailing.masked("ann@example.com") == "a…@example.com"
    assert mailing.masked("odd") == "o…"
    assert mailing.masked("") == "…"


def wrong(text: str) -> str:
    with pytest.raises(ConfigErrors) as found:
        loads(text, declared_type(), cross=cross)
    return str(found.value)


RIGHT = """
mail: {server: smtp.example.com:587, from: Détente <d@example.com>}
teams:
  ops: {mail: [ops@example.com], webhook: {env: OPS_CHAT}}
  dev: {webhook: "https://chat.example.com/hooks/geheim"}
"""


def test_mail_is_declared_once_for_everybody() -> None:
    """A mail server, teams with addresses, a chat in the open or where its secret is."""
    declared = loads(RIGHT, declared_type(), cross=cross, environ={"OPS_CHAT": "https://c.test/1"})
    assert declared.mail == Mail(
        server=Address("smtp.example.com:587"), sender="Détente <d@example.com>"
    )
    ops, dev = declared.teams["ops"].webhook, declared.teams["dev"].webhook
    assert ops is not None
    assert dev is not None
    assert (ops.reveal(), ops.host) == ("https://c.test/1", "c.test")
    assert "geheim" in dev.reveal()
    assert "geheim" not in f"{declared}{dev!r}{dev}"


@pytest.mark.parametrize(
    ("right", "instead", "says"),
    [
        ("from: Détente <d@example.com>", "from: us", "mail.from: us holds no mail address"),
        ("<d@example.com>", "<d@example.com>, user: d", "mail.user: a user without a password"),
        (
            "<d@example.com>",
            "<d@example.com>, password: {env: X}",
            "mail.password: a password without a user",
        ),
        (
            "<d@example.com>",
            "<d@example.com>, user: d, password: {env: X}, tls: none",
            "mail.tls: without encryption",
        ),
        ("[ops@example.com]", "[ops at home]", "teams.ops.mail[0]: ops at home is not a mail"),
        (
            "mail: {server: smtp.example.com:587, from: Détente <d@example.com>}",
            "",
            "teams.ops.mail: ops is to be told by mail, and nothing says how mail is sent",
        ),
    ],
)
def test_what_could_not_work_is_told_with_its_place(right: str, instead: str, says: str) -> None:
    """One sentence each, and what to write instead."""
    assert right in RIGHT
    assert says in wrong(RIGHT.replace(right, instead, 1))


def test_a_wrong_webhook_is_not_shown() -> None:
    """What stands there may be the secret, so neither the sentence nor the line repeats it."""
    told = wrong(RIGHT.replace("https://chat.example.com/hooks/geheim", "chat/geheim"))
    assert "teams.dev.webhook: expected an address that starts with https://" in told
    assert "geheim" not in told
    assert "geheim" not in wrong(
        RIGHT.replace("ops: {", "opps: {mial: x, ").replace("dev:", "de v:")
    )


def test_a_password_in_the_open_is_fine_on_this_machine() -> None:
    """Nobody is on the way."""
    here = replace(
        MAIL, server=Address("127.0.0.1:25"), user="d", password=Secret(env="X"), tls="none"
    )
    assert not list(mailing.mistakes(here))
