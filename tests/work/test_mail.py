"""Can people work the queue from their mail, and nobody else from theirs?"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from email.message import EmailMessage
from email.utils import parseaddr
from pathlib import Path
from typing import Any

import aiosmtplib
import pytest

from detente.app import declared_type, mistakes
from detente.facts.work import AskedPeople, CallHeld, CallLost, CallSettled, MailAnswered
from detente.kernel.config import ConfigErrors, loads
from detente.kernel.ledger import LedgerFull
from detente.testing import World, simulate
from detente.work import queries
from detente.work.decisions import Call
from detente.work.effects import Mailroom
from detente.work.engine.mailbox import Delivered, Mailbox, Verdict

DECLARED = """
teams:
  ops: {mail: [anna@shop.test, "Ben <ben@shop.test>"]}
  dev: {mail: [cleo@shop.test]}
vendors:
  cardpay: {title: CardPay, teams: [dev]}
mail: {server: "mail.test:25", from: Détente <detente@shop.test>}
work:
  mail:
    to: [ops]
    address: queue@shop.test
    at_most: 3
  routes:
    keyless:
      vendor: cardpay
      to: http://cardpay.test
      timeout: 2s
      idempotency: null
      money: {amount: /amount, currency: /currency}
      breaker: {minimum_calls: 50}
"""
SALE = {"amount": 4990, "currency": "EUR"}


def room(world: World) -> Mailroom:
    found: Mailroom = world.node.part(Mailroom)
    return found


def mails(world: World) -> list[EmailMessage]:
    """The queue's own: incidents have their thread."""
    return [each for each in world.network.mails if str(each["Message-ID"]).startswith("<work.")]


async def a_held_call(world: World) -> Call:
    """A call of which nobody knows whether the vendor did it."""
    world.vendor("cardpay").hangs = True
    await world.call("keyless", SALE)
    world.vendor("cardpay").hangs = False
    await world.passes(20)
    return queries.listed(world.node.rows, "held")[0]


def asked_of(world: World, who: str = "anna@shop.test") -> EmailMessage:
    asked = [each for each in mails(world) if each["Reply-To"]]
    return [each for each in asked if parseaddr(str(each["To"]))[1] == who][-1]


async def answer(
    world: World, text: str, *, who: str = "anna@shop.test", sender: str = "", message_id: str = "m1",
    return_path: str | None = None, **headers: str,
) -> Verdict:  # fmt: skip
    """Somebody answers the mail that they were sent."""
    asked = asked_of(world, who)
    mail = EmailMessage()
    mail["From"], mail["Subject"] = sender or who, f"AW: {asked['Subject']}"
    mail["Message-ID"] = f"<{message_id}@laptop>"
    for name, value in headers.items():
        mail[name.replace("_", "-")] = value
    mail.set_content(f"{text}\n\nAm 2.11. schrieb Queue:\n> hold 2h\n")
    to = str(asked["Reply-To"])
    path = (sender or who) if return_path is None else return_path
    verdict = await room(world).take(Delivered(path, (to,), mail.as_bytes()))
    await world.passes(1)
    return verdict


def play(story: Callable[[World], Awaitable[None]], **given: Any) -> None:
    simulate(story, declared=given.pop("declared", DECLARED), **given)


def test_everybody_of_the_team_is_asked_once_about_a_call_that_waits() -> None:
    """One mail a person with an address of their own; a fact says who was asked."""

    async def story(world: World) -> None:
        call = await a_held_call(world)
        await world.passes(600)
        first, second = mails(world)
        assert {str(first["To"]), str(second["To"])} == {"anna@shop.test", "ben@shop.test"}
        assert first["Reply-To"] != second["Reply-To"]
        assert "49.90 EUR for CardPay did not run" in first["Subject"]
        text = first.get_content()
        for word in ("retry", "settled REF-4711", "hand back: why", "may have done it"):
            assert word in text
        assert "hold 2h" not in text, "it is held already"
        (asked,) = world.facts("work.asked_people")
        assert isinstance(asked, AskedPeople)
        assert (asked.about, asked.to) == (call.about, ("anna@shop.test", "ben@shop.test"))

    play(story)


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("retry", "charged"),
        ("settled 4711 by bank transfer", "settled"),
        ("hand back: order was cancelled", "handed back"),
        ("give up: order was cancelled", "lost"),
    ],
)
def test_an_answer_does_what_the_buttons_do(text: str, state: str) -> None:
    """The same decision by the same lever, in the person's name, and they hear of it."""

    async def story(world: World) -> None:
        call = await a_held_call(world)
        assert (await answer(world, text)).code == 250
        await world.passes(60)
        now = queries.call(world.node.rows, call.about)
        assert now is not None
        assert now.state == state
        (said,) = world.recorded("work.mail_answered")
        assert isinstance(said.fact, MailAnswered)
        assert (said.fact.said, said.by) == (text, "anna@shop.test")
        confirmed = mails(world)[-1]
        assert str(confirmed["To"]) == "anna@shop.test"
        assert str(confirmed["In-Reply-To"]) == "<m1@laptop>"
        assert "Done: the call" in confirmed.get_content()
        assert str(confirmed["Auto-Submitted"]) == "auto-replied"

    play(story)


def test_reference_note_and_hours_arrive() -> None:
    """What stands behind the word is kept as on the page."""

    async def story(world: World) -> None:
        await a_held_call(world)
        await answer(world, "settled REF-4711 by bank transfer")
        (settled,) = world.facts("work.call_settled")
        assert isinstance(settled, CallSettled)
        assert (settled.reference, settled.note) == ("REF-4711", "by bank transfer")
        await a_held_call(world)
        await answer(world, "give up: cancelled", message_id="m2")
        (lost,) = world.facts("work.call_lost")
        assert isinstance(lost, CallLost)
        assert lost.note == "cancelled"

    play(story)


def test_a_parked_call_that_waits_long_is_asked_about_and_can_be_held() -> None:
    """After `parked_for`, not before: most go out by themselves."""

    async def story(world: World) -> None:
        world.vendor("cardpay").away = True
        await world.call("keyless", SALE)
        await world.passes(3_000)
        assert mails(world) == []
        await world.passes(700)
        assert len(mails(world)) == 2
        assert "hold 2h" in mails(world)[0].get_content()
        assert (await answer(world, "hold 2h: asking them")).code == 250
        held = world.recorded("work.call_held")[-1]
        assert isinstance(held.fact, CallHeld)
        assert held.fact.reason == "asking them"
        assert held.fact.until is not None
        assert held.fact.until - held.at == pytest.approx(7_200e9, abs=1e9)

    play(story)


@pytest.mark.parametrize("text", ["", "what is this?", "retry?", "ok do it", "don't retry"])
def test_what_is_not_clear_changes_nothing_and_is_explained(text: str) -> None:
    """They hear what can be said."""

    async def story(world: World) -> None:
        call = await a_held_call(world)
        before = world.node.ledger.head()
        assert (await answer(world, text)).code == 250
        assert world.node.ledger.head() == before
        now = queries.call(world.node.rows, call.about)
        assert now is not None
        assert now.state == "held"
        said = mails(world)[-1].get_content()
        assert "Nothing was changed: it is not clear" in said
        assert "settled REF-4711" in said

    play(story)


def test_a_mail_that_comes_twice_is_acted_upon_once_and_says_so() -> None:
    """Mail servers repeat what they are not sure of, and so do people who copy mails."""

    async def story(world: World) -> None:
        await a_held_call(world)
        await answer(world, "settled 1")
        before = world.node.ledger.head()
        assert (await answer(world, "settled 1")).code == 250
        assert world.node.ledger.head() == before
        assert "this mail came before" in mails(world)[-1].get_content()
        assert (await answer(world, "settled 2", message_id="m2")).code == 250
        assert "settled already" in mails(world)[-1].get_content()
        assert len(world.facts("work.call_settled")) == 1

    play(story)


def test_only_who_was_asked_may_answer() -> None:
    """Another person's address, a colleague's seal, a stranger, a seal of another secret: refused."""

    async def story(world: World) -> None:
        await a_held_call(world)
        before = (world.node.ledger.head(), len(mails(world)))
        assert (await answer(world, "settled 1", sender="ben@shop.test")).code == 550
        assert (await answer(world, "settled 1", sender="mallory@evil.test")).code == 550
        to = str(asked_of(world)["Reply-To"])
        for forged in (to.replace("@", "a@"), to[:-20] + "x" * 8 + to[-12:]):
            mail = b"From: anna@shop.test\nMessage-ID: <f>\n\nsettled 1\n"
            assert (
                await room(world).take(Delivered("anna@shop.test", (forged,), mail))
            ).code == 550
        await world.passes(5)
        assert (world.node.ledger.head(), len(mails(world))) == before, (
            "and no mail goes to strangers"
        )

    play(story)


@pytest.mark.parametrize(
    "headers", [{"Auto_Submitted": "auto-replied"}, {"Precedence": "bulk"}, {"return_path": ""}]
)
def test_machines_decide_nothing_and_get_no_answer(headers: dict[str, str]) -> None:
    """Out of office, bounces and lists: taken and forgotten, or two machines would write for ever."""

    async def story(world: World) -> None:
        await a_held_call(world)
        before = (world.node.ledger.head(), len(mails(world)))
        assert (await answer(world, "retry", **headers)).code == 250  # type: ignore[arg-type]
        assert (world.node.ledger.head(), len(mails(world))) == before

    play(story)


def test_an_old_mail_is_too_old() -> None:
    """After `valid_for` it says so, and the page is still there."""

    async def story(world: World) -> None:
        await a_held_call(world)
        await world.passes(9 * 86_400)
        await answer(world, "settled 1")
        assert world.facts("work.call_settled") == []
        assert "older than" in mails(world)[-1].get_content()

    play(story)


def test_nothing_is_acknowledged_before_it_is_on_disk() -> None:
    """A full disk sends the mail back to the mail server, which comes again; then it counts once."""

    async def story(world: World) -> None:
        await a_held_call(world)
        append = world.node.ledger.append

        async def full(*_given: object, **_named: object) -> Any:
            raise LedgerFull("The disk is full.")

        world.node.ledger.append = full  # type: ignore[method-assign]
        sent = len(mails(world))
        assert (await answer(world, "settled 1")).code == 451
        assert len(mails(world)) == sent
        world.node.ledger.append = append  # type: ignore[method-assign]
        assert (await answer(world, "settled 1")).code == 250
        assert len(world.facts("work.call_settled")) == 1

    play(story)


def test_many_calls_are_one_mail() -> None:
    """Nobody reads three hundred mails; together they say how many and why."""

    async def story(world: World) -> None:
        world.vendor("cardpay").hangs = True
        await asyncio.gather(*(world.call("keyless", SALE) for _ in range(8)))
        await world.passes(20)
        told = mails(world)
        assert len(told) == 2
        assert "8 calls did not run" in told[0]["Subject"]
        assert told[0]["Reply-To"] is None
        assert len(world.facts("work.asked_people")) == 8

    play(story)


def test_a_mail_server_that_is_away_is_tried_again(tmp_path: Path) -> None:
    """Nobody is noted as asked who was not; after a restart it is still owed, under the same name."""

    async def before(world: World) -> None:
        world.network.mail_is_down = True
        await a_held_call(world)
        await world.passes(120)
        assert world.facts("work.asked_people") == []
        assert "connection refused" in room(world).trouble

    async def after(world: World) -> None:
        await world.passes(30)
        assert len(world.facts("work.asked_people")) == 1
        assert len({str(each["Message-ID"]) for each in mails(world)}) == 2
        assert room(world).trouble == ""

    play(before, ledger=tmp_path / "ledger")
    play(after, ledger=tmp_path / "ledger")


def test_a_call_that_comes_back_is_asked_about_again() -> None:
    """Retried and held once more by the machine: that is a new question."""

    async def story(world: World) -> None:
        await a_held_call(world)
        world.vendor("cardpay").hangs = True
        await answer(world, "retry")
        await world.passes(60)
        assert len(world.facts("work.asked_people")) == 2

    play(story)


@pytest.mark.slow
def test_a_real_mail_server_hands_it_over() -> None:
    """By SMTP, to our address only; what could not be kept is a 451."""
    taken: list[Delivered] = []
    verdicts = [Verdict(250, "taken"), Verdict(451, "später – please try again")]

    async def take(delivered: Delivered) -> Verdict:
        taken.append(delivered)
        return verdicts.pop(0)

    async def story() -> None:
        mailbox = Mailbox(take, lambda address: address.startswith("queue+"))
        await mailbox.start("127.0.0.1", 0)
        try:
            async with aiosmtplib.SMTP(
                hostname="127.0.0.1", port=mailbox.port, start_tls=False
            ) as server:
                sent = (
                    "anna@shop.test",
                    ["queue+a.b.c@shop.test"],
                    b"From: anna@shop.test\r\n\r\nretry\r\n",
                )
                await server.sendmail(*sent)
                with pytest.raises(aiosmtplib.SMTPDataError, match="please try again") as later:
                    await server.sendmail(*sent)
                assert later.value.code == 451
                with pytest.raises(aiosmtplib.SMTPRecipientsRefused):
                    await server.sendmail("x@y.z", ["other@shop.test"], b"hello")
                big = b"From: a@b.c\r\n\r\n" + b"x" * 70 * 20_000
                with pytest.raises(aiosmtplib.SMTPException):
                    await server.sendmail("x@y.z", ["queue+a.b.c@shop.test"], big)
        finally:
            await mailbox.close()

    asyncio.run(story())
    assert taken[0].content.endswith(b"retry\r\n")
    assert (taken[0].return_path, len(taken)) == ("anna@shop.test", 2)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("to: [opps]", "did you mean ops?"),
        ("to: []", "nobody would be asked"),
        ("address: queue", "is not a mail address"),
        ("address: a-very-long-name-of-a-queue@shop.test", "may have 15 signs"),
        ("from: nobody", "declared once, under mail:"),
        ("listen: 0.0.0.0:2525", "trust_network: true"),
        ("server: mail.test:25", "declared once, under mail:"),
    ],
)
def test_settings_that_could_not_work(wrong: str, says: str) -> None:
    """Said when the node starts, with the place."""
    key = wrong.partition(":")[0]
    lines = [line for line in DECLARED.splitlines() if not line.startswith(f"    {key}:")]
    at = next(number for number, line in enumerate(lines) if line == "  mail:")
    text = "\n".join([*lines[: at + 1], f"    {wrong}", *lines[at + 1 :]])
    with pytest.raises(ConfigErrors, match="work") as errors:
        loads(text, declared_type(), cross=mistakes)
    assert says in str(errors.value)


def test_a_queue_that_writes_and_no_mail_server() -> None:
    """The place is named, and what is to be declared at the top."""
    text = "\n".join(line for line in DECLARED.splitlines() if not line.startswith("mail:"))
    with pytest.raises(ConfigErrors, match=r"work\.mail: people are asked by mail, and nothing"):
        loads(text, declared_type(), cross=mistakes)
