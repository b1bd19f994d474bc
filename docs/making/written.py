"""Which parts of a page are made, and are they what the code says today?

A made part stands between two comments. What stands around it is written by hand and left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from making import commands, facts, settings, slices

DOCS = Path(__file__).parents[1]

_PART = re.compile(r"(<!-- made: ([a-z]+)(?: ([a-z.-]+))? -->\n)(.*?)(<!-- /made -->)", re.DOTALL)

_MAKERS = {
    "settings": settings.section,
    "spellings": settings.spellings,
    "facts": facts.about,
    "index": facts.index,
    "commands": commands.below,
    "overview": commands.overview,
    "levers": slices.levers,
    "addresses": slices.addresses,
    "spans": slices.spans,
    "nouns": slices.nouns,
}


def pages() -> Iterator[Path]:
    """Every page that may have made parts."""
    yield from sorted(DOCS.rglob("*.md"))


def anew(text: str) -> str:
    """The page with every made part as the code says today."""

    def remade(part: re.Match[str]) -> str:
        start, kind, what, _, end = part.groups()
        maker = _MAKERS.get(kind)
        if maker is None:
            raise ValueError(f"nothing makes {kind}; there are {', '.join(_MAKERS)}")
        return f"{start}\n{maker(what or '').strip()}\n\n{end}"

    return _PART.sub(remade, text)


def stale() -> list[Path]:
    """Pages that say something else than the code."""
    return [page for page in pages() if (said := page.read_text("utf-8")) != anew(said)]


def rewrite() -> list[Path]:
    """Make every stale page anew; answers with those."""
    old = stale()
    for page in old:
        page.write_text(anew(page.read_text("utf-8")), "utf-8")
    return old
