"""What we watch, as people see it."""

from __future__ import annotations

import msgspec

from detente.facts.watch import in_words
from detente.kernel import spans
from detente.kernel.clock import lasting, later, seconds_between
from detente.kernel.faces import Told, tell
from detente.kernel.fact import Subject, plain
from detente.kernel.ledger import Query
from detente.kernel.node import Node
from detente.kernel.slice import Ask, NotFound, Page, Panel, Sign
from detente.watch import queries
from detente.watch.engine.measurement import Measurement
from detente.watch.queries import PlaceStanding, Seen, Standing, Verdict
from detente.watch.settings import Watch


class Overview(msgspec.Struct, frozen=True):
    """Every check, grouped by whom it belongs to, and the places that look for us."""

    groups: list[Group]
    places: list[PlaceStanding] = []


class Group(msgspec.Struct, frozen=True):
    """The checks of one vendor or service."""

    of: Subject
    checks: list[Standing]


class CheckPage(msgspec.Struct, frozen=True):
    """One check: how it stands, what was seen, what happened."""

    check: Standing
    seen: list[Seen]
    history: list[Told]
    measured: list[Measurement] = []  # by a plugin, in its newest run
    judged: Judged | None = None


class Judged(msgspec.Struct, frozen=True):
    """Whose fault an outage is, with what speaks for it and the facts it rests on."""

    words: str
    verdict: Verdict
    rests_on: list[Told]


def overview(node: Node, _ask: Ask) -> Overview:
    groups: dict[Subject, list[Standing]] = {}
    for each in queries.standings(node):
        groups.setdefault(each.of, []).append(each)
    found = [Group(of, checks) for of, checks in groups.items()]
    return Overview(found, queries.places(node))


def one_check(node: Node, ask: Ask) -> CheckPage:
    return _check_page(node, ask.path["check"])


def _check_page(node: Node, name: str) -> CheckPage:
    check = node.settings(Watch).checks.get(name)
    if check is None:
        raise NotFound(f"no check is called {name}")
    now = node.clock.now()
    history = node.ledger.read(Query(subjects=(f"check:{name}",)), backwards=True, limit=50)
    watch = node.settings(Watch)
    place = watch.looking_at(check)[0]
    seen = queries.seen_between(node.rows, name, later(now, -6 * 3600), now, place)
    standing = queries.standing(node, name, check)
    return CheckPage(
        standing,
        seen,
        [tell(node, each) for each in history],
        queries.measured(node, name) if check.kind == "plugin" else [],
        verdict_panel(node, standing.of) if standing.state == "down" else None,
    )


def verdict_panel(node: Node, about: Subject) -> Judged | None:
    found = queries.present_verdict(node, about)
    if found is None:
        return None
    cited = [each for at in found.cites for each in node.ledger.read(after=at - 1, until=at)]
    return Judged(in_words(found.fault, found.sure), found, [tell(node, each) for each in cited])


def checks_panel(node: Node, about: Subject) -> Group | None:
    mine = [each for each in queries.standings(node) if each.of == about]
    return Group(about, mine) if mine else None


def check_panel(node: Node, about: Subject) -> CheckPage | None:
    known = plain(about) in node.settings(Watch).checks
    return _check_page(node, plain(about)) if known else None


def signs(node: Node) -> list[Sign]:
    """What is down or cannot be judged, and what is known to answer."""
    return [*_troubles(node), *_silences(node), *_flawed(node), *_all_well(node)]


def _silences(node: Node) -> list[Sign]:
    """Places that should report and do not: what they would have seen is missing."""
    now = node.clock.now()
    return [
        Sign(
            tone="warn",
            about=place.about,
            sentence=f"has been silent for {lasting(seconds_between(place.since, now))}",
            since=place.since,
            href="/watch",
        )
        for place in queries.places(node)
        if place.since is not None
    ]


_MANY = 0.2  # of the last hour's runs


def _flawed(node: Node) -> list[Sign]:
    """Checks that count as up and fail again and again, never often enough in a row."""
    now = node.clock.now()
    amiss = {span.about for span in spans.going_on(node.rows) if span.kind in ("outage", "warning")}
    found = [
        (name, queries.flaws(node.rows, name, check, later(now, -3600), now))
        for name, check in node.settings(Watch).checks.items()
        if f"check:{name}" not in amiss
    ]
    return [
        Sign(
            tone="warn",
            about=f"check:{name}",
            sentence=f"counts as up, and in the last hour {flaws}",
            href=f"/watch/checks/{name}",
        )
        for name, flaws in found
        if flaws.share > _MANY and flaws.failed >= _SEVERAL
    ]


_SEVERAL = 5  # fewer prove nothing yet


def _all_well(node: Node) -> list[Sign]:
    """One line for each vendor or service whose checks all answer: somebody really looked."""
    found = []
    for group in overview(node, Ask()).groups:
        if all(check.state == "up" for check in group.checks):
            slowest = max((check.median or 0.0 for check in group.checks), default=0.0)
            says = f"answers in {lasting(slowest)}" if slowest else "answers"
            found.append(Sign(tone="good", about=group.of, sentence=says, href="/watch"))
    return found


def _troubles(node: Node) -> list[Sign]:
    checks = node.settings(Watch).checks
    tones = {"outage": "bad", "warning": "warn", "blind": "warn"}
    return [
        Sign(
            tone="bad" if tones[span.kind] == "bad" else "warn",
            about=span.about,
            sentence=span.says,
            since=span.start,
            href=f"/watch/checks/{plain(span.about)}",
        )
        for span in spans.going_on(node.rows)
        if span.kind in tones and plain(span.about) in checks
    ]


PAGES = (
    Page(
        path="/watch",
        title="Watch",
        answer=overview,
        template="watch/overview.html",
        in_menu=True,
        hears=("watch.*",),
    ),
    Page(
        path="/watch/checks/{check}",
        title="Check",
        answer=one_check,
        template="watch/check.html",
        hears=("watch.*",),
    ),
)

_FALLIBLE = ("vendor", "service", "infrastructure", "journey")

PANELS = (
    Panel(
        title="Whose fault",
        kinds=_FALLIBLE,
        answer=verdict_panel,
        template="watch/verdict.html",
    ),
    Panel(
        title="Checks",
        kinds=_FALLIBLE,
        answer=checks_panel,
        template="watch/checks.html",
    ),
    Panel(
        title="The check", kinds=("check",), answer=check_panel, template="watch/check_panel.html"
    ),
)
