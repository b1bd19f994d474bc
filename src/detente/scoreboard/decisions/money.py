"""What did it cost that journeys could not be made, and whose was it?

A sweep over everything that went down and came back: between two such moments the same things are
down, so the same journeys are (by failure propagation), and each loses what it earns an hour. The loss
is put down to what fell first: a vendor, our own change, infrastructure, a service of ours; or to
nobody known.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Literal

import msgspec

from detente.kernel.catalogue import Catalogue
from detente.kernel.clock import NS, Instant, Seconds
from detente.kernel.fact import Subject, kind
from detente.kernel.money import Money, total

Cause = Literal["our change", "vendor", "infrastructure", "our service", "unknown"]

_HOUR = 3600 * NS


class Down(msgspec.Struct, frozen=True, kw_only=True):
    """Something was down for a while. `changed`: the change that explains it, by the facts."""

    of: Subject
    start: Instant
    end: Instant
    position: int  # of the fact that says so
    changed: Subject = ""


class Loss(msgspec.Struct, frozen=True, kw_only=True):
    """What one cause cost: journeys that could not be made, for how long, worth how much."""

    cause: Cause
    roots: tuple[Subject, ...]  # what fell first
    seconds: Seconds  # of journeys: two that fall for a minute lost two minutes
    worth: tuple[Money, ...]
    positions: tuple[int, ...]


class Worked(msgspec.Struct, frozen=True, kw_only=True):
    """One journey in the window."""

    journey: Subject
    down: Seconds
    share: float  # of the window in which it worked
    lost: tuple[Money, ...]


class Stretch(msgspec.Struct, frozen=True):
    """Between two moments nothing changes: this journey is down, because of these."""

    start: Instant
    end: Instant
    journey: Subject
    roots: tuple[Down, ...]


def stretches(
    downs: Iterable[Down], catalogue: Catalogue, start: Instant, end: Instant
) -> list[Stretch]:
    """When which journey was down, and over what."""
    clipped = [
        msgspec.structs.replace(each, start=max(each.start, start), end=min(each.end, end))
        for each in downs
        if each.start < end and each.end > start
    ]
    moments = sorted({at for each in clipped for at in (each.start, each.end)})
    return [
        Stretch(left, right, journey, roots)
        for left, right in pairwise(moments)
        for journey, roots in _fallen(catalogue, [d for d in clipped if d.start <= left < d.end])
    ]


def _fallen(
    catalogue: Catalogue, down: Sequence[Down]
) -> Iterator[tuple[Subject, tuple[Down, ...]]]:
    """Journeys that fall while these are down, each with those that it falls over."""
    by_subject = {each.of: each for each in down}
    for fallen in catalogue.needs.falls(by_subject):
        if kind(fallen.node) != "journey":
            continue
        alone = [
            each
            for each in down
            if fallen.node in {f.node for f in catalogue.needs.falls([each.of])}
        ]
        yield fallen.node, _first(catalogue, alone or list(down))


def _first(catalogue: Catalogue, down: Sequence[Down]) -> tuple[Down, ...]:
    """Those that no other of them fells: a service that falls with its vendor is no cause."""
    felled = {
        fallen.node
        for each in down
        for fallen in catalogue.needs.falls([each.of])
        if fallen.node != each.of
    }
    return tuple(each for each in down if each.of not in felled) or tuple(down)


def losses(found: Iterable[Stretch], catalogue: Catalogue) -> list[Loss]:
    """What each cause cost, dearest first."""
    seconds: dict[tuple[Cause, tuple[Subject, ...]], float] = defaultdict(float)
    worth: dict[tuple[Cause, tuple[Subject, ...]], list[Money]] = defaultdict(list)
    positions: dict[tuple[Cause, tuple[Subject, ...]], set[int]] = defaultdict(set)
    for each in found:
        key = (cause_of(each.roots), tuple(sorted({root.of for root in each.roots})))
        seconds[key] += (each.end - each.start) / NS
        worth[key] += _earned(catalogue, each)
        positions[key] |= {root.position for root in each.roots}
    made = [
        Loss(
            cause=cause,
            roots=roots,
            seconds=seconds[cause, roots],
            worth=total(worth[cause, roots]),
            positions=tuple(sorted(positions[cause, roots])),
        )
        for cause, roots in seconds
    ]
    return sorted(made, key=lambda loss: (-sum(m.minor for m in loss.worth), -loss.seconds))


def worked(
    found: Sequence[Stretch], catalogue: Catalogue, start: Instant, end: Instant
) -> list[Worked]:
    """How each journey did."""
    made = []
    for name in catalogue.journeys:
        journey = f"journey:{name}"
        mine = [each for each in found if each.journey == journey]
        down = sum(each.end - each.start for each in mine) / NS
        made.append(
            Worked(
                journey=journey,
                down=down,
                share=1 - down * NS / (end - start) if end > start else 1.0,
                lost=total(money for each in mine for money in _earned(catalogue, each)),
            )
        )
    return made


def cause_of(roots: Iterable[Down]) -> Cause:
    """One word for what fell first. Several of different kinds are nobody's: unknown."""
    words = {_cause(root) for root in roots}
    return words.pop() if len(words) == 1 else "unknown"


def _cause(root: Down) -> Cause:
    if root.changed:
        return "our change"
    of: dict[str, Cause] = {
        "vendor": "vendor",
        "infrastructure": "infrastructure",
        "service": "our service",
        "journey": "our service",
    }
    return of.get(kind(root.of), "unknown")


def _earned(catalogue: Catalogue, each: Stretch) -> list[Money]:
    """What the journey would have earned meanwhile, in whole minor units."""
    entry = catalogue.entry(each.journey)
    earns = getattr(entry, "earns", None)
    if earns is None:
        return []
    return [Money(earns.minor * (each.end - each.start) // _HOUR, earns.currency)]
