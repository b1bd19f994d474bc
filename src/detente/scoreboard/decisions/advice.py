"""What do the facts call for?

Each rule reads the history and speaks only when it can point at facts. It says what to do in one
sentence, why in another, and names the lever. A rule that would speak on every history is no rule.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import msgspec

from detente.facts.acceptance import Ran
from detente.facts.dependencies import ChangePlanned, ChangeRecorded, Suspected
from detente.facts.incidents import (
    ActionDone,
    ActionDropped,
    ActionTakenOn,
    Closed,
    RetrospectiveClosed,
)
from detente.facts.pager import Taken, Told
from detente.facts.releases import Requested, Reviewed, ReviewOpened, RolledBack, Shipped
from detente.facts.sla import Claimed
from detente.facts.toggles import FlippedBack, SwitchedOff, SwitchedOn
from detente.facts.watch import LostSight, Warned, WarningPassed
from detente.facts.work import CallHeld, CallParked, DrillBegan
from detente.kernel.clock import Instant, Seconds, lasting, moment, seconds_between
from detente.kernel.fact import Recorded, Subject, plain
from detente.scoreboard.decisions.history import History, still_broken

_DAY: Seconds = 86_400.0
_MOST_CITED = 12


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """What to do, why, and how. `evidence`: positions in the ledger."""

    rule: str
    about: Subject
    do: str
    why: str
    lever: str  # a lever's name, a command, or what to write into detente.yaml
    evidence: tuple[int, ...]

    @property
    def key(self) -> Subject:
        """The same advice tomorrow has the same name."""
        return f"advice:{self.rule}/{self.about}"


Rule = Callable[[History], Iterator[Advice]]


def advise(history: History) -> list[Advice]:
    """Everything the facts call for."""
    return [each for rule in RULES for each in rule(history)]


def watch_what_fails(history: History) -> Iterator[Advice]:
    """Calls to a vendor fail, and no check looks at it."""
    parked = _grouped((fact.vendor, at) for at, fact in history.of(CallParked))
    for vendor, facts in parked.items():
        if not history.catalogue.measures_of(vendor):
            yield Advice(
                rule="watch-what-fails",
                about=vendor,
                do=f"Watch {_name(history, vendor)}: nothing looks at it, only its failures tell.",
                why=f"{_times(facts)} a call to it had to be parked, and no check is declared for it.",
                lever=f"watch: {{checks: {{{plain(vendor)}: {{http: …}}}}}}",
                evidence=_cited(facts),
            )


def claim_the_credit(history: History) -> Iterator[Advice]:
    """A promise is broken, the contract owes us, and nobody claimed it."""
    claimed = {(at.about, fact.period) for at, fact in history.of(Claimed)}
    for at, broken in still_broken(history):
        if broken.owed is not None and (at.about, broken.period) not in claimed:
            yield Advice(
                rule="claim-the-credit",
                about=at.about,
                do=f"Claim {broken.owed} from {_name(history, broken.vendor)} for {broken.period}.",
                why="The promise was broken by our measurement; contracts forfeit late claims.",
                lever=f"detente sla claim {plain(at.about)} --period {broken.period}",
                evidence=(at.position,),
            )


def ship_behind_a_toggle(history: History) -> Iterator[Advice]:
    """Releases had to be taken back whole because nothing in them could be switched off."""
    for at, back in history.of(RolledBack):
        asked = next((fact for _, fact in history.of(Requested, at.about)), None)
        if asked is None or not asked.toggles:
            yield Advice(
                rule="ship-behind-a-toggle",
                about=at.about,
                do="Ship the next try dark, and switch it on when it is needed.",
                why=f"It had no toggle, so all of it was taken back: {back.why}",
                lever="toggles: {toggles: {…: {owner: …, guard: {…}}}}",
                evidence=(at.position,),
            )


def remove_the_toggle(history: History) -> Iterator[Advice]:
    """On for everybody for a month and nobody touched it: it is code now."""
    on = {at.about: (at, fact) for at, fact in history.of(SwitchedOn)}
    off = {at.about: at.position for at, _ in history.of(SwitchedOff)}
    off |= {at.about: max(at.position, off.get(at.about, 0)) for at, _ in history.of(FlippedBack)}
    for toggle, (at, fact) in on.items():
        age = seconds_between(at.at, history.now)
        everybody = fact.percent >= 100 and fact.to == "everybody"
        if everybody and age > 28 * _DAY and off.get(toggle, 0) < at.position:
            yield Advice(
                rule="remove-the-toggle",
                about=toggle,
                do=f"Take {plain(toggle)} out of the program and out of detente.yaml.",
                why=f"It has been on for everybody for {lasting(age)}, untouched.",
                lever="remove it from `toggles:`",
                evidence=(at.position,),
            )


def it_comes_again(history: History) -> Iterator[Advice]:
    """The same thing fell three times."""
    opened = _grouped((fact.of, at) for at, fact in history.incidents())
    for subject, facts in opened.items():
        if len(facts) >= 3:
            yield Advice(
                rule="it-comes-again",
                about=subject,
                do=f"Decide what you do when {_name(history, subject)} falls again, and rehearse it.",
                why=f"{len(facts)} incidents of it in {_window(history)}: the next one is a matter of time.",
                lever="work.drill",
                evidence=_cited(facts),
            )


def hold_the_retrospective(history: History) -> Iterator[Advice]:
    """An incident ended a working week ago, and nobody wrote down what was learnt."""
    learnt = {at.about for at, _ in history.of(RetrospectiveClosed)}
    for at, closed in history.of(Closed):
        age = seconds_between(at.at, history.now)
        if at.about not in learnt and not closed.into and closed.lasted > 600 and age > 7 * _DAY:
            yield Advice(
                rule="hold-the-retrospective",
                about=at.about,
                do="Answer the four questions while people still remember.",
                why=f"It lasted {lasting(closed.lasted)} and was over {lasting(age)} ago.",
                lever=f"detente incidents retrospective {plain(at.about)}",
                evidence=(at.position,),
            )


def do_what_was_promised(history: History) -> Iterator[Advice]:
    """Actions out of retrospectives are overdue."""
    over = {fact.action for _, fact in history.of(ActionDone)}
    over |= {fact.action for _, fact in history.of(ActionDropped)}
    for at, action in history.of(ActionTakenOn):
        if action.action not in over and action.due < history.now:
            yield Advice(
                rule="do-what-was-promised",
                about=at.about,
                do=f"{action.title}: finish it or drop it with a reason.",
                why=f"{action.owner} took it on; it has been due for"
                f" {lasting(seconds_between(action.due, history.now))} and nothing of it has run.",
                lever="incidents.drop_action",
                evidence=(at.position,),
            )


def plan_central_changes(history: History) -> Iterator[Advice]:
    """A central point was changed, and nobody knew before."""
    planned = {at.about for at, _ in history.of(ChangePlanned)}
    for at, change in history.of(ChangeRecorded):
        if change.central and at.about not in planned:
            points = ", ".join(_name(history, each) for each in change.central)
            yield Advice(
                rule="plan-central-changes",
                about=at.about,
                do=f"Plan the next change of {points} beforehand, so that those who fall with it know.",
                why=f"“{change.title}” was written down only when it was done;"
                f" {len(change.falls)} journeys would have fallen with it.",
                lever="detente changes record … --at …",
                evidence=(at.position,),
            )


def rehearse_the_central_point(history: History) -> Iterator[Advice]:
    """Something fell that fells several journeys, and was never rehearsed."""
    drilled = {fact.vendor for _, fact in history.of(DrillBegan)}
    opened = _grouped((fact.of, at) for at, fact in history.incidents())
    for subject, facts in opened.items():
        falls = [
            each.node
            for each in history.catalogue.needs.falls([subject])
            if each.node.startswith("journey:")
        ]
        if len(falls) >= 2 and subject not in drilled:
            yield Advice(
                rule="rehearse-the-central-point",
                about=subject,
                do=f"Play {_name(history, subject)} dead for five minutes on a quiet morning.",
                why=f"It fell, {len(falls)} journeys fall with it, and no drill is on record.",
                lever="work.drill",
                evidence=_cited(facts),
            )


def say_i_have_it(history: History) -> Iterator[Advice]:
    """Incidents wait long until somebody takes them."""
    taken = {at.about: at.at for at, _ in reversed([*history.of(Taken)])}
    late = [
        at
        for at, _ in history.incidents()
        if seconds_between(at.at, taken.get(at.about, history.now)) > 900
    ]
    if len(late) >= 2:
        yield Advice(
            rule="say-i-have-it",
            about="team:everybody",
            do="Put people of both sides on one rota, with escalation after five minutes.",
            why=f"{len(late)} incidents waited more than a quarter of an hour for “I have it”.",
            lever="pager: {rota: {…}, escalation: […]}",
            evidence=_cited(late),
        )


def wake_both_sides(history: History) -> Iterator[Advice]:
    """At night only one team is woken."""
    nights = [
        (fact.team, at)
        for at, fact in history.of(Told)
        if fact.message == "opened" and _is_night(at.at)
    ]
    teams = _grouped(nights)
    if len(teams) == 1 and len(nights) >= 3 and len(history.catalogue.teams) > 1:
        ((team, facts),) = teams.items()
        yield Advice(
            rule="wake-both-sides",
            about=f"team:{team}",
            do="Share the nights: who writes the code sleeps differently once it wakes them.",
            why=f"All {len(facts)} messages at night went to {_name(history, f'team:{team}')}.",
            lever="pager: {rota: {…}}",
            evidence=_cited(facts),
        )


def make_the_normal_way_fast(history: History) -> Iterator[Advice]:
    """Emergencies have become the way to ship."""
    shipped = [at for at, _ in history.of(Shipped)]
    urgent = {at.about for at, fact in history.of(Requested) if fact.kind == "emergency"}
    rushed = [at for at in shipped if at.about in urgent]
    if len(shipped) >= 5 and len(rushed) > 0.3 * len(shipped):
        yield Advice(
            rule="make-the-normal-way-fast",
            about="team:everybody",
            do="Shorten the lead time of the normal release until nobody needs the emergency door.",
            why=f"{len(rushed)} of {len(shipped)} releases were emergencies.",
            lever="releases: {lead_time: {normal: …}}",
            evidence=_cited(rushed),
        )


def review_the_emergency(history: History) -> Iterator[Advice]:
    """What was let through was never looked at."""
    seen = {at.about for at, _ in history.of(Reviewed)}
    for at, review in history.of(ReviewOpened):
        if at.about not in seen and review.due < history.now:
            yield Advice(
                rule="review-the-emergency",
                about=at.about,
                do="Look at it together and write down what you found.",
                why=f"{review.why[:1].upper()}{review.why[1:]}; the review is overdue.",
                lever="releases.review",
                evidence=(at.position,),
            )


def mend_the_flaky_test(history: History) -> Iterator[Advice]:
    """The same test of the same version passes and fails: it vouches for nothing."""
    runs: dict[tuple[Subject, str, str], list[tuple[Recorded, Ran]]] = defaultdict(list)
    for at, ran in history.of(Ran):
        if ran.version and ran.place != "production":
            runs[at.about, ran.version, ran.place].append((at, ran))
    for (test, version, _), found in runs.items():
        failed = [at for at, ran in found if ran.outcome == "failed"]
        passed = [at for at, ran in found if ran.outcome == "passed"]
        if len(failed) >= 2 and len(passed) >= 2:
            yield Advice(
                rule="mend-the-flaky-test",
                about=test,
                do=f"Mend {plain(test)} or take it out of the gate.",
                why=f"Of version {version} it failed {len(failed)} times and passed {len(passed)} times.",
                lever="acceptance: {suites: …}",
                evidence=_cited(failed),
            )


def test_what_came_back(history: History) -> Iterator[Advice]:
    """A release passed its gate and was taken back: a test is missing."""
    gated = {ran.release for _, ran in history.of(Ran) if ran.place == "gate" and ran.release}
    for at, back in history.of(RolledBack):
        if at.about in gated:
            because = f" ({back.because.replace(':', ' ', 1)})" if back.because else ""
            yield Advice(
                rule="test-what-came-back",
                about=at.about,
                do="Write the acceptance test that would have stopped it at the gate.",
                why=f"Every test in the gate passed, and it was taken back{because}: {back.why}",
                lever="@pytest.mark.acceptance",
                evidence=(at.position,),
            )


def settle_it_for_good(history: History) -> Iterator[Advice]:
    """People decide the same thing by hand again and again."""
    held = _grouped(((fact.route, fact.reason), at) for at, fact in history.of(CallHeld))
    for (route, reason), facts in held.items():
        if len(facts) >= 10:
            yield Advice(
                rule="settle-it-for-good",
                about=f"route:{route}",
                do=f"Agree with the vendor what becomes of calls on {route} that end so.",
                why=f"{len(facts)} calls waited for a person because of the same thing: {reason}",
                lever="work.hand_back",
                evidence=_cited(facts),
            )


def declare_what_is_shared(history: History) -> Iterator[Advice]:
    """Several things fall together, and nobody declared why."""
    for at, found in history.of(Suspected):
        names = ", ".join(_name(history, each) for each in found.together)
        yield Advice(
            rule="declare-what-is-shared",
            about=at.about,
            do=f"Find out what {names} share, and write it under `needs`.",
            why=f"They fell at the same moment; by chance that happens in {found.chance:.0e} of windows.",
            lever="infrastructure: {…}, needs: […]",
            evidence=(at.position,),
        )


def heed_the_warning(history: History) -> Iterator[Advice]:
    """A warning stands for days: a certificate that runs out does not mend itself."""
    passed = {(at.about, at.position) for at, _ in history.of(WarningPassed)}
    for at, warned in history.of(Warned):
        over = any(about == at.about and position > at.position for about, position in passed)
        age = seconds_between(warned.since, history.now)
        if not over and age > 3 * _DAY:
            yield Advice(
                rule="heed-the-warning",
                about=at.about,
                do=f"Mend what {plain(at.about)} warns of before it is an outage.",
                why=f"It has warned for {lasting(age)}: {warned.reason}",
                lever="incidents.act",
                evidence=(at.position,),
            )


def look_from_another_place(history: History) -> Iterator[Advice]:
    """Checks often cannot tell: one place is not enough."""
    blind = _grouped((at.about, at) for at, _ in history.of(LostSight))
    for check, facts in blind.items():
        if len(facts) >= 5:
            yield Advice(
                rule="look-from-another-place",
                about=check,
                do="Look from a second place, so that our own network cannot hide theirs.",
                why=f"{_times(facts)} {plain(check)} could not be judged from here.",
                lever="detente agent",
                evidence=_cited(facts),
            )


RULES: tuple[Rule, ...] = (
    watch_what_fails,
    claim_the_credit,
    ship_behind_a_toggle,
    remove_the_toggle,
    it_comes_again,
    hold_the_retrospective,
    do_what_was_promised,
    plan_central_changes,
    rehearse_the_central_point,
    say_i_have_it,
    wake_both_sides,
    make_the_normal_way_fast,
    review_the_emergency,
    mend_the_flaky_test,
    test_what_came_back,
    settle_it_for_good,
    declare_what_is_shared,
    heed_the_warning,
    look_from_another_place,
)


K = TypeVar("K")


def _grouped(pairs: Iterable[tuple[K, Recorded]]) -> dict[K, list[Recorded]]:
    found: dict[K, list[Recorded]] = defaultdict(list)
    for key, at in pairs:
        found[key].append(at)
    return found


def _cited(facts: Sequence[Recorded]) -> tuple[int, ...]:
    """The newest of them: a page has no room for thousands."""
    return tuple(each.position for each in facts[-_MOST_CITED:])


def _times(facts: Sequence[Recorded]) -> str:
    return "Once" if len(facts) == 1 else f"{len(facts)} times"


def _name(history: History, subject: Subject) -> str:
    return history.catalogue.title(subject)


def _window(history: History) -> str:
    return lasting(seconds_between(history.start, history.now))


def _is_night(at: Instant) -> bool:
    """By the node's own clock, which is UTC: between ten at night and six in the morning."""
    return moment(at).hour >= 22 or moment(at).hour < 6
