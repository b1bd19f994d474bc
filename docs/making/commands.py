"""Which commands are there, and what do they take?"""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click

from detente.commands import root
from making.marks import anchor, code, table

_EVERYWHERE = {"config", "json", "as", "help"}


def every() -> Iterator[tuple[str, click.Command]]:
    """Every command by how it is typed, groups included."""
    context = click.Context(root, info_name="detente")
    for name in root.list_commands(context):
        command = root.get_command(context, name)
        if command is not None:
            yield from _from(f"detente {name}", command)


def _from(typed: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield typed, command
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=typed)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None:
                yield from _from(f"{typed} {name}", below)


def nouns() -> set[str]:
    from detente.slices import CARDS

    return {card.noun for card in CARDS}


def overview(_nothing: str) -> str:
    """Every command in one table."""
    rows = []
    for typed, command in every():
        noun = typed.split()[1]
        page = f"{noun}.md" if noun in nouns() else ""
        says = _short(command)
        rows.append((f"[`{typed}`]({page}#{anchor(typed)})", says))
    return table(("Command", "What it does"), rows)


def below(noun: str) -> str:
    """The commands of one noun in full; those of no slice if none is named."""
    parts = []
    for typed, command in every():
        own = typed.split()[1]
        if own == noun or (not noun and own not in nouns()):
            parts.append(_one(typed, command))
    return "\n\n".join(parts)


def _one(typed: str, command: click.Command) -> str:
    context = click.Context(command, info_name=typed)
    words = [
        each.make_metavar(context) for each in command.params if isinstance(each, click.Argument)
    ]
    usage = " ".join([typed, *words])
    options = [
        each
        for each in command.params
        if isinstance(each, click.Option) and each.name not in _EVERYWHERE
    ]
    rows = [(_typed(each, context), _help(each)) for each in options]
    example = getattr(command, "example", "")
    parts = [
        f"### `{typed}`",
        inspect.cleandoc(command.help or "").replace("\b\n", ""),
        f"```\n{usage}\n```" if words else "",
        table(("Option", "Means"), rows),
        f"Example:\n\n```\n{example}\n```" if example and example != usage else "",
    ]
    return "\n\n".join(each for each in parts if each)


def _typed(option: click.Option, context: click.Context) -> str:
    names = ", ".join(code(each) for each in (*option.opts, *option.secondary_opts))
    return names if option.is_flag else f"{names} {code(option.make_metavar(context))}"


def _help(option: click.Option) -> str:
    needed = " (needed)" if option.required else ""
    return " ".join((option.help or "").split()) + needed


def _short(command: click.Command) -> str:
    return (command.short_help or inspect.cleandoc(command.help or "").split("\n\n")[0]).replace(
        "\n", " "
    )
