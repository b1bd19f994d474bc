"""What do other programs post about changes, and what are they told?"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from detente.dependencies import decisions, queries
from detente.dependencies.decisions import Said
from detente.dependencies.engine import cdevents
from detente.dependencies.levers import LONGEST_TITLE, fresh, risk_of
from detente.dependencies.queries import Change
from detente.facts.dependencies import ChangePlanned, ChangeRecorded
from detente.kernel.config.words import brief
from detente.kernel.fact import Fact, Subject
from detente.kernel.forms import BadForm, decoded
from detente.kernel.money import Money
from detente.kernel.node import Node
from detente.kernel.slice import Answered, Asked, Endpoint

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


class Posted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A change as any program may tell it."""

    title: str
    touches: tuple[str, ...] = ()
    at: str = ""
    link: str = ""
    id: str = ""


class Taken(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of what was posted."""

    recorded: bool
    about: Subject = ""
    says: str = ""
    repeated: bool = False
    planned: bool = False
    touches: tuple[Subject, ...] = ()
    central: tuple[Subject, ...] = ()
    falls: tuple[Subject, ...] = ()
    an_hour: tuple[Money, ...] = ()
    tell: tuple[Subject, ...] = ()


async def take_in(node: Node, asked: Asked) -> Answered:
    """A change told by a program: as plain JSON, or as a CDEvent. Told twice, it is written once."""
    body = _object(asked.body)
    event = cdevents.event_in(body)
    if event is not None:
        return await _take_event(node, asked, event)
    posted = _posted(body)
    said = Said(
        title=decisions.worded(posted.title, "title", LONGEST_TITLE),
        touches=decisions.subjects(posted.touches, node.catalogue, "touches"),
        at=decisions.when(posted.at, node.clock.now()) if posted.at else None,
        link=decisions.linked(posted.link),
    )
    about = f"change:{_checked(posted.id)}" if posted.id else fresh(node)
    return await _write(node, asked, about, said)


async def _take_event(node: Node, asked: Asked, event: Mapping[str, Any]) -> Answered:
    try:
        told = cdevents.read(event)
    except cdevents.NoCDEvent as wrong:
        raise BadForm(f"This is no CDEvent: {wrong}.") from None
    if not told.what:
        says = f"{told.type} is no change of a service or environment; nothing was written down"
        return _answer(Taken(recorded=False, says=says))
    touches = _known(node, told.names)
    if any(not node.catalogue.in_production(each, told.environment) for each in touches):
        says = f"{told.environment} is not production; nothing was written down"
        return _answer(Taken(recorded=False, says=says))
    title = decisions.worded(told.title, "subject.id", 4_000)
    said = Said(
        title=title if len(title) <= LONGEST_TITLE else f"{title[: LONGEST_TITLE - 1]}…",
        touches=touches,
        at=decisions.when(told.at, node.clock.now(), "context.timestamp"),
        link=told.link if re.fullmatch(r"https?://\S{1,2000}", told.link) else "",
    )
    return await _write(node, asked, _about_event(told), said)


def _known(node: Node, names: tuple[str, ...]) -> tuple[Subject, ...]:
    """The first of these names that is declared; a pipeline cannot know what things are called here."""
    found = (node.catalogue.find(name) for name in names)
    return next(((each,) for each in found if each), ())


def _about_event(told: cdevents.Event) -> Subject:
    """Events are the same if both their source and their id are."""
    digest = hashlib.sha256(f"{told.source}\n{told.id}".encode()).hexdigest()[:12]
    return f"change:cdevent-{digest}"


async def _write(node: Node, asked: Asked, about: Subject, said: Said) -> Answered:
    known = queries.change(node.rows, about)
    facts = decisions.record(about, said, risk_of(node, said.touches), node.clock.now())
    if known is None:
        by = asked.by if asked.by not in ("", "someone") else "program:changes"
        receipt = await node.record(*facts, by=by, key=f"dependencies:{about}")
        if not receipt.repeated:
            return _answer(_told(facts[0]), status=201)
        known = queries.change_or_not_found(node.rows, about)
    return _answer(_told_before(known))


def _told(fact: Fact) -> Taken:
    assert isinstance(fact, (ChangePlanned, ChangeRecorded))
    return Taken(
        recorded=True, about=fact.about, says=fact.says(), planned=isinstance(fact, ChangePlanned),
        touches=fact.touches, central=fact.central, falls=fact.falls, an_hour=fact.an_hour,
        tell=fact.tell,
    )  # fmt: skip


def _told_before(known: Change) -> Taken:
    says = f"was told before: {known.title}"
    return Taken(
        recorded=True, about=known.about, says=says, repeated=True, planned=known.state == "planned",
        touches=known.touches, central=known.central, falls=known.falls, an_hour=known.an_hour,
        tell=known.tell,
    )  # fmt: skip


def _answer(taken: Taken, status: int = 200) -> Answered:
    return Answered(body=msgspec.json.encode(taken), status=status)


def _object(body: bytes) -> dict[str, Any]:
    return decoded(body, dict[str, Any], '{"title": "moved sign-on", "touches": ["cas"]}')


def _posted(body: dict[str, Any]) -> Posted:
    if strange := [name for name in body if name not in Posted.__struct_fields__]:
        asked = ", ".join(Posted.__struct_fields__)
        raise BadForm(f"“{brief(strange[0])}” is not asked for here; a change has {asked}.")
    if "title" not in body:
        raise BadForm('title: this has to be filled in, such as "moved sign-on to a VM".')
    try:
        return msgspec.convert(body, Posted)
    except msgspec.ValidationError as wrong:
        name = str(wrong).rpartition("$.")[2].partition("[")[0].rstrip("`")
        like = 'a list of names, such as ["cas"]' if name == "touches" else "a text"
        raise BadForm(f"{name}: write {like}.") from None


def _checked(id: str) -> str:
    if not _ID.fullmatch(id):
        raise BadForm(
            "id: up to 80 letters, digits, dots, dashes and underscores, such as jira-4711."
        )
    return id


ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/dependencies/changes",
        explains="Tell of a change: {title, touches: [names], at?, link?, id?}, or a CDEvent about a"
        " service or environment. The same id twice is written once.",
        answer=take_in,
    ),
)
