"""Proofs over a list of hashes: our own, and those of the conformance suite."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detente.sla.engine.merkle import Frontier, consistency, inclusion
from detente.sla.engine.note import Signer
from detente.sla.engine.verifier import (
    Flaw,
    is_consistent,
    leaf_hash,
    open_note,
    read_checkpoint,
    read_key,
    root_by_inclusion,
    root_of,
)

SUITE = Path(__file__).parents[3] / "shared" / "suites" / "merkle"
VECTORS = sorted(SUITE.rglob("*.json"))

sizes = st.integers(1, 70)


def leaves(size: int) -> list[bytes]:
    return [leaf_hash(f"fact {number}".encode()) for number in range(size)]


@given(sizes, st.data())
def test_a_leaf_leads_to_the_root(size: int, data: st.DataObject) -> None:
    """The proof of any leaf gives the root, and no other leaf or place does."""
    tree, index = leaves(size), data.draw(st.integers(0, size - 1))
    proof = inclusion(tree, index)
    assert root_by_inclusion(index, size, tree[index], proof) == root_of(tree)
    assert root_by_inclusion(index, size, leaf_hash(b"another"), proof) != root_of(tree)
    assert root_by_inclusion(index, size, tree[index], [*proof, proof[0] if proof else b""]) is None


@given(sizes, st.data())
def test_a_beginning_is_shown_to_be_one(size: int, data: st.DataObject) -> None:
    """The proof holds for the real beginning and not for a changed one."""
    tree, begun = leaves(size), data.draw(st.integers(1, size))
    proof = consistency(tree, begun)
    first, whole = root_of(tree[:begun]), root_of(tree)
    assert is_consistent(begun, size, first, whole, proof)
    assert not is_consistent(begun, size, leaf_hash(first), whole, proof)


@given(st.integers(0, 70))
def test_the_frontier_knows_the_root(size: int) -> None:
    """Grown leaf by leaf or taken at once, the root is the same."""
    frontier = Frontier()
    for leaf in leaves(size):
        frontier.add(leaf)
    assert (frontier.size, frontier.root) == (size, root_of(leaves(size)))


def test_the_roots_of_the_standard() -> None:
    """The empty tree has the hash of nothing."""
    assert root_of([]).hex().startswith("e3b0c44298fc1c14")


@pytest.mark.suite
@pytest.mark.skipif(not VECTORS, reason=f"wants the Merkle vectors at {SUITE}")
def test_the_conformance_suite() -> None:
    """Every inclusion and consistency proof is taken or refused as it says."""
    wrong = []
    for path in VECTORS:
        said = json.loads(path.read_text())
        if _holds(said) == said["wantErr"]:
            wrong.append(f"{path.relative_to(SUITE)}: {said['desc']}")
    assert not wrong
    assert len(VECTORS) > 190


def _holds(said: dict[str, object]) -> bool:
    def blob(name: str) -> bytes:
        return base64.b64decode(str(said[name] or ""))

    proof = [base64.b64decode(each) for each in said["proof"] or ()]  # type: ignore[attr-defined]
    if "leafIdx" in said:
        index, size = int(str(said["leafIdx"])), int(str(said["treeSize"]))
        return root_by_inclusion(index, size, blob("leafHash"), proof) == blob("root")
    size1, size2 = int(str(said["size1"])), int(str(said["size2"]))
    return is_consistent(size1, size2, blob("root1"), blob("root2"), proof)


def test_a_signed_checkpoint() -> None:
    """What we sign opens with our key alone, and not once a byte is changed."""
    signer = Signer("shop.example/ledger", bytes(range(32)))
    note = signer.checkpoint(7, root_of(leaves(7)))
    name, public = read_key(signer.verifier_key)
    assert read_checkpoint(open_note(note, name, public)) == (name, 7, root_of(leaves(7)))
    with pytest.raises(Flaw, match="not signed"):
        open_note(note.replace("\n7\n", "\n8\n"), name, public)
    stranger = Signer("shop.example/ledger", bytes(32))
    with pytest.raises(Flaw, match="not signed"):
        open_note(note, name, stranger.public)
    with pytest.raises(Flaw, match="damaged"):
        read_key(signer.verifier_key[:-4] + "AAAA")
