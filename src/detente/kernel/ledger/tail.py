"""What has been written that the index does not know yet?

The pen keeps the newest facts in mind, because most decisions are fresh: whether something newer
stands in the way of one is then known without asking the file.
"""

from __future__ import annotations

from detente.kernel.fact import Subject
from detente.kernel.ledger import Query
from detente.kernel.ledger.asking import prefix_of


class Tail:
    """The facts after position `start`, by name and subject."""

    def __init__(self, start: int) -> None:
        self.start = start
        self._facts: list[tuple[str, Subject]] = []
        self._last_named: dict[str, int] = {}
        self._last_about: dict[Subject, int] = {}

    @property
    def end(self) -> int:
        return self.start + len(self._facts)

    def add(self, name: str, about: Subject) -> None:
        """The next fact."""
        self._facts.append((name, about))
        self._last_named[name] = self._last_about[about] = self.start + len(self._facts)

    def first_newer(self, query: Query, after: int) -> tuple[int, str, Subject] | None:
        """The first fact after that position which the query matches."""
        if self._last_match(query) <= after:
            return None
        for position in range(max(after, self.start) + 1, self.end + 1):
            name, about = self._facts[position - self.start - 1]
            if matches(query, name, about):
                return position, name, about
        return None

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
