"""Facts as they might have happened, for tests that must hold for any history."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import strategies as st

import detente.slices  # noqa: F401 - registers every fact
from detente.kernel.fact import Fact, known
from detente.kernel.money import MOST, Money

SHIPPED = {name: cls for name, cls in known().items() if cls.__module__.startswith("detente.")}
"""Ours only: other tests name facts of their own."""

_ABOUT = {
    "watch": ["check:a", "check:b"],
    "incidents": ["incident:1", "incident:2"],
    "pager": ["incident:1", "incident:2"],
    "node": ["node:here"],
    "dependencies": ["change:a", "change:b"],
    "sla": ["promise:uptime"],
}
_CALLS = ["call:1", "call:2", "call:3"]
_ROUTES = ["route:payments", "route:refunds"]
_CHOSEN: dict[str, list[str]] = {
    "of": ["vendor:cardpay", "service:shop"],
    "vendor": ["vendor:cardpay", "vendor:other"],
    "cause": ["check:a", "check:b", "route:payments"],
    "route": ["payments", "refunds"],
    "key": ["k1", "k2", "k3"],
    "environment": ["production", "test", ""],
    "team": ["dev", "ops"],
    "channel": ["mail", "webhook"],
    "message": ["opened", "taken", "closed"],
    "way": ["page", "link", "terminal"],
}
_money = st.builds(Money, st.integers(-MOST, MOST), st.sampled_from(["EUR", "JPY", "KWD"]))
_instant = st.integers(0, 40).map(lambda minutes: 1_760_000_000 * 10**9 + minutes * 60 * 10**9)


def facts() -> st.SearchStrategy[Fact]:
    """Any fact of any slice, about a few subjects so that they meet."""
    return st.sampled_from(sorted(SHIPPED)).flatmap(of_name)


def of_name(name: str) -> st.SearchStrategy[Fact]:
    cls = SHIPPED[name]
    described = msgspec.inspect.type_info(cls)
    assert isinstance(described, msgspec.inspect.StructType)
    fields = {each.name: _value(each.name, each.type) for each in described.fields}
    return st.builds(cls, **{**fields, "about": st.sampled_from(_subjects(name))})


def _subjects(name: str) -> list[str]:
    noun, _, what = name.partition(".")
    if noun == "work":
        return _CALLS if what.startswith(("call", "replay")) else _ROUTES
    return ["place:here"] if what == "sheet_filed" else _ABOUT.get(noun, ["thing:a"])


def _value(name: str, described: Any) -> st.SearchStrategy[Any]:
    inspect = msgspec.inspect
    if name in _CHOSEN and not isinstance(described, inspect.IntType):
        return st.sampled_from(_CHOSEN[name])
    if name in ("since", "until", "next_at"):
        optional = isinstance(described, inspect.UnionType)
        return st.none() | _instant if optional else _instant
    match described:
        case inspect.Metadata(type=inner):
            return _value("", inner)
        case inspect.LiteralType(values=values):
            return st.sampled_from(values)
        case inspect.UnionType(types=types):
            return st.one_of(*(_value("", each) for each in types))
        case inspect.NoneType():
            return st.none()
        case inspect.BoolType():
            return st.booleans()
        case inspect.IntType():
            return st.integers(0, 600)
        case inspect.FloatType():
            return st.floats(0, 1e7)
        case inspect.StrType():
            return st.text(max_size=20)
        case inspect.VarTupleType(item_type=item):
            return st.lists(_value("", item), max_size=3).map(tuple)
        case inspect.DictType(value_type=item):
            return st.dictionaries(st.sampled_from(["a", "b"]), _value("", item), max_size=2)
        case inspect.StructType(cls=cls) if cls is Money:
            return _money
        case inspect.StructType(cls=cls, fields=fields):
            return st.builds(cls, **{each.name: _value("", each.type) for each in fields})
    raise AssertionError(f"teach this file what a plausible {name or described} is")
