"""How does somebody say "I have it", or cover for somebody else?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

from detente.facts.pager import CoverAgreed, CoverDropped
from detente.kernel.clock import Instant
from detente.kernel.fact import Fact, Subject, plain
from detente.kernel.forms import BadForm, within_ten_years
from detente.kernel.node import Node
from detente.kernel.slice import Lever, NotFound, Pull, Refused
from detente.pager import decisions, queries
from detente.pager.decisions import AlreadyTaken, Matter
from detente.pager.settings import Moment, Pager, Person, Rota

_NOBODY_KNOWN = "someone"  # who acts when nobody has said who they are


class Take(msgspec.Struct, frozen=True):
    """Who has it, if that is not who you are."""

    who: Annotated[str, Meta(max_length=80)] = ""


def _take(node: Node, pull: Pull) -> list[Fact]:
    matter = queries.matter_or_not_found(node.rows, pull.about)
    if matter.closed is None and matter.held_by is not None:
        raise Refused(f"{matter.held_by} has it already. If you have it now, take it over.")
    return _taken(matter, pull.form.who.strip() or pull.by, way="page")


def _take_over(node: Node, pull: Pull) -> list[Fact]:
    matter = queries.matter_or_not_found(node.rows, pull.about)
    return _taken(matter, pull.form.who.strip() or pull.by, way="page")


def _answer(node: Node, pull: Pull) -> list[Fact]:
    about, team = queries.letter_of(node, pull.about)
    named = pull.form.who.strip() or (pull.by if pull.by != _NOBODY_KNOWN else "")
    who = named or f"{_NOBODY_KNOWN} of {queries.called(node, team)}"
    return _taken(queries.matter_or_not_found(node.rows, about), who, way="link", team=team)


class Cover(msgspec.Struct, frozen=True):
    """Who covers, from when and until when."""

    who: Annotated[str, Meta(max_length=80, description="one of those in detente.yaml")]
    until: Annotated[str, Meta(description="by the rota's clock, such as 2026-12-27 09:00")]
    starts: Annotated[str, Meta(description="the same; nothing written means now")] = ""
    note: Annotated[str, Meta(max_length=160)] = ""


def _cover(node: Node, pull: Pull) -> list[Fact]:
    rota = queries.rota_named(node, plain(pull.about))
    people = node.settings(Pager).people
    who = _person(pull.form.who, people)
    starts = (
        _moment("starts", pull.form.starts, rota, pull.at) if pull.form.starts.strip() else pull.at
    )
    ends = _moment("until", pull.form.until, rota, pull.at)
    if ends <= max(starts, pull.at):
        raise BadForm("until: it has to end after it began, and in the future.")
    return [
        CoverAgreed(about=pull.about, person=who, starts=starts, ends=ends, note=pull.form.note)
    ]


def _person(said: str, people: Mapping[str, Person]) -> str:
    """By name or title, as people say it."""
    for name, person in people.items():
        if said.strip().casefold() in (name.casefold(), person.title.casefold()) and said.strip():
            return name
    raise BadForm(f"who: nobody is called {said}; there are {', '.join(people)}.")


def _moment(field: str, said: str, rota: Rota, now: Instant) -> Instant:
    try:
        at = Moment.read(said).within(rota.timezone)
    except (ValueError, OverflowError) as wrong:
        raise BadForm(f"{field}: {wrong}.") from None
    return within_ten_years(at, now, field)


def _drop(node: Node, pull: Pull) -> list[Fact]:
    for name in node.settings(Pager).rota:
        for each in queries.agreed(node.rows, name):
            if plain(pull.about) == str(each.position):
                return [CoverDropped(about=each.rota, cover=each.position, person=each.person)]
    raise NotFound(f"There is no cover {plain(pull.about)} that still holds; /pager lists them.")


def _taken(matter: Matter, who: str, *, way: str, team: str = "") -> list[Fact]:
    if matter.into:
        raise Refused(f"It goes on as incident {plain(matter.into)}: take that one.")
    if matter.closed is not None:
        raise Refused(f"It is over: incident {matter.number} was closed already.")
    try:
        return decisions.take(matter, who, way=way, team=team)
    except AlreadyTaken:
        raise Refused(
            f"{matter.held_by} has it already, and everybody was told. Somebody else may take it over."
        ) from None


def _free(node: Node, about: Subject) -> bool:
    matter = queries.matter(node.rows, about)
    return matter is not None and matter.closed is None and matter.held_by is None


def _held(node: Node, about: Subject) -> bool:
    matter = queries.matter(node.rows, about)
    return matter is not None and matter.closed is None and matter.held_by is not None


LEVERS = (
    Lever(
        name="pager.take",
        label="I have it",
        explains="Tells every team that was told about it that you have it.",
        kinds=("incident",),
        decide=_take,
        offered=_free,
        form=Take,
        tone="good",
    ),
    Lever(
        name="pager.take_over",
        label="Take it over",
        explains="Somebody has it. This tells every team that you have it now.",
        kinds=("incident",),
        decide=_take_over,
        offered=_held,
        form=Take,
    ),
    Lever(
        name="pager.answer",
        label="I have it",
        explains="The answer to a message: somebody of the team that got it has it.",
        kinds=("letter",),
        decide=_answer,
        form=Take,
        tone="good",
    ),
    Lever(
        name="pager.cover",
        label="Cover",
        explains="Somebody is on call for that time, whoever's turn it is.",
        kinds=("rota",),
        decide=_cover,
        form=Cover,
    ),
    Lever(
        name="pager.drop_cover",
        label="Drop",
        explains="The cover does not hold any more: from now on the rota's order counts again.",
        kinds=("cover",),
        decide=_drop,
    ),
)
