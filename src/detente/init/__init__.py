"""What does this project depend on, as far as its files tell?

`survey` reads the settings and sources in a folder, `compose` writes a commented `detente.yaml` of
what it found, `write` does both and never overwrites one. Nothing is asked over the network, and no
program is run.
"""

from __future__ import annotations

from pathlib import Path

from detente.init.compose import compose
from detente.init.found import Found
from detente.init.survey import survey

__all__ = ["FILE", "AlreadyThere", "Found", "compose", "survey", "write"]

FILE = "detente.yaml"


class AlreadyThere(Exception):
    """There is a detente.yaml already, and nothing was changed; edit it, or move it away first."""


def write(folder: Path) -> Found:
    """Survey the folder and write its `detente.yaml`. Raises AlreadyThere, or OSError."""
    path = folder / FILE
    says = (
        f"There is a {path} already; nothing was changed. Edit it, or move it away and try again."
    )
    if path.exists() or path.is_symlink():
        raise AlreadyThere(says)
    found = survey(folder)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(compose(found))
    except FileExistsError:
        raise AlreadyThere(says) from None
    return found
