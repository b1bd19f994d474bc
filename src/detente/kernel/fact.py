"""What is a fact, and how is it written down?

A fact is something that happened, in the past tense, about one subject. Classes live in
`detente.facts`; their names on disk are given by hand (`@named("watch.went_down")`), because classes
move and a file stays. Only ever add fields, with defaults: every fact ever shipped has a sample in
`tests/facts/samples/` that must go on loading.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Literal, TypeVar

import msgspec

from detente.kernel.clock import Instant

Subject = str
"""What a fact is about, as `kind:name`: `check:cardpay`, `vendor:cardpay`, `call:01JD…`."""

Tone = Literal["good", "bad", "warn", "plain"]
"""How a fact reads at a glance. A word and a sign always go with the colour."""


class Fact(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that happened. Small, flat, frozen; time and position belong to the ledger."""

    about: Subject

    name: ClassVar[str]
    tone: ClassVar[Tone] = "plain"
    routine: ClassVar[bool] = False
    """Routine facts are counted, not told: timelines leave them out unless asked."""

    def says(self) -> str:
        """The fact as one plain sentence for both sides, without its subject."""
        raise NotImplementedError(f"{type(self).__name__} does not say what happened")


class Unknown(Fact, frozen=True, kw_only=True):
    """A fact whose name this version does not know: kept and shown, never dropped."""

    called: str
    body: bytes

    name: ClassVar[str] = "unknown"

    def says(self) -> str:
        return f"{self.called}, which this version of Détente cannot read"


class Unfit(ValueError):
    """A fact holds a number that cannot be kept; the message says where. Nothing was written."""


class Recorded(msgspec.Struct, frozen=True):
    """A fact in the ledger: where it stands, when it was written down, and who caused it."""

    position: int
    at: Instant
    by: str
    fact: Fact

    @property
    def name(self) -> str:
        return self.fact.called if isinstance(self.fact, Unknown) else self.fact.name

    @property
    def about(self) -> Subject:
        return self.fact.about


F = TypeVar("F", bound=type[Fact])

_classes: dict[str, type[Fact]] = {}
_decoders: dict[str, Callable[[bytes], Any]] = {}
_encoder = msgspec.json.Encoder()


def named(name: str) -> Callable[[F], F]:
    """Give a fact the name it has on disk, for good: `slice.past_tense`."""

    def register(cls: F) -> F:
        taken = _classes.get(name)
        if taken and (taken.__module__, taken.__qualname__) != (cls.__module__, cls.__qualname__):
            raise ValueError(f"two facts are called {name}: {_classes[name]} and {cls}")
        cls.name = name
        _classes[name] = cls
        _decoders[name] = msgspec.json.Decoder(cls).decode
        return cls

    return register


def known() -> dict[str, type[Fact]]:
    """Every fact this version can read, by its name on disk."""
    return dict(_classes)


def encode(fact: Fact) -> bytes:
    """The body as it stands on disk: JSON, so that people and other programs can read it."""
    if isinstance(fact, Unknown):
        return fact.body
    return _encoder.encode(fact)


def check(fact: Fact, body: bytes) -> None:
    """Raises Unfit for a number that the file or its rows could not hold. `body`: it, encoded."""
    if _suspect(body) and not isinstance(fact, Unknown):
        for where in _unfit("", msgspec.to_builtins(fact)):
            raise Unfit(
                f"{where}: no fact can hold this number; write one of at most {_DIGITS} digits."
                " Nothing was written down."
            )


_DIGITS = 18
_LONG = re.compile(rb"9[0-9]{18}").search  # moments are as long, and begin with 1
_LONGER = b"0" * 20
_AS_NOUGHTS = bytes.maketrans(b"123456789", b"0" * 9)


def _suspect(body: bytes) -> bool:
    """Every fact is asked, so this is quick: it only says where to look closely."""
    null = b"null" in body  # JSON has no other word for what is no number
    return null or _LONG(body) is not None or _LONGER in body.translate(_AS_NOUGHTS)


def _unfit(where: str, said: Any) -> Iterator[str]:
    """Where a whole number has more than 64 bits, or one with a point is none."""
    match said:
        case bool() | None | str():
            return
        case int() if not -(1 << 63) <= said < 1 << 63:
            yield where
        case float() if not math.isfinite(said):
            yield where
        case dict():
            for name, each in said.items():
                yield from _unfit(f"{where}.{name}".lstrip("."), each)
        case list() | tuple():
            for index, each in enumerate(said):
                yield from _unfit(f"{where}[{index}]", each)


def decode(name: str, body: bytes, about: Subject) -> Fact:
    """The fact again. An unknown name comes back as `Unknown`, never as an error."""
    read = _decoders.get(name)
    if read is None:
        return Unknown(about=about, called=name, body=body)
    fact: Fact = read(body)
    return fact


def kind(subject: Subject) -> str:
    """`check` of `check:cardpay`."""
    return subject.partition(":")[0]


def plain(subject: Subject) -> str:
    """`cardpay` of `check:cardpay`."""
    return subject.partition(":")[2]
