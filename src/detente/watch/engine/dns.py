"""What does a name server want to hear, and what did it say?

Only the bytes of the questions and answers; `resolver` does the asking.
"""

from __future__ import annotations

import socket
import struct
from typing import NamedTuple

A, AAAA, NS_RECORDS, CNAME = 1, 28, 2, 5
_INTERNET = 1
_HEADER = struct.Struct(">HHHHHH")
_RECORD = struct.Struct(">HHIH")
_RECURSION_WANTED = 0x0100
_IS_ANSWER, _IS_CUT = 0x8000, 0x0200
_ALIASES = 16  # longer chains of names than this are loops

NO_ERROR, NO_SUCH_NAME, REFUSED = 0, 3, 5


class Malformed(ValueError):
    """These bytes are no DNS message."""


class Reply(NamedTuple):
    """What a name server said about one name."""

    code: int
    cut: bool
    addresses: tuple[str, ...]
    ttl: int


class _Record(NamedTuple):
    owner: str
    kind: int
    ttl: int
    start: int
    end: int


def question(number: int, name: str, kind: int) -> bytes:
    """The packet that asks for one kind of record. Raises ValueError if that cannot be a name."""
    return (
        _HEADER.pack(number, _RECURSION_WANTED, 1, 0, 0, 0)
        + _write_name(name)
        + struct.pack(">HH", kind, _INTERNET)
    )


def _write_name(name: str) -> bytes:
    labels = [label.encode("ascii") for label in name.split(".")] if name else []
    if any(not 0 < len(label) < 64 for label in labels) or len(name) > 253:
        raise ValueError(f"“{name}” cannot be a host name")
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def answers(packet: bytes, number: int) -> bool:
    """Whether this packet answers the question of that number, as far as its head tells."""
    if len(packet) < _HEADER.size:
        return False
    got, flags, *_ = _HEADER.unpack_from(packet)
    return bool(got == number and flags & _IS_ANSWER)


def read(packet: bytes, number: int, name: str, kind: int) -> Reply | None:
    """The reply in a packet, or None if it answers something that we did not ask."""
    if not answers(packet, number):
        return None
    try:
        return _read(packet, name.lower(), kind)
    except (Malformed, IndexError, struct.error, UnicodeDecodeError):
        return None


def _read(packet: bytes, name: str, kind: int) -> Reply | None:
    _, flags, questions, records, _, _ = _HEADER.unpack_from(packet)
    if questions != 1:
        return None
    asked, at = _read_name(packet, _HEADER.size)
    if asked != name or struct.unpack_from(">HH", packet, at) != (kind, _INTERNET):
        return None
    found = _read_records(packet, at + 4, records)
    addresses, ttl = _follow(packet, found, name, kind)
    return Reply(flags & 0x0F, bool(flags & _IS_CUT), addresses, ttl)


def _read_records(packet: bytes, at: int, count: int) -> list[_Record]:
    found = []
    for _ in range(count):
        owner, at = _read_name(packet, at)
        kind, group, ttl, length = _RECORD.unpack_from(packet, at)
        start = at + _RECORD.size
        at = start + length
        if at > len(packet):
            raise Malformed("a record reaches beyond the end")
        if group == _INTERNET:
            found.append(_Record(owner, kind, ttl, start, at))
    return found


def _follow(
    packet: bytes, found: list[_Record], name: str, kind: int
) -> tuple[tuple[str, ...], int]:
    """The addresses at the end of the chain of aliases, and how long all of it may be kept."""
    ttl = 2**31
    aliases = {record.owner: record for record in found if record.kind == CNAME}
    for _ in range(_ALIASES):
        alias = aliases.get(name)
        if alias is None:
            break
        name, _ = _read_name(packet, alias.start)
        ttl = min(ttl, alias.ttl)
    here = [record for record in found if record.kind == kind and record.owner == name]
    addresses = tuple(_address(packet[record.start : record.end], kind) for record in here)
    return addresses, min([ttl, *(record.ttl for record in here)])


def _address(content: bytes, kind: int) -> str:
    if len(content) != (4 if kind == A else 16):
        raise Malformed("an address of the wrong length")
    return socket.inet_ntop(socket.AF_INET if kind == A else socket.AF_INET6, content)


def _read_name(packet: bytes, at: int) -> tuple[str, int]:
    """A name in lower case, and where the packet goes on after it."""
    labels: list[str] = []
    after = -1
    for _ in range(128):
        length = packet[at]
        if length == 0:
            return ".".join(labels), (at + 1 if after < 0 else after)
        if length & 0xC0 == 0xC0:
            after = at + 2 if after < 0 else after
            at = (length & 0x3F) << 8 | packet[at + 1]
        elif length & 0xC0:
            raise Malformed("a label of an unknown kind")
        else:
            labels.append(packet[at + 1 : at + 1 + length].decode("ascii").lower())
            at += 1 + length
    raise Malformed("a name that does not end")
