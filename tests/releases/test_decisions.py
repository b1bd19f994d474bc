"""What comes next, from the facts alone; what stands in the way; what the numbers say."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detente.facts.releases import (
    BackAsked,
    Began,
    Changed,
    Done,
    Held,
    Requested,
    ReviewOpened,
    RolledBack,
    RunAsked,
    Shipped,
    StepBegan,
    StepFailed,
    StepPassed,
    Stopped,
    Stuck,
    WentOn,
    Withdrawn,
)
from detente.kernel.clock import NS
from detente.kernel.fact import Fact, Recorded
from detente.kernel.tries import Tries
from detente.releases import decisions
from detente.releases.decisions import Release, after, inquire, next_of, same_version
from detente.releases.engine.evidence import Source, weigh
from detente.releases.engine.freezes import Frozen

A = "release:1"
T = 1_800_000_000 * NS
OLD, NEW = "a" * 40, "b" * 40
ASKED = Requested(about=A, title="Basket", service="service:shop", starts=T, ends=T + 60 * NS)
GOES = (ASKED, RunAsked(about=A), Began(about=A, version=NEW, before=OLD))


def began(step: str, attempt: int = 1) -> StepBegan:
    return StepBegan(about=A, step=step, mark=f"{step}-{attempt}", attempt=attempt)


def passed(step: str) -> StepPassed:
    return StepPassed(about=A, step=step, took=1.0)


def failed(step: str, why: str = "no") -> StepFailed:
    return StepFailed(about=A, step=step, took=1.0, why=why)


def stands(*facts: Fact) -> Release:
    release = None
    for index, fact in enumerate(facts, 1):
        release = after(release, Recorded(index, T + index * NS, "Ann", fact))
    assert release is not None
    return release


def steps(*names: str) -> list[Fact]:
    return [fact for each in names for fact in (began(each), passed(each))]


@pytest.mark.parametrize(
    ("facts", "what"),
    [
        ((ASKED,), None),
        ((ASKED, RunAsked(about=A)), "begin"),
        (GOES, "gate"),
        ((*GOES, *steps("gate")), "ship"),
        ((*GOES, *steps("gate", "ship")), "verify"),
        ((*GOES, *steps("gate", "ship", "verify")), "watch"),
        ((*GOES, *steps("gate", "ship", "verify", "watch")), "done"),
        (
            (
                *GOES,
                *steps("gate", "ship", "verify", "watch"),
                Done(about=A, version=NEW, lasted=1),
            ),
            None,
        ),
        ((*GOES, *steps("gate"), Held(about=A)), None),
        ((*GOES, *steps("gate"), Held(about=A), WentOn(about=A)), "ship"),
        ((*GOES, *steps("gate", "ship"), began("verify"), failed("verify")), "back"),
        ((*GOES, *steps("gate", "ship"), Held(about=A), BackAsked(about=A, why="x")), "back"),
        ((*GOES, *steps("gate"), BackAsked(about=A, why="x")), "stop"),
        ((*GOES, *steps("gate"), began("ship"), BackAsked(about=A, why="x")), "ship"),
        ((ASKED, Withdrawn(about=A)), None),
    ],
)
def test_what_comes_next(facts: Sequence[Fact], what: str | None) -> None:
    """The facts alone say what is to be done, so it does not matter who was killed in between."""
    found = next_of(stands(*facts), watches=True)
    assert (found.what if found else None) == what


@pytest.mark.parametrize("step", ["gate", "ship", "verify", "watch"])
def test_a_step_that_never_ended_was_interrupted(step: str) -> None:
    """It is met again as the same step, with the mark of its processes."""
    order = ("gate", "ship", "verify", "watch")
    before = steps(*order[: order.index(step)])
    found = next_of(stands(*GOES, *before, began(step)), watches=True)
    assert found is not None
    assert found.what == step
    assert found.interrupted is not None
    assert found.interrupted.mark == f"{step}-1"


def test_nothing_to_watch_is_done_after_verify() -> None:
    """A service without a watch ends when it was verified."""
    found = next_of(stands(*GOES, *steps("gate", "ship", "verify")), watches=False)
    assert found is not None
    assert found.what == "done"


def test_a_stopped_release_may_run_again() -> None:
    """The second run begins from nothing: no step of the first counts."""
    again = stands(
        *GOES,
        began("gate"),
        failed("gate"),
        Stopped(about=A, step="gate", why="no"),
        RunAsked(about=A),
    )
    assert (again.state, again.attempt, again.steps, again.back) == ("running", 2, (), None)


def test_done_may_still_be_taken_back() -> None:
    """Whoever sees tomorrow that it was wrong presses the same button."""
    release = stands(
        *GOES, *steps("gate", "ship", "verify"), Shipped(about=A, version=NEW),
        Done(about=A, version=NEW, lasted=1), BackAsked(about=A, why="prices"),
    )  # fmt: skip
    found = next_of(release, watches=True)
    assert found is not None
    assert found.what == "back"
    (fact,) = decisions.rolled_back(release)
    assert isinstance(fact, RolledBack)
    assert (fact.to, fact.why) == (OLD, "prices")


def test_a_person_may_go_back_where_nobody_could_tell() -> None:
    """A ship that was interrupted and that nobody could ask about is not asked about again."""
    release = stands(
        *GOES,
        *steps("gate"),
        began("ship"),
        Stuck(about=A, step="ship", why="nobody could tell"),
        BackAsked(about=A, why="I looked: it is half"),
    )
    found = next_of(release, watches=True)
    assert found is not None
    assert found.what == "back"


def test_what_calendars_must_hear_has_a_higher_number() -> None:
    """A change and a withdrawal do; a step does not."""
    changed = Changed(about=A, title="Basket", starts=T, ends=T + NS, what="starts")
    assert stands(ASKED).sequence == 0
    assert stands(ASKED, changed).sequence == 1
    assert stands(ASKED, changed, Withdrawn(about=A)).sequence == 2
    assert stands(*GOES, *steps("gate")).newest == 1


@pytest.mark.parametrize(
    ("runs", "verdict", "says"),
    [
        (NEW, "passed", "production already has bbbbbbbbbb"),
        (OLD, "again", "still has aaaaaaaaaa, so it ships again"),
        ("c" * 40, "failed", "so it goes back"),
        ("", "failed", "production has no version"),
        (None, "stuck", "nobody could tell"),
    ],
)
def test_an_interrupted_ship_is_asked_about(runs: str | None, verdict: str, says: str) -> None:
    """Never guessed: what production says decides, and where it says nothing a person does."""
    found = inquire(stands(*GOES), runs)
    assert found.verdict == verdict
    assert says in found.found


@given(st.text("0123456789abcdef", min_size=40, max_size=40), st.integers(0, 40))
def test_commits_may_be_cut_short(commit: str, signs: int) -> None:
    """To seven signs at least: less could be any commit."""
    assert same_version(commit, commit[:signs]) == (signs >= 7)
    assert same_version(commit[:signs], commit) == (signs >= 7)


FREEZE = Frozen(
    title="Christmas",
    reason="everybody buys",
    owner="Eve",
    start=T,
    end=T + 10 * NS,
    services=("shop",),
)


def test_what_stands_in_the_way() -> None:
    """A freeze with its reason, end and owner; an open incident, but not the one that it mends."""
    release = stands(ASKED)
    fire = [("incident:3", "Shop, HTTP 500")]
    found = decisions.obstacles(release, FREEZE, fire, until="Monday", stops=True)
    assert found == [
        "the freeze “Christmas” holds until Monday: everybody buys. Ask Eve",
        "incident 3 is open: Shop, HTTP 500",
    ]
    mends = stands(Requested(about=A, title="x", starts=T, ends=T, fixes="incident:3"))
    assert decisions.obstacles(mends, None, fire, until="", stops=True) == []
    assert decisions.obstacles(release, None, fire, until="", stops=False) == []


def test_a_freeze_holds_for_whom_it_names_and_while_it_lasts() -> None:
    """Its end is not part of it."""
    assert decisions.frozen_now([FREEZE], "shop", T) is FREEZE
    assert decisions.frozen_now([FREEZE], "shop", T + 10 * NS) is None
    assert decisions.frozen_now([FREEZE], "crm", T) is None


def test_what_was_let_through_is_reviewed() -> None:
    """An emergency always; a normal release only if something stood in its way."""
    normal = stands(ASKED, RunAsked(about=A, through="we must sell"))
    assert decisions.review(normal, [], T, 60) == []
    (fact,) = decisions.review(normal, ["the freeze holds"], T, 60)
    assert isinstance(fact, ReviewOpened)
    assert (fact.why, fact.due) == ("we must sell, although the freeze holds", T + 60 * NS)
    urgent = stands(
        Requested(about=A, title="Fix", kind="emergency", starts=T, ends=T), RunAsked(about=A)
    )
    (fact,) = decisions.review(urgent, [], T, 60)
    assert isinstance(fact, ReviewOpened)
    assert fact.why == "an emergency: Fix"


def test_announced_in_time() -> None:
    """A normal release keeps the lead time; an emergency has none."""
    day = 86_400.0
    assert decisions.in_time("normal", T + 3 * 86_400 * NS, T, 2 * day) == ""
    assert "would start in 1 h" in decisions.in_time("normal", T + 3_600 * NS, T, 2 * day)
    assert decisions.in_time("emergency", T, T, 2 * day) == ""


def test_blame_is_a_sentence_with_numbers() -> None:
    """What failed, of how many, what was known before, and what the evidence is worth."""
    bad = weigh(
        Source(about="check:shop", what="runs failed", before=Tries(0, 1000), since=Tries(6, 8)),
        sources=2,
    )
    good = weigh(
        Source(about="route:pay", what="calls parked", before=Tries(1, 999), since=Tries(0, 40)),
        sources=2,
    )
    blame = decisions.blamed([good, bad], 40)
    assert blame is not None
    assert (blame.because, blame.failed, blame.of) == ("check:shop", 6, 14)
    assert blame.why.startswith("check shop: 6 of 14 runs failed, where at most 1.0% used to")
    assert blame.why.endswith("and 40 to 1 decides")
    assert decisions.blamed([good], 20) is None
    assert "not enough to see a fivefold worsening: pay" in decisions.watched_well([good])
