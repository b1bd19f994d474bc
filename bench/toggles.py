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
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ROUNDS = 41
SLICE = 0.012  # seconds
WANTED = 10.0
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
THEIRS = Path(__file__).parent.parent / ".venv-bench" / "bin" / "python"
KEYS = range(1_000)
PERSON = {"country": "DE", "plan": "free", "email": "ann@example.com"}

Case = Callable[[], Any]


def main() -> int:
    """Run the comparison and say what came out."""
    if not THEIRS.exists():
        print("No comparison: the rivals are not installed. `make bench` does that.")
        return 0
    core = max(os.sched_getaffinity(0))
    with Contestant("ours", sys.executable, core) as ours:
        results = {rival: against(ours, rival, core) for rival in RIVALS}
    print(f"{'':26}" + "".join(f"{told:>26}" for told in CASES.values()))
    mine = {case: statistics.median([r[case][0] for r in results.values()]) for case in CASES}
    print(f"{'détente':26}" + "".join(f"{_took(mine[case]):>26}" for case in CASES))
    for rival, result in results.items():
        told = [f"{_took(theirs)} = {ratio:.0f} x" for _, theirs, ratio in result.values()]
        print(f"{RIVALS[rival]:26}" + "".join(f"{each:>26}" for each in told))
    least = min(ratio for result in results.values() for _, _, ratio in result.values())
    print(f"at least {least:.1f} times as fast (wanted: {WANTED:.0f} or more)")
    return 0 if least >= WANTED else 1


def _took(nanoseconds: float) -> str:
    for unit, size in (("ms", 1e6), ("µs", 1e3)):
        if nanoseconds >= size:
            return f"{nanoseconds / size:.2f} {unit}"
    return f"{nanoseconds:.0f} ns"


def against(ours: Contestant, rival: str, core: int) -> dict[str, tuple[float, float, float]]:
    """Case by case: our time, theirs, and the ratio."""
    with Contestant(rival, str(THEIRS), core) as theirs:
        return {case: _pairs(ours, theirs, case) for case in CASES}


def _pairs(ours: Contestant, theirs: Contestant, case: str) -> tuple[float, float, float]:
    mine, other, ratios = [], [], []
    before = ours.ask(case)
    for _ in range(ROUNDS):
        took, after = theirs.ask(case), ours.ask(case)
        ratios.append(took / ((before + after) / 2))
        mine.append(after)
        other.append(took)
        before = after
    return statistics.median(mine), statistics.median(other), statistics.median(ratios)


class Contestant:
    """A process with its toggles loaded: told a case, it says how many nanoseconds one takes."""

    def __init__(self, name: str, python: str, core: int) -> None:
        self._process = subprocess.Popen(
            [python, __file__, "--serve", name, str(core)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Contestant:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def ask(self, case: str) -> float:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(case + "\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())


# -- in the contestants' processes -----------------------------------------------------------------


def serve(name: str, core: int) -> None:
    """Answer cases until nobody asks any more."""
    os.sched_setaffinity(0, {core})
    made: Mapping[str, Callable[[], dict[str, Case]]] = {
        "ours": ours,
        "flagd": flagd,
        "growthbook": growthbook,
        "unleash": unleash,
    }
    cases = made[name]()
    for asked in sys.stdin:
        print(_slice(cases[asked.strip()]), flush=True)


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
        serve(sys.argv[2], int(sys.argv[3]))
    else:
        sys.exit(main())
