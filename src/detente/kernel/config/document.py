"""What stands in the file, and where does each thing stand?

YAML 1.2 as people mean it: `21:00`, `no` and `on` are words, `0755` is no octal number, a key is
always the text it looks like, and a key written twice is a mistake. `.inf` and `.nan` are words too:
no setting is infinite. Everything keeps the place it was written at, so that later mistakes can
point to it. Documents that grow without bound (aliases of aliases, endless nesting) are refused
while they are read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from detente.kernel.config.syntax import Broken, explain, invisible
from detente.kernel.config.words import Path

if TYPE_CHECKING:
    from yaml.events import AliasEvent, Event, ScalarEvent

MAX_VALUES = 200_000
MAX_DEPTH = 40
MAX_SLIPS = 1_000

Place = tuple[int, int]
"""Line and column, both from 1."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Where one value stands. In a list, it is its own key."""

    key: Place
    key_end: Place
    start: Place
    end: Place
    written: str | None = None  # a single value as it was typed; None for lists and mappings
    same_as: Path | None = None  # an alias: where the value really stands


class Marks:
    """Where everything stands, by the keys that lead there."""

    def __init__(self) -> None:
        self.by_path: dict[Path, Mark] = {(): Mark((1, 1), (1, 1), (1, 1), (1, 1))}
        self.unread: list[tuple[Place, Place]] = []  # tags, and values of keys written twice
        self.twice: list[tuple[Path, tuple[Place, Place]]] = []  # those keys

    def mark(self, path: Path) -> Mark:
        """The place of a path, or of its nearest ancestor that exists."""
        while path not in self.by_path:
            path = path[:-1]
        return self.by_path[path]

    def line(self, path: Path) -> int:
        """The line a path stands in, counted from 1."""
        return self.mark(path).key[0]


@dataclass(frozen=True, slots=True)
class Slip:
    """Something wrong with the form of the file: where, for how many signs, which keys lead there."""

    place: Place
    width: int
    path: Path
    says: str


@dataclass(frozen=True)
class Document:
    """A file that was read: its value, where each part stands, and what is wrong with its form."""

    name: str
    text: str
    value: Any
    marks: Marks
    slips: tuple[Slip, ...] = ()
    whole: bool = True  # False: it could not be read to its end, so only the slips mean anything

    def lines(self) -> list[str]:
        return _BREAK.split(self.text)


_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")  # what ends a line for YAML


def parse(text: str, name: str = "detente.yaml") -> Document:
    """Read a text. Mistakes of form are kept in the document, not raised."""
    text = text.removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}")
    marks = Marks()
    composer = _Composer(marks)
    try:
        value = composer.document(_events(text))
    except Broken as broken:
        slip = Slip(broken.place, broken.width, (), broken.says)
        return Document(name, text, None, marks, (*composer.slips, slip), whole=False)
    return Document(name, text, value, marks, tuple(composer.slips))


def _events(text: str) -> Iterator[Event]:
    import yaml

    invisible(text)
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
    try:
        while event := loader.get_event():
            yield event
    except yaml.YAMLError as error:
        raise explain(error, text) from None
    finally:
        loader.dispose()


class _Composer:
    """Puts values together from the parser's events."""

    def __init__(self, marks: Marks) -> None:
        self.slips: list[Slip] = []
        self._marks = marks.by_path
        self._unread = marks.unread
        self._twice = marks.twice
        self._anchors: dict[str, tuple[Any, int, Path] | None] = {}
        self._values = 0

    def document(self, events: Iterator[Event]) -> Any:
        """The value of the only document there is; None if there is none."""
        import yaml

        self._events = events
        value, documents = None, 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    says = "a second document begins here; delete the line ---"
                    raise Broken(_place(event.start_mark), 3, says)
            elif isinstance(event, yaml.NodeEvent):
                value = self._value(event, (), None)
        return value

    def _value(self, event: Event, path: Path, key: ScalarEvent | None) -> Any:
        import yaml

        start = _place(event.start_mark)
        self._grow(1, start)
        if len(path) > MAX_DEPTH:
            raise Broken(start, 1, f"nested more than {MAX_DEPTH} levels deep; nothing needs that")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, path, key)
        before, anchor = self._values, event.anchor  # type: ignore[attr-defined]
        if anchor is not None:
            self._anchors[anchor] = None
        self._no_tag(event, path)
        if isinstance(event, yaml.ScalarEvent):
            self._mark(event, path, key, written=event.value)
            value = (
                resolve(event.value) if event.style is None or event.style == "" else event.value
            )
        else:
            self._mark(event, path, key)
            mapping = isinstance(event, yaml.MappingStartEvent)
            value = self._mapping(path) if mapping else self._list(path)
        if anchor is not None:
            self._anchors[anchor] = (value, self._values - before, path)
        return value

    def _list(self, path: Path) -> list[Any]:
        import yaml

        values: list[Any] = []
        for event in self._events:
            if isinstance(event, yaml.SequenceEndEvent):
                self._ends(path, event)
                break
            values.append(self._value(event, (*path, len(values)), None))
        return values

    def _mapping(self, path: Path) -> dict[str, Any]:
        import yaml

        values: dict[str, Any] = {}
        for key in self._events:
            if isinstance(key, yaml.MappingEndEvent):
                self._ends(path, key)
                break
            if not isinstance(key, yaml.ScalarEvent):
                says = "a key is a plain word; if this is a text, put it in quotes"
                raise Broken(_place(key.start_mark), 1, says)
            self._grow(1, _place(key.start_mark))
            name = str(key.value)
            if name in values:
                first = self._marks[*path, name].key[0]
                says = f"is written twice; it stands in line {first} already"
                self._slip(Slip(_place(key.start_mark), _width(key), (*path, name), says))
                self._twice.append(((*path, name), (_place(key.start_mark), _place(key.end_mark))))
                self._skip(next(self._events))
                continue
            values[name] = None
            values[name] = self._value(next(self._events), (*path, name), key)
        return values

    def _skip(self, event: Event) -> None:
        """Read past the value of a key that is there already."""
        import yaml

        depth = 0
        while True:
            self._grow(1, _place(event.start_mark))
            if isinstance(event, yaml.ScalarEvent):
                self._unread.append((_place(event.start_mark), _place(event.end_mark)))
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth == 0:
                return
            event = next(self._events)

    def _alias(self, event: AliasEvent, path: Path, key: ScalarEvent | None) -> Any:
        name, start = str(event.anchor), _place(event.start_mark)
        if name not in self._anchors:
            says = (
                "* stands for a value marked with &, and none has this name; use quotes for a text"
            )
            raise Broken(start, len(name) + 1, says)
        anchored = self._anchors[name]
        if anchored is None:
            raise Broken(start, len(name) + 1, "this value would contain itself")
        value, size, same_as = anchored
        self._grow(size, start)
        self._mark(event, path, key, same_as=same_as)
        return value

    def _mark(
        self,
        event: Event,
        path: Path,
        key: ScalarEvent | None,
        *,
        written: str | None = None,
        same_as: Path | None = None,
    ) -> None:
        start, end = _place(event.start_mark), _place(event.end_mark)
        at, until = (_place(key.start_mark), _place(key.end_mark)) if key else (start, end)
        self._marks[path] = Mark(at, until, start, end, written, same_as)

    def _ends(self, path: Path, event: Event) -> None:
        """A list or mapping reaches until here."""
        self._marks[path] = replace(self._marks[path], end=_place(event.end_mark))

    def _no_tag(self, event: Event, path: Path) -> None:
        if (tag := getattr(event, "tag", None)) is not None:
            says = "has a tag (a word that begins with !); delete it, or put quotes around the text"
            self._slip(Slip(_place(event.start_mark), len(tag), path, says))
            self._unread.append((_place(event.start_mark), _place(event.end_mark)))

    def _slip(self, slip: Slip) -> None:
        if len(self.slips) < MAX_SLIPS:
            self.slips.append(slip)

    def _grow(self, values: int, at: Place) -> None:
        self._values += values
        if self._values > MAX_VALUES:
            says = f"the file comes to more than {MAX_VALUES:,} values here; split it up"
            raise Broken(at, 1, says)


def _place(mark: Any) -> Place:
    return mark.line + 1, mark.column + 1


def _width(event: Event) -> int:
    """Signs from the start to the end, if both are in one line."""
    (line, column), (last, end) = _place(event.start_mark), _place(event.end_mark)
    return max(1, end - column) if line == last else 1


_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_BASED = re.compile(r"0o[0-7]{1,20}|0x[0-9a-fA-F]{1,15}")
_REAL = re.compile(r"[-+]?(?:\.[0-9]{1,40}|[0-9]{1,40}(?:\.[0-9]{0,40})?)(?:[eE][-+]?[0-9]{1,4})?")


def resolve(written: str) -> Any:
    """What an unquoted value means by the core schema of YAML 1.2: 'no' is a word, '5' a number."""
    if written in _WORDS:
        return _WORDS[written]
    if written[0] not in "+-.0123456789":
        return written
    if _INTEGER.fullmatch(written):
        return int(written)
    if _BASED.fullmatch(written):
        return int(written, 0)
    if _REAL.fullmatch(written) and math.isfinite(number := float(written)):
        return number
    return written
