"""What can stand in a ledger?"""

from __future__ import annotations

from typing import Any, get_args, get_type_hints

import msgspec

import detente.slices  # noqa: F401  loads every fact
from detente.kernel.fact import Fact, known
from making.marks import anchor, code, first_line, remarks, table, whole

_TYPES = {
    "Subject": "a [subject](glossary.md#subject)",
    "Instant": "a moment, in nanoseconds since 1970-01-01 UTC",
    "Instant | None": "a moment, in nanoseconds since 1970-01-01 UTC, or nothing",
    "Money | None": "an amount: `minor` units and `currency`, or nothing",
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "float | None": "a number, or nothing",
    "bool": "true or false",
    "tuple[str, ...]": "a list of texts",
}
_TONES = {"good": "good news", "bad": "bad news", "warn": "worth a look", "plain": "neutral"}


def shipped() -> dict[str, type[Fact]]:
    """The facts of the product; whoever runs this may have facts of their own."""
    ours = "detente.facts."
    return {name: cls for name, cls in known().items() if cls.__module__.startswith(ours)}


def of_noun(noun: str) -> dict[str, type[Fact]]:
    return {name: cls for name, cls in shipped().items() if name.startswith(f"{noun}.")}


def index(_nothing: str) -> str:
    """Every fact in one table."""
    nouns = [*dict.fromkeys(name.partition(".")[0] for name in shipped())]
    rows = []
    for noun in sorted(nouns):
        page = "" if noun == "node" else f"{noun}.md"
        for name, cls in of_noun(noun).items():
            rows.append((f"[`{name}`]({page}#{anchor(name)})", first_line(cls)))
    return table(("Fact", "Says"), rows)


def about(noun: str) -> str:
    """The facts of one noun, each with its fields."""
    return "\n\n".join(_one(name, cls) for name, cls in of_noun(noun).items())


def _one(name: str, cls: type[Fact]) -> str:
    said = remarks(cls)
    hints = get_type_hints(cls)
    own = {key: value for key, value in cls.__annotations__.items() if key in cls.__struct_fields__}
    rows = [
        (code(key), _type(written, hints[key]), said.get(key, "")) for key, written in own.items()
    ]
    routine = (
        ", routine: counted, and left out of timelines unless asked for" if cls.routine else ""
    )
    return "\n\n".join(
        part
        for part in (
            f"### `{name}`",
            whole(cls),
            f"*{_TONES[cls.tone].capitalize()}{routine}.*",
            table(("Field", "Holds", "Note"), rows),
            *_inner(hints),
        )
        if part
    )


def _type(written: str, hint: Any) -> str:
    if written in _TYPES:
        return _TYPES[written]
    inner = [
        each
        for each in get_args(hint)
        if isinstance(each, type) and issubclass(each, msgspec.Struct)
    ]
    if inner:
        return f"for each name a {inner[0].__name__.lower()}, see below"
    return code(written)


def _inner(hints: dict[str, Any]) -> list[str]:
    """The structs inside a fact, such as the tallies of a sheet."""
    made = []
    for hint in hints.values():
        for cls in get_args(hint):
            if (
                isinstance(cls, type)
                and issubclass(cls, msgspec.Struct)
                and cls.__name__ != "Money"
            ):
                said = remarks(cls)
                rows = [
                    (code(key), _TYPES.get(str(written), code(written)), said.get(key, ""))
                    for key, written in cls.__annotations__.items()
                ]
                made.append(f"A {cls.__name__.lower()}: {first_line(cls)}")
                made.append(table(("Field", "Holds", "Note"), rows))
    return made
