"""Who is among the first 10 %, today and tomorrow alike?

Everybody is given a place between 0 and 2^32 by hashing (murmur3, 32 bits) who they are, and a share
of the crowd is a stretch of those places. Two generations of what exactly is hashed are in use and
put people elsewhere, so a rule book says which one is its own:

- `v2`: the text itself, by default the toggle's name and the person's key, one after the other. flagd
  itself and its JavaScript library.
- `v3`: the value in deterministic CBOR (RFC 8949, 4.2.1), by default a list of the two. flagd's Python
  library since version 2.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import mmh3

Generation = Literal["v2", "v3"]
GENERATIONS: tuple[Generation, ...] = ("v3", "v2")

PLACES = 2**32
HEAVIEST = 2**31 - 1  # all weights together


class Unhashable(Exception):
    """Nobody can be told apart by this."""


# -- deterministic CBOR --------------------------------------------------------------------------


def cbor(value: Any) -> bytes:
    """The one way to write it: shortest heads, whole numbers as integers, keys in order."""
    if value.__class__ is str:
        return _text(value)
    if value is None or isinstance(value, bool):
        return {None: b"\xf6", False: b"\xf4", True: b"\xf5"}[value]
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, int):
        return _whole(value)
    return _several(value)


def _several(value: Any) -> bytes:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, (list, tuple)):
        return head(4, len(value)) + b"".join(map(cbor, value))
    if isinstance(value, Mapping):
        pairs = sorted((cbor(key), cbor(held)) for key, held in value.items())
        return head(5, len(pairs)) + b"".join(key + held for key, held in pairs)
    raise Unhashable(f"{type(value).__name__} is none of JSON's kinds")


def head(kind: int, size: int) -> bytes:
    """What a value begins with: its kind and size in as few bytes as possible."""
    for extra, form, limit in _HEADS:
        if size < limit:
            return (
                struct.pack(form, kind << 5 | extra, size) if extra else bytes([kind << 5 | size])
            )
    raise Unhashable("a number of more than 64 bits")


_HEADS = (
    (0, "", 24),
    (24, ">BB", 2**8),
    (25, ">BH", 2**16),
    (26, ">BI", 2**32),
    (27, ">BQ", 2**64),
)


def _letters(value: str) -> bytes:
    return value.encode("utf-8", "surrogatepass")


def _text(value: str) -> bytes:
    said = _letters(value)
    return head(3, len(said)) + said


def _whole(value: int) -> bytes:
    if -(2**64) <= value < 2**64:
        return head(0, value) if value >= 0 else head(1, -1 - value)
    tag, size = (2, value) if value >= 0 else (3, -1 - value)
    digits = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return head(6, tag) + head(2, len(digits)) + digits


def _float(value: float) -> bytes:
    if value.is_integer() and -(2**63) <= value < 2**64:
        return _whole(int(value))
    if value != value:
        return b"\xf9\x7e\x00"
    for form, kind in ((">e", 0xF9), (">f", 0xFA)):
        try:
            short = struct.pack(form, value)
        except OverflowError:
            continue
        if struct.unpack(form, short)[0] == value:
            return bytes([kind]) + short
    return b"\xfb" + struct.pack(">d", value)


# -- places ------------------------------------------------------------------------------------------

hashed = mmh3.mmh3_32_uintdigest

_MOST_KNOWN = 4096


class Known(dict[str, bytes]):
    """Texts as bytes. The same person is asked about again and again, by one toggle after the other."""

    def __init__(self, written: Callable[[str], bytes]) -> None:
        super().__init__()
        self._written = written

    def __missing__(self, text: str) -> bytes:
        if len(self) >= _MOST_KNOWN:
            self.clear()
        found = self[text] = self._written(text)
        return found


letters, written = Known(_letters), Known(_text)


def place_v3(who: Any) -> int | None:
    """Where in the crowd this is; None when it is nobody."""
    if who is None or isinstance(who, (list, tuple)):
        return None
    try:
        return hashed(written[who] if who.__class__ is str else cbor(who))
    except Unhashable:
        return None


def place_v2(who: Any) -> int | None:
    """Only texts have a place."""
    return hashed(letters[who]) if who.__class__ is str else None


def before_v3(toggle: str) -> bytes:
    """What stands before the person's key when nothing else tells people apart."""
    return head(4, 2) + cbor(toggle)


def before_v2(toggle: str) -> bytes:
    return _letters(toggle)


def place_of(person: Any, before: bytes, bytes_of: Known) -> int | None:
    """Where a person stands for one toggle, told apart by the key."""
    if person.__class__ is not str or not person:
        return None
    return hashed(before + bytes_of[person])


def stretches(weights: Sequence[int]) -> list[int]:
    """Where each share ends, in places; nothing when the weights cannot be shared out."""
    total, ends, so_far = sum(weights), [], 0
    if not 0 < total <= HEAVIEST:
        return []
    for weight in weights:
        so_far += weight
        ends.append(-(-so_far * PLACES // total))  # the first place that is not in it any more
    return ends


def share(place: int | None, entries: Sequence[tuple[Any, Any]]) -> Any:
    """Whose stretch the place is in, when weights are known only now."""
    if place is None:
        return None
    weights = [weight(said) for _, said in entries]
    if None in weights:
        return None
    ends = stretches([each or 0 for each in weights])
    return next((what for (what, _), end in zip(entries, ends, strict=False) if place < end), None)


def weight(said: Any) -> int | None:
    """Whole, and not below nothing; None when it is no weight."""
    if isinstance(said, bool) or not isinstance(said, (int, float)) or said != said:
        return None
    if isinstance(said, float) and not said.is_integer():
        return None
    return max(0, int(said))
