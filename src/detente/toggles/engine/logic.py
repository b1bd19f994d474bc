"""What do JsonLogic's operators mean?

JsonLogic was written for JavaScript, and its rules travel between languages, so values are turned
into each other as JavaScript does it: "1" equals 1, nothing is 0, "" is false. Two departures, where
implementations disagree anyway: lists and objects are never equal to a text or a number, and are
equal to each other when they hold the same.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

NAN = math.nan
_EXACT = 2**64  # whole numbers beyond are handled as JavaScript does, without every digit
_DECIMAL = re.compile(r"[+-]?(?:Infinity|(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)", re.ASCII)
_BASES = {"0x": 16, "0o": 8, "0b": 2}
_SPACE = " \t\n\r\v\f\u00a0\u2028\u2029\ufeff"


def truthy(value: Any) -> bool:
    """An empty list is false, an empty object is true."""
    if value.__class__ is dict:
        return True
    return bool(value) and value == value  # nothing but NaN differs from itself


# -- numbers and texts ---------------------------------------------------------------------------


def number(value: Any) -> Any:
    """The number that it is taken for in comparisons; NaN when it is none."""
    if value is None:
        return 0
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, (int, float)):
        return value
    return _read(value.strip(_SPACE)) if isinstance(value, str) else NAN


def _read(text: str) -> int | float:
    if not text:
        return 0
    base = _BASES.get(text[:2].lower())
    if base is not None:
        return _based(text[2:], base)
    return _decimal(text) if _DECIMAL.fullmatch(text) else NAN


def _based(digits: str, base: int) -> int | float:
    if not re.fullmatch(r"[0-9a-zA-Z]{1,64}", digits):
        return NAN
    try:
        return tidy(int(digits, base))
    except ValueError:
        return NAN


def _decimal(text: str) -> int | float:
    return tidy(float(text) if len(text) > 18 or not text.isdecimal() else int(text))


def leading_number(value: Any) -> Any:
    """What it begins with, if that is a number: `+` and `*` take "3 apples" for 3."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    found = _DECIMAL.match(value.lstrip(_SPACE)) if isinstance(value, str) else None
    return _decimal(found[0]) if found else NAN


def tidy(value: int | float) -> int | float:
    """Whole numbers are ints while they are exact, whichever way they came about."""
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    return value if abs(value) <= _EXACT else float(value)


def text(value: Any) -> str:
    """What `cat` makes of it."""
    if value.__class__ is str:
        return str(value)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _written(value)
    if isinstance(value, (list, tuple)):
        return ",".join(map(text, value))
    return "[object Object]" if isinstance(value, Mapping) else str(value)


def _written(value: float) -> str:
    if value != value:
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    if 1e-6 <= abs(value) < 1e-4:
        return _plain(value)
    return re.sub(r"e([+-])0+", r"e\1", repr(value))


def _plain(value: float) -> str:
    """Small numbers without an exponent, as JavaScript writes them down to 0.000001."""
    digits, _, exponent = repr(value).partition("e")
    if not exponent:
        return digits
    sign = "-" if digits.startswith("-") else ""
    return f"{sign}0.{'0' * (-int(exponent) - 1)}{digits.lstrip('-').replace('.', '')}"


# -- comparing -------------------------------------------------------------------------------------


def same(one: Any, other: Any) -> bool:
    """`==`: equal after turning one into the other's kind."""
    if one.__class__ is other.__class__:
        return bool(one == other)
    if one is None or other is None or _many(one) or _many(other):
        return one is other
    if isinstance(one, str) and isinstance(other, str):
        return one == other
    return bool(number(one) == number(other))


def identical(one: Any, other: Any) -> bool:
    """`===`: equal and of one kind; 1 and 1.0 are the same number."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return bool(one == other)


def _many(value: Any) -> bool:
    return isinstance(value, (list, tuple, Mapping))


def less(one: Any, other: Any) -> bool:
    """`<`: texts by their letters, everything else as numbers."""
    if isinstance(one, str) and isinstance(other, str):
        return one < other
    return bool(number(one) < number(other))


def at_most(one: Any, other: Any) -> bool:
    """`<=`"""
    if isinstance(one, str) and isinstance(other, str):
        return one <= other
    return bool(number(one) <= number(other))


def between(below: Callable[[Any, Any], bool], one: Any, two: Any, three: Any) -> bool:
    """Three in their order."""
    return below(one, two) and below(two, three)


# -- reckoning -------------------------------------------------------------------------------------


def add(*values: Any) -> Any:
    return tidy(sum(map(leading_number, values)))


def times(*values: Any) -> Any:
    product: int | float = 1
    for value in values:
        product = tidy(product * leading_number(value))
    return product


def minus(one: Any, *others: Any) -> Any:
    """The difference of two, or the negative of one."""
    return tidy(number(one) - number(others[0]) if others else -number(one))


def over(one: Any, other: Any) -> Any:
    one, other = number(one), number(other)
    if other == 0:
        return NAN if one == 0 or one != one else math.copysign(math.inf, one)
    return one // other if _whole(one, other) and one % other == 0 else tidy(one / other)


def remainder(one: Any, other: Any) -> Any:
    """With the sign of the first, as in JavaScript and not as in Python."""
    one, other = number(one), number(other)
    if other == 0 or one != one or other != other or math.isinf(one):
        return NAN
    if _whole(one, other):
        return abs(one) % abs(other) * (1 if one >= 0 else -1)
    return tidy(math.fmod(one, other))


def _whole(one: Any, other: Any) -> bool:
    return isinstance(one, int) and isinstance(other, int)


def most(*values: Any) -> Any:
    return _extreme(max, values, -math.inf)


def least(*values: Any) -> Any:
    return _extreme(min, values, math.inf)


def _extreme(of: Callable[..., Any], values: Sequence[Any], otherwise: float) -> Any:
    numbers = [number(value) for value in values]
    return NAN if any(each != each for each in numbers) else of(numbers, default=otherwise)


# -- texts and lists -------------------------------------------------------------------------------


def cat(*values: Any) -> str:
    return "".join([value if value.__class__ is str else text(value) for value in values])


def substr(value: Any, start: Any, length: Any = None) -> str:
    """Negative starts count from the end; negative lengths leave that many out."""
    source = "null" if value is None else text(value)
    rest = source[_place(start) :]
    return rest if length is None else rest[: _place(length)]


def _place(value: Any) -> int:
    at = number(value)
    if at != at:
        return 0
    return int(max(-(2**31), min(2**31, at)))


def within(one: Any, many: Any) -> bool:
    """`in`: is it in the list, or is it a part of the text?"""
    if isinstance(many, str):
        return bool(many) and ("null" if one is None else text(one)) in many
    return isinstance(many, (list, tuple)) and any(identical(one, each) for each in many)


def merge(*values: Any) -> list[Any]:
    merged: list[Any] = []
    for value in values:
        merged.extend(value if isinstance(value, (list, tuple)) else [value])
    return merged


def items(value: Any) -> Sequence[Any]:
    """What `map`, `filter` and the like go through: nothing, if it is no list."""
    return value if isinstance(value, (list, tuple)) else ()


def every(tests: Sequence[bool]) -> bool:
    """`all`; of nothing, not even that is true."""
    return bool(tests) and all(tests)


def fold(many: Any, step: Callable[[Any], Any], start: Any) -> Any:
    """`reduce`"""
    for current in items(many):
        start = step({"current": current, "accumulator": start})
    return start


# -- looking things up -----------------------------------------------------------------------------

_NOTHING = object()


def dig(found: Any, path: Sequence[str], otherwise: Any = None) -> Any:
    """`var` with dots: into objects by name, into lists by number."""
    for part in path:
        found = _step(found, part)
        if found is _NOTHING:
            return otherwise
    return found


def _step(found: Any, part: str) -> Any:
    if isinstance(found, Mapping):
        return found.get(part, _NOTHING)
    if isinstance(found, (list, tuple)) and part.isdecimal() and len(part) < 10:
        return found[int(part)] if int(part) < len(found) else _NOTHING
    return _NOTHING


def look(found: Any, name: Any, otherwise: Any = None) -> Any:
    """`var` whose name is known only now."""
    if name is None or name == "":
        return found
    return dig(found, text(name).split("."), otherwise)


def missing(found: Any, names: Sequence[Any]) -> list[Any]:
    """Which of the names have no value."""
    if names and isinstance(names[0], (list, tuple)):
        names = names[0]
    return [name for name in names if look(found, name) in (None, "")]


def missing_some(found: Any, wanted: Any, names: Any) -> list[Any]:
    """The missing ones, unless enough are there."""
    gone = missing(found, [names])
    return [] if len(items(names)) - len(gone) >= number(wanted) else gone


def starts_with(*values: Any) -> bool | None:
    """Nothing, rather than false, unless asked about two texts."""
    return values[0].startswith(values[1]) if _two_texts(values) else None


def ends_with(*values: Any) -> bool | None:
    return values[0].endswith(values[1]) if _two_texts(values) else None


def _two_texts(values: Sequence[Any]) -> bool:
    return len(values) == 2 and isinstance(values[0], str) and isinstance(values[1], str)


def either(*later: Callable[[], Any]) -> Any:
    """`or`: the first that is true, else the last."""
    value = None
    for each in later:
        value = each()
        if truthy(value):
            break
    return value


def both(*later: Callable[[], Any]) -> Any:
    """`and`: the first that is not true, else the last."""
    value = None
    for each in later:
        value = each()
        if not truthy(value):
            break
    return value
