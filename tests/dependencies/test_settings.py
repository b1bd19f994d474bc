"""Are mistakes in the map noticed at start, each at its place?"""

from __future__ import annotations

import pytest

from detente.app import declared_type, mistakes
from detente.kernel.config import ConfigErrors, loads

MAP = """
infrastructure: {{cas: {{}}, db1: {{}}, db2: {{}}}}
services:
  shop: {{needs: {needs}}}
"""
JOURNEY = """
services: {{shop: {{}}}}
journeys:
  buy: {{needs: [shop], earns: {earns}}}
  more: {{needs: [{needs}]}}
"""


def said(text: str) -> dict[str, str]:
    """What is wrong, by its place."""
    try:
        loads(text, declared_type(), cross=mistakes)
    except ConfigErrors as wrong:
        return {".".join(map(str, each.path)): each.says for each in wrong.mistakes}
    return {}


def test_all_ways_to_need_something() -> None:
    """All of these, one of those, two of three, and what one can live without."""
    needs = (
        "[cas, {any_of: [db1, db2]}, {at_least: 2, of: [cas, db1, db2]}, {can_live_without: [db2]}]"
    )
    assert said(MAP.format(needs=needs)) == {}


NAME_OR_KEYS = "expected a text such as database or keys with values such as {any_of: [db1, db2]}"


@pytest.mark.parametrize(
    ("needs", "where", "says"),
    [
        ("cas", "", "expected a list such as [a, b], found cas; write [cas]"),
        ("[5]", ".0", f"{NAME_OR_KEYS}, found the number 5"),
        ("[null]", ".0", f"nothing stands here; {NAME_OR_KEYS}"),
        ("[[db1, db2]]", ".0", f"{NAME_OR_KEYS}, found a list"),
        ("[{any_off: [db1, db2]}]", ".0.any_off", "unknown key; did you mean any_of?"),
        (
            "[{cas: }]",
            ".0.cas",
            "unknown key; known here: any_of, at_least, of, can_live_without",
        ),
        ("[{any_of: db1}]", ".0.any_of", "expected a list such as [a, b], found db1; write [db1]"),
        ("[{any_of: [db1, 7]}]", ".0.any_of.1", "expected a text, found the number 7; put it in quotes"),
        ("[{at_least: 2}]", ".0.at_least", "say of which 2 are needed, with of"),
        ("[{at_least: 0, of: [db1]}]", ".0.at_least", "expected at least 1, found 0"),
        ("[{at_least: 3, of: [db1, db2]}]", ".0.at_least", "3 of 2 can never be met"),
        ("[{of: [db1]}]", ".0.of", "say how many of these are needed, with at_least"),
        ("[{any_of: [db1, db1]}]", ".0", "db1 stands here twice; nothing is a spare of itself"),
        ("[shop]", ".0", "shop cannot need itself"),
        ("[cass]", ".0", "no service, vendor or infrastructure is called cass; did you mean cas?"),
        (
            "[{can_live_without: [db3]}]",
            ".0.can_live_without.0",
            "no service, vendor or infrastructure is called db3; did you mean db2?",
        ),
    ],
)  # fmt: skip
def test_a_wrong_need_is_told_at_its_place(needs: str, where: str, says: str) -> None:
    """In one sentence, with what to write instead; and nothing else is complained about."""
    assert said(MAP.format(needs=needs)) == {f"services.shop.needs{where}": says}


def test_one_thing_a_line() -> None:
    """Spares and extras are different needs."""
    for needs in ("[{}]", "[{any_of: []}]", "[{any_of: [db1], can_live_without: [db2]}]"):
        (says,) = said(MAP.format(needs=needs)).values()
        assert says.startswith("say one of any_of, at_least with of, or can_live_without")


def test_journeys_need_and_are_not_needed() -> None:
    """What people come for stands on top; and an hour of it is worth an amount with its currency."""
    assert said(JOURNEY.format(needs="shop", earns="1200 EUR")) == {}
    assert said(JOURNEY.format(needs="buy", earns="1 EUR")) == {
        "journeys.more.needs.0": "buy is a journey: journeys need things, never the reverse"
    }
    assert (
        "of which currency"
        in said(JOURNEY.format(needs="shop", earns="1200"))["journeys.buy.earns"]
    )


@pytest.mark.parametrize(
    ("written", "where", "says"),
    [
        ("central: 0%", "central", "expected 1% to 100%"),
        ("central: 0.5", "central", "write 50%"),
        ("fell_together: 2h", "fell_together", "expected 1s to 1h"),
        ("looks_back: 5m", "looks_back", "expected 1h to 90d"),
        ("centrl: 50%", "centrl", "did you mean central?"),
    ],
)
def test_the_slice_has_few_settings_and_minds_them(written: str, where: str, says: str) -> None:
    """Bounds in the spelling that people use, and the nearest right key."""
    (found,) = said(f"dependencies: {{{written}}}").items()
    assert found[0] == f"dependencies.{where}"
    assert says in found[1]
