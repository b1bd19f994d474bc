"""Is an answer by mail understood as it was meant, and never where it could be meant otherwise?"""

from __future__ import annotations

from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detente.kernel.clock import NS
from detente.kernel.config import Address
from detente.kernel.mailing import Mail
from detente.work.engine import letter
from detente.work.engine.letter import Said, own_line, read, understood
from detente.work.wording import Setting, explaining

DAY = 86_400 * NS
MAIL = Mail(server=Address("mail.example:25"), sender="q@b.c", tls="none")


def a_mail(text: str = "retry\n", **headers: str) -> EmailMessage:
    mail = EmailMessage()
    told = {
        "From": "Anna <Anna@shop.test>",
        "Subject": "AW: it did not run",
        "Message-ID": "<m1@x>",
    }
    for name, value in {
        **told,
        **{key.replace("_", "-"): each for key, each in headers.items()},
    }.items():
        mail[name] = value
    mail.set_content(text)
    return mail


# -- words ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("retry", Said(word="retry")),
        ("Retry, please.", Said(word="retry")),
        ("RETRY!", Said(word="retry")),
        ("hold", Said(word="hold")),
        ("hold 2h", Said(word="hold", seconds=7_200)),
        ("hold for 90 min, customer is asked", Said(word="hold", seconds=5_400, note="customer is asked")),
        ("Hold 3 Tage", Said(word="hold", seconds=3 * 86_400)),
        ("hold: customer does not answer?", Said(word="hold", note="customer does not answer?")),
        ("settled 4711", Said(word="settled", reference="4711")),
        ("settled REF-4711 by bank transfer", Said(word="settled", reference="REF-4711", note="by bank transfer")),
        ("settled: paid in cash", Said(word="settled", note="paid in cash")),
        ("hand back", Said(word="hand back")),
        ("hand back: customer does not want it", Said(word="hand back", note="customer does not want it")),
        ("give up order was cancelled", Said(word="give up", note="order was cancelled")),
    ],
)  # fmt: skip
def test_the_words(line: str, said: Said) -> None:
    """A handful of words, each with what belongs to it, however it is capitalised."""
    assert understood(line) == said


@pytest.mark.parametrize(
    "line",
    [
        "", "retry?", "retry tomorrow", "don't retry", "not retry", "retry or hold", "retrying now",
        "hold on, let me look", "hold?", "hold the line", "hold 0h", "hold 99999h", "holding",
        "settled", "settled?", "settled not yet", "settled yesterday", "settled 4711?", "settled:",
        "settled 4711 but not by me", "hand back?", "hand back not now", "hand back nein",
        "hand backs", "ok", "yes", "please retry", "> retry", "unsettled 4711",
    ],
)  # fmt: skip
def test_what_could_mean_something_else_is_unclear(line: str) -> None:
    """Nobody's money moves on a guess."""
    assert understood(line).word == "unclear"


@given(st.text(max_size=200))
def test_any_text_is_read(text: str) -> None:
    """Whatever people write, it means one of the words or nothing."""
    assert understood(own_line(text)).word in ("retry", "hold", "settled", "hand back", "unclear")


# -- the line ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("\n\n  retry  \n\nbest, Anna\n", "retry"),
        ("retry\n\nOn Mon, Nov 2, Détente wrote:\n> hold 2h\n", "retry"),
        ("On Mon, Nov 2, 2026 at 9:00 AM Détente\n<queue@shop.test> wrote:\n> settled 1\n\nretry\n", "retry"),
        ("Am 02.11.26 um 09:00 schrieb Détente:\n> retry\n", ""),
        ("> retry\n> hold 2h\n", ""),
        ("-- \nretry\n", ""),
        ("\n-----Ursprüngliche Nachricht-----\nVon: Détente\nretry\n", ""),
        ("________________________________\nFrom: Détente\nretry", ""),
        ("Von: Détente <queue@shop.test>\nretry", ""),
        ("\ufeffretry\xa0\n", "retry"),
        ("thanks!\nretry\n", "thanks!"),
    ],
)  # fmt: skip
def test_only_the_first_own_line_counts(text: str, line: str) -> None:
    """Quotations in any order, signatures and what mail programs put before them say nothing."""
    assert own_line(text) == line


# -- the mail ------------------------------------------------------------------------------------


def test_a_mail_as_a_person_writes_it() -> None:
    """The sender's address, the mail's name and the line; the subject may say Re, AW or SV."""
    got = read(a_mail().as_bytes(), return_path="anna@shop.test")
    assert (got.sender, got.message_id, got.line) == ("anna@shop.test", "m1@x", "retry")
    assert not got.by_machine


def test_plain_text_beside_html_is_read() -> None:
    """As most mail programs send it."""
    mail = a_mail()
    mail.add_alternative("<p>hold 2h</p>", subtype="html")
    assert read(mail.as_bytes(), return_path="anna@shop.test").line == "retry"


def test_html_alone_is_not_read() -> None:
    """Hidden text can stand in it."""
    mail = a_mail()
    mail.clear_content()
    mail.set_content("<p>retry</p>", subtype="html")
    got = read(mail.as_bytes(), return_path="anna@shop.test")
    assert (got.line, got.only_html) == ("", True)


@pytest.mark.parametrize(
    "headers",
    [
        {"Auto_Submitted": "auto-replied"},
        {"Auto_Submitted": "auto-generated; because"},
        {"Precedence": "bulk"},
        {"X_Autoreply": "yes"},
        {"List_Id": "<ops.shop.test>"},
    ],
)
def test_machines_are_told_from_people(headers: dict[str, str]) -> None:
    """An automatic answer decides nothing, whatever it says."""
    assert read(a_mail(**headers).as_bytes(), return_path="anna@shop.test").by_machine


def test_a_bounce_is_no_answer() -> None:
    """It has no return path."""
    assert read(a_mail().as_bytes(), return_path="<>").by_machine
    assert not read(a_mail(Auto_Submitted="no").as_bytes(), return_path="a@b.c").by_machine


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\0\xff\xfe", b"From: a@b.c, d@e.f\n\nretry", b"From: \n\nretry",
        b"From: a@b.c\nContent-Type: text/plain; charset=nonsense\n\nretry",
        b"From: a@b.c\nContent-Type: multipart/mixed; boundary=x\n\nretry",
        b"From: a@b.c\nContent-Transfer-Encoding: base64\n\n!!!",
        b"From: =?utf-8?b?!!?= <a@b.c>\nSubject: =?x?y?z?=\n\nhello",
    ],
)  # fmt: skip
def test_a_broken_mail_is_read_as_far_as_it_goes(content: bytes) -> None:
    """Nothing that arrives makes the reader fail."""
    got = read(content, return_path="a@b.c")
    assert got.message_id
    assert "," not in got.sender


@given(st.binary(max_size=400))
def test_any_bytes_are_read(content: bytes) -> None:
    """The same, with whatever comes to mind."""
    assert isinstance(read(content, return_path="a@b.c").line, str)


def test_what_is_kept_of_a_mail_forges_nothing() -> None:
    """No colours in a terminal, no second line in a mail, no half characters in a fact."""
    content = b"From: a@b.c\nMessage-ID: <\xff\x1bx y>\nSubject: =?utf-8?q?a=0Ab=1B?=\n\n\x1b[31mretry\x07\n"
    got = read(content, return_path="a@b.c")
    for said in (got.line, got.message_id, got.subject, got.sender):
        assert said.isprintable()
        said.encode()
    assert understood(got.line).word == "unclear"


@given(st.binary(max_size=300))
def test_any_mail_can_be_answered(content: bytes) -> None:
    """Whatever its headers hold, the answer is a mail that can be sent."""
    got = read(b"From: a@b.c\nSubject: " + content, return_path="a@b.c")
    setting = Setting(name="Shop", vendor="", mail=MAIL, page="http://x/", now=0)
    written = explaining(got, setting, why="x", about="call:1").as_bytes()
    assert b"Auto-Submitted: auto-replied" in written


# -- the address ---------------------------------------------------------------------------------


def test_the_address_is_for_one_person_one_call_and_some_days() -> None:
    """It fits into what mail allows, and mail servers may change its capitals."""
    call = "0" * 23
    to = letter.reply_to("detente-queue-x@shop.test", call, "Anna@Shop.test", 20_780 * DAY, b"s")
    assert len(to.partition("@")[0]) <= 64
    asked = letter.answering("detente-queue-x@shop.test", to.upper())
    assert asked is not None
    assert (asked.call, asked.day) == (call, 20_780)
    assert letter.is_sealed(asked, "anna@shop.test", b"s")
    assert not letter.is_sealed(asked, "mallory@shop.test", b"s")
    assert not letter.is_sealed(asked, "anna@shop.test", b"other")
    assert not letter.has_expired(asked, 20_780 * DAY + DAY - 1)
    assert letter.has_expired(asked, 20_781 * DAY)


@pytest.mark.parametrize(
    "to",
    ["queue@shop.test", "queue+a.b@shop.test", "queue+a.b.c@other.test", "x+a.b.c@shop.test",
     "queue+a.!.c@shop.test", "queue+a.zzzzzz.c@shop.test", "queue+..@shop.test", ""],
)  # fmt: skip
def test_other_addresses_are_none_of_ours(to: str) -> None:
    """Mail for them is refused at the door."""
    assert letter.answering("queue@shop.test", to) is None
