"""How is a checkpoint signed, so that others can check it with their own tools?

A C2SP signed note with an Ed25519 key: the text, an empty line, and a line that names the signer.
"""

from __future__ import annotations

import base64

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
        text = f"{self.name}\n{size}\n{base64.b64encode(root).decode()}\n"
        blob = key_id(self.name, self.public) + self._key.sign(text.encode())
        return f"{text}\n\u2014 {self.name} {base64.b64encode(blob).decode()}\n"
