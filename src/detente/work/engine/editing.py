"""What does a request look like once one value in its body is another?

Every other byte stays as the caller wrote it: the order of fields, spaces, and how numbers are spelt.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any

from detente.kernel import masking
from detente.work.engine.travel import Request, alike

_DECODER = json.JSONDecoder()
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)
_SPACE = re.compile(r"[ \t\n\r]*")
_OF_THE_BODY = frozenset({"content-md5", "content-digest", "repr-digest", "digest"})


class CannotEdit(Exception):
    """The request stays as it is; the message says why and what to do."""


def edited(request: Request, pointer: str, said: str) -> Request:
    """The request with another value where the JSON pointer points. Raises CannotEdit."""
    if masking.HIDDEN in said:
        raise CannotEdit(
            f"value: {masking.HIDDEN} stands for what is not shown; write the whole value itself."
        )
    for name, value in request.headers:
        if _signs(alike(name), value):
            raise CannotEdit(
                f"Whoever sold it signed the request ({name}), so the vendor would turn an edited one"
                " away. Hand it back, or settle it by hand."
            )
    headers = tuple(pair for pair in request.headers if alike(pair[0]) not in _OF_THE_BODY)
    return Request(headers, _replaced(request.body, pointer, said), request.path)


def sha256(request: Request) -> str:
    """Of its body."""
    return hashlib.sha256(request.body).hexdigest()


def steps(pointer: str) -> list[str]:
    """The names that a JSON pointer (RFC 6901) leads through."""
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


def _signs(name: str, value: str) -> bool:
    if name == "authorization":
        return "signature=" in value.lower()
    return "signature" in name or "hmac" in name


def _replaced(body: bytes, pointer: str, said: str) -> bytes:
    try:
        text = body.decode()
        json.loads(text)
    except (ValueError, RecursionError):
        raise CannotEdit(
            "Its body is not JSON, so nothing in it can be pointed at. Settle it by hand, or hand it"
            " back."
        ) from None
    start, end = _found(text, pointer)
    was, _ = _DECODER.raw_decode(text, start)
    return (text[:start] + _spelt(said, was) + text[end:]).encode()


def _found(text: str, pointer: str) -> tuple[int, int]:
    """From where to where the value stands that is pointed at."""
    if not pointer.startswith("/"):
        raise CannotEdit("pointer: begin with a slash, such as /token or /card/holder.")
    at, passed = _past_space(text, 0), ""
    for name in steps(pointer):
        members = dict(_members(text, at))  # of two of one name the last counts, as for readers
        if name not in members:
            there = ", ".join(f"{passed}/{each}" for each in list(members)[:12]) or "nothing"
            raise CannotEdit(f"pointer: nothing stands at {pointer}; there is {there}.")
        at, passed = members[name], f"{passed}/{name}"
    return at, _DECODER.raw_decode(text, at)[1]


def _members(text: str, at: int) -> Iterator[tuple[str, int]]:
    """The names in an object or the numbers in a list, and where each one's value begins."""
    named, close, count = text[at] == "{", "}" if text[at] == "{" else "]", 0
    if text[at] not in "{[":
        return
    at = _past_space(text, at + 1)
    while text[at] != close:
        name = str(count)
        if named:
            name, at = _DECODER.raw_decode(text, at)
            at = _past_space(text, _past_space(text, at) + 1)  # behind the colon
        yield name, at
        count, at = count + 1, _past_space(text, _DECODER.raw_decode(text, at)[1])
        if text[at] == ",":
            at = _past_space(text, at + 1)


def _past_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _spelt(said: str, was: Any) -> str:
    """The new value as JSON, of the kind that stood there. Raises CannotEdit."""
    match was:
        case str():
            return json.dumps(said)
        case bool():
            if said in ("true", "false"):
                return said
            raise CannotEdit("value: true or false stood there; write one of them.")
        case int() | float():
            if _NUMBER.fullmatch(said):
                return said
            raise CannotEdit("value: a number stood there; write a number, such as 4990.")
        case _:
            return _as_json(said, was)


def _as_json(said: str, was: Any) -> str:
    try:
        now = json.loads(said)
    except (ValueError, RecursionError):
        if was is None:
            return json.dumps(said)
        now = None
    if was is None or type(now) is type(was):
        return said
    kind = "an object" if isinstance(was, dict) else "a list"
    raise CannotEdit(f"value: {kind} stood there; write one as JSON, or point at a value in it.")
