"""Story three, the release, on real processes: a git repository, machines, acceptance tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from detente.demo.release_story import ReleaseStory
from detente.demo.story import Promised

pytestmark = [pytest.mark.slow, pytest.mark.timeout(420)]


def test_every_promise_is_kept(played: Callable[..., list[Promised]]) -> None:
    """Three releases by one command each; what was broken flips back by itself and says why."""
    table = played(ReleaseStory, tempo=0.7)
    assert {"19", "20", "21", "22", "23", "24", "25", "26"} <= {each.row for each in table}
    assert all(each.kept for each in table), table


def test_kill_9_at_any_moment_finishes_every_release(
    played: Callable[..., list[Promised]],
) -> None:
    """The node is killed again and again: each release ends once, and whoever must know hears once."""
    table = played(ReleaseStory, killing=5, every=(6.0, 14.0), tempo=0.7)
    told = {each.promise: each for each in table}
    assert told["one command ships, and it stays"].kept, table
    assert told["whoever must know is told, once"].kept, table
