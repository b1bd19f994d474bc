"""What was not as before when it fell?

Everything in the ledger that may have been a cause: releases, toggles, recorded changes, warnings,
others' outages, drills, pauses. Facts of other slices are folded here, each kind by one small function.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from detente.facts import dependencies, node, releases, toggles, watch, work
from detente.incidents.decisions import Incident
from detente.incidents.engine.suspects import CURED_WITHIN, Change, Fall, Sort
from detente.incidents.queries.meanwhile import position_before
from detente.kernel.clock import Instant, Seconds, later
from detente.kernel.fact import Fact, Recorded, Subject, kind
from detente.kernel.ledger import Ledger, Query

_HEARD: tuple[type[Fact], ...] = (
    dependencies.ChangePlanned,
    dependencies.ChangeRecorded,
    dependencies.ChangeDropped,
    dependencies.Suspected,
    node.Started,
    releases.Requested,
    releases.Began,
    releases.Shipped,
    releases.Stopped,
    releases.RolledBack,
    toggles.Defined,
    toggles.SwitchedOn,
    toggles.SwitchedOff,
    toggles.FlippedBack,
    toggles.Set,
    watch.AnswerChanged,
    watch.Warned,
    watch.WarningPassed,
    watch.WentDown,
    watch.CameBack,
    watch.Retired,
    work.RoutePaused,
    work.RouteResumed,
    work.DrillBegan,
    work.DrillEnded,
)
_NAMES = tuple(fact.name for fact in _HEARD)
_MOST = 5_000  # a page must not keep the node waiting


def fall_of(incident: Incident) -> Fall:
    """What fell, as the ranking wants to know it; what came to it first stands first."""
    felt = [each for each in incident.causes if not each.remark]
    ofs = dict.fromkeys([incident.of, *(each.of or incident.of for each in felt)])
    left = [each.left for each in felt]
    return Fall(
        of=tuple(ofs),
        since=incident.since,
        noticed=incident.opened_at,
        ended=max((each for each in left if each), default=None) if all(left) else None,
        reason=incident.reason,
    )


def before(ledger: Ledger, incident: Incident, looks_back: Seconds) -> tuple[Change, ...]:
    """What changed before it was noticed, oldest first, with what became of it afterwards."""
    fall = fall_of(incident)
    start = later(fall.since, -looks_back)
    end = later(fall.ended, CURED_WITHIN) if fall.ended else None
    after = position_before(ledger, start)
    until = None if end is None else position_before(ledger, end)
    newest = ledger.read(Query(names=_NAMES), after=after, until=until, limit=_MOST, backwards=True)
    folded = _Folded(fall, {each.cause for each in incident.causes})
    for recorded in reversed(list(newest)):
        folded.take(recorded, ledger)
    return tuple(each for each in folded.changes if each.at <= max(fall.noticed, fall.since))


class _Folded:
    """The changes so far, and which of them is the newest of each subject."""

    def __init__(self, fall: Fall, causes: set[Subject]) -> None:
        self.fall, self.causes = fall, causes
        self.changes: list[Change] = []
        self._asked: dict[Subject, releases.Requested | None] = {}
        self._toggles: dict[Subject, Subject] = {}

    def take(self, recorded: Recorded, ledger: Ledger) -> None:
        made = _MADE.get(type(recorded.fact))
        if kind(recorded.about) == "release" and recorded.about not in self._asked:
            self._asked[recorded.about] = _requested(ledger, recorded.about)
        if kind(recorded.about) == "toggle" and recorded.about not in self._toggles:
            self._toggles[recorded.about] = _toggle_of(ledger, recorded.about)
        if made is not None:
            made(self, recorded)

    def add(
        self,
        recorded: Recorded,
        sort: Sort,
        *,
        at: Instant | None = None,
        says: str = "",
        touches: tuple[Subject, ...] = (),
        lasts: bool = False,
    ) -> None:
        usual = sum(each.about == recorded.about and each.sort == sort for each in self.changes)
        self.changes.append(
            Change(
                position=recorded.position,
                at=at or recorded.at,
                about=recorded.about,
                sort=sort,
                says=says or recorded.fact.says(),
                touches=touches,
                lasts=lasts,
                usual=usual,
            )
        )

    def undo(self, recorded: Recorded, *, at: Instant | None = None, blamed: str = "") -> None:
        """The newest change of that subject was taken back."""
        for index, each in reversed([*enumerate(self.changes)]):
            if each.about == recorded.about and each.undone is None and each.sort != "rules":
                self.changes[index] = replace(
                    each, undone=at or recorded.at, undone_by=recorded.position, blamed=blamed
                )
                return

    def forget(self, about: Subject) -> None:
        self.changes = [each for each in self.changes if each.about != about]

    def passed(self, recorded: Recorded, at: Instant) -> None:
        """A state ended: it did not last until the fall if that was before it."""
        for index, each in reversed([*enumerate(self.changes)]):
            if each.about == recorded.about and each.lasts:
                if at < self.fall.since:
                    self.changes[index] = replace(each, lasts=False)
                return

    def touches_of(self, release: Subject) -> tuple[Subject, ...]:
        asked = self._asked.get(release)
        return asked.touches if asked else ()

    def touched_by(self, toggle: Subject, release: Subject) -> tuple[Subject, ...]:
        """What a toggle belongs to; where nobody said, what its release touches."""
        of = self._toggles.get(toggle)
        return (of,) if of else self.touches_of(release)

    def blamed(self, because: Subject, why: str) -> str:
        """A guard that took it back because of what fell here speaks of this fall."""
        return why if because in self.causes or because in self.fall.of else ""


def _requested(ledger: Ledger, release: Subject) -> releases.Requested | None:
    query = Query(names=(releases.Requested.name,), subjects=(release,))
    found = next(iter(ledger.read(query, limit=1, backwards=True)), None)
    return found.fact if found and isinstance(found.fact, releases.Requested) else None


def _toggle_of(ledger: Ledger, toggle: Subject) -> Subject:
    query = Query(names=(toggles.Defined.name,), subjects=(toggle,))
    found = next(iter(ledger.read(query, limit=1, backwards=True)), None)
    return found.fact.belongs_to if found and isinstance(found.fact, toggles.Defined) else ""


# One function for each kind of fact


def _began(folded: _Folded, recorded: Recorded) -> None:
    folded.forget(recorded.about)
    folded.add(recorded, "release", touches=folded.touches_of(recorded.about))


def _shipped(folded: _Folded, recorded: Recorded) -> None:
    """Production changes when it is shipped, not when it began."""
    folded.forget(recorded.about)
    folded.add(recorded, "release", touches=folded.touches_of(recorded.about))


def _stopped(folded: _Folded, recorded: Recorded) -> None:
    folded.forget(recorded.about)


def _rolled_back(folded: _Folded, recorded: Recorded) -> None:
    fact = recorded.fact
    assert isinstance(fact, releases.RolledBack)
    folded.undo(recorded, blamed=folded.blamed(fact.because, fact.why))


def _switched(folded: _Folded, recorded: Recorded) -> None:
    folded.undo(recorded)
    release = getattr(recorded.fact, "release", "")
    folded.add(recorded, "toggle", touches=folded.touched_by(recorded.about, release))


def _flipped_back(folded: _Folded, recorded: Recorded) -> None:
    fact = recorded.fact
    assert isinstance(fact, toggles.FlippedBack)
    folded.undo(recorded, blamed=folded.blamed(fact.because, fact.why))


def _defined(folded: _Folded, recorded: Recorded) -> None:
    folded.add(recorded, "rules", touches=folded.touched_by(recorded.about, ""))


def _planned(folded: _Folded, recorded: Recorded) -> None:
    fact = recorded.fact
    assert isinstance(fact, dependencies.ChangePlanned)
    says = f"was planned for then: {fact.title}"
    folded.add(recorded, "change", at=fact.starts, says=says, touches=fact.touches)


def _changed(folded: _Folded, recorded: Recorded) -> None:
    """What was planned under the same name was made now, and not when it was planned for."""
    fact = recorded.fact
    assert isinstance(fact, dependencies.ChangeRecorded)
    folded.forget(recorded.about)
    says = f"was made: {fact.title}"
    folded.add(recorded, "change", at=fact.since, says=says, touches=fact.touches)


def _warned(folded: _Folded, recorded: Recorded) -> None:
    fact = recorded.fact
    assert isinstance(fact, watch.Warned)
    folded.add(recorded, "warning", at=fact.since, touches=(fact.of,), lasts=True)


def _went_down(folded: _Folded, recorded: Recorded) -> None:
    fact = recorded.fact
    assert isinstance(fact, watch.WentDown)
    elsewhere = fact.of not in folded.fall.of and recorded.about not in folded.causes
    if elsewhere:
        folded.add(recorded, "fall", at=fact.since, touches=(fact.of,), lasts=True)


def _passed(folded: _Folded, recorded: Recorded) -> None:
    folded.passed(recorded, getattr(recorded.fact, "since", recorded.at))


def _paused(folded: _Folded, recorded: Recorded) -> None:
    fact = recorded.fact
    assert isinstance(fact, work.RoutePaused)
    folded.add(recorded, "pause", touches=(fact.vendor,), lasts=True)


def _suspected(folded: _Folded, recorded: Recorded) -> None:
    fact = recorded.fact
    assert isinstance(fact, dependencies.Suspected)
    if set(fact.together) & {*folded.fall.of, *folded.causes}:
        folded.add(recorded, "suspicion", at=fact.since, touches=fact.together)


def _started(folded: _Folded, recorded: Recorded) -> None:
    folded.add(recorded, "node")


def _drilled(folded: _Folded, recorded: Recorded) -> None:
    fact = recorded.fact
    assert isinstance(fact, work.DrillBegan)
    folded.add(recorded, "drill", touches=(fact.vendor, recorded.about), lasts=True)


def _drill_over(folded: _Folded, recorded: Recorded) -> None:
    folded.undo(recorded)
    folded.passed(recorded, recorded.at)


def _answers_differently(folded: _Folded, recorded: Recorded) -> None:
    fact = recorded.fact
    assert isinstance(fact, watch.AnswerChanged)
    folded.add(recorded, "change", at=fact.since, touches=(fact.of,))


_MADE: dict[type[Fact], Callable[[_Folded, Recorded], None]] = {
    dependencies.ChangePlanned: _planned,
    dependencies.ChangeRecorded: _changed,
    dependencies.ChangeDropped: _stopped,
    dependencies.Suspected: _suspected,
    node.Started: _started,
    releases.Began: _began,
    releases.Shipped: _shipped,
    releases.Stopped: _stopped,
    releases.RolledBack: _rolled_back,
    toggles.Defined: _defined,
    toggles.SwitchedOn: _switched,
    toggles.SwitchedOff: _switched,
    toggles.FlippedBack: _flipped_back,
    toggles.Set: _switched,
    watch.AnswerChanged: _answers_differently,
    watch.Warned: _warned,
    watch.WarningPassed: _passed,
    watch.WentDown: _went_down,
    watch.CameBack: _passed,
    watch.Retired: _passed,
    work.RoutePaused: _paused,
    work.RouteResumed: _passed,
    work.DrillBegan: _drilled,
    work.DrillEnded: _drill_over,
}
