"""How does one begin?"""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Any

import click

from detente.kernel.terminal.commands import Command, asked, config_option
from detente.kernel.terminal.mishaps import Mishap


def _part(module: str, what: str) -> Any:
    """A part of Détente that an installation may lack."""
    if importlib.util.find_spec(module) is None:
        raise Mishap(f"{what} is not part of this installation. Install the whole of it.")
    return importlib.import_module(module)


def _init(folder: Path, *, force: bool) -> None:
    part = _part("detente.init", "`detente init`")
    target = folder / asked().config
    text = part.compose(part.survey(folder))
    _write(target, text, force=force)
    click.echo(f"Wrote {target}. Read it, change it, then: detente up")


def _write(target: Path, text: str, *, force: bool) -> None:
    """Never over a file that somebody wrote, unless asked to."""
    try:
        with target.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise Mishap(
            f"{target} is there already and was left as it is. Say --force to write it anew."
        ) from None


init = Command(
    "init",
    params=[
        click.Argument(
            ["folder"],
            type=click.Path(path_type=Path, file_okay=False, exists=True),
            default=Path(),
        ),
        click.Option(["--force"], is_flag=True, help="Write over the file that is there."),
        config_option(),
    ],
    help="Write a commented detente.yaml for what is found in FOLDER (this one by default).",
    example="detente init\ndetente init ~/src/portal",
    callback=_init,
)


def _demo(*, story: str | None, no_wait: bool, keep: Path | None) -> None:
    part = _part("detente.demo", "The demo")
    if importlib.util.find_spec("aiosmtpd") is None:
        raise Mishap(
            "The demo needs a mail server of its own to send to: pip install 'detente[demo]'"
        )
    click.get_current_context().exit(part.main(story, wait=not no_wait, keep=keep))


demo = Command(
    "demo",
    params=[
        click.Option(
            ["--story"],
            type=click.Choice(["vendor", "sso", "release"]),
            help="Play this one only; all three by default.",
        ),
        click.Option(["--no-wait"], is_flag=True, help="End with the story; do not stay up."),
        click.Option(
            ["--keep"],
            type=click.Path(path_type=Path, file_okay=False),
            metavar="FOLDER",
            help="Keep the ledger and everything else there.",
        ),
    ],
    help="Play the stories live, on real processes, in this terminal and in the browser.",
    example="detente demo\ndetente demo --story sso --no-wait",
    callback=_demo,
)
