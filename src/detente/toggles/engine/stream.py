"""What does the node tell while we listen? Server-sent events, read with what Python brings."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import urlsplit

_LONGEST_LINE = 64 * 1024 * 1024


class Event(NamedTuple):
    """One event; `kind` is empty for a heartbeat."""

    kind: str = ""
    id: str = ""
    data: bytes = b""


class BadAnswer(Exception):
    """The node at {address} answered {status}."""

    def __init__(self, address: str, status: object) -> None:
        super().__init__((type(self).__doc__ or "").format(address=address, status=status))


class Line:
    """A line to the node. One thread uses and closes it, any other may cut it."""

    def __init__(self, address: str, *, timeout: float) -> None:
        self._address = address
        where = urlsplit(address)
        opened = (
            http.client.HTTPSConnection if where.scheme == "https" else http.client.HTTPConnection
        )
        self._connection = opened(where.hostname or "", where.port, timeout=timeout)
        self._path = where.path.rstrip("/")
        self._socket: socket.socket | None = None

    def events(self, path: str, headers: Mapping[str, str]) -> Iterator[Event]:
        """Raises OSError or HTTPException when the line breaks, and when it is silent too long."""
        self._open()
        self._connection.request("GET", self._path + path, headers=dict(headers))
        answer = self._connection.getresponse()
        if answer.status != 200:
            raise BadAnswer(self._address, answer.status)
        yield Event()
        yield from _read(answer)

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> int:
        """The answer's status."""
        self._open()
        self._connection.request("POST", self._path + path, body=body, headers=dict(headers))
        answer = self._connection.getresponse()
        answer.read()
        return answer.status

    def _open(self) -> None:
        self._connection.connect()
        self._socket = self._connection.sock

    def cut(self) -> None:
        """Whoever listens stops at once."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._connection.close()


def _read(answer: http.client.HTTPResponse) -> Iterator[Event]:
    fields: dict[str, list[bytes]] = {}
    while line := answer.readline(_LONGEST_LINE):
        line = line.rstrip(b"\r\n")
        if line.startswith(b":"):
            yield Event()
        elif line:
            name, _, value = line.partition(b":")
            fields.setdefault(name.decode("ascii", "replace"), []).append(value.removeprefix(b" "))
        elif fields:
            yield _event(fields)
            fields = {}


def _event(fields: Mapping[str, list[bytes]]) -> Event:
    kind = fields.get("event", [b"message"])[-1].decode("utf-8", "replace")
    name = fields.get("id", [b""])[-1].decode("utf-8", "replace")
    return Event(kind, name, b"\n".join(fields.get("data", [])))
