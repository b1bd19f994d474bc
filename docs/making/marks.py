"""How do tables and remarks look in Markdown?"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence

_FIELD = re.compile(r"^    (\w+):")
_REMARK = re.compile(r"\s{2}#\s(?!type:|noqa|fmt:)(.+)$")
_DOCSTRING = re.compile(r'^    """(.+?)"""$')


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table, or nothing if it would have no rows."""
    lines = [_row(each) for each in rows]
    if not lines:
        return ""
    return "\n".join([_row(heads), _row(["---"] * len(heads)), *lines])


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(each.replace("|", "\\|").replace("\n", " ") for each in cells) + " |"


def code(text: object) -> str:
    return f"`{text}`" if f"{text}" else ""


def first_line(cls: type) -> str:
    """The first sentence of what a class says about itself."""
    return " ".join((cls.__doc__ or "").split("\n\n")[0].split())


def whole(cls: type) -> str:
    """All that a class says about itself, paragraph by paragraph."""
    return inspect.cleandoc(cls.__doc__ or "")


def remarks(cls: type) -> dict[str, str]:
    """What the source says of each field: the comment behind it, or the docstring below it."""
    found: dict[str, str] = {}
    field = ""
    for line in inspect.getsource(cls).splitlines():
        if named := _FIELD.match(line):
            field = named[1]
            if remark := _REMARK.search(line):
                found[field] = remark[1]
        elif field and (told := _DOCSTRING.match(line)):
            found[field] = told[1].rstrip(".")
    return found


def anchor(heading: str) -> str:
    """The address GitHub gives a heading."""
    kept = "".join(sign for sign in heading.lower() if sign.isalnum() or sign in " -_")
    return kept.strip().replace(" ", "-")
