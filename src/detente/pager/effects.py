"""Tells teams, by mail and in their chats, pages people, and notes that they were told."""

from __future__ import annotations

from collections.abc import Sequence

from detente.facts.incidents import Closed
from detente.kernel import mailing
from detente.kernel.catalogue import Team
from detente.kernel.fact import Fact, Recorded, plain
from detente.kernel.node import Node
from detente.kernel.postman import Postman
from detente.kernel.slice import Effect
from detente.pager import decisions, queries, wording
from detente.pager.decisions import Joined, Letter, Notice
from detente.pager.projection import HEARS
from detente.pager.settings import Pager, Person
from detente.pager.wording import Setting


async def _tell(node: Node, letter: Letter | Notice) -> Sequence[Fact]:
    """Hand it over once; answers with what is to be noted of it."""
    try:
        if letter.channel == "mail":
            return await _mail(node, letter)
        return await _call(node, letter)
    except Exception as error:  # noqa: BLE001 - whatever it was, somebody was not told: a fact
        in_vain = mailing.in_vain(error, letter.attempt, node.chance.random())
        return decisions.not_told(letter, in_vain, node.clock.now())


async def _mail(node: Node, letter: Letter | Notice) -> Sequence[Fact]:
    mail, to = node.mail, _hearer(node, letter).mail
    assert mail is not None, "without it no team has the way 'mail'"
    message = mailing.composed(
        wording.content(letter, setting(node, letter)),
        mail,
        wording.thread(letter, setting(node, letter)),
        wording.called(letter),
        to=to,
        now=node.clock.now(),
        first=letter.first,
        urgent=bool(letter.step),
    )
    handed = await mailing.hand_over(node.network, mail, message, to)
    return decisions.handed_over(letter, handed, str(message["Message-ID"]))


async def _call(node: Node, letter: Letter | Notice) -> Sequence[Fact]:
    webhook = _hearer(node, letter).webhook
    assert webhook is not None, "without it there is no way 'webhook'"
    said = wording.hook(letter, setting(node, letter))
    return decisions.told(letter, (await mailing.call_chat(node.network, webhook, said),))


def _hearer(node: Node, letter: Letter | Notice) -> Team | Person:
    hearer = queries.hearer(node, letter.team)
    assert hearer is not None, "letters go to those who are declared"
    return hearer


def setting(node: Node, letter: Letter | Notice) -> Setting:
    """What the message says besides the incident or change itself."""
    if isinstance(letter, Notice):
        change = letter.change
        return Setting(
            name=node.name,
            title=change.title,
            central=tuple(node.title(each) for each in change.central),
            touches=tuple(node.title(each) for each in change.touches),
            falls=tuple(node.title(each) for each in change.falls),
            room=f"{node.address}/dependencies/changes",
        )
    matter = letter.matter
    token = decisions.token(node.token, matter.about, letter.team)
    own = _own(node, letter)
    return Setting(
        name=node.name,
        title=node.title(matter.of),
        noticed_by=wording.noticed_by(matter.cause),
        needed_by=tuple(node.title(each) for each in node.catalogue.needing(matter.of)),
        measures=tuple(queries.measures(node, matter.of)),
        room=f"{node.address}/incidents/{plain(matter.into or matter.about)}",
        take=f"{node.address}/pager/take/{matter.number}/{token}" if token else None,
        paged=wording.paged(letter),
        joined=tuple(node.title(each.of) for each in matter.joined),
        own=node.title(own.of) if own is not None else "",
        own_reason=own.reason if own is not None else "",
    )


def _own(node: Node, letter: Letter) -> Joined | None:
    """What of theirs fell with it, if that is why they hear of it."""
    if letter.step or letter.team in node.catalogue.teams_of(letter.matter.of):
        return None
    joined = letter.matter.joined
    return next((each for each in joined if letter.team in node.catalogue.teams_of(each.of)), None)


async def _go_round(node: Node) -> None:
    postman = Postman(
        node,
        by="detente:pager",
        hears=HEARS,
        owed=lambda: queries.owed(node),
        tell=lambda letter: _tell(node, letter),
        next_at=lambda: queries.next_step_at(node),
    )
    await postman.go_round()


async def _pass_on(node: Node) -> None:
    """Whoever has an incident that goes on as another one has that one."""
    await node.react("pager", (Closed.name,), lambda closed: _passed_on(node, closed))


def _passed_on(node: Node, recorded: Recorded) -> Sequence[Fact]:
    fact = recorded.fact
    into = fact.into if isinstance(fact, Closed) else ""
    merged = queries.matter(node.rows, fact.about) if into else None
    return decisions.passed_on(merged, queries.matter(node.rows, into)) if merged else ()


def _somebody_hears(node: Node) -> bool:
    hearers: list[Team | Person] = [*node.catalogue.teams.values()]
    hearers += node.settings(Pager).people.values()
    return any((each.mail and node.mail) or each.webhook for each in hearers)


def effects() -> tuple[Effect, ...]:
    return (
        Effect("pager", _go_round, wanted=_somebody_hears),
        Effect("pager: pass on", _pass_on),
    )
