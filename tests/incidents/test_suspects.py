"""Does the true cause stand first, and does nothing stand there when nothing explains it?"""

from __future__ import annotations

import random

from detente.incidents.engine.suspects import Change, Fall, Sort, Suspect, explained, rank
from detente.kernel.clock import NS, Instant
from detente.kernel.fact import Subject
from detente.kernel.needs import Need, Needs

FELL = 1_800_000_000 * NS
MAP = Needs(
    {
        "journey:renew": (Need(("service:portal",)),),
        "service:portal": (
            Need(("infrastructure:cas",)),
            Need(("service:search",), soft=True),
        ),
        "infrastructure:cas": (Need(("infrastructure:vm1",)),),
        "service:payroll": (),
        "service:search": (),
        "infrastructure:vm1": (),
    }
)


def change(
    number: int,
    ago: float,
    *touches: Subject,
    sort: Sort = "change",
    says: str = "was made",
    lasts: bool = False,
    undone: Instant | None = None,
    blamed: str = "",
    usual: int = 0,
) -> Change:
    return Change(
        position=number, at=FELL - round(ago * NS), about=f"change:{number}", sort=sort, says=says,
        touches=touches, lasts=lasts, undone=undone, blamed=blamed, usual=usual,
    )  # fmt: skip


def fall(*of: Subject, ended: float | None = None, reason: str = "refused") -> Fall:
    over = None if ended is None else FELL + round(ended * NS)
    return Fall(
        of=of or ("service:portal",), since=FELL, noticed=FELL + 60 * NS, ended=over, reason=reason
    )


def order(found: tuple[Suspect, ...]) -> list[int]:
    return [each.change.position for each in found]


def test_the_map_beats_the_clock() -> None:
    """Moving the sign-on server an hour ago explains the portal better than payroll a minute ago."""
    found = rank(
        fall(), [change(1, 3_600, "infrastructure:cas"), change(2, 60, "service:payroll")], MAP
    )
    assert order(found) == [1, 2]
    assert found[0].reasons == (
        "60 min before the first failure".replace("60 min", "1 h"),
        "touched infrastructure:cas, which service:portal needs, directly",
    )
    assert found[1].strength == "weak"
    assert "nothing leads from service:payroll" in found[1].reasons[1]


def test_nearer_on_the_map_and_in_time_is_stronger() -> None:
    """Each need in between, and each hour, takes some of the odds."""
    touched = ["service:portal", "infrastructure:cas", "infrastructure:vm1", "service:search"]
    by_map = rank(fall(), [change(i, 600, each) for i, each in enumerate(touched)], MAP)
    assert order(by_map) == [0, 1, 2, 3]
    assert "should stand" in by_map[3].reasons[1]
    times = [60, 900, 7_200, 86_400, 500_000]
    by_time = rank(fall(), [change(i, each, "service:portal") for i, each in enumerate(times)], MAP)
    assert order(by_time) == [0, 1, 2, 3, 4]
    assert (by_time[0].strength, by_time[-1].strength) == ("strong", "weak")


def test_what_fell_with_it_is_not_what_has_to_be_explained() -> None:
    """The sign-on server fell and the portal with it: a toggle of the portal fells no server."""
    toggle = change(1, 60, "service:portal", sort="toggle")
    moved = change(2, 1_800, "infrastructure:cas")
    found = rank(fall("infrastructure:cas", "service:portal"), [toggle, moved], MAP)
    assert order(found) == [2, 1]
    assert "which infrastructure:cas needs" not in found[1].reasons[1]


def test_taken_back_and_cured_is_the_best_reason_there_is() -> None:
    """What was taken back just before everything worked again stands above what came later."""
    cured = change(1, 7_200, "service:portal", sort="toggle", undone=FELL + 600 * NS)
    found = rank(fall(ended=630), [cured, change(2, 120, "service:portal", sort="release")], MAP)
    assert order(found) == [1, 2]
    assert found[0].strength == "strong"
    assert "it was taken back, and 30 s later everything worked" in found[0].reasons
    assert "it is still so, and everything works again" in found[1].reasons


def test_taken_back_in_vain_speaks_against_it() -> None:
    """It went on failing; or it had been taken back before anything failed."""
    vain = change(1, 120, "service:portal", undone=FELL + 60 * NS)
    early = change(2, 120, "service:portal", undone=FELL - 60 * NS)
    kept = change(3, 120, "service:portal")
    assert order(rank(fall(), [vain, early, kept], MAP)) == [3, 1, 2]
    assert order(rank(fall(ended=5_000), [vain, kept], MAP)) == [3, 1]


def test_what_came_after_is_an_answer_and_no_cause() -> None:
    """Between the first failure and the page only reactions happen."""
    (found,) = rank(fall(), [change(1, -30, "service:portal")], MAP)
    assert found.strength == "weak"
    assert "30 s after the first failure" in found.reasons[0]


def test_unknown_is_a_first_answer() -> None:
    """Nothing changed, or only what explains little: then nobody knows, and that is said."""
    assert not explained(rank(fall(), [], MAP))
    assert not explained(rank(fall(), [change(1, 300, "service:payroll")], MAP))
    assert not explained(rank(fall(), [change(1, 600_000, "service:portal")], MAP))
    assert explained(rank(fall(), [change(1, 300, "infrastructure:vm1")], MAP))


def test_what_always_changes_explains_little() -> None:
    """The fifteenth flip of a toggle that is flipped all day is no news."""
    busy = change(1, 60, "service:portal", sort="toggle", usual=14)
    once = change(2, 60, "service:portal", sort="toggle")
    found = rank(fall(), [busy, once], MAP)
    assert order(found) == [2, 1]
    assert "the same changed 14 times before, without this" in found[1].reasons


def test_certificates_explain_what_speaks_of_certificates() -> None:
    """A warning that lasted is no older for having been given days ago."""
    warned = change(
        1, 500_000, "service:portal", sort="warning", lasts=True, says="wants a look: the certificate ends soon"
    )  # fmt: skip
    (spoken,) = rank(fall(reason="certificate expired"), [warned], MAP)
    (silent,) = rank(fall(reason="HTTP 500"), [warned], MAP)
    assert (spoken.strength, silent.strength) == ("strong", "likely")


def test_a_drill_explains_itself() -> None:
    """Somebody played the outage on purpose."""
    drill = change(1, 900, "infrastructure:cas", sort="drill", lasts=True)
    found = rank(fall(), [change(2, 60, "service:portal"), drill], MAP)
    assert order(found)[0] == 1


def test_a_guard_that_named_this_fall_is_believed() -> None:
    """The guard had numbers."""
    guarded = change(
        1, 600, "service:portal", sort="toggle", blamed="41 of 60 failed", undone=FELL + 90 * NS
    )
    found = rank(fall(ended=120), [guarded, change(2, 30, "service:portal")], MAP)
    assert order(found)[0] == 1
    assert "a guard took it back because of this: 41 of 60 failed" in found[0].reasons


def _world(chance: random.Random) -> tuple[Needs, Fall, list[Change], int]:
    """Thirty services in three layers, a fall, and one true cause among changes of everything."""
    names = [f"service:{index}" for index in range(30)]
    needs = {
        name: tuple(Need((each,)) for each in chance.sample(names[:index], min(2, index)))
        if index >= 8
        else ()
        for index, name in enumerate(names)
    }
    made = Needs(needs)
    fell = chance.choice(names[15:])
    below = [name for name in names if made.steps(name, fell) is not None]
    cause = change(0, chance.uniform(30, 12 * 3_600), chance.choice(below))
    others = [
        change(number, chance.uniform(0, 86_400 * 2), chance.choice(names))
        for number in range(1, 21)
    ]
    return made, fall(fell), [cause, *others], 0


def test_the_planted_cause_is_found_better_than_by_time_alone() -> None:
    """Over many worlds the true cause stands much nearer to the top than when only time counts."""
    chance = random.Random(7)
    by_map = by_time = 0.0
    rounds = 300
    for _ in range(rounds):
        needs, fell, changes, cause = _world(chance)
        ours = order(rank(fell, changes, needs))
        latest = [each.position for each in sorted(changes, key=lambda each: -each.at)]
        by_map += 1 / (ours.index(cause) + 1)
        by_time += 1 / (latest.index(cause) + 1)
    ours, baseline = by_map / rounds, by_time / rounds
    assert ours > 1.4 * baseline, (ours, baseline)
    assert ours > 0.6, (ours, baseline)
