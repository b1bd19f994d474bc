"""How do we say it so that a developer and an operator both understand?

Plain words for what was expected, what was found, and what was probably meant.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

Path = tuple[str | int, ...]

_LONGEST = 40
_CREDENTIALS = re.compile(r"//[^/@\s]*@")


def nearest(said: str, known: Iterable[str]) -> str | None:
    """The known word that was probably meant: other case, other dash, or a slip of the finger."""
    import difflib

    folded = {_fold(word): word for word in known}
    near = difflib.get_close_matches(_fold(said)[:80], folded, n=1, cutoff=0.6)
    return folded[near[0]] if near else None


def _fold(word: str) -> str:
    return word.casefold().replace("-", "_")


def hint(said: str, known: Iterable[str], otherwise: str) -> str:
    """'did you mean every?', or the words there are."""
    words = list(known)
    near = nearest(said, words)
    if near:
        return f"did you mean {near}?"
    return f"{otherwise} {', '.join(words)}" if words else f"{otherwise} nothing"


def found(value: Any) -> str:
    """What stands there, in words: 'nothing', 'a list', 'the number 5', the text itself."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return f"the number {value}"
    if isinstance(value, str):
        return brief(value)
    return "a list" if isinstance(value, (list, tuple)) else "keys with values"


def brief(text: str) -> str:
    """A text short enough for a sentence, on one line, without what stands before an @ in a URL."""
    line = without_credentials(" ".join(printable(text).split()))
    if not line:
        return "an empty text"
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"


def without_credentials(text: str) -> str:
    """`https://shop:hunter2@host/` → `https://…@host/`."""
    return _CREDENTIALS.sub("//…@", text)


def printable(text: str) -> str:
    """The same text, safe on a terminal."""
    return "".join(sign if sign.isprintable() else " " for sign in text)


def dotted(path: Path) -> str:
    """('teams', 'dev', 'mail', 0) → 'teams.dev.mail[0]'."""
    out = ""
    for step in path:
        if isinstance(step, int):
            out += f"[{step}]"
        else:
            out += f".{brief(step)}" if out else brief(step)
    return out


def listed(words: Iterable[str], last: str = "or") -> str:
    """'http, tcp or tls'."""
    *rest, final = words
    return f"{', '.join(rest)} {last} {final}" if rest else final
