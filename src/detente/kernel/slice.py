"""What does a slice add to the app?

A card lists it: what people may write in `detente.yaml`, the spans and rows it makes of facts, the
pages, panels and levers it shows, the effects it runs. Cards hold nouns and no logic, and whoever
holds the cards (`detente.slices`) holds the whole product.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from detente.kernel.catalogue import Catalogue, Measure
from detente.kernel.clock import Instant
from detente.kernel.config import Mistake
from detente.kernel.fact import Fact, Subject, Tone
from detente.kernel.money import Money
from detente.kernel.spans import SpanKind
from detente.kernel.views import Projection

if TYPE_CHECKING:
    from detente.kernel.node import Node


class NotFound(Exception):
    """There is nothing of that name here."""


class Refused(Exception):
    """A lever could not be pulled; the message says why and what to do instead."""


class Ask(msgspec.Struct, frozen=True):
    """One question put to a page: what stood in its path and behind the `?`."""

    path: Mapping[str, str] = {}
    query: Mapping[str, str] = {}


def encoded(answer: msgspec.Struct) -> bytes:
    """A page's answer as JSON; lengths, shares and times of a configuration as what they count."""
    return _encoder.encode(answer)


def _plain(value: object) -> object:
    """Spellings of `detente.yaml` are numbers and texts of their own kinds."""
    for kind in (float, int, str):
        if isinstance(value, kind):
            return kind(value)
    raise NotImplementedError(f"nobody knows how to write {type(value).__name__} as JSON")


_encoder = msgspec.json.Encoder(enc_hook=_plain)


@dataclass(frozen=True)
class Page:
    """One answer, shown as HTML and, with `.json` behind its path, to programs."""

    path: str  # "/work/calls/{call}"
    title: str
    answer: Callable[[Node, Ask], msgspec.Struct]  # raises NotFound
    template: str  # "work/call.html": the slice's own `templates/call.html`
    in_menu: bool = False
    hears: tuple[str, ...] = ()  # facts that change the answer; an open page then updates itself


@dataclass(frozen=True)
class Panel:
    """What a slice shows about a subject, wherever that subject is shown."""

    title: str
    kinds: tuple[str, ...]  # kinds of subject: "vendor", "route", …
    answer: Callable[[Node, Subject], msgspec.Struct | None]  # None: nothing to show
    template: str


class Pull(msgspec.Struct, frozen=True):
    """Somebody pulls a lever: on what, who, when, and what they filled in."""

    about: Subject
    by: str
    at: Instant
    form: Any  # of the type the lever names


class Decided(list[Fact]):
    """What a lever decided, where bytes are to be kept beside a fact: by its place among them."""

    def __init__(self, facts: Iterable[Fact], attach: Mapping[int, bytes]) -> None:
        super().__init__(facts)
        self.attach = attach


class Nothing(msgspec.Struct, frozen=True):
    """The form of a lever that asks for nothing."""


@dataclass(frozen=True)
class Lever:
    """One thing people can do about a subject: one decision, one fact, asked for by name.

    From this one record come the button on the page, the command in the terminal and the address
    programs post to. Fields of `form` become form fields and options, their names the labels.
    """

    name: str  # "work.hold"
    label: str  # "Hold": what stands on the button
    explains: str  # one sentence: what will happen
    kinds: tuple[str, ...]
    decide: Callable[[Node, Pull], Sequence[Fact]]  # raises Refused
    offered: Callable[[Node, Subject], bool] = lambda _node, _subject: True
    form: type[msgspec.Struct] = Nothing
    tone: Tone = "plain"
    unless: tuple[str, ...] = ()
    """Facts about the subject that make the decision stale: refused if one came meanwhile."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What another program sent to an endpoint."""

    method: str
    path: Mapping[str, str] = {}
    query: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}  # names in lower case
    body: bytes = b""
    by: str = ""  # who says they are acting


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """What it gets: bytes, or bytes as they come for as long as it listens."""

    body: bytes = b""
    status: int = 200
    type: str = "application/json"
    headers: Mapping[str, str] = {}
    stream: AsyncIterator[bytes] | None = None


@dataclass(frozen=True)
class Endpoint:
    """An address for other programs: a webhook, a feed, a protocol of somebody else's.

    Who may come in is decided at the door, as for pages: reading is free to whoever reaches the
    node, everything but GET shows the node's token. With `admits` it decides by itself instead, for
    reading too: for programs that have a token of their own, or sign what they send.
    """

    method: str  # "GET", "POST", "PUT", "DELETE"
    path: str  # "/dependencies/changes", "/ofrep/v1/evaluate/flags/{key}"
    explains: str  # one sentence, for the description at /openapi.json
    answer: Callable[[Node, Asked], Awaitable[Answered]]  # raises NotFound, Refused, BadForm
    admits: Callable[[Node, Asked], bool] | None = None  # is asked before the body is read
    largest: int | None = None  # bytes in a body, if they may be more than a form's


class Sign(msgspec.Struct, frozen=True, kw_only=True):
    """One line on *Now*: what is the matter, with what, since when, who has it, what it costs."""

    tone: Tone
    about: Subject
    sentence: str
    since: Instant | None = None
    held_by: str | None = None
    costs: tuple[Money, ...] = ()
    href: str | None = None
    of: Subject | None = None  # the vendor or service behind it; their signs are one trouble


@dataclass(frozen=True)
class Effect:
    """The part that reaches outside: runs as long as the node does, restarted if it stumbles."""

    name: str
    run: Callable[[Node], Awaitable[None]]
    wanted: Callable[[Node], bool] = lambda _node: True


@dataclass(frozen=True)
class Slice:
    """The card."""

    noun: str
    question: str
    settings: type[msgspec.Struct]
    measures: Callable[[Any, Catalogue], Mapping[str, Measure]] | None = None  # its checks, if any
    declares: Callable[[Any], Mapping[str, Mapping[str, object]]] | None = None
    """What others may refer to by name, by its kind: `{"route": settings.routes}`."""
    mistakes: Callable[[Any, Any], Iterable[Mistake]] | None = (
        None  # (settings, catalogue) → mistakes
    )
    projection: Projection | None = None
    spans: tuple[SpanKind, ...] = ()
    signs: Callable[[Node], Sequence[Sign]] | None = None
    pages: tuple[Page, ...] = ()
    panels: tuple[Panel, ...] = ()
    levers: tuple[Lever, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    effects: tuple[Effect, ...] = ()
    commands: str | None = None  # "detente.work.cli:work", loaded when asked for
    facts: str = ""  # the module in detente.facts; by default named like the slice
    docs: Mapping[str, str] = field(default_factory=dict)
