"""Do the settings fit their structs as they are?

The quick way in, taken by every file without mistakes: no schema, no explanations, only yes (here
they are) or no. Beside it, on the same walk through the types: which parts of a file may be secrets
and are therefore never shown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path as File
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from detente.kernel.config.schema import NAME, is_named
from detente.kernel.config.values import BETWEEN, Amount, Place, Secret, read_within, spelling
from detente.kernel.config.words import Path
from detente.kernel.money import Money

T = TypeVar("T", bound=msgspec.Struct)

_NAME = re.compile(NAME)


class Unfit(ValueError):
    """They do not fit, at least at `path`."""

    def __init__(self, path: Path, says: str) -> None:
        super().__init__(says)
        self.path = path


def fit(
    value: Any,
    settings: type[T],
    info: inspect.Type,
    environ: Mapping[str, str] | None,
    beside: File | None,
) -> T:
    """The settings as structs. Raises Unfit."""
    try:
        return msgspec.convert(_mould(value, info), settings, dec_hook=_reader(environ, beside))
    except msgspec.ValidationError as error:
        says, _, where = str(error).rpartition(" - at `")
        raise Unfit(_steps(where), _plainly(says or str(error))) from None
    except ValueError as error:
        raise Unfit((), str(error)) from None


def _reader(environ: Mapping[str, str] | None, beside: File | None) -> Callable[[type, Any], Any]:
    def read(cls: type, written: Any) -> Any:
        own = spelling(cls)
        if own is None:
            raise ValueError(f"{cls.__name__} has no spelling")
        value = own.read(written)
        return value.within(environ, beside) if isinstance(value, (Place, Secret)) else value

    return read


def _plainly(says: str) -> str:
    """The sentence of a struct's own check as it is; what msgspec says about dates in our words."""
    if "RFC3339" not in says:
        return says
    if "datetime" in says:
        return "expected a moment such as 2026-05-31T21:00:00Z"
    return (
        f"expected {'a date such as 2026-05-31' if 'date' in says else 'a time such as 21:00:00'}"
    )


def _steps(where: str) -> Path:
    """'$.watch.checks[...]`' → ('watch', 'checks'): as far as it can be told."""
    steps: list[str | int] = []
    for word, index in re.findall(r"\.([^.\[\]`]+)|\[(\d+|\.\.\.)\]", where):
        if index == "...":
            break
        steps.append(int(index) if index else word)
    return tuple(steps)


def bare(info: inspect.Type) -> inspect.Type:
    while isinstance(info, inspect.Metadata):
        info = info.type
    return info


def _mould(value: Any, info: inspect.Type) -> Any:
    """Check what msgspec does not (names, keys nobody knows) and read what it cannot (money)."""
    bounds = _bounds(info)
    info = bare(info)
    if isinstance(info, inspect.UnionType):
        info = option(value, info) or info
    own = spelling(getattr(info, "cls", object)) if bounds and value is not None else None
    if own is not None:
        read_within(own, value, bounds)
    match info:
        case inspect.StructType(cls=cls) if cls is Money:
            return msgspec.to_builtins(Amount.read(value))
        case inspect.StructType():
            types = fields(info)
            if not isinstance(value, dict) or not value.keys() <= types.keys():
                raise Unfit((), "does not fit")
            return {key: _mould(each, types[key]) for key, each in value.items()}
        case inspect.DictType() if isinstance(value, dict):
            if is_named(info.value_type) and not all(map(_NAME.match, value)):
                raise Unfit((), "does not fit")
            return {key: _mould(each, info.value_type) for key, each in value.items()}
        case inspect.CollectionType() if isinstance(value, list):
            return [_mould(each, info.item_type) for each in value]
        case inspect.TupleType() if isinstance(value, list):
            each_type = [*info.item_types, *[inspect.AnyType()] * len(value)]
            return [_mould(each, own) for each, own in zip(value, each_type, strict=False)]
    return value


def _bounds(info: inspect.Type) -> list[str] | None:
    extra = info.extra_json_schema if isinstance(info, inspect.Metadata) else None
    return (extra or {}).get(BETWEEN)


def fields(info: inspect.StructType) -> dict[str, inspect.Type]:
    """The type of each key."""
    own = {field.encode_name: field.type for field in info.fields}
    return own if info.tag_field is None else {info.tag_field: inspect.AnyType(), **own}


def option(value: Any, union: inspect.UnionType) -> inspect.Type | None:
    """The branch of a union that a value is meant for, if one can tell."""
    options = [bare(each) for each in union.types]
    structs = [each for each in options if isinstance(each, inspect.StructType)]
    if isinstance(value, dict):
        for each in structs:
            if each.tag_field is not None and value.get(each.tag_field) == each.tag:
                return each
    real = [each for each in options if not isinstance(each, inspect.NoneType)]
    return real[0] if len(real) == 1 and value is not None else None


def hidden(value: Any, info: inspect.Type, path: Path = ()) -> Iterator[Path]:
    """Where secrets stand, or may stand: all of it below these keys is never shown."""
    info = bare(info)
    if isinstance(info, inspect.UnionType) and value is not None:
        chosen = option(value, info)
        if chosen is None and holds_secret(info):
            yield path
            return
        info = chosen or info
    match info:
        case inspect.CustomType(cls=cls) if issubclass(cls, Secret):
            if not _refers(value, cls):
                yield path
        case inspect.StructType() if isinstance(value, dict):
            types = fields(info)
            for key, each in value.items():
                if key in types:
                    yield from hidden(each, types[key], (*path, key))
                else:
                    yield (*path, key)  # it may be the misspelt name of a secret
        case inspect.DictType() if isinstance(value, dict):
            for key, each in value.items():
                yield from hidden(each, info.value_type, (*path, key))
        case inspect.CollectionType() if isinstance(value, list):
            for index, each in enumerate(value):
                yield from hidden(each, info.item_type, (*path, index))
        case inspect.TupleType() if isinstance(value, list):
            for index, each in enumerate(value):
                if index < len(info.item_types):
                    yield from hidden(each, info.item_types[index], (*path, index))
                elif holds_secret(info):
                    yield (*path, index)
        case _ if value is not None and holds_secret(info):
            yield path


def _refers(value: Any, cls: type[Secret]) -> bool:
    """Does it only say where the secret is? That may be shown; anything else may be the secret."""
    if not isinstance(value, Mapping):
        return False
    try:
        cls.read(value)
    except ValueError:
        return False
    return True


def holds_secret(info: inspect.Type) -> bool:
    """Is there a secret anywhere in values of this type?"""
    return any(secret_names(info, "", set()))


def secret_names(info: inspect.Type, name: str, seen: set[type]) -> Iterator[str]:
    """The names of the fields that hold secrets, however deep ('-' if it has none)."""
    info = bare(info)
    match info:
        case inspect.CustomType(cls=cls) if issubclass(cls, Secret):
            yield name or "-"
        case inspect.StructType() if info.cls not in seen:
            seen.add(info.cls)
            for field in info.fields:
                yield from secret_names(field.type, field.encode_name, seen)
        case inspect.DictType():
            yield from secret_names(info.value_type, name, seen)
        case inspect.CollectionType():
            yield from secret_names(info.item_type, name, seen)
        case inspect.TupleType():
            for each in info.item_types:
                yield from secret_names(each, name, seen)
        case inspect.UnionType():
            for each in info.types:
                yield from secret_names(each, name, seen)
