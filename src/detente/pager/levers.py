"""How does somebody say "I have it"?"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from detente.kernel.fact import Fact, Subject
from detente.kernel.node import Node
from detente.kernel.slice import Lever, Pull, Refused
from detente.pager import decisions, queries
from detente.pager.decisions import AlreadyTaken, Matter

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
    who = named or f"{_NOBODY_KNOWN} of {node.title(f'team:{team}')}"
    return _taken(queries.matter_or_not_found(node.rows, about), who, way="link", team=team)


def _taken(matter: Matter, who: str, *, way: str, team: str = "") -> list[Fact]:
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
)
