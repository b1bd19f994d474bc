"""What does the telecom of story three sell, and how did its program come to be?

`repository` is what its git repository begins with, `versions` what `orders.py` became, one commit
each. The story makes a real repository of them; nothing here is imported by Détente.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent
VERSIONS = {
    "v1": "Numbers and tariffs",
    "v2-at-once": "A discount for those who bring their number along",
    "v2": "The discount ships dark, behind a toggle",
    "v3": "The discount for every tariff",
    "v4": "Numbers from the spare range while the pool is away",
}
"""Each is a commit and a tag; the message says what it brought."""


def make(repository: Path) -> None:
    """The repository with its first version."""
    shutil.copytree(HERE / "repository", repository, ignore=shutil.ignore_patterns("__pycache__"))
    _git(repository, "init", "--quiet", "--initial-branch", "main")
    commit(repository, "v1")


def commit(repository: Path, version: str) -> None:
    """Somebody writes this version: `orders.py` changes, and a tag names it."""
    shutil.copyfile(HERE / "versions" / f"{version}.py", repository / "orders.py")
    _git(repository, "add", "--all")
    _git(repository, *_SOMEBODY, "commit", "--quiet", "--message", VERSIONS[version])
    _git(repository, "tag", version)


_SOMEBODY: Sequence[str] = ("-c", "user.name=Dana", "-c", "user.email=dana@telecom.example")


def _git(repository: Path, *words: str) -> None:
    subprocess.run(["git", *words], cwd=repository, check=True, capture_output=True)
