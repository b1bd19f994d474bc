"""Whose fault is it? Every fault there is, as it looks from where we stand."""

from __future__ import annotations

import msgspec
import pytest

from detente.watch.engine.verdict import Look, how_it_failed, verdict
from detente.watch.engine.wire import Result

HERE, BERLIN = "here", "berlin"


def look(said: str, *, place: str = HERE, **given: object) -> Look:
    """`it fails`, `twin answers`, `other:mailer fails`: one look in short."""
    what, _, saw = said.partition(" ")
    role, _, of = what.partition(":")
    return msgspec.structs.replace(
        Look(
            role=role, of=f"vendor:{of or 'cardpay'}", title=(of or "cardpay").title(), place=place,
            network="", inside=place == HERE, saw=saw,
        ),  # type: ignore[arg-type]
        **given,
    )  # fmt: skip


def said(*looks: Look, theirs: bool = True, waited: bool = True) -> str:
    """The verdict, with a `?` where only one look says so."""
    found = verdict(looks, theirs=theirs, waited=waited)
    if found is None:
        return "none"
    assert found.fault == "can't tell" or found.reasons
    return found.fault + ("" if found.sure or found.fault == "can't tell" else "?")


def from_berlin(*some: str) -> list[Look]:
    return [look(each, place=BERLIN) for each in some]


SILENT = look("it fails", reason="no answer")
WRONG = look("it fails", how="wrong", reason="HTTP 503")


def test_a_vendor_that_answers_wrongly_was_reached() -> None:
    """HTTP 503 is theirs, for sure when another place or another vendor says the same."""
    assert said(WRONG) == "theirs?"
    assert said(WRONG, look("other:mailer answers")) == "theirs"
    assert said(WRONG, look("it fails", place=BERLIN, how="wrong")) == "theirs"
    assert said(WRONG, look("it fails", place=BERLIN, how="wrong", network="lan"),
                msgspec.structs.replace(WRONG, network="lan")) == "theirs"  # fmt: skip
    assert said(WRONG, *from_berlin("it answers")) == "theirs?"


def test_a_vendor_that_turns_our_request_down() -> None:
    """A key that ran out is ours to renew."""
    denied = look("it fails", how="turned down", reason="HTTP 401")
    assert said(denied) == "ours?"
    assert said(denied, look("it fails", place=BERLIN, how="turned down")) == "ours"
    assert said(denied, WRONG) == "theirs?"


def test_a_twin_that_falls_together_with_production() -> None:
    """Their whole network; a twin that still answers leaves only their production."""
    assert said(SILENT, look("twin fails")) == "their network?"
    assert said(SILENT, look("twin fails"), look("other:mailer answers")) == "their network"
    assert said(SILENT, look("twin fails"), *from_berlin("it fails")) == "their network"
    assert said(SILENT, look("twin answers"), look("other:mailer answers")) == "theirs"


def test_a_vendor_without_a_twin() -> None:
    """Theirs when something else speaks for our network, and nobody's when nothing does."""
    assert said(SILENT) == "can't tell"
    assert said(SILENT, look("other:mailer answers")) == "theirs?"
    assert said(SILENT, *from_berlin("it fails")) == "theirs?"
    assert said(SILENT, look("other:mailer answers"), *from_berlin("it fails")) == "theirs"


def test_a_place_from_which_nothing_answers_is_cut_off() -> None:
    """Our network, for sure when another place reaches the vendor."""
    both = look("other:mailer fails"), look("other:maps fails")
    assert said(SILENT, *both) == "our network?"
    assert said(SILENT, both[0]) == "can't tell"
    assert said(SILENT, both[0], *from_berlin("it answers")) == "our network"
    assert said(SILENT, look("twin fails"), *both, *from_berlin("it answers")) == "our network"


def test_everything_silent_from_everywhere() -> None:
    """Bigger than us: nobody is blamed."""
    others = look("other:mailer fails"), *from_berlin("other:mailer fails")
    assert said(SILENT, *others, *from_berlin("it fails")) == "can't tell"


def test_only_the_way_between_is_broken() -> None:
    """Silent to one place that reaches all else, while it answers another: neither side can say."""
    assert said(SILENT, look("other:mailer answers"), *from_berlin("it answers")) == "can't tell"
    assert said(SILENT, *from_berlin("it answers")) == "our network?"


def test_no_pattern_is_no_verdict() -> None:
    """Some vendors fail and some answer from the same place: that may be anything."""
    mixed = look("other:mailer fails"), look("other:maps answers")
    assert said(SILENT, *mixed) == "can't tell"


def test_nobody_is_blamed_before_everybody_has_looked() -> None:
    """While the twin has not been asked since it began, the verdict waits; in the end it does without."""
    waiting = SILENT, look("twin nothing yet"), look("other:mailer answers")
    assert said(*waiting, waited=False) == "can't tell"
    assert said(*waiting) == "theirs?"
    assert said(look("it answers"), look("twin fails")) == "none"


def test_something_of_our_own() -> None:
    """Reached and wrong is ours; answering inside and silent outside is the way in."""
    own = {"theirs": False}
    assert said(WRONG, **own) == "ours?"
    assert said(WRONG, look("other:mailer answers"), **own) == "ours"
    assert said(SILENT, look("other:mailer answers"), **own) == "ours"
    assert said(SILENT, **own) == "can't tell"
    assert (
        said(SILENT, look("other:mailer fails"), look("other:shop fails"), **own) == "our network?"
    )
    outside = look("it fails", place=BERLIN)
    assert said(look("it answers"), outside, **own) == "our network?"
    assert (
        said(look("it answers"), outside, *from_berlin("other:mailer fails"), **own)
        == "our network"
    )


@pytest.mark.parametrize(
    ("result", "how"),
    [
        ({"status": 503}, "wrong"),
        ({"status": 401}, "turned down"),
        ({"status": 404}, "wrong"),
        ({"failed_in": "first_byte", "connect": 0.01}, "wrong"),
        ({"failed_in": "tls", "tls_fingerprint": "ab"}, "wrong"),
        ({"failed_in": "connect", "reason": "connection refused by 10.0.0.1:443"}, "refused"),
        ({"failed_in": "connect", "reason": "no answer from 10.0.0.1:443"}, "silent"),
        ({"failed_in": "dns", "reason": "there is no such name"}, "silent"),
        ({"failed_in": "transfer", "reason": "CRITICAL"}, "silent"),  # a plugin: nobody knows
    ],
)
def test_how_far_a_run_came(result: dict[str, object], how: str) -> None:
    """An answer proves that the way was open; silence proves nothing of the kind."""
    run = Result(id="it", slot=1, at=1, verdict="failed", **result)  # type: ignore[arg-type]
    assert how_it_failed(run) == how
