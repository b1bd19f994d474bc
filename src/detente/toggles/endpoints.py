"""What do other programs ask of toggles, and in which words?

Programs with our own client read the rules (`/toggles/stream`, `/toggles/definitions`) and tell what
they asked for (`/toggles/counts`). Everybody else asks for answers by OFREP, OpenFeature's protocol,
version 1. Two kindnesses go beyond it, because clients of today stumble without them: `variant` and
`errorDetails` are always there, and a toggle with fractions among its values never answers a whole number.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import re
from collections.abc import AsyncIterator, Callable, Mapping
from functools import lru_cache
from typing import Any

import mmh3
import msgspec

from detente.facts.toggles import Counted
from detente.facts.toggles import Usage as Told
from detente.kernel.clock import NS, Instant, Seconds, iso
from detente.kernel.config import SecretMissing
from detente.kernel.forms import BadForm, decoded
from detente.kernel.node import Node
from detente.kernel.slice import Answered, Asked, Endpoint
from detente.toggles import queries
from detente.toggles.engine.counting import Batch, Usage
from detente.toggles.engine.ruleset import UNSET, Answer, Ruleset
from detente.toggles.settings import Toggles

log = logging.getLogger(__name__)

HEARTBEAT: Seconds = 15.0
_CLOSE_WHEN_IDLE = 120  # seconds, what the protocol takes for granted
_STREAM = "text/event-stream"
_HEARS = ("toggles.*",)
_EVENTS = "/ofrep/v1/events"
_COUNTS = (
    '{"id": "1", "program": "shop", "since": 1, "until": 2, "counts":'
    ' {"new-checkout": {"on": {"asked": 5, "worked": 4, "failed": 1}}}}'
)
_LARGEST = 2 * 1024 * 1024  # ten thousand counts
_A_DAY = 86_400 * NS
_MOST_TIMES = 2**53  # whole numbers up to here are exact everywhere
_NAME = re.compile(r"[\w.@/-]{1,80}")

Context = Mapping[str, Any]
Said = Callable[[Ruleset], bytes]


class _BadContext(Exception):
    """Not what one can evaluate for; the message says what to send instead."""

    def __init__(self, code: str, says: str) -> None:
        super().__init__(says)
        self.code = code


class _Request(msgspec.Struct, frozen=True):
    context: dict[str, Any] = {}


def admits(node: Node, asked: Asked) -> bool:
    """Does it show the token of programs that only ask, and tell what they asked for?

    The node's own token, which pulls levers, opens these addresses too.
    """
    declared = node.settings(Toggles).token
    try:
        token = declared.reveal() if declared is not None else ""
    except SecretMissing as missing:
        log.error("Programs with the token of toggles are turned away: %s.", missing)
        return False
    shown = asked.headers.get("authorization", "")
    return bool(token) and hmac.compare_digest(shown.encode(), f"Bearer {token}".encode())


# -- OFREP -----------------------------------------------------------------------------------------


async def evaluate(node: Node, asked: Asked) -> Answered:
    """POST /ofrep/v1/evaluate/flags/{key}"""
    key = asked.path["key"]
    try:
        context = _context(asked.body)
    except _BadContext as bad:
        wrong = {"key": key, "errorCode": bad.code, "errorDetails": str(bad)}
        return _json(wrong, status=400)
    ruleset = queries.ruleset(node)
    answer = ruleset.evaluate(key, context, now=node.now())
    answer.handed_out[0] += 1
    return _json(_told(ruleset, key, answer), status=_status(answer))


async def evaluate_all(node: Node, asked: Asked) -> Answered:
    """POST /ofrep/v1/evaluate/flags"""
    try:
        context = _context(asked.body)
    except _BadContext as bad:
        return _json({"errorCode": bad.code, "errorDetails": str(bad)}, status=400)
    ruleset, now = queries.ruleset(node), node.now()
    answers = [(key, ruleset.evaluate(key, context, now=now)) for key in ruleset.rules]
    flags = [_told(ruleset, key, answer) for key, answer in answers]
    body = msgspec.json.encode(
        {"flags": flags, "metadata": ruleset.metadata, "eventStreams": [_STREAMS]}
    )
    tag = _tag(ruleset, asked.body, body)
    if _knows(asked, tag) and asked.query.get("flagConfigEtag", ruleset.version) == ruleset.version:
        return Answered(status=304, headers={"ETag": tag})
    return Answered(body=body, headers={"ETag": tag})


_STREAMS = {
    "type": "sse",
    "endpoint": {"requestUri": _EVENTS},
    "inactivityDelaySec": _CLOSE_WHEN_IDLE,
}


def _context(body: bytes) -> Context:
    try:
        return msgspec.json.decode(body, type=_Request).context
    except msgspec.ValidationError as error:
        says = f'Send {{"context": {{"targetingKey": "…"}}}}: {error}.'
        raise _BadContext("INVALID_CONTEXT", says) from None
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        says = f'Send JSON such as {{"context": {{"targetingKey": "…"}}}}: {error}.'
        raise _BadContext("PARSE_ERROR", says) from None


def _told(ruleset: Ruleset, key: str, answer: Answer) -> dict[str, Any]:
    told: dict[str, Any] = {"key": key}
    if answer.error_code is not None:
        told["errorCode"] = answer.error_code
        told["errorDetails"] = answer.error_details
    else:
        told |= {"reason": answer.reason, "variant": answer.variant or ""}
    if answer.error_code is None and answer.value is not UNSET:
        told["value"] = _of_one_kind(ruleset, key, answer.value)
    return told | {"metadata": answer.metadata} if answer.metadata else told


def _of_one_kind(ruleset: Ruleset, key: str, value: Any) -> Any:
    """Typed languages want 1.0 and not 1 from a toggle that may also say 0.5."""
    variants = ruleset.definition(key)["variants"].values()
    whole = isinstance(value, int) and not isinstance(value, bool)
    return float(value) if whole and any(isinstance(v, float) for v in variants) else value


def _status(answer: Answer) -> int:
    if answer.error_code is None:
        return 200
    return 404 if answer.error_code == "FLAG_NOT_FOUND" else 400


def _tag(ruleset: Ruleset, asked: bytes, body: bytes) -> str:
    """Of what was asked as well as of the rules: the same rules say something else to others."""
    parts = b"\n".join([ruleset.version.encode(), asked, body])
    return f'"{mmh3.hash_bytes(parts).hex()}"'


def _knows(asked: Asked, tag: str) -> bool:
    known = asked.headers.get("if-none-match", "")
    return known.strip() == "*" or tag in [_plain(each) for each in known.split(",")]


def _plain(tag: str) -> str:
    """Weak or strong, and with quotes, which some clients lose."""
    bare = tag.strip().removeprefix("W/").strip('"')
    return f'"{bare}"'


def _json(told: Any, *, status: int = 200) -> Answered:
    return Answered(body=msgspec.json.encode(told), status=status)


# -- our own client ----------------------------------------------------------------------------------


async def definitions(node: Node, asked: Asked) -> Answered:
    """GET /toggles/definitions"""
    ruleset = queries.ruleset(node)
    tag = f'"{ruleset.version}"'
    if _knows(asked, tag):
        return Answered(status=304, headers={"ETag": tag})
    return Answered(body=ruleset.document, headers={"ETag": tag})


async def counts(node: Node, asked: Asked) -> Answered:
    """POST /toggles/counts"""
    batch = decoded(asked.body, Batch, _COUNTS)
    _check(batch, node.clock.now())
    told = Counted(
        about=f"program:{batch.program}",
        since=batch.since,
        until=batch.until,
        counts={
            toggle: {name: Told(u.asked, u.worked, u.failed) for name, u in variants.items()}
            for toggle, variants in batch.counts.items()
        },
    )
    key = f"toggles.counts:{batch.program}:{batch.id}"  # two programs may choose the same id
    await node.record(told, by=f"program:{batch.program}", key=key)
    return Answered(status=204)


def _check(batch: Batch, now: Instant) -> None:
    if not _NAME.fullmatch(batch.program):
        raise BadForm("“program” names who counted: up to 80 letters, digits, dots and dashes.")
    if not _NAME.fullmatch(batch.id):
        raise BadForm("“id” tells this batch from others: up to 80 letters, digits and dashes.")
    if batch.since > batch.until:
        raise BadForm("“until” comes after “since”: swap them.")
    for name, at in (("since", batch.since), ("until", batch.until)):
        if abs(at - now) > _A_DAY:
            raise BadForm(
                f"“{name}” is more than a day from now, {iso(now)}: send nanoseconds since 1970 in UTC,"
                " soon after they were counted."
            )
    for toggle, variants in batch.counts.items():
        for variant, usage in variants.items():
            _check_usage(f"counts.{toggle}.{variant}", usage)


def _check_usage(place: str, usage: Usage) -> None:
    for name, times in msgspec.structs.asdict(usage).items():
        if not 0 <= times <= _MOST_TIMES:
            raise BadForm(f"“{place}.{name}” is {times}; it is from 0 to {_MOST_TIMES}.")


# -- streams -------------------------------------------------------------------------------------------


async def stream(node: Node, asked: Asked) -> Answered:
    """GET /toggles/stream"""
    known = asked.headers.get("last-event-id", "")
    return Answered(type=_STREAM, stream=_changes(node, known, _definitions))


async def events(node: Node, asked: Asked) -> Answered:
    """GET /ofrep/v1/events"""
    known = asked.headers.get("last-event-id", "") or queries.ruleset(node).version
    return Answered(type=_STREAM, stream=_changes(node, known, _ask_again))


@lru_cache(maxsize=2)
def _definitions(ruleset: Ruleset) -> bytes:
    return _event("definitions", ruleset.version, ruleset.document)


def _ask_again(ruleset: Ruleset) -> bytes:
    told = {"type": "refetchEvaluation", "etag": ruleset.version}
    return _event("message", ruleset.version, msgspec.json.encode(told))


def _event(kind: str, version: str, said: bytes) -> bytes:
    return b"event: %s\nid: %s\ndata: %s\n\n" % (kind.encode(), version.encode(), said)


async def _changes(node: Node, known: str, said: Said) -> AsyncIterator[bytes]:
    """The rules where they differ from what is known, then whenever they change."""
    async with _bell(node) as bell:
        yield b"retry: 1000\n\n"
        heard, ruleset = bell.rings, queries.ruleset(node)
        yield said(ruleset) if ruleset.version != known else b"event: unchanged\ndata:\n\n"
        while True:
            known = ruleset.version
            await bell.rung(heard, HEARTBEAT)
            heard, ruleset = bell.rings, queries.ruleset(node)
            yield said(ruleset) if ruleset.version != known else b": still here\n\n"


class _Bell:
    """Rings when anything is switched: one ear at the ledger for all who listen."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._listeners = 0
        self._waiting: set[asyncio.Future[None]] = set()
        self._ear: asyncio.Task[None] | None = None
        self.rings = 0

    async def __aenter__(self) -> _Bell:
        self._listeners += 1
        if self._ear is None or self._ear.done():  # it may have stumbled over the ledger
            self._ear = asyncio.create_task(self._listen(self._node.ledger.head()))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listeners -= 1
        if not self._listeners and self._ear is not None:
            self._ear.cancel()
            self._ear = None  # whoever comes next must not wait at one that is going

    async def rung(self, heard: int, timeout: Seconds) -> None:
        """Waits for a ring after the one that was heard last, but not for ever."""
        ear = self._ear
        assert ear is not None
        if self.rings == heard:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.add(waiter)
            try:
                await asyncio.wait({waiter, ear}, timeout=timeout, return_when=_FIRST)
            finally:
                self._waiting.discard(waiter)
        if ear.done():
            ear.result()

    async def _listen(self, after: int) -> None:
        async for _ in self._node.follow(_HEARS, after=after):
            self.rings += 1
            waiting, self._waiting = self._waiting, set()
            for waiter in waiting:
                if not waiter.done():
                    waiter.set_result(None)


_FIRST = asyncio.FIRST_COMPLETED


def _bell(node: Node) -> _Bell:
    bell: _Bell = node.parts.setdefault(_Bell, _Bell(node))
    return bell


ENDPOINTS = (
    Endpoint(
        "POST",
        "/ofrep/v1/evaluate/flags/{key}",
        "What one toggle answers to the context that is sent (OFREP).",
        evaluate,
        admits=admits,
    ),
    Endpoint(
        "POST",
        "/ofrep/v1/evaluate/flags",
        "What every toggle answers to the context that is sent (OFREP).",
        evaluate_all,
        admits=admits,
    ),
    Endpoint("GET", _EVENTS, "Tells when to ask again, as server-sent events (OFREP).", events),
    Endpoint("GET", "/toggles/definitions", "All toggles with their rules, as flagd has them.", definitions),
    Endpoint("GET", "/toggles/stream", "The same, again whenever they change.", stream),
    Endpoint(
        "POST", "/toggles/counts", "Takes what a program asked for, and how it went.", counts,
        admits=admits, largest=_LARGEST,
    ),
)  # fmt: skip
