"""This is not YAML: what did the person mean, and where did it go wrong?

The parser's own words are for people who write parsers. Each is turned into a sentence that says
what to change, at the place where the change belongs (the quote that was opened, not the end of the
file where it was missed). No sentence repeats what stands in the file: it may be a secret.
"""

from __future__ import annotations

import re
from typing import Any


class Broken(Exception):
    """The file cannot be read any further; says where and what to change."""

    def __init__(self, place: tuple[int, int], width: int, says: str) -> None:
        super().__init__(says)
        self.place = place
        self.width = width
        self.says = says


_INVISIBLE = re.compile(
    "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")


def invisible(text: str) -> None:
    """Raise Broken at the first sign that nobody can see and YAML does not allow."""
    if sign := _INVISIBLE.search(text):
        before = _BREAK.split(text[: sign.start()])
        says = f"an invisible sign (U+{ord(sign[0]):04X}) stands here; delete it"
        raise Broken((len(before), len(before[-1]) + 1), 1, says)


_INDENT = "does not line up with the lines above; put it under the word it belongs with"
_COLON = "a colon and a space are missing after this word; write it like name: value"
_QUOTES = "a value cannot begin with this sign; put quotes around the value"

# What the parser says → what we say, and whether to point at the beginning of what it was reading.
_SENTENCES: tuple[tuple[str, str, bool], ...] = (
    (r"tab", "a tab is used to indent; use spaces", False),
    (r"unexpected end of stream", "this quote is never closed", True),
    (r"expected ',' or '\]'", "this [ is not closed with ], or a comma is missing behind it", True),
    (r"expected ',' or '\}'", "this { is not closed with }, or a comma is missing behind it", True),
    (
        r"mapping values are not allowed",
        "this colon is one too many; put quotes around the value, or begin a new line",
        False,
    ),
    (r"could not find expected ':'", _COLON, True),
    (r"expected '-' indicator", "a list goes on here without its dash; write - before it", False),
    (r"expected key", _INDENT, False),
    (r"expected <block end>", _INDENT, False),
    (r"block sequence entries are not allowed", "a list begins in a line of its own", False),
    (r"unknown escape", "inside \"…\" a \\ has a special meaning; use '…' instead", False),
    (r"hexdecimal|hexadecimal", "inside \"…\" a \\ has a special meaning; use '…' instead", False),
    (r"cannot start any token", _QUOTES, False),
    (r"alphabetic or numeric", "* and & have a special meaning; put quotes around the value", True),
    (r"expected node content", "a value is missing here", False),
    (r"document start", "this does not belong to anything above it", False),
    (r"document separator", "a quote is never closed before this line", False),
    (r"indentation indicator|comment or line break", "the text begins in the line below", False),
    (r"directive|%YAML|%TAG|incompatible", "delete this line; % has a special meaning", False),
    (r"tag|URI", "! has a special meaning; put quotes around the value", False),
)
_OTHERWISE = "the form is broken here; look at the colon, quote or bracket just before"


def explain(error: Any, text: str) -> Broken:
    """The parser's complaint as a sentence, at the place where the remedy belongs."""
    at = getattr(error, "problem_mark", None)
    began = getattr(error, "context_mark", None)
    lines = _BREAK.split(text)
    if at is None and began is None:
        return Broken((1, 1), 1, _OTHERWISE)
    if at is not None and _indented_by_tab(lines, at.line, at.column):
        return Broken((at.line + 1, _tab(lines[at.line]) + 1), 1, _SENTENCES[0][1])
    problem = str(getattr(error, "problem", None) or "")
    above = _without_colon(lines, at.line) if at and "mapping values" in problem else None
    if above is not None:
        return Broken((above + 1, len(lines[above]) - len(lines[above].lstrip()) + 1), 1, _COLON)
    if at and "node content" in problem and not text[at.index :].strip():
        return Broken(*_inside(at, lines), "the file ends here, but a ] or } is still missing")
    for pattern, says, at_beginning in _SENTENCES:
        if re.search(pattern, problem):
            first, second = (began, at) if at_beginning else (at, began)
            return Broken(*_inside(first or second, lines), says)
    return Broken(*_inside(at or began, lines), _OTHERWISE)


def _indented_by_tab(lines: list[str], line: int, column: int) -> bool:
    """Is the sign here, or the indentation before it, a tab?"""
    written = lines[line] if line < len(lines) else ""
    return "\t" in written[: len(written) - len(written.lstrip())] or written[column:][:1] == "\t"


def _without_colon(lines: list[str], line: int) -> int | None:
    """The line above, if it is a lone word that was going to be a key."""
    for above in range(line - 1, -1, -1):
        if words := lines[above].strip():
            return above if re.fullmatch(r"[\w.-]+", words) and words != "-" else None
    return None


def _tab(written: str) -> int:
    return written.index("\t")


def _inside(mark: Any, lines: list[str]) -> tuple[tuple[int, int], int]:
    """A place that exists and how wide it is; the end of the file means its last line with words."""
    line, column = mark.line, mark.column
    if line >= len(lines):
        line, column = len(lines) - 1, len(lines[-1])
    while line > 0 and not lines[line].strip():
        line, column = line - 1, len(lines[line - 1])
    word = re.match(r"[\w.-]*", lines[line][column:])
    return (line + 1, column + 1), max(1, len(word[0]) if word else 1)
