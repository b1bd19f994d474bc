#!/usr/bin/env python3
"""Is this evidence whole, unchanged and signed? One file, Python alone, nothing of Détente.

    python3 verify.py evidence.zip --key KEY [--checkpoint FILE]

The bundle holds facts out of an append-only ledger, the hash of every fact in that ledger, and signed
checkpoints. This program sees that every file is as it was signed, computes the ledger's root from the
hashes (RFC 6962), compares it with what was signed (C2SP signed-note and tlog-checkpoint, Ed25519 by
RFC 8032), finds every disclosed fact at its place, and sees that sheets follow each other through the
whole time and account for every slot in which a check was due. What it counts itself, it prints.

`--key` is the sender's key from where you trust it; without it everything may fit a key that somebody
else made. With `--checkpoint`, one that you received earlier must belong to the same ledger: then the
sender cannot have rewritten what came before it either.

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
    return roots_at(leaves, [len(leaves)])[len(leaves)]


def roots_at(leaves: Sequence[bytes], sizes: Iterable[int]) -> dict[int, bytes]:
    """The roots over the first so many leaves, for each of these sizes, in one go."""
    wanted, roots = set(sizes), {}
    peaks: list[tuple[int, bytes]] = []  # (size, hash) of whole subtrees, the largest first
    if 0 in wanted:
        roots[0] = joined([])
    for count, leaf in enumerate(leaves, start=1):
        size, here = 1, leaf
        while peaks and peaks[-1][0] == size:
            here = node_hash(peaks.pop()[1], here)
            size *= 2
        peaks.append((size, here))
        if count in wanted:
            roots[count] = joined([each for _, each in peaks])
    return roots


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

_LARGEST = 1 << 30  # bytes of one file, unpacked


class Seen:
    """What was found: flaws, stretches without anybody looking, and what the checks saw."""

    def __init__(self) -> None:
        self.flaws: list[str] = []
        self.gaps: list[str] = []
        self.verdicts: dict[str, dict[str, int]] = {}
        self.only_tallies = 0

    def flaw(self, place: str, says: str) -> None:
        self.flaws.append(f"{place}: {says}")

    def ran(self, check: str, verdict: str) -> None:
        counts = self.verdicts.setdefault(check, {})
        counts[verdict] = counts.get(verdict, 0) + 1


def look_through(
    files: Mapping[str, bytes], key: str | None = None, earlier: str | None = None
) -> tuple[Mapping[str, Any], Seen]:
    """(what it is about, what was found). Raises Flaw if that cannot be told."""
    seen = Seen()
    about = json.loads(files["evidence.json"])
    if not isinstance(about, dict):
        raise Flaw("evidence.json does not say what it is about")
    name, public = read_key(about["key"])
    if key is not None and read_key(key) != (name, public):
        seen.flaw("evidence.json", "it carries another key than the one you gave")
    _listed(files, name, public, seen)
    hashes = files["leaves.bin"]
    leaves = [hashes[at : at + 32] for at in range(0, len(hashes), 32)]
    _signed(files, earlier, name, public, leaves, seen)
    facts = list(_placed(files["facts.jsonl"].decode().splitlines(), leaves, seen))
    _all_there(files, about, facts, seen)
    return about, seen


def _listed(files: Mapping[str, bytes], name: str, public: bytes, seen: Seen) -> None:
    """Every file as it was when the list was signed, and none more."""
    try:
        head, *lines = open_note(files["manifest"].decode(), name, public).splitlines()
    except Flaw:
        raise Flaw(f"the manifest is not signed by {name}") from None
    listed = dict(line.split(" ", 1)[::-1] for line in lines)
    if head != f"{name} manifest":
        seen.flaw("manifest", "it is the list of something else")
    for file in sorted(set(listed) | set(files) - {"manifest"}):
        if file not in files:
            seen.flaw(file, "it is missing")
        elif file not in listed:
            seen.flaw(file, "it was put in afterwards")
        elif hashlib.sha256(files[file]).hexdigest() != listed[file]:
            seen.flaw(file, "it was changed")


def _signed(
    files: Mapping[str, bytes], earlier: str | None, name: str, public: bytes,
    leaves: Sequence[bytes], seen: Seen,
) -> None:  # fmt: skip
    """All checkpoints are of this ledger: the last of all of it, the others of its beginnings."""
    notes = {"checkpoint": files["checkpoint"].decode()}
    notes.update({n: files[n].decode() for n in sorted(files) if n.startswith("checkpoints/")})
    if earlier is not None:
        notes["your checkpoint"] = earlier
    found: dict[str, tuple[int, bytes]] = {}
    for called, note in notes.items():
        try:
            origin, size, root = read_checkpoint(open_note(note, name, public))
        except Flaw as flaw:
            seen.flaw(called, str(flaw))
            continue
        if origin != name:
            seen.flaw(called, f"it is of {origin}, and signed by {name}")
        found[called] = (size, root)
    roots = roots_at(leaves, {size for size, _ in found.values()})
    for called, (size, root) in found.items():
        if size > len(leaves) or (called == "checkpoint" and size != len(leaves)):
            seen.flaw(called, f"it is of {size} facts, the bundle lists {len(leaves)}")
        elif roots[size] != root:
            seen.flaw(called, "the list of hashes is not the ledger that was signed")


_Fact = tuple[int, dict[str, Any]]
_SHEET = "watch.sheet_filed"


def _placed(lines: Iterable[str], leaves: Sequence[bytes], seen: Seen) -> Iterator[_Fact]:
    """Every fact that is at its place in the ledger."""
    before = -1
    for number, line in enumerate(lines, start=1):
        called = f"facts.jsonl, line {number}"
        try:
            index, leaf = json.loads(line)
            fact = json.loads(leaf)
            called += f" ({fact['name']} at position {fact['position']})"
            found = leaf_hash(leaf.encode())
            right = 0 <= index < len(leaves) and found == leaves[index]
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            seen.flaw(called, "it cannot be read")
            continue
        if index <= before:
            seen.flaw(called, "it stands in the wrong order")
        if right:
            before = max(before, index)
            yield index, fact
        elif found in leaves:
            seen.flaw(called, f"it was moved: the ledger has it at {leaves.index(found)}")
        else:
            seen.flaw(called, "it was changed: the ledger never held this")


def _all_there(
    files: Mapping[str, bytes], about: Mapping[str, Any], facts: Sequence[_Fact], seen: Seen
) -> None:
    """From the beginning to the end somebody looked, or it is told when nobody did."""
    reached: dict[str, int] = {}
    shown: dict[str, bool] = {}
    rhythms: dict[tuple[str, str], int] = {}
    stopped = began = about["start"]
    for index, fact in facts:
        body, place = fact["fact"], fact["about"]
        if fact["name"] == "node.started":
            stopped, began = max(reached.values(), default=began), fact["at"]
            seen.gaps.append(f"the node was not running for {_lasting(began - stopped)}")
            reached, rhythms = {}, {}
        if fact["name"] != _SHEET:
            continue
        since = reached.get(place)
        if since is not None and body["since"] != since:
            _gap(place, about["place"], fact, body["since"] - since, seen)
        elif since is None and place == about["place"] and body["since"] > began + _LONGEST:
            _gap(place, about["place"], fact, body["since"] - began, seen)
        reached[place] = body["until"]
        _opened(files, index, fact, about["checks"], shown, rhythms, seen)
    end = reached.get(about["place"], began)
    lengths = [f["fact"]["until"] - f["fact"]["since"] for _, f in facts if f["name"] == _SHEET]
    if about["until"] - end > 3 * max(lengths, default=_USUAL) + _LATE:
        seen.flaw(about["place"], f"no sheet of the last {_lasting(about['until'] - end)}")


_LONGEST = 3_600_000_000_000  # nanoseconds of the longest sheet that makes sense
_USUAL = 200_000_000_000  # nanoseconds, if there is no sheet to go by
_LATE = 60_000_000_000  # sheets are filed a little after their time


def _gap(place: str, ours: str, fact: Mapping[str, Any], missing: int, seen: Seen) -> None:
    says = f"{_lasting(missing)} without a sheet just before position {fact['position']}"
    if place == ours:
        seen.flaw(place, f"a sheet is missing: {says}")
    else:
        seen.gaps.append(f"{place}: {says}")


def _lasting(nanoseconds: int) -> str:
    return f"{nanoseconds / 1e9:,.0f} s"


def _opened(
    files: Mapping[str, bytes], index: int, fact: Mapping[str, Any], checks: Sequence[str],
    shown: dict[str, bool], rhythms: dict[tuple[str, str], int], seen: Seen,
) -> None:  # fmt: skip
    """The parts of the checks in one sheet: they fit its seal, and every slot is there."""
    file, body, place = f"sheets/{index}", fact["fact"], fact["about"]
    try:
        sheet = json.loads(files[file])
        tallies, parts, lines = sheet["tallies"], sheet["parts"], sheet["lines"]
        for check, text in tallies.items():
            if hashlib.sha256(text.encode()).hexdigest() not in body["tallies"]:
                seen.flaw(file, f"the tally of {check} is not the one that was filed")
        if not parts:
            seen.only_tallies += 1
            if shown.get(place):
                seen.flaw(file, "its runs are missing, though those of an older sheet are there")
            return
        shown[place] = True
        together = b"".join(bytes.fromhex(part) for part in parts)
        if hashlib.sha256(together).hexdigest() != body["seal"]:
            seen.flaw(file, "the sheet was changed")
            return
        for check in checks:
            if check in tallies and check not in lines:
                seen.flaw(file, f"{check} was due, and its runs are missing")
        for check, coded in lines.items():
            part = base64.b64decode(coded)
            if hashlib.sha256(part).hexdigest() not in parts:
                seen.flaw(file, f"the runs of {check} are not those that were filed")
                continue
            expected = json.loads(tallies[check])[1]["expected"] if check in tallies else 0
            _slots(file, place, unpack(part), expected, body, rhythms, seen)
    except KeyError as missing:
        seen.flaw(file, f"it is missing, or lacks {missing}")
    except (ValueError, TypeError, AttributeError, IndexError, RecursionError, Flaw) as wrong:
        seen.flaw(file, f"it cannot be read ({wrong})")


def _slots(
    file: str, place: str, part: Any, expected: int, body: Mapping[str, Any],
    rhythms: dict[tuple[str, str], int], seen: Seen,
) -> None:  # fmt: skip
    """Every slot that was due stands in the sheet, run or not, in an even rhythm."""
    check, line = part
    for _, result in line:
        seen.ran(check, "not run" if result is None else str(result[3]))
    slots = [slot for slot, _ in line]
    if len(slots) != expected:
        seen.flaw(file, f"{check} was due {expected} times, {len(slots)} are listed")
    slots = [slot for slot in slots if slot >= body["since"]]  # what came late stands before
    if slots and slots[-1] >= body["until"]:
        seen.flaw(file, f"{check} lists slots after the sheet's time")
    gaps = [two - one for one, two in zip(slots, slots[1:])]  # noqa: B905, RUF007 - old Pythons
    for slot, gap in zip(slots, gaps):  # noqa: B905
        if gap != rhythms.setdefault((place, check), min(gaps)):
            seen.flaw(file, f"{check} leaves out a slot after {slot}")


def _files_in(path: str) -> dict[str, bytes]:
    """What is in the zip file, if that can be held and nothing stands in it twice."""
    files: dict[str, bytes] = {}
    with zipfile.ZipFile(path) as bundle:
        for entry in bundle.infolist():
            if entry.filename in files:
                raise Flaw(f"{entry.filename} stands in it twice")
            if entry.file_size > _LARGEST:
                raise Flaw(f"{entry.filename} is larger than a file of evidence can be")
            files[entry.filename] = bundle.read(entry)
    return files


def main(arguments: Sequence[str] | None = None) -> int:
    """Check a bundle and say what was found."""
    asking = argparse.ArgumentParser(description="Is this evidence whole, unchanged and signed?")
    asking.add_argument("bundle", help="the zip file that you were given")
    asking.add_argument("--key", help="the sender's key, from where you trust it")
    asking.add_argument("--checkpoint", help="a checkpoint that you received earlier")
    asked = asking.parse_args(arguments)
    try:
        earlier = None
        if asked.checkpoint:
            with open(asked.checkpoint, encoding="utf-8") as file:  # noqa: PTH123
                earlier = file.read()
        about, seen = look_through(_files_in(asked.bundle), asked.key, earlier)
        _tell(about, seen, trusted=asked.key is not None)
    except KeyError as missing:
        sys.stdout.write(f"This cannot be checked: it lacks {missing}\n")
        return 2
    except (OSError, zipfile.BadZipFile, ValueError, TypeError, AttributeError, Flaw) as wrong:
        sys.stdout.write(f"This cannot be checked: {wrong}\n")
        return 2
    return 1 if seen.flaws else 0


def _tell(about: Mapping[str, Any], seen: Seen, *, trusted: bool) -> None:
    say = sys.stdout.write
    for flaw in seen.flaws:
        say(f"FLAW  {flaw}\n")
    say(f"The sender says: {about['says']}\n")
    for check, counts in sorted(seen.verdicts.items()):
        told = ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items()))
        say(f"Counted from the sheets: {check}: {told}\n")
    for gap in seen.gaps:
        say(f"Nobody looked: {gap}\n")
    if seen.only_tallies:
        say(f"Of {seen.only_tallies} older sheets only the tallies are left; these are signed.\n")
    if seen.flaws:
        say(f"{len(seen.flaws)} flaws.\n")
    elif trusted:
        say("Whole, unchanged and signed by the key you gave.\n")
    else:
        say(f"Whole and unchanged; it fits the key that came along: {about['key']}\n")
        say("Compare that with the one you were given, or say it with --key.\n")


if __name__ == "__main__":
    sys.exit(main())
