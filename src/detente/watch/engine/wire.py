"""What is said between the node and its prober?

Orders go in, results come out, both as frames: four bytes of length (big-endian), then msgpack.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Literal

import msgspec

from detente.kernel.clock import Instant, Seconds

Verdict = Literal["ok", "warned", "failed", "inconclusive", "skipped"]
"""*Warned* works and wants a look; *inconclusive* is the prober's own fault, *skipped* nobody's:
neither of these ever counts as down."""

Phase = Literal["dns", "connect", "tls", "first_byte", "transfer"]

Statuses = tuple[int | tuple[int, int], ...]
"""Status codes: single ones, or pairs of first and last."""

FRAME_LIMIT = 256 * 1024 * 1024


class Probe(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing to ask again and again, and what counts as a good answer."""

    id: str
    kind: Literal["http", "tcp", "tls", "plugin"]
    target: str  # http: a URL; tcp and tls: host:port, IPv6 in brackets; plugin: how it is shown
    every: Seconds = 30.0
    timeout: Seconds = 5.0
    method: str = "GET"
    headers: dict[str, str] = {}
    body: bytes | None = None
    expect_status: Statuses = ((200, 399),)
    expect_body: str | None = None
    expect_body_regex: str | None = None
    slow_after: Seconds | None = None
    tls_verify: bool = True
    ca_file: str | None = None
    server_name: str | None = None
    expires_within: Seconds = 0.0  # the certificate must be valid at least this much longer
    ip: Literal[4, 6] | None = None  # None: IPv4, or IPv6 where a name has nothing else
    command: tuple[str, ...] = ()  # plugin: the program and what it is given, secrets revealed
    plugins_from: tuple[str, ...] = ()  # folders in which a program without a path is looked for
    surroundings: dict[str, str] = {}  # plugin: its environment besides the bare minimum
    secrets: tuple[str, ...] = ()  # plugin: what must not come back in its words


class Orders(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything to do from now on. New orders replace the old ones as a whole."""

    probes: tuple[Probe, ...] = ()
    canaries: tuple[str, ...] = ()  # host:port; if none of them answers, it is us who are cut off
    resolvers: tuple[str, ...] = ()  # name servers as ip or ip:port; none: as the machine has them
    place: str = ""  # probers in different places take different slots


class Result(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What one run of one probe saw. Lengths in seconds; None where a phase was not reached."""

    id: str
    slot: Instant  # when the run was due
    at: Instant  # when it began
    verdict: Verdict
    reason: str = ""
    failed_in: Phase | None = None
    dns: Seconds | None = None
    connect: Seconds | None = None
    tls: Seconds | None = None
    first_byte: Seconds | None = None
    transfer: Seconds | None = None
    total: Seconds = 0.0
    lateness: Seconds = 0.0
    status: int | None = None
    ip: str | None = None
    bytes: int = 0
    tls_expires: Instant | None = None
    tls_version: str | None = None
    tls_fingerprint: str | None = None  # SHA-256 of the certificate
    measured: str = ""  # plugin: its performance data as it wrote it


class BadFrame(ValueError):
    """What came through the pipe between node and prober is not what they say to each other."""


_length = struct.Struct(">I")
_encode = msgspec.msgpack.Encoder().encode
_decode_orders = msgspec.msgpack.Decoder(Orders).decode
_decode_results = msgspec.msgpack.Decoder(list[Result]).decode


def frame(message: Orders | list[Result]) -> bytes:
    """One message, ready for the pipe."""
    body = _encode(message)
    return _length.pack(len(body)) + body


def orders(body: bytes) -> Orders:
    """The orders in the body of a frame."""
    try:
        return _decode_orders(body)
    except msgspec.MsgspecError as wrong:
        raise BadFrame(f"these are not orders for a prober: {wrong}") from wrong


def results(body: bytes) -> list[Result]:
    """The results in the body of a frame. An empty list is a sign of life."""
    try:
        return _decode_results(body)
    except msgspec.MsgspecError as wrong:
        raise BadFrame(f"these are not results of a prober: {wrong}") from wrong


def body_length(head: bytes) -> int:
    """How many bytes follow the four that open a frame."""
    length: int = _length.unpack(head)[0]
    if length > FRAME_LIMIT:
        raise BadFrame(f"a frame of {length:,} bytes was announced; {FRAME_LIMIT:,} is the limit")
    return length


class Frames:
    """Cuts a stream of bytes into the bodies of its frames."""

    def __init__(self) -> None:
        self._waiting = bytearray()

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The bodies that are complete now; what is left over waits for the next chunk."""
        waiting = self._waiting
        waiting += chunk
        while len(waiting) >= 4:
            end = 4 + body_length(bytes(waiting[:4]))
            if len(waiting) < end:
                return
            body = bytes(waiting[4:end])
            del waiting[:end]
            yield body
