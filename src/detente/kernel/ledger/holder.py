"""Who writes to this ledger?

One process at a time. The kernel's lock on `<ledger>.lock` decides, and it vanishes with its process
however that ends; the few words inside the file only tell the next one who holds it.
"""

from __future__ import annotations

import fcntl
import os
import socket
from pathlib import Path

import msgspec

from detente.kernel.clock import Instant, iso
from detente.kernel.ledger import LedgerHeld


class Holder(msgspec.Struct, frozen=True):
    """What the holder wrote about itself."""

    pid: int
    host: str
    since: str
    holder: str = ""

    def __str__(self) -> str:
        who = f"process {self.pid} on {self.host}, since {self.since}"
        return f"{self.holder} ({who})" if self.holder else who


class Hold:
    """The right to write, until it is let go or the process ends."""

    def __init__(self, ledger: Path, now: Instant, holder: str) -> None:
        self._file = os.open(lock_of(ledger), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            told = _who(self._file)
            os.close(self._file)
            raise LedgerHeld(_says(ledger, told)) from None
        except OSError:
            os.close(self._file)
            raise
        self._write(
            msgspec.json.encode(Holder(os.getpid(), socket.gethostname(), iso(now), holder))
        )

    def let_go(self) -> None:
        """Give it back. The file stays: removing it could let two processes in at once."""
        os.ftruncate(self._file, 0)
        os.close(self._file)

    def _write(self, words: bytes) -> None:
        try:
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, words, 0)
        except OSError:  # a full disk: the lock holds all the same, it just has no name on it
            pass


def lock_of(ledger: Path) -> Path:
    return ledger.with_name(ledger.name + ".lock")


def _who(file: int) -> Holder | None:
    """The holder's words, unless they are a dead process's that the new holder is about to replace."""
    try:
        told = msgspec.json.decode(os.pread(file, 4096, 0), type=Holder)
    except msgspec.DecodeError:
        return None
    if told.host == socket.gethostname() and not Path(f"/proc/{told.pid}").exists():
        return None
    return told


def _says(ledger: Path, told: Holder | None) -> str:
    who = str(told) if told else "another process, which has not said its name yet"
    return (
        f"{ledger} is being written by {who}. Only one process may write to a ledger: "
        "stop that one first, or choose another file."
    )
