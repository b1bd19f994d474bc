"""What would a plain, slow interpreter say? Written down from JsonLogic's own description.

It shares nothing with the compiler but the two departures that `engine/logic.py` names.
"""

from __future__ import annotations

import math
import re
from itertools import pairwise
from typing import Any

import mmh3

_NUMBER = re.compile(r"\s*([+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?Infinity)", re.ASCII)


def run(rule: Any, data: Any, toggle: str, now: int) -> Any:
    """The rule's value. `now` is in seconds."""
    injected = {"flagKey": toggle, "timestamp": now}
    return Interpreter(toggle, now, dict(data)).value(rule, {**data, "$flagd": injected})


def truth(value: Any) -> bool:
    if isinstance(value, float) and math.isnan(value):
        return False
    return value not in (None, False, 0, "", []) or value == {}


def num(value: Any) -> float:
    if isinstance(value, (list, dict)):
        return math.nan
    if isinstance(value, str):
        if not value.strip():
            return 0
        if re.fullmatch(r"\s*0[xX][0-9a-fA-F]+\s*", value):
            return int(value, 16)
        found = _NUMBER.fullmatch(value.rstrip())
        return float(found[1]) if found else math.nan
    return int(value) if isinstance(value, bool) else value or 0


def lead(value: Any) -> float:
    if value is None or isinstance(value, (bool, list, dict)):
        return math.nan
    found = _NUMBER.match(value) if isinstance(value, str) else None
    if isinstance(value, str):
        return float(found[1]) if found else math.nan
    return value


def said(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ",".join(said(each) for each in value)
    if isinstance(value, dict):
        return "[object Object]"
    if isinstance(value, float) and value == int(value if math.isfinite(value) else 0):
        return str(int(value))
    return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(str(value), str(value))


def strict(a: Any, b: Any) -> bool:
    return isinstance(a, bool) == isinstance(b, bool) and a == b


def loose(a: Any, b: Any) -> bool:
    if isinstance(a, (list, dict)) or isinstance(b, (list, dict)):
        return type(a) is type(b) and a == b
    if a is None or b is None:
        return a is b
    if isinstance(a, str) and isinstance(b, str):
        return a == b
    return num(a) == num(b)


def order(a: Any, b: Any, test: Any) -> bool:
    if isinstance(a, str) and isinstance(b, str):
        return bool(test(a, b))
    return bool(test(num(a), num(b)))


class Interpreter:
    def __init__(self, toggle: str, now: int, context: dict[str, Any]) -> None:
        self.toggle, self.now, self.context = toggle, now, context

    def value(self, rule: Any, data: Any) -> Any:
        if isinstance(rule, list):
            return [self.value(each, data) for each in rule]
        if not isinstance(rule, dict) or len(rule) != 1:
            return rule
        ((name, args),) = rule.items()
        args = args if isinstance(args, list) else [args]
        lazy = getattr(self, f"do_{name}", None)
        if lazy is not None:
            return lazy(args, data)
        return self.eager(name, [self.value(each, data) for each in args])

    def do_if(self, args: list[Any], data: Any) -> Any:
        while len(args) > 1:
            if truth(self.value(args[0], data)):
                return self.value(args[1], data)
            args = args[2:]
        return self.value(args[0], data) if args else None

    def do_and(self, args: list[Any], data: Any) -> Any:
        for each in args:
            value = self.value(each, data)
            if not truth(value):
                return value
        return value

    def do_or(self, args: list[Any], data: Any) -> Any:
        for each in args:
            value = self.value(each, data)
            if truth(value):
                return value
        return value

    def do_var(self, args: list[Any], data: Any) -> Any:
        name = said(self.value(args[0], data))
        default = self.value(args[1], data) if len(args) > 1 else None
        if not name:
            return data
        if name == "$flagd.flagKey":
            return self.toggle
        if name == "$flagd.timestamp":
            return self.now
        for part in name.split("."):
            if isinstance(data, dict) and part in data:
                data = data[part]
            elif isinstance(data, list) and part.isdecimal() and int(part) < len(data):
                data = data[int(part)]
            else:
                return default
        return data

    def many(self, args: list[Any], data: Any) -> list[Any]:
        many = self.value(args[0], data)
        return many if isinstance(many, list) else []

    def do_map(self, args: list[Any], data: Any) -> Any:
        return [self.value(args[1], each) for each in self.many(args, data)]

    def do_filter(self, args: list[Any], data: Any) -> Any:
        return [each for each in self.many(args, data) if truth(self.value(args[1], each))]

    def do_all(self, args: list[Any], data: Any) -> Any:
        many = self.many(args, data)
        return bool(many) and all(truth(self.value(args[1], each)) for each in many)

    def do_some(self, args: list[Any], data: Any) -> Any:
        return any(truth(self.value(args[1], each)) for each in self.many(args, data))

    def do_none(self, args: list[Any], data: Any) -> Any:
        return not self.do_some(args, data)

    def do_reduce(self, args: list[Any], data: Any) -> Any:
        total = self.value(args[2], data)
        for each in self.many(args, data):
            total = self.value(args[1], {"current": each, "accumulator": total})
        return total

    def do_missing(self, args: list[Any], data: Any) -> Any:
        names = [self.value(each, data) for each in args]
        names = names[0] if names and isinstance(names[0], list) else names
        return [name for name in names if self.do_var([name], data) in (None, "")]

    def do_missing_some(self, args: list[Any], data: Any) -> Any:
        gone = self.do_missing([args[1]], data)
        return [] if len(args[1]) - len(gone) >= args[0] else gone

    def do_fractional(self, args: list[Any], data: Any) -> Any:
        if isinstance(args[0], list):
            person = self.context.get("targetingKey")
            if not isinstance(person, str) or not person:
                return None
            who = self.toggle + person
        else:
            who, args = self.value(args[0], data), args[1:]
            if not isinstance(who, str):
                return None
        place = mmh3.hash(who.encode("utf-8", "surrogatepass"), 0, False)
        return self.shared(place, [self.value(each, data) for each in args])

    def shared(self, place: int, shares: list[list[Any]]) -> Any:
        weights = [max(0, share[1]) if len(share) > 1 else 1 for share in shares]
        total, so_far = sum(weights), 0
        if not 0 < total < 2**31:
            return None
        for (what, *_), weight in zip(shares, weights, strict=True):
            so_far += weight
            if (place * total) >> 32 < so_far:
                return what
        return None

    def eager(self, name: str, a: list[Any]) -> Any:
        match name:
            case "==" | "!=":
                return loose(*a) == (name == "==")
            case "===" | "!==":
                return strict(*a) == (name == "===")
            case "<":
                return all(order(x, y, lambda p, q: p < q) for x, y in pairwise(a))
            case "<=":
                return all(order(x, y, lambda p, q: p <= q) for x, y in pairwise(a))
            case ">":
                return order(*a, lambda p, q: p > q)
            case ">=":
                return order(*a, lambda p, q: p >= q)
            case "!":
                return not truth(a[0])
            case "!!":
                return truth(a[0])
            case "+":
                return sum(map(lead, a))
            case "*":
                return math.prod(map(lead, a))
            case "-":
                return num(a[0]) - num(a[1]) if len(a) > 1 else -num(a[0])
            case "/" | "%":
                return self.divided(name, num(a[0]), num(a[1]))
            case "max" | "min":
                values = [num(each) for each in a]
                unclear = any(math.isnan(each) for each in values)
                return math.nan if unclear else {"max": max, "min": min}[name](values)
            case "cat":
                return "".join(map(said, a))
            case "in":
                if isinstance(a[1], str):
                    return a[1] != "" and ("null" if a[0] is None else said(a[0])) in a[1]
                return isinstance(a[1], list) and any(strict(a[0], each) for each in a[1])
            case "merge":
                return [x for each in a for x in (each if isinstance(each, list) else [each])]
            case "starts_with" | "ends_with":
                if not all(isinstance(each, str) for each in a):
                    return None
                return a[0].startswith(a[1]) if name == "starts_with" else a[0].endswith(a[1])
        raise AssertionError(name)

    def divided(self, name: str, one: float, other: float) -> float:
        if math.isnan(one) or math.isnan(other):
            return math.nan
        if other == 0:
            return math.nan if name == "%" or one == 0 else math.copysign(math.inf, one)
        if name == "/":
            return one / other
        return math.nan if math.isinf(one) else math.fmod(one, other)
