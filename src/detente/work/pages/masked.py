"""What may people see of what was asked and answered on a route?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress

import msgspec

from detente.kernel import masking
from detente.kernel.config import SecretMissing
from detente.kernel.node import Node
from detente.work.settings import Work


class Masks(msgspec.Struct, frozen=True):
    """Covers what is declared secret there, our own keys in case the vendor says them back to us."""

    names: frozenset[str]
    secrets: Sequence[str]

    def body(self, content: bytes) -> str:
        return masking.body(content, self.names, self.secrets)

    def headers(self, pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
        return masking.headers(pairs, self.names, self.secrets)


def masks(node: Node, route: str) -> Masks:
    work = node.settings(Work)
    declared = work.routes[route].secret_headers.values() if route in work.routes else ()
    found = []
    for secret in declared:
        with suppress(SecretMissing):  # then nobody could say it back
            found.append(secret.reveal())
    return Masks(work.masked, tuple(found))
