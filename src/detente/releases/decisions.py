"""What was asked for, where does it stand, and what comes next?

A release is folded from its facts, and what is to be done next is read off it alone. So a node that was
killed anywhere goes on from the same place: a step that began and did not end was interrupted. Gate,
verify and watch are then done again. An interrupted ship is never guessed about: production is asked
which version it has.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from detente.facts.releases import (
    BackAsked,
    Began,
    Changed,
    Done,
    Held,
    Kind,
    Looked,
    Reading,
    Requested,
    Resumed,
    Reviewed,
    ReviewOpened,
    RolledBack,
    RunAsked,
    Settled,
    Shipped,
    StepBegan,
    StepFailed,
    StepPassed,
    Stopped,
    Stuck,
    ToggleSwitchedBack,
    WentOn,
    Withdrawn,
    short,
)
from detente.kernel.clock import Instant, Seconds, lasting, later, seconds_between
from detente.kernel.fact import Fact, Recorded, Subject, plain
from detente.releases.engine.evidence import Weighed
from detente.releases.engine.freezes import Frozen

State = Literal[
    "planned", "running", "done", "rolled back", "stopped", "stuck", "settled", "withdrawn"
]
ORDER = ("gate", "ship", "verify", "watch")
OPEN: tuple[State, ...] = ("planned", "running", "stopped", "stuck")


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step on its way, or how it ended."""

    name: str
    mark: str
    began_at: Instant
    attempt: int = 1
    ended_at: Instant | None = None
    passed: bool | None = None
    took: Seconds = 0.0
    note: str = ""
    position: int = 0  # of the fact that says how it ended; what was printed is attached to it


class Blame(msgspec.Struct, frozen=True, kw_only=True):
    """Why something is taken back, with the numbers that decided it."""

    why: str
    because: Subject = ""
    e_value: float = 0.0
    failed: int = 0
    of: int = 0


class Switched(msgspec.Struct, frozen=True, kw_only=True):
    """A toggle of the release that was switched off first."""

    toggle: Subject
    at: Instant
    why: str


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is known of one release."""

    about: Subject
    title: str
    kind: Kind
    starts: Instant
    ends: Instant
    service: Subject = ""
    version: str = ""
    touches: tuple[Subject, ...] = ()
    people: tuple[str, ...] = ()
    billing_code: str = ""
    toggles: tuple[Subject, ...] = ()
    plan: str = ""
    back_out: str = ""
    risk: str = ""
    central: tuple[Subject, ...] = ()
    falls: tuple[Subject, ...] = ()
    overlaps: tuple[Subject, ...] = ()
    frozen: str = ""
    fixes: Subject = ""
    requested_by: str = ""
    requested_at: Instant = 0
    changed_at: Instant = 0  # of the request: what calendars and people are told
    sequence: int = 0  # how often the request was changed since
    newest: int = 0  # position of the newest fact that whoever must know is told
    state: State = "planned"
    asked_at: Instant | None = None
    asked_by: str = ""
    attempt: int = 0
    through: str = ""
    began_at: Instant | None = None
    before: str = ""
    committed: Instant | None = None
    commits: int = 0
    steps: tuple[Step, ...] = ()
    shipped_at: Instant | None = None
    readings: tuple[Reading, ...] = ()
    switched: tuple[Switched, ...] = ()
    held: str | None = None
    back: Blame | None = None
    resumed: tuple[str, ...] = ()
    ended_at: Instant | None = None
    outcome: str = ""
    to: str = ""
    review: str = ""  # why one is wanted
    review_due: Instant | None = None
    reviewed: str = ""

    @property
    def number(self) -> str:
        return plain(self.about)

    @property
    def open_step(self) -> Step | None:
        """The step that has begun and not ended."""
        return self.steps[-1] if self.steps and self.steps[-1].ended_at is None else None

    def has_begun(self, step: str) -> bool:
        return any(each.name == step for each in self.steps)

    @property
    def wants_review(self) -> bool:
        return bool(self.review) and not self.reviewed


_ASKED = (
    "title", "kind", "service", "version", "starts", "ends", "touches", "people", "billing_code",
    "toggles", "plan", "back_out", "risk", "central", "falls", "overlaps", "frozen", "fixes",
)  # fmt: skip


def asked(fact: Requested | Changed | Release) -> dict[str, object]:
    """What stands in the request."""
    return {name: getattr(fact, name) for name in _ASKED}


def after(release: Release | None, recorded: Recorded) -> Release | None:
    """The release as it stands after one more fact about it."""
    fact, at = recorded.fact, recorded.at
    if isinstance(fact, Requested):
        return release or Release(
            about=fact.about,
            requested_by=recorded.by,
            requested_at=at,
            changed_at=at,
            newest=recorded.position,
            **asked(fact),  # type: ignore[arg-type]
        )
    if release is None:
        return None
    match fact:
        case Changed() | Withdrawn() | Held() | WentOn() | Reviewed() | ReviewOpened():
            return _after_words(release, recorded)
        case StepBegan() | StepPassed() | StepFailed():
            return _after_step(release, recorded)
        case RunAsked() | Began() | Shipped() | Looked() | ToggleSwitchedBack() | BackAsked():
            return _after_progress(release, recorded)
    return _after_end(release, recorded)


def _after_words(release: Release, recorded: Recorded) -> Release:
    at, news = recorded.at, recorded.position
    match recorded.fact:
        case Changed() as fact:
            sequence = release.sequence + 1
            told = {"sequence": sequence, "changed_at": at, "newest": news}
            return _with(release, **asked(fact), **told)
        case Withdrawn() as fact:
            told = {"sequence": release.sequence + 1, "changed_at": at, "newest": news}
            return _with(release, state="withdrawn", ended_at=at, outcome=fact.says(), **told)
        case Held() as fact:
            return _with(release, held=fact.why)
        case WentOn():
            return _with(release, held=None)
        case Reviewed() as fact:
            return _with(release, reviewed=fact.note)
        case ReviewOpened() as fact:
            return _with(release, review=fact.why, review_due=fact.due, reviewed="")
    return release


def _after_step(release: Release, recorded: Recorded) -> Release:
    at = recorded.at
    match recorded.fact:
        case StepBegan() as fact:
            step = Step(name=fact.step, mark=fact.mark, began_at=at, attempt=fact.attempt)
            return _with(release, steps=(*_interrupted(release, at), step))
        case StepPassed() as fact:
            return _ended(release, recorded, passed=True, took=fact.took, note=fact.note)
        case StepFailed() as fact:
            ended = _ended(release, recorded, passed=False, took=fact.took, note=fact.why)
            return _with(ended, back=release.back or _blame(fact)) if fact.step != "gate" else ended
    return release


def _interrupted(release: Release, at: Instant) -> tuple[Step, ...]:
    """The steps so far; one that never ended was interrupted."""
    if (step := release.open_step) is None:
        return release.steps
    ended = _with_step(step, ended_at=at, note="interrupted")
    return (*release.steps[:-1], ended)


def _ended(
    release: Release, recorded: Recorded, *, passed: bool, took: Seconds, note: str
) -> Release:
    if (step := release.open_step) is None:
        return release
    ended = _with_step(
        step, ended_at=recorded.at, passed=passed, took=took, note=note, position=recorded.position
    )
    return _with(release, steps=(*release.steps[:-1], ended))


def _blame(fact: StepFailed) -> Blame:
    return Blame(
        why=fact.why, because=fact.because, e_value=fact.e_value, failed=fact.failed, of=fact.of
    )


def _after_progress(release: Release, recorded: Recorded) -> Release:
    at = recorded.at
    match recorded.fact:
        case RunAsked() as fact:
            return _let_go(release, recorded, fact)
        case Began() as fact:
            told = {"before": fact.before, "committed": fact.committed, "commits": fact.commits}
            return _with(release, version=fact.version, began_at=at, **told)
        case Shipped():
            return _with(release, shipped_at=at)
        case Looked() as fact:
            return _with(release, readings=fact.readings)
        case ToggleSwitchedBack() as fact:
            switched = Switched(toggle=fact.toggle, at=at, why=fact.why)
            return _with(release, switched=(*release.switched, switched))
        case BackAsked() as fact:
            return _with(
                release, state="running", ended_at=None, held=None, back=Blame(why=fact.why)
            )
    return release


def _let_go(release: Release, recorded: Recorded, fact: RunAsked) -> Release:
    return _with(
        release,
        state="running",
        asked_at=recorded.at,
        asked_by=recorded.by,
        attempt=release.attempt + 1,
        through=fact.through,
        version=fact.version or release.version,
        began_at=None,
        ended_at=None,
        shipped_at=None,
        outcome="",
        steps=(),
        readings=(),
        switched=(),
        resumed=(),
        back=None,
        held=None,
    )


def _after_end(release: Release, recorded: Recorded) -> Release:
    at = recorded.at
    match recorded.fact:
        case Resumed() as fact:
            return _with(release, resumed=(*release.resumed, fact.says()))
        case Stopped() as fact:
            return _with(release, state="stopped", ended_at=at, outcome=fact.says())
        case Done() as fact:
            return _with(release, state="done", ended_at=at, outcome=fact.says())
        case RolledBack() as fact:
            return _with(release, state="rolled back", ended_at=at, outcome=fact.says(), to=fact.to)
        case Stuck() as fact:
            steps = _interrupted(release, at)  # nobody will ask about it again: a person does
            return _with(release, state="stuck", outcome=fact.says(), steps=steps)
        case Settled() as fact:
            return _with(
                release, state="settled", ended_at=at, outcome=fact.says(), to=fact.version
            )
    return release


def _with(release: Release, **changes: object) -> Release:
    return msgspec.structs.replace(release, **changes)


def _with_step(step: Step, **changes: object) -> Step:
    return msgspec.structs.replace(step, **changes)


# -- what comes next ---------------------------------------------------------------------------


class Next(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done: begin, stop, done, or one of the steps (`back` is one)."""

    what: str
    interrupted: Step | None = None  # the same step, begun before and never ended


def next_of(release: Release, *, watches: bool) -> Next | None:
    """What is to be done now; None: nothing, or it waits for a person."""
    if release.state != "running":
        return None
    if release.back is not None:
        return _going_back(release)
    if release.began_at is None:
        return Next(what="begin")
    if (step := release.open_step) is not None:
        return Next(what=step.name, interrupted=step)
    if release.held is not None:
        return None
    return Next(what=_after_the_last(release, watches=watches))


def _going_back(release: Release) -> Next:
    step = release.open_step
    if step is not None and step.name in ("ship", "back"):
        return Next(what=step.name, interrupted=step)
    return Next(what="back" if release.has_begun("ship") else "stop")


def _after_the_last(release: Release, *, watches: bool) -> str:
    passed = {each.name for each in release.steps if each.passed}
    steps = ORDER if watches else ORDER[:-1]
    return next((each for each in steps if each not in passed), "done")


def same_version(one: str, other: str) -> bool:
    """Are these the same? Commits may be cut short, to seven signs at least."""
    if not one or not other:
        return False
    short, long = sorted((one.strip(), other.strip()), key=len)
    return short == long or (len(short) >= 7 and long.startswith(short))


class Inquired(msgspec.Struct, frozen=True, kw_only=True):
    """What to make of a ship that was interrupted: passed, again, failed, or stuck."""

    verdict: Literal["passed", "again", "failed", "stuck"]
    found: str


def inquire(release: Release, runs: str | None) -> Inquired:
    """An interrupted ship. `runs`: the version that production has; None when nobody could tell."""
    if runs is None:
        found = "nobody could tell which version production has"
        return Inquired(verdict="stuck", found=found)
    if same_version(runs, release.version):
        return Inquired(verdict="passed", found=f"production already has {short(runs)}")
    if same_version(runs, release.before):
        return Inquired(
            verdict="again", found=f"production still has {short(runs)}, so it ships again"
        )
    neither = f"neither {short(release.version)} nor {short(release.before)}"
    found = f"production has {short(runs) or 'no version'}, {neither}"
    return Inquired(verdict="failed", found=f"{found}, so it goes back")


# -- what stands in the way --------------------------------------------------------------------


def frozen_now(frozen: Sequence[Frozen], service: str, at: Instant) -> Frozen | None:
    """The freeze that holds for that service at that time."""
    return next(
        (each for each in frozen if each.start <= at < each.end and each.holds_for(service)), None
    )


def obstacles(
    release: Release,
    frozen: Frozen | None,
    incidents: Sequence[tuple[Subject, str]],
    *,
    until: str,
    stops: bool,
) -> list[str]:
    """Why it may not be released now, each as a sentence. `until`: when the freeze ends, in words."""
    found = []
    if frozen is not None:
        found.append(
            f"the freeze “{frozen.title}” holds until {until}: {frozen.reason}. Ask {frozen.owner}"
        )
    if stops:
        others = [each for each in incidents if each[0] != release.fixes]
        found += [f"incident {plain(about)} is open: {what}" for about, what in others]
    return found


def excuse(release: Release) -> str:
    """Why it may pass what stands in its way: what somebody said, or that it is an emergency."""
    return release.through or (
        f"an emergency: {release.title}" if release.kind == "emergency" else ""
    )


def review(release: Release, passed: Sequence[str], now: Instant, within: Seconds) -> list[Fact]:
    """What is looked at afterwards: emergencies, and whatever was let through."""
    if release.kind != "emergency" and not (release.through and passed):
        return []
    past = f", although {'; '.join(passed)}" if passed else ""
    why = f"{excuse(release)}{past}" if release.through or release.kind == "emergency" else ""
    return [ReviewOpened(about=release.about, why=why, due=later(now, within))]


# -- what the watch says -----------------------------------------------------------------------


def reading(weighed: Weighed) -> Reading:
    source = weighed.source
    return Reading(
        about=source.about,
        what=source.what,
        failed=source.since.failed,
        of=source.since.of,
        known=round(weighed.known, 4),
        e_value=round(weighed.e_value, 2),
        enough=weighed.enough,
    )


def blamed(weighed: Sequence[Weighed], needed: float) -> Blame | None:
    """The source that speaks loudest against the release, if any speaks loudly enough."""
    against = [each for each in weighed if each.blames]
    if not against:
        return None
    worst = max(against, key=lambda each: each.e_value)
    since, about = worst.source.since, worst.source.about
    why = (
        f"{about.replace(':', ' ', 1)}: {since.failed} of {since.of} {worst.source.what}, where at"
        f" most {worst.known:.1%} used to; evidence {_figure(worst.e_value)} to 1, and {_figure(needed)}"
        " to 1 decides"
    )
    return Blame(
        why=why, because=about, e_value=round(worst.e_value, 2), failed=since.failed, of=since.of
    )


def _figure(number: float) -> str:
    return f"{number:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def watched_well(weighed: Sequence[Weighed]) -> str:
    """What the watch saw, and of what it saw too little to say anything."""
    if not weighed:
        return "nothing is watched, so nobody looked"
    told = ", ".join(_counted(each) for each in weighed)
    thin = [plain(each.source.about) for each in weighed if each.source.since.of < each.enough]
    doubt = f"; not enough to see a fivefold worsening: {', '.join(thin)}" if thin else ""
    return f"{told}{doubt}"


def _counted(weighed: Weighed) -> str:
    source = weighed.source
    return f"{plain(source.about)}: {source.since.failed} of {source.since.of} {source.what}"


# -- how it ends -------------------------------------------------------------------------------


def done(release: Release, now: Instant) -> list[Fact]:
    began = release.began_at if release.began_at is not None else now
    lasted = seconds_between(began, now)
    return [Done(about=release.about, version=release.version, lasted=lasted)]


def rolled_back(release: Release) -> list[Fact]:
    blame = release.back or Blame(why="it was asked to")
    return [
        RolledBack(
            about=release.about,
            to=release.before,
            why=blame.why,
            because=blame.because,
            e_value=blame.e_value,
            failed=blame.failed,
            of=blame.of,
        )
    ]


def in_time(kind: Kind, starts: Instant, now: Instant, lead: Seconds) -> str:
    """Why it comes too soon; empty if it does not."""
    if kind == "emergency" or seconds_between(now, starts) >= lead - 60:
        return ""
    early = lasting(max(0.0, seconds_between(now, starts)))
    return (
        f"it would start in {early}, and a {kind} release is announced {lasting(lead)} ahead:"
        " choose a later start, or say that it is an emergency"
    )
