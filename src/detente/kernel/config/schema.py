"""What may people write in `detente.yaml`?

The settings of all slices as one JSON Schema (2020-12): what we check by is what editors complete
by. Docstrings become descriptions, defaults are shown the way people write them, keys nobody knows
are forbidden everywhere, and named entries have plain words for names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import inspect

from detente.kernel.config.values import BETWEEN, Spelled, spelling
from detente.kernel.money import Money

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$(?!\n)"
"""Names of entries become parts of addresses and of the ledger's subjects, so they are plain."""

SPELLED = "x-spelled"
"""Marks a value with a spelling of its own; the class of that name reads it."""


MOVED = "x-moved"
"""Keys that stand elsewhere now, with the sentence that says where: `moved` of a settings struct."""


def schema(settings: type[msgspec.Struct]) -> dict[str, Any]:
    """The JSON Schema of these settings."""
    return Shape(settings).schema


class Shape:
    """A type of settings, as its JSON Schema and the classes that read the special spellings."""

    def __init__(self, settings: type[msgspec.Struct]) -> None:
        self.spellings: dict[str, type[Spelled]] = {}
        self._defs: dict[str, dict[str, Any]] = {}
        self._names: dict[type, str] = {}
        self.info = inspect.type_info(settings)
        top = self._of(self.info)
        self.schema: dict[str, Any] = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            **top,
            "$defs": self._defs,
        }

    def _of(self, info: inspect.Type) -> dict[str, Any]:
        extra: dict[str, Any] = {}
        while isinstance(info, inspect.Metadata):
            extra = {**(info.extra_json_schema or {}), **extra}
            info = info.type
        own = {**self._plain(info), **extra}
        if BETWEEN in own and "anyOf" in own:  # bounds go with the value, not with its absence
            bounds = own.pop(BETWEEN)
            own["anyOf"] = [
                {**each, BETWEEN: bounds} if SPELLED in each else each for each in own["anyOf"]
            ]
        return own

    def _plain(self, info: inspect.Type) -> dict[str, Any]:
        own = spelling(getattr(info, "cls", object))
        if own is not None:
            return self._spelled(own)
        match info:
            case inspect.StructType():
                return self._struct(info)
            case inspect.DictType():
                return self._entries(info)
            case inspect.UnionType():
                return self._union(info)
            case inspect.TupleType():
                count = len(info.item_types)
                items = [self._of(each) for each in info.item_types]
                return {
                    "type": "array",
                    "prefixItems": items,
                    "items": False,
                    "minItems": count,
                    "maxItems": count,
                }
            case inspect.CollectionType():
                return {"type": "array", "items": self._of(info.item_type), **_sizes(info, "Items")}
        return _builtin(info)

    def _spelled(self, own: type[Spelled]) -> dict[str, Any]:
        name = own.__name__
        if self.spellings.setdefault(name, own) is not own:
            raise TypeError(f"two spellings are called {name}")
        doc = (own.__doc__ or "").strip().partition("\n")[0]
        return {**own.shape, "description": doc, SPELLED: name}

    def _struct(self, info: inspect.StructType) -> dict[str, Any]:
        cls = info.cls
        name = self._names.get(cls)
        if name is None:
            name = cls.__name__
            if name in self._defs:
                name = f"{cls.__module__}.{cls.__qualname__}"
            self._names[cls] = name
            self._defs[name] = {}  # settings may contain themselves
            self._defs[name] = self._fields(info)
        return {"$ref": f"#/$defs/{name}"}

    def _fields(self, info: inspect.StructType) -> dict[str, Any]:
        properties: dict[str, Any] = {}
        if info.tag_field is not None:
            properties[info.tag_field] = {"const": info.tag}
        required = list(properties)
        for field in info.fields:
            own = self._of(field.type)
            if field.required:
                required.append(field.encode_name)
            elif (default := _default(field)) is not None:
                own["default"] = default
            properties[field.encode_name] = own
        doc = " ".join((info.cls.__doc__ or "").split())
        moved = getattr(info.cls, "moved", None)
        return {
            "type": "object",
            **({MOVED: dict(moved)} if moved else {}),
            **({"description": doc} if doc else {}),
            "properties": properties,
            "required": required,
            "additionalProperties": False,
        }

    def _entries(self, info: inspect.DictType) -> dict[str, Any]:
        keys = self._of(info.key_type)
        keys.pop("type", None)
        if is_named(info.value_type):
            keys.setdefault("pattern", NAME)
        return {
            "type": "object",
            "additionalProperties": self._of(info.value_type),
            **({"propertyNames": keys} if keys else {}),
            **_sizes(info, "Properties"),
        }

    def _union(self, info: inspect.UnionType) -> dict[str, Any]:
        return {"anyOf": [self._of(each) for each in info.types]}


def is_named(info: inspect.Type) -> bool:
    """Are these entries things with a name (structs), and not just words by words?"""
    while isinstance(info, inspect.Metadata):
        info = info.type
    if isinstance(info, inspect.UnionType):
        return any(is_named(each) for each in info.types)
    return isinstance(info, inspect.StructType) and info.cls is not Money


def _sizes(info: Any, what: str) -> dict[str, Any]:
    sizes = {f"min{what}": info.min_length, f"max{what}": info.max_length}
    return {key: size for key, size in sizes.items() if size is not None}


def _default(field: inspect.Field) -> Any:
    """The default as people write it, or None if it goes without saying."""
    if field.default is msgspec.NODEFAULT or field.default is None:
        return None
    return written(field.default)


def written(value: Any) -> Any:
    """A setting as people write it: `Duration(90)` → '1m30s'; None if it cannot be written."""
    if spelling(type(value)) is not None:
        return f"{value}".replace("\N{NARROW NO-BREAK SPACE}", "")
    if isinstance(value, (list, tuple)):
        return [written(each) for each in value]
    if isinstance(value, Mapping):
        return {key: written(each) for key, each in value.items()}
    return value if isinstance(value, (str, bool, int, float)) else None


_NUMBERS = {
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "lt": "exclusiveMaximum",
    "multiple_of": "multipleOf",
}


def _builtin(info: inspect.Type) -> dict[str, Any]:
    match info:
        case inspect.AnyType():
            return {}
        case inspect.NoneType():
            return {"type": "null"}
        case inspect.BoolType():
            return {"type": "boolean"}
        case inspect.IntType() | inspect.FloatType():
            bounds = {word: getattr(info, name) for name, word in _NUMBERS.items()}
            return {
                "type": "integer" if isinstance(info, inspect.IntType) else "number",
                **{word: bound for word, bound in bounds.items() if bound is not None},
            }
        case inspect.StrType():
            pattern = {} if info.pattern is None else {"pattern": info.pattern}
            return {"type": "string", **_sizes(info, "Length"), **pattern}
        case inspect.LiteralType():
            return {"enum": list(info.values)}
        case inspect.EnumType():
            return {"enum": [each.value for each in info.cls]}
        case inspect.DateType():
            return {"type": "string", "format": "date", "examples": ["2026-05-31"]}
        case inspect.DateTimeType():
            return {"type": "string", "format": "date-time", "examples": ["2026-05-31T21:00:00Z"]}
        case inspect.TimeType():
            return {"type": "string", "examples": ["21:00:00"]}
    raise TypeError(f"settings cannot hold {info}; give the type a shape and a read method")
