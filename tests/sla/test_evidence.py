"""Evidence that a vendor checks offline: what is whole passes, and every flaw is named."""

from __future__ import annotations

import base64
import hmac
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from detente.kernel.slice import Answered, Asked
from detente.sla.engine.note import Signer
from detente.sla.pages import ENDPOINTS
from detente.testing import World, simulate

DECLARED = """
name: Sunny Side
vendors: {cardpay: {title: CardPay}, mailer: {title: Mailer}}
watch:
  sheet: 30s
  checks:
    cardpay: {http: "http://cardpay.test/health", every: 5s, timeout: 2s}
    mailer: {http: "http://mailer.test/health", every: 5s, timeout: 2s}
sla:
  checkpoint_every: 60s
  promises: {uptime: {vendor: cardpay, target: 99.9%}}
"""

Files = dict[str, bytes]
SIGNER = Signer("detente/sunny/side", hmac.digest(b"", b"checkpoints", "sha256"))
"""The sender: a simulated node has no secret of its own."""


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
    assert "Whole and unchanged; it fits the key that came along" in said
    assert "Counted from the sheets: cardpay:" in said
    files = files_in(taken[0])
    assert sum(name.startswith("sheets/") for name in files) > 15
    assert sum(name.startswith("checkpoints/") for name in files) > 5


def key_of(files: Files) -> str:
    return str(json.loads(files["evidence.json"])["key"])


def test_the_right_key_is_enough_and_another_is_not(
    tmp_path: Path, taken: tuple[bytes, bytes]
) -> None:
    """With the sender's key it is signed by that key; with a stranger's it is not."""
    files = files_in(taken[0])
    code, said = checked(tmp_path, files, "--key", key_of(files))
    assert (code, "signed by the key you gave" in said) == (0, True), said
    stranger = Signer(key_of(files).partition("+")[0], bytes(32)).verifier_key
    code, said = checked(tmp_path, files, "--key", stranger)
    assert (code, "another key than the one you gave" in said) == (1, True)


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


def _sheets(files: Files) -> list[str]:
    return [line for line in _lines(files) if "watch.sheet_filed" in line]


def _dropped(files: Files) -> None:
    files["facts.jsonl"] = files["facts.jsonl"].replace(_sheets(files)[6].encode(), b"")


def _the_last(files: Files) -> None:
    for line in _sheets(files)[-8:]:
        files["facts.jsonl"] = files["facts.jsonl"].replace(line.encode(), b"")


def _all_of_them(files: Files) -> None:
    files["facts.jsonl"] = b""


def _a_sheet(files: Files) -> str:
    return sorted(name for name in files if name.startswith("sheets/"))[3]


def _a_slot(files: Files) -> None:
    sheet = json.loads(files[_a_sheet(files)])
    line = base64.b64decode(sheet["lines"]["cardpay"]).replace(b"ok", b"no", 1)
    sheet["lines"]["cardpay"] = base64.b64encode(line).decode()
    files[_a_sheet(files)] = json.dumps(sheet).encode()


def _a_tally(files: Files) -> None:
    sheet = json.loads(files[_a_sheet(files)])
    sheet["tallies"]["cardpay"] = sheet["tallies"]["cardpay"].replace(":6", ":5")
    files[_a_sheet(files)] = json.dumps(sheet).encode()


def _no_runs(files: Files) -> None:
    sheet = json.loads(files[_a_sheet(files)])
    files[_a_sheet(files)] = json.dumps({**sheet, "parts": [], "lines": {}}).encode()


def _no_sheet(files: Files) -> None:
    del files[_a_sheet(files)]


def _a_hash(files: Files) -> None:
    files["leaves.bin"] = files["leaves.bin"][:64] + bytes(32) + files["leaves.bin"][96:]


def _cut_short(files: Files) -> None:
    files["leaves.bin"] = files["leaves.bin"][:-32]


def _nonsense(files: Files) -> None:
    files["facts.jsonl"] += b'5\n[0,5]\n[0,"[]"]\n' + b"[" * 5_000 + b"\n"


SPOILT = [
    (_a_byte, "watch.went_down at position"),
    (_swapped, "it was moved"),
    (_dropped, "a sheet is missing"),
    (_the_last, "no sheet of the last"),
    (_all_of_them, "no sheet of the last"),
    (_a_slot, "the runs of cardpay are not those that were filed"),
    (_a_tally, "the tally of cardpay is not the one that was filed"),
    (_no_runs, "its runs are missing"),
    (_no_sheet, "it is missing"),
    (_a_hash, "not the ledger that was signed"),
    (_cut_short, "facts, the bundle lists"),
    (_nonsense, "it cannot be read"),
]


@pytest.mark.parametrize(("spoil", "names"), SPOILT)
def test_every_flaw_is_named_even_if_the_sender_made_it(
    tmp_path: Path, taken: tuple[bytes, bytes], spoil: Callable[[Files], None], names: str
) -> None:
    """A changed byte, a dropped or moved fact, a missing sheet: found though it was signed anew."""
    files = files_in(taken[0])
    spoil(files)
    del files["manifest"]
    files["manifest"] = SIGNER.manifest(files).encode()
    code, said = checked(tmp_path, files)
    assert code == 1
    assert names in said


def _the_sentence(files: Files) -> None:
    files["evidence.json"] = files["evidence.json"].replace(b"99.9%", b"99.8%", 1)


def _one_more(files: Files) -> None:
    files["letter.txt"] = b"We owe you nothing."


@pytest.mark.parametrize(
    ("spoil", "names"),
    [
        *((spoil, "it was changed") for spoil, _ in SPOILT if spoil is not _no_sheet),
        (_no_sheet, "it is missing"),
        (_the_sentence, "evidence.json: it was changed"),
        (_one_more, "letter.txt: it was put in afterwards"),
    ],
)
def test_nobody_on_the_way_changes_anything(
    tmp_path: Path, taken: tuple[bytes, bytes], spoil: Callable[[Files], None], names: str
) -> None:
    """Whoever has not the sender's key cannot change, add or take away a single file."""
    files = files_in(taken[0])
    spoil(files)
    code, said = checked(tmp_path, files)
    assert code == 1
    assert names in said


def test_a_manifest_of_ones_own_is_no_manifest(tmp_path: Path, taken: tuple[bytes, bytes]) -> None:
    """A list signed with another key under the same name, or none at all, ends with 2."""
    files = files_in(taken[0])
    name = key_of(files).partition("+")[0]
    for manifest in (Signer(name, bytes(32)).manifest(files), "nothing"):
        code, said = checked(tmp_path, {**files, "manifest": manifest.encode()})
        assert (code, "the manifest is not signed" in said) == (2, True)


def test_nobody_else_is_shown(taken: tuple[bytes, bytes]) -> None:
    """Another vendor's check runs in the same place: neither its name nor its runs are in there."""
    for name, content in files_in(taken[0]).items():
        assert b"mailer" not in content, name


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
