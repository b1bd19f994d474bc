"""How does nothing get lost while nobody can be reached?

Every sheet is a file, synced before anything is sent, and deleted once it was taken. What belongs to
the sheet that is still open stands in a journal beside them, which survives the process. When there is
no room left the oldest sheets lose their detail first, then go altogether, and how much went is kept.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from detente.kernel.clock import Instant
from detente.watch.engine.wire import BadFrame, Frames, Result, frame, results

ROOM = 256 * 1024 * 1024  # bytes

Gap = tuple[Instant, Instant, int]
"""From, until, and how many sheets went."""


class Waiting(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One sheet in the spool. The brief part says the same without every slot."""

    since: Instant
    until: Instant
    full: bytes | None
    brief: bytes


class SpoolInUse(Exception):
    """Another agent keeps its sheets there; the message says where and what to do."""


def _hold(folder: Path) -> int:
    """One process at a time; the hold vanishes with it."""
    lock = os.open(folder / "lock", os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise SpoolInUse(
            f"Another agent keeps its sheets in {folder}. Stop it, or give this one a spool of its own."
        ) from None
    return lock


class Spool:
    """The sheets of one place that were not taken yet, oldest first."""

    def __init__(self, folder: Path, *, room: int = ROOM) -> None:
        self.folder = folder
        self.room = room
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        for left in folder.glob("*.new"):  # a file that was being written when the machine stopped
            left.unlink()
        self._sizes = {each: each.stat().st_size for each in sorted(folder.glob("*.sheet"))}
        self._number = max((int(each.stem) for each in self._sizes), default=0)
        self._brief: set[Path] = set()  # known to have lost their detail
        self._journal: int | None = None
        self._lock = _hold(folder)

    def __len__(self) -> int:
        return len(self._sizes)

    # -- sheets -----------------------------------------------------------------------------------

    def put(self, sheet: Waiting) -> None:
        """Keep this one. When this returns, it is on disk."""
        self._number += 1
        self._write(self.folder / f"{self._number:012}.sheet", sheet)
        self._make_room()

    def oldest(self) -> tuple[Path, Waiting] | None:
        """The one to send next. One that the disk has spoilt is set aside and counts as a gap."""
        while self._sizes:
            path = next(iter(self._sizes))
            try:
                return path, msgspec.msgpack.decode(path.read_bytes(), type=Waiting)
            except (OSError, msgspec.MsgspecError):
                self._sizes.pop(path)
                if path.exists():
                    path.rename(path.with_suffix(".spoilt"))
        return None

    def taken(self, path: Path) -> None:
        """It is with the node; it need not be kept."""
        self._sizes.pop(path, None)
        self._brief.discard(path)
        path.unlink(missing_ok=True)

    def last_until(self) -> Instant:
        """Where the newest sheet ends: the next one begins there or later."""
        for path in reversed(self._sizes):
            return msgspec.msgpack.decode(path.read_bytes(), type=Waiting).until
        return 0

    def _make_room(self) -> None:
        """Detail goes first, the oldest before the newest; then whole sheets, which leave a gap."""
        for path in [each for each in self._sizes if each not in self._brief]:
            if sum(self._sizes.values()) <= self.room:
                return
            self._brief.add(path)
            sheet = msgspec.msgpack.decode(path.read_bytes(), type=Waiting)
            if sheet.full is not None:
                self._write(path, msgspec.structs.replace(sheet, full=None))
        for path in list(self._sizes)[:-1]:
            if sum(self._sizes.values()) <= self.room:
                return
            sheet = msgspec.msgpack.decode(path.read_bytes(), type=Waiting)
            self._widen_gap(sheet)
            self.taken(path)

    # -- what had to go ---------------------------------------------------------------------------

    @property
    def gap(self) -> Gap | None:
        path = self.folder / "gave-up"
        return msgspec.msgpack.decode(path.read_bytes(), type=Gap) if path.exists() else None

    def gap_told(self, gap: Gap) -> None:
        """The node knows of it; if it has grown meanwhile, it is told again."""
        if self.gap == gap:
            (self.folder / "gave-up").unlink(missing_ok=True)

    def _widen_gap(self, sheet: Waiting) -> None:
        since, _, sheets = self.gap or (sheet.since, 0, 0)
        body = msgspec.msgpack.encode((since, sheet.until, sheets + 1))
        self._write_bytes(self.folder / "gave-up", body)

    # -- the sheet that is still open ---------------------------------------------------------------

    def note(self, batch: list[Result]) -> None:
        """Write down what was just seen, so that it outlives this process."""
        if self._journal is None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            self._journal = os.open(self.folder / "journal", flags, 0o600)
        os.write(self._journal, frame(batch))

    def noted(self) -> tuple[Instant, list[Result]]:
        """What a process that ended without a word had seen, since its last sheet at that moment."""
        since = int(self.kept("since") or 0)
        written = self.kept("journal") or b""
        return since, [each for each in self._read_journal(written) if each.slot >= since]

    def _read_journal(self, written: bytes) -> Iterator[Result]:
        try:
            for body in Frames().feed(written):
                yield from results(body)
        except BadFrame:
            return  # torn off in the middle: what came before it counts

    def begin_journal(self, since: Instant, rest: list[Result]) -> None:
        """A new sheet is open; this much belongs to it already."""
        self.keep("since", b"%d" % since)
        if self._journal is not None:
            os.close(self._journal)
            self._journal = None
        self._write_bytes(self.folder / "journal", frame(rest) if rest else b"")

    # -- whatever else must be known after a restart -----------------------------------------------

    def keep(self, name: str, body: bytes) -> None:
        self._write_bytes(self.folder / name, body)

    def kept(self, name: str) -> bytes | None:
        path = self.folder / name
        return path.read_bytes() if path.exists() else None

    def close(self) -> None:
        if self._journal is not None:
            os.close(self._journal)
            self._journal = None
        os.close(self._lock)

    # -- disk -----------------------------------------------------------------------------------------

    def _write(self, path: Path, sheet: Waiting) -> None:
        body = msgspec.msgpack.encode(sheet)
        self._write_bytes(path, body)
        self._sizes[path] = len(body)

    def _write_bytes(self, path: Path, body: bytes) -> None:
        """Whole or not at all, on disk when this returns, for nobody else to read."""
        new = path.with_suffix(".new")
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
