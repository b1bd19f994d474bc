"""What may people write in `detente.yaml`, key by key?

Taken from the JSON Schema that the configuration is checked with, so it cannot say anything else.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import yaml
from msgspec import inspect

from detente.app import declared_type
from detente.kernel.config import schema
from making.marks import code, remarks, table

_WORDS = {
    "string": "text",
    "boolean": "`true` or `false`",
    "integer": "a whole number",
    "number": "a number",
}
_FORMATS = {"date": "a date", "date-time": "a moment"}
_NOTHING = {"type": "null"}
_SPELT = {
    "Duration": "a length of time",
    "Percent": "a percentage",
    "Secret": "a secret",
    "Address": "a host and port",
    "Place": "a path",
    "Url": "a web address",
    "Webhook": "a web address or a secret",
    "Amount": "an amount of money",
}


def section(noun: str) -> str:
    """Every key of one section; of the top of the file if no section is named."""
    shape = schema(declared_type())
    defs = shape["$defs"]
    top = defs["Declared"]["properties"]
    if noun:
        return "\n\n".join(_struct(noun, _named(top[noun]), defs))
    return "\n\n".join(_top(top, defs))


def keys(noun: str) -> Iterator[tuple[str, str]]:
    """(path, key) of everything in a section that a person may write."""
    defs = schema(declared_type())["$defs"]
    yield from _keys(noun, _named(defs["Declared"]["properties"][noun]), defs)


def spellings(_nothing: str) -> str:
    """The values that have a spelling of their own."""
    found: dict[str, dict[str, Any]] = {}
    for struct in schema(declared_type())["$defs"].values():
        for value in _inside(struct):
            if "x-spelled" in value:
                found.setdefault(value["x-spelled"], value)
    classes = {cls.__name__: cls for cls in _special()}
    rows = []
    own = [*_SPELT, *sorted(found.keys() - _SPELT.keys())]
    for name in sorted(found, key=own.index):
        doc = (classes[name].__doc__ or "").strip().partition("\n")[0]
        examples = ", ".join(code(_yaml(each)) for each in found[name].get("examples", ()))
        rows.append((_spelt(name), doc, examples))
    return table(("Where it says", "Write", "For example"), rows)


def _spelt(name: str) -> str:
    """What a slice spells in a way of its own is called like its class."""
    return _SPELT.get(name, f"a {name.lower()}")


def _special() -> list[type]:
    """Slices may bring spellings of their own, so the settings are asked which there are."""
    from detente.kernel.config.schema import Shape

    return [*Shape(declared_type()).spellings.values()]


def _inside(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for each in value.values():
            yield from _inside(each)
    elif isinstance(value, list):
        for each in value:
            yield from _inside(each)


def _top(top: dict[str, Any], defs: dict[str, Any]) -> Iterator[str]:
    """The keys at the very top, then the sections that belong to no slice."""
    from detente.slices import CARDS

    slices = {card.noun: card for card in CARDS}
    rows = []
    for key, value in top.items():
        means = value.get("description", "") or defs.get(_named(value), {}).get("description", "")
        if key in slices:
            rows.append((f"[`{key}`]({key}.md)", "keys", "", means))
        else:
            rows.append((code(key), _kind(value), _default(value), _means(means)))
    yield table(("Key", "Value", "By default", "Means"), rows)
    for key, value in top.items():
        if key not in slices and _named(value):
            many = "additionalProperties" in value
            yield from _struct(f"{key}.<name>" if many else key, _named(value), defs)


def _struct(path: str, name: str, defs: dict[str, Any]) -> Iterator[str]:
    """One level of keys, then the levels below it."""
    own = defs[name]
    said = remarks(_classes()[name])
    rows = []
    for key, value in own["properties"].items():
        means = value.get("description", "") if not _is_generic(value) else ""
        below = defs.get(_named(value), {}).get("description", "")
        needed = "needed" if key in own["required"] else _default(value)
        says = _means(means or said.get(key, "") or below)
        rows.append((code(key), _kind(value), needed, says))
    yield f"### `{path}`"
    yield own.get("description", "")
    yield table(("Key", "Value", "By default", "Means"), rows)
    for key, value in own["properties"].items():
        if below := _named(value):
            many = f"{path}.{key}.<name>" if "additionalProperties" in value else f"{path}.{key}"
            yield from _struct(many, below, defs)


def _keys(path: str, name: str, defs: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in defs[name]["properties"].items():
        yield path, key
        if below := _named(value):
            many = f"{path}.{key}.<name>" if "additionalProperties" in value else f"{path}.{key}"
            yield from _keys(many, below, defs)


def _means(text: str) -> str:
    return text if ":" in text.partition(" ")[0] else text[:1].upper() + text[1:]


def _is_generic(value: dict[str, Any]) -> bool:
    """Does the description only repeat what values of this spelling look like?"""
    own = {cls.__name__: (cls.__doc__ or "").strip().partition("\n")[0] for cls in _special()}
    return bool(value.get("description", "") == own.get(value.get("x-spelled", "")))


def _named(value: dict[str, Any]) -> str:
    """The struct that stands below this key, itself, in a list, by name or unless it is null."""
    for inner in (
        value, value.get("items") or {}, value.get("additionalProperties") or {}, *value.get("anyOf", ()),
    ):  # fmt: skip
        if isinstance(inner, dict) and "$ref" in inner:
            return str(inner["$ref"]).rpartition("/")[2]
    return ""


def _kind(value: dict[str, Any]) -> str:
    """What to write, in words."""
    if "x-spelled" in value:
        return _spelt(value["x-spelled"])
    if "anyOf" in value:
        several = [each for each in value["anyOf"] if value.get("default") or each != _NOTHING]
        kinds = [*dict.fromkeys(_kind(each) for each in several)]
        return ", ".join(kinds[:-1]) + f" or {kinds[-1]}" if len(kinds) > 2 else " or ".join(kinds)
    if "$ref" in value:
        return "keys"
    if "enum" in value:
        return ", ".join(code(_yaml(each)) for each in value["enum"])
    if value.get("type") == "null":
        return "`null`"
    if value.get("type") == "array":
        inner = _kind(value["items"])
        return f"a list: {inner}" if _plural(inner) == inner else f"a list of {_plural(inner)}"
    if value.get("type") == "object":
        each = value.get("additionalProperties") or {}
        return "names with keys" if "$ref" in each else f"names with {_plural(_kind(each))}"
    if value.get("format") in _FORMATS:
        return _FORMATS[value["format"]]
    return _bounded(_WORDS.get(str(value.get("type")), "anything"), value)


def _plural(kind: str) -> str:
    several = {"text": "texts", "a secret": "secrets", "a host and port": "hosts and ports"}
    return several.get(kind, kind)


def _bounded(word: str, value: dict[str, Any]) -> str:
    least, most = value.get("minimum"), value.get("maximum")
    if least is not None and most is not None:
        return f"{word} from {least} to {most}"
    return f"{word}, at least {least}" if least is not None else word


def _default(value: dict[str, Any]) -> str:
    return code(_yaml(value["default"])) if value.get("default") not in (None, "", [], {}) else ""


def _yaml(value: Any) -> str:
    """As it would stand in the file."""
    if isinstance(value, str):
        return value
    return (
        yaml.safe_dump(value, default_flow_style=True, width=10_000)
        .strip()
        .removesuffix("...")
        .strip()
    )


def _classes() -> dict[str, type]:
    """Every struct of settings, by its name; two of one name go by their modules, as in the schema."""
    found: dict[str, type] = {}

    def visit(info: Any) -> None:
        if isinstance(info, inspect.StructType):
            whole = f"{info.cls.__module__}.{info.cls.__qualname__}"
            if whole not in found:
                found[whole] = info.cls
                found.setdefault(info.cls.__name__, info.cls)
                for field in info.fields:
                    visit(field.type)
            return
        for name in ("type", "item_type", "value_type"):
            if hasattr(info, name):
                visit(getattr(info, name))
        for each in getattr(info, "types", ()):
            visit(each)

    visit(inspect.type_info(declared_type()))
    assert all(issubclass(each, msgspec.Struct) for each in found.values())
    return found
