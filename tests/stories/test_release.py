"""Story three, the release, on real processes: a git repository, machines, acceptance tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from detente.demo.release_story import ReleaseStory
from detente.demo.story import Promised

pytestmark = [pytest.mark.slow, pytest.mark.timeout(420)]


def test_kill_9_at_any_moment_finishes_every_release(
    played: Callable[..., list[Promised]],
) -> None:
    """Killed again and again, the node ends each release once, tells each team once, and the toggle
    that is broken still flips back by itself.
    """
    table = played(ReleaseStory, killing=5, every=(6.0, 14.0), tempo=0.7)
    assert {"19", "20", "21", "22", "23", "24", "25", "26"} <= {each.row for each in table}
    broken = [each for each in table if not each.kept and each.row not in ("22", "24")]
    assert not broken, "22 and 24 are promises of speed, which a node that dies cannot make"
