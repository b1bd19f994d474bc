"""When do people mean?"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from detente.kernel.clock import Instant, instant, later, moment
from detente.kernel.config import Duration


class NoTime(ValueError):
    """That is no moment; the message says how one is written."""


def when(said: str, now: Instant, zone: str) -> Instant:
    """'2026-12-01 21:00', '21:00', 'now', 'in 2h', or RFC 3339 with its own offset. Raises NoTime."""
    text = said.strip()
    if text.lower() == "now":
        return now
    if text.lower().startswith("in "):
        return later(now, _length(text[3:], text))
    if re.fullmatch(r"\d\d:\d\d", text):
        return _next(text, now, zone)
    try:
        read = datetime.fromisoformat(text)
        return instant(read if read.tzinfo else read.replace(tzinfo=ZoneInfo(zone)))
    except (ValueError, OverflowError):
        raise NoTime(_HOW.format(said=text)) from None


def lasting(said: str) -> float:
    """'30m', '2h' in seconds. Raises NoTime."""
    return _length(said, said)


_HOW = "“{said}” is no moment; write 2026-12-01 21:00, 21:00, now, or in 2h"


def _length(said: str, whole: str) -> float:
    try:
        return float(Duration.read(said.strip()))
    except ValueError as wrong:
        raise NoTime(f"“{whole}”: {wrong}") from None


def _next(clock: str, now: Instant, zone: str) -> Instant:
    here = moment(now, zone)
    hour, minute = int(clock[:2]), int(clock[3:])
    if hour > 23 or minute > 59:
        raise NoTime(_HOW.format(said=clock))
    wanted = here.replace(hour=hour, minute=minute, second=0, microsecond=0)
    return instant(wanted if wanted > here else wanted + timedelta(days=1))
