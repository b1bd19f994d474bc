"""Which ledger and which node does a configuration mean?

To find the ledger, one line of `detente.yaml` is read and nothing else: whoever only looks can look even
while somebody is in the middle of changing the file.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from detente.kernel.config import read
from detente.kernel.node import Node
from detente.kernel.slice import Slice
from detente.kernel.terminal.commands import House

LEDGER = "detente.db"
"""Where the ledger is unless the configuration says otherwise, as in `app.Declared`."""


def ledger_of(config: Path) -> Path:
    """The ledger's file. Raises ConfigErrors if the configuration cannot be read at all."""
    written = read(config).value
    said = written.get("ledger") if isinstance(written, dict) else None
    return home_of(config) / (said if isinstance(said, str) else LEDGER)


def home_of(config: Path) -> Path:
    """What the configuration's paths are relative to."""
    return config.absolute().parent


@asynccontextmanager
async def _looking(config: Path) -> AsyncIterator[Node]:
    from detente import app

    declared = app.load_declared(config)
    async with app.looking(declared, home_of(config)) as node:
        yield node


def _cards() -> Sequence[Slice]:
    from detente.slices import CARDS

    return CARDS


HOUSE = House(cards=_cards, ledger=ledger_of, looking=_looking)
