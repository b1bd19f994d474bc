"""Story two, the central point of failure, on real processes behind a real CAS server."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from detente.demo.sso_story import SignOnStory
from detente.demo.story import Promised

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def test_every_promise_is_kept(played: Callable[..., list[Promised]]) -> None:
    """The map knew, the change was warned about, Permits went on, and the four answers are there."""
    table = played(SignOnStory, tempo=0.7)
    assert {"12", "13", "14", "15", "16, 17", "18"} <= {each.row for each in table}
    assert all(each.kept for each in table), table


def test_kill_9_at_any_moment_loses_no_answer(played: Callable[..., list[Promised]]) -> None:
    """The node is killed again and again: what people said and did stands, each once."""
    table = played(SignOnStory, killing=3, every=(3.0, 8.0), tempo=0.7)
    told = {each.promise: each.kept for each in table}
    assert told["four answers, or it does not close"]
    assert told["a risky change is warned about"]
    assert told["Permits lives without sign-on"], table
