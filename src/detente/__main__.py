"""The way in: `detente`, or `python -m detente`."""

from __future__ import annotations

import sys

_LACKING = """\
The `detente` command needs more than a program that only imports Détente:

    pip install 'detente[server]'
"""


def main() -> None:
    """Run the command that was typed."""
    try:
        from detente.commands import root
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] == "detente":
            raise
        sys.stderr.write(_LACKING)
        sys.exit(2)
    root(prog_name="detente")


if __name__ == "__main__":
    main()
