"""How are the things all pages share drawn?

The templates' vocabulary: times, money, subjects, facts, bars. Macros in `kit.html` give it a look;
what has to be computed first is computed here. Everything that depends on who is reading (their time
zone, their name, the moment) comes from one `Reading`, set while a page is drawn.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import jinja2
import msgspec
from markupsafe import Markup

from detente.kernel.clock import NS, Instant, iso, lasting, moment
from detente.kernel.clock import ago as ago_then
from detente.kernel.faces import Told, levers_of, tell
from detente.kernel.fact import Subject, Tone, kind, plain
from detente.kernel.forms import questions
from detente.kernel.money import Money

if TYPE_CHECKING:
    from detente.kernel.node import Node
    from detente.kernel.slice import Lever, Page

TEMPLATES = Path(__file__).parent / "templates"
STATIC = Path(__file__).parent / "static"

WORDS: dict[Tone, str] = {
    "good": "all right",
    "warn": "worth a look",
    "bad": "not right",
    "plain": "noted",
}


class Flash(msgspec.Struct, frozen=True):
    """What has just happened, told once on the next page."""

    tone: Tone
    says: str


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """Who reads, when and where: what every page shows around its answer."""

    now: Instant
    zone: str = "UTC"
    who: str = ""
    path: str = "/"
    position: int = 0
    flash: Flash | None = None


_reading: ContextVar[Reading] = ContextVar("reading")


class Segment(msgspec.Struct, frozen=True):
    """One part of a bar, in percent of its width."""

    left: float
    width: float
    tone: Tone
    title: str


class Tick(msgspec.Struct, frozen=True):
    """One mark under a bar, in percent of its width."""

    left: float
    label: str
    anchor: str


class Row(msgspec.Struct, frozen=True):
    """One line of `kit.table`: its cells, each with the heading it stands under."""

    cells: tuple[tuple[str, str, Any], ...]


def environment(
    node: Node,
    folders: Mapping[str, Path],
    *,
    pages: Sequence[Page] = (),
    levers: Sequence[Lever] = (),
) -> jinja2.Environment:
    """Everything templates know. `folders`: where the templates of each noun are."""
    slices = {noun: jinja2.FileSystemLoader(folder) for noun, folder in folders.items()}
    kernel = jinja2.FileSystemLoader(TEMPLATES)
    made = jinja2.Environment(
        loader=jinja2.ChoiceLoader([kernel, jinja2.PrefixLoader(slices)]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "ago": ago,
        "at": at,
        "clock": clock,
        "day": day,
        "stamp": stamp,
        "iso": iso,
        "lasting": lasting,
        "money": money,
        "href": href,
        "kind": kind,
        "plain": plain,
        "tell": lambda recorded: tell(node, recorded),
        "by_day": by_day,
        "bar_part": lambda part: (part.start, part.end, part.tone, part.says),
        "asks": lambda lever: questions(lever.form),
    }
    made.tests["a_person"] = a_person
    made.globals |= {
        "reading": _reading.get,
        "name": node.name,
        "menu": [page for page in pages if page.in_menu],
        "within": _within,
        "words": WORDS,
        "version": {file.name: fingerprint(file) for file in sorted(STATIC.iterdir())},
        "title_of": node.title,
        "segments": segments,
        "ticks": ticks,
        "points": points,
        "rows_of": rows_of,
        "once": lambda: f"{node.chance.getrandbits(96):024x}",
        "lever_of": lambda lever: _lever(levers, lever),
        "levers_on": lambda about: levers_of(node, about),
        "shown": lambda panel, about: _shown(made, panel, about),
    }
    made.globals["kit"] = made.get_template("kit.html").module
    return made


def draw(environment: jinja2.Environment, template: str, reading: Reading, **variables: Any) -> str:
    """The page as text, for this reader."""
    token = _reading.set(reading)
    try:
        return environment.get_template(template).render(**variables)
    finally:
        _reading.reset(token)


def fingerprint(file: Path) -> str:
    """Changes with the file, so that browsers may keep it for good."""
    return hashlib.sha256(file.read_bytes()).hexdigest()[:12]


def _within(page: Page | None, entry: Page) -> bool:
    """Is that page the menu's entry, or below it?"""
    return (
        page is not None
        and f"{page.path}/".startswith(f"{entry.path.rstrip('/')}/")
        and (entry.path != "/" or page.path == "/")
    )


# Levers and panels


def _lever(levers: Iterable[Lever], wanted: Any) -> Lever:
    """The lever itself, whether a template has it, its name, or a struct that names it."""
    name = wanted if isinstance(wanted, str) else wanted.name
    for lever in levers:
        if lever.name == name:
            return lever
    raise LookupError(f"no lever is called {name}")


def _shown(environment: jinja2.Environment, panel: Any, about: Subject) -> Markup:
    inside = environment.get_template(panel.template).render(answer=panel.answer, about=about)
    return Markup(inside)


# Time


def ago(then: Instant) -> str:
    """'2 min ago', 'in 3 days', 'just now', seen from the moment the page is drawn."""
    return ago_then(then, _reading.get().now)


def local(then: Instant) -> datetime:
    return moment(then, _reading.get().zone)


def at(then: Instant) -> str:
    """Clock time where the reader is; with the day when that is not today."""
    here, today = local(then), local(_reading.get().now)
    if here.date() == today.date():
        return clock(then)
    year = f" {here.year}" if here.year != today.year else ""
    return f"{here.day} {here:%b}{year} {clock(then)}"


def clock(then: Instant) -> str:
    """Clock time alone, for places that say the day above."""
    return f"{local(then):%H:%M:%S}"


def stamp(then: Instant) -> str:
    """The whole truth about a point in time, for the title behind a short one."""
    here = local(then)
    return f"{here:%A} {here.day} {here:%B %Y, %H:%M:%S} {here:%Z}"


def day(then: Instant) -> str:
    """'Today', 'Yesterday', 'Friday 20 November'."""
    here, today = local(then).date(), local(_reading.get().now).date()
    if here == today:
        return "Today"
    if here == today - timedelta(days=1):
        return "Yesterday"
    year = f" {here.year}" if here.year != today.year else ""
    return f"{here:%A} {here.day} {here:%B}{year}"


def by_day(told: Iterable[Told]) -> list[tuple[str, list[Told]]]:
    """Facts under the day they happened on, where the reader is."""
    return [(name, list(group)) for name, group in groupby(told, key=lambda each: day(each.at))]


# People, money and subjects


def a_person(by: str) -> bool:
    """Machinery signs as `detente`, `detente:pager` or `place:here`; lines of a timeline name people."""
    return bool(by) and by not in ("detente", "someone") and ":" not in by


def money(amount: Money) -> tuple[str, str]:
    """The figures and the currency, apart, so that figures line up."""
    figures, _, currency = str(amount).rpartition(" ")
    return figures, currency


def href(about: Subject) -> str:
    """Where the subject lives."""
    return f"/subject/{quote(kind(about), safe='')}/{quote(plain(about), safe='')}"


# Pictures

_STEPS = tuple(
    seconds * NS
    for seconds in (
        *(1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200),
        *(86_400 * days for days in (1, 2, 7, 14, 28, 91, 182, 364)),
    )
)
_MOST_TICKS = 7


_ON_TOP: tuple[Tone, ...] = ("plain", "good", "warn", "bad")


def segments(
    parts: Iterable[tuple[Instant, Instant | None, Tone, str]], start: Instant, end: Instant
) -> list[Segment]:
    """The parts of a bar that fall inside it, the worst on top. A part without an end lasts until now."""
    now = _reading.get().now
    drawn = []
    for begin, finish, tone, title in sorted(parts, key=lambda part: _ON_TOP.index(part[2])):
        left, right = max(begin, start), min(now if finish is None else finish, end)
        if right > left:
            width = _percent(right - left, end - start)
            drawn.append(Segment(_percent(left - start, end - start), width, tone, title))
    return drawn


def ticks(start: Instant, end: Instant) -> list[Tick]:
    """A few round times under a bar, in the reader's time zone."""
    length = max(end - start, 1)
    step = next((each for each in _STEPS if length / each <= _MOST_TICKS), _STEPS[-1])
    shift = int((local(start).utcoffset() or timedelta()).total_seconds()) * NS
    first = -(-(start + shift) // step) * step - shift
    made = [_tick(each, step, start, length) for each in range(first, end + 1, step)]
    roomy = step >= length / 5  # else a label that leans inwards from the edge meets its neighbour
    return [each for each in made if roomy or each.anchor == "middle"]


def _tick(here: Instant, step: int, start: Instant, length: int) -> Tick:
    reads = local(here)
    midnight = (reads.hour, reads.minute, reads.second) == (0, 0, 0)
    hours = f"{reads:%H:%M}" if step >= 60 * NS else clock(here)
    label = f"{reads.day} {reads:%b}" if midnight else hours
    left = _percent(here - start, length)
    anchor = "start" if left < 8 else "end" if left > 92 else "middle"
    return Tick(left, label, anchor)


def points(values: Sequence[float]) -> str:
    """A line through the values, in a box of 100 by 24, for an SVG polyline."""
    low, high = min(values, default=0), max(values, default=0)
    height = (high - low) or 1
    step = 100 / max(len(values) - 1, 1)
    return " ".join(
        f"{index * step:.2f},{22 - 20 * (value - low) / height:.2f}"
        for index, value in enumerate(values)
    )


def rows_of(columns: Sequence[Any], rows: Iterable[Sequence[Any]]) -> Iterator[Row]:
    """Each cell with its heading and class: phones show a row as a card of headings and cells."""
    heads = [(column, "") if isinstance(column, str) else tuple(column) for column in columns]
    for row in rows:
        yield Row(tuple((*head, cell) for head, cell in zip(heads, row, strict=True)))


def _percent(part: int, whole: int) -> float:
    return round(100 * part / max(whole, 1), 3)
