"""Which benchmarks are there? `python -m bench` runs them all, `python -m bench ledger` runs one."""

from __future__ import annotations

import ast
import importlib
import sys
from pathlib import Path


def benchmarks() -> list[str]:
    """The modules here that have a `main()`."""
    here = sorted(Path(__file__).parent.glob("*.py"))
    return [each.stem for each in here if each.stem != "__main__" and _has_main(each)]


def _has_main(module: Path) -> bool:
    tree = ast.parse(module.read_text())
    return any(isinstance(each, ast.FunctionDef) and each.name == "main" for each in tree.body)


def main(asked: list[str]) -> int:
    there = benchmarks()
    unknown = [each for each in asked if each not in there]
    if unknown:
        print(f"There is no benchmark called {', '.join(unknown)}. There are: {', '.join(there)}.")
        return 2
    codes = [importlib.import_module(f"bench.{name}").main() for name in asked or there]
    return max(code or 0 for code in codes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
