"""Tells whoever must know of a release, once, and again only when it was changed or withdrawn.

What is owed is computed from rows each time, so a restart repeats nothing that was noted. In the one
window that is left (the server took it, and the node died before that was noted) the same message goes
out again under the same Message-ID.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from email.message import EmailMessage
from email.utils import parseaddr
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

from detente.facts.releases import Changed, NotTold, Requested, Told, Withdrawn
from detente.kernel.clock import Instant, Seconds, later, seconds_between
from detente.kernel.fact import Fact, Subject
from detente.kernel.ledger import LedgerError
from detente.kernel.network import MailServer, NoAnswer, NotReached
from detente.kernel.node import Node
from detente.releases import queries, wording
from detente.releases.decisions import Release
from detente.releases.queries import Mark
from detente.releases.settings import Releases
from detente.releases.wording import Letter, Message, Setting

log = logging.getLogger(__name__)

_NEWS = (Requested.name, Changed.name, Withdrawn.name)
_FIRST_WAIT: Seconds = 5.0
_LONGEST_WAIT: Seconds = 300.0
_NOTHING_OWED: Seconds = 3_600.0  # only a fact changes that, and facts wake us
_LEDGER_WAIT: Seconds = 2.0
_CHAT_TIMEOUT: Seconds = 10.0
_STALE: Seconds = 3_600.0  # over for so long: nobody wants to hear that it was planned


class Herald:
    """Hands over what is owed, the oldest first."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self._stirred = asyncio.Event()

    async def go_round(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen(self.node.ledger.head()))
            while True:
                self._stirred.clear()
                owed = list(_owed(self.node))
                now = self.node.clock.now()
                for letter in owed:
                    if letter.not_before <= now:
                        await self._hand_over(letter)
                try:
                    async with asyncio.timeout(self._until_next(owed)):
                        await self._stirred.wait()
                except TimeoutError:
                    pass

    async def _listen(self, after: int) -> None:
        async for _batch in self.node.follow(_NEWS, after=after):
            self._stirred.set()

    def _until_next(self, owed: Sequence[Letter]) -> Seconds:
        now = self.node.clock.now()
        waits = [seconds_between(now, each.not_before) for each in owed if each.not_before > now]
        if len(waits) < len(owed):
            self._stirred.set()  # what was just handed over is not known to have arrived: look again
        return max(min(waits, default=_NOTHING_OWED), 0.01)

    async def _hand_over(self, letter: Letter) -> None:
        try:
            fact: Fact = await self._tell(letter)
        except Exception as error:  # noqa: BLE001 - whatever it was, somebody was not told: a fact
            reason = str(error) or type(error).__name__
            fact = not_told(
                self.node, letter.release.about, letter.team, letter.channel, reason, letter.attempt
            )
        await note(self.node, fact)

    async def _tell(self, letter: Letter) -> Fact:
        team, setting = self.node.catalogue.teams[letter.team], _setting(self.node, letter.release)
        told = Told(
            about=letter.release.about,
            team=f"team:{letter.team}",
            channel=letter.channel,
            message=letter.message,
            tells=letter.tells,
        )
        if letter.channel == "webhook":
            await self._call(letter, setting, team.webhook or "")
            host = urlsplit(team.webhook or "").hostname or ""
            return msgspec.structs.replace(told, to=(host,))
        mail = queries.mail_settings(self.node)
        now = self.node.clock.now()
        message = wording.mail(letter, setting, sender=mail.sender, to=team.mail, now=now)
        accepted = await post(self.node, mail, message, team.mail)
        return msgspec.structs.replace(told, to=accepted, message_id=str(message["Message-ID"]))

    async def _call(self, letter: Letter, setting: Setting, url: str) -> None:
        body = msgspec.json.encode(wording.hook(letter, setting))
        headers = {"Content-Type": "application/json", "User-Agent": "Detente"}
        try:
            reply = await self.node.network.call(
                "POST", url, headers=headers, body=body, timeout=_CHAT_TIMEOUT
            )
        except (NotReached, NoAnswer) as error:
            # A chat's address is as good as a password: it is not written down.
            raise NotReached(str(error).replace(url, "the chat's address")) from None
        if not 200 <= reply.status < 300:
            raise NotReached(f"the chat answered HTTP {reply.status}")


def _owed(node: Node) -> list[Letter]:
    """Every message that somebody has not been told."""
    since = later(node.clock.now(), -_STALE)
    releases = {each.about: each for each in queries.in_state(node.rows, "planned", "running")}
    releases |= {each.about: each for each in queries.between(node.rows, since, _FAR)}
    found = []
    for release in sorted(releases.values(), key=lambda each: each.newest):
        marks = {
            (each.team, each.channel): each for each in queries.marks(node.rows, release.about)
        }
        for team, channel in _ways(node, release, list(marks.values())):
            letter = _letter(release, team, channel, marks.get((team, channel)), since)
            if letter is not None:
                found.append(letter)
    return found


_FAR: Instant = 2**62


def _ways(
    node: Node, release: Release, marks: Sequence[Mark]
) -> list[tuple[str, Literal["mail", "webhook"]]]:
    """Whoever must know now, and whoever was told before."""
    told = [each.team for each in marks if each.told]
    teams = [*queries.must_know(node, release.touches), *told]
    return queries.ways(node, tuple(dict.fromkeys(teams)))


def _letter(
    release: Release,
    team: str,
    channel: Literal["mail", "webhook"],
    mark: Mark | None,
    since: Instant,
) -> Letter | None:
    """What brings this team up to date, or None if it is."""
    told, attempts = (mark.told, mark.attempts) if mark is not None else (0, 0)
    if told >= release.newest:
        return None
    withdrawn = release.state == "withdrawn"
    over = (release.ended_at or release.ends) < since
    if (not told and withdrawn) or over:
        return None  # who never heard that it was planned need not hear that it is not
    message: Message = "withdrawn" if withdrawn else "changed" if told else "requested"
    return Letter(
        release=release,
        team=team,
        channel=channel,
        message=message,
        first=not told,
        tells=release.newest,
        attempt=attempts + 1,
        not_before=(mark.next_at or 0) if mark is not None else 0,
    )


def _setting(node: Node, release: Release) -> Setting:
    address = node.address.rstrip("/")
    return Setting(
        name=node.name,
        service=node.title(release.service),
        room=f"{address}/releases/{release.number}",
        calendar=f"{address}/releases/calendar.ics",
        zone=node.settings(Releases).timezone,
        touches=tuple(node.title(each) for each in release.touches),
    )


# -- what the morning report uses as well ------------------------------------------------------


async def post(node: Node, mail: Any, message: EmailMessage, to: Sequence[str]) -> tuple[str, ...]:
    """Hand a mail over; answers with those it was taken for. Raises NotReached, NoAnswer."""
    server = MailServer(
        host=mail.server.host,
        port=mail.server.port,
        user=mail.user,
        password=mail.password.reveal() if mail.password is not None else None,
        tls=mail.tls,
    )
    refused = {each.to: each.reason for each in await node.network.mail(message, server)}
    accepted = tuple(each for each in to if parseaddr(each)[1] not in refused)
    if not accepted:
        raise NotReached(f"{mail.server} refuses every address: {next(iter(refused.values()), '')}")
    return accepted


def not_told(
    node: Node,
    about: Subject,
    team: str,
    channel: Literal["mail", "webhook"],
    reason: str,
    attempt: int,
) -> NotTold:
    """Tried in vain; the waits double up to five minutes."""
    wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2.0 ** min(attempt - 1, 30))
    wait *= 1 - node.chance.random() / 4
    next_at = later(node.clock.now(), wait)
    return NotTold(
        about=about,
        team=f"team:{team}",
        channel=channel,
        reason=reason,
        attempt=attempt,
        next_at=next_at,
    )


async def note(node: Node, *facts: Fact) -> None:
    """Write it down, as often as it takes: what was told and not noted would be told again."""
    while True:
        try:
            await node.record(*facts, by="detente:releases")
            return
        except LedgerError as error:
            log.warning("somebody was told and it could not be noted yet: %s", error)
            await asyncio.sleep(_LEDGER_WAIT)


async def go_round(node: Node) -> None:
    await Herald(node).go_round()
