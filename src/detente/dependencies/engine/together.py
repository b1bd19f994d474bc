"""Did these fall together by accident?

Things that share nothing fall each in their own time. So if many begin to fail within one short moment,
and the map names nothing that they share, they share something that nobody declared. The test asks how
likely it is that so many fall in one moment by themselves, given how often each does; the answer is
multiplied by the number of moments looked at (Bonferroni), so that looking long does not find a culprit
by patience alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from detente.kernel.clock import NS, Instant, Seconds
from detente.kernel.fact import Subject
from detente.kernel.needs import Needs

SELDOM = 0.001
"""Rarer than this by accident is worth a suspicion."""


class Onset(msgspec.Struct, frozen=True):
    """Something began to fail."""

    node: Subject
    at: Instant


class Burst(msgspec.Struct, frozen=True):
    """What began to fail within one moment, each thing once."""

    starts: Instant
    nodes: tuple[Subject, ...]


def bursts(onsets: Iterable[Onset], within: Seconds) -> list[Burst]:
    """The moments in which several things began to fail, oldest first."""
    found: list[tuple[Instant, dict[Subject, None]]] = []
    for each in sorted(onsets, key=lambda onset: (onset.at, onset.node)):
        if found and each.at < found[-1][0] + round(within * NS):
            found[-1][1][each.node] = None
        else:
            found.append((each.at, {each.node: None}))
    return [Burst(start, tuple(nodes)) for start, nodes in found if len(nodes) > 1]


def unexplained(nodes: Iterable[Subject], needs: Needs) -> list[tuple[Subject, ...]]:
    """These in groups that the map knows to hang together; what fell over another one is left out."""
    fallen = list(dict.fromkeys(nodes))
    reached = {each: {each, *needs.needing(each)} for each in needs.nodes}
    over = {each for one in fallen for each in reached.get(one, ()) if each != one}
    first = [each for each in fallen if each not in over] or fallen[:1]
    groups: list[set[Subject]] = [{each} for each in first]
    for takes in reached.values():
        shared = [group for group in groups if group & takes]
        if len(shared) > 1:
            groups = [group for group in groups if group not in shared]
            groups.append(set().union(*shared))
    return sorted(tuple(sorted(group)) for group in groups)


def chance(together: int, times: Mapping[Subject, int], moments: int) -> float:
    """How likely at least so many begin to fail in one moment by accident, in any of `moments`.

    `times`: how often each thing watched began to fail by now. One more is added to each, so that
    something new is not taken for something that never falls.
    """
    moments = max(moments, 1)
    each_falls = [min(1.0, (count + 1) / (moments + 1)) for count in times.values()]
    return min(1.0, moments * _at_least(together, each_falls))


def _at_least(wanted: int, chances: Sequence[float]) -> float:
    """The upper tail of independent trials with these chances (Poisson binomial)."""
    if wanted > len(chances):
        return 0.0
    exactly = [1.0] + [0.0] * wanted  # the last place holds “so many or more”
    for chance in chances:
        for count in range(wanted, 0, -1):
            stays = exactly[count] * (1.0 if count == wanted else 1 - chance)
            exactly[count] = stays + exactly[count - 1] * chance
        exactly[0] *= 1 - chance
    return exactly[wanted]
