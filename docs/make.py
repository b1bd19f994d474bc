"""Make the docs anew: the reference from the code, the pictures from a running node.

python docs/make.py             everything
python docs/make.py reference   only the reference, which takes a second
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

from making import written


def main(asked: Sequence[str]) -> int:
    """Answers with the exit code."""
    if not set(asked) <= {"reference", "pictures"}:
        _say(__doc__ or "")
        return 2
    if not asked or "reference" in asked:
        for page in written.rewrite():
            _say(f"{page.relative_to(written.DOCS.parent)} was made anew")
    if not asked or "pictures" in asked:
        return _pictures()
    return 0


def _pictures() -> int:
    from making import pictures
    from making.browser import NoBrowser

    _say("Taking pictures of a node on a bad day; this takes about a minute.")
    try:
        complaints = asyncio.run(pictures.take())
    except NoBrowser as missing:
        _say(f"No pictures: {missing}")
        return 0
    except pictures.NothingToShow as why:
        _say(f"The pictures were left as they are: {why}")
        return 1
    for complaint in complaints:
        _say(complaint)
    _say(f"{len(list(pictures.PICTURES.glob('*.png')))} pictures are in docs/pictures")
    return 1 if complaints else 0


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
