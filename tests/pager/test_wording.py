"""Can both sides read it, and does it stay one thread?"""

from __future__ import annotations

from email import message_from_bytes, policy
from email.message import EmailMessage

from msgspec.structs import replace

from detente.kernel.clock import NS, Instant
from detente.kernel.config import Address
from detente.kernel.mailing import Mail, composed
from detente.pager import wording
from detente.pager.decisions import Letter, Matter
from detente.pager.wording import Setting

START: Instant = 1_793_610_000 * NS  # 2 November 2026, 09:00 UTC
MATTER = Matter(
    about="incident:12", of="vendor:cardpay", cause="check:cardpay", since=START,
    reason="no answer <within> 5 s", opened_at=START + 3 * NS, opened=10,
)  # fmt: skip
OPENED = Letter(matter=MATTER, team="ops", channel="mail", message="opened", first=True, tells=10)
TAKEN = replace(
    OPENED, matter=replace(MATTER, taken=20, held_by="Ann"), message="taken", first=False, tells=20
)
CLOSED = replace(
    TAKEN,
    matter=replace(TAKEN.matter, closed=30, ended=START + 720 * NS, lasted=720.0),
    message="closed",
    tells=30,
)
SETTING = Setting(
    name="Détente",
    title="CardPay",
    noticed_by="the check cardpay",
    needed_by=("Portal",),
    measures=("calls on the route charge are parked",),
    room="http://here/incidents/12",
    take="http://here/pager/take/12/abc",
)
SENDER = "Détente <detente@example.com>"


def mail(letter: Letter, setting: Setting = SETTING) -> EmailMessage:
    sent = composed(
        wording.content(letter, setting),
        Mail(server=Address("smtp.example.com:587"), sender=SENDER),
        wording.thread(letter, setting),
        wording.called(letter),
        to=["a@b.c", "d@e.f"],
        now=START,
        first=letter.first,
    )
    return message_from_bytes(sent.as_bytes(), policy=policy.default)  # type: ignore[return-value]


def body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part is not None
    return str(part.get_content())


def test_one_thread() -> None:
    """The later mails answer the first, under the same subject, each with its own identifier."""
    first, then, last = mail(OPENED), mail(TAKEN), mail(CLOSED)
    assert first["Subject"] == "[Détente] incident 12: CardPay"
    assert then["Subject"] == last["Subject"] == "Re: [Détente] incident 12: CardPay"
    assert first["In-Reply-To"] is None
    assert then["In-Reply-To"] == then["References"] == first["Message-ID"]
    assert last["In-Reply-To"] == first["Message-ID"]
    assert len({first["Message-ID"], then["Message-ID"], last["Message-ID"]}) == 3
    assert first["Message-ID"].startswith("<incident-12.opened.ops.")
    assert first["Message-ID"].endswith("@example.com>")


def test_the_same_mail_twice_is_the_same_mail() -> None:
    """Made again after a crash it has the same identifier; of another ledger it has another."""
    assert mail(OPENED)["Message-ID"] == mail(OPENED)["Message-ID"]
    elsewhere = replace(OPENED, matter=replace(MATTER, opened_at=START + 99 * NS))
    assert mail(elsewhere)["Message-ID"] != mail(OPENED)["Message-ID"]


def test_no_holiday_replies() -> None:
    """Automatic mail says so, and says who sends it."""
    sent = mail(OPENED)
    assert sent["Auto-Submitted"] == "auto-generated"
    assert sent["From"] == SENDER
    assert sent["To"] == "a@b.c, d@e.f"
    assert sent["Date"] == "Mon, 02 Nov 2026 09:00:00 +0000"


def test_what_both_sides_want_to_know() -> None:
    """What, since when, who cannot work, what is done about it, who has it, where to go."""
    text = body(mail(OPENED), "plain")
    for part in (
        "CardPay is down: no answer <within> 5 s.", "Mon 2 Nov 2026, 09:00:00 UTC", "Portal",
        "calls on the route charge are parked", "nobody yet", "http://here/pager/take/12/abc",
        "http://here/incidents/12",
    ):  # fmt: skip
        assert part in text


def test_html_is_escaped() -> None:
    """What a vendor says never becomes markup in somebody's mail program."""
    page = body(mail(OPENED), "html")
    assert "&lt;within&gt;" in page
    assert "<within>" not in page
    assert 'href="http://here/pager/take/12/abc"' in page


def test_the_end_offers_nothing_to_take() -> None:
    """What is over needs nobody; it says how long it was and who had it."""
    text = body(mail(CLOSED), "plain")
    assert text.startswith("CardPay works again; it was down for 12 min.")
    assert "Who had it: Ann" in text
    assert "/pager/take/" not in text


def test_both_in_one() -> None:
    """A team that could not be told in time gets one mail that begins its own thread and says so."""
    sent = mail(replace(CLOSED, first=True))
    assert sent["Subject"] == "[Détente] incident 12: CardPay"
    assert sent["In-Reply-To"] is None
    assert "over before you were told" in body(sent, "plain")


def test_names_with_line_breaks_and_odd_teams() -> None:
    """Nothing that people declare breaks a header."""
    odd = replace(SETTING, title="Card\r\nBcc: x@y.z", name="A\nB")
    sent = mail(replace(OPENED, team="ops & co."), odd)
    assert sent["Subject"] == "[A B] incident 12: Card Bcc: x@y.z"
    assert sent["Bcc"] is None
    assert ".ops-co-." in sent["Message-ID"]


def test_a_note_of_who_closed_it() -> None:
    """An incident closed by hand says why in its last message."""
    noted = replace(CLOSED, matter=replace(CLOSED.matter, note="we moved to PayFast"))
    assert "we moved to PayFast" in wording.sentence(noted, SETTING)


def test_for_chats_and_programs() -> None:
    """A chat shows `text`; a program reads the fields beside it."""
    told = wording.hook(OPENED, SETTING)
    assert told["text"].startswith("CardPay is down")
    assert told["message"] == "opened"
    assert told["since"] == "2026-11-02T09:00:00.000Z"
    assert told["take_url"] == SETTING.take
    assert wording.hook(CLOSED, SETTING)["take_url"] is None
    assert wording.hook(CLOSED, SETTING)["lasted_seconds"] == 720.0
