"""Make the docs anew: the reference from the code, the pictures from a running node.

python docs/make.py                 everything
python docs/make.py reference       only the reference, which takes a second
python docs/make.py pictures        only the pictures, which takes six minutes
python docs/make.py pictures sso    only those of one story: vendor, sso or release
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

from making import written

from detente.demo import STORIES


def main(asked: Sequence[str]) -> int:
    """Answers with the exit code."""
    what, stories = (asked[0], asked[1:]) if asked else ("", ())
    if what not in ("", "reference", "pictures") or not set(stories) <= set(STORIES):
        _say(__doc__ or "")
        return 2
    if what != "pictures":
        for page in written.rewrite():
            _say(f"{page.relative_to(written.DOCS.parent)} was made anew")
    return 0 if what == "reference" else _pictures(stories or STORIES)


def _pictures(stories: Sequence[str]) -> int:
    from making import pictures
    from making.browser import NoBrowser

    _say(f"Playing {', '.join(stories)} and taking pictures; a story takes up to two minutes.")
    try:
        complaints = asyncio.run(pictures.take(stories))
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
