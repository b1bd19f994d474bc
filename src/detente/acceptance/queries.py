"""What do the tests say of each thing, in each place, and since when?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

import msgspec

from detente.acceptance.decisions import Said, Standing
from detente.acceptance.engine.parent import Outcome
from detente.acceptance.settings import Acceptance, Suite
from detente.facts.acceptance import FAILING, UNRUN, Place
from detente.kernel import spans
from detente.kernel.clock import Instant
from detente.kernel.fact import Subject, kind, plain
from detente.kernel.forms import BadForm
from detente.kernel.node import Node
from detente.kernel.slice import NotFound
from detente.kernel.spans import Span
from detente.kernel.views import Rows

S = TypeVar("S", bound=msgspec.Struct)

PLACES: tuple[Place, ...] = ("ci", "gate", "production")


class Last(msgspec.Struct, frozen=True, kw_only=True):
    """How a test last ran in one place."""

    about: Subject
    place: Place
    of: Subject
    suite: str
    outcome: str
    at: Instant
    took: float
    reason: str
    version: str
    release: Subject
    sha256: str
    position: int
    runs: int
    failed: int


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a test."""

    at: Instant
    position: int
    outcome: str
    took: float
    reason: str
    version: str
    release: Subject
    sha256: str
    run: str


_LAST = f"select {', '.join(Last.__struct_fields__)} from acceptance_test"
_PAST = f"select {', '.join(Past.__struct_fields__)} from acceptance_run"


def tests(rows: Rows, of: Subject | None = None) -> dict[Subject, dict[Place, Last]]:
    """Every test that ever ran, and how it last ran in each place."""
    asked = f"{_LAST} where ?1 is null or of = ?1 order by of, about"
    found: dict[Subject, dict[Place, Last]] = {}
    for row in rows.execute(asked, (of,)):
        last = _struct(Last, row)
        found.setdefault(last.about, {})[last.place] = last
    return found


def one(rows: Rows, test: Subject) -> dict[Place, Last]:
    """The same of one test. Raises NotFound."""
    found = [_struct(Last, row) for row in rows.execute(f"{_LAST} where about = ?", (test,))]
    if not found:
        raise NotFound(f"No acceptance test called “{plain(test)}” has ever run.")
    return {each.place: each for each in found}


def past(rows: Rows, test: Subject, place: Place, limit: int) -> list[Past]:
    """Its last runs in that place, newest first."""
    asked = f"{_PAST} where about = ? and place = ? order by at desc, position desc limit ?"
    return [_struct(Past, row) for row in rows.execute(asked, (test, place, limit))]


def outcomes_of(rows: Rows, run: str) -> list[Outcome]:
    """What a run was recorded to have found."""
    asked = """
    select substr(r.about, 6), r.outcome, r.took, t.of, r.sha256, r.reason from acceptance_run r
    join acceptance_test t using (about, place) where r.run = ? order by r.position
    """
    return [_struct(Outcome, row) for row in rows.execute(asked, (run,))]


def said_in_production(rows: Rows, suite: str) -> Mapping[Subject, Said]:
    """What each test of the suite said there last."""
    asked = f"""select about, {", ".join(Said.__struct_fields__)} from acceptance_test
      where place = 'production' and suite = ?"""
    return {str(about): _struct(Said, row) for about, *row in rows.execute(asked, (suite,))}


def standing(rows: Rows, test: Subject) -> Standing:
    """What is known of it in production."""
    asked = (
        "select failures, first_failure from acceptance_test"
        " where about = ? and place = 'production'"
    )
    failing = next((each for each in failing_spans(rows) if each.about == test), None)
    for failures, first in rows.execute(asked, (test,)):
        return Standing(
            failing=failing is not None,
            since=failing.start if failing else 0,
            failures=failures,
            first_failure=first,
        )
    return Standing()


def failing_spans(rows: Rows) -> list[Span]:
    """Tests that fail in production right now."""
    return spans.going_on(rows, FAILING.name)


def failing_by_suite(rows: Rows) -> Mapping[Subject, str]:
    """Tests that fail in production right now, each with the suite it was last run with."""
    asked = "select suite from acceptance_test where about = ? and place = 'production'"
    return {
        span.about: next((str(suite) for (suite,) in rows.execute(asked, (span.about,))), "")
        for span in failing_spans(rows)
    }


def unrun(rows: Rows) -> list[Span]:
    """Suites that cannot be run in production right now."""
    return spans.going_on(rows, UNRUN.name)


def suite_named(node: Node, name: str) -> Suite:
    """The suite. Raises BadForm."""
    suites = node.settings(Acceptance).suites
    if name not in suites:
        there = ", ".join(suites) or "none is declared under `acceptance: {suites: …}`"
        raise BadForm(f"suite: no suite is called {name}; there are: {there}")
    return suites[name]


def place_named(said: str) -> Place:
    """The place. Raises BadForm."""
    for place in PLACES:
        if place == said:
            return place
    raise BadForm(f"place: {said or 'nothing'} is no place; it can be {', '.join(PLACES)}")


def owner(node: Node, said: str) -> Subject:
    """What a test vouches for, from what its marker or its suite calls it."""
    if not said or (":" in said and kind(said) in _KINDS):
        return said
    return node.catalogue.find(said) or f"service:{said}"


_KINDS = ("service", "vendor", "journey", "infrastructure")


def _struct(cls: type[S], row: Iterable[object]) -> S:
    return cls(**dict(zip(cls.__struct_fields__, row, strict=True)))


def latest(lasts: Iterable[Last]) -> Last:
    return max(lasts, key=lambda each: each.at)


def suites_in_production(node: Node) -> Sequence[str]:
    """The suites that are run there."""
    return [name for name, each in node.settings(Acceptance).suites.items() if each.every]
