"""What was written lately, and about what?

Most decisions are fresh. So the pen keeps the newest facts in mind and knows without asking the file
whether something newer stands in the way of one.
"""

from __future__ import annotations

from collections.abc import Sequence

from detente.kernel.fact import Subject
from detente.kernel.ledger import Query
from detente.kernel.ledger.asking import prefix_of

Line = tuple[str, Subject, bytes]
"""A fact ready for the disk: name, subject, body."""

_MOST = 32_768  # facts kept in mind


class Recent:
    """The facts after position `start`, by name and subject."""

    def __init__(self, start: int, lines: Sequence[Line] = ()) -> None:
        self.start = start
        self._lines = list(lines)
        self._sorted = 0  # how many of the lines the two below know of
        self._last_named: dict[str, int] = {}
        self._last_about: dict[Subject, int] = {}

    def add(self, lines: Sequence[Line]) -> None:
        """The next facts."""
        self._lines += lines

    def shortened(self) -> Recent:
        """The newer half, once this is too much to keep in mind."""
        if len(self._lines) <= _MOST:
            return self
        kept = self._lines[-_MOST // 2 :]
        return Recent(self.start + len(self._lines) - len(kept), kept)

    def first_newer(self, query: Query, after: int) -> tuple[int, str, Subject] | None:
        """The first fact after that position which the query matches."""
        self._sort()
        if self._last_match(query) <= after:
            return None
        skipped = max(after - self.start, 0)
        for index, (name, about, _) in enumerate(self._lines[skipped:], start=skipped + 1):
            if matches(query, name, about):
                return self.start + index, name, about
        return None

    def _sort(self) -> None:
        """Only now, because in a storm without conditions nobody asks."""
        position = self.start + self._sorted
        for name, about, _ in self._lines[self._sorted :]:
            position += 1
            self._last_named[name] = self._last_about[about] = position
        self._sorted = len(self._lines)

    def _last_match(self, query: Query) -> int:
        """No match stands after this position."""
        if query.subjects:
            return max(self._last_about.get(subject, 0) for subject in query.subjects)
        named = (last for name, last in self._last_named.items() if matches(query, name, ""))
        return max(named, default=0)


def matches(query: Query, name: str, about: Subject) -> bool:
    """Does a fact of that name about that subject answer the query?"""
    if query.subjects and about not in query.subjects:
        return False
    return not query.names or any(_is_called(name, wanted) for wanted in query.names)


def _is_called(name: str, wanted: str) -> bool:
    prefix = prefix_of(wanted)
    return name == wanted if prefix is None else name.startswith(prefix)
