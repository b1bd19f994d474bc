"""How long is this certificate valid?

Read from the certificate's own bytes, because the `ssl` module only opens certificates that it
trusts, and the ones worth reporting are mostly those that it does not.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from detente.kernel.clock import Instant, instant

_SEQUENCE, _UTC_TIME, _GENERAL_TIME, _VERSION = 0x30, 0x17, 0x18, 0xA0


class _Element(NamedTuple):
    tag: int
    start: int  # of its content
    end: int


def expires(der: bytes) -> Instant | None:
    """When the certificate ends, or None if these bytes are not a certificate."""
    try:
        return _end_of_validity(der)
    except (IndexError, ValueError):
        return None


def _end_of_validity(der: bytes) -> Instant:
    certificate = _enter(der, 0, _SEQUENCE)
    body = _enter(der, certificate.start, _SEQUENCE)
    at = body.start
    if _element(der, at).tag == _VERSION:
        at = _element(der, at).end
    for _ in ("serial number", "signature algorithm", "issuer"):
        at = _element(der, at).end
    validity = _enter(der, at, _SEQUENCE)
    begins = _element(der, validity.start)
    return _moment(der, _element(der, begins.end))


def _enter(der: bytes, at: int, tag: int) -> _Element:
    element = _element(der, at)
    if element.tag != tag:
        raise ValueError(f"tag {element.tag:#x} where {tag:#x} was expected")
    return element


def _element(der: bytes, at: int) -> _Element:
    tag, length = der[at], der[at + 1]
    start = at + 2
    if length & 0x80:
        size = length & 0x7F
        length = int.from_bytes(der[start : start + size])
        start += size
    if start + length > len(der):
        raise ValueError("an element reaches beyond the end")
    return _Element(tag, start, start + length)


def _moment(der: bytes, element: _Element) -> Instant:
    text = der[element.start : element.end].decode("ascii")
    if element.tag == _UTC_TIME:  # two digits of year: 50 to 99 are of the last century
        text = ("19" if text[:2] >= "50" else "20") + text
    elif element.tag != _GENERAL_TIME:
        raise ValueError(f"tag {element.tag:#x} where a time was expected")
    month, day, hour, minute, second = (int(text[at : at + 2]) for at in range(4, 14, 2))
    return instant(datetime(int(text[:4]), month, day, hour, minute, second, tzinfo=UTC))
