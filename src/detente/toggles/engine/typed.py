"""Is the answer of the kind that the program expects?

Numbers pass where nothing is lost: 10.0 is the whole number 10, and 10 is the fraction 10.0. Nothing
else is turned into something else.
"""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

_LOSSLESS = 2**53


def fitting(value: Any, default: Any) -> Any:
    """The value as a `default` of the same kind would be; UNSET when it is of another kind."""
    wanted = default.__class__
    if value.__class__ is wanted:
        return value
    if wanted is float:
        return _fraction(value)
    if wanted is int:
        return _whole(value)
    same = default is None or (not isinstance(value, bool) and isinstance(value, wanted))
    return value if same else UNSET


def _fraction(value: Any) -> Any:
    return float(value) if value.__class__ is int and abs(value) <= _LOSSLESS else UNSET


def _whole(value: Any) -> Any:
    exact = value.__class__ is float and value.is_integer() and abs(value) <= _LOSSLESS
    return int(value) if exact else UNSET
