"""What can one ask and do from a terminal?

`detente` is one group: the commands of the node itself, and one group for each slice, made from its
card. A command loads what it needs and no more, so that what is asked often (`detente now`) comes at
once.
"""

from __future__ import annotations

import importlib
from typing import Any

import click

import detente
from detente.commands.place import HOUSE
from detente.kernel.terminal.commands import Group, common, of_card
from detente.kernel.terminal.mishaps import in_words

_OWN = {
    "up": "detente.commands.up",
    "now": "detente.commands.faces",
    "timeline": "detente.commands.faces",
    "about": "detente.commands.faces",
    "changes": "detente.commands.changes",
    "init": "detente.commands.begin",
    "demo": "detente.commands.begin",
    "story": "detente.commands.story",
    "agent": "detente.commands.agent",
    "config": "detente.commands.config",
    "ledger": "detente.commands.ledger",
}


class Root(Group):
    """Everything, each part loaded when somebody asks for it."""

    def list_commands(self, context: click.Context) -> list[str]:
        from detente.slices import CARDS

        return [*_OWN, *(card.noun for card in CARDS)]

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name in _OWN:
            own: click.Command = getattr(importlib.import_module(_OWN[name]), name)
            return own
        from detente.slices import CARDS

        return next((of_card(card, HOUSE) for card in CARDS if card.noun == name), None)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """First what the node itself does, then the slices, each with its question."""
        limit = formatter.width - 16
        rows = [(name, self.get_command(context, name)) for name in self.list_commands(context)]
        parts = {"Commands": rows[: len(_OWN)], "About one thing": rows[len(_OWN) :]}
        for title, some in parts.items():
            with formatter.section(title):
                formatter.write_dl(
                    [(name, each.get_short_help_str(limit)) for name, each in some if each]
                )

    def invoke(self, context: click.Context) -> Any:
        with in_words():
            return super().invoke(context)


root = Root(
    "detente",
    params=[
        *common(),
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            help="Say which version this is.",
            callback=lambda context, _option, asked: _version(context) if asked else None,
        ),
    ],
    help="Watch vendors, keep selling when they fail, hold them to what they promised.",
    example="detente init && detente up\ndetente now\ndetente work hold --help",
    callback=lambda: None,
)


def _version(context: click.Context) -> None:
    click.echo(f"Détente {detente.__version__}")
    context.exit()
