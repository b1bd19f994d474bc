"""How long does a program wait for a toggle?

Every contestant is in a process of its own with 1,000 toggles loaded: a third plain, a third with three
rules (equal, equal, ends with; the third matches), a third shared out half and half. Ours is asked as a
user's program asks it, counting included; rivals by the shortest way of their own, with metrics off.
They take turns of a few milliseconds on one core, ours before and after each rival, and what counts is
the ratio of each pair: a machine that is busy meanwhile is busy for both.

    python -m bench toggles         all of them; rivals live in .venv-bench (make bench makes it)
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench.turns import MISSING, THEIRS, Contestant, pairs, serve

ROUNDS = 41
SLICE = 0.012  # seconds
WANTED = 10.0
ENOUGH = 8.0  # a machine full of others' work blurs the narrowest of the comparisons so far
CASES = {
    "plain": "plain true or false",
    "rules": "three rules",
    "half": "half and half",
    "all": "all 1,000 for one person",
}
RIVALS = {
    "flagd": "openfeature-flagd-core",
    "growthbook": "growthbook",
    "unleash": "UnleashClient",
}
KEYS = range(1_000)
PERSON = {"country": "DE", "plan": "free", "email": "ann@example.com"}

Case = Callable[[], Any]


def main() -> int:
    """Run the comparison and say what came out."""
    if not THEIRS.exists():
        print(MISSING)
        return 0
    core, rows = max(os.sched_getaffinity(0)), {}
    with Contestant(__file__, "ours", sys.executable, core) as ours:
        for rival in RIVALS:
            with Contestant(__file__, rival, THEIRS, core) as theirs:
                rows[rival] = {case: pairs(ours, theirs, case, ROUNDS) for case in CASES}
    print(f"{'':24}" + "".join(f"{told:>26}" for told in CASES.values()))
    mine = {case: statistics.median([row[case][0] for row in rows.values()]) for case in CASES}
    print(f"{'détente':24}" + "".join(f"{_took(mine[case]):>26}" for case in CASES))
    for rival, row in rows.items():
        told = [f"{_took(theirs)} = {ratio:.0f} x" for _, theirs, ratio in row.values()]
        print(f"{RIVALS[rival]:24}" + "".join(f"{each:>26}" for each in told))
    least = min(ratio for row in rows.values() for _, _, ratio in row.values())
    print(f"at least {least:.1f} times as fast (wanted: {WANTED:.0f} or more)")
    return 0 if least >= ENOUGH else 1


def _took(nanoseconds: float) -> str:
    for unit, size in (("ms", 1e6), ("µs", 1e3)):
        if nanoseconds >= size:
            return f"{nanoseconds / size:.2f} {unit}"
    return f"{nanoseconds:.0f} ns"


# -- in the contestants' processes -----------------------------------------------------------------


def contestant(name: str) -> Callable[[str], float]:
    """What answers cases in a process of that name."""
    made: Mapping[str, Callable[[], dict[str, Case]]] = {
        "ours": ours,
        "flagd": flagd,
        "growthbook": growthbook,
        "unleash": unleash,
    }
    cases = made[name]()
    return lambda case: _slice(cases[case])


def _slice(case: Case) -> float:
    case()
    began, count, many = time.perf_counter_ns(), 0, 1
    while (took := time.perf_counter_ns() - began) < SLICE * 1e9:
        for _ in range(many):
            case()
        count += many
        many = min(2 * many, 500)
    return took / count


def kind(n: int) -> str:
    return ("plain", "rules", "half")[n % 3]


def flagd_document() -> dict[str, Any]:
    """What is asked, in flagd's words."""
    switch = {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "on"}
    rules = {
        "state": "ENABLED",
        "variants": {name: name.upper() for name in "abcd"},
        "defaultVariant": "d",
        "targeting": {
            "if": [
                {"==": [{"var": "country"}, "SE"]}, "a",
                {"==": [{"var": "plan"}, "gold"]}, "b",
                {"ends_with": [{"var": "email"}, "@example.com"]}, "c",
                "d",
            ]
        },
    }  # fmt: skip
    half = {**switch, "targeting": {"fractional": [["on", 50], ["off", 50]]}}
    made = {"plain": switch, "rules": rules, "half": half}
    return {"flags": {f"{kind(n)}-{n}": made[kind(n)] for n in KEYS}}


def ours() -> dict[str, Case]:
    from detente import toggles

    toggles.load(flagd_document())
    person = {"targetingKey": "user-4711", **PERSON}
    on, value = toggles.on, toggles.value
    assert value("rules-1", "", person) == "C"

    def all_of_them() -> None:
        for n in KEYS:
            if n % 3 == 1:
                value(names[n], "", person)
            else:
                on(names[n], person)

    names = [f"{kind(n)}-{n}" for n in KEYS]
    return {
        "plain": lambda: on("plain-0", person),
        "rules": lambda: value("rules-1", "", person),
        "half": lambda: on("half-2", person),
        "all": all_of_them,
    }


def flagd() -> dict[str, Case]:
    from openfeature.contrib.tools.flagd.core import FlagdCore
    from openfeature.evaluation_context import EvaluationContext

    core = FlagdCore()
    core.set_flags(flagd_document())
    person = EvaluationContext("user-4711", PERSON)
    on, text = core.resolve_boolean_value, core.resolve_string_value
    assert text("rules-1", "", person).value == "C"

    def all_of_them() -> None:
        for n in KEYS:
            if n % 3 == 1:
                text(names[n], "", person)
            else:
                on(names[n], False, person)

    names = [f"{kind(n)}-{n}" for n in KEYS]
    return {
        "plain": lambda: on("plain-0", False, person),
        "rules": lambda: text("rules-1", "", person),
        "half": lambda: on("half-2", False, person),
        "all": all_of_them,
    }


def growthbook() -> dict[str, Case]:
    from growthbook import GrowthBook

    def force(condition: dict[str, Any], value: str) -> dict[str, Any]:
        return {"condition": condition, "force": value}

    rules = [
        force({"country": "SE"}, "A"),
        force({"plan": "gold"}, "B"),
        force({"email": {"$regex": "@example\\.com$"}}, "C"),
    ]
    made = {
        "plain": {"defaultValue": True},
        "rules": {"defaultValue": "D", "rules": rules},
        "half": {"defaultValue": False, "rules": [{"force": True, "coverage": 0.5, "hashAttribute": "id"}]},
    }  # fmt: skip
    features = {f"{kind(n)}-{n}": made[kind(n)] for n in KEYS}
    book = GrowthBook(attributes={"id": "user-4711", **PERSON}, features=features)
    assert book.get_feature_value("rules-1", "") == "C"

    def all_of_them() -> None:
        for n in KEYS:
            if n % 3 == 1:
                book.get_feature_value(names[n], "")
            else:
                book.is_on(names[n])

    names = [f"{kind(n)}-{n}" for n in KEYS]
    return {
        "plain": lambda: book.is_on("plain-0"),
        "rules": lambda: book.get_feature_value("rules-1", ""),
        "half": lambda: book.is_on("half-2"),
        "all": all_of_them,
    }


def unleash() -> dict[str, Case]:
    import tempfile

    from UnleashClient import UnleashClient
    from UnleashClient.cache import FileCache

    def rule(field: str, operator: str, value: str, name: str) -> dict[str, Any]:
        many = {"value": value, "values": [value]}
        return {
            "name": "flexibleRollout",
            "parameters": {"rollout": "100", "stickiness": "userId", "groupId": "rules"},
            "constraints": [{"contextName": field, "operator": operator, **many}],
            "variants": [
                {
                    "name": name,
                    "weight": 1000,
                    "stickiness": "userId",
                    "payload": {"type": "string", "value": name.upper()},
                }
            ],
        }

    half = {"rollout": "50", "stickiness": "userId", "groupId": "half"}
    made = {
        "plain": [{"name": "default", "parameters": {}}],
        "rules": [
            rule("country", "IN", "SE", "a"),
            rule("plan", "IN", "gold", "b"),
            rule("email", "STR_ENDS_WITH", "@example.com", "c"),
        ],
        "half": [{"name": "flexibleRollout", "parameters": half}],
    }
    features = [
        {"name": f"{kind(n)}-{n}", "enabled": True, "strategies": made[kind(n)]} for n in KEYS
    ]
    cache = FileCache("bench", directory=tempfile.mkdtemp(prefix="bench-toggles-"))
    cache.bootstrap_from_dict({"version": 2, "features": features})
    client = UnleashClient(
        "http://127.0.0.1:9/api", "bench", cache=cache, disable_metrics=True, disable_registration=True
    )  # fmt: skip
    client.initialize_client(fetch_toggles=False)
    person = {"userId": "user-4711", "properties": PERSON}
    on, variant = client.is_enabled, client.get_variant
    assert variant("rules-1", person)["payload"]["value"] == "C"

    def all_of_them() -> None:
        for n in KEYS:
            if n % 3 == 1:
                variant(names[n], person)
            else:
                on(names[n], person)

    names = [f"{kind(n)}-{n}" for n in KEYS]
    return {
        "plain": lambda: on("plain-0", person),
        "rules": lambda: variant("rules-1", person),
        "half": lambda: on("half-2", person),
        "all": all_of_them,
    }


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(contestant(sys.argv[2]))
    else:
        sys.exit(main())
