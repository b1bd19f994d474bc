"""Do compiled rules answer as plain ones would, and does nothing get in by way of a definition?"""

from __future__ import annotations

import json
import math
import struct
import timeit
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detente.toggles.engine import crowds, logic
from detente.toggles.engine.definition import DEEPEST, BadDefinition
from detente.toggles.engine.ruleset import PINNED, UNSET, Ruleset
from detente.toggles.engine.typed import fitting
from detente.toggles.engine.versions import sem_ver

from . import oracle

NOW = 1_790_000_000_000_000_000


def book(targeting: Any, **more: Any) -> dict[str, Any]:
    flag = {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "off"}
    return {"flags": {"t": {**flag, "targeting": targeting}}, **more}


def ask(targeting: Any, context: Any = None, **more: Any) -> Any:
    return Ruleset.parse(book(targeting), **more).evaluate("t", context, now=NOW)


def worth(rule: Any, context: Any, **more: Any) -> Any:
    """The value of a rule, in the words that `cat` and `==` leave it: kind and content."""
    seen: list[Any] = []
    ruleset = Ruleset.parse(book({"if": [True, "on"]}), **more)
    compiler = ruleset._toggles["t"]._compiler(ruleset.shared)
    compiler._names["settle"] = seen.append
    compiler._settle = lambda value: seen.append(value) or value  # type: ignore[func-returns-value]
    compiler.compiled({"merge": [[rule]]})(context, lambda: NOW)
    assert seen, "the rule could not be followed"
    return seen[-1][0] if isinstance(seen[-1], list) else seen[-1]


# -- against the oracle ----------------------------------------------------------------------------

WORDS = ["", "a", "b", "10", " 7 ", "0x1f", "3 apples", "München", "';import os", "1e3"]
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-20, 20), st.sampled_from([0.5, 2.0, -1.5]),
    st.sampled_from(WORDS),
)  # fmt: skip
contexts = st.fixed_dictionaries(
    {},
    optional={
        "a": scalars,
        "b": scalars,
        "many": st.lists(scalars, max_size=4),
        "in": st.fixed_dictionaries({"x": scalars, "y": st.lists(scalars, max_size=2)}),
        "targetingKey": st.sampled_from(["", "ann", "bob", "Zoë", "\ud83d"]),
    },
)
names = st.sampled_from(["a", "b", "many", "in.x", "in.y.0", "gone", "$flagd.flagKey", ""])
variables = st.one_of(
    names.map(lambda name: {"var": name}), st.tuples(names, scalars).map(lambda p: {"var": [*p]})
)
BINARY = ["==", "!=", "===", "!==", ">", ">=", "/", "%", "in", "starts_with", "ends_with"]
LISTS = ["map", "filter", "all", "some", "none"]


def operators(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    some = st.lists(inner, min_size=1, max_size=4)
    item = st.one_of(st.sampled_from([{"var": ""}, {"var": "x"}]), inner)
    weights = st.integers(0, 5)
    share = st.tuples(inner.filter(lambda each: not isinstance(each, list)), weights).map(list)
    return st.one_of(
        st.tuples(st.sampled_from(BINARY), st.tuples(inner, inner)).map(_rule),
        st.tuples(st.sampled_from(["<", "<="]), st.lists(inner, min_size=2, max_size=3)).map(_rule),
        st.tuples(st.sampled_from(["if", "and", "or", "cat", "merge", "max", "min"]), some).map(_rule),
        st.tuples(st.sampled_from(["+", "*"]), st.lists(inner, min_size=2, max_size=3)).map(_rule),
        st.tuples(st.just("-"), st.lists(inner, min_size=1, max_size=2)).map(_rule),
        st.tuples(st.sampled_from(["!", "!!"]), st.tuples(inner)).map(_rule),
        st.tuples(st.sampled_from(LISTS), st.tuples(inner, item)).map(_rule),
        st.tuples(inner, inner).map(
            lambda p: {"reduce": [p[0], {"+": [{"var": "current"}, {"var": "accumulator"}]}, p[1]]}
        ),
        st.lists(st.sampled_from(["a", "b", "gone"]), max_size=3).map(lambda n: {"missing": n}),
        st.tuples(st.one_of(variables, st.none()), st.lists(share, min_size=1, max_size=4)).map(
            lambda p: {"fractional": [*([p[0]] if p[0] else []), *p[1]]}
        ),
    )  # fmt: skip


def _rule(pair: Any) -> Any:
    return {pair[0]: [*pair[1]]}


rules = st.recursive(
    st.one_of(scalars, variables, st.lists(scalars, max_size=3)), operators, max_leaves=12
)


def alike(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(alike(one[key], other[key]) for key in one)
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


@pytest.mark.slow
@given(rule=rules, context=contexts)
@settings(max_examples=600, deadline=None)
def test_compiled_rules_are_worth_what_plain_ones_are(rule: Any, context: Any) -> None:
    """Whatever the rule and the context, the compiled function and a slow interpreter agree."""
    wanted = oracle.run(rule, context, "t", NOW // 1_000_000_000)
    assert alike(worth(rule, context, generation="v2"), wanted)


variant = st.sampled_from(["on", "off", None, True, False, "gone", 3])
branches = st.recursive(
    variant,
    lambda inner: st.one_of(
        st.lists(st.one_of(inner, rules), min_size=1, max_size=5).map(lambda a: {"if": a}),
        st.lists(st.tuples(inner, st.integers(0, 3)).map(list), min_size=1, max_size=3).map(
            lambda a: {"fractional": a}
        ),
    ),
    max_leaves=8,
)


@pytest.mark.slow
@given(rule=branches.filter(lambda rule: isinstance(rule, dict)), context=contexts)
@settings(max_examples=400, deadline=None)
def test_answers_are_the_variants_that_rules_come_to(rule: Any, context: Any) -> None:
    """Branches and shares that answer by themselves, answer what their value stands for."""
    answer = ask(rule, context, generation="v2", strict=False)
    value = oracle.run(rule, context, "t", NOW // 1_000_000_000)
    if value is None:
        assert (answer.value, answer.reason) == (False, "DEFAULT")
    elif isinstance(value, (dict, list)) or logic.text(value) not in ("on", "off"):
        assert (answer.value, answer.error_code) == (UNSET, "GENERAL")
    else:
        assert (answer.variant, answer.reason) == (logic.text(value), "TARGETING_MATCH")


# -- generations ---------------------------------------------------------------------------------


def test_one_share_in_two_generations() -> None:
    """v2 and v3 put people elsewhere, each always at the same place."""
    half = {"fractional": [["on", 50], ["off", 50]]}
    people = [f"user-{n}" for n in range(400)]

    def sides(generation: Any) -> list[Any]:
        ruleset = Ruleset.parse(book(half), generation=generation)
        return [ruleset.evaluate("t", {"targetingKey": p}, now=NOW).variant for p in people]

    assert sides("v2") == sides("v2") != sides("v3") == sides(None)
    assert all(150 < sides(generation).count("on") < 250 for generation in ("v2", "v3"))


def test_a_rule_book_says_how_it_shares_out() -> None:
    """The generation stands in the metadata; asking for another one is refused, not obeyed."""
    pinned = book({"fractional": [["on", 1]]}, metadata={PINNED: "v2"})
    assert Ruleset.parse(pinned).generation == "v2"
    with pytest.raises(BadDefinition, match="change sides"):
        Ruleset.parse(pinned, generation="v3")
    with pytest.raises(BadDefinition, match="Write one of: v3, v2"):
        Ruleset.parse(book({}, metadata={PINNED: "v4"}))


@given(st.floats(allow_nan=False), st.integers(-(2**64), 2**64 - 1))
def test_cbor_is_the_shortest(fraction: float, whole: int) -> None:
    """Whole floats are integers, halves take two bytes, and what was written can be read."""
    if fraction.is_integer() and -(2**63) <= fraction < 2**64:
        assert crowds.cbor(fraction) == crowds.cbor(int(fraction))
    else:
        written = crowds.cbor(fraction)
        form = {0xF9: ">e", 0xFA: ">f", 0xFB: ">d"}[written[0]]
        assert struct.unpack(form, written[1:])[0] == fraction
    size = {24: 2, 25: 3, 26: 5, 27: 9}.get(crowds.cbor(whole)[0] & 31, 1)
    assert len(crowds.cbor(whole)) == size


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0, "00"), (23, "17"), (24, "1818"), (-1, "20"), (1000000, "1a000f4240"),
        (18446744073709551616, "c249010000000000000000"), (1.5, "f93e00"), (3.4028234663852886e38, "fa7f7fffff"),
        (1.1, "fb3ff199999999999a"), (False, "f4"), (None, "f6"), ("ü", "62c3bc"), ([1, [2, 3]], "8201820203"),
        ({"b": [2], "a": 1}, "a26161016162" + "8102"),
    ],
)  # fmt: skip
def test_cbor_of_the_standards_examples(value: Any, written: str) -> None:
    """RFC 8949, appendix A."""
    assert crowds.cbor(value).hex() == written


# -- asking never raises ---------------------------------------------------------------------------


class Odd:
    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no comparisons")

    def __hash__(self) -> int:
        return 1


@pytest.mark.parametrize("context", [None, {}, [], 5, "text", {"a": Odd()}, {1: 2}, {"a": 10**400}])
def test_no_context_makes_it_raise(context: Any) -> None:
    """Whatever is handed in, there is an answer."""
    rule = {"if": [{"==": [{"var": "a"}, "x"]}, "on", {"<": [{"+": [{"var": "a"}, 1]}, 5]}, "on"]}
    assert ask(rule, context).reason in ("DEFAULT", "TARGETING_MATCH", "ERROR")


@pytest.mark.parametrize(
    "said", ["1" * 200_000 + "x", "1.0.0-" + "1" * 200_000 + "!", "-" * 200_000]
)
def test_long_texts_cost_no_time(said: str) -> None:
    """What people send stands in contexts: no text of theirs keeps a program busy."""
    number, newer = {"<": [{"var": "a"}, 5]}, {"sem_ver": [{"var": "a"}, ">", "1.0.0"]}
    taken = timeit.timeit(lambda: ask({"if": [number, "on", newer, "on"]}, {"a": said}), number=1)
    assert taken < 1


def test_errors_are_answers() -> None:
    """An unknown toggle, a variant that is not there, an unknown operator of a newer node."""
    assert Ruleset.parse(book({})).evaluate("x", now=NOW).error_code == "FLAG_NOT_FOUND"
    assert ask({"cat": ["o", "dd"]}).error_code == "GENERAL"
    later = ask({"if": [{"newer": [1]}, "on"]}, strict=False)
    assert (later.error_code, later.value) == ("PARSE_ERROR", UNSET)
    assert "no operator" in later.error_details


def test_the_time_is_in_seconds() -> None:
    """Rules may ask for the time, as flagd gives it."""
    rule = {"if": [{">=": [{"var": "$flagd.timestamp"}, 1_790_000_000]}, "on", "off"]}
    assert ask(rule).variant == "on"
    growing = {
        "fractional": [["on", {"-": [{"var": "$flagd.timestamp"}, 1_789_999_999]}], ["off", 0]]
    }
    assert ask(growing, {"targetingKey": "ann"}).variant == "on"


# -- hostile definitions -----------------------------------------------------------------------------


def nested(depth: int, inside: Any = True) -> Any:
    for _ in range(depth):
        inside = {"!": [inside]}
    return inside


@pytest.mark.parametrize("depth", [DEEPEST, 2_000, 100_000])
def test_depth_is_refused(depth: int) -> None:
    """Deeper than anybody can read is told as such, and not by falling over."""
    with pytest.raises(BadDefinition, match="nested more than"):
        Ruleset.parse('{"flags": {"t": %s}}' % ('{"a":' * depth + "1" + "}" * depth))


@pytest.mark.parametrize(
    "rule",
    [
        nested(60),
        nested(60, {"if": [{"var": "a"}, 1]}),
        {"and": [nested(20)] * 30},
        {"if": [{"==": [{"var": "a"}, n]} if n % 2 else "on" for n in range(2_001)]},
        {"or": [{"in": [{"var": "a"}, [str(n) for n in range(3_000)]]}] * 5},
    ],
    ids=["deep", "deep condition", "wide and deep", "a thousand branches", "long lists"],
)
def test_large_rules_compile(rule: Any) -> None:
    """Within the limit, size is no reason to fail."""
    assert ask(rule).reason != "ERROR" or ask(rule).error_code == "GENERAL"


INJECTIONS = [
    "'", '"', "\\", "\n", "\r\n    raise SystemExit", "'+__import__('os').system('x')+'", "{0}", "%s",
    "\x00", "\u2028", "\ud800", "\u202e", "𝕏", '""" + exit() + """', "#", "k1", "context", "$ref",
]  # fmt: skip


@pytest.mark.parametrize("text", INJECTIONS)
def test_texts_stay_texts(text: str) -> None:
    """Nothing that stands in a definition becomes code: not names, keys, variants or arguments."""
    flag = {
        "state": "ENABLED",
        "variants": {text: 1, "other": 2},
        "defaultVariant": "other",
        "targeting": {"if": [{"==": [{"var": [text, text]}, {"cat": [text]}]}, text]},
    }
    try:
        ruleset = Ruleset.parse({"flags": {text: flag}})
    except BadDefinition as bad:
        assert "surrogate" in str(bad) or "utf-8" in str(bad).lower()
        return
    assert ruleset.evaluate(text, {text: text}, now=NOW).variant == text
    assert ruleset.evaluate(text, {}, now=NOW).variant == text


@pytest.mark.parametrize(
    ("broken", "place", "remedy"),
    [
        (b"{", "the document", "Compare"),
        (b"[]", "the document", "Write"),
        (b"\xff\xfe", "the document", "Compare"),
        ({}, "flags", "Write"),
        ({"flags": {"": {}}}, "flags", "Name it"),
        (book({"fractional": [["on", 2**31], ["off", 1]]}), "flags.t.targeting.fractional", "smaller"),
        (book({"fractional": [["on", -1]]}), "flags.t.targeting.fractional[0][1]", "0 or more"),
        (book({"fractional": [{"var": "a"}]}), "flags.t.targeting.fractional", "Add shares"),
        (book({"iff": [1]}), "flags.t.targeting", "Did you mean “if”?"),
        (book({"if": [1], "or": [1]}), "flags.t.targeting", "Write"),
        (book({"==": [1]}), "flags.t.targeting.==", "Give it 2"),
        (book({"$ref": "x"}), "flags.t.targeting", "There are: none"),
        (book({}, **{"$evaluators": {"x": {"$ref": "x"}}}), "$evaluators.x", "cannot use each other"),
        ({"flags": {"t": {"state": "ON", "variants": {"a": 1}}}}, "flags.t.state", "ENABLED"),
        (
            {"flags": {"t": {"state": "ENABLED", "variants": {"on": 1}, "defaultVariant": "onn"}}},
            "flags.t.defaultVariant",
            "“on”",
        ),
        ({"flags": {}, "metadata": {"a": [1]}}, "metadata.a", "text"),
    ],
)  # fmt: skip
def test_mistakes_name_their_place(broken: Any, place: str, remedy: str) -> None:
    """One sentence: where it is, what is wrong, what to write instead."""
    with pytest.raises(BadDefinition) as refused:
        Ruleset.parse(broken)
    assert refused.value.place == place
    assert remedy in refused.value.remedy
    assert str(refused.value).startswith(f"{place}: ")


def test_huge_numbers_are_no_trouble() -> None:
    """Weights and numbers beyond all bounds answer something."""
    heavy = {"fractional": [["on", 2**40], ["off", 10**300]]}
    assert ask(heavy, {"targetingKey": "a"}, strict=False).reason == "DEFAULT"
    product = {"*": [10**18] * 40}
    assert ask({"if": [{">": [product, 1]}, "on"]}).variant == "on"


# -- kinds of values ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "default", "fits"),
    [
        (True, False, True), (1, False, UNSET), (True, 1, UNSET), (10.0, 1, 10), (3.14, 1, UNSET),
        (2**53, 0.0, float(2**53)), (2**53 + 1, 0.0, UNSET), (1e300, 1, UNSET), (10, 0.5, 10.0),
        ("x", "", "x"), ("x", 1, UNSET), ({}, {"a": 1}, {}), (UNSET, True, UNSET), ("x", None, "x"),
    ],
)  # fmt: skip
def test_values_fit_or_do_not(value: Any, default: Any, fits: Any) -> None:
    """Numbers change kind where nothing is lost; nothing else does."""
    assert fitting(value, default) == fits
    assert type(fitting(value, default)) is type(fits)


@pytest.mark.parametrize(
    ("one", "how", "other", "wanted"),
    [
        ("1.0.0-alpha.2", "<", "1.0.0-alpha.10", True), ("1.0.0-1", "<", "1.0.0-a", True),
        ("1.0.0-a", "<", "1.0.0-a.1", True), ("1.0.0-rc", "<", "1.0.0", True),
        ("1.0.0+x", "=", "1.0.0", True), ("01.0.0", "=", "1.0.0", None), ("1.2.3.4", "=", "1.0.0", None),
        ("1.9", "~", "v1.9.4", True), ("2", "^", "2.7.1", True), ("1", "=>", "1", None), (None, "=", "1", None),
    ],
)  # fmt: skip
def test_versions(one: Any, how: str, other: Any, wanted: Any) -> None:
    """In the order of semver.org; what is no version is neither newer nor older."""
    assert sem_ver(one, how, other) is wanted


def test_unchanged_toggles_are_taken_over() -> None:
    """A new rule book compiles what changed and keeps the rest, counts and all."""
    first = Ruleset.parse({"flags": {**book({})["flags"], "u": book({"if": ["on"]})["flags"]["t"]}})
    second = Ruleset.parse(
        {"flags": {**book({})["flags"], "u": book({"if": ["off"]})["flags"]["t"]}}, before=first
    )
    assert first.rules["t"] is second.rules["t"]
    assert first.rules["u"] is not second.rules["u"]
    assert first.version != second.version
    assert Ruleset.parse(first.document).version == first.version
    assert json.loads(first.document)["flags"].keys() == {"t", "u"}
