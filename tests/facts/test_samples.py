"""Every fact ever shipped goes on loading: one sample each, never changed, only added to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

import detente.slices  # noqa: F401 - registers every fact
from detente.kernel.fact import Tone, Unknown, decode, encode, kind, known, plain

SHIPPED = {name: cls for name, cls in known().items() if cls.__module__.startswith("detente.")}
"""Ours only: other tests name facts of their own."""

SAMPLES = {path.stem: path for path in sorted((Path(__file__).parent / "samples").glob("*.json"))}


def read(name: str) -> dict[str, Any]:
    sample: dict[str, Any] = json.loads(SAMPLES[name].read_text())
    assert sample["name"] == name, "a sample's file is called like its fact"
    body: dict[str, Any] = sample["body"]
    return body


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_every_fact_has_a_sample_of_all_its_fields(name: str) -> None:
    """Who adds a fact, or a field, adds it to the samples."""
    assert name in SAMPLES, f"write tests/facts/samples/{name}.json with every field of the fact"
    missing = set(SHIPPED[name].__struct_fields__) - set(read(name))
    assert not missing, f"add {', '.join(sorted(missing))} to tests/facts/samples/{name}.json"


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_loads_and_loses_nothing(name: str) -> None:
    """What stands in a ledger comes back as its own class, with every field, to the last one."""
    body = read(name)
    fact = decode(name, json.dumps(body).encode(), body["about"])
    assert not isinstance(fact, Unknown), f"{name} was shipped once and must be readable for good"
    assert type(fact) is SHIPPED[name]
    written = json.loads(encode(fact))
    assert _without_defaults(body, written) == written
    assert decode(name, encode(fact), fact.about) == fact


def _without_defaults(body: dict[str, Any], written: dict[str, Any]) -> dict[str, Any]:
    """Defaults are not written; everything that is written must be as it was."""
    assert set(written) <= set(body)
    return {key: value for key, value in body.items() if key in written}


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_makes_a_sentence(name: str) -> None:
    """A fact says what happened in one plain line, and has a tone that pages know."""
    body = read(name)
    fact = decode(name, json.dumps(body).encode(), body["about"])
    says = fact.says()
    assert says == says.strip()
    assert says
    assert "\n" not in says
    assert not says.endswith(".")
    assert fact.tone in get_args(Tone)
    assert kind(fact.about)
    assert plain(fact.about)


@pytest.mark.parametrize("name", SAMPLES)
def test_only_what_must_be_there_is_enough(name: str) -> None:
    """A body of the first version, before fields were added, loads and has its sentence."""
    needed = {field.name for field in msgspec.structs.fields(SHIPPED[name]) if field.required}
    body = {key: value for key, value in read(name).items() if key in needed}
    assert decode(name, json.dumps(body).encode(), body["about"]).says()
