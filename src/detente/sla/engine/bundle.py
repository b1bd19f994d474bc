"""What is put into the hands of a vendor?

A zip file with the facts, the sheets, the hashes of the whole ledger, every checkpoint, and the
program that checks it all; and a signed list of what is in it. Made twice of the same ledger it is
the same to the byte.
"""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import msgspec

from detente.facts.node import Started, Stopped
from detente.facts.sla import CheckpointSigned
from detente.facts.watch import PlaceFellSilent, PlaceGaveUp, PlaceHeard, SheetFiled, parts_of
from detente.kernel.clock import Instant
from detente.kernel.fact import Recorded, Subject
from detente.sla.engine.log import Log, leaf_of, tallies_of
from detente.sla.engine.note import Signer

_README = """\
Evidence

{says}

That sentence is what the sender says. The rest you can check, with Python 3.9 or newer, offline, with
nothing else installed:

    python3 verify.py {name} --key KEY

KEY is the sender's key, from where you trust it: the contract, an earlier mail. Without it, what you
learn is that everything fits the key that came along.

  evidence.json   what this is about, from when to when, and the public key
  manifest        the SHA-256 of every file in here, signed
  checkpoint      how many facts the ledger had, and their root, signed
  checkpoints/    the same, signed earlier
  leaves.bin      the SHA-256 of every fact in the ledger, 32 bytes each: those not shown here too
  facts.jsonl     the facts that matter for this promise, each with its place in the ledger
  sheets/         what every single run of these checks saw, as it was filed; the facts hold the seals

A checkpoint that you received before is checked with --checkpoint FILE: then nobody, the sender
included, can have rewritten what came before it.
"""

_ALWAYS = (
    Started.name,
    Stopped.name,
    CheckpointSigned.name,
    SheetFiled.name,
    PlaceFellSilent.name,
    PlaceHeard.name,
    PlaceGaveUp.name,
)
"""Whatever the promise is about, these say when somebody looked."""


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in `evidence.json`. Times are nanoseconds since 1970, UTC."""

    says: str
    key: str  # C2SP verifier key
    promise: str
    period: str
    start: Instant
    until: Instant
    place: Subject  # where the sender looks from by itself
    terms: msgspec.Raw
    checks: tuple[str, ...]


class Gathering:
    """Takes the ledger fact by fact, and keeps what belongs into the bundle."""

    def __init__(self, subjects: Collection[Subject], checks: Collection[str]) -> None:
        self._subjects = frozenset(subjects)
        self._checks = sorted(checks)
        self._notes: dict[int, str] = {}
        self._lines: list[str] = []
        self._sheets: dict[int, bytes] = {}

    def note(self, recorded: Recorded) -> None:
        """Checkpoints are shown however old they are."""
        if isinstance(recorded.fact, CheckpointSigned):
            self._notes[recorded.fact.size] = recorded.fact.note

    def wants(self, recorded: Recorded) -> bool:
        """Does it matter for the promise?"""
        return recorded.name in _ALWAYS or recorded.about in self._subjects

    def take(self, index: int, recorded: Recorded, detail: bytes | None) -> None:
        """A fact that matters, its place in the ledger, and what is attached to it, if it still is."""
        line = msgspec.json.encode((index, leaf_of(recorded).decode()))
        self._lines.append(line.decode())
        if isinstance(recorded.fact, SheetFiled):
            self._sheets[index] = msgspec.json.encode(self._opened(recorded.fact, detail))

    def _opened(self, sheet: SheetFiled, detail: bytes | None) -> dict[str, Any]:
        """The parts of these checks; of the others only hashes."""
        tallies, parts = tallies_of(sheet), parts_of(detail) if detail else {}
        return {
            "tallies": {name: tallies[name].decode() for name in self._checks if name in tallies},
            "parts": [hashlib.sha256(part).hexdigest() for part in parts.values()],
            "lines": {
                name: base64.b64encode(parts[name]).decode()
                for name in self._checks
                if name in parts
            },
        }

    def packed(self, name: str, about: About, log: Log, signer: Signer) -> bytes:
        """The zip file."""
        files: dict[str, bytes] = {
            "README.txt": _README.format(says=about.says, name=name).encode(),
            "verify.py": Path(__file__).with_name("verifier.py").read_bytes(),
            "evidence.json": msgspec.json.format(msgspec.json.encode(about), indent=2),
            "checkpoint": signer.checkpoint(log.size, log.root).encode(),
            **{f"checkpoints/{size}": note.encode() for size, note in self._notes.items()},
            "leaves.bin": log.hashes,
            "facts.jsonl": "".join(f"{line}\n" for line in self._lines).encode(),
            **{f"sheets/{index}": sheet for index, sheet in self._sheets.items()},
        }
        files["manifest"] = signer.manifest(files).encode()
        return _zipped(files)


def _zipped(files: Mapping[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as bundle:
        for path, content in sorted(files.items()):
            entry = zipfile.ZipInfo(path, (1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            bundle.writestr(entry, content, zipfile.ZIP_DEFLATED)
    return made.getvalue()
