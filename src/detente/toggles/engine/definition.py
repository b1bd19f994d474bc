"""Is this a rule book, and if not, where is the mistake?

The format is flagd's: an object of `flags`, each with a state, named variants and rules; rules shared
by name in `$evaluators`; `metadata`. `document` looks at the frame, without which nothing can be
answered; `check` reads each rule like its author's editor would, and finds what would go wrong later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from detente.toggles.engine.crowds import HEAVIEST
from detente.toggles.engine.versions import OPERATORS as ORDERS
from detente.toggles.engine.versions import version

DEEPEST = 150  # boxes in boxes: some 75 operators
STATES = ("ENABLED", "DISABLED")

MANY = 1_000_000
ARGUMENTS: Mapping[str, tuple[int, int]] = {
    **dict.fromkeys(("if", "or", "and", "+", "-", "max", "min", "merge", "cat"), (1, MANY)),
    **dict.fromkeys(("==", "===", "!=", "!==", ">", ">=", "%", "/", "in"), (2, 2)),
    **dict.fromkeys(("map", "filter", "all", "none", "some"), (2, 2)),
    **dict.fromkeys(("<", "<=", "substr"), (2, 3)),
    **dict.fromkeys(("!", "!!"), (1, 1)),
    "var": (1, MANY),
    "missing": (0, MANY),
    "missing_some": (2, 2),
    "reduce": (3, 3),
    "*": (2, MANY),
    "starts_with": (2, 2),
    "ends_with": (2, 2),
    "sem_ver": (3, 3),
    "fractional": (1, MANY),
}
INJECTED = ("$flagd.flagKey", "$flagd.timestamp")


class BadDefinition(Exception):
    """A toggle's definition cannot be used: says where, what, and what to write instead."""

    def __init__(self, place: str, what: str, remedy: str) -> None:
        super().__init__(f"{place}: {what}. {remedy}" + ("" if remedy.endswith("?") else "."))
        self.place = place
        self.what = what
        self.remedy = remedy


def document(said: bytes | str | Mapping[str, Any]) -> dict[str, Any]:
    """The rule book as plain objects; its frame is right."""
    book = _decoded(said)
    if not isinstance(book, dict):
        raise BadDefinition("the document", "is not an object", 'Write {"flags": {…}}')
    _shallow(book)
    _object(book, "flags", needed=True)
    _object(book, "$evaluators")
    _metadata(book, "metadata")
    for key, flag in book["flags"].items():
        _flag(f"flags.{key}", key, flag)
    return book


def _decoded(said: bytes | str | Mapping[str, Any]) -> Any:
    try:
        # there and back: what cannot be written as JSON is no definition, and nobody else holds it
        return msgspec.json.decode(msgspec.json.encode(said) if isinstance(said, Mapping) else said)
    except RecursionError:
        raise _too_deep() from None
    except (msgspec.DecodeError, UnicodeError) as error:
        raise BadDefinition(
            "the document", f"is not JSON ({error})", "Compare it with an example"
        ) from None
    except (TypeError, ValueError, OverflowError) as error:
        raise BadDefinition(
            "the document", f"holds something that JSON cannot ({error})", "Use texts and numbers"
        ) from None


def _too_deep() -> BadDefinition:
    remedy = "Give `if` several conditions in one list instead of an `if` in each else"
    return BadDefinition("the document", f"is nested more than {DEEPEST} levels deep", remedy)


def _shallow(value: Any) -> None:
    """Level by level and not by calling itself: depth is what it is afraid of."""
    level = [value]
    for _ in range(DEEPEST):
        level = [part for box in level for part in _parts(box)]
        if not level:
            return
    raise _too_deep()


def _parts(box: Any) -> Iterable[Any]:
    if isinstance(box, dict):
        return [part for part in box.values() if isinstance(part, (dict, list))]
    return [part for part in box if isinstance(part, (dict, list))]


# -- the frame ---------------------------------------------------------------------------------------


def _object(holder: Mapping[str, Any], name: str, *, needed: bool = False, at: str = "") -> None:
    place = f"{at}.{name}" if at else name
    if name not in holder and needed:
        raise BadDefinition(place, "is missing", f'Write "{name}": {{…}}')
    if not isinstance(holder.get(name, {}), dict):
        raise BadDefinition(place, "is not an object", f'Write "{name}": {{…}}')


def _metadata(holder: Mapping[str, Any], place: str) -> None:
    _object(holder, "metadata", at=place.removesuffix("metadata").rstrip("."))
    for key, value in holder.get("metadata", {}).items():
        if not isinstance(value, (str, bool, int, float)):
            remedy = "Write a text, a number, true or false"
            raise BadDefinition(f"{place}.{key}", "is none of metadata's kinds", remedy)


def _flag(place: str, key: str, flag: Any) -> None:
    if not key:
        raise BadDefinition("flags", "has a flag without a name", "Name it")
    if not isinstance(flag, dict):
        raise BadDefinition(
            place, "is not an object", 'Write {"state": "ENABLED", "variants": {…}}'
        )
    if flag.get("state") not in STATES:
        remedy = "Write ENABLED or DISABLED"
        raise BadDefinition(f"{place}.state", f"is {_shown(flag.get('state'))}", remedy)
    _object(flag, "variants", needed=True, at=place)
    _default(place, flag)
    if not isinstance(flag.get("targeting") or {}, dict):
        raise BadDefinition(
            f"{place}.targeting", "is not a rule", 'Write {"if": […]}, or leave it out'
        )
    _metadata(flag, f"{place}.metadata")


def _default(place: str, flag: Mapping[str, Any]) -> None:
    variants, default = flag["variants"], flag.get("defaultVariant")
    if not variants or "" in variants:
        remedy = 'Write at least one, such as {"on": true, "off": false}'
        raise BadDefinition(f"{place}.variants", "names no variant", remedy)
    if default is None or default == "" or (isinstance(default, str) and default in variants):
        return
    what = f"is {_shown(default)}, which is none of the variants"
    raise BadDefinition(f"{place}.defaultVariant", what, _instead(default, variants))


def _shown(value: Any) -> str:
    return "missing" if value is None else msgspec.json.encode(value).decode()[:80]


def _instead(said: Any, there: Iterable[str]) -> str:
    import difflib

    near = difflib.get_close_matches(str(said), list(there), n=1)
    return f"Did you mean “{near[0]}”?" if near else f"There are: {', '.join(there)}"


# -- what an author wants to hear ------------------------------------------------------------------


def check(book: Mapping[str, Any]) -> None:
    """Raises BadDefinition at the first mistake that would otherwise show only when asked."""
    evaluators = book.get("$evaluators", {})
    for name, rule in evaluators.items():
        Grammar(()).rule(f"$evaluators.{name}", rule)
    grammar = Grammar(evaluators)
    for key, flag in book["flags"].items():
        _one_kind(f"flags.{key}.variants", flag["variants"])
        if flag.get("targeting"):
            grammar.rule(f"flags.{key}.targeting", flag["targeting"])


def _one_kind(place: str, variants: Mapping[str, Any]) -> None:
    kinds = {name: _kind(value) for name, value in variants.items()}
    if len({*kinds.values()}) > 1 or None in kinds.values():
        told = ", ".join(f"{name} is {kind or 'something else'}" for name, kind in kinds.items())
        remedy = "Let all be true/false, or all texts, all numbers, all objects"
        raise BadDefinition(place, f"are of different kinds: {told}", remedy)


def _kind(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true/false"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return "a text"
    return "an object" if isinstance(value, dict) else None


class Grammar:
    """Which rules may be written. `evaluators` are the names that `$ref` may use."""

    def __init__(self, evaluators: Iterable[str]) -> None:
        self._evaluators = tuple(evaluators)

    def rule(self, place: str, rule: Any) -> None:
        """An operator with its arguments."""
        if not isinstance(rule, dict) or len(rule) != 1:
            what = "is no rule" if not isinstance(rule, dict) else "needs exactly one operator"
            raise BadDefinition(place, what, 'Write {"operator": [arguments]}')
        ((name, said),) = rule.items()
        if name == "$ref":
            return self._reference(place, said)
        if name not in ARGUMENTS:
            raise BadDefinition(
                place, f"has no operator “{name}” to use", _instead(name, ARGUMENTS)
            )
        return self._operator(f"{place}.{name}", name, said if isinstance(said, list) else [said])

    def _reference(self, place: str, name: Any) -> None:
        if name not in self._evaluators:
            there = ", ".join(self._evaluators) or "none, and shared rules cannot use each other"
            raise BadDefinition(
                place,
                f"refers to {_shown(name)}, which is not in $evaluators",
                f"There are: {there}",
            )

    def _operator(self, place: str, name: str, said: Sequence[Any]) -> None:
        fewest, most = ARGUMENTS[name]
        if not fewest <= len(said) <= most:
            counted = f"{fewest}" if fewest == most else f"{fewest} or more"
            counted = f"{fewest} or {most}" if fewest < most < MANY else counted
            raise BadDefinition(place, f"has {len(said)} arguments", f"Give it {counted}")
        special = self._special.get(name)
        if special is not None:
            special(self, place, said)
        self._each(place, said)

    def _each(self, place: str, said: Iterable[Any]) -> None:
        for at, argument in enumerate(said):
            self._argument(f"{place}[{at}]", argument)

    def _argument(self, place: str, said: Any) -> None:
        if isinstance(said, dict):
            self.rule(place, said)
        elif isinstance(said, list):
            self._each(place, said)

    def _var(self, place: str, said: Sequence[Any]) -> None:
        name = said[0]
        if isinstance(name, str) and name.startswith("$flagd.") and name not in INJECTED:
            raise BadDefinition(place, f"asks for {_shown(name)}", _instead(name, INJECTED))

    def _sem_ver(self, place: str, said: Sequence[Any]) -> None:
        if not isinstance(said[1], dict) and said[1] not in ORDERS:
            remedy = f"Use one of {' '.join(ORDERS)}"
            raise BadDefinition(f"{place}[1]", f"is {_shown(said[1])}", remedy)
        for at in (0, 2):
            one = said[at]
            if not isinstance(one, dict) and (not isinstance(one, str) or version(one) is None):
                remedy = "Write one like 2.0.0 or 2.0.0-beta.1"
                raise BadDefinition(f"{place}[{at}]", f"{_shown(one)} is no version", remedy)

    def _two_texts(self, place: str, said: Sequence[Any]) -> None:
        for at, argument in enumerate(said):
            if not isinstance(argument, (str, dict)):
                remedy = "Write a text, or a rule that gives one"
                raise BadDefinition(f"{place}[{at}]", f"{_shown(argument)} is no text", remedy)

    def _fractional(self, place: str, said: Sequence[Any]) -> None:
        first = said[0]
        for at, entry in enumerate(said):
            if at or not isinstance(first, dict):
                self._share(f"{place}[{at}]", entry)
        if isinstance(first, dict) and len(said) == 1:
            raise BadDefinition(place, "shares out nothing", 'Add shares such as ["on", 10]')
        _light(place, said)

    def _share(self, place: str, entry: Any) -> None:
        if not isinstance(entry, list) or len(entry) not in (1, 2):
            remedy = 'Write a variant and its weight, such as ["on", 10]'
            raise BadDefinition(place, f"{_shown(entry)} is no share", remedy)
        weight = entry[1] if len(entry) == 2 else 1
        whole = isinstance(weight, int) and not isinstance(weight, bool) and weight >= 0
        if not whole and not isinstance(weight, dict):
            remedy = "Write a whole number, 0 or more, or a rule that gives one"
            raise BadDefinition(f"{place}[1]", f"{_shown(weight)} is no weight", remedy)

    _special: Mapping[str, Callable[[Grammar, str, Sequence[Any]], None]] = {
        "var": _var,
        "sem_ver": _sem_ver,
        "starts_with": _two_texts,
        "ends_with": _two_texts,
        "fractional": _fractional,
    }


def _light(place: str, said: Sequence[Any]) -> None:
    if sum(_weights(said)) > HEAVIEST:
        raise BadDefinition(
            place, f"has weights of more than {HEAVIEST:,} together", "Use smaller weights"
        )


def _weights(said: Sequence[Any]) -> Iterator[int]:
    for entry in said:
        if isinstance(entry, list):
            weight = entry[1] if len(entry) == 2 else 1
            yield weight if isinstance(weight, int) else 0
