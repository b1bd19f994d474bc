"""What may people see of a request, and what is for the other side alone?

Passwords, keys and card numbers are blanked wherever something from outside is shown or written down
for good: in addresses, headers and bodies. The rule goes by names and, for card numbers, by their
check digit; it errs on the side of hiding.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any
from urllib.parse import unquote

HIDDEN = "•••"

# Parts of names that hold what nobody else needs to see (for cards: PCI DSS 3.3 and 3.4).
_WITHIN = re.compile(
    r"token|secret|passw|passphrase|passcode|pwd|cvc|cvv|security_?code|card_?num|track_?[12]"
    r"|auth(?!or(?!i))|api_?key|signature|cookie|credential|session_?id|private|assertion|jwt|iban"
    r"|(?<!idempotency)_key$"
)
_WHOLE = frozenset({"card", "number", "account", "key", "pass", "sig"})
_WORDS = frozenset({"pan", "pin", "ssn", "otp"})
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_DIGITS = re.compile(r"(?<!\d)\d(?:[ -]?\d){12,18}(?!\d)")
_PAIR = re.compile(r"([?&;#])([^=&;#?\s]+)=([^&;#\s]*)")
_USER = re.compile(r"(?<=//)[^/?#@\s]*@")
_BEARER = re.compile(r"\b(Bearer|Basic) +[^\s,;\"]+", re.IGNORECASE)
_SHORTEST = 6  # signs; shorter ones stand in innocent words too


def is_secret(name: str, more: Collection[str] = ()) -> bool:
    """Does a field, header or parameter of that name hold a secret? `more`: names people added."""
    plain = _plain(name)
    words = _WORDS.intersection(plain.split("_"))
    added = plain in {_plain(each) for each in more}
    return plain in _WHOLE or bool(words) or bool(_WITHIN.search(plain)) or added


def _plain(name: str) -> str:
    """One spelling for `taxId`, `Tax-Id` and `tax%5Fid`."""
    return _HUMP.sub("_", unquote(name)).replace("-", "_").lower()


def text(said: str, secrets: Iterable[str] = ()) -> str:
    """Text without these secrets, and without card numbers but for their last four digits."""
    parts = {part for each in secrets for part in (each, *each.split()) if len(part) >= _SHORTEST}
    for secret in sorted(parts, key=len, reverse=True):
        said = said.replace(secret, HIDDEN)
    said = _BEARER.sub(rf"\1 {HIDDEN}", said)
    if "://" in said:
        said = _USER.sub("", _PAIR.sub(_paired, said))
    return _DIGITS.sub(_card, said)


_LINE = re.compile(r"^([ \t]*(?:export +|declare -\w+ +)?([A-Za-z_][\w.-]*)=)(.+)$", re.MULTILINE)
_WORD = re.compile(r"""(?<![\w.?&;#-])(([A-Za-z_][\w.-]*)=)("[^"\n]*"|'[^'\n]*'|[^\s"'&]+)""")


def printed(said: str, secrets: Iterable[str] = ()) -> str:
    """What a program printed, without these secrets, and without the values of `NAME=value` where
    the name says that it is one: of the whole line where the line begins so."""
    said = text(said, secrets)
    for pattern in (_LINE, _WORD):
        said = pattern.sub(lambda each: each[1] + (HIDDEN if is_secret(each[2]) else each[3]), said)
    return said


def _paired(pair: re.Match[str]) -> str:
    return f"{pair[1]}{pair[2]}={HIDDEN if is_secret(pair[2]) else pair[3]}"


def address(said: str, more: Collection[str] = ()) -> str:
    """A URL or path without the values of secret parameters and without what stands before an @."""
    covered = _PAIR.sub(
        lambda pair: f"{pair[1]}{pair[2]}={HIDDEN if is_secret(pair[2], more) else pair[3]}",
        _USER.sub("", said),
    )
    return text(covered)


def headers(
    pairs: Iterable[tuple[str, str]], more: Collection[str] = (), secrets: Collection[str] = ()
) -> dict[str, str]:
    """Headers as they may be shown."""
    return {
        name: HIDDEN if is_secret(name, more) else text(value, secrets) for name, value in pairs
    }


def body(content: bytes, more: Collection[str] = (), secrets: Collection[str] = ()) -> str:
    """A body as it may be shown: JSON with secret fields blanked, anything else only by its size."""
    try:
        covered = _covered(json.loads(content), more, secrets)
        said = json.dumps(covered, indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return f"({len(content)} bytes, not JSON)"
    return said.encode("utf-8", "replace").decode()  # half a character is none


def _covered(value: Any, more: Collection[str], secrets: Collection[str]) -> Any:
    match value:
        case Mapping():
            return {
                text(key, secrets): HIDDEN
                if is_secret(key, more)
                else _covered(each, more, secrets)
                for key, each in value.items()
            }
        case list():
            return [_covered(each, more, secrets) for each in value]
        case str():
            return text(value, secrets)
        case int() if not isinstance(value, bool):
            shown = text(str(value))
            return value if shown == str(value) else shown
        case _:
            return value


def _card(found: re.Match[str]) -> str:
    """Digits that pass the Luhn check (ISO/IEC 7812-1) may be a card; others are left."""
    digits = [int(sign) for sign in found[0] if sign.isdigit()]
    doubled = sum(sum(divmod(2 * each, 10)) for each in digits[-2::-2])
    is_card = (sum(digits[-1::-2]) + doubled) % 10 == 0
    return f"{HIDDEN}{found[0][-4:]}" if is_card else found[0]
