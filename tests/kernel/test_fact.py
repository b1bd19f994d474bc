"""Facts on disk: named for good, read again by any version."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import detente.slices  # noqa: F401 - registers every fact
from detente.kernel.fact import (
    Fact,
    Recorded,
    Unfit,
    Unknown,
    check,
    decode,
    encode,
    kind,
    named,
    plain,
)  # fmt: skip

from .plausible import SHIPPED, facts


@given(st.data())
def test_what_is_written_is_read_again(data: st.DataObject) -> None:
    """Every fact, whatever it holds, comes back equal from its bytes."""
    fact = data.draw(facts())
    assert decode(fact.name, encode(fact), fact.about) == fact


@given(st.text(min_size=1).filter(lambda name: name not in SHIPPED), st.binary(), st.text())
def test_an_unknown_fact_is_kept_as_it_is(name: str, body: bytes, about: str) -> None:
    """A fact of a later version keeps its name and every byte of its body."""
    fact = decode(name, body, about)
    assert isinstance(fact, Unknown)
    assert encode(fact) == body
    assert (Recorded(1, 2, "me", fact).name, fact.about) == (name, about)
    assert name in fact.says()


def test_fields_of_a_later_version_are_passed_over() -> None:
    """A later version may add fields; an older one reads what it knows."""
    body = b'{"about":"route:a","vendor":"vendor:b","colour":"blue"}'
    assert decode("work.route_resumed", body, "route:a").about == "route:a"


def test_a_name_belongs_to_one_fact() -> None:
    """Two classes never share a name on disk, wherever they live."""

    with pytest.raises(ValueError, match=r"two facts are called work\.call_taken"):

        @named("work.call_taken")
        class CallTaken(Fact, frozen=True, kw_only=True):
            name: ClassVar[str]


def test_the_two_halves_of_a_subject() -> None:
    """A subject is a kind and a name, and names may hold anything, colons included."""
    assert (kind("check:a:b"), plain("check:a:b")) == ("check", "a:b")
    assert plain("nothing") == ""


class Poured(Fact, frozen=True, kw_only=True):
    """A fact for this test only."""

    litres: float = 0.0
    glasses: Mapping[str, tuple[int, ...]] = {}
    note: str | None = "none"


@pytest.mark.parametrize(
    ("poured", "where"),
    [
        (Poured(about="a", litres=math.nan), "litres"),
        (Poured(about="a", litres=-math.inf), "litres"),
        (Poured(about="a", glasses={"ann": (1, 1 << 63)}), r"glasses.ann\[1\]"),
        (Poured(about="a", glasses={"ann": (-(10**19),)}), r"glasses.ann\[0\]"),
    ],
)
def test_a_fact_holds_no_number_that_cannot_be_kept(poured: Fact, where: str) -> None:
    """Beyond 64 bits, or no number at all: the sentence says where it stands."""
    with pytest.raises(Unfit, match=f"^{where}: no fact can hold this number"):
        check(poured, encode(poured))


@given(facts())
def test_whatever_may_happen_can_be_kept(fact: Fact) -> None:
    """Plausible facts pass, and so do long numbers in words, moments, and nothing at all."""
    check(fact, encode(fact))
    for harmless in (Poured(about=f"call:{10**40}", note=None), Poured(about="a", litres=1e300)):
        check(harmless, encode(harmless))


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_facts_are_flat_and_frozen(name: str) -> None:
    """Facts are frozen and only ever gain fields with defaults, so old bodies go on loading."""
    cls = SHIPPED[name]
    assert cls.__struct_config__.frozen
    assert not cls.__struct_config__.forbid_unknown_fields
    assert msgspec.json.schema(cls)
