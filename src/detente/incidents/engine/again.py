"""How often does it happen, as far as so few times can tell?

A count over a stretch of time as a rate, with the exact 95% interval for a Poisson count (Garwood):
honest for one or two, where a plain average is not.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec

from detente.kernel.clock import Seconds

MONTH: Seconds = 365.25 * 86_400 / 12
_TAIL = 0.025


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """So often in so long; what that makes in a month, and between which rates the truth may lie."""

    times: int
    seconds: Seconds
    a_month: float
    at_least: float
    at_most: float


def rate(times: int, seconds: Seconds) -> Rate:
    """The rate of something that happened so often in that time."""
    months = max(seconds, 1.0) / MONTH
    lowest = 0.0 if times == 0 else _where(lambda mean: 1 - _up_to(times - 1, mean), _TAIL, times)
    highest = _where(lambda mean: 1 - _up_to(times, mean), 1 - _TAIL, times)
    return Rate(
        times=times,
        seconds=seconds,
        a_month=times / months,
        at_least=lowest / months,
        at_most=highest / months,
    )


def _up_to(count: int, mean: float) -> float:
    """The chance of so many or fewer."""
    if mean == 0:
        return 1.0
    logs = (each * math.log(mean) - mean - math.lgamma(each + 1) for each in range(count + 1))
    return math.fsum(map(math.exp, logs))


def _where(grows: Callable[[float], float], wanted: float, times: int) -> float:
    """The mean at which something that grows with it reaches what is wanted."""
    low, high = 0.0, 10.0 + 5.0 * times
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if grows(middle) < wanted else (low, middle)
    return high
