"""What did the node say last, should it be away when we start?"""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path


def usual_place(address: str) -> Path:
    """A file for each node, where programs keep what they can do without."""
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    name = hashlib.sha256(address.encode()).hexdigest()[:16]
    return Path(caches).expanduser() / "detente" / f"toggles-{name}.json"


def write(place: Path, document: bytes) -> None:
    """Whole or not at all: whoever reads meanwhile, or after a crash, finds the old or the new."""
    place.parent.mkdir(parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(document)
            file.flush()
            os.fsync(file.fileno())
        Path(beside).replace(place)
    except BaseException:
        with suppress(OSError):
            Path(beside).unlink()
        raise


def read(place: Path) -> bytes | None:
    """None when nothing is there."""
    try:
        return place.read_bytes()
    except FileNotFoundError:
        return None
