"""Asks people by mail about calls that did not run, and takes their answers.

Nobody is told that an answer was taken before it is on disk: the mail server that brought it keeps it
until then and comes again. A mail that comes twice is acted upon once. Who asked is who was written to:
the address for the answer is sealed for one call and one person.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from email.message import EmailMessage

from detente.facts.work import AskedPeople, MailAnswered
from detente.kernel.clock import Instant, Seconds, lasting, later
from detente.kernel.config import SecretMissing
from detente.kernel.forms import BadForm, fill
from detente.kernel.ledger import LedgerError, Query
from detente.kernel.mailing import Mail, TurnedDown, hand_over
from detente.kernel.network import NoAnswer, NotReached
from detente.kernel.node import CannotStart, Node
from detente.kernel.slice import Lever, NotFound, Pull, Refused
from detente.work import decisions, queries, wording
from detente.work.decisions import Call
from detente.work.engine import letter as letters
from detente.work.engine.letter import Answering, Letter
from detente.work.engine.mailbox import Delivered, Mailbox, Verdict
from detente.work.settings import QueueMail, Work

log = logging.getLogger(__name__)

_ROUND: Seconds = 5.0
_LONGEST_WAIT: Seconds = 900.0
_TRIES = 5  # to hand over an answer to an answer; the fact stands whether or not it arrives

_TAKEN = Verdict(250, "taken")


class Mailroom:
    """Everything of one node that has to do with the queue's mails."""

    def __init__(self, node: Node, mail: QueueMail) -> None:
        self.node = node
        assert node.mail is not None, "work.mail without it is a mistake in detente.yaml"
        self.server: Mail = node.mail
        self.mail = mail
        self.trouble = ""  # why people could not be asked, if so
        self._secret = _secret(node, mail)
        self._levers = {lever.name: lever for card in node.cards for lever in card.levers}
        self._one_at_a_time = asyncio.Lock()
        self._answering: set[asyncio.Task[None]] = set()

    # -- asking ------------------------------------------------------------------------------

    async def go_round(self) -> None:
        """Ask about whatever waits for people, for ever."""
        wait = _ROUND
        while True:
            try:
                await self.ask()
                self.trouble, wait = "", _ROUND
            except (NotReached, NoAnswer, SecretMissing, LedgerError) as error:
                wait = min(wait * 2, _LONGEST_WAIT)
                self.trouble = str(error)
                log.warning("people could not be asked about the queue: %s", error)
            await asyncio.sleep(wait)

    async def ask(self) -> None:
        """One mail for each call that nobody was asked about, or one for all if they are many."""
        before = later(self.node.now(), -self.mail.parked_for)
        calls = queries.unasked(self.node.rows, parked_before=before)
        if len(calls) > self.mail.at_most:
            await self._ask_together(calls)
            return
        for call in calls:
            await self._ask_about(call)

    async def _ask_about(self, call: Call) -> None:
        until = later(self.node.now(), self.mail.valid_for)
        setting = self._setting(f"/work/calls/{decisions.number(call)}", call.vendor)
        for to in self._people():
            reply_to = letters.reply_to(
                self.mail.address, decisions.number(call), to, until, self._secret
            )
            await self._hand_over(wording.asking(call, setting, to=to, reply_to=reply_to))
        await self._note([call], wording.thread_id(call, self.server.host))

    async def _ask_together(self, calls: Sequence[Call]) -> None:
        setting = self._setting("/work")
        for to in self._people():
            await self._hand_over(wording.together(calls, setting, to=to))
        await self._note(calls, "", together=True)

    async def _note(
        self, calls: Sequence[Call], message_id: str, *, together: bool = False
    ) -> None:
        people = tuple(self._people())
        facts = [
            AskedPeople(
                about=call.about, route=call.route, to=people, message_id=message_id,
                together=together,
            )
            for call in calls
        ]  # fmt: skip
        await self.node.record(*facts, by="detente:work")

    def _people(self) -> list[str]:
        teams = self.node.catalogue.teams
        return letters.who([each for name in self.mail.to for each in teams[name].mail])

    async def _hand_over(self, message: EmailMessage) -> None:
        """To one person. Whom the server refuses for good cannot be asked, and nobody waits for that."""
        try:
            await hand_over(self.node.network, self.server, message, [str(message["To"])])
        except TurnedDown as refused:
            if not refused.for_good:
                raise
            log.warning("somebody cannot be asked: %s", refused)

    # -- answers -----------------------------------------------------------------------------

    def is_ours(self, address: str) -> bool:
        """Is it an address that we might have given out?"""
        return letters.answering(self.mail.address, address) is not None

    async def take(self, delivered: Delivered) -> Verdict:
        """Act on one mail, once. 250 means that what it decided is on disk."""
        letter = letters.read(delivered.content, return_path=delivered.return_path)
        if (
            letter.by_machine
        ):  # and never answer one: two machines would write to each other for ever
            log.info("an automatic mail was left unread")
            return _TAKEN
        async with self._one_at_a_time:
            for to in delivered.to:
                asked = letters.answering(self.mail.address, to)
                if asked is None or not self._may_answer(asked, letter):
                    return Verdict(
                        550, "This address is for the person it was given to, about one call"
                    )
                try:
                    await self._take(asked, letter)
                except LedgerError as error:
                    log.error("an answer by mail waits: %s", error)
                    return Verdict(451, "It cannot be written down just now, please try again")
        return _TAKEN

    def _may_answer(self, asked: Answering, letter: Letter) -> bool:
        """Sealed for this sender, and the sender was really written to about this call."""
        if not letter.sender or not letters.is_sealed(asked, letter.sender, self._secret):
            return False
        about = f"call:{asked.call}"
        question = Query(names=(AskedPeople.name,), subjects=(about,))
        return any(
            isinstance(each.fact, AskedPeople) and letter.sender in each.fact.to
            for each in self.node.ledger.read(question, backwards=True)
        )

    async def _take(self, asked: Answering, letter: Letter) -> None:
        about = f"call:{asked.call}"
        before = queries.said_by_mail(self.node.rows, _once(about, letter))
        if before is not None:
            why = f"this mail came before, and “{before}” was done then."
        elif letters.has_expired(asked, self.node.now()):
            why = f"the mail you answered is older than {lasting(self.mail.valid_for)}; decide on the page."
        elif letter.only_html:
            why = "your mail holds no plain text, and only that is read."
        else:
            said = letters.understood(letter.line)
            if said.word == "unclear":
                why = "it is not clear what should happen."
            else:
                try:
                    self._confirm(about, letter, await self._act(about, letter, said))
                    return
                except (Refused, NotFound, BadForm) as refusal:
                    why = str(refusal)
        self._explain(about, letter, why)

    async def _act(self, about: str, letter: Letter, said: letters.Said) -> str:
        """Pull the lever that was asked for. Raises Refused, NotFound, BadForm, LedgerError."""
        call = queries.call_or_not_found(self.node.rows, about)
        name, filled = decisions.lever_for(said)
        lever: Lever = self._levers[name]
        form = fill(lever.form, filled)
        now: Instant = self.node.clock.now()
        facts = list(lever.decide(self.node, Pull(about, letter.sender, now, form)))
        if not lever.offered(self.node, about):
            raise Refused(f"“{lever.label}” is not offered for this call just now.")
        answered = MailAnswered(
            about=about, route=call.route, said=letter.line, message_id=_once(about, letter)
        )
        key = f"mail:{_once(about, letter)}"
        await self.node.record(answered, *facts, by=letter.sender, key=key)
        return "; ".join(fact.says() for fact in facts)

    def _confirm(self, about: str, letter: Letter, done: str) -> None:
        setting = self._setting(f"/work/calls/{about.partition(':')[2]}")
        self._answer(wording.confirming(letter, setting, done=done, about=about))

    def _explain(self, about: str, letter: Letter, why: str) -> None:
        setting = self._setting(f"/work/calls/{about.partition(':')[2]}")
        self._answer(wording.explaining(letter, setting, why=why, about=about))

    def _answer(self, message: EmailMessage) -> None:
        task = asyncio.create_task(self._hand_over_patiently(message))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _hand_over_patiently(self, message: EmailMessage) -> None:
        for attempt in range(_TRIES):
            try:
                await self._hand_over(message)
                return
            except (NotReached, NoAnswer, SecretMissing) as error:
                log.warning("an answer to a mail could not be handed over: %s", error)
                await asyncio.sleep(min(10.0 * 4**attempt, _LONGEST_WAIT))

    def _setting(self, path: str, vendor: str = "") -> wording.Setting:
        return wording.Setting(
            name=self.node.name,
            vendor=self.node.title(vendor) if vendor else "",
            mail=self.server,
            page=f"{self.node.address}{path}",
            now=self.node.clock.now(),
        )

    async def close(self) -> None:
        for task in self._answering:
            task.cancel()
        await asyncio.gather(*self._answering, return_exceptions=True)


def _once(about: str, letter: Letter) -> str:
    """One mail decides once about one call."""
    return f"{about}/{letter.sender}/{letter.message_id}"


def _secret(node: Node, mail: QueueMail) -> bytes:
    """The one declared, or the node's own, which lies beside the ledger."""
    own = mail.secret.reveal() if mail.secret is not None else node.token
    return f"work.mail\n{own}".encode()


async def stand(node: Node) -> None:
    """Open the mailbox and keep asking."""
    mail = node.settings(Work).mail
    assert mail is not None, "it is not wanted otherwise"
    room = Mailroom(node, mail)
    mailbox: Mailbox = (node.part(Mailbox) or Mailbox)(room.take, room.is_ours)
    try:
        await mailbox.start(mail.listen.host, mail.listen.port)
    except OSError as error:
        raise CannotStart(
            f"Answers by mail cannot be taken in at {mail.listen}:"
            f" {(error.strerror or str(error)).lower()}. Stop what listens there, or choose another"
            " address as work.mail.listen."
        ) from error
    node.parts[Mailroom] = room
    try:
        await room.go_round()
    finally:
        node.parts.pop(Mailroom, None)
        await mailbox.close()
        await room.close()
