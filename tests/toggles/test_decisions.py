"""Who gets what, what it can be put to, and when a switch is to blame."""

from __future__ import annotations

import random
from typing import Any

import pytest

from detente.facts.toggles import FlippedBack, GuardPassed, Set, SwitchedOff, SwitchedOn
from detente.kernel.catalogue import Catalogue, Service
from detente.kernel.clock import NS
from detente.kernel.sequential import needed
from detente.kernel.tries import Tries
from detente.toggles.decisions import guarding
from detente.toggles.decisions.definition import CannotBe, Declared, declared, read
from detente.toggles.decisions.guarding import Broken, Flip, Sides
from detente.toggles.decisions.standing import (
    AS_DECLARED,
    Standing,
    in_words,
    is_so,
    laid_over,
    put,
)
from detente.toggles.engine.ruleset import UNSET, Ruleset
from detente.toggles.settings import Rule, Toggle, Toggles, Trait

SHOP = Catalogue(services={"shop": Service()})
STAFF = Rule(who={"email": Trait(ends_with="@example.com")})


def one(**said: Any) -> Declared:
    """A toggle called `it`, as it was declared."""
    return declared(Toggles(toggles={"it": Toggle(**said)}), SHOP)["it"]


def gets(toggle: Declared, standing: Standing = AS_DECLARED, **context: Any) -> Any:
    """What somebody gets of it."""
    rules = Ruleset.parse({"flags": {"it": laid_over(toggle, standing)}})
    return rules.evaluate("it", context, now=0).value


def share_of(toggle: Declared, standing: Standing = AS_DECLARED) -> set[int]:
    """Who of a thousand people has it on."""
    rules = Ruleset.parse({"flags": {"it": laid_over(toggle, standing)}})
    return {n for n in range(1_000) if rules.evaluate("it", {"targetingKey": f"u{n}"}, now=0).value}


# -- who gets what -------------------------------------------------------------------------------


def test_code_ships_dark() -> None:
    """A toggle of which nothing is said is off for everybody."""
    assert gets(one()) is False
    assert in_words(one(), AS_DECLARED) == "off"


def test_rules_name_people_and_the_first_that_fits_counts() -> None:
    """Whom a rule names gets its variant; a share is dealt among the others."""
    never = Rule(who={"country": Trait(in_=("NO", "SE"))}, gets="off")
    toggle = one(rules=(never, STAFF), percent=1.0)
    assert gets(toggle, email="ada@example.com", targetingKey="ada") is True
    assert gets(toggle, email="ada@example.com", country="SE", targetingKey="ada") is False
    assert in_words(toggle, AS_DECLARED) == "on for everybody, and 2 rules"


@pytest.mark.parametrize(
    ("trait", "yes", "no"),
    [
        ("DE", "DE", "AT"),
        (True, True, "true"),
        (Trait(is_=3), 3, "3"),
        (Trait(starts_with="a"), "ada", "bob"),
        (Trait(at_least=18), 18, 17.5),
        (Trait(at_most=3), 0, None),
        (Trait(at_least=1, at_most=3), 2, 4),
        (Trait(version=">=2.1.0"), "2.1.3", "2.0.9"),
        (Trait(version="^3.0"), "3.4.1", "4.0.0"),
    ],
)
def test_a_trait_fits_or_does_not(trait: Any, yes: Any, no: Any) -> None:
    """Each question that a rule can ask; what nobody said is neither small nor great."""
    toggle = one(rules=(Rule(who={"it": trait}),))
    assert gets(toggle, it=yes) is True
    assert gets(toggle, it=no) is False
    assert gets(toggle) is False


def test_segments_are_rules_with_a_name() -> None:
    """A group that is named once is asked for by its name."""
    toggles = Toggles(
        segments={"staff": STAFF.who},  # type: ignore[dict-item]
        toggles={"it": Toggle(rules=(Rule(who="staff"),))},
    )
    toggle = declared(toggles, SHOP)["it"]
    assert gets(toggle, email="ada@example.com") is True


def test_a_growing_share_keeps_those_who_have_it() -> None:
    """Nobody who has it at 5 % loses it at 12.5 % or at 40 %."""
    toggle = one()
    small, more, most = (
        share_of(toggle, Standing(state="on", percent=percent)) for percent in (5, 12.5, 40)
    )
    assert small < more < most
    assert 350 < len(most) < 450


def test_switches_stand_over_the_declaration() -> None:
    """On and off are for those whom no rule names; killed and flipped back are for everybody."""
    toggle, staff = one(rules=(STAFF,)), {"email": "ada@example.com"}
    for state, others, named in (
        ("declared", False, True),
        ("on", True, True),
        ("off", False, True),
        ("killed", False, False),
        ("back", False, False),
    ):
        standing = Standing(state=state)  # type: ignore[arg-type]
        assert gets(toggle, standing, country="DE") is others, state
        assert gets(toggle, standing, **staff) is named, state


def test_a_definition_of_flagd_can_be_switched_too() -> None:
    """What came in flagd's own form is switched as a whole; its metadata says whose it is."""
    raw = {
        "state": "ENABLED",
        "variants": {"yes": True, "no": False},
        "defaultVariant": "no",
        "targeting": {"if": [{"===": [{"var": "country"}, "DE"]}, "yes"]},
        "metadata": {"owner": "dev", "title": "It"},
    }
    toggle = one(definition=raw)
    assert (toggle.kind, toggle.owner, toggle.title) == ("switch", "dev", "It")
    assert gets(toggle, country="DE") is True
    assert gets(toggle, Standing(state="off"), country="DE") is False
    assert gets(toggle, Standing(state="on"), country="AT") is True


def test_knobs_have_variants_or_a_value() -> None:
    """A knob is set to one of its variants, or to a value in its bounds; killed, it is as declared."""
    named = one(variants={"slow": 900, "fast": 100}, default="slow")
    free = one(default=1_500, at_least=100, at_most=2_000)
    assert gets(named, Standing(state="set", variant="fast", value="100")) == 100
    assert gets(free, Standing(state="set", value="700")) == 700
    assert gets(free, Standing(state="killed")) == 1_500
    assert gets(named, Standing(state="set", variant="gone", value="1")) == 900
    assert gets(free, Standing(state="set", value="9000")) == 1_500


def test_a_declaration_that_became_something_else_is_not_switched() -> None:
    """What was on as a switch says nothing about the knob of the same name."""
    knob = one(variants={"a": "x", "b": "y"})
    assert gets(knob, Standing(state="on")) == "x"
    assert in_words(knob, Standing(state="on")) == "a"


def test_disabled_means_the_programs_own_value() -> None:
    """flagd's DISABLED is an answer without a value."""
    raw = {"state": "DISABLED", "variants": {"on": True, "off": False}, "defaultVariant": "on"}
    assert gets(one(definition=raw)) is UNSET


# -- what it can be put to -----------------------------------------------------------------------


def test_words_become_facts() -> None:
    """on, off, a share; a variant; a value."""
    switch = one()
    assert put(switch, read(switch, "on")) == SwitchedOn(about="toggle:it")
    assert put(switch, read(switch, "off")) == SwitchedOff(about="toggle:it")
    share = put(switch, read(switch, "12.5%"), why="slowly")
    assert isinstance(share, SwitchedOn)
    assert (share.percent, share.says()) == (
        12.5,
        "switched on for 12.5\N{NO-BREAK SPACE}%: slowly",
    )
    knob = one(default="solr", variants={"solr": "s", "elastic": "e"})
    assert put(knob, read(knob, "elastic")) == Set(
        about="toggle:it", value='"e"', variant="elastic"
    )


@pytest.mark.parametrize(
    ("said", "text", "remedy"),
    [
        ({}, "onn", "expected on, off or a share"),
        ({}, "0%", "expected on, off or a share"),
        ({}, "101%", "expected on, off or a share"),
        ({"variants": {"a": 1, "b": 2}}, "c", "there are a, b"),
        ({"default": 5, "at_most": 9}, "10", "goes up to 9"),
        ({"default": 5, "at_least": 1, "at_most": 9}, "0", "goes from 1 to 9"),
        ({"default": 5}, "many", "takes a number, such as 5"),
        ({"default": 5}, "true", "takes a number, such as 5"),
    ],
)
def test_what_it_cannot_be_put_to(said: dict[str, Any], text: str, remedy: str) -> None:
    """A sentence that says what it can be put to."""
    with pytest.raises(CannotBe, match=remedy):
        read(one(**said), text)


def test_what_is_so_already() -> None:
    """Nobody switches on what is on; off is off, however it came to be."""
    toggle = one()
    assert is_so(toggle, Standing(state="on"), read(toggle, "on"))
    assert not is_so(toggle, Standing(state="on", percent=10), read(toggle, "on"))
    assert is_so(toggle, Standing(state="killed"), read(toggle, "off"))


# -- guards --------------------------------------------------------------------------------------

FLIP = Flip(position=7, about="toggle:it", at=0, by="ada", says="switched on for everybody")
BEFORE = Tries(1, 199)


def judged(watched: list[guarding.Watched], at: float = 60.0, broken: Any = ()) -> Any:
    return guarding.judge(FLIP, watched, broken, guard_for=1_800, now=int(at * NS))


def test_a_broken_switch_is_flipped_back_and_the_numbers_say_why() -> None:
    """Seven of nine where it was one in two hundred: nobody needs to look twice."""
    seen = guarding.by_rate("check:shop", BEFORE, [Tries(n > 1, n < 2) for n in range(9)])
    (fact,) = judged([seen])
    assert isinstance(fact, FlippedBack)
    assert (fact.because, fact.failed, fact.of, fact.flip) == ("check:shop", 7, 9, 7)
    assert fact.e_value > 1_000_000
    assert fact.why == (
        "7 of 9 runs of check shop failed in the 1 min since, 1 of 200 before;"
        " by chance less than once in a million"
    )


def test_an_innocent_switch_is_hardly_ever_blamed() -> None:
    """1 % failed before, 1 % fail after, looked at after every run: fewer than 1 in 20 are blamed."""
    chance, blamed = random.Random(7), 0
    for _ in range(400):
        failed = sum(chance.random() < 0.01 for _ in range(500))
        since = [Tries(bad := chance.random() < 0.01, not bad) for _ in range(300)]
        seen = guarding.by_rate("check:shop", Tries(failed, 500 - failed), since)
        blamed += any(e_value >= needed(1) for _, e_value in seen.course)
    assert blamed <= 20


def test_more_eyes_need_more_evidence() -> None:
    """α is split over what is watched, so that looking at more blames no more by chance."""
    assert needed(1) == 20
    assert needed(4) == 80
    since = [Tries(3, 6)]
    enough = guarding.by_rate("check:shop", BEFORE, since)
    assert 20 <= enough.e_value < 400
    quiet = guarding.by_rate("check:other", BEFORE, [])
    assert judged([enough])
    assert not judged([enough, *[quiet] * 19])


def test_what_was_down_already_or_is_new_blames_nobody() -> None:
    """Failures that began before the switch, or of which nothing was known, tell nothing about it."""
    failing = [Tries(1, 0)] * 50
    down = guarding.by_rate("check:shop", BEFORE, failing, was_down=True)
    new = guarding.by_rate("check:shop", Tries(), failing)
    assert (down.blind, new.blind) == (
        "it was down already",
        "nothing is known of it from before",
    )
    assert not judged([down, new])


def test_sides_are_compared_and_an_outage_that_hits_both_blames_nobody() -> None:
    """With people on both sides only the difference counts, however often things fail."""
    both = [Sides(n, 5, 5, 45, 45) for n in range(20)]
    only_new = [Sides(n, 5, 5, 1, 89) for n in range(5)]
    assert not judged([guarding.by_sides("toggle:it", both)])
    (fact,) = judged([guarding.by_sides("toggle:it", only_new)])
    assert fact.why.startswith("with it 25 of 50 failed in the 1 min since, without it 5 of 450")


def test_a_broken_promise_is_a_tripwire() -> None:
    """No statistics: whoever names a promise wants it kept."""
    (fact,) = judged([], broken=[Broken("promise:uptime", "was broken for 2026-11")])
    assert fact.because == "promise:uptime"
    assert "promise uptime was broken" in fact.why


def test_after_its_time_it_stays_and_the_guard_says_what_it_knows() -> None:
    """Nothing blamed is said with numbers, and “not enough data” where there was none."""
    fine = guarding.by_rate("check:shop", BEFORE, [Tries(0, 60)])
    silent = guarding.by_rate("route:pay", BEFORE, [])
    assert not judged([fine, silent], at=1_799)
    (passed,) = judged([fine, silent], at=1_800)
    assert isinstance(passed, GuardPassed)
    assert passed.note == (
        "0 of 60 tries failed, no more than chance explains; of 1 of 2 too little is known"
    )
    assert passed.unknown == ("route:pay",)
    (nothing,) = judged([silent], at=1_800)
    assert nothing.note == "not enough data: nothing that is watched told anything"


@pytest.mark.parametrize(
    ("often", "said"), [(62.3, "62"), (3_456.0, "3,400"), (1e9, "a million"), (1.0, "1")]
)
def test_rare_is_said_with_round_numbers(often: float, said: str) -> None:
    """Two figures, rounded down, and nothing beyond a million."""
    assert guarding.once_in(often) == said
