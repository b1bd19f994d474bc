"""What can be found in a folder?"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec


class Place(msgspec.Struct, frozen=True):
    """Where something was found."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{printable(self.file)}, line {self.line}"


class Foreign(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody else's host that the project calls."""

    name: str
    title: str
    kind: str
    url: str  # scheme, host and port only
    test: bool  # their sandbox
    place: Place


class Own(msgspec.Struct, frozen=True, kw_only=True):
    """Something of our own that accepts connections: a database, a queue, a container, a site."""

    name: str
    title: str
    address: str  # host:port, or a URL
    place: Place


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    """How the project sends mail. The password is named, never read."""

    host: str
    port: int
    user: str | None
    password_env: str | None
    sender: str | None
    place: Place


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What a folder tells."""

    project: str
    author: str | None = None
    vendors: tuple[Foreign, ...] = ()
    services: tuple[Own, ...] = ()
    mail: Mail | None = None
    files: int = 0  # how many were read


def slug(text: str) -> str:
    """A name that can stand in `detente.yaml`: 'Acme Pay' → 'acme-pay'."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "here"


def free(name: str, taken: Iterable[str]) -> str:
    """The name itself, or with the first number behind it that nobody has."""
    taken = set(taken)
    numbered = (name if n == 1 else f"{name}-{n}" for n in range(1, len(taken) + 2))
    return next(each for each in numbered if each not in taken)


def is_mail(text: str) -> bool:
    return re.fullmatch(r"[\w.+-]+@[\w-]+(\.[\w-]+)+", text) is not None


def printable(text: str) -> str:
    """Without line breaks and the like, so that it cannot leave its comment."""
    return "".join(each if each.isprintable() else " " for each in text)
