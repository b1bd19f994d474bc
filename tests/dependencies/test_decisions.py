"""What is said of a change, what it puts at risk, and what is suspected?"""

from __future__ import annotations

import pytest

from detente.dependencies import decisions
from detente.dependencies.decisions import Said
from detente.dependencies.engine.together import Burst
from detente.facts.dependencies import ChangeDropped, ChangePlanned, ChangeRecorded, Suspected
from detente.kernel.clock import NS, iso
from detente.kernel.forms import BadForm
from detente.kernel.money import Money

from .agency import atlas, catalogue

NOW = 1_795_845_600 * NS  # 2026-11-28 06:00 in UTC
ATLAS, CATALOGUE = atlas(), catalogue()
CAS = "infrastructure:cas"


# -- risk ------------------------------------------------------------------------------------------


def test_touching_a_central_point_is_a_risk() -> None:
    """Which point, which journeys, what an hour of it costs, and which teams must know."""
    risk = decisions.risk(ATLAS, (CAS,), 0.5)
    assert risk.central == (CAS,)
    assert risk.falls == ("journey:renew", "journey:pay", "journey:apply", "journey:look")
    assert risk.an_hour == (Money(420_000, "EUR"),)
    assert risk.tell == ("team:ops", "team:dev")


def test_touching_a_spare_is_none_and_both_spares_are() -> None:
    """What is touched is thought of as down all at once."""
    assert decisions.risk(ATLAS, ("infrastructure:db1",), 0.5).falls == ()
    both = decisions.risk(ATLAS, ("infrastructure:db1", "infrastructure:db2"), 0.5)
    assert both.central == ()
    assert both.falls == ("journey:renew", "journey:pay")
    assert decisions.risk(ATLAS, (), 0.5) == decisions.Risk()


def test_how_central_is_a_setting() -> None:
    """CardPay takes one journey of four, but more than half of the money."""
    assert decisions.risk(ATLAS, ("vendor:cardpay",), 0.5).central == ("vendor:cardpay",)
    assert decisions.risk(ATLAS, ("vendor:cardpay",), 0.6).central == ()


# -- changes ---------------------------------------------------------------------------------------


def test_what_is_yet_to_come_is_planned() -> None:
    """Its time decides; the warning is part of the fact, so that it cannot be forgotten later."""
    said = Said(title="moved sign-on to a VM", touches=(CAS,), at=NOW + NS)
    (fact,) = decisions.record("change:1", said, decisions.risk(ATLAS, (CAS,), 0.5), NOW)
    assert isinstance(fact, ChangePlanned)
    assert fact.starts == NOW + NS
    assert fact.says() == (
        "is planned: moved sign-on to a VM. Careful: cas is a central point; 4 journeys would fall"
        " with it, 4\N{NARROW NO-BREAK SPACE}200.00 EUR an hour"
    )


def test_what_is_past_or_now_was_made() -> None:
    """With the time it was made, if somebody said one; quietly, if nothing falls."""
    for at in (None, NOW - NS, NOW):
        said = Said(title="new relay", touches=("infrastructure:mailer",), at=at)
        (fact,) = decisions.record("change:1", said, decisions.Risk(), NOW)
        assert isinstance(fact, ChangeRecorded)
        assert fact.since == at
        assert fact.says() == "was made: new relay"


def test_several_points_and_none() -> None:
    """The sentence fits how many there are."""
    two = ChangeRecorded(
        about="change:1", title="x", central=("service:a", "service:b"), falls=("j:1",)
    )
    assert "a and b are central points; 1 journey would fall with it" in two.says()
    together = ChangeRecorded(about="change:1", title="x", falls=("j:1", "j:2"))
    assert together.says() == "was made: x. Careful: 2 journeys would fall with it"
    assert decisions.drop("change:1", "no need") == [ChangeDropped(about="change:1", why="no need")]


# -- what people write -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("2026-11-28 06:00", "2026-11-28T06:00:00.000Z"),
        ("2026-11-28T06:00+01:00", "2026-11-28T05:00:00.000Z"),
        (" 2026-11-28 ", "2026-11-28T00:00:00.000Z"),
        ("2026-11-28T06:00:00.123456789Z", "2026-11-28T06:00:00.123Z"),
    ],
)
def test_times_are_read(said: str, meant: str) -> None:
    """In UTC unless they say otherwise."""
    assert iso(decisions.when(said, NOW)) == meant


@pytest.mark.parametrize(
    "said", ["morgen", "25:00", "9999-12-31", "0001-01-01", "1999-01-01 00:00", "٣"]
)
def test_what_is_no_time_is_told(said: str) -> None:
    """With the field, and how to write it."""
    with pytest.raises(BadForm, match=r"^at: .*2026-11-28 06:00"):
        decisions.when(said, NOW)


def test_names_are_found_whichever_way_they_are_written() -> None:
    """Bare, with the kind, in a list or with commas; each once."""
    found = decisions.subjects("cas, infrastructure:cas ,cardpay,", CATALOGUE, "touches")
    assert found == (CAS, "vendor:cardpay")
    assert decisions.subjects([], CATALOGUE, "touches") == ()


def test_an_unknown_name_gets_the_nearest() -> None:
    """One sentence with the field, what was written, and what was probably meant."""
    with pytest.raises(BadForm) as wrong:
        decisions.subjects("cass", CATALOGUE, "touches")
    assert str(wrong.value) == "touches: nothing called “cass” is declared; did you mean cas?"
    with pytest.raises(BadForm, match="`detente dependencies` lists what is"):
        decisions.subjects("zzzzzz", CATALOGUE, "touches")
    with pytest.raises(BadForm, match="nothing is declared yet"):
        decisions.subjects("cas", catalogue("name: x"), "touches")


@pytest.mark.parametrize(
    "link", ["javascript:alert(1)", "ftp://x", "https://a b", 'http://x/"onclick']
)
def test_a_link_leads_to_a_page(link: str) -> None:
    """Nothing that a browser would run, and nothing that breaks out of its place."""
    with pytest.raises(BadForm, match=r"^link: "):
        decisions.linked(link)
    assert decisions.linked(" https://tickets.example/4711 ") == "https://tickets.example/4711"


def test_titles_are_one_line() -> None:
    """Signs that move a terminal's cursor are gone; nothing is no title."""
    assert decisions.worded("a\n\x1b[31mb", "title", 20) == "a [31mb"
    with pytest.raises(BadForm, match="filled in"):
        decisions.worded(" \n", "title", 20)
    with pytest.raises(BadForm, match="21 letters"):
        decisions.worded("x" * 21, "title", 20)


# -- suspicions ------------------------------------------------------------------------------------

SEEN = {"infrastructure:db2": 1, "vendor:cardpay": 1, "service:forms": 1, "service:portal": 0}
THREE = ("service:forms", "vendor:cardpay", "infrastructure:db2")


def test_three_that_share_nothing_are_suspected_once() -> None:
    """With the chance of an accident; what was told before, or part of it, is not told again."""
    burst = Burst(NOW, THREE)
    (fact,) = decisions.suspect(burst, CATALOGUE.needs, SEEN, 8_640, [])
    assert isinstance(fact, Suspected)
    assert fact.together == tuple(sorted(THREE))
    assert fact.chance < 1e-6
    assert decisions.suspect(burst, CATALOGUE.needs, SEEN, 8_640, [frozenset(THREE)]) == []
    more = {*THREE, "service:other"}
    assert decisions.suspect(burst, CATALOGUE.needs, SEEN, 8_640, [frozenset(more)]) == []


def test_what_shares_something_declared_is_never_suspected() -> None:
    """Four services that need sign-on fall with it, however seldom that is."""
    services = tuple(f"service:{name}" for name in ("permits", "tax", "forms", "portal"))
    times = dict.fromkeys(services, 1)
    assert decisions.suspect(Burst(NOW, services), CATALOGUE.needs, times, 100_000, []) == []
    with_sign_on = (CAS, *services)
    assert decisions.suspect(Burst(NOW, with_sign_on), CATALOGUE.needs, times, 100_000, []) == []
