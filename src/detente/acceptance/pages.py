"""What does each test say, in each place?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote

import msgspec

from detente.acceptance import decisions, queries
from detente.acceptance.queries import PLACES, Last, Past
from detente.acceptance.settings import Acceptance
from detente.facts.acceptance import Place
from detente.kernel.clock import Instant, Seconds
from detente.kernel.fact import Subject, Tone, plain
from detente.kernel.node import Node
from detente.kernel.slice import Ask, Page, Panel, Sign

_DOTS = 12
_ROWS = 12
TITLES: dict[Place, str] = {"ci": "CI", "gate": "Release gate", "production": "Production"}


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One test in one place."""

    place: Place
    title: str
    tone: Tone
    word: str
    at: Instant
    reason: str
    version: str
    release: Subject
    sha256: str
    odd: bool
    """Not the same test as where it last ran in the other places."""
    runs: int
    failed: int
    flips: int
    """How often it changed its mind lately."""
    position: int
    lately: tuple[str, ...]
    """Its last outcomes, oldest first."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One test in its three places."""

    test: str
    tone: Tone
    says: str
    ci: Cell | None
    gate: Cell | None
    production: Cell | None

    @property
    def cells(self) -> tuple[Cell | None, ...]:
        return self.ci, self.gate, self.production


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """What vouches for one thing."""

    of: Subject
    lines: tuple[Line, ...]


class SuiteLine(msgspec.Struct, frozen=True, kw_only=True):
    """One suite, as it is declared."""

    name: str
    of: Subject
    path: str
    every: Seconds | None
    tone: Tone
    says: str


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """Every acceptance test, and how it last ran in CI, at the release gate and in production."""

    tone: Tone
    sentence: str
    groups: tuple[Group, ...]
    suites: tuple[SuiteLine, ...]


class Beside(msgspec.Struct, frozen=True, kw_only=True):
    """One place's column on a test's page."""

    place: Place
    title: str
    cell: Cell | None
    past: tuple[Past, ...]


class TestPage(msgspec.Struct, frozen=True, kw_only=True):
    """One acceptance test: its history in three places, side by side."""

    test: str
    about: Subject
    of: Subject
    suite: str
    tone: Tone
    says: str
    places: tuple[Beside, ...]


class Vouching(msgspec.Struct, frozen=True, kw_only=True):
    """The tests that vouch for something."""

    lines: tuple[Line, ...]


# -- pages ---------------------------------------------------------------------------------------


def overview(node: Node, _ask: Ask) -> Overview:
    groups: dict[Subject, list[Line]] = {}
    for places in queries.tests(node.rows).values():
        last = queries.latest(places.values())
        groups.setdefault(last.of, []).append(_line(node, places))
    lines = [line for each in groups.values() for line in each]
    ordered = sorted(groups.items(), key=lambda each: min(map(_worst_first, each[1])))
    suites = tuple(_suites(node))
    tone, sentence = _verdict(lines, suites)
    return Overview(
        tone=tone,
        sentence=sentence,
        groups=tuple(
            Group(of=of, lines=tuple(sorted(each, key=_worst_first))) for of, each in ordered
        ),
        suites=suites,
    )


def _worst_first(line: Line) -> int:
    return ("bad", "warn", "good", "plain").index(line.tone)


def _verdict(lines: Sequence[Line], suites: Sequence[SuiteLine]) -> tuple[Tone, str]:
    failing = sum(line.tone == "bad" for line in lines)
    if failing:
        some = "One test fails" if failing == 1 else f"{failing} tests fail"
        return "bad", f"{some} in production"
    if any(each.tone == "warn" for each in suites):
        return "warn", "A suite cannot be run in production, so nobody knows"
    there = sum(line.production is not None for line in lines)
    if not lines:
        return "plain", "No acceptance test has run yet"
    if not there:
        return "plain", "No test runs in production"
    return "good", "It does what we said" if there == len(lines) else (
        f"What is run in production passes: {there} of {len(lines)} tests"
    )


def _line(node: Node, places: Mapping[Place, Last]) -> Line:
    newest = queries.latest(places.values())
    cells = {place: _cell(node, last, newest) for place, last in places.items()}
    failing = queries.standing(node.rows, newest.about).failing
    return Line(
        test=plain(newest.about),
        tone=_tone(cells, failing),
        says=_says(cells, failing),
        ci=cells.get("ci"),
        gate=cells.get("gate"),
        production=cells.get("production"),
    )


def _tone(cells: Mapping[Place, Cell], failing: bool) -> Tone:
    there = cells.get("production")
    if failing:
        return "bad"
    if any(cell.tone in ("bad", "warn") for cell in cells.values()):
        return "warn"
    return "good" if there is not None else "plain"


def _says(cells: Mapping[Place, Cell], failing: bool) -> str:
    """What the three places together tell that none of them does alone."""
    ci, there = cells.get("ci"), cells.get("production")
    if there is not None and ci is not None:
        if failing and ci.tone == "good":
            return "passes in CI and fails in production: look at what differs there"
        if there.flips > ci.flips:
            return f"unsteady in production: changed its mind {_times(there.flips)} lately"
        if ci.flips > there.flips:
            return f"unsteady in CI: changed its mind {_times(ci.flips)} lately"
    if any(cell.odd for cell in cells.values()):
        return "not the same test everywhere: its source differs"
    return ""


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


_WORDS: dict[str, tuple[Tone, str]] = {
    "passed": ("good", "passed"),
    "failed": ("bad", "failed"),
    "skipped": ("plain", "skipped"),
}


def _cell(node: Node, last: Last, newest: Last) -> Cell:
    past = queries.past(node.rows, last.about, last.place, _DOTS)
    tone, word = _WORDS[last.outcome]
    lately = tuple(each.outcome for each in reversed(past))
    return Cell(
        place=last.place,
        title=TITLES[last.place],
        tone=tone,
        word=word,
        at=last.at,
        reason=last.reason,
        version=last.version,
        release=last.release,
        sha256=last.sha256,
        odd=bool(last.sha256 and newest.sha256 and last.sha256 != newest.sha256),
        runs=last.runs,
        failed=last.failed,
        flips=decisions.flaky(lately),
        position=last.position,
        lately=lately,
    )


def _suites(node: Node) -> list[SuiteLine]:
    unrun = {plain(each.about): each for each in queries.unrun(node.rows)}
    return [
        SuiteLine(
            name=name,
            of=queries.owner(node, suite.of),
            path=str(suite.path),
            every=None if suite.every is None else float(suite.every),
            tone="warn" if name in unrun else "plain",
            says=unrun[name].says if name in unrun else "",
        )
        for name, suite in node.settings(Acceptance).suites.items()
    ]


def test_page(node: Node, ask: Ask) -> TestPage:
    about = f"test:{ask.path['test']}"
    places = queries.one(node.rows, about)
    newest, line = queries.latest(places.values()), _line(node, places)
    cells = {"ci": line.ci, "gate": line.gate, "production": line.production}
    return TestPage(
        test=plain(about),
        about=about,
        of=newest.of,
        suite=newest.suite,
        tone=line.tone,
        says=line.says,
        places=tuple(
            Beside(
                place=place,
                title=TITLES[place],
                cell=cells[place],
                past=tuple(queries.past(node.rows, about, place, _ROWS)),
            )
            for place in PLACES
        ),
    )


def vouching(node: Node, about: Subject) -> Vouching | None:
    found = queries.tests(node.rows, about)
    everywhere = queries.tests(node.rows)
    lines = sorted((_line(node, everywhere[each]) for each in found), key=_worst_first)
    return Vouching(lines=tuple(lines)) if lines else None


def one_test(node: Node, about: Subject) -> Vouching | None:
    places = queries.tests(node.rows).get(about)
    return Vouching(lines=(_line(node, places),)) if places else None


def signs(node: Node) -> list[Sign]:
    """What fails in production, and what nobody knows of."""
    failing = [
        Sign(
            tone="bad",
            about=span.about,
            sentence=span.says,
            since=span.start,
            href=f"/acceptance/{quote(plain(span.about), safe='')}",
        )
        for span in queries.failing_spans(node.rows)
    ]
    unknown = [
        Sign(
            tone="warn",
            about=span.about,
            sentence=span.says.replace("could not", "cannot", 1),
            since=span.start,
            href="/acceptance",
        )
        for span in queries.unrun(node.rows)
    ]
    return [*failing, *unknown]


_HEARS = ("acceptance.*",)

PAGES = (
    Page(
        path="/acceptance",
        title="Acceptance",
        answer=overview,
        template="acceptance/overview.html",
        in_menu=True,
        hears=_HEARS,
    ),
    Page(
        path="/acceptance/{test}",
        title="Test",
        answer=test_page,
        template="acceptance/test.html",
        hears=_HEARS,
    ),
)

PANELS = (
    Panel(
        title="What we said it would do",
        kinds=("service", "journey", "vendor", "infrastructure"),
        answer=vouching,
        template="acceptance/tests.html",
    ),
    Panel(
        title="In three places", kinds=("test",), answer=one_test, template="acceptance/tests.html"
    ),
)
