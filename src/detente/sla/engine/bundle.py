"""What is put into the hands of a vendor?

A zip file with the facts, the sheets, the hashes of the whole ledger, every checkpoint, and the
program that checks it all. Made twice of the same ledger it is the same to the byte.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

_README = """\
Evidence

{says}

Check it with Python 3.9 or newer, offline, with nothing else installed:

    python3 verify.py {name}

  evidence.json   what this is about, and the public key
  checkpoint      how many facts the ledger had, and their root, signed
  checkpoints/    the same, signed earlier
  leaves.bin      the SHA-256 of every fact in the ledger, 32 bytes each: those not shown here too
  facts.jsonl     the facts that matter for this promise, each with its place in the ledger
  sheets/         what every single run saw, as it was filed; the facts hold their hashes

A checkpoint that you received before is checked with --checkpoint FILE: then nobody, us included, can
have rewritten what came before it.
"""


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in `evidence.json`."""

    says: str
    key: str  # C2SP verifier key
    promise: str
    period: str
    terms: msgspec.Raw
    checks: tuple[str, ...]
    expired: tuple[int, ...]  # places in the ledger of sheets whose single runs were forgotten


def packed(
    name: str,
    about: About,
    *,
    checkpoint: str,
    checkpoints: Mapping[int, str],
    hashes: bytes,
    facts: Iterable[tuple[int, bytes]],
    sheets: Mapping[int, bytes],
) -> bytes:
    """The zip file. `facts`: (place in the ledger, leaf); `sheets` by the same place."""
    lines = "".join(
        msgspec.json.encode((index, leaf.decode())).decode() + "\n" for index, leaf in facts
    )
    files: dict[str, bytes] = {
        "README.txt": _README.format(says=about.says, name=name).encode(),
        "verify.py": Path(__file__).with_name("verifier.py").read_bytes(),
        "evidence.json": msgspec.json.format(msgspec.json.encode(about), indent=2),
        "checkpoint": checkpoint.encode(),
        **{f"checkpoints/{size}": note.encode() for size, note in sorted(checkpoints.items())},
        "leaves.bin": hashes,
        "facts.jsonl": lines.encode(),
        **{f"sheets/{index}": sheet for index, sheet in sorted(sheets.items())},
    }
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as bundle:
        for path, content in files.items():
            entry = zipfile.ZipInfo(path, (1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            bundle.writestr(entry, content, zipfile.ZIP_DEFLATED)
    return made.getvalue()
