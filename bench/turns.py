"""Who takes turns with whom, so that a machine that is busy is busy for both?

Each contestant is a process of its own that is told a case and answers with a number. They go one after
the other, ours before and after each rival, and what counts is the ratio of each pair.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

THEIRS = Path(__file__).parent.parent / ".venv-bench" / "bin" / "python"
MISSING = "No comparison: the rivals are not installed. `make bench` does that."


class Contestant:
    """One process. `core`: which it keeps to; None for all of them."""

    def __init__(self, script: str, name: str, python: str | Path, core: int | None) -> None:
        self.name = name
        pinned = "" if core is None else str(core)
        self._process = subprocess.Popen(
            # -P: what lies in this folder never stands in for a library
            [str(python), "-P", script, "--serve", name, pinned],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Contestant:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def ask(self, case: str) -> float:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(case + "\n")
        self._process.stdin.flush()
        said = self._process.stdout.readline()
        if not said.strip():
            raise RuntimeError(f"{self.name} broke off at {case}")
        return float(said)


def pairs(
    ours: Contestant, theirs: Contestant, case: str, rounds: int
) -> tuple[float, float, float]:
    """Our number, theirs, and theirs divided by ours: medians of so many rounds."""
    mine, other, ratios = [], [], []
    before = ours.ask(case)
    for _ in range(rounds):
        said, after = theirs.ask(case), ours.ask(case)
        ratios.append(said / ((before + after) / 2))
        mine.append(after)
        other.append(said)
        before = after
    return statistics.median(mine), statistics.median(other), statistics.median(ratios)


def serve(answer: Callable[[str], float]) -> None:
    """Answer cases until nobody asks any more."""
    if sys.argv[3:4] and sys.argv[3]:
        os.sched_setaffinity(0, {int(sys.argv[3])})
    for asked in sys.stdin:
        print(answer(asked.strip()), flush=True)


def folder(what: str) -> tempfile.TemporaryDirectory[str]:
    """Somewhere on a disk that syncs for real: a temporary file system would not."""
    beside = Path(__file__).parent.parent / ".bench"
    beside.mkdir(exist_ok=True)
    return tempfile.TemporaryDirectory(prefix=f"{what}-", dir=beside)
