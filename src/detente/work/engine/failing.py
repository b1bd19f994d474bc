"""Which failures are the same failure?

Two calls broke in the same way if the same kind of thing went wrong for the same reason, apart from
numbers and names that differ from call to call, and the vendor's answer looked alike. Of an answer
only its looks are kept here: names of fields, and codes such as `card_declined`; never values that
belong to a customer.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from html import unescape
from typing import Any

from detente.kernel import masking

_LONGEST = 160
_MOST_FIELDS = 12
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{1,39}")
_TELLS = frozenset(
    ["error", "errors", "code", "error_code", "reason", "type", "status", "failure", "decline_code"]
)
_CHANGING = (
    (re.compile(r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b"), "…"),
    (re.compile(r"\b(?=[0-9a-fA-F]*[0-9])(?=[0-9a-fA-F]*[a-fA-F])[0-9a-fA-F]{8,}\b"), "…"),
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ][\d:.]+(?:Z|[+-]\d\d:?\d\d)?"), "…"),
    (re.compile(r"(?<!HTTP )(?<![\w.])\d+(?:[.,:]\d+)*"), "…"),
)
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)


def normalised(reason: str) -> str:
    """The reason without what differs from call to call."""
    for pattern, instead in _CHANGING:
        reason = pattern.sub(instead, reason)
    return reason[:_LONGEST]


def shape(body: bytes) -> str:
    """What an answer looks like: its fields, and the codes in it that tell what went wrong."""
    if not body.strip():
        return "an empty answer"
    try:
        return _of_json(json.loads(body))
    except (ValueError, RecursionError):
        return _of_text(body[:4_000].decode("utf-8", "replace"))


def _of_json(answer: Any) -> str:
    parts = list(_fields(answer, "", 0))
    more = " …" if len(parts) > _MOST_FIELDS else ""
    told = ", ".join(parts[:_MOST_FIELDS]) or type(answer).__name__
    return f"{{{told}{more}}}"[:_LONGEST]


def _fields(answer: Any, path: str, depth: int) -> Iterator[str]:
    match answer:
        case dict() if depth < 3:
            for name in sorted(answer, key=str):
                label = f"{path}.{name}" if path else str(name)
                yield from _fields(answer[name], masking.text(label), depth + 1)
        case list() if answer and depth < 3:
            yield from _fields(answer[0], f"{path}[]", depth + 1)
        case str() if _tells(path) and _CODE.fullmatch(answer):
            yield f"{path}={answer}"
        case _:
            if path:
                yield path


def _tells(path: str) -> bool:
    name = path.rpartition(".")[2].removesuffix("[]").lower()
    return name in _TELLS and not masking.is_secret(name)


def _of_text(answer: str) -> str:
    if (title := _TITLE.search(answer)) is not None:
        said = " ".join(unescape(title[1]).split())
        return f"a web page: {normalised(masking.text(said))}"[:_LONGEST]
    kind = "a web page" if answer.lstrip()[:1] == "<" else "plain text"
    return f"{kind}, not JSON"


def identity(vendor: str, route: str, kind: str, reason: str, looks: str) -> str:
    """The same for all calls that broke in the same way; short enough for an address."""
    said = "\n".join((vendor, route, kind, normalised(reason), looks))
    return hashlib.sha256(said.encode("utf-8", "replace")).hexdigest()[:12]


def kind_before(reason: str) -> str:
    """What broke, as far as facts of former versions say: they have the reason alone."""
    if reason.startswith("not sent"):
        return KEPT_BACK
    if found := re.search(r"HTTP (\d{3})", reason):
        return f"HTTP {found[1]}"
    return "no answer" if "answer" in reason else NOT_REACHED


NOT_REACHED = "no connection"
"""The vendor heard nothing of it."""
KEPT_BACK = "kept back"
"""Not sent, because the breaker was open or the route paused: what came of a failure, and none itself."""
DRILL = "drill"
"""The vendor was only played."""
OURS = "ours"
"""Détente itself stopped or stumbled."""
