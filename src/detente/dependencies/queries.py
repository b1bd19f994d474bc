"""How does everything on the map stand, what falls meanwhile, and what is about to be changed?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec

from detente.dependencies.engine.points import Atlas
from detente.dependencies.engine.together import Onset
from detente.facts.watch import OUTAGE, WARNING
from detente.facts.work import BREAKER, PAUSE
from detente.kernel import spans
from detente.kernel.clock import Instant, later
from detente.kernel.fact import Fact, Subject, Tone, plain
from detente.kernel.money import Money
from detente.kernel.node import Node
from detente.kernel.slice import NotFound
from detente.kernel.spans import Span
from detente.kernel.views import Rows

State = Literal["down", "falls", "weakened", "look", "up", "unmeasured"]

TONES: Mapping[State, Tone] = {
    "down": "bad",
    "falls": "bad",
    "weakened": "warn",
    "look": "warn",
    "up": "good",
    "unmeasured": "plain",
}
WORDS: Mapping[State, str] = {
    "down": "down",
    "falls": "cannot work",
    "weakened": "weakened",
    "look": "worth a look",
    "up": "answering",
    "unmeasured": "nobody looks",
}


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How one thing on the map is now, and why."""

    node: Subject
    state: State
    says: str = ""
    since: Instant | None = None
    over: tuple[Subject, ...] = ()  # what it fell over

    @property
    def tone(self) -> Tone:
        return TONES[self.state]

    @property
    def word(self) -> str:
        return WORDS[self.state]


def atlas_of(node: Node) -> Atlas:
    """The map of this node, thought through once for as long as nothing else is declared."""
    kept: Atlas | None = node.part(Atlas)
    if kept is None or kept.catalogue is not node.catalogue:
        node.parts[Atlas] = kept = Atlas(node.catalogue)
    return kept


# -- the present -----------------------------------------------------------------------------------

_DOWN = (OUTAGE.name, BREAKER.name)
_LOOK = (WARNING.name, PAUSE.name)


def standings(node: Node) -> dict[Subject, Standing]:
    """Everything on the map as it stands: what is down, and what that takes along."""
    trouble = _trouble(node)
    down = [each.node for each in trouble.values() if each.state == "down"]
    needs = node.catalogue.needs
    fallen = {each.node: each.over for each in needs.falls(down)}
    weakened = set(needs.weakened(down)) if down else set()
    measured = {each.of for each in node.catalogue.measures.values()}
    return {
        each: _standing(
            node, each, trouble.get(each), fallen.get(each, ()), each in weakened, measured
        )
        for each in needs.nodes
    }


def _standing(
    node: Node,
    about: Subject,
    trouble: Standing | None,
    over: tuple[Subject, ...],
    weakened: bool,
    measured: set[Subject],
) -> Standing:
    if trouble and trouble.state == "down":
        return trouble
    if over:
        names = ", ".join(node.title(each) for each in over)
        says = f"needs {names}, which {'is' if len(over) == 1 else 'are'} down"
        return Standing(node=about, state="falls", says=says, over=over)
    if weakened:
        return Standing(node=about, state="weakened", says="works, but a spare or an extra is down")
    if trouble:
        return trouble
    known = about in measured and node.running
    return Standing(node=about, state="up" if known else "unmeasured")


def _trouble(node: Node) -> dict[Subject, Standing]:
    """What checks and breakers say themselves, the worst and oldest of each thing."""
    said: dict[Subject, Standing] = {}
    for span in spans.going_on(node.rows):
        state = _state(span)
        about = _concerns(node, span) if state else None
        if state is None or about is None:
            continue
        if about not in said or (state == "down" and said[about].state != "down"):
            said[about] = Standing(node=about, state=state, says=span.says, since=span.start)
    return said


def _state(span: Span) -> State | None:
    if span.kind in _DOWN:
        return "down"
    return "look" if span.kind in _LOOK else None


def _concerns(node: Node, span: Span) -> Subject | None:
    """The declared thing that the span's first fact names, if customers depend on it."""
    fact = _first(node, span)
    of = str(getattr(fact, "of", "") or getattr(fact, "vendor", ""))
    if of not in node.catalogue.entries:
        return None
    environment = getattr(fact, "environment", "")
    return of if node.catalogue.in_production(of, environment) else None


def _first(node: Node, span: Span) -> Fact | None:
    found = node.ledger.read(after=span.opened_by - 1, until=span.opened_by)
    return next((recorded.fact for recorded in found), None)


# -- what fell together ----------------------------------------------------------------------------


def onsets(node: Node, start: Instant, end: Instant) -> list[Onset]:
    """When each thing on the map began to fail, by its checks in production."""
    checks: dict[Subject, Subject] = {
        f"check:{name}": measure.of
        for name, measure in node.catalogue.measures.items()
        if measure.of in node.catalogue.entries and name in node.catalogue.measures_of(measure.of)
    }
    found = spans.overlapping(node.rows, start, end, kind=OUTAGE.name)
    fell: dict[Subject, Span] = {}
    begun: list[Onset] = []
    for span in (each for each in found if each.about in checks and each.start >= start):
        of = checks[span.about]
        before = fell.get(of)
        if before is None or (before.end is not None and before.end <= span.start):
            begun.append(Onset(of, span.start))
            fell[of] = span
    return begun


def watched(node: Node) -> tuple[Subject, ...]:
    """Everything on the map that a check of production is of."""
    return tuple(each for each in node.catalogue.entries if node.catalogue.measures_of(each))


class Suspicion(msgspec.Struct, frozen=True, kw_only=True):
    """What fell together, and how likely that is by accident."""

    about: Subject
    together: tuple[Subject, ...]
    since: Instant
    chance: float


def suspicions(rows: Rows) -> list[Suspicion]:
    """Everything suspected so far, newest first."""
    asked = (
        "select about, together, since, chance from dependencies_suspicion order by position desc"
    )
    return [
        Suspicion(about=about, together=_subjects(together), since=since, chance=chance)
        for about, together, since, chance in rows.execute(asked)
    ]


# -- changes ---------------------------------------------------------------------------------------

Stage = Literal["planned", "made", "dropped"]


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One change: planned, made, or not made after all."""

    about: Subject
    state: Stage
    at: Instant
    title: str
    touches: tuple[Subject, ...]
    central: tuple[Subject, ...]
    falls: tuple[Subject, ...]
    an_hour: tuple[Money, ...]
    tell: tuple[Subject, ...]
    link: str
    by: str
    why: str = ""

    @property
    def id(self) -> str:
        return plain(self.about)


_COLUMNS = """
select about, state, at, title, touches, central, falls, an_hour, tell, link, said_by, why
from dependencies_change
"""


def change(rows: Rows, about: Subject) -> Change | None:
    """That change, if there is one."""
    return next(_changes(rows, f"{_COLUMNS} where about = ?", (about,)), None)


def change_or_not_found(rows: Rows, about: Subject) -> Change:
    """That change; NotFound if there is none."""
    found = change(rows, about)
    if found is None:
        raise NotFound(
            f"There is no change {plain(about)}; `detente changes` lists those there are."
        )
    return found


def planned(rows: Rows) -> list[Change]:
    """Every change that is yet to be made, the next one first."""
    return list(_changes(rows, f"{_COLUMNS} where state = 'planned' order by at, about", ()))


def past(rows: Rows, limit: int) -> list[Change]:
    """The last changes that were made or dropped, newest first."""
    asked = f"{_COLUMNS} where state <> 'planned' order by at desc, about limit ?"
    return list(_changes(rows, asked, (limit,)))


def touching(rows: Rows, about: Subject, since: Instant) -> list[Change]:
    """Changes of this one thing, newest first: planned ones, and those made since then."""
    asked = f"""{_COLUMNS} where state <> 'dropped' and at >= ?
      and exists (select 1 from json_each(touches) where value = ?) order by at desc, about"""
    return list(_changes(rows, asked, (since, about)))


def _changes(rows: Rows, asked: str, given: tuple[object, ...]) -> Iterator[Change]:
    for about, state, at, title, touches, central, falls, an_hour, tell, link, by, why in list(
        rows.execute(asked, given)
    ):
        yield Change(
            about=about, state=state, at=at, title=title, touches=_subjects(touches),
            central=_subjects(central), falls=_subjects(falls), tell=_subjects(tell),
            an_hour=msgspec.json.decode(an_hour, type=tuple[Money, ...]), link=link, by=by, why=why,
        )  # fmt: skip


def _subjects(written: str) -> tuple[Subject, ...]:
    return msgspec.json.decode(written, type=tuple[str, ...])


def overdue(change: Change, now: Instant) -> bool:
    """Its time has passed, and nobody has said whether it was made."""
    return change.state == "planned" and now > later(change.at, _GRACE)


_GRACE = 3_600.0
