"""How does each toggle stand, who asks for it, and what has its guard seen?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from detente.kernel import spans, tries
from detente.kernel.clock import Instant, Seconds, later
from detente.kernel.fact import Subject, plain
from detente.kernel.ledger import Query
from detente.kernel.node import Node
from detente.kernel.slice import NotFound
from detente.kernel.tries import Tries
from detente.kernel.views import Rows
from detente.toggles.decisions import guarding
from detente.toggles.decisions.definition import Declared, declared
from detente.toggles.decisions.guarding import Broken, Flip, Sides, Watched
from detente.toggles.decisions.standing import AS_DECLARED, Standing, laid_over
from detente.toggles.engine.ruleset import PINNED, Ruleset
from detente.toggles.settings import Guard, Toggles

BEFORE: Seconds = 86_400.0
"""How far back a guard looks to learn how often something fails anyway."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is still to be switched by itself."""

    position: int
    about: Subject
    at: Instant
    to: str
    why: str = ""
    release: Subject = ""
    declared: bool = False
    by: str = ""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """How often programs asked for it lately."""

    last_at: Instant | None = None
    by: Subject = ""
    variants: tuple[tuple[str, int], ...] = ()  # in the last seven days


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """A toggle as the ledger knows it."""

    about: Subject
    definition: str
    owner: str
    of: Subject
    generation: str
    position: int
    first_at: Instant
    retired_at: Instant | None = None


@dataclass
class _Kept:
    """What was worked out last, and what it was worked out from."""

    settings: Toggles
    toggles: dict[str, Declared]
    position: int = -1
    document: dict[str, Any] | None = None
    ruleset: Ruleset | None = None
    compiled: int = -1


def _kept(node: Node) -> _Kept:
    settings = node.settings(Toggles)
    kept: _Kept | None = node.part(_Kept)
    if kept is None or kept.settings is not settings:
        kept = node.parts[_Kept] = _Kept(settings, declared(settings, node.catalogue))
    return kept


def toggles(node: Node) -> Mapping[str, Declared]:
    """Everything that is declared, by name."""
    return _kept(node).toggles


def toggle(node: Node, about: Subject) -> Declared | None:
    return toggles(node).get(plain(about))


def toggle_or_not_found(node: Node, about: Subject) -> Declared:
    found = toggle(node, about)
    if found is None:
        raise NotFound(f"No toggle is called {plain(about)}; /toggles lists those there are.")
    return found


# What programs are told


def document(node: Node) -> dict[str, Any]:
    """The toggles as they stand, as flagd has them: what is declared, and what was switched since."""
    kept = _fresh(node)
    assert kept.document is not None
    return kept.document


def ruleset(node: Node) -> Ruleset:
    """The same, compiled."""
    kept = _fresh(node)
    if kept.ruleset is None or kept.compiled != kept.position:
        assert kept.document is not None
        kept.ruleset = Ruleset.parse(kept.document, before=kept.ruleset)
        kept.compiled = kept.position
    return kept.ruleset


def _fresh(node: Node) -> _Kept:
    kept, position = _kept(node), _last_switch(node.rows)
    if kept.document is None or kept.position != position:
        standings = all_standings(node.rows)
        kept.document = {
            "flags": {
                name: laid_over(each, standings.get(each.about, AS_DECLARED))
                for name, each in kept.toggles.items()
            },
            "metadata": {PINNED: kept.settings.generation},
        }
        kept.position = position
    return kept


def _last_switch(rows: Rows) -> int:
    """Where in the ledger anything was switched last."""
    for (position,) in rows.execute("select position from toggles_last"):
        return int(position)
    return 0


def take_counts(node: Node) -> dict[str, dict[str, int]]:
    """How often we answered for programs that ask us each time, since this was asked last."""
    taken: dict[str, dict[str, int]] = {}
    there = toggles(node)
    for name, variant, cell in ruleset(node).handed_out():
        count, cell[0] = cell[0], 0
        if count and name in there:
            variants = taken.setdefault(name, {})
            variants[variant or ""] = variants.get(variant or "", 0) + count
    return taken


# How they stand


_STANDING = """
select about, state, percent, value, variant, since, by, why, release, position
from toggles_standing
"""


def standing(rows: Rows, about: Subject) -> Standing:
    for row in rows.execute(f"{_STANDING} where about = ?", (about,)):
        return _standing(row)
    return AS_DECLARED


def all_standings(rows: Rows) -> dict[Subject, Standing]:
    return {row[0]: _standing(row) for row in rows.execute(_STANDING)}


def _standing(row: Any) -> Standing:
    names = ("state", "percent", "value", "variant", "since", "by", "why", "release", "position")
    return Standing(**dict(zip(names, row[1:], strict=True)))


def known(rows: Rows) -> dict[Subject, Known]:
    """Every toggle that was ever defined."""
    asked = """select about, definition, owner, of, generation, position, first_at, retired_at
      from toggles_toggle"""
    names = (
        "about", "definition", "owner", "of", "generation", "position", "first_at", "retired_at",
    )  # fmt: skip
    return {row[0]: Known(**dict(zip(names, row, strict=True))) for row in rows.execute(asked)}


def steps(rows: Rows, about: Subject | None = None) -> list[Step]:
    """What is still to be done, soonest first."""
    asked = """select position, about, at, put_to, why, release, declared, by from toggles_step
      where ?1 is null or about = ?1 order by at, position"""
    names = ("position", "about", "at", "to", "why", "release", "declared", "by")
    return [
        msgspec.convert(dict(zip(names, row, strict=True)), Step, strict=False)
        for row in rows.execute(asked, (about,))
    ]


def asked_for(rows: Rows, about: Subject, now: Instant) -> Asked:
    """Who asked for it last, and how often for which variant in the last week."""
    variants = tuple(
        (str(variant), int(count))
        for variant, count in rows.execute(
            "select variant, sum(asked) from toggles_usage where about = ? and day > ?"
            " group by variant order by 2 desc",
            (about, later(now, -8 * 86_400)),
        )
    )
    last = "select last_at, by from toggles_asked where about = ?"
    for last_at, by in rows.execute(last, (about,)):
        return Asked(last_at=last_at, by=by, variants=variants)
    return Asked(variants=variants)


def anybody_tells(rows: Rows) -> bool:
    """Does any program tell what it asks for? Otherwise silence means nothing."""
    return any(True for _ in rows.execute("select 1 from toggles_asked limit 1"))


# Flips, and their guards


_FLIP = """
select position, about, at, by, says, percent, variant, release, ended_at, passed_at,
  outcome
from toggles_flip
"""


def flips(rows: Rows, about: Subject, limit: int = 20) -> list[Flip]:
    """The last switches, newest first."""
    asked = f"{_FLIP} where about = ? order by position desc limit ?"
    return [_flip(row) for row in rows.execute(asked, (about, limit))]


def under_guard(node: Node) -> list[tuple[Flip, Declared, Guard]]:
    """Every switch that is still watched."""
    asked = f"{_FLIP} where ended_at is null and passed_at is null order by position"
    found = [_flip(row) for row in node.rows.execute(asked)]
    there = ((flip, toggle(node, flip.about)) for flip in found)
    return [
        (msgspec.structs.replace(flip, belongs_to=each.of), each, each.guard)
        for flip, each in there
        if each and each.guard
    ]


def _flip(row: Any) -> Flip:
    names = (
        "position", "about", "at", "by", "says", "percent", "variant", "release", "ended_at",
        "passed_at", "outcome",
    )  # fmt: skip
    return Flip(**dict(zip(names, row, strict=True)))


def flipped_for(rows: Rows, release: Subject) -> list[Subject]:
    """The toggles that were switched for that release."""
    asked = "select distinct about from toggles_flip where release = ? order by about"
    return [about for (about,) in rows.execute(asked, (release,))]


_EYES = (("checks", "check"), ("tests", "test"), ("routes", "route"))


def eyes(node: Node, toggle: Declared, guard: Guard) -> list[Subject]:
    """What the guard looks at: what it names, or else the checks of what the toggle belongs to."""
    named = [f"{noun}:{name}" for field, noun in _EYES for name in getattr(guard, field)]
    if named or guard.promises or not toggle.of:
        return named
    return [f"check:{name}" for name in _checks_around(node, toggle.of)]


def _checks_around(node: Node, of: Subject) -> tuple[str, ...]:
    """Its own checks; a journey has none, so those of what it cannot do without."""
    if own := node.catalogue.measures_of(of):
        return own
    needs = node.catalogue.needs.nodes.get(of, ())
    needed = dict.fromkeys(each for need in needs if not need.soft for each in need.of)
    return tuple(name for each in needed for name in node.catalogue.measures_of(each))


def watched(node: Node, toggle: Declared, guard: Guard, flip: Flip) -> list[Watched]:
    """What each of the guard's eyes has seen; the last is what programs told themselves."""
    until = min(
        guarding.ends(flip, guard.for_), flip.ended_at or 1 << 62, flip.passed_at or 1 << 62
    )
    seen = [_by_rate(node.rows, eye, flip, until) for eye in eyes(node, toggle, guard)]
    return [*seen, _outcomes(node.rows, toggle, flip, until)]


_DOWN = {"check": "outage", "test": "test failing", "route": "breaker"}


def _by_rate(rows: Rows, eye: Subject, flip: Flip, until: Instant) -> Watched:
    noun = eye.partition(":")[0]
    down = spans.overlapping(rows, flip.at, flip.at + 1, kind=_DOWN[noun], about=(eye,))
    before = tries.total(rows, eye, later(flip.at, -BEFORE), flip.at)
    since = tries.between(rows, eye, flip.at, until)
    return guarding.by_rate(eye, before, since, was_down=bool(down))


def _outcomes(rows: Rows, toggle: Declared, flip: Flip, until: Instant) -> Watched:
    """With people on both sides they are compared; with everybody on one, with what was before."""
    new = toggle.on if toggle.kind == "switch" else (flip.variant or "set")
    since = _sides(rows, toggle.about, new, flip.at, until)
    if toggle.kind == "switch" and flip.percent < 100:
        return guarding.by_sides(toggle.about, since)
    before = _sides(rows, toggle.about, new, later(flip.at, -BEFORE), flip.at)
    return guarding.by_rate(
        toggle.about,
        sum((each.both for each in before), Tries()),
        [Tries(each.new_failed, each.new_worked, at=each.at) for each in since],
    )


def _sides(rows: Rows, about: Subject, new: str, start: Instant, end: Instant) -> list[Sides]:
    asked = """select min(at),
        sum(failed * (variant = ?2)), sum(worked * (variant = ?2)),
        sum(failed * (variant <> ?2)), sum(worked * (variant <> ?2))
      from toggles_outcome where about = ?1 and at >= ?3 and until <= ?4
      group by position order by position"""
    return [Sides(*row) for row in rows.execute(asked, (about, new, start, end))]


def broken(rows: Rows, guard: Guard, flip: Flip) -> list[Broken]:
    """Promises that were broken while it looked."""
    promises = [f"promise:{name}" for name in guard.promises]
    marks = ",".join("?" * len(promises))
    asked = f"""select about, says from toggles_broken
      where about in ({marks}) and at >= ? and at < ? order by at"""
    end = guarding.ends(flip, guard.for_)
    return [Broken(*row) for row in rows.execute(asked, (*promises, flip.at, end))]


def of_release(node: Node, release: Subject) -> list[Subject]:
    """The toggles a release names, and those that were switched for it."""
    asked = Query(names=("releases.requested",), subjects=(release,))
    named = [
        about
        for recorded in node.ledger.read(asked)
        for about in getattr(recorded.fact, "toggles", ())
    ]
    return list(dict.fromkeys((*named, *flipped_for(node.rows, release))))
