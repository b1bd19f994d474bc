"""Every switch and knob, and one of them with all that is known of it, as people see them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import date
from typing import Any

import msgspec

from detente.facts.toggles import FlippedBack, GuardPassed, Set, SwitchedOn
from detente.kernel import sequential, spans
from detente.kernel.clock import Instant, Seconds, later, moment, seconds_between
from detente.kernel.faces import Handle, Told, levers_of, tell
from detente.kernel.fact import Fact, Subject, Tone, kind, plain
from detente.kernel.forms import BadForm
from detente.kernel.ledger import Query
from detente.kernel.node import Node
from detente.kernel.slice import Ask, Page, Panel, Sign
from detente.toggles import queries
from detente.toggles.decisions import guarding
from detente.toggles.decisions.definition import Declared
from detente.toggles.decisions.guarding import Flip, Watched
from detente.toggles.decisions.standing import (
    AS_DECLARED,
    Standing,
    counts,
    in_words,
    laid_over,
    tone,
)
from detente.toggles.engine.ruleset import UNSET, Answer
from detente.toggles.queries import Asked, Known, Step
from detente.toggles.settings import Guard, Toggles

_OVERDUE: Seconds = 60.0
_SHOWN: Seconds = 30 * 86_400.0
_A_DAY = 86_400.0


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One toggle in a list."""

    name: str
    title: str
    about: Subject
    tone: Tone
    state: str
    owner: str = ""
    of: Subject = ""
    since: Instant | None = None
    by: str = ""
    why: str = ""
    step: Step | None = None  # what is done next
    guarded_until: Instant | None = None  # a guard looks at it now
    asked_at: Instant | None = None
    advice: str = ""  # why it should go


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can be switched without shipping."""

    toggles: tuple[Line, ...]
    told: bool  # does any program tell what it asks for?


class Eye(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a guard looks at, with its numbers and its curve."""

    watched: Watched
    title: str
    tone: Tone
    state: str
    points: tuple[tuple[float, float], ...] = ()  # of the curve, in percent from the upper left


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    """The guard of the last switch: what it has seen, and what came of it."""

    flip: Flip
    tone: Tone
    state: str
    ends: Instant
    eyes: tuple[Eye, ...]
    needed: float  # what the evidence must reach
    line: float  # where that is, in percent from above
    promises: tuple[str, ...] = ()


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody would get, and why."""

    who: str
    attributes: str
    variant: str
    value: str
    because: str


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """A time when it was switched on."""

    start: Instant
    end: Instant | None
    tone: Tone
    says: str


class TogglePage(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about one toggle."""

    line: Line
    kind: str
    at: Instant
    start: Instant  # of the bar
    generation: str
    remove_by: str
    asked: Asked
    definition: str  # as programs get it
    declared: str  # as it is declared, where that is something else
    parts: tuple[Stretch, ...]
    steps: tuple[Step, ...]
    guard: Watch | None
    guards: str  # what its guard would look at, in words
    tried: Tried | None
    levers: tuple[Handle, ...]
    told: tuple[Told, ...]


class Mine(msgspec.Struct, frozen=True, kw_only=True):
    """The toggles of one service, vendor, journey or release."""

    toggles: tuple[Line, ...]


class Dead(msgspec.Struct, frozen=True, kw_only=True):
    """Toggles that could be taken out of the program."""

    toggles: tuple[Line, ...]


# -- pages -------------------------------------------------------------------------------------


def overview(node: Node, _ask: Ask) -> Overview:
    return Overview(toggles=lines(node), told=queries.anybody_tells(node.rows))


def lines(node: Node, only: Subject | None = None) -> tuple[Line, ...]:
    """Every toggle, or only that one; those that want somebody first, then by name."""
    standings, known = queries.all_standings(node.rows), queries.known(node.rows)
    steps = {each.about: each for each in reversed(queries.steps(node.rows))}
    guarded = {
        flip.about: guarding.ends(flip, guard.for_) for flip, _, guard in queries.under_guard(node)
    }
    found = [
        _line(node, each, standings.get(each.about, AS_DECLARED), known.get(each.about))
        for each in queries.toggles(node).values()
        if only in (None, each.about)
    ]
    whole = (
        msgspec.structs.replace(
            each, step=steps.get(each.about), guarded_until=guarded.get(each.about)
        )
        for each in found
    )
    return tuple(sorted(whole, key=lambda each: (each.tone != "warn", each.name)))


def _line(node: Node, toggle: Declared, standing: Standing, known: Known | None) -> Line:
    standing = counts(toggle, standing)
    asked = queries.asked_for(node.rows, toggle.about, node.clock.now())
    return Line(
        name=toggle.name,
        title=toggle.title,
        about=toggle.about,
        tone=tone(toggle, standing),
        state=in_words(toggle, standing),
        owner=toggle.owner,
        of=toggle.of,
        since=standing.since,
        by=standing.by,
        why=standing.why,
        asked_at=asked.last_at,
        advice=_advice(node, toggle, standing, asked, known),
    )


def _advice(
    node: Node, toggle: Declared, standing: Standing, asked: Asked, known: Known | None
) -> str:
    """Why it should go from the program and from the declaration; nothing, while it is wanted."""
    now, patience = node.clock.now(), node.settings(Toggles).forgotten_after
    day = moment(now).date()
    if toggle.remove_by and day > date.fromisoformat(toggle.remove_by):
        return (
            f"was to be removed by {toggle.remove_by}: take it out of the program, then out of here"
        )
    since = asked.last_at or (known.first_at if known else None)
    if queries.anybody_tells(node.rows) and since and seconds_between(since, now) > patience:
        days = int(seconds_between(since, now) // _A_DAY)
        return f"no program has asked for it in {days} days: take it out of the declaration"
    settled = standing.since and seconds_between(standing.since, now) > patience
    if settled and _same_for_all(toggle, standing):
        days = int(seconds_between(standing.since or now, now) // _A_DAY)
        return f"everybody has had it for {days} days: keep that branch and take the toggle out"
    return ""


def _same_for_all(toggle: Declared, standing: Standing) -> bool:
    return standing.state == "on" and standing.percent >= 100 and not toggle.rules


def one(node: Node, ask: Ask) -> TogglePage:
    about = f"toggle:{ask.path['name']}"
    toggle = queries.toggle_or_not_found(node, about)
    standing = counts(toggle, queries.standing(node.rows, about))
    now = node.clock.now()
    start = max(later(now, -_SHOWN), node.began())
    (line,) = lines(node, about)
    current, declared = _pretty(laid_over(toggle, standing)), _pretty(toggle.definition)
    return TogglePage(
        line=line,
        kind=toggle.kind,
        at=now,
        start=start,
        generation=node.settings(Toggles).generation,
        remove_by=toggle.remove_by,
        asked=queries.asked_for(node.rows, about, now),
        definition=current,
        declared=declared if declared != current else "",
        parts=_parts(node, about, start, now),
        steps=tuple(queries.steps(node.rows, about)),
        guard=_last_guard(node, toggle),
        guards=_guards(node, toggle),
        tried=_tried(node, toggle, ask),
        levers=tuple(
            Handle(each.name, each.label, each.explains, each.tone)
            for each in levers_of(node, about)
        ),
        told=_told(node, about),
    )


def _pretty(definition: Any) -> str:
    """JSON that people read: short things in one line."""
    return _laid_out(definition, "")


def _laid_out(part: Any, margin: str) -> str:
    flat = json.dumps(part, ensure_ascii=False)
    if len(margin) + len(flat) <= 78 or not isinstance(part, (dict, list)):
        return flat
    deeper = f"{margin}  "
    if isinstance(part, dict):
        rows = [f"{json.dumps(key)}: {_laid_out(each, deeper)}" for key, each in part.items()]
    else:
        rows = [_laid_out(each, deeper) for each in part]
    opens, closes = "{}" if isinstance(part, dict) else "[]"
    return f"{opens}\n{deeper}" + f",\n{deeper}".join(rows) + f"\n{margin}{closes}"


def _parts(node: Node, about: Subject, start: Instant, now: Instant) -> tuple[Stretch, ...]:
    found = spans.overlapping(node.rows, start, now + 1, kind="toggle on", about=(about,))
    return tuple(
        Stretch(start=each.start, end=each.end, tone="good", says=each.says) for each in found
    )


def _told(node: Node, about: Subject) -> tuple[Told, ...]:
    found = node.ledger.read(Query(subjects=(about,)), backwards=True, limit=60)
    return tuple(tell(node, each) for each in found)


# -- the guard ---------------------------------------------------------------------------------


def _guards(node: Node, toggle: Declared) -> str:
    if toggle.guard is None:
        return ""
    named = [each.replace(":", " ", 1) for each in queries.eyes(node, toggle, toggle.guard)]
    named += [f"promise {each}" for each in toggle.guard.promises]
    return ", ".join([*named, "what programs tell of each side"])


def _last_guard(node: Node, toggle: Declared) -> Watch | None:
    """Of the last switch that a guard had to look at."""
    guard = toggle.guard
    flip = next(iter(queries.flips(node.rows, toggle.about, limit=1)), None)
    if guard is None or flip is None:
        return None
    watched = queries.watched(node, toggle, guard, flip)
    needed = sequential.needed(len(watched))
    ends = guarding.ends(flip, guard.for_)
    look, state = _outcome(node, flip, guard)
    return Watch(
        flip=flip,
        tone=look,
        state=state,
        ends=ends,
        eyes=tuple(_eye(node, each, needed, flip.at, ends) for each in watched),
        needed=needed,
        line=_height(needed, needed),
        promises=guard.promises,
    )


def _outcome(node: Node, flip: Flip, guard: Guard) -> tuple[Tone, str]:
    if flip.outcome:
        for recorded in node.ledger.read(after=flip.outcome - 1, until=flip.outcome):
            return recorded.fact.tone, _said(recorded.fact)
    if flip.ended_at is not None:
        return "plain", "had not finished when somebody switched it again"
    if node.clock.now() < guarding.ends(flip, guard.for_):
        return "plain", "is looking, and blames nothing so far"
    return "plain", "has looked long enough"


def _said(outcome: Fact) -> str:
    match outcome:
        case FlippedBack():
            return f"flipped it back: {outcome.why}"
        case GuardPassed():
            return f"let it stay: {outcome.note}"
        case _:
            return outcome.says()


def _eye(node: Node, watched: Watched, needed: float, start: Instant, end: Instant) -> Eye:
    if watched.blind:
        look, state = "plain", f"tells nothing: {watched.blind}"
    elif watched.e_value >= needed:
        look, state = "bad", "more than chance explains"
    elif not watched.of:
        look, state = "plain", "has told nothing yet"
    else:
        look, state = "good", "no more than chance explains"
    own = kind(watched.about) == "toggle"
    return Eye(
        watched=watched,
        title="what programs tell" if own else watched.about.replace(":", " ", 1),
        tone=look,  # type: ignore[arg-type]
        state=state,
        points=tuple(_curve(watched, needed, start, end)),
    )


_LOWEST = -1.0  # of the picture: evidence for innocence is worth a look, and no more


def _curve(
    watched: Watched, needed: float, start: Instant, end: Instant
) -> Iterator[tuple[float, float]]:
    """The evidence as it grew, as a line of steps."""
    height = _height(1.0, needed)
    yield 0.0, height
    for at, e_value in watched.course:
        across = 100 * (at - start) / max(1, end - start)
        yield round(across, 2), height
        height = _height(e_value, needed)
        yield round(across, 2), height


def _height(e_value: float, needed: float) -> float:
    """In percent from above, on a logarithmic scale that goes ten times higher than is needed."""
    highest = math.log10(needed) + 1
    value = min(highest, max(_LOWEST, math.log10(max(e_value, 1e-9))))
    return round(100 * (highest - value) / (highest - _LOWEST), 2)


# -- who would get what --------------------------------------------------------------------------


def _tried(node: Node, toggle: Declared, ask: Ask) -> Tried | None:
    who, attributes = ask.query.get("who", "").strip(), ask.query.get("with", "").strip()
    if not who and not attributes:
        return None
    context = {**dict(_attributes(attributes)), **({"targetingKey": who} if who else {})}
    answer = queries.ruleset(node).evaluate(toggle.name, context, now=node.clock.now())
    value = "the program's own" if answer.value is UNSET else json.dumps(answer.value)
    return Tried(
        who=who,
        attributes=attributes,
        variant=answer.variant or "none",
        value=value,
        because=_because(answer),
    )


def _attributes(text: str) -> Iterator[tuple[str, Any]]:
    """'country=DE, beta=true' as names and values."""
    for part in filter(None, (each.strip() for each in text.split(","))):
        name, sign, said = part.partition("=")
        if not sign or not name.strip():
            raise BadForm(f"with: write name=value, with commas between, not “{part}”.")
        try:
            value = json.loads(said)
        except (ValueError, RecursionError):
            value = said.strip()
        yield name.strip(), value


def _because(answer: Answer) -> str:
    words = {
        "STATIC": "everybody gets this",
        "DEFAULT": "nothing else fits",
        "TARGETING_MATCH": "a rule or a share says so",
        "DISABLED": "it is disabled",
    }
    return words.get(answer.reason) or answer.error_details


# -- signs and panels ----------------------------------------------------------------------------


def signs(node: Node) -> list[Sign]:
    """What a guard flipped back, and what should have been switched and was not."""
    now, toggles = node.clock.now(), queries.toggles(node)
    back = [
        _flipped_back(toggles[plain(about)], standing)
        for about, standing in queries.all_standings(node.rows).items()
        if standing.state == "back" and plain(about) in toggles
    ]
    late = [each for each in queries.steps(node.rows) if each.at < later(now, -_OVERDUE)]
    return [*back, *map(_overdue, late)]


def _flipped_back(toggle: Declared, standing: Standing) -> Sign:
    return Sign(
        tone="warn",
        about=toggle.about,
        sentence=f"flipped back by its guard: {standing.why}",
        since=standing.since,
        href=f"/toggles/{toggle.name}",
    )


def _overdue(step: Step) -> Sign:
    return Sign(
        tone="warn",
        about=step.about,
        sentence=f"was to be put to {step.to}, and has not been",
        since=step.at,
        href=f"/toggles/{plain(step.about)}",
    )


def panel(node: Node, about: Subject) -> Mine | None:
    """The toggles that belong to it; nothing to show where there are none."""
    named = queries.of_release(node, about) if kind(about) == "release" else ()
    mine = tuple(
        each for each in lines(node) if about in (each.of, each.about) or each.about in named
    )
    return Mine(toggles=mine) if mine else None


def dead_panel(node: Node, _about: Subject) -> Dead | None:
    """A quiet word on *Now* about what could go."""
    dead = tuple(each for each in lines(node) if each.advice)
    return Dead(toggles=dead) if dead else None


_GUARDED = (
    SwitchedOn.name,
    Set.name,
    "watch.sheet_filed",
    "acceptance.ran",
    "acceptance.suite_ran",
    "work.call_parked",
)

PAGES = (
    Page(
        path="/toggles",
        title="Toggles",
        answer=overview,
        template="toggles/list.html",
        in_menu=True,
        hears=("toggles.*",),
    ),
    Page(
        path="/toggles/{name}",
        title="Toggle",
        answer=one,
        template="toggles/toggle.html",
        hears=("toggles.*", *_GUARDED),
    ),
)

PANELS = (
    Panel(
        title="Toggles",
        kinds=("service", "vendor", "journey", "infrastructure", "release", "toggle"),
        answer=panel,
        template="toggles/panel.html",
    ),
    Panel(
        title="Toggles that could go",
        kinds=("node",),
        answer=dead_panel,
        template="toggles/dead.html",
    ),
)
