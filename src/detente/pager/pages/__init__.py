"""Who is on call, who would be told, who was told, and who could not be told?"""

from __future__ import annotations

import msgspec

from detente.facts.pager import SAID
from detente.kernel.clock import Instant
from detente.kernel.faces import Told, tell
from detente.kernel.fact import Subject, Tone, plain
from detente.kernel.ledger import Query
from detente.kernel.mailing import WAYS, Channel, masked
from detente.kernel.node import Node
from detente.kernel.slice import Ask, Page, Panel, Sign
from detente.pager import queries
from detente.pager.decisions import Letter, Mark, Matter, Notice
from detente.pager.pages.rota import Burden, RotaView, Rung, burdens, gap_signs, rota_view, steps
from detente.pager.settings import Pager

_TOLD_LATELY = 20


class Ear(msgspec.Struct, frozen=True, kw_only=True):
    """One way in which one team hears."""

    team: str
    title: str
    channel: Channel
    to: tuple[str, ...]  # mail addresses in part; for a chat, its host


class Hearers(msgspec.Struct, frozen=True, kw_only=True):
    """Who hears of one vendor or service."""

    about: Subject
    title: str
    ears: tuple[Ear, ...]
    silent: tuple[str, ...]  # teams that are named and cannot be reached


class Owed(msgspec.Struct, frozen=True, kw_only=True):
    """A message that could not be handed over yet."""

    about: Subject
    what: str  # "incident 12"
    href: str
    team: str
    channel: Channel
    message: str  # "that it began"
    attempts: int
    next_at: Instant
    reason: str


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about being told."""

    at: Instant
    hearers: tuple[Hearers, ...]
    anybody: bool
    mail_server: str | None
    late: tuple[Owed, ...]
    told: tuple[Told, ...]
    rotas: tuple[RotaView, ...] = ()
    steps: tuple[Rung, ...] = ()
    paged: tuple[Burden, ...] = ()


class TakePage(msgspec.Struct, frozen=True, kw_only=True):
    """What the link in a message shows: one button. Looking at it acknowledges nothing."""

    number: str
    title: str
    reason: str
    since: Instant
    over: bool
    into: str  # the number of the incident in which it goes on, if it does
    held_by: str | None
    held_at: Instant | None
    team: str
    letter: Subject


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """How far one team was told in one way."""

    title: str
    channel: Channel
    to: tuple[str, ...]
    tone: Tone
    says: str
    at: Instant | None


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """Who was told about one incident, and who has it."""

    held_by: str | None
    held_at: Instant | None
    over: bool
    lines: tuple[Line, ...]


# -- pages -------------------------------------------------------------------------------------


def overview(node: Node, _ask: Ask) -> Overview:
    mail = node.mail
    subjects = [f"vendor:{name}" for name in node.catalogue.vendors]
    subjects += [f"service:{name}" for name in node.catalogue.services]
    hearers = tuple(_hearers(node, about) for about in subjects)
    told = node.ledger.read(Query(names=("pager.told",)), limit=_TOLD_LATELY, backwards=True)
    return Overview(
        at=node.clock.now(),
        hearers=hearers,
        anybody=any(each.ears for each in hearers),
        mail_server=str(mail.server) if mail is not None else None,
        late=tuple(_late(node)),
        told=tuple(tell(node, each) for each in told),
        rotas=tuple(rota_view(node, name) for name in node.settings(Pager).rota),
        steps=tuple(steps(node)),
        paged=tuple(burdens(node)),
    )


def take_page(node: Node, ask: Ask) -> TakePage:
    letter = f"letter:{ask.path['incident']}.{ask.path['token']}"
    about, team = queries.letter_of(node, letter)
    matter = queries.matter_or_not_found(node.rows, about)
    return TakePage(
        number=matter.number,
        title=node.title(matter.of),
        reason=matter.reason,
        since=matter.since,
        over=matter.closed is not None,
        into=plain(matter.into),
        held_by=matter.held_by,
        held_at=matter.held_at,
        team=queries.called(node, team),
        letter=letter,
    )


def heard_panel(node: Node, about: Subject) -> Heard | None:
    matter = queries.matter(node.rows, about)
    if matter is None:
        return None
    marks = {(each.team, each.channel): each for each in queries.marks(node.rows, about)}
    ways = queries.ways(node, *matter.subjects)
    known = dict.fromkeys((*ways, *marks))
    return Heard(
        held_by=matter.held_by,
        held_at=matter.held_at,
        over=matter.closed is not None,
        lines=tuple(_line(node, matter, *way, marks.get(way)) for way in known),
    )


def signs(node: Node) -> list[Sign]:
    """Who could not be told, and when nobody would be there to be told."""
    return (
        gap_signs(node)
        + [
            Sign(
                tone="warn",
                about=late.about,
                sentence=f"{queries.called(node, late.team)} could not be told"
                f" {WAYS[late.channel]} about {late.what}: {late.reason}",
                href="/pager",
            )
            for late in _late(node)
        ]
        + [
            Sign(
                tone="warn",
                about=f"team:{team}",
                sentence=f"{queries.called(node, team)} is not told everywhere: {reason}",
                since=at,
                href="/pager",
            )
            for team, at, reason in dict.fromkeys(queries.turned_away(node))
        ]
    )


# -- their parts -------------------------------------------------------------------------------


def _hearers(node: Node, about: Subject) -> Hearers:
    ways = queries.ways(node, about)
    reached = {team for team, _ in ways}
    return Hearers(
        about=about,
        title=node.title(about),
        ears=tuple(_ear(node, team, channel) for team, channel in ways),
        silent=tuple(each for each in node.catalogue.teams_of(about) if each not in reached),
    )


def _ear(node: Node, team: str, channel: Channel) -> Ear:
    entry = node.catalogue.teams[team]
    chat = (entry.webhook.host if entry.webhook is not None else "",)
    to = tuple(map(masked, entry.mail)) if channel == "mail" else chat
    return Ear(team=team, title=node.title(f"team:{team}"), channel=channel, to=to)


def _late(node: Node) -> list[Owed]:
    letters = [each for each in queries.owed(node) if each.attempt > 1]
    return [_owed(each, _reason(node, each)) for each in letters]


def _reason(node: Node, letter: Letter | Notice) -> str:
    marks = queries.marks(node.rows, letter.about)
    return next((each.reason for each in marks if (each.team, each.channel) == letter.way), "")


def _owed(letter: Letter | Notice, reason: str) -> Owed:
    is_change = isinstance(letter, Notice)
    return Owed(
        about=letter.about,
        what=letter.what,
        href="/dependencies/changes" if is_change else f"/incidents/{plain(letter.about)}",
        team=letter.team,
        channel=letter.channel,
        message=SAID[letter.message],
        attempts=letter.attempt - 1,
        next_at=letter.not_before,
        reason=reason,
    )


def _line(node: Node, matter: Matter, team: str, channel: Channel, mark: Mark | None) -> Line:
    tone: Tone = "plain"
    says, at = "not told yet", None
    if mark is not None and mark.told:
        says, at = _last(mark), mark.told_at
        tone = "good" if mark.told >= matter.newest else "plain"
    if mark is not None and mark.attempts:
        tone = "warn"
        times = "once" if mark.attempts == 1 else f"{mark.attempts} times"
        says = f"tried {times} in vain: {mark.reason}"
    to = () if mark is None else mark.to
    return Line(
        title=queries.called(node, team),
        channel=channel,
        to=tuple(map(masked, to)) if channel == "mail" else to,
        tone=tone,
        says=says,
        at=at,
    )


def _last(mark: Mark) -> str:
    if mark.message == "again" or (mark.step and mark.message == "opened"):
        return f"paged, step {mark.step}"
    return f"told {SAID.get(mark.message, mark.message)}"


_HEARS = ("pager.*", "incidents.opened", "incidents.closed")

PAGES = (
    Page(
        path="/pager",
        title="Pager",
        answer=overview,
        template="pager/overview.html",
        in_menu=True,
        hears=_HEARS,
    ),
    Page(
        path="/pager/take/{incident}/{token}",
        title="Letter",
        answer=take_page,
        template="pager/take.html",
        hears=_HEARS,
    ),
)

PANELS = (
    Panel(
        title="Who was told",
        kinds=("incident",),
        answer=heard_panel,
        template="pager/heard.html",
    ),
)
