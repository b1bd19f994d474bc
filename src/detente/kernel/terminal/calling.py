"""Where is the node that runs, and what does it answer?

A running node leaves a note beside its ledger: where its pages are, and which process it is. Commands
read it, so they find the node wherever it was told to listen, and never take another one for it.
"""

from __future__ import annotations

import http.client
import os
import secrets
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from detente.kernel.clock import Seconds
from detente.kernel.fact import Subject
from detente.kernel.forms import BadForm
from detente.kernel.ledger import beside
from detente.kernel.slice import NotFound, Refused

_PATIENCE: Seconds = 10.0
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # listening everywhere includes here


class NoNode(Exception):
    """No node is running here; the message says so for this ledger."""


class Troubled(Exception):
    """A node answers, but not as it should; the message is what it says."""


class Happened(msgspec.Struct, frozen=True):
    """One fact that a lever made."""

    name: str
    about: Subject
    says: str


class Outcome(msgspec.Struct, frozen=True):
    """What pulling a lever did, as the node answers it."""

    about: Subject
    position: int
    facts: tuple[Happened, ...]


class Note(msgspec.Struct, frozen=True):
    """What a running node leaves beside its ledger."""

    host: str
    port: int
    pid: int
    machine: str


def note_of(ledger: Path) -> Path:
    return beside(ledger, "node")


def leave_note(ledger: Path, host: str, port: int) -> None:
    """Say where the pages are; written whole or not at all."""
    note = Note(_ANYWHERE.get(host, host), port, os.getpid(), socket.gethostname())
    path = note_of(ledger)
    beside = path.with_name(path.name + ".new")
    beside.write_bytes(msgspec.json.encode(note))
    beside.replace(path)


def take_note_away(ledger: Path) -> None:
    """Only our own: another node may have come meanwhile."""
    note = _note(ledger)
    if note is not None and note.pid == os.getpid():
        note_of(ledger).unlink(missing_ok=True)


def _note(ledger: Path) -> Note | None:
    """What the node wrote, unless its process has ended since."""
    with suppress(OSError, msgspec.MsgspecError):
        note = msgspec.json.decode(note_of(ledger).read_bytes(), type=Note)
        if note.machine != socket.gethostname() or Path(f"/proc/{note.pid}").exists():
            return note
    return None


class Caller:
    """Talks to the node that keeps this ledger."""

    def __init__(self, ledger: Path) -> None:
        self._ledger = ledger

    def get(self, path: str, query: Mapping[str, str] | None = None) -> bytes:
        """The JSON twin of the page at that path. Raises NoNode, NotFound, Troubled."""
        twin = "/now.json" if path == "/" else f"{quote(path, safe='/%')}.json"
        return _ask(self._running(), "GET", twin + (f"?{urlencode(query)}" if query else ""))

    def fetch(self, path: str, query: Mapping[str, str] | None = None) -> bytes:
        """What stands at that address, as it is. Raises NoNode, NotFound, Refused, Troubled."""
        asked = quote(path, safe="/%") + (f"?{urlencode(query)}" if query else "")
        return _ask(self._running(), "GET", asked)

    def pull(self, lever: str, said: Mapping[str, Any], *, who: str) -> bytes:
        """Pull a lever, once. Raises NoNode, NotFound, Refused, BadForm, Troubled."""
        body = msgspec.json.encode({**said, "once": secrets.token_hex(8)})
        return self.post(f"/levers/{lever}", body, who=who)

    def post(self, path: str, body: bytes, *, who: str, patience: Seconds = _PATIENCE) -> bytes:
        """Send this to one of the node's addresses for programs, with its token.

        Raises NoNode, NotFound, Refused, BadForm, Troubled.
        """
        note = self._running()
        headers: dict[str, str | bytes] = {
            "Authorization": f"Bearer {self._token()}",
            "Content-Type": "application/json",
            "X-Detente-Who": " ".join(who.split()).encode(),
        }
        return _ask(note, "POST", path, body, headers, patience)

    def _running(self) -> Note:
        note = _note(self._ledger)
        if note is None:
            raise NoNode(f"No node is running for {self._ledger}.")
        return note

    def _token(self) -> str:
        path = beside(self._ledger, "token")
        try:
            return path.read_text().strip()
        except OSError as error:
            raise Troubled(
                f"{path} cannot be read ({error.strerror}), and the node asks for what stands in it. "
                "Run this as the user that runs the node."
            ) from None


def _ask(
    note: Note,
    method: str,
    target: str,
    body: bytes | None = None,
    headers: Mapping[str, str | bytes] | None = None,
    patience: Seconds = _PATIENCE,
) -> bytes:
    where = f"{note.host}:{note.port}"
    connection = http.client.HTTPConnection(note.host, note.port, timeout=patience)
    try:
        connection.request(method, target, body, {"Accept": "application/json", **(headers or {})})
        answer = connection.getresponse()
        return _judged(answer.status, answer.read(), where)
    except ConnectionRefusedError:
        raise NoNode(f"The node at {where} has gone.") from None
    except TimeoutError:
        raise Troubled(
            f"The node at {where} (process {note.pid}) has not answered for {patience:g} s. "
            "Look at its log, or start it again."
        ) from None
    except (OSError, http.client.HTTPException) as error:
        raise Troubled(f"The node at {where} broke off: {error}. Look at its log.") from None
    finally:
        connection.close()


class _Wrong(msgspec.Struct):
    error: str


def _judged(status: int, body: bytes, where: str) -> bytes:
    if status == 200:
        return body
    try:
        says = msgspec.json.decode(body, type=_Wrong).error
    except msgspec.MsgspecError:
        says = f"What listens at {where} does not answer like a node of Détente (HTTP {status})."
    raise {404: NotFound, 409: Refused, 400: BadForm}.get(status, Troubled)(says)
