"""What did a plugin measure, and is it within its bounds?

Performance data as the Monitoring Plugins guidelines write it: `'label'=value[UOM];warn;crit;min;max`,
separated by blanks. Bounds are ranges: `10` alerts below 0 and above 10, `10:` below 10, `~:10` above
10, `@10:20` inside. What cannot be read is left out: a plugin's verdict is its exit code.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import msgspec

_ONE = re.compile(r"(?:'(?P<quoted>(?:[^']|'')*)'|(?P<bare>[^\s='][^\s=']*))=(?P<rest>\S*)")
_VALUE = re.compile(r"(?P<number>U|[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)(?P<unit>[^\d;]*)")
_RANGE = re.compile(r"(?P<inside>@)?(?:(?P<start>~|[-+]?[\d.]+)?:)?(?P<end>[-+]?[\d.]+)?")


class Range(msgspec.Struct, frozen=True):
    """The values that are fine: both ends belong to them. `inside` alerts in it instead of outside."""

    start: float = 0.0
    end: float = math.inf
    inside: bool = False

    def alerts(self, value: float) -> bool:
        return (self.start <= value <= self.end) == self.inside


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """One number a plugin gave, with its bounds as they were written."""

    label: str
    value: float | None  # None: the plugin could not tell (`U`)
    unit: str = ""
    warn: str = ""
    crit: str = ""
    least: float | None = None
    most: float | None = None

    @property
    def tone(self) -> str:
        """`bad` or `warn` where the number is out of its bounds, else `plain`."""
        for tone, written in (("bad", self.crit), ("warn", self.warn)):
            bounds = read_range(written)
            if bounds is not None and self.value is not None and bounds.alerts(self.value):
                return tone
        return "plain"

    def __str__(self) -> str:
        return "unknown" if self.value is None else f"{self.value:.10g} {self.unit}".strip()


def read_range(written: str) -> Range | None:
    """The range, or None if there is none or it makes no sense."""
    found = _RANGE.fullmatch(written)
    if not written or found is None:
        return None
    try:
        start = -math.inf if found["start"] == "~" else float(found["start"] or 0)
        end = float(found["end"]) if found["end"] else math.inf
    except ValueError:
        return None
    return Range(start, end, bool(found["inside"])) if start <= end else None


def measurements(written: str) -> Iterator[Measurement]:
    """Every number that can be read, in order."""
    for found in _ONE.finditer(written):
        quoted = found["quoted"]
        label = found["bare"] if quoted is None else quoted.replace("''", "'")
        one = _measurement(label.strip(), found["rest"])
        if one is not None:
            yield one


def _measurement(label: str, rest: str) -> Measurement | None:
    value, *bounds = rest.split(";")
    warn, crit, least, most = (*bounds, "", "", "", "")[:4]
    read = _VALUE.fullmatch(value)
    if not label or read is None:
        return None
    return Measurement(
        label=label,
        value=None if read["number"] == "U" else float(read["number"]),
        unit=read["unit"],
        warn=warn,
        crit=crit,
        least=_number(least),
        most=_number(most),
    )


def _number(written: str) -> float | None:
    try:
        return float(written)
    except ValueError:
        return None
