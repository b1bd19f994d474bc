"""Was one side's target met by making the other side miss theirs?

When development is paid for features and operations for uptime, each can reach its goal at the other's
cost: nothing breaks while nothing ships, and much ships while much breaks. Both numbers stand on one
page so that this is said, in words, and without blame.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from detente.kernel.clock import Seconds, lasting
from detente.scoreboard.decisions.delivery import Delivery
from detente.scoreboard.decisions.money import Loss, Worked

_MOST = 0.25
"""So much of the window under a freeze is a reason why nothing shipped."""


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """What one side is asked for, and what it got."""

    side: Literal["Dev", "Ops"]
    asked: str
    got: str
    met: bool | None  # None: nothing was asked


class Unfair(msgspec.Struct, frozen=True):
    """One side met its target, and the other missed theirs because of it."""

    says: str


def sides(
    delivered: Delivery, journeys: Sequence[Worked], deliveries: int | None, uptime: float | None
) -> tuple[Side, Side]:
    """Both targets, side by side."""
    made = len(delivered.deployments)
    worst = min((each.share for each in journeys), default=None)
    return (
        Side(
            side="Dev",
            asked=f"{deliveries} changes in production" if deliveries else "nothing declared",
            got=f"{made} changes in production",
            met=None if deliveries is None else made >= deliveries,
        ),
        Side(
            side="Ops",
            asked=f"every journey works {uptime * 100:.10g}%" if uptime else "nothing declared",
            got="no journey declared" if worst is None else f"the worst worked {worst * 100:.3f}%",
            met=None if uptime is None or worst is None else worst >= uptime,
        ),
    )


def unfair(
    both: tuple[Side, Side],
    delivered: Delivery,
    lost: Sequence[Loss],
    frozen: Seconds,
    window: Seconds,
) -> Iterator[Unfair]:
    """Where one target was met at the cost of the other, as far as the facts show it."""
    dev, ops = both
    own = sum(each.seconds for each in lost if each.cause == "our change")
    everything = sum(each.seconds for each in lost)
    if dev.met and ops.met is False and own > everything / 2:
        yield Unfair(
            f"{dev.got}, and most of the time journeys were down ({lasting(own)} of"
            f" {lasting(everything)}) was because of these changes: the delivery target was met by"
            " making the uptime target miss."
        )
    if ops.met and dev.met is False and frozen > _MOST * window:
        yield Unfair(
            f"Uptime was kept while {lasting(frozen)} of {lasting(window)} were frozen and"
            f" {dev.got.replace('changes', 'changes went')}: the uptime target was met by making the"
            " delivery target miss."
        )
