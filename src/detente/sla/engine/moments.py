"""When, exactly? Sets of moments and what they have in common.

A set of moments is a sorted list of half-open stretches [start, end) that neither touch nor overlap,
in whole nanoseconds, so that lengths add up exactly.
"""

from __future__ import annotations

from collections.abc import Iterable

from detente.kernel.clock import Instant

Stretch = tuple[Instant, Instant]
Moments = list[Stretch]


def union(stretches: Iterable[Stretch]) -> Moments:
    """Every moment in at least one of them."""
    merged: Moments = []
    for start, end in sorted(stretches):
        if end <= start:
            continue
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def both(one: Moments, other: Moments) -> Moments:
    """Every moment in both of them."""
    shared: Moments = []
    left = right = 0
    while left < len(one) and right < len(other):
        start = max(one[left][0], other[right][0])
        end = min(one[left][1], other[right][1])
        if start < end:
            shared.append((start, end))
        if one[left][1] < other[right][1]:
            left += 1
        else:
            right += 1
    return shared


def without(one: Moments, other: Moments) -> Moments:
    """Every moment in the first and not in the second."""
    if not one:
        return []
    start, end = one[0][0], one[-1][1]
    edges = [start, *(edge for stretch in other for edge in stretch), end]
    gaps = [(edges[at], edges[at + 1]) for at in range(0, len(edges), 2)]
    return both(one, union(gaps))


def length(moments: Moments) -> int:
    """How long they last together, in nanoseconds."""
    return sum(end - start for start, end in moments)


def first(moments: Moments, most: int) -> Moments:
    """The first so many nanoseconds of them."""
    found: Moments = []
    for start, end in moments:
        if most <= 0:
            break
        found.append((start, min(end, start + most)))
        most -= end - start
    return found
