#!/usr/bin/env python3
"""Is this evidence whole, unchanged and signed? One file, Python alone, nothing of Détente.

    python3 verify.py evidence.zip [--checkpoint FILE]

The bundle holds facts out of an append-only ledger, the hash of every fact in that ledger, and signed
checkpoints. This program computes the ledger's root from the hashes (RFC 6962), compares it with what
was signed (C2SP signed-note and tlog-checkpoint, Ed25519 by RFC 8032), finds every disclosed fact at
its place, and counts that each sheet accounts for every slot in which a check was due. With
`--checkpoint`, a checkpoint that you received earlier must belong to the same ledger.

It ends with 0 if all is well, with 1 and the place of every flaw if not, with 2 if it cannot tell.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import struct
import sys
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

# The tree (RFC 6962, section 2.1)


def leaf_hash(leaf: bytes) -> bytes:
    """The hash of one entry."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of two subtrees."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of(leaves: Sequence[bytes]) -> bytes:
    """The root over these leaf hashes; SHA-256 of nothing if there are none."""
    peaks: list[tuple[int, bytes]] = []  # (size, hash) of whole subtrees, the largest first
    for leaf in leaves:
        size, here = 1, leaf
        while peaks and peaks[-1][0] == size:
            here = node_hash(peaks.pop()[1], here)
            size *= 2
        peaks.append((size, here))
    return joined([here for _, here in peaks])


def joined(peaks: Sequence[bytes]) -> bytes:
    """The root over whole subtrees, the largest first."""
    if not peaks:
        return hashlib.sha256().digest()
    root = peaks[-1]
    for peak in reversed(peaks[:-1]):
        root = node_hash(peak, root)
    return root


def root_by_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes]) -> bytes | None:
    """The root that the proof leads to (RFC 9162, 2.1.3.2); None if it has the wrong length."""
    if not 0 <= index < size or len(leaf) != 32:
        return None
    here, last, root = index, size - 1, leaf
    for step in proof:
        if last == 0:
            return None
        if here & 1 or here == last:
            root = node_hash(step, root)
            while not here & 1 and here:
                here, last = here >> 1, last >> 1
        else:
            root = node_hash(root, step)
        here, last = here >> 1, last >> 1
    return root if last == 0 else None


def is_consistent(
    size1: int, size2: int, root1: bytes, root2: bytes, proof: Sequence[bytes]
) -> bool:
    """Is the first tree a beginning of the second? (RFC 9162, 2.1.4.2)"""
    if size1 == size2:
        return size1 > 0 and not proof and root1 == root2  # of nothing, nothing can be said
    if not 0 < size1 < size2 or not proof:
        return False
    steps = list(proof)
    if size1 & (size1 - 1) == 0:
        steps.insert(0, root1)
    here, last = size1 - 1, size2 - 1
    while here & 1:
        here, last = here >> 1, last >> 1
    old = new = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if here & 1 or here == last:
            old, new = node_hash(step, old), node_hash(step, new)
            while not here & 1 and here:
                here, last = here >> 1, last >> 1
        else:
            new = node_hash(new, step)
        here, last = here >> 1, last >> 1
    return old == root1 and new == root2 and last == 0


# The signature (RFC 8032, Ed25519)

_P = 2**255 - 19
_L = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, _P - 2, _P) % _P
_I = pow(2, (_P - 1) // 4, _P)
_Point = tuple[int, int, int, int]


def _plus(one: _Point, two: _Point) -> _Point:
    a = (one[1] - one[0]) * (two[1] - two[0]) % _P
    b = (one[1] + one[0]) * (two[1] + two[0]) % _P
    c = 2 * one[3] * two[3] * _D % _P
    d = 2 * one[2] * two[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % _P, g * h % _P, f * g % _P, e * h % _P)


def _times(number: int, point: _Point) -> _Point:
    found: _Point = (0, 1, 1, 0)
    while number:
        if number & 1:
            found = _plus(found, point)
        point = _plus(point, point)
        number >>= 1
    return found


def _x_of(y: int, sign: int) -> int | None:
    square = (y * y - 1) * pow(_D * y * y + 1, _P - 2, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * _I % _P
    if (x * x - square) % _P or (x == 0 and sign):
        return None
    return _P - x if x & 1 != sign else x


def _point(packed: bytes) -> _Point | None:
    y = int.from_bytes(packed, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    x = _x_of(y, sign) if y < _P else None
    return None if x is None else (x, y, 1, x * y % _P)


_BASE_Y = 4 * pow(5, _P - 2, _P) % _P
_BASE_X = _x_of(_BASE_Y, 0) or 0
_BASE: _Point = (_BASE_X, _BASE_Y, 1, _BASE_X * _BASE_Y % _P)


def is_signed(public: bytes, message: bytes, signature: bytes) -> bool:
    """Did the owner of this key sign this message?"""
    if len(public) != 32 or len(signature) != 64:
        return False
    owner, point = _point(public), _point(signature[:32])
    number = int.from_bytes(signature[32:], "little")
    if owner is None or point is None or number >= _L:
        return False
    digest = hashlib.sha512(signature[:32] + public + message).digest()
    left = _times(number, _BASE)
    right = _plus(point, _times(int.from_bytes(digest, "little") % _L, owner))
    same_x = (left[0] * right[2] - right[0] * left[2]) % _P == 0
    return same_x and (left[1] * right[2] - right[1] * left[2]) % _P == 0


# The checkpoint (C2SP signed-note, tlog-checkpoint)


class Flaw(Exception):
    """What is wrong, and where."""


def key_id(name: str, public: bytes) -> bytes:
    """The four bytes by which a signature names its key."""
    return hashlib.sha256(name.encode() + b"\n\x01" + public).digest()[:4]


def read_key(text: str) -> tuple[str, bytes]:
    """(name, public key) of `name+id+base64`."""
    name, _, rest = text.strip().partition("+")
    given, _, coded = rest.partition("+")
    try:
        key = base64.b64decode(coded, validate=True)
    except ValueError:
        key = b""
    if len(key) != 33 or key[0] != 1 or key_id(name, key[1:]).hex() != given:
        raise Flaw("the verifier key is damaged")
    return name, key[1:]


def open_note(note: str, name: str, public: bytes) -> str:
    """The text above the signature, if the key signed it. Raises Flaw."""
    text, found, signatures = note.rpartition("\n\n")
    text += "\n"
    for line in signatures.splitlines() if found else ():
        signer, _, coded = line.removeprefix("\u2014 ").partition(" ")
        if not line.startswith("\u2014 ") or signer != name:
            continue
        try:
            blob = base64.b64decode(coded, validate=True)
        except ValueError:
            continue
        if blob[:4] == key_id(name, public) and is_signed(public, text.encode(), blob[4:]):
            return text
    raise Flaw(f"the checkpoint is not signed by {name}")


def read_checkpoint(text: str) -> tuple[str, int, bytes]:
    """(origin, size, root) of a checkpoint's text. Raises Flaw."""
    lines = text.split("\n")
    try:
        origin, size, root = lines[0], int(lines[1]), base64.b64decode(lines[2], validate=True)
    except (IndexError, ValueError):
        raise Flaw("the checkpoint cannot be read") from None
    if not origin or size < 0 or str(size) != lines[1] or len(root) != 32:
        raise Flaw("the checkpoint cannot be read")
    return origin, size, root


# The sheets (msgpack, as they were filed)


def unpack(packed: bytes) -> Any:
    """The one value in these bytes. Raises Flaw."""
    try:
        value, end = _unpack(packed, 0)
    except (IndexError, struct.error, UnicodeDecodeError, RecursionError):
        raise Flaw("the sheet cannot be read") from None
    if end != len(packed):
        raise Flaw("something stands behind the end of the sheet")
    return value


_FIXED = {0xC0: None, 0xC2: False, 0xC3: True}
_NUMBERS = {
    0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q",
    0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q",
}  # fmt: skip
_TEXTS = {0xD9: 1, 0xDA: 2, 0xDB: 4}
_BLOBS = {0xC4: 1, 0xC5: 2, 0xC6: 4}


def _unpack(data: bytes, at: int) -> tuple[Any, int]:
    kind, at = data[at], at + 1
    if kind < 0x80:
        return kind, at
    if kind >= 0xE0:
        return kind - 0x100, at
    if kind in _FIXED:
        return _FIXED[kind], at
    if kind in _NUMBERS:
        form = _NUMBERS[kind]
        return struct.unpack_from(form, data, at)[0], at + struct.calcsize(form)
    if kind < 0x90 or kind in (0xDE, 0xDF):
        return _mapping(data, *_length(data, at, kind, 0x80, {0xDE: 2, 0xDF: 4}))
    if kind < 0xA0 or kind in (0xDC, 0xDD):
        return _listing(data, *_length(data, at, kind, 0x90, {0xDC: 2, 0xDD: 4}))
    if kind < 0xC0 or kind in _TEXTS:
        size, at = _length(data, at, kind, 0xA0, _TEXTS)
        return _cut(data, at, size).decode(), at + size
    if kind in _BLOBS:
        size, at = _length(data, at, kind, 0xFF, _BLOBS)
        return _cut(data, at, size), at + size
    raise Flaw("the sheet holds something unknown")


def _length(
    data: bytes, at: int, kind: int, short: int, long: Mapping[int, int]
) -> tuple[int, int]:
    if kind in long:
        size = long[kind]
        return int.from_bytes(_cut(data, at, size)), at + size
    return kind - short, at


def _cut(data: bytes, at: int, size: int) -> bytes:
    if at + size > len(data):
        raise Flaw("the sheet ends too early")
    return data[at : at + size]


def _listing(data: bytes, size: int, at: int) -> tuple[list[Any], int]:
    found = []
    for _ in range(size):
        value, at = _unpack(data, at)
        found.append(value)
    return found, at


def _mapping(data: bytes, size: int, at: int) -> tuple[dict[Any, Any], int]:
    found = {}
    for _ in range(size):
        key, at = _unpack(data, at)
        found[key], at = _unpack(data, at)
    return found, at


# The bundle


def flaws(bundle: zipfile.ZipFile, earlier: str | None = None) -> Iterator[str]:
    """Everything that is wrong with it, each with its place."""
    about = json.loads(bundle.read("evidence.json"))
    name, public = read_key(about["key"])
    hashes = bundle.read("leaves.bin")
    leaves = [hashes[at : at + 32] for at in range(0, len(hashes), 32)]
    yield from _signed(bundle.read("checkpoint").decode(), name, public, leaves, "the checkpoint")
    for each in sorted(n for n in bundle.namelist() if n.startswith("checkpoints/")):
        yield from _signed(bundle.read(each).decode(), name, public, leaves, each, beginning=True)
    if earlier is not None:
        yield from _signed(earlier, name, public, leaves, "your checkpoint", beginning=True)
    facts: list[tuple[int, dict[str, Any]]] = []
    yield from _placed(bundle.read("facts.jsonl").decode().splitlines(), leaves, facts)
    yield from _all_there(bundle, about, facts)


def _signed(
    note: str, name: str, public: bytes, leaves: Sequence[bytes], called: str, *,
    beginning: bool = False,
) -> Iterator[str]:  # fmt: skip
    try:
        origin, size, root = read_checkpoint(open_note(note, name, public))
    except Flaw as flaw:
        yield f"{called}: {flaw}"
        return
    if origin != name:
        yield f"{called}: it is of {origin}, and signed by {name}"
    if size > len(leaves) or (size != len(leaves) and not beginning):
        yield f"{called}: it is of {size} facts, the bundle lists {len(leaves)}"
    elif root_of(leaves[:size]) != root:
        yield f"{called}: the list of hashes is not the ledger that was signed"


def _placed(
    lines: Iterable[str], leaves: Sequence[bytes], facts: list[tuple[int, dict[str, Any]]]
) -> Iterator[str]:
    """Every fact at its place in the ledger; those that are go to `facts`."""
    before = -1
    for number, line in enumerate(lines, start=1):
        called = f"facts.jsonl, line {number}"
        try:
            index, leaf = json.loads(line)
            fact = json.loads(leaf)
        except ValueError:
            yield f"{called}: it cannot be read"
            continue
        called += f" ({fact.get('name')} at position {fact.get('position')})"
        if index <= before:
            yield f"{called}: it stands in the wrong order"
        if not 0 <= index < len(leaves) or leaf_hash(leaf.encode()) != leaves[index]:
            yield f"{called}: {_elsewhere(leaf_hash(leaf.encode()), leaves, index)}"
            continue
        before = max(before, index)
        facts.append((index, fact))


def _elsewhere(found: bytes, leaves: Sequence[bytes], index: int) -> str:
    if found in leaves:
        return f"it was moved: the ledger has it at {leaves.index(found)}, not at {index}"
    return "it was changed: the ledger never held this"


def _all_there(
    bundle: zipfile.ZipFile, about: Mapping[str, Any], facts: Sequence[tuple[int, dict[str, Any]]]
) -> Iterator[str]:
    """Sheets follow each other without a gap but those the ledger owns up to, and hold every slot."""
    reached: dict[str, int] = {}
    rhythms: dict[str, dict[str, int]] = {}
    there = set(bundle.namelist())
    for index, fact in facts:
        if fact["name"] == "node.started":
            reached.clear()  # nobody looked while the node was not running; that is no secret
            rhythms.clear()  # and what was declared may have changed
        if fact["name"] != "watch.sheet_filed":
            continue
        body, place = fact["fact"], fact["about"]
        if place in reached and body["since"] != reached[place]:
            yield f"{place}: a sheet is missing just before position {fact['position']}"
        reached[place] = body["until"]
        file = f"sheets/{index}"
        if index in about["expired"] and file not in there:
            continue
        if file not in there:
            yield f"{file}: the sheet of position {fact['position']} is missing"
            continue
        packed = bundle.read(file)
        if hashlib.sha256(packed).hexdigest() != body["sha256"]:
            yield f"{file}: the sheet was changed"
            continue
        try:
            yield from _slots(file, unpack(packed), body, rhythms.setdefault(place, {}))
        except (Flaw, KeyError, TypeError, ValueError) as flaw:
            yield f"{file}: {flaw}"


def _slots(
    file: str, sheet: Any, body: Mapping[str, Any], rhythms: dict[str, int]
) -> Iterator[str]:
    """Every slot that was due stands in the sheet, run or not, in an even rhythm."""
    for check, tally in sorted(body["tallies"].items()):
        slots = [slot for slot, _ in sheet["checks"].get(check, [])]
        if len(slots) != tally["expected"]:
            yield f"{file}: {check} was due {tally['expected']} times, {len(slots)} are listed"
        slots = [slot for slot in slots if slot >= body["since"]]  # what came late stands before
        if slots and slots[-1] >= body["until"]:
            yield f"{file}: {check} lists slots after the sheet's time"
        gaps = [two - one for one, two in zip(slots, slots[1:])]  # noqa: B905, RUF007 - old Pythons
        for slot, gap in zip(slots, gaps):  # noqa: B905
            rhythm = rhythms.setdefault(check, min(gaps))
            if gap != rhythm:
                yield f"{file}: {check} leaves out a slot after {slot}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Check a bundle and say what was found."""
    asking = argparse.ArgumentParser(description="Is this evidence whole, unchanged and signed?")
    asking.add_argument("bundle", help="the zip file that you were given")
    asking.add_argument("--checkpoint", help="a checkpoint that you received earlier")
    asked = asking.parse_args(arguments)
    try:
        earlier = None
        if asked.checkpoint:
            with open(asked.checkpoint, encoding="utf-8") as file:  # noqa: PTH123
                earlier = file.read()
        with zipfile.ZipFile(asked.bundle) as bundle:
            about = json.loads(bundle.read("evidence.json"))
            found = list(flaws(bundle, earlier))
    except (OSError, zipfile.BadZipFile, KeyError, ValueError, Flaw) as wrong:
        sys.stdout.write(f"This cannot be checked: {wrong}\n")
        return 2
    for flaw in found:
        sys.stdout.write(f"FLAW  {flaw}\n")
    sys.stdout.write(about["says"] + "\n")
    if about["expired"]:
        many = len(about["expired"])
        sys.stdout.write(f"Of {many} older sheets only the tallies are left; these are signed.\n")
    sys.stdout.write(f"{len(found)} flaws.\n" if found else "Whole, unchanged and signed.\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
