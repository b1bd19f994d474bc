"""Which version is newer? Semantic versions as `sem_ver` compares them."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, NamedTuple

from detente.toggles.engine.logic import text

OPERATORS = ("=", "!=", "<", "<=", ">", ">=", "^", "~")

_LONGEST = 256
_NUMBER = r"(?:0|[1-9]\d{0,18})"
_WORD = rf"(?:{_NUMBER}|\d*[A-Za-z-][0-9A-Za-z-]*)"
_VERSION = re.compile(
    rf"[vV]?({_NUMBER})(?:\.({_NUMBER}))?(?:\.({_NUMBER}))?"
    rf"(?:-({_WORD}(?:\.{_WORD})*))?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?",
    re.ASCII,
)


class Version(NamedTuple):
    """In the order in which versions come; what is built from it does not count."""

    major: int
    minor: int
    patch: int
    final: bool  # 2.0.0-beta comes before 2.0.0
    stage: tuple[tuple[bool, int, str], ...]  # numbers before words


@lru_cache(maxsize=4096)
def version(said: str) -> Version | None:
    """None, when that is no version. "1.2" is 1.2.0."""
    found = _VERSION.fullmatch(said) if len(said) <= _LONGEST else None
    if found is None:
        return None
    major, minor, patch, stage = found.groups()
    parts = stage.split(".") if stage else []
    return Version(int(major), int(minor or 0), int(patch or 0), not parts, _staged(parts))


def _staged(parts: list[str]) -> tuple[tuple[bool, int, str], ...]:
    return tuple((False, int(p), "") if p.isdecimal() else (True, 0, p) for p in parts)


def sem_ver(*values: Any) -> bool | None:
    """Nothing, rather than false, unless asked about two versions with a known operator."""
    if len(values) != 3 or values[1] not in OPERATORS:
        return None
    one, other = version(text(values[0])), version(text(values[2]))
    return None if one is None or other is None else _compared(one, str(values[1]), other)


def _compared(one: Version, how: str, other: Version) -> bool:
    if how == "^":
        return one.major == other.major
    if how == "~":
        return one[:2] == other[:2]
    return {
        "=": one == other,
        "!=": one != other,
        "<": one < other,
        "<=": one <= other,
        ">": one > other,
        ">=": one >= other,
    }[how]
