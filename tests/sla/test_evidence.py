"""Evidence that a vendor checks offline: what is whole passes, and every flaw is named."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from detente.kernel.slice import Answered, Asked
from detente.sla.pages import ENDPOINTS
from detente.testing import World, simulate

DECLARED = """
name: Sunny Side
vendors: {cardpay: {title: CardPay}}
watch:
  sheet: 30s
  checks: {cardpay: {http: "http://cardpay.test/health", every: 5s, timeout: 2s}}
sla:
  checkpoint_every: 60s
  promises: {uptime: {vendor: cardpay, target: 99.9%}}
"""

Files = dict[str, bytes]


@pytest.fixture(scope="module")
def taken() -> tuple[bytes, bytes]:
    """The bundle of a day with an outage, and a checkpoint that the vendor got before it."""
    found: list[bytes] = []

    async def story(world: World) -> None:
        async def ask(path: str) -> bytes:
            endpoint = next(each for each in ENDPOINTS if each.path == path)
            said: Answered = await endpoint.answer(
                world.node, Asked(method="GET", path={"promise": "uptime"})
            )
            return said.body

        await world.passes(300)
        found.append(await ask("/sla/checkpoint.txt"))
        world.vendor("cardpay").away = True
        await world.passes(120)
        world.vendor("cardpay").away = False
        await world.passes(300)
        found.append(await ask("/sla/{promise}/evidence.zip"))

    simulate(story, declared=DECLARED)
    return found[1], found[0]


def files_in(bundle: bytes) -> Files:
    with zipfile.ZipFile(io.BytesIO(bundle)) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def checked(home: Path, files: Files, *more: str) -> tuple[int, str]:
    """What the verifier from the bundle says, run as a vendor would: by itself, without Détente."""
    (home / "verify.py").write_bytes(files["verify.py"])
    with zipfile.ZipFile(home / "evidence.zip", "w") as bundle:
        for name, content in files.items():
            bundle.writestr(name, content)
    done = subprocess.run(
        [sys.executable, "-I", "-S", "verify.py", "evidence.zip", *more],
        cwd=home, capture_output=True, text=True,
    )  # fmt: skip
    assert not done.stderr
    return done.returncode, done.stdout


def test_what_is_whole_passes(tmp_path: Path, taken: tuple[bytes, bytes]) -> None:
    """The bundle checks out, also against the checkpoint that the vendor kept from before."""
    (tmp_path / "kept").write_bytes(taken[1])
    code, said = checked(tmp_path, files_in(taken[0]), "--checkpoint", "kept")
    assert code == 0, said
    assert "CardPay promised 99.9%" in said
    assert "Whole, unchanged and signed." in said
    files = files_in(taken[0])
    assert sum(name.startswith("sheets/") for name in files) > 15
    assert sum(name.startswith("checkpoints/") for name in files) > 5


def _lines(files: Files) -> list[str]:
    return files["facts.jsonl"].decode().splitlines(keepends=True)


def _a_byte(files: Files) -> None:
    lines = _lines(files)
    down = next(n for n, line in enumerate(lines) if "watch.went_down" in line)
    lines[down] = lines[down].replace("cardpay", "cardpaY", 1)
    files["facts.jsonl"] = "".join(lines).encode()


def _swapped(files: Files) -> None:
    lines = _lines(files)
    (one, first), (two, second) = json.loads(lines[4]), json.loads(lines[7])
    lines[4], lines[7] = json.dumps([one, second]) + "\n", json.dumps([two, first]) + "\n"
    files["facts.jsonl"] = "".join(lines).encode()


def _dropped(files: Files) -> None:
    sheets = [line for line in _lines(files) if "watch.sheet_filed" in line]
    files["facts.jsonl"] = files["facts.jsonl"].replace(sheets[6].encode(), b"")


def _a_slot(files: Files) -> None:
    name = sorted(name for name in files if name.startswith("sheets/"))[3]
    files[name] = files[name].replace(b"ok", b"no", 1)


def _no_sheet(files: Files) -> None:
    del files[sorted(name for name in files if name.startswith("sheets/"))[3]]


def _a_hash(files: Files) -> None:
    files["leaves.bin"] = files["leaves.bin"][:64] + bytes(32) + files["leaves.bin"][96:]


def _cut_short(files: Files) -> None:
    files["leaves.bin"] = files["leaves.bin"][:-32]


def _another_number(files: Files) -> None:
    note = files["checkpoint"].decode().split("\n")
    files["checkpoint"] = "\n".join([note[0], str(int(note[1]) - 1), *note[2:]]).encode()


@pytest.mark.parametrize(
    ("spoil", "names"),
    [
        (_a_byte, "watch.went_down at position"),
        (_swapped, "it was moved"),
        (_dropped, "a sheet is missing just before position"),
        (_a_slot, "the sheet was changed"),
        (_no_sheet, "is missing"),
        (_a_hash, "not the ledger that was signed"),
        (_cut_short, "facts, the bundle lists"),
        (_another_number, "not signed by detente/sunny/side"),
    ],
)
def test_every_flaw_is_named(
    tmp_path: Path, taken: tuple[bytes, bytes], spoil: Callable[[Files], None], names: str
) -> None:
    """A changed byte, a dropped or moved fact, a missing sheet: found, and the place is told."""
    files = files_in(taken[0])
    spoil(files)
    code, said = checked(tmp_path, files)
    assert code == 1
    assert names in said


def test_the_past_cannot_be_written_anew(tmp_path: Path, taken: tuple[bytes, bytes]) -> None:
    """A checkpoint of another ledger is not a beginning of this one."""
    kept = taken[1].decode().split("\n")
    (tmp_path / "kept").write_text("\n".join([*kept[:2], "A" * 43 + "=", *kept[3:]]))
    code, said = checked(tmp_path, files_in(taken[0]), "--checkpoint", "kept")
    assert code == 1
    assert "your checkpoint" in said


def test_what_is_no_bundle_is_said_to_be_none(tmp_path: Path) -> None:
    """A file of another kind ends with 2 and a sentence."""
    code, said = checked(tmp_path, {"verify.py": files_in_source()})
    assert code == 2
    assert said.startswith("This cannot be checked")


def files_in_source() -> bytes:
    from detente.sla.engine import verifier

    return Path(verifier.__file__).read_bytes()
