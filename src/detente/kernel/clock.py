"""What time is it, and how do people say it?

Points in time are whole nanoseconds since 1970-01-01 UTC (`Instant`); lengths of time are seconds
(`Seconds`). Nothing above the edge asks the machine: a `Clock` is handed in. Waiting is always
`asyncio.sleep`, so a loop that runs in simulated time needs no other change.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Annotated, Protocol
from zoneinfo import ZoneInfo

from msgspec import Meta

Instant = Annotated[int, Meta(description="nanoseconds since 1970-01-01 UTC")]
Seconds = Annotated[float, Meta(description="seconds")]

NS = 1_000_000_000


class Clock(Protocol):
    """Where the time comes from."""

    def now(self) -> Instant:
        """The present, in nanoseconds since 1970-01-01 UTC."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> Instant:
        return time.time_ns()


def instant(moment: datetime) -> Instant:
    """The point in time of an aware datetime, exact to the microsecond."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment} names no time zone")
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * NS + delta.microseconds * 1_000


def moment(at: Instant, zone: str = "UTC") -> datetime:
    """The same point as an aware datetime in that IANA time zone."""
    seconds, rest = divmod(at, NS)
    whole = datetime.fromtimestamp(seconds, tz=UTC).replace(microsecond=rest // 1_000)
    return whole.astimezone(ZoneInfo(zone))


def iso(at: Instant) -> str:
    """RFC 3339 in UTC with milliseconds: what machines read."""
    return moment(at).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def later(at: Instant, seconds: Seconds) -> Instant:
    """The point that many seconds on (or back)."""
    return at + round(seconds * NS)


def seconds_between(start: Instant, end: Instant) -> Seconds:
    return (end - start) / NS


def lasting(seconds: Seconds) -> str:
    """A length of time as people say it: '2 h 5 min', '41 s', '230 ms'."""
    if seconds <= -0.0005:
        return "-" + lasting(-seconds)
    if seconds < 0.9995:
        return f"{round(seconds * 1000)} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s".replace(".0 ", " ")
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, hours, days = whole // 60, whole // 3600, whole // 86_400
    if minutes < 60:
        return _two(minutes, "min", whole % 60, "s")
    if hours < 48:
        return _two(hours, "h", minutes % 60, "min")
    return _two(days, "days", hours % 24, "h")


def _two(big: int, unit: str, small: int, small_unit: str) -> str:
    return f"{big} {unit} {small} {small_unit}" if small else f"{big} {unit}"


def ago(at: Instant, now: Instant) -> str:
    """'2 min ago', 'in 3 days', 'just now'."""
    seconds = seconds_between(at, now)
    if abs(seconds) < 5:
        return "just now"
    length = roughly(abs(seconds))
    return f"{length} ago" if seconds > 0 else f"in {length}"


def roughly(seconds: Seconds) -> str:
    """The biggest unit only: enough for 'how long ago', and it does not flicker."""
    for length, unit in ((86_400, "day"), (3_600, "h"), (60, "min")):
        if seconds >= length:
            count = int(seconds // length)
            return f"{count} {unit}s" if unit == "day" and count > 1 else f"{count} {unit}"
    return f"{int(seconds)} s"
