"""How do people write a length of time, a share, a price, an address, a secret?

Each type here reads what stands in `detente.yaml` (`Duration.read("1m30s")`) and raises ValueError
with a sentence that says what to write instead. Any class with the members of `Spelled` may be the
type of a settings field, so a slice can bring spellings of its own.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self, TypeGuard, cast, runtime_checkable
from urllib.parse import urlsplit

import msgspec

from detente.kernel.config.words import found
from detente.kernel.money import Money, money


@runtime_checkable
class Spelled(Protocol):
    """A type that people write in a spelling of its own."""

    shape: ClassVar[dict[str, Any]]
    """The spelling as JSON Schema, so that editors know it."""

    @classmethod
    def read(cls, written: Any) -> Any:
        """What was meant. Raises ValueError with the sentence a person reads."""
        ...


def _is_number(written: Any) -> TypeGuard[float]:
    return isinstance(written, (int, float)) and not isinstance(written, bool)


def _text(written: Any, wanted: str) -> str:
    """What was written, without blanks around it, if it is a text."""
    if isinstance(written, str):
        return written.strip()
    raise ValueError(f"expected {wanted}, found {found(written)}")


_UNITS = {"d": Decimal(86_400), "h": Decimal(3600), "m": Decimal(60), "s": Decimal(1)}
_UNITS["ms"] = Decimal("0.001")
_NUMBER = r"[0-9]{1,9}(?:\.[0-9]{1,9})?"
_DURATION = "^(?=.)" + "".join(f"(?:{_NUMBER}{unit}(?![a-z]))?" for unit in _UNITS) + "$"
_PART = re.compile(f"({_NUMBER})([a-z]+)")
_LOOSE = re.compile(rf"({_NUMBER})\s*([a-zA-Z]+)\s*")


class Duration(float):
    """A length of time in seconds, written `10s`, `250ms`, `5m`, `2h`, `7d`, `1m30s`."""

    __slots__ = ()
    shape: ClassVar[dict[str, Any]] = {
        "type": "string",
        "pattern": _DURATION,
        "examples": ["10s", "250ms", "5m", "1m30s"],
    }

    @classmethod
    def read(cls, written: Any) -> Self:
        if _is_number(written):
            example = f"{written}s" if written > 0 else "10s"
            raise ValueError(f"{written} of what? say the unit, for example {example}")
        text = _text(written, "a length of time such as 10s")
        if not re.search(_DURATION, text):
            raise ValueError(_meant_duration(text))
        return cls(sum(Decimal(number) * _UNITS[unit] for number, unit in _PART.findall(text)))

    def __str__(self) -> str:
        rest, parts = Decimal(repr(float(self))), []
        for unit in ("d", "h", "m"):
            count, rest = divmod(rest, _UNITS[unit])
            parts += [f"{count:f}{unit}"] if count else []
        if 0 < rest < 1 and not parts and rest % _UNITS["ms"] == 0:
            return f"{int(rest / _UNITS['ms'])}ms"
        return "".join([*parts, f"{rest.normalize():f}s"] if rest or not parts else parts)

    def __repr__(self) -> str:
        return f"Duration({str(self)!r})"


_SPOKEN = {
    word: unit
    for unit, words in {
        "ms": "ms msec msecs millisecond milliseconds",
        "s": "s sec secs second seconds",
        "m": "m min mins minute minutes",
        "h": "h hr hrs hour hours",
        "d": "d day days",
    }.items()
    for word in words.split()
}


def _meant_duration(text: str) -> str:
    """'10 seconds' → 'write 10s'."""
    if text.startswith("-"):
        return "a length of time cannot be negative"
    if re.fullmatch(_NUMBER, text):
        return f"{text} of what? say the unit, for example {text}s"
    parts = [(number, _SPOKEN.get(unit.lower())) for number, unit in _LOOSE.findall(text)]
    short = "".join(f"{number}{unit}" for number, unit in parts)
    if not _LOOSE.sub("", text) and re.search(_DURATION, short):
        return f"expected a length of time such as 10s, found {found(text)}; write {short}"
    return f"expected a length of time such as 10s, 5m or 1m30s, found {found(text)}"


class Percent(float):
    """A share between 0 and 1, written `99.9%`."""

    __slots__ = ()
    shape: ClassVar[dict[str, Any]] = {
        "type": "string",
        "pattern": r"^(?:100(?:\.0{1,12})?|[0-9]{1,2}(?:\.[0-9]{1,12})?) ?%$",
        "examples": ["99.9%", "5%"],
    }

    @classmethod
    def read(cls, written: Any) -> Self:
        if _is_number(written):
            raise ValueError(f"expected a percentage, found {written}; {_with_sign(written)}")
        text = _text(written, "a percentage such as 99.9%")
        if not re.search(cls.shape["pattern"], text):
            raise ValueError(f"expected a percentage from 0% to 100%, found {found(text)}")
        return cls(Decimal(text.rstrip("% ")) / 100)

    def __str__(self) -> str:
        return f"{(Decimal(repr(float(self))) * 100).normalize():f}%"

    def __repr__(self) -> str:
        return f"Percent({str(self)!r})"


def _with_sign(number: float) -> str:
    if 1 < number <= 100:
        return f"write {number}%"
    if 0 < number < 1:
        return f"write {Percent(number)}"
    return "write it with its sign, for example 99.9%"


class SecretMissing(Exception):
    """The secret is not where the configuration says it is; the message names the place."""


_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DOLLAR = re.compile(r"\$\{?([A-Z_][A-Z0-9_]*)\}?")


class Secret:
    """A password or key, never written down here: `{env: NAME}` or `{file: path}` says where it is."""

    __slots__ = ("_beside", "_environ", "env", "file")
    shape: ClassVar[dict[str, Any]] = {
        "type": "object",
        "properties": {
            "env": {"type": "string", "description": "The environment variable that holds it."},
            "file": {"type": "string", "description": "The file that holds it."},
        },
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": False,
        "examples": [{"env": "CARDPAY_KEY"}, {"file": "/run/secrets/cardpay-key"}],
    }

    def __init__(
        self,
        *,
        env: str | None = None,
        file: str | None = None,
        environ: Mapping[str, str] | None = None,
        beside: Path | None = None,
    ) -> None:
        if (env is None) == (file is None):
            raise ValueError("a secret is either in the environment or in a file")
        self.env = env
        self.file = file
        self._environ = environ
        self._beside = beside

    @classmethod
    def read(cls, written: Any) -> Self:
        keys = written if isinstance(written, Mapping) else {}
        if len(keys) != 1 or not keys.keys() <= _PLACES:
            raise ValueError(_refer(written))
        ((place, where),) = keys.items()
        if place == "env" and not (isinstance(where, str) and _VARIABLE.fullmatch(where)):
            raise ValueError("env takes the name of an environment variable, such as CARDPAY_KEY")
        if not isinstance(where, str) or not where.strip() or "\0" in where:
            raise ValueError("file takes a path, such as /run/secrets/cardpay-key")
        return cls(env=where) if place == "env" else cls(file=where)

    def within(self, environ: Mapping[str, str] | None, beside: Path | None) -> Self:
        """The same reference, looked up there; paths are relative to the file that names them."""
        return type(self)(env=self.env, file=self.file, environ=environ, beside=beside)

    def reveal(self) -> str:
        """The secret itself. Raises SecretMissing."""
        if self.env is not None:
            environ = os.environ if self._environ is None else self._environ
            if not environ.get(self.env):
                raise SecretMissing(
                    f"the environment variable {self.env} is not set; set it to the secret"
                )
            return environ[self.env].rstrip("\r\n")
        path = (self._beside or Path()) / Path(str(self.file)).expanduser()
        try:
            return path.read_text("utf-8").rstrip("\r\n")
        except OSError as error:
            raise SecretMissing(
                f"no secret can be read from {path}: {(error.strerror or 'it failed').lower()}"
            ) from None
        except UnicodeDecodeError:
            raise SecretMissing(f"the secret in {path} is not text in UTF-8") from None

    def __str__(self) -> str:
        place, where = ("env", self.env) if self.env is not None else ("file", self.file)
        return f"(secret from {place} {where})"

    __repr__ = __str__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and (self.env, self.file) == (other.env, other.file)

    def __hash__(self) -> int:
        return hash((self.env, self.file))


class Webhook(Secret):
    """Where a program takes JSON by POST. As good as a password: never shown, and best not written here.

    Written as `{env: NAME}` or `{file: path}` like every secret, or as the address itself.
    """

    __slots__ = ("_written",)
    shape: ClassVar[dict[str, Any]] = {
        "anyOf": [{"type": "string", "format": "uri"}, Secret.shape],
        "examples": ["https://chat.example.com/hooks/ops", {"env": "OPS_CHAT"}],
    }

    def __init__(self, *, written: str | None = None, **where: Any) -> None:
        self._written = written
        if written is None:
            super().__init__(**where)
        else:
            self.env = self.file = self._environ = self._beside = None

    @classmethod
    def read(cls, written: Any) -> Self:
        if isinstance(written, Mapping):
            return super().read(written)
        try:
            return cls(written=str(Url.read(written)))
        except ValueError:  # it may hold a password, so the sentence does not repeat it
            raise ValueError(
                "expected an address that starts with https:// or http://, or where to find it:"
                " {env: NAME} or {file: path}"
            ) from None

    def within(self, environ: Mapping[str, str] | None, beside: Path | None) -> Self:
        return self if self._written is not None else super().within(environ, beside)

    def reveal(self) -> str:
        return super().reveal() if self._written is None else self._written

    @property
    def host(self) -> str:
        """Whose it is, which is no secret; nothing if it cannot be found out."""
        try:
            return urlsplit(self.reveal()).hostname or ""
        except (SecretMissing, ValueError):
            return ""

    def __str__(self) -> str:
        return f"(webhook at {self.host})" if self._written is not None else super().__str__()

    __repr__ = __str__

    def __eq__(self, other: object) -> bool:
        return super().__eq__(other) and self._written == getattr(other, "_written", None)

    def __hash__(self) -> int:
        return hash((self.env, self.file, self._written))


def secrets_in(settings: Any) -> Iterator[Secret]:
    """Every secret that these settings refer to, however deep."""
    match settings:
        case Secret():
            yield settings
        case Mapping():
            for each in settings.values():
                yield from secrets_in(each)
        case tuple() | list():
            for each in settings:
                yield from secrets_in(each)
        case msgspec.Struct():
            for name in settings.__struct_fields__:
                yield from secrets_in(getattr(settings, name))


_PLACES = {"env", "file"}
_HOW_TO_REFER = "written as where to find it: {env: NAME} or {file: path}"


def _refer(written: Any) -> str:
    """How to refer to it. What was written may be the secret itself, so it is not repeated."""
    if not isinstance(written, str):
        return f"a secret is {_HOW_TO_REFER}"
    if named := _DOLLAR.fullmatch(written.strip()):
        return f"nothing is filled in for a dollar sign here; write {{env: {named[1]}}}"
    return f"a secret never stands in this file; it is {_HOW_TO_REFER}"


_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_.])?")
_IPV6 = re.compile(r"\[[0-9A-Fa-f:.]{2,45}\]")


class Address(str):
    """Where a TCP connection goes, written `cardpay.example:443` or `"[::1]:80"`."""

    __slots__ = ()
    shape: ClassVar[dict[str, Any]] = {
        "type": "string",
        "pattern": r"^(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+):[0-9]{1,5}$",
        "examples": ["cardpay.example:443", "[::1]:80"],
    }

    @classmethod
    def read(cls, written: Any) -> Self:
        if isinstance(written, list):
            wanted = 'an address such as "[::1]:80", in quotes'
            return cls(_text(written, wanted))
        text = _text(written, "an address such as cardpay.example:443")
        host, colon, port = text.rpartition(":")
        if "//" in text:
            raise ValueError("expected host and port without scheme, such as cardpay.example:443")
        if not colon or not port or (":" in host and not host.startswith("[")):
            raise ValueError(f"{found(text)} lacks a port; write it like cardpay.example:443")
        if not port.isascii() or not port.isdigit() or not 0 < int(port[:6]) < 65_536:
            raise ValueError(f"{found(port)} is not a port; ports are numbers from 1 to 65535")
        if not (_ipv6(host) if host.startswith("[") else _HOST.fullmatch(host)):
            raise ValueError(f"{found(host)} is not a host name or address")
        return cls(text)

    @property
    def host(self) -> str:
        return self.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        return int(self.rpartition(":")[2])


def _ipv6(host: str) -> bool:
    import ipaddress

    try:
        return bool(_IPV6.fullmatch(host)) and ipaddress.ip_address(host[1:-1]).version == 6
    except ValueError:
        return False


class Url(str):
    """A web address with scheme and host.

    Subclasses may allow other `schemes`.
    """

    __slots__ = ()
    schemes: ClassVar[tuple[str, ...]] = ("http", "https")
    shape: ClassVar[dict[str, Any]] = {
        "type": "string",
        "format": "uri",
        "examples": ["https://cardpay.example/health"],
    }

    @classmethod
    def read(cls, written: Any) -> Self:
        example = f"{cls.schemes[-1]}://cardpay.example/health"
        text = _text(written, f"a URL such as {example}")
        try:
            parts = urlsplit(text)
            host, _ = parts.hostname, parts.port
        except ValueError:
            raise ValueError(f"{found(text)} is not a URL; write it like {example}") from None
        if parts.scheme.lower() not in cls.schemes or "//" not in text:
            allowed = " or ".join(f"{scheme}://" for scheme in cls.schemes)
            raise ValueError(
                f"{found(text)} does not start with {allowed}; write it like {example}"
            )
        if not host:
            raise ValueError(f"{found(text)} names no host; write it like {example}")
        if re.search(r"[\s\x00-\x1f<>\"]", text):
            raise ValueError("a URL has no spaces or quotes in it; write %20 for a space")
        return cls(text)


class Place(str):
    """A file or folder on this machine; relative ones are looked up beside `detente.yaml`."""

    __slots__ = ("_beside",)
    _beside: Path | None
    shape: ClassVar[dict[str, Any]] = {
        "type": "string",
        "examples": ["tests/acceptance", "/usr/bin/python3"],
    }

    @classmethod
    def read(cls, written: Any) -> Self:
        text = _text(written, "a path such as tests/acceptance")
        if not text or "\0" in text:
            raise ValueError("expected a path such as tests/acceptance, found nothing")
        return cls(text)

    def within(self, _environ: Mapping[str, str] | None, beside: Path | None) -> Self:
        """The same path, looked up there."""
        found = type(self)(self)
        found._beside = beside
        return found

    @property
    def home(self) -> Path:
        """Where it is looked up."""
        return (getattr(self, "_beside", None) or Path()).absolute()

    @property
    def path(self) -> Path:
        return self.home / Path(self).expanduser()


class Amount:
    """An amount of money, written `4000 EUR` or `19.90 EUR`."""

    shape: ClassVar[dict[str, Any]] = {
        "type": "string",
        "pattern": r"^-?[0-9]{1,15}(?:\.[0-9]{1,4})? [A-Z]{3}$",
        "examples": ["4000 EUR", "19.90 EUR"],
    }

    @classmethod
    def read(cls, written: Any) -> Money:
        if _is_number(written):
            raise ValueError(f"{written} of which currency? for example {written} EUR")
        text = _text(written, "an amount such as 19.90 EUR")
        if not re.search(cls.shape["pattern"], text):
            wanted = "an amount and its currency such as 19.90 EUR"
            raise ValueError(f"expected {wanted}, found {found(text)}")
        number, _, currency = text.partition(" ")
        return money(number, currency)


def spelling(cls: type) -> type[Spelled] | None:
    """Who reads values of this type, if it has a spelling of its own."""
    if cls is Money:
        return Amount
    return cast("type[Spelled]", cls) if isinstance(cls, Spelled) else None


BETWEEN = "x-between"


def between(least: str, most: str) -> msgspec.Meta:
    """Bounds, in the same spelling: `every: Annotated[Duration, between("1s", "1d")]`."""
    return msgspec.Meta(extra_json_schema={BETWEEN: [least, most]})


def read_within(own: type[Spelled], written: Any, bounds: list[str] | None) -> Any:
    """What was meant, if it is neither too small nor too large."""
    value = own.read(written)
    if bounds and not own.read(bounds[0]) <= value <= own.read(bounds[1]):
        raise ValueError(f"expected {bounds[0]} to {bounds[1]}, found {found(written)}")
    return value
