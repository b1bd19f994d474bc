"""Is everything all right; what happened; and what about this one?

The three pages the kernel itself answers, out of what every slice's card offers: signs, panels,
levers, and the facts in the ledger.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from detente.kernel import spans
from detente.kernel.clock import Instant, later
from detente.kernel.config.words import hint
from detente.kernel.fact import Fact, Recorded, Subject, Tone, encode, kind, known, plain
from detente.kernel.forms import BadForm
from detente.kernel.ledger import Query
from detente.kernel.money import Money
from detente.kernel.money import total as sums
from detente.kernel.slice import Ask, Lever, NotFound, Page, Panel, Sign
from detente.kernel.views import Unfolded

if TYPE_CHECKING:
    from detente.kernel.node import Node, Unwritten

HERE: Subject = "node:here"
"""The node as a subject: a panel for the kind `node` stands on *Now*."""

_PAGE_OF_FACTS = 60
_LAST_FACTS = 12
_A_DAY = 86_400.0
_LOOK_BACK = 5_000
_MOST_SPANS = 400
_EVERYTHING = ("*",)
_DECLARED = ("vendor", "service", "infrastructure", "journey", "team")
_WITH_A_DAY = (
    "vendor",
    "service",
    "infrastructure",
)  # the others show their own bars, or never are down
_WORST_FIRST: tuple[Tone, ...] = ("bad", "warn", "plain", "good")


# Answers


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One fact as a timeline tells it."""

    position: int
    at: Instant
    by: str
    name: str
    about: Subject
    title: str
    tone: Tone
    says: str
    routine: bool
    quiet: int = 0
    """How many routine facts stand between this one and the next older one told."""
    fact: msgspec.Raw


class Shown(msgspec.Struct, frozen=True):
    """One slice's panel about the subject."""

    noun: str
    title: str
    answer: Any
    template: str


class Handle(msgspec.Struct, frozen=True):
    """One thing people can do about the subject: post to /levers/{name}."""

    name: str
    label: str
    explains: str
    tone: Tone


class Part(msgspec.Struct, frozen=True):
    """One span of a subject's last day."""

    start: Instant
    end: Instant | None
    tone: Tone
    says: str


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that people declared or a slice looks at, and how it is."""

    about: Subject
    title: str
    tone: Tone
    says: str
    since: Instant | None = None
    href: str | None = None
    parts: tuple[Part, ...] = ()


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is the matter with one thing: its signs and those of its parts."""

    about: Subject
    tone: Tone
    since: Instant | None
    held_by: str | None
    costs: tuple[Money, ...]
    signs: tuple[Sign, ...]


class Now(msgspec.Struct, frozen=True, kw_only=True):
    """Is everything all right?"""

    at: Instant
    day_starts: Instant
    tone: Tone
    sentence: str
    note: str
    signs: tuple[Sign, ...]
    troubles: tuple[Trouble, ...]
    """The same signs, under the vendor or service that they are about in the end."""
    costs: tuple[Money, ...]
    watched: tuple[Watched, ...]
    panels: tuple[Shown, ...]
    told: tuple[Told, ...]


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """What happened, newest first?"""

    told: tuple[Told, ...]
    slices: tuple[str, ...]
    only: str | None
    about: Subject | None
    routine: bool
    older: int | None
    """Ask with `?before=` this position for what came before; None when this is the beginning."""


class SubjectPage(msgspec.Struct, frozen=True, kw_only=True):
    """What about this one?"""

    about: Subject
    title: str
    kind: str
    at: Instant
    day_starts: Instant
    tone: Tone
    says: str
    """Empty where there is nothing to judge: a call, a team."""
    signs: tuple[Sign, ...]
    parts: tuple[Part, ...]
    """The last 24 hours of a vendor or service."""
    panels: tuple[Shown, ...]
    levers: tuple[Handle, ...]
    told: tuple[Told, ...]


# Pages


def now_page() -> Page:
    """The first page anybody sees."""
    return Page(
        path="/", title="Now", answer=now, template="now.html", in_menu=True, hears=_EVERYTHING
    )


def timeline_page() -> Page:
    return Page(
        path="/timeline",
        title="Timeline",
        answer=timeline,
        template="timeline.html",
        in_menu=True,
        hears=_EVERYTHING,
    )


def subject_page() -> Page:
    return Page(
        path="/subject/{kind}/{name}",
        title="Subject",
        answer=subject,
        template="subject.html",
        hears=_EVERYTHING,
    )


def now(node: Node, _ask: Ask) -> Now:
    at, signs = node.clock.now(), signs_of(node)
    amiss = _amiss(node, at)
    wrong = tuple(sign for sign in signs if sign.tone in ("bad", "warn"))
    troubles = _troubles(node, wrong, amiss)
    watched = tuple(_watched(node, signs, amiss, _unwatched(node, at)))
    tone, sentence, note = verdict(troubles, watching=bool(signs), declared=bool(watched))
    return Now(
        at=at,
        day_starts=node.last_day(),
        tone=tone,
        sentence=sentence,
        note=note,
        signs=wrong,
        troubles=troubles,
        costs=sums(cost for trouble in troubles for cost in trouble.costs),
        watched=watched,
        panels=panels_of(node, HERE),
        told=_tell_all(node, node.ledger.read(_notable(), limit=_LAST_FACTS, backwards=True)),
    )


def timeline(node: Node, ask: Ask) -> Timeline:
    only, about = ask.query.get("slice") or None, ask.query.get("about") or None
    routine = ask.query.get("routine") == "1"
    slices = tuple(sorted({name.partition(".")[0] for name in known()}))
    if only and only not in slices:
        raise BadForm(f"There is no slice called “{only}”; {hint(only, slices, 'there are')}")
    query = _notable(only, about, routine=routine)
    until = _position(ask.query.get("before")) - 1 if ask.query.get("before") else None
    found = node.ledger.read(query, until=until, limit=_PAGE_OF_FACTS + 1, backwards=True)
    recorded = list(found) if until is None or until > 0 else []
    page = recorded[:_PAGE_OF_FACTS]
    older = recorded[len(page)].position if len(recorded) > len(page) else 0
    told = _tell_all(node, page)
    return Timeline(
        told=told if only or about or routine else tuple(_with_quiet(told, older)),
        slices=slices,
        only=only,
        about=about,
        routine=routine,
        older=page[-1].position if older else None,
    )


def subject(node: Node, ask: Ask) -> SubjectPage:
    about = f"{ask.path['kind']}:{ask.path['name']}"
    at = node.clock.now()
    amiss = _amiss(node, at)
    signs = _signs_about(node, about, amiss)
    panels = panels_of(node, about)
    told = _tell_all(node, islice(_mentioning(node, about), _PAGE_OF_FACTS))
    declared = kind(about) in _DECLARED  # then a panel alone, which knows any name, is no proof
    if not (node.catalogue.entry(about) or signs or told or (panels and not declared)):
        raise NotFound(f"Nothing called “{plain(about)}” is known here as a {kind(about)}.")
    tone, says, parts = _last_day(node, about, signs, amiss)
    return SubjectPage(
        about=about,
        title=node.title(about),
        kind=kind(about),
        at=at,
        day_starts=node.last_day(),
        tone=tone,
        says=says,
        signs=signs,
        parts=parts,
        panels=panels,
        levers=tuple(_handle(lever) for lever in levers_of(node, about)),
        told=told,
    )


def _signs_about(node: Node, about: Subject, amiss: list[tuple[Part, Fact]]) -> tuple[Sign, ...]:
    """The signs of one thing. Whoever has the trouble that it is a part of has this too."""
    said, owners = signs_of(node), _owners(node, amiss)
    owner = owners.get(about, about)
    whole = (sign for sign in said if owners.get(sign.about, sign.about) == owner)
    holder = next((sign.held_by for sign in whole if sign.held_by), None)
    return tuple(
        msgspec.structs.replace(sign, held_by=sign.held_by or holder)
        if sign.tone in ("bad", "warn")
        else sign
        for sign in said
        if sign.about == about
    )


def _last_day(
    node: Node, about: Subject, signs: tuple[Sign, ...], amiss: list[tuple[Part, Fact]]
) -> tuple[Tone, str, tuple[Part, ...]]:
    """How it is and was; of what is never down itself (a call, a team) there is nothing to say."""
    own = _parts(amiss, about)
    tone, says, _since, _href = _how(signs[0] if signs else None, own)
    if kind(about) in _WITH_A_DAY:
        return tone, says, (*_unwatched(node, node.clock.now()), *own)
    judged = signs or any(part.end is None for part in own)
    return tone, says if judged else "", ()


# Signs, panels, levers


def signs_of(node: Node) -> list[Sign]:
    """What every slice has to say, worst first, then longest-standing first."""
    said = [sign for card in node.cards if card.signs for sign in card.signs(node)]
    if not node.running:
        said = [_nobody_watches(node), *(sign for sign in said if sign.tone in ("bad", "warn"))]
    elif node.unwritten:
        said = [_nothing_is_written(node.unwritten), *said]
    said += map(_unfolded, node.views.unfolded())
    return sorted(said, key=lambda sign: (_WORST_FIRST.index(sign.tone), sign.since or 0))


def _nobody_watches(node: Node) -> Sign:
    last = next(iter(node.ledger.read(backwards=True, limit=1)), None)
    says = "Détente is not running: nothing is watched, and no call is passed on"
    return Sign(tone="bad", about=HERE, sentence=says, since=last.at if last else None)


def _nothing_is_written(unwritten: Unwritten) -> Sign:
    reason = unwritten.reason.rstrip(".")
    says = (
        f"nothing can be written down: {reason}. Until it can, results and messages are kept in"
        " memory only, and calls are refused"
    )
    return Sign(tone="bad", about=HERE, sentence=says, since=unwritten.since)


def _unfolded(missing: Unfolded) -> Sign:
    many = f"{missing.facts:,} facts".replace(",", " ") if missing.facts > 1 else "one fact"
    says = (
        f"{many} could not be folded into the rows of “{missing.noun}”, first at position"
        f" {missing.first} ({missing.error}): its pages may miss something. The ledger is whole; please"
        " report this"
    )
    return Sign(tone="warn", about=HERE, sentence=says)


def panels_of(node: Node, about: Subject) -> tuple[Shown, ...]:
    """What every slice shows about the subject."""
    offered = (
        (card.noun, panel)
        for card in node.cards
        for panel in card.panels
        if kind(about) in panel.kinds
    )
    return tuple(shown for noun, panel in offered if (shown := _show(node, noun, panel, about)))


def levers_of(node: Node, about: Subject) -> list[Lever]:
    """What people can do about the subject now."""
    levers = (lever for card in node.cards for lever in card.levers if kind(about) in lever.kinds)
    return [lever for lever in levers if lever.offered(node, about)]


def verdict(
    troubles: tuple[Trouble, ...], *, watching: bool, declared: bool
) -> tuple[Tone, str, str]:
    """Everything in one calm sentence, and one more about whether somebody has it."""
    bad = [trouble for trouble in troubles if trouble.tone == "bad"]
    if bad:
        what = "One thing is" if len(bad) == 1 else f"{_count(len(bad)).capitalize()} things are"
        return "bad", f"{what} not all right.", _held(bad)
    if troubles:
        what = (
            "one thing deserves"
            if len(troubles) == 1
            else f"{_count(len(troubles))} things deserve"
        )
        return "warn", f"Everything works; {what} a look.", _held(list(troubles))
    if watching:
        return "good", "Everything is all right.", "Nothing needs you."
    if declared:
        return "plain", "Nothing is known to be wrong.", "No check has told of anything yet."
    return "plain", "Nothing is watched yet.", "Declare a vendor or a service in detente.yaml."


def _count(number: int) -> str:
    words = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    return words[number] if number < len(words) else str(number)


def _held(troubles: list[Trouble]) -> str:
    held = [trouble.held_by for trouble in troubles]
    holders = list(dict.fromkeys(name for name in held if name))
    free = held.count(None)
    if not holders:
        return "Nobody has it yet." if free == 1 else "Nobody has them yet."
    has = f"{holders[0]} has it" if len(holders) == 1 else f"{', '.join(holders)} are on it"
    return f"{has}; {free} more still free." if free else f"{has}."


def _troubles(
    node: Node, signs: tuple[Sign, ...], amiss: list[tuple[Part, Fact]]
) -> tuple[Trouble, ...]:
    """Signs of a vendor, of its checks and of the routes to it are one trouble, not three."""
    owners = _owners(node, amiss)
    things: dict[Subject, list[Sign]] = {}
    for sign in signs:
        things.setdefault(owners.get(sign.about, sign.of or sign.about), []).append(sign)
    return tuple(_trouble(about, each) for about, each in things.items())


def _trouble(about: Subject, signs: list[Sign]) -> Trouble:
    """Costs are taken from one sign: two slices that count the same money do not make it double."""
    signs = sorted(signs, key=lambda sign: (_WORST_FIRST.index(sign.tone), sign.about != about))
    return Trouble(
        about=about,
        tone=signs[0].tone,
        since=next((sign.since for sign in signs if sign.since), None),
        held_by=next((sign.held_by for sign in signs if sign.held_by), None),
        costs=next((sign.costs for sign in signs if sign.costs), ()),
        signs=tuple(signs),
    )


def _owners(node: Node, amiss: list[tuple[Part, Fact]]) -> dict[Subject, Subject]:
    """Of which vendor or service everything is that is down now."""
    return {fact.about: _owner(node, fact) for part, fact in amiss if part.end is None}


def _owner(node: Node, fact: Fact) -> Subject:
    """The vendor or service that the fact names, or else what it is about."""
    named = (getattr(fact, name) for name in fact.__struct_fields__)
    declared = (each for each in named if isinstance(each, str) and node.catalogue.entry(each))
    return next(declared, fact.about)


def _show(node: Node, noun: str, panel: Panel, about: Subject) -> Shown | None:
    answer = panel.answer(node, about)
    return None if answer is None else Shown(noun, panel.title, answer, panel.template)


def _handle(lever: Lever) -> Handle:
    return Handle(lever.name, lever.label, lever.explains, lever.tone)


# What is watched


def _watched(
    node: Node, signs: list[Sign], amiss: list[tuple[Part, Fact]], unwatched: tuple[Part, ...]
) -> Iterator[Watched]:
    """Everything declared, then whatever else a slice gives a good sign of."""
    worst = {sign.about: sign for sign in reversed(signs)}
    declared = [f"vendor:{name}" for name in node.catalogue.vendors]
    declared += [f"service:{name}" for name in node.catalogue.services]
    looked_at = {measure.of for measure in node.catalogue.measures.values()}
    declared += [each for each in node.catalogue.entries if each in looked_at]
    shown_well = [sign.about for sign in signs if sign.tone in ("good", "plain")]
    for about in dict.fromkeys((*declared, *shown_well)):
        parts = (*unwatched, *_parts(amiss, about))
        tone, says, since, href = _how(worst.get(about), parts)
        yield Watched(
            about=about,
            title=node.title(about),
            tone=tone,
            says=says,
            since=since,
            href=href,
            parts=parts,
        )


def _how(
    sign: Sign | None, parts: tuple[Part, ...]
) -> tuple[Tone, str, Instant | None, str | None]:
    """A bad sign of the thing itself, then trouble with a part of it, then a good sign, then silence."""
    open_parts = sorted((part for part in parts if part.end is None), key=lambda part: part.tone)
    if sign and (sign.tone in ("bad", "warn") or not open_parts):
        return sign.tone, sign.sentence, sign.since, sign.href
    if open_parts:
        return open_parts[0].tone, open_parts[0].says, open_parts[0].start, None
    return "plain", "no trouble known", None, None


def _amiss(node: Node, at: Instant) -> list[tuple[Part, Fact]]:
    """What went wrong in the last 24 hours, each with the fact that began it."""
    tones = {span.name: span.opens[0].tone for card in node.cards for span in card.spans}
    begun = spans.overlapping(node.views.rows, later(at, -_A_DAY), at)
    wrong = [span for span in begun if tones.get(span.kind) in ("bad", "warn")]
    return [
        (Part(span.start, span.end, _weight(node, opening, tones[span.kind]), span.says), opening)
        for span in wrong[-_MOST_SPANS:]
        for opening in _opening(node, span.opened_by)
    ]


def _weight(node: Node, opening: Fact, tone: Tone) -> Tone:
    """What fails in a test twin only is worth a look and no more."""
    of, environment = getattr(opening, "of", ""), getattr(opening, "environment", "")
    return tone if node.catalogue.in_production(of, environment) else "warn"


def _unwatched(node: Node, at: Instant) -> tuple[Part, ...]:
    """When in the last 24 hours no node ran: of that time nothing is known, good or bad."""
    parts: list[Part] = []
    stopped: Instant | None = None
    lately = node.ledger.read(Query(names=("node.*",)), backwards=True, limit=_MOST_SPANS)
    for recorded in reversed(list(lately)):
        if recorded.name == "node.stopped":
            stopped = recorded.at
        elif stopped is not None:
            parts.append(Part(stopped, recorded.at, "plain", "Détente was not running"))
            stopped = None
    return tuple(parts)


def _opening(node: Node, position: int) -> Iterator[Fact]:
    for recorded in node.ledger.read(after=position - 1, until=position):
        yield recorded.fact


def _parts(amiss: list[tuple[Part, Fact]], about: Subject) -> tuple[Part, ...]:
    return tuple(part for part, opening in amiss if _mentions(opening, about))


def _mentions(fact: Fact, about: Subject) -> bool:
    """Is it about the subject, or does it name it (the outage of a check *of* a vendor)?"""
    values = (getattr(fact, name) for name in fact.__struct_fields__)
    return any(about in each if isinstance(each, tuple) else each == about for each in values)


# Facts


def tell(node: Node, recorded: Recorded | Told) -> Told:
    """A recorded fact in the words of a timeline."""
    if isinstance(recorded, Told):
        return recorded
    fact = recorded.fact
    return Told(
        position=recorded.position,
        at=recorded.at,
        by=recorded.by,
        name=recorded.name,
        about=recorded.about,
        title=node.title(recorded.about),
        tone=fact.tone,
        says=fact.says(),
        routine=fact.routine,
        fact=msgspec.Raw(encode(fact)),
    )


def _tell_all(node: Node, recorded: Iterable[Recorded]) -> tuple[Told, ...]:
    return tuple(tell(node, each) for each in recorded)


def _notable(
    only: str | None = None, about: Subject | None = None, *, routine: bool = False
) -> Query:
    """The facts that timelines tell. Names nobody knows here are shown among the routine ones."""
    subjects = (about,) if about else ()
    whole = (f"{only}.*",) if only else ()
    names = tuple(name for name, cls in known().items() if not cls.routine)
    wanted = tuple(name for name in names if only is None or name.startswith(f"{only}."))
    return Query(names=whole if routine else wanted or whole, subjects=subjects)


def _mentioning(node: Node, about: Subject) -> Iterator[Recorded]:
    """Facts about the subject; for what is in the catalogue, notable facts that name it too."""
    if node.catalogue.entry(about) is None:
        yield from node.ledger.read(Query(subjects=(about,)), backwards=True)
        return
    for recorded in node.ledger.read(_notable(), limit=_LOOK_BACK, backwards=True):
        if _mentions(recorded.fact, about):
            yield recorded


def _with_quiet(told: tuple[Told, ...], then: int) -> Iterator[Told]:
    """Positions have no gaps, so the gap between two told facts counts the ones left out.

    `then` is the position of the fact that follows on the next page, 0 at the beginning.
    """
    older = (*(each.position for each in told[1:]), then)
    for each, below in zip(told, older, strict=False):
        yield msgspec.structs.replace(each, quiet=each.position - below - 1)


def _position(text: str | None) -> int:
    try:
        return int(text or "")
    except ValueError:
        raise NotFound(
            f"“{text}” is not a position in the ledger; positions are numbers."
        ) from None
