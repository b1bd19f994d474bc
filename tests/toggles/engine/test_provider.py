"""A program that speaks OpenFeature gets the same answers, and hears when they change."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from typing import Any

import pytest
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.evaluation_context import EvaluationContext
from openfeature.event import ProviderEvent
from openfeature.exception import ErrorCode

from detente.toggles.engine.client import Client

from .test_client import FLAGS

GOLD = EvaluationContext("ann", {"plan": "gold"})


@pytest.fixture
def ours() -> Client:
    client = Client()
    client.load({"flags": FLAGS})
    return client


@pytest.fixture
def theirs(ours: Client) -> Iterator[OpenFeatureClient]:
    api.set_provider_and_wait(ours.openfeature())
    yield api.get_client()
    api.shutdown()
    api.clear_providers()


def test_each_kind_is_answered(theirs: OpenFeatureClient) -> None:
    """With variant and reason; what does not fit or is not there leaves the default and says why."""
    found = theirs.get_boolean_details("checkout", False, GOLD)
    assert (found.value, found.variant, found.reason) == (True, "on", "TARGETING_MATCH")
    assert theirs.get_integer_value("size", 1) == 50
    assert theirs.get_float_value("rate", 0.1) == 1.0
    assert theirs.get_boolean_details("dark", True).reason == "DISABLED"
    assert theirs.get_string_details("size", "?").error_code == ErrorCode.TYPE_MISMATCH
    gone = theirs.get_object_details("gone", {"a": 1})
    assert (gone.value, gone.error_code) == ({"a": 1}, ErrorCode.FLAG_NOT_FOUND)


def test_changes_are_events(ours: Client, theirs: OpenFeatureClient) -> None:
    """New rules, silence, and the node's return: the SDK's own events."""
    heard: queue.Queue[Any] = queue.Queue()
    changed, stale = ProviderEvent.PROVIDER_CONFIGURATION_CHANGED, ProviderEvent.PROVIDER_STALE
    for event in (changed, stale, ProviderEvent.PROVIDER_READY):
        theirs.add_handler(event, lambda _details, event=event: heard.put(event))
    heard.get(timeout=5)  # it is ready when somebody begins to listen
    ours.load({"flags": {}})
    assert heard.get(timeout=5) == changed
    ours.tell(stale=True)
    assert heard.get(timeout=5) == stale
    ours.tell(stale=False)
    assert heard.get(timeout=5) == ProviderEvent.PROVIDER_READY
