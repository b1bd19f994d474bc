"""Does a ledger in one SQLite file keep every promise?"""

from __future__ import annotations

from pathlib import Path

from detente.kernel.ledger import Ledger
from detente.kernel.ledger.sqlite import SqliteLedger

from .ledger_contract import HandClock, LedgerContract


class TestThread(LedgerContract):
    """With a thread that writes: as the node runs."""

    def open(self, folder: Path, clock: HandClock) -> Ledger:
        return SqliteLedger(folder / "ledger", clock=clock)


class TestInline(LedgerContract):
    """Writing in the calling task: as simulated worlds run."""

    def open(self, folder: Path, clock: HandClock) -> Ledger:
        return SqliteLedger(folder / "ledger", clock=clock, writer="inline")
