"""How do people see what is wrong, without seeing what nobody may see?

Each mistake is one line, `detente.yaml:12:5  watch.every: …`, and below it the line of the file with
a mark under the word. Whatever may be a secret is shown as `…`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from detente.kernel.config.document import Document, Mark, Place
from detente.kernel.config.words import Path, dotted, nearest, printable, without_credentials

_SHOWN = 50
_WIDEST = 100
_LONGEST = 1_000  # nobody finds a word in a longer line; the column has to do


class Mistake(msgspec.Struct, frozen=True):
    """Something wrong in `detente.yaml`: where (the keys that lead there) and what to do."""

    path: Path
    says: str


@dataclass(frozen=True, slots=True)
class Located:
    """One mistake, with its place. Line and column count from 1; 0 means the file as a whole."""

    file: str
    line: int
    column: int
    path: Path
    says: str
    excerpt: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        about = f"{dotted(self.path)}: " if self.path else ""
        return f"{place}  {about}{self.says}" + (f"\n{self.excerpt}" if self.excerpt else "")


class ConfigErrors(Exception):
    """The configuration has mistakes; all of them are in `mistakes`, in the order of the file."""

    def __init__(self, mistakes: Iterable[Located]) -> None:
        self.mistakes = sorted(mistakes, key=lambda each: (each.line, each.column))
        super().__init__(self.mistakes)

    def __str__(self) -> str:
        shown = [str(each) for each in self.mistakes[:_SHOWN]]
        more = len(self.mistakes) - len(shown)
        return "\n".join([*shown, f"and {more} more mistakes"] if more else shown)


Span = tuple[Place, Place]
Piece = tuple[int, int]
"""Part of a line, from sign to sign, counted from 0."""


class Excerpts:
    """Lines of one file as they may be shown."""

    def __init__(
        self, document: Document, places: Iterable[Place], covered: Iterable[Span]
    ) -> None:
        self._lines = document.lines()
        self._pieces: dict[int, list[Piece]] = {line: [] for line, _ in places if self._shows(line)}
        self._cover(self._pieces, covered)
        if document.whole:
            self._cover_comments(document)

    def _shows(self, line: int) -> bool:
        return 0 < line <= len(self._lines) and len(self._lines[line - 1]) <= _LONGEST

    def _cover(self, pieces: dict[int, list[Piece]], covered: Iterable[Span]) -> None:
        for (first, left), (last, right) in covered:
            for line in range(first, min(last, len(self._lines)) + 1):
                if line in pieces:
                    end = right - 1 if line == last else len(self._lines[line - 1])
                    pieces[line].append((left - 1 if line == first else 0, end))

    def _cover_comments(self, document: Document) -> None:
        """What stands behind # may be yesterday's password."""
        texts: dict[int, list[Piece]] = {line: [] for line in self._pieces}
        marks = document.marks.by_path.values()
        self._cover(texts, ((mark.start, mark.end) for mark in marks if mark.written is not None))
        self._cover(texts, ((mark.key, mark.key_end) for mark in marks))
        for line, pieces in texts.items():
            written = self._lines[line - 1]
            for sign in re.finditer("#", written):  # in a text it is none, anywhere else it is
                if not any(left <= sign.start() < right for left, right in pieces):
                    self._pieces[line].append((sign.start(), len(written)))
                    break

    def show(self, place: Place, width: int) -> str:
        """The line, what must not be seen left out, with a mark under the word."""
        line, column = place
        if line not in self._pieces:
            return ""
        written, pieces, start = self._lines[line - 1], self._pieces[line], column - 1
        end = start + max(1, min(width, len(written) - start))
        before = _seen(written, 0, start, pieces)
        word = _seen(written, start, end, pieces)
        after = _seen(written, end, len(written), pieces)
        if any(left < start < right for left, right in pieces):
            before = before.removesuffix("…")
        if any(left < end < right for left, right in pieces):
            after = after.removeprefix("…")
        return _underlined(f"{line:>6}", before, word, after)


def _underlined(number: str, before: str, word: str, after: str) -> str:
    if len(before) > _WIDEST // 2:
        before = "…" + before[-(_WIDEST // 2) :]
    word = word if len(word) <= _WIDEST else word[:_WIDEST]
    if len(after) > (room := max(0, _WIDEST - len(before) - len(word))):
        after = after[:room] + "…"
    caret = " " * _cells(before) + "^" * max(1, _cells(word))
    return f"{number} | {before}{word}{after}".rstrip() + f"\n{' ' * len(number)} | {caret}"


def _cells(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text)


def _seen(written: str, start: int, end: int, pieces: Sequence[Piece]) -> str:
    """Part of a line, each covered stretch of it shown as …"""
    out, at = "", start
    for left, right in sorted(pieces):
        if right > at and left < end:
            out += written[at : max(at, left)]
            out = out if out.endswith("\0") else out + "\0"
            at = right
    out += written[at:end] if at < end else ""
    return without_credentials(printable(out.replace("\0", "…")))


def spans(document: Document, hidden: Collection[Path]) -> list[Span]:
    """The parts of the text that stand below hidden keys."""
    marks = document.marks.by_path
    roots = {origin for path in hidden for origin in _origins(path, marks)}
    out = [*document.marks.unread]
    out += [span for path, span in document.marks.twice if _below(path[:-1], roots)]
    out += [(mark.start, mark.end) for path, mark in marks.items() if _below(path, roots)]
    return [span for span in out if span[0] != span[1]]


def _origins(path: Path, marks: dict[Path, Mark]) -> Iterator[Path]:
    """The path itself, and where its value really stands if an alias leads there."""
    yield path
    for length in range(len(path), 0, -1):
        mark = marks.get(path[:length])
        if mark is not None and mark.same_as is not None:
            yield from _origins((*mark.same_as, *path[length:]), marks)
            return


def _below(path: Path, roots: Collection[Path]) -> bool:
    return any(path[:length] in roots for length in range(len(path) + 1))


_WORD = re.compile(r"[A-Za-z0-9_.-]+")
_SOUNDS_SECRET = re.compile(
    r"pass|secret|token|key|cred|auth|pwd|pin\b|private|bearer|cookie", re.IGNORECASE
)


def suspects(document: Document, line: int, names: Collection[str]) -> list[Span]:
    """Where a file that could not be read may hold a secret in this line: told by the words alone."""
    if not names:
        return []
    lines = document.lines()
    written = lines[line - 1] if 0 < line <= len(lines) else ""
    whole: Span = ((line, 1), (line, len(written) + 1))
    if any(_risky(word, names) for above in _above(lines, line) for word in _WORD.findall(above)):
        return [whole]
    for word in _WORD.finditer(written):
        if _risky(word[0], names):
            rest = re.match(r"[\s:=]*", written[word.end() :])
            return [((line, word.end() + 1 + (rest.end() if rest else 0)), whole[1])]
    return []


def veiled(path: Path, names: Collection[str]) -> Path:
    """The path as far as no secret can be part of it."""
    for length, step in enumerate(path[:-1], 1):
        if names and _risky(str(step), names):
            return path[:length]
    return path


def _above(lines: Sequence[str], line: int) -> Iterable[str]:
    """The lines this one may belong to: the one before it, and all that are indented less."""
    depth = 10_000
    for number in range(line - 2, -1, -1):
        written = lines[number]
        indent = len(written) - len(written.lstrip())
        if written.strip() and (indent <= depth or number == line - 2):
            yield written
            depth = min(depth, indent if written.lstrip().startswith("-") else indent - 1)


def _risky(word: str, names: Collection[str]) -> bool:
    return bool(_SOUNDS_SECRET.search(word)) or nearest(word, names) is not None
