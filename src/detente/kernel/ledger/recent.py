"""What was written lately, and about what?

Most decisions are fresh. So the pen keeps the newest facts in mind and knows without asking the file
whether something newer stands in the way of one.
"""

from __future__ import annotations

from detente.kernel.fact import Subject
from detente.kernel.ledger import Query
from detente.kernel.ledger.asking import prefix_of

_MOST = 16_384  # facts kept in mind


class Recent:
    """The names and subjects of the facts after position `start`."""

    def __init__(self, start: int) -> None:
        self.start = start
        self._facts: list[tuple[str, Subject]] = []
        self._last_named: dict[str, int] = {}
        self._last_about: dict[Subject, int] = {}

    def add(self, name: str, about: Subject) -> None:
        """The next fact."""
        self._facts.append((name, about))
        self._last_named[name] = self._last_about[about] = self.start + len(self._facts)

    def shortened(self) -> Recent:
        """The newer half, once this is too much to keep in mind."""
        if len(self._facts) <= _MOST:
            return self
        newer = Recent(self.start + len(self._facts) - _MOST // 2)
        for name, about in self._facts[-_MOST // 2 :]:
            newer.add(name, about)
        return newer

    def first_newer(self, query: Query, after: int) -> tuple[int, str, Subject] | None:
        """The first fact after that position which the query matches."""
        if self._last_match(query) <= after:
            return None
        skipped = max(after - self.start, 0)
        for index, (name, about) in enumerate(self._facts[skipped:], start=skipped + 1):
            if matches(query, name, about):
                return self.start + index, name, about
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
