"""How is a checkpoint signed, so that others can check it with their own tools?

A C2SP signed note with an Ed25519 key: the text, an empty line, and a line that names the signer.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from detente.sla.engine.verifier import key_id


class Signer:
    """A key and the name under which it signs. `seed`: 32 bytes."""

    def __init__(self, name: str, seed: bytes) -> None:
        self.name = name
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    @property
    def verifier_key(self) -> str:
        """What others need to check the signature: `name+id+base64`."""
        coded = base64.b64encode(b"\x01" + self.public).decode()
        return f"{self.name}+{key_id(self.name, self.public).hex()}+{coded}"

    def checkpoint(self, size: int, root: bytes) -> str:
        """The signed note: so many facts, with this root."""
        return self._signed(f"{self.name}\n{size}\n{base64.b64encode(root).decode()}\n")

    def manifest(self, files: Mapping[str, bytes]) -> str:
        """The signed note: these files and no others, each with its SHA-256."""
        lines = [f"{hashlib.sha256(files[name]).hexdigest()} {name}\n" for name in sorted(files)]
        return self._signed(f"{self.name} manifest\n{''.join(lines)}")

    def _signed(self, text: str) -> str:
        blob = key_id(self.name, self.public) + self._key.sign(text.encode())
        return f"{text}\n\u2014 {self.name} {base64.b64encode(blob).decode()}\n"
