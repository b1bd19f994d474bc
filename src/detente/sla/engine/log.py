"""What does the ledger look like as a list that can be proven?

One leaf for each fact, in order: a line of JSON with everything the ledger knows of it.
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import msgspec

from detente.facts.watch import SheetFiled
from detente.kernel.fact import Recorded, encode
from detente.sla.engine.merkle import Frontier
from detente.sla.engine.verifier import leaf_hash

_encoder = msgspec.json.Encoder()


def leaf_of(recorded: Recorded) -> bytes:
    """The fact as one line of JSON, always the same.

    Of a sheet the leaf holds only hashes of its tallies: the checks of one vendor can then be shown
    without telling how the others did.
    """
    fact: Any = msgspec.Raw(encode(recorded.fact))
    if isinstance(recorded.fact, SheetFiled):
        sheet = recorded.fact
        tallies = [hashlib.sha256(each).hexdigest() for each in tallies_of(sheet).values()]
        fact = {
            "since": sheet.since,
            "until": sheet.until,
            "seal": sheet.sha256,
            "tallies": tallies,
        }
    line = {
        "position": recorded.position,
        "at": recorded.at,
        "by": recorded.by,
        "about": recorded.about,
        "name": recorded.name,
        "fact": fact,
    }
    return _encoder.encode(line)


def tallies_of(sheet: SheetFiled) -> dict[str, bytes]:
    """Each check's tally with its name, as it is hashed into the leaf, in order of names."""
    return {name: _encoder.encode((name, tally)) for name, tally in sorted(sheet.tallies.items())}


class Log:
    """The hashes of all facts so far; 32 bytes each."""

    def __init__(self) -> None:
        self.position = 0  # of the last fact in it
        self.busy = asyncio.Lock()
        self._hashes = bytearray()
        self._frontier = Frontier()

    def add(self, recorded: Recorded) -> None:
        """The next fact; answers nothing and forgets the fact."""
        found = leaf_hash(leaf_of(recorded))
        self._hashes += found
        self._frontier.add(found)
        self.position = recorded.position

    @property
    def size(self) -> int:
        return self._frontier.size

    @property
    def root(self) -> bytes:
        return self._frontier.root

    @property
    def hashes(self) -> bytes:
        return bytes(self._hashes)
