"""What is wrong with these settings, all of it, and what should stand there instead?

A file without mistakes is read straight into its structs and never comes here. For the others,
JSON Schema finds every mistake; here each becomes a sentence, at the keys that lead to it.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import partial
from typing import Any

import msgspec

from detente.kernel.config.schema import MOVED, SPELLED, Shape
from detente.kernel.config.values import BETWEEN, read_within
from detente.kernel.config.words import Path, brief, found, hint, listed, nearest

Error = Any
"""What jsonschema yields; it types every part of it as perhaps unset."""

_MOST = 1_000
"""Nobody reads more than that, and a file of garbage has to be answered quickly, too."""


@dataclass(frozen=True, slots=True)
class Wrong:
    """One mistake: which keys lead there, what to do, and whether the key itself is wrong."""

    path: Path
    says: str
    at_key: bool = False


def wrongs(value: Any, shape: Shape, hidden: Collection[Path] = ()) -> list[Wrong]:
    """Every mistake in it, in the order they are found, none twice."""
    errors = _validator(shape).iter_errors(value)
    telling = _Telling(shape.schema["$defs"], hidden)
    said = (wrong for error in errors for wrong in telling.about(error))
    return list(dict.fromkeys(itertools.islice(said, _MOST)))


def _validator(shape: Shape) -> Any:
    from jsonschema import Draft202012Validator, FormatChecker, ValidationError
    from jsonschema.validators import extend

    def spelled(_: Any, name: str, written: Any, own: Any) -> Iterator[ValidationError]:
        try:
            read_within(shape.spellings[name], written, own.get(BETWEEN))
        except ValueError as wrong:
            yield ValidationError(str(wrong))

    whole = Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_whole)
    ours: Any = extend(  # type: ignore[no-untyped-call]
        Draft202012Validator, {SPELLED: spelled}, type_checker=whole
    )
    moments = FormatChecker(())
    for name, (kind, _) in _MOMENTS.items():
        moments.checks(name, msgspec.ValidationError)(partial(_is_moment, kind))
    return ours(_lean(shape.schema), format_checker=moments)


_MOMENTS: dict[str, tuple[type, str]] = {
    "date": (date, "a date such as 2026-05-31"),
    "date-time": (datetime, "a moment such as 2026-05-31T21:00:00Z"),
    "time": (time, "a time such as 21:00:00"),
}


def _is_moment(kind: type, said: object) -> bool:
    """As the struct will read it. Raises msgspec.ValidationError."""
    return not isinstance(said, str) or msgspec.convert(said, kind) is not None


def _is_whole(_: Any, value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _lean(schema: Any) -> Any:
    """The same schema, where special spellings are judged only by the class that reads them."""
    if isinstance(schema, list):
        return [_lean(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if isinstance(schema.get(SPELLED), str):
        return {key: schema[key] for key in (SPELLED, BETWEEN, "examples") if key in schema}
    return {key: _lean(each) for key, each in schema.items()}


class _Telling:
    """Turns what the schema complains about into our sentences."""

    def __init__(self, defs: dict[str, Any], hidden: Collection[Path]) -> None:
        self._defs = defs
        self._hidden = hidden

    def about(self, error: Error) -> Iterator[Wrong]:
        path: Path = tuple(error.absolute_path)
        match error.validator:
            case "anyOf":
                yield from self._union(error, path)
            case "additionalProperties":
                yield from _unknown(error, path)
            case "required":
                yield from self._missing(error, path)
            case "items":
                return  # the number of entries is told by minItems and maxItems
            case _ if "propertyNames" in error.absolute_schema_path:
                yield _bad_name(error, path)
            case _:
                yield Wrong(path, self._says(error, path))

    def _says(self, error: Error, path: Path) -> str:
        said, limit = error.instance, error.validator_value
        match error.validator:
            case "type":
                return self._expected([error.schema], said, path)
            case "enum" | "const":
                words = limit if isinstance(limit, list) else [limit]
                return self._not_among(words, said, path)
            case "pattern":
                like = error.schema.get("examples") or error.schema.get("description")
                like = brief(str(like[0])) if isinstance(like, list) else like or limit
                return f"{self._found(said, path)} is not written as it should be: {like}"
            case "format" if limit in _MOMENTS:
                return f"expected {_MOMENTS[limit][1]}, found {self._found(said, path)}"
        if error.validator == SPELLED:
            return str(error.message)
        if text := _BOUNDS.get(str(error.validator)):
            return f"expected {text.format(limit)}, found {_measure(said)}"
        return f"{self._found(said, path)} does not belong here"

    def _found(self, said: Any, path: Path) -> str:
        covered = any(path[:length] in self._hidden for length in range(len(path) + 1))
        return _kind(said) if covered else found(said)

    def _expected(self, options: list[dict[str, Any]], said: Any, path: Path) -> str:
        words = listed(list(dict.fromkeys(_words(self._meant(each)) for each in options)))
        seen = "" if len(options) > 1 else self._remedy(options[0], said, path)
        if said is None:
            return f"{_nothing(path)}; expected {words}"
        if not path:
            words = words.replace(", indented below it", ", one section a line")
        return f"expected {words}, found {self._found(said, path)}{seen}"

    def _remedy(self, option: dict[str, Any], said: Any, path: Path) -> str:
        """What to write, where one can tell from what was written."""
        kind = option.get("type")
        seen = self._found(said, path)
        if seen != found(said):
            return ""
        if kind == "string" and isinstance(said, (bool, int, float)):
            return "; put it in quotes"
        if kind == "boolean" and isinstance(said, str) and said.casefold() in _YES_NO:
            return f"; write {_YES_NO[said.casefold()]}"
        if kind == "array" and isinstance(said, (str, int, float)):
            return f"; write [{seen if isinstance(said, str) else said}]"
        if kind == "object" and isinstance(said, str):
            return "; is a colon missing?"
        if kind in ("integer", "number") and isinstance(said, str) and _is_number(said):
            return "; take the quotes away"
        return ""

    def _not_among(self, words: list[Any], said: Any, path: Path) -> str:
        known = [str(word) if not isinstance(word, bool) else found(word) for word in words]
        if said is None:
            return f"{_nothing(path)}; expected {listed(known)}"
        seen = self._found(said, path)
        near = nearest(said, known) if isinstance(said, str) and seen == found(said) else None
        remedy = f"; did you mean {near}?" if near else ""
        return f"expected {listed(known)}, found {seen}{remedy}"

    def _missing(self, error: Error, path: Path) -> Iterator[Wrong]:
        there, properties = error.instance, error.schema["properties"]
        unknown = (str(key) for key in there if key not in properties)
        slips = {nearest(key, properties) for key in itertools.islice(unknown, 100)}
        for key in error.validator_value:
            if key not in there and key not in slips:
                example = _example(self._meant(properties[key]))
                says = f"{key} is missing; add {key}:{f' {example}' if example else ''}"
                yield Wrong(path, says, at_key=True)

    def _union(self, error: Error, path: Path) -> Iterator[Wrong]:
        """One sentence about the branch that fits best, not one about each branch."""
        options = [self._meant(each) for each in error.validator_value]
        inside: dict[int, list[Error]] = {}
        for each in error.context or ():
            inside.setdefault(int(each.relative_schema_path[0]), []).append(each)
        kinds = {index: tag for index, option in enumerate(options) if (tag := _tag(option))}
        if isinstance(error.instance, dict) and len(kinds) > 1:
            yield from self._tagged(error, path, kinds, inside)
            return
        near = [index for index in inside if not _other_type(inside[index], path)]
        if not near and len(left := [i for i in inside if options[i].get("type") != "null"]) == 1:
            near = left
        if near:
            best = min(near, key=lambda index: len(inside[index]))
            for each in inside[best]:
                yield from self.about(each)
        else:
            real = [option for option in options if option.get("type") != "null"]
            yield Wrong(path, self._expected(real, error.instance, path))

    def _tagged(
        self,
        error: Error,
        path: Path,
        kinds: dict[int, tuple[str, str]],
        inside: dict[int, list[Error]],
    ) -> Iterator[Wrong]:
        """The settings say of which kind they are: judge them as that kind."""
        field = next(iter(kinds.values()))[0]
        words = [word for _, word in kinds.values()]
        said = error.instance.get(field)
        for index, (_, word) in kinds.items():
            if word == said:
                for each in inside.get(index, ()):
                    yield from self.about(each)
                return
        if field in error.instance:
            yield Wrong((*path, field), self._not_among(words, said, (*path, field)))
        else:
            slip = next((key for key in error.instance if nearest(str(key), [field])), None)
            if slip is not None:
                yield Wrong((*path, slip), f"unknown key; did you mean {field}?", at_key=True)
            else:
                says = f"{field} is missing; add {field}: {listed(words)}"
                yield Wrong(path, says, at_key=True)

    def _meant(self, schema: dict[str, Any]) -> dict[str, Any]:
        """The schema a reference stands for."""
        name = str(schema.get("$ref", "")).rpartition("/")[2]
        return {**self._defs[name], **schema} if name in self._defs else schema


def _kind(said: Any) -> str:
    """What it is, without what it says."""
    if isinstance(said, str):
        return "a text"
    return "a number" if isinstance(said, (int, float)) else found(said)


def _nothing(path: Path) -> str:
    in_list = not path or isinstance(path[-1], int)
    return "nothing stands here" if in_list else "nothing stands behind the colon"


def _other_type(errors: list[Error], path: Path) -> bool:
    """Was something of quite another type wanted here?"""
    return any(
        error.validator in ("type", "enum", "const") and tuple(error.absolute_path) == path
        for error in errors
    )


def _tag(option: dict[str, Any]) -> tuple[str, str] | None:
    for key, schema in option.get("properties", {}).items():
        if "const" in schema:
            return key, schema["const"]
    return None


def _unknown(error: Error, path: Path) -> Iterator[Wrong]:
    properties = error.schema["properties"]
    free = [key for key in properties if key not in error.instance]
    for key in error.instance:
        if key in properties:
            continue
        if key in error.schema.get(MOVED, ()):
            says = error.schema[MOVED][key]
        elif key == "<<":
            says = "keys are not merged here; write the settings out"
        elif near := nearest(str(key), free) or nearest(str(key), properties):
            says = f"unknown key; did you mean {near}?"
        else:
            says = f"unknown key; {hint('', properties, 'known here:')}"
        yield Wrong((*path, key), says, at_key=True)


def _bad_name(error: Error, path: Path) -> Wrong:
    name = error.instance
    like = error.schema.get("examples")
    rule = f"write it like {like[0]}" if like else "use letters, digits, -, _ and ., without spaces"
    if error.validator == "enum":
        rule = f"{hint(name, error.validator_value, 'known here:')}"
    return Wrong((*path, name), f"{found(name)} cannot be a name here; {rule}", at_key=True)


_YES_NO = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}
_YES_NO |= {"true": "true, without quotes", "false": "false, without quotes"}

_BOUNDS = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "exclusiveMinimum": "more than {}",
    "exclusiveMaximum": "less than {}",
    "multipleOf": "a multiple of {}",
    "minLength": "at least {} letters",
    "maxLength": "at most {} letters",
    "minItems": "at least {} entries",
    "maxItems": "at most {} entries",
    "minProperties": "at least {} entries",
    "maxProperties": "at most {} entries",
}

_TYPES = {
    "object": "keys with values, indented below it",
    "array": "a list such as [a, b]",
    "string": "a text",
    "integer": "a whole number such as 5",
    "number": "a number such as 0.5",
    "boolean": "true or false",
    "null": "nothing",
}
_EXAMPLES = {"integer": "5", "number": "0.5", "boolean": "true", "array": "[]", "string": "…"}


def _words(option: dict[str, Any]) -> str:
    """What was expected, with an example where the schema has one."""
    if "enum" in option:
        return listed([str(word) for word in option["enum"]])
    words = _TYPES.get(str(option.get("type")), "something else")
    if SPELLED in option:
        return f"{_example(option)}"
    if option.get("type") == "object" and option.get("examples"):
        return f"keys with values such as {_example(option)}"
    if option.get("type") == "object" and (required := option.get("required")):
        return f"keys with values such as {required[0]}:, indented below it"
    if option.get("type") == "string" and (examples := option.get("examples")):
        return f"a text such as {examples[0]}"
    return words


def _example(option: dict[str, Any]) -> str:
    if examples := option.get("examples"):
        first = examples[0]
        return _braced(first) if isinstance(first, dict) else str(first)
    if "const" in option or option.get("enum"):
        return str(option.get("const", (option.get("enum") or [""])[0]))
    return _EXAMPLES.get(str(option.get("type")), "")


def _braced(keys: dict[str, Any]) -> str:
    return "{" + ", ".join(f"{key}: {_flow(value)}" for key, value in keys.items()) + "}"


def _flow(value: Any) -> str:
    """A value of an example, as one writes it in a line."""
    return f"[{', '.join(map(str, value))}]" if isinstance(value, list) else str(value)


def _measure(said: Any) -> str:
    """How much of it there is: letters of a text, entries of a list."""
    return str(said) if isinstance(said, (int, float)) else str(len(said))


def _is_number(said: str) -> bool:
    try:
        float(said)
    except ValueError:
        return False
    return True
