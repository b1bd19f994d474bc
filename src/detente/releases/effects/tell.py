"""Tells whoever must know of a release, once, and again only when it was changed or withdrawn."""

from __future__ import annotations

from collections.abc import Sequence

from detente.facts.releases import Changed, NotTold, Requested, Told, Withdrawn
from detente.kernel import mailing
from detente.kernel.clock import Instant, Seconds, later
from detente.kernel.fact import Fact, Subject
from detente.kernel.mailing import Channel
from detente.kernel.node import Node
from detente.kernel.postman import Postman
from detente.releases import queries, wording
from detente.releases.decisions import Release
from detente.releases.queries import Mark
from detente.releases.settings import Releases
from detente.releases.wording import Letter, Message, Setting

_NEWS = (Requested.name, Changed.name, Withdrawn.name)
_STALE: Seconds = 3_600.0  # over for so long: nobody wants to hear that it was planned


async def go_round(node: Node) -> None:
    """Hand over what is owed, for ever."""
    postman = Postman(
        node,
        by="detente:releases",
        hears=_NEWS,
        owed=lambda: _owed(node),
        tell=lambda letter: _tell(node, letter),
    )
    await postman.go_round()


async def _tell(node: Node, letter: Letter) -> list[Fact]:
    about, team, channel = letter.release.about, letter.team, letter.channel
    try:
        to, message_id = await (_mail if channel == "mail" else _call)(node, letter)
    except Exception as error:  # noqa: BLE001 - whatever it was, somebody was not told: a fact
        return [not_told(node, about, team, channel, error, letter.attempt)]
    told = Told(
        about=about,
        team=f"team:{team}",
        channel=channel,
        message=letter.message,
        tells=letter.tells,
        to=to,
        message_id=message_id,
    )
    return [told]


async def _mail(node: Node, letter: Letter) -> tuple[tuple[str, ...], str]:
    """Answers with whom it was taken for, and the mail's identifier."""
    mail, to = node.mail, node.catalogue.teams[letter.team].mail
    assert mail is not None, "without it no team has the way 'mail'"
    setting = _setting(node, letter.release)
    message = mailing.composed(
        wording.content(letter, setting),
        mail,
        wording.thread(letter, setting),
        wording.called(letter),
        to=to,
        now=node.clock.now(),
        first=letter.first,
    )
    handed = await mailing.hand_over(node.network, mail, message, to)
    return handed.to, str(message["Message-ID"])


async def _call(node: Node, letter: Letter) -> tuple[tuple[str, ...], str]:
    webhook = node.catalogue.teams[letter.team].webhook
    assert webhook is not None, "without it there is no way 'webhook'"
    said = wording.hook(letter, _setting(node, letter.release))
    return (await mailing.call_chat(node.network, webhook, said),), ""


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


def _ways(node: Node, release: Release, marks: Sequence[Mark]) -> list[tuple[str, Channel]]:
    """Whoever must know now, and whoever was told before."""
    told = [each.team for each in marks if each.told]
    teams = [*queries.must_know(node, release.touches), *told]
    return queries.ways(node, tuple(dict.fromkeys(teams)))


def _letter(
    release: Release,
    team: str,
    channel: Channel,
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
    return Setting(
        name=node.name,
        service=node.title(release.service),
        room=f"{node.address}/releases/{release.number}",
        calendar=f"{node.address}/releases/calendar.ics",
        zone=node.settings(Releases).timezone,
        touches=tuple(node.title(each) for each in release.touches),
    )


def not_told(
    node: Node, about: Subject, team: str, channel: Channel, error: Exception, attempt: int
) -> NotTold:
    """Tried in vain, and when it is tried again."""
    in_vain = mailing.in_vain(error, attempt, node.chance.random())
    return NotTold(
        about=about,
        team=f"team:{team}",
        channel=channel,
        reason=in_vain.reason,
        attempt=attempt,
        next_at=later(node.clock.now(), in_vain.wait),
    )
