"""What does a story say that somebody brings along as a plain list of times?

Markdown (a list item a moment) or CSV (a line a moment). Words in brackets say what a line means:
`[change]`, `[down checkout]`, `[noticed customers]`, `[told ops]`, `[action]`, `[up checkout]`, `[over]`,
`[note]`. Where there are none the words of the sentence decide, and it is said that they did.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal, get_args

import msgspec

from detente.incidents.engine.acts import Moment, Sort
from detente.kernel.clock import Instant, instant

Meaning = Literal["change", "down", "noticed", "told", "action", "up", "over", "note"]

EVERYTHING = "it"
"""What is down where a story does not name it."""


class Mistake(msgspec.Struct, frozen=True):
    """One line that cannot be read, and what to do about it."""

    line: int
    says: str


class BadStory(Exception):
    """The file cannot be read as a story; each mistake names its line and the remedy."""

    def __init__(self, name: str, mistakes: Sequence[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__(
            "\n".join(f"{name}, line {each.line}: {each.says}" for each in self.mistakes)
        )


class Tag(msgspec.Struct, frozen=True):
    """One meaning of a line, and of what or whom."""

    meaning: Meaning
    of: str = ""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One moment of the story as it was brought."""

    number: int  # in the file
    at: Instant
    says: str
    tags: tuple[Tag, ...]
    guessed: bool = False  # nobody said what it means; its words decided

    def means(self, *meanings: Meaning) -> bool:
        return any(each.meaning in meanings for each in self.tags)


class Brought(msgspec.Struct, frozen=True, kw_only=True):
    """The whole story."""

    title: str
    lines: tuple[Line, ...]
    dated: bool  # does it say on which day?


class _Row(msgspec.Struct, frozen=True):
    """A line before its time is understood."""

    number: int
    when: str
    says: str
    tags: tuple[Tag, ...]


def read(text: str, name: str) -> Brought:
    """The story. Raises BadStory with every line that cannot be read."""
    mistakes: list[Mistake] = []
    as_csv = name.lower().endswith(".csv")
    title, rows = _from_csv(text, name, mistakes) if as_csv else _from_markdown(text, mistakes)
    lines, dated = _timed(rows, mistakes)
    if not mistakes and not lines:
        how = (
            "a line “time,what” first"
            if as_csv
            else "a list such as “- 21:40 Release 4.2 goes out”"
        )
        mistakes.append(Mistake(1, f"no moment is told here; write {how}."))
    if mistakes:
        raise BadStory(name, sorted(mistakes, key=lambda each: each.line))
    return Brought(title=title or "What happened", lines=tuple(lines), dated=dated)


# Markdown

_ITEM = re.compile(r"^[-*+]\s+(?P<rest>.*)$")
_WHEN = re.compile(
    r"^(?P<when>(?:\d{4}-\d{1,2}-\d{1,2}(?:[T ]+\d{1,2}[:.h]\d{2}(?::\d{2})?)?"
    r"|\d{1,2}[:.h]\d{2}(?::\d{2})?)(?:\s*[ap]m\b)?)Z?(?:\s*[-–—:,]\s+|\s+|$)(?P<what>.*)$",
    re.IGNORECASE,
)
_TAG = re.compile(r"\[([^\]]*)\](?!\()")


def _from_markdown(text: str, mistakes: list[Mistake]) -> tuple[str, list[_Row]]:
    title, rows = "", []
    for number, said in _items(text):
        if said.startswith("# "):
            title = title or said[2:].strip()
            continue
        found = _WHEN.match(said)
        if found is None:
            begins = said if len(said) < 30 else f"{said[:29]}…"
            mistakes.append(
                Mistake(
                    number,
                    f"“{begins}” does not begin with a time; write 21:40 or 2026-03-03 21:40 first.",
                )
            )
            continue
        tags = _tags(number, _TAG.findall(found["what"]), mistakes)
        says = " ".join(_TAG.sub("", found["what"]).split())
        rows.append(_Row(number, found["when"], says, tags))
    return title, rows


def _items(text: str) -> Iterator[tuple[int, str]]:
    """(line, text) of titles and list items; what is indented below an item belongs to it."""
    held: tuple[int, str] | None = None
    for number, line in enumerate(text.splitlines(), 1):
        item = _ITEM.match(line)
        if held is not None and not item and line[:1] in " \t" and line.strip():
            held = (held[0], f"{held[1]} {line.strip()}")
            continue
        if held is not None:
            yield held
        held = (number, item["rest"].strip()) if item else None
        if line.startswith("# "):
            yield number, line
    if held is not None:
        yield held


def _tags(number: int, said: Iterable[str], mistakes: list[Mistake]) -> tuple[Tag, ...]:
    tags = []
    for each in said:
        word, _, of = each.strip().partition(" ")
        meaning = next(
            (known for known in get_args(Meaning) if known == word.lower().rstrip(":")), None
        )
        if meaning is None:
            known = ", ".join(get_args(Meaning))
            mistakes.append(
                Mistake(number, f"“[{each}]” means nothing here; the words are {known}.")
            )
        else:
            tags.append(Tag(meaning, of.strip().lower()))
    return tuple(tags)


# CSV

_COLUMNS = ("time", "what", "kind", "thing")


def _from_csv(text: str, name: str, mistakes: list[Mistake]) -> tuple[str, list[_Row]]:
    lines = text.splitlines()
    head = lines[0] if lines else ""
    reader = csv.DictReader(lines, delimiter=";" if head.count(";") > head.count(",") else ",")
    columns = [(each or "").strip().lower() for each in reader.fieldnames or ()]
    if not {"time", "what"} <= set(columns):
        says = "the first line must name the columns: time, what and, if you like, kind and thing."
        mistakes.append(Mistake(1, says))
        return "", []
    if strange := [each for each in columns if each not in _COLUMNS]:
        says = f"no column is called “{strange[0]}”; they are {', '.join(_COLUMNS)}."
        mistakes.append(Mistake(1, says))
        return "", []
    reader.fieldnames = columns
    rows = [_csv_row(reader.line_num, cells, mistakes) for cells in reader]
    title = re.sub(r"[-_]+", " ", name.rpartition("/")[2].rpartition(".")[0])
    return title[:1].upper() + title[1:], [each for each in rows if each is not None]


def _csv_row(number: int, cells: dict[str | None, object], mistakes: list[Mistake]) -> _Row | None:
    if None in cells or any(each is None for each in cells.values()):
        says = (
            "has more or fewer cells than the first line; put quotes around text with commas in it."
        )
        mistakes.append(Mistake(number, says))
        return None
    said = {name: str(cell).strip() for name, cell in cells.items()}
    kind = said.get("kind", "")
    tags = _tags(number, [f"{kind} {said.get('thing', '')}".strip()] if kind else [], mistakes)
    return _Row(number, said["time"], said["what"], tags)


# Times

_CLOCK = re.compile(r"^(\d{1,2})[:.h](\d{2})(?::(\d{2})(?:\.\d+)?)?\s*([ap]m)?$", re.IGNORECASE)
_DATED = re.compile(r"^(\d{4})-(\d{1,2})-(\d{1,2})(?:[T ]+(.*))?$")
_NO_DAY = date(2000, 1, 1)


def _timed(rows: Iterable[_Row], mistakes: list[Mistake]) -> tuple[list[Line], bool]:
    """Each row with its moment; a time earlier than the line before is on the next day."""
    lines: list[Line] = []
    day, before, dated = _NO_DAY, None, False
    for row in rows:
        said_day, of_day = _understood(row.when)
        if of_day is None:
            remedy = "write 21:40 or 2026-03-03 21:40."
            mistakes.append(Mistake(row.number, f"“{row.when}” is no time; {remedy}"))
            continue
        here = datetime.combine(said_day or day, of_day, UTC)
        if before is not None and here < before and said_day is None:
            here += timedelta(days=1)
        if before is not None and here < before and dated:
            says = "is earlier than the line before; put the lines in the order in which they happened."
            mistakes.append(Mistake(row.number, says))
            continue
        if not row.says:
            mistakes.append(
                Mistake(row.number, "says a time and nothing more; write what happened.")
            )
            continue
        day, before, dated = here.date(), here, dated or said_day is not None
        lines.append(_line(row, instant(here)))
    return lines, dated


def _understood(when: str) -> tuple[date | None, time | None]:
    """(day, time of day), as far as they are said and make sense."""
    dated = _DATED.match(when.strip())
    try:
        day = date(int(dated[1]), int(dated[2]), int(dated[3])) if dated else None
        rest = (dated[4] or "") if dated else when.strip()
        return day, time(0) if dated and not rest else _of_day(rest.rstrip("Zz"))
    except ValueError:
        return None, None


def _of_day(said: str) -> time | None:
    found = _CLOCK.match(said.strip())
    if found is None:
        return None
    hour = int(found[1])
    if found[4]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if found[4].lower() == "pm" else 0)
    return time(hour, int(found[2]), int(found[3] or 0))


# Meaning

_WORDS: dict[Meaning, str] = {
    "action": r"roll(?:ed|s|ing)? (?:\w+ )?back|revert|restart|reboot|fail(?:ed|s)? over|hotfix"
    r"|mov(?:ed|es?) (?:\w+ )?back|switch(?:ed|es)? (?:\w+ )?(?:off|over|back)|disabled?\b"
    r"|restor(?:ed|es?) (?:from|the)",
    "up": r"works? again|recovered|(?:is|are|comes?|came) back|back up|all green|is fixed|resolved"
    r"|up again|running again",
    "noticed": r"(?:customers?|users?|people) (?:call|report|complain|tweet)|first call|complain"
    r"|calls? (?:in|the help|come)|tickets?\b|noticed?|alarm|alert|monitoring (?:shows|says)"
    r"|business analyst",
    "told": r"paged?\b|on[- ]call|escalat|conference call|speaker[- ]?phone|manager|has it\b"
    r"|(?:is|are|was) told",
    "down": r"(?:is|are|goes|went|go) down|fail|errors?\b|cannot|can['’]t|timeouts?|times out|outage"
    r"|unreachable|(?:does|did) not (?:come up|start|answer)|50\d\b|broken|breaks|crash|nobody can"
    r"|refused",
    "change": r"deploy|releases?\b|ship(?:ped|s)?\b|migrat|moved?\b|moving|upgrad|config|patch"
    r"|chang(?:ed?|es|ing)|install|goes live|rolled out|went live|replaced",
    "over": r"closed|shakes? hands|post-?mortem|retrospective|(?:went|go|goes) home|is over\b",
}
_GUESSES = {
    meaning: re.compile(rf"\b(?:{words})", re.IGNORECASE) for meaning, words in _WORDS.items()
}
"""What words say a line means, the first that is found; a deed and a recovery may be one line."""


def _line(row: _Row, at: Instant) -> Line:
    if row.tags:
        return Line(number=row.number, at=at, says=row.says, tags=row.tags)
    found = [meaning for meaning, words in _GUESSES.items() if words.search(row.says)]
    kept = [each for each in found if each in ("action", "up")] or found[:1]
    tags = tuple(Tag(each) for each in kept) or (Tag("note"),)
    return Line(number=row.number, at=at, says=row.says, tags=tags, guessed=True)


# As moments

_SORTS: dict[Meaning, Sort] = {
    "change": "change",
    "down": "failure",
    "noticed": "notice",
    "told": "notice",
    "action": "action",
    "up": "recovery",
    "over": "end",
    "note": "note",
}


def moments(story: Brought) -> list[Moment]:
    """The story as its acts are cut from: what is down lifts the curve by one each."""
    down: set[str] = set()
    told = []
    for line in story.lines:
        before = len(down)
        _apply(line, down)
        told.append(
            Moment(
                at=line.at, sort=_sort(line), says=_ended(line.says), lift=len(down) - before,
                cites=(line.number,),
            )
        )  # fmt: skip
    return told


def _apply(line: Line, down: set[str]) -> None:
    for tag in line.tags:
        if tag.meaning == "down":
            down.add(tag.of or EVERYTHING)
        elif tag.meaning == "over" or (tag.meaning == "up" and tag.of in ("", "all", "everything")):
            down.clear()
        elif tag.meaning == "up":
            down.discard(tag.of)


def _sort(line: Line) -> Sort:
    """What somebody did stands before what came of it."""
    return "action" if line.means("action") else _SORTS[line.tags[0].meaning]


def _ended(says: str) -> str:
    return says if says.endswith((".", "!", "?", "”", '"')) else f"{says}."
