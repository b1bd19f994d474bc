"""Where does a real sign-on server come from?

The story of the day without sign-on is played with django-cas-server, which wants Django. It gets a
virtual environment of its own inside ours, made once from a locked list, so that neither Détente nor
anything that uses it ever sees Django.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
_LOCK = HERE / "requirements.lock"
_HOME = Path(sys.prefix) / "sign-on"


class NoSignOn(Exception):
    """The sign-on server could not be installed; the message says why."""


def is_ready() -> bool:
    """Is it installed, and from the list as it stands now?"""
    made_from = _HOME / "made-from.lock"
    return made_from.is_file() and made_from.read_bytes() == _LOCK.read_bytes()


def command(*arguments: object) -> list[str]:
    """The command line of the server, in its own environment."""
    return [str(_python()), str(HERE / "server.py"), *(str(each) for each in arguments)]


def install() -> None:
    """Make the environment unless it is there. Raises NoSignOn."""
    if is_ready():
        return
    try:
        _said([sys.executable, "-m", "venv", "--clear", str(_HOME)])
        _said(
            [str(_python()), "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
             "--require-hashes", "-r", str(_LOCK)]
        )  # fmt: skip
    except subprocess.CalledProcessError as failed:
        last = (failed.stderr or failed.stdout or "it said nothing").strip().splitlines()[-1]
        raise NoSignOn(
            f"The sign-on server (django-cas-server) could not be installed into {_HOME}: {last}"
        ) from failed
    (_HOME / "made-from.lock").write_bytes(_LOCK.read_bytes())


def _python() -> Path:
    return _HOME / "bin" / "python"


def _said(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)
