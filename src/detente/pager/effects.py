"""Tells teams, by mail and in their chats, pages people, and notes that they were told.

What is owed is computed from rows each time, so a restart repeats nothing that was noted. One window
is left and cannot be closed: the server took the mail and the node died before it was noted. Then
the same mail goes out again, under the same Message-ID, and good mail programs show it once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from email.utils import parseaddr
from urllib.parse import urlsplit

import msgspec

from detente.kernel.catalogue import Team
from detente.kernel.clock import Seconds, seconds_between
from detente.kernel.fact import Fact
from detente.kernel.ledger import LedgerError
from detente.kernel.network import MailServer, NotReached
from detente.kernel.node import Node
from detente.kernel.slice import Effect
from detente.pager import decisions, queries, wording
from detente.pager.decisions import Channel, Letter
from detente.pager.projection import HEARS
from detente.pager.settings import Pager, Person
from detente.pager.wording import Setting

log = logging.getLogger(__name__)

_LONGEST_WAIT: Seconds = 3_600.0
_CHAT_TIMEOUT: Seconds = 10.0
_LEDGER_WAIT: Seconds = 2.0


class Postman:
    """Hands over what is owed. Each way to each team has its own pace; none waits for another."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.settings = node.settings(Pager)
        self._under_way: set[tuple[str, Channel]] = set()
        self._stirred = asyncio.Event()

    async def go_round(self) -> None:
        """Tell whoever is owed, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen())
            while True:
                self._stirred.clear()
                owed = queries.owed(self.node)
                for letter in self._due(owed):
                    self._under_way.add(letter.way)
                    group.create_task(self._hand_over(letter))
                try:
                    async with asyncio.timeout(self._until_next(owed)):
                        await self._stirred.wait()
                except TimeoutError:
                    pass

    async def _listen(self) -> None:
        async for _batch in self.node.follow(HEARS, after=self.node.ledger.head()):
            self._stirred.set()

    def _due(self, owed: Sequence[Letter]) -> list[Letter]:
        """At most one for each way that is free: there are as many at once as there are ways."""
        now = self.node.clock.now()
        due: dict[tuple[str, Channel], Letter] = {}
        for letter in owed:
            if letter.way not in self._under_way and letter.not_before <= now:
                due.setdefault(letter.way, letter)
        return list(due.values())

    def _until_next(self, owed: Sequence[Letter]) -> Seconds:
        free = [letter.not_before for letter in owed if letter.way not in self._under_way]
        step = queries.next_step_at(self.node)
        free += [step] if step is not None else []
        if not free:
            return _LONGEST_WAIT
        wait = seconds_between(self.node.clock.now(), min(free))
        return min(max(wait, 0.01), _LONGEST_WAIT)

    async def _hand_over(self, letter: Letter) -> None:
        try:
            facts = await self.tell(letter)
            await self._note(facts)
        finally:
            self._under_way.discard(letter.way)
            self._stirred.set()

    async def tell(self, letter: Letter) -> Sequence[Fact]:
        """Hand it over once; answers with what is to be noted of it."""
        try:
            if letter.channel == "mail":
                return await self._mail(letter)
            return await self._call(letter)
        except Exception as error:  # noqa: BLE001 - whatever it was, somebody was not told: a fact
            reason = str(error) or type(error).__name__
            chance = self.node.chance.random()
            now = self.node.clock.now()
            return decisions.not_told(letter, self._discreet(letter, reason), now, chance)

    async def _mail(self, letter: Letter) -> Sequence[Fact]:
        mail = self.settings.mail
        assert mail is not None, "without it no team has the way 'mail'"
        hearer = queries.hearer(self.node, letter.team)
        assert hearer is not None, "letters go to those who are declared"
        to = hearer.mail
        message = wording.mail(
            letter, self.setting(letter), sender=mail.sender, to=to, now=self.node.clock.now()
        )
        server = MailServer(
            host=mail.server.host,
            port=mail.server.port,
            user=mail.user,
            password=mail.password.reveal() if mail.password is not None else None,
            tls=mail.tls,
        )
        refused = await self.node.network.mail(message, server)
        for_good = all(each.for_good for each in refused)
        answers = {each.to: each.reason for each in refused}
        accepted = [each for each in to if parseaddr(each)[1] not in answers]
        if answers and not accepted:
            reason = f"{mail.server} refuses {decisions.in_their_words(answers)}"
            now, chance = self.node.clock.now(), self.node.chance.random()
            return decisions.not_told(letter, reason, now, chance, for_good=for_good)
        return [
            *decisions.told(letter, accepted, str(message["Message-ID"])),
            *decisions.turned_away(letter, answers, for_good=for_good),
        ]

    async def _call(self, letter: Letter) -> Sequence[Fact]:
        hearer = queries.hearer(self.node, letter.team)
        url = hearer.webhook if hearer is not None else None
        assert url is not None, "without it there is no way 'webhook'"
        reply = await self.node.network.call(
            "POST",
            url,
            headers={"Content-Type": "application/json", "User-Agent": "Detente"},
            body=msgspec.json.encode(wording.hook(letter, self.setting(letter))),
            timeout=_CHAT_TIMEOUT,
        )
        if not 200 <= reply.status < 300:
            raise NotReached(f"it answered HTTP {reply.status}")
        return decisions.told(letter, (urlsplit(url).hostname or "",))

    def setting(self, letter: Letter) -> Setting:
        """What the message says besides the incident itself."""
        node, matter = self.node, letter.matter
        address = node.address.rstrip("/")
        token = decisions.token(node.token, matter.about, letter.team)
        return Setting(
            name=node.name,
            title=node.title(matter.of),
            noticed_by=wording.noticed_by(matter.cause),
            needed_by=tuple(node.title(each) for each in node.catalogue.needing(matter.of)),
            measures=tuple(queries.measures(node, matter.of)),
            room=f"{address}/incidents/{matter.number}",
            paged=wording.paged(letter),
            take=f"{address}/pager/take/{matter.number}/{token}" if token else None,
        )

    def _discreet(self, letter: Letter, reason: str) -> str:
        """A chat's address is as good as a password: it is not written down."""
        hearer = queries.hearer(self.node, letter.team)
        url = hearer.webhook if hearer is not None else None
        return reason.replace(url, "the chat's address") if url else reason

    async def _note(self, facts: Sequence[Fact]) -> None:
        """Write it down, as often as it takes: what was told and not noted would be told again."""
        while True:
            try:
                await self.node.record(*facts, by="detente:pager")
                return
            except LedgerError as error:
                log.warning("somebody was told and it could not be noted yet: %s", error)
                await asyncio.sleep(_LEDGER_WAIT)


async def _go_round(node: Node) -> None:
    await Postman(node).go_round()


def _somebody_hears(node: Node) -> bool:
    mail = node.settings(Pager).mail is not None
    hearers: list[Team | Person] = [*node.catalogue.teams.values()]
    hearers += node.settings(Pager).people.values()
    return any((each.mail and mail) or each.webhook for each in hearers)


def effects() -> tuple[Effect, ...]:
    return (Effect("pager", _go_round, wanted=_somebody_hears),)
