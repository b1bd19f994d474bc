"""What can people say about a change?"""

from __future__ import annotations

import base64
from typing import Annotated

import msgspec
from msgspec import Meta

from detente.dependencies import decisions, queries
from detente.dependencies.decisions import Risk, Said
from detente.dependencies.queries import Change
from detente.dependencies.settings import Dependencies
from detente.kernel.clock import lasting, seconds_between
from detente.kernel.faces import HERE
from detente.kernel.fact import Fact, Subject
from detente.kernel.node import Node
from detente.kernel.slice import Lever, Pull, Refused

_DECLARED = ("service", "vendor", "infrastructure", "journey")
LONGEST_TITLE = 200


class Record(msgspec.Struct, frozen=True):
    """What is changed, when, and what it touches."""

    title: Annotated[str, Meta(max_length=160, description="such as: moved sign-on to a VM")]
    touches: Annotated[
        str, Meta(max_length=1_000, description="what else it touches: names, with commas between")
    ] = ""
    at: Annotated[
        str, Meta(max_length=40, description="2026-11-28 06:00 in UTC; empty means just now")
    ] = ""
    link: Annotated[str, Meta(max_length=160, description="where more stands about it")] = ""


class Made(msgspec.Struct, frozen=True):
    """When it was made."""

    at: Annotated[
        str, Meta(max_length=40, description="2026-11-28 06:00 in UTC; empty means just now")
    ] = ""


class Drop(msgspec.Struct, frozen=True):
    """Why it is not made after all."""

    why: Annotated[str, Meta(max_length=160)] = ""


def _record(node: Node, pull: Pull) -> list[Fact]:
    form: Record = pull.form
    touches = () if pull.about == HERE else (_declared(node, pull.about),)
    more = decisions.subjects(form.touches, node.catalogue, "touches")
    said = Said(
        title=decisions.worded(form.title, "title", LONGEST_TITLE),
        touches=tuple(dict.fromkeys((*touches, *more))),
        at=decisions.when(form.at, pull.at) if form.at else None,
        link=decisions.linked(form.link),
    )
    return decisions.record(fresh(node), said, risk_of(node, said.touches), pull.at)


def _made(node: Node, pull: Pull) -> list[Fact]:
    change = _planned(node, pull.about)
    at = decisions.when(pull.form.at, pull.at) if pull.form.at else None
    if at is not None and at > pull.at:
        ahead = lasting(seconds_between(pull.at, at))
        raise Refused(f"That is {ahead} from now: it cannot have been made yet.")
    said = Said(title=change.title, touches=change.touches, at=at, link=change.link)
    return decisions.made(change.about, said, risk_of(node, _still(node, change)))


def _drop(node: Node, pull: Pull) -> list[Fact]:
    why = " ".join(pull.form.why.split())
    return decisions.drop(_planned(node, pull.about).about, why)


def _declared(node: Node, about: Subject) -> Subject:
    """What is touched, as the map knows it; a wrong name gets the nearest right one."""
    if about in node.catalogue.entries:
        return about
    return decisions.subjects([about.partition(":")[2]], node.catalogue, "touches")[0]


def _still(node: Node, change: Change) -> tuple[Subject, ...]:
    """What it touches, as far as it is still declared."""
    return tuple(each for each in change.touches if each in node.catalogue.entries)


def _planned(node: Node, about: Subject) -> Change:
    change = queries.change_or_not_found(node.rows, about)
    if change.state == "made":
        raise Refused(f"“{change.title}” was made already.")
    if change.state == "dropped":
        raise Refused(f"“{change.title}” was dropped. Record it anew if it is made after all.")
    return change


def _is_planned(node: Node, about: Subject) -> bool:
    change = queries.change(node.rows, about)
    return change is not None and change.state == "planned"


def risk_of(node: Node, touches: tuple[Subject, ...]) -> Risk:
    """What falls if what is touched does not come up again."""
    central = node.settings(Dependencies).central
    return decisions.risk(queries.atlas_of(node), touches, central)


def fresh(node: Node) -> Subject:
    """A name short enough to be typed, and not taken."""
    while True:
        drawn = node.chance.getrandbits(25).to_bytes(4)
        about = f"change:{base64.b32encode(drawn).decode().lower()[1:6]}"
        if queries.change(node.rows, about) is None:
            return about


LEVERS = (
    Lever(
        name="dependencies.record_change",
        label="Record a change",
        explains="Says that this is changed, now or later; if the map says that it is a central"
        " point, everybody is warned.",
        kinds=(*_DECLARED, "node"),
        decide=_record,
        offered=lambda node, about: about == HERE or about in node.catalogue.entries,
        form=Record,
    ),
    Lever(
        name="dependencies.made",
        label="It was made",
        explains="Says that the planned change has been made.",
        kinds=("change",),
        decide=_made,
        offered=_is_planned,
        form=Made,
        tone="good",
    ),
    Lever(
        name="dependencies.drop_change",
        label="Drop it",
        explains="Says that the planned change is not made after all.",
        kinds=("change",),
        decide=_drop,
        offered=_is_planned,
        form=Drop,
    ),
)
