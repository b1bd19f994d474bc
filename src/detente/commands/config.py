"""Is `detente.yaml` in order, and what may stand in it?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import click
import msgspec

from detente.kernel.config import ConfigErrors
from detente.kernel.terminal.commands import Command, Group, asked, common
from detente.kernel.terminal.mishaps import in_words
from detente.kernel.terminal.words import counted

if TYPE_CHECKING:
    from detente.app import Declared

config = Group(
    "config",
    help="Is detente.yaml in order, and what may stand in it?",
    example="detente config check",
)


def _check() -> None:
    from detente import app

    path = asked().config
    try:
        with in_words():
            declared = app.load_declared(path)
    except click.ClickException as mishap:
        if asked().json and isinstance(mishap.__cause__, ConfigErrors):
            click.echo(_as_json(mishap.__cause__))
            click.get_current_context().exit(mishap.exit_code)
        raise
    click.echo('{"mistakes":[]}' if asked().json else f"{path} is in order: {summary(declared)}.")


config.add_command(
    Command(
        "check",
        params=common(),
        help="Check the configuration; every mistake is shown at once.",
        example="detente config check --config staging.yaml",
        callback=_check,
    )
)


def _as_json(errors: ConfigErrors) -> str:
    found = [
        {"file": each.file, "line": each.line, "column": each.column, "path": each.path,
         "says": each.says}
        for each in errors.mistakes
    ]  # fmt: skip
    return msgspec.json.encode({"mistakes": found}).decode()


def summary(declared: Declared) -> str:
    """What is declared, counted: '1 vendor, 3 checks, 1 route'."""
    return ", ".join(_counts(declared)) or "nothing is declared in it yet"


def _counts(declared: Declared) -> Iterator[str]:
    """Whatever has names: vendors, and each slice's checks, routes, promises."""
    own = ("teams", "vendors", "services")
    places = [declared, *(getattr(declared, name) for name in _sections(declared))]
    for place in places:
        for name in place.__struct_fields__:
            entries = getattr(place, name)
            named = name in own or place is not declared
            if named and isinstance(entries, Mapping) and entries:
                yield counted(len(entries), name.removesuffix("s"), name)


def _sections(declared: Declared) -> Iterator[str]:
    for name in declared.__struct_fields__:
        if isinstance(getattr(declared, name), msgspec.Struct):
            yield name


def _schema() -> None:
    from detente import app
    from detente.kernel.config import schema

    found = schema(app.declared_type())
    click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())


config.add_command(
    Command(
        "schema",
        params=common(),
        help="Print the JSON Schema of the configuration, by which editors complete it.",
        example="detente config schema > detente.schema.json",
        callback=_schema,
    )
)
