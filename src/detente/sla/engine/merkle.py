"""How is a long list of facts summed up in one hash that nobody can argue with?

A Merkle tree over the ledger, hashed by RFC 6962: its root changes when any fact is changed, dropped,
added or moved. `Frontier` grows with the ledger and knows the root at any time; `inclusion` and
`consistency` are the proofs of RFC 6962, section 2.1.
"""

from __future__ import annotations

from collections.abc import Sequence

from detente.sla.engine.verifier import joined, node_hash, root_of


class Frontier:
    """The whole subtrees at the right edge: enough to go on, and to know the root."""

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[bytes] = []

    def add(self, leaf: bytes) -> None:
        """One more leaf hash."""
        size = self.size
        while size & 1:
            leaf = node_hash(self._peaks.pop(), leaf)
            size >>= 1
        self._peaks.append(leaf)
        self.size += 1

    @property
    def root(self) -> bytes:
        return joined(self._peaks)


def inclusion(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The hashes that lead from the leaf at `index` to the root, nearest first."""
    if not 0 <= index < len(leaves):
        raise ValueError(f"there is no leaf {index} among {len(leaves)}")
    if len(leaves) == 1:
        return []
    half = _half(len(leaves))
    if index < half:
        return [*inclusion(leaves[:half], index), root_of(leaves[half:])]
    return [*inclusion(leaves[half:], index - half), root_of(leaves[:half])]


def consistency(leaves: Sequence[bytes], size: int) -> list[bytes]:
    """The hashes that show the tree of the first `size` leaves to be a beginning of this one."""
    if not 0 < size <= len(leaves):
        raise ValueError(f"there is no beginning of {size} among {len(leaves)}")
    return _consistent(leaves, size, whole=True)


def _consistent(leaves: Sequence[bytes], size: int, *, whole: bool) -> list[bytes]:
    if size == len(leaves):
        return [] if whole else [root_of(leaves)]
    half = _half(len(leaves))
    if size <= half:
        return [*_consistent(leaves[:half], size, whole=whole), root_of(leaves[half:])]
    return [*_consistent(leaves[half:], size - half, whole=False), root_of(leaves[:half])]


def _half(size: int) -> int:
    """The largest power of two below it."""
    return 1 << (size - 1).bit_length() - 1
