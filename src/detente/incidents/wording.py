"""How is a retrospective written down: its drafts, and the Markdown that people edit?

Drafts say what the facts say and no more. In a file a draft carries a mark, so that nobody hands in
what nobody has read: a marked section is no answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from detente.facts.incidents import QUESTIONS, Section
from detente.incidents.decisions.afterwards import Said
from detente.incidents.engine.acts import Act
from detente.incidents.engine.again import Rate
from detente.kernel.clock import Seconds, lasting

DRAFT = "<!-- draft: delete this line once you agree with what stands below it -->"
NOBODY_KNOWS = "Nobody knows, and we say so."

_NO_PROMISE = "We cannot promise that it will not."
_LONG_ENOUGH: Seconds = 7 * 86_400.0
_TOLD_AN_ACT = 4


class BadMarkdown(Exception):
    """The file cannot be read as a retrospective; the message names the line and the remedy."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One section as it stands in the file."""

    section: Section
    text: str
    draft: bool
    unknown: bool = False


class Sheet(msgspec.Struct, frozen=True, kw_only=True):
    """What a file says: of which incident, what its writer had seen, and the answers."""

    number: str
    seen: int
    said: tuple[Said, ...]


# Drafts


def what_happened(acts: Iterable[Act]) -> str:
    """The story in a line an act."""
    lines = [
        f"- {act.name.capitalize()}: {' '.join(each.says for each in act.moments[:_TOLD_AN_ACT])}"
        + (
            f" And {len(act.moments) - _TOLD_AN_ACT} more."
            if len(act.moments) > _TOLD_AN_ACT
            else ""
        )
        for act in acts
        if act.moments
    ]
    return "\n".join(lines) or "Nothing is on record."


def what_went_wrong(verdict: str, reasons: Sequence[str], noticing: Sequence[str]) -> str:
    """The best explanation with its reasons, and how long noticing and answering took."""
    because = f" ({'; '.join(reasons)})" if reasons else ""
    return "\n".join([f"- {verdict.rstrip('.')}{because}.", *(f"- {each}" for each in noticing)])


def whether_again(title: str, seen: Rate, same_reason: int) -> str:
    """A count, a rate with its interval, and no promise."""
    long = lasting(seen.seconds)
    if seen.times == 1:
        counted = f"It is the first time on record: once in {long}."
    else:
        counted = f"{title} has failed {seen.times} times in {long}"
        counted += f", {same_reason} of them for this reason." if same_reason > 1 else "."
    if seen.seconds < _LONG_ENOUGH:
        return f"- {counted} That is too short to say how often.\n- {_NO_PROMISE}"
    between = f"between {_figure(seen.at_least)} and {_figure(seen.at_most)} times a month"
    return f"- {counted} From so few cases alone: {between} (95%).\n- {_NO_PROMISE}"


def what_then(levers: Sequence[str], contact: str, drills: Sequence[str]) -> str:
    """What can be pulled, who can be called, and whether that was ever tried."""
    lines = [f"- To pull: {'; '.join(levers)}." if levers else "- There is no lever for it yet."]
    if contact:
        lines.append(f"- To call: {contact}.")
    lines += [f"- Tried: {each}" for each in drills] or ["- It was never rehearsed."]
    return "\n".join(lines)


def _figure(number: float) -> str:
    return f"{number:.2g}" if number < 10 else f"{number:.0f}"


# Markdown


def markdown(number: str, title: str, seen: int, parts: Iterable[Part]) -> str:
    """The whole retrospective as a file to edit."""
    sections = "\n".join(_section(each) for each in parts)
    return (
        f"# Retrospective of incident {number}: {title}\n"
        f"<!-- as read at {seen}; leave this line, it tells whether somebody was quicker -->\n\n"
        f"{sections}"
    )


def _section(part: Part) -> str:
    tick = "x" if part.unknown else " "
    draft = f"{DRAFT}\n\n" if part.draft else ""
    return f"## {QUESTIONS[part.section]}\n\n{draft}{part.text}\n\n- [{tick}] {NOBODY_KNOWS}\n"


_TITLE = re.compile(r"#\s+Retrospective of incident (\d+)\b")
_SEEN = re.compile(r"<!-- as read at (\d+)")
_TICK = re.compile(r"-\s+\[( |x|X)\]\s+Nobody knows")
_SECTIONS: dict[str, Section] = {
    question.rstrip("?").casefold(): section for section, question in QUESTIONS.items()
}


def read_markdown(text: str) -> Sheet:
    """What the file says. Raises BadMarkdown with the line and what to do."""
    lines = text.splitlines()
    number = _first(_TITLE, lines)
    if number is None:
        raise BadMarkdown(
            "No line says “# Retrospective of incident N”: take the file anew, and put your answers"
            " into it."
        )
    seen = _first(_SEEN, lines)
    if seen is None:
        raise BadMarkdown(
            "The line “<!-- as read at … -->” below the title is missing: take the file anew, and"
            " put your answers into it."
        )
    blocks = [_block(name, first, block) for name, first, block in _blocks(lines)]
    _refuse_twice(blocks)
    return Sheet(
        number=number, seen=int(seen), said=tuple(said for _, said in blocks if said is not None)
    )


def _first(wanted: re.Pattern[str], lines: Iterable[str]) -> str | None:
    return next((found[1] for line in lines if (found := wanted.match(line.strip()))), None)


def _blocks(lines: Sequence[str]) -> Iterator[tuple[str, int, list[str]]]:
    """(heading, its line, what stands below it) of each second-level heading."""
    heads = [index for index, line in enumerate(lines) if line.startswith("## ")]
    for head, end in zip(heads, [*heads[1:], len(lines)], strict=True):
        yield lines[head][3:].strip(), head + 1, list(lines[head + 1 : end])


def _block(name: str, line: int, below: list[str]) -> tuple[tuple[int, Section], Said | None]:
    section = _SECTIONS.get(name.rstrip("?").casefold())
    if section is None:
        asked = ", ".join(f"“{question}”" for question in QUESTIONS.values())
        raise BadMarkdown(f"Line {line}: “{name}” is none of the four questions; they are {asked}.")
    ticks = [found[1] for each in below if (found := _TICK.match(each.strip()))]
    answer = "\n".join(each for each in below if not _TICK.match(each.strip())).strip()
    drafted = any(each.strip().startswith("<!-- draft") for each in below)
    said = Said(section=section, answer=answer, unknown=any(each in "xX" for each in ticks))
    return (line, section), None if drafted or not answer else said


def _refuse_twice(blocks: Sequence[tuple[tuple[int, Section], Said | None]]) -> None:
    first: dict[Section, int] = {}
    for (line, section), _ in blocks:
        if section in first:
            raise BadMarkdown(
                f"Line {line}: “{QUESTIONS[section]}” was answered in line {first[section]} already;"
                " keep one of them."
            )
        first[section] = line
