"""What does it cost to guard a call while all is well?

A function that does nothing is called bare and guarded; the difference is the price. Ours counts
failures and slow calls in a sliding window, notices calls that hang, and limits its probes; the rivals
count failures in a row. Each is in a process of its own on one core, and they take turns.

    python -m bench breaker         all of them; rivals live in .venv-bench (make bench makes it)
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # rivals run this file by its path
    sys.path[0] = str(Path(__file__).parent.parent)

from bench.turns import MISSING, THEIRS, Contestant, pairs, serve

ROUNDS = 21
BATCHES = 60
CALLS = 200  # in a batch: so short that it is rarely interrupted, and the best one never
WANTED = 1_000  # nanoseconds a guarded plain call may cost more than a bare one
CASES = {"sync": "a plain function", "async": "an async function"}
RIVALS = {
    "pybreaker": ("sync",),
    "circuitbreaker": ("sync", "async"),
    "purgatory": ("sync", "async"),
}


def main() -> int:
    """Run the comparison and say what came out: the price of guarding, over the bare call."""
    if not THEIRS.exists():
        print(MISSING)
        return 0
    core = max(os.sched_getaffinity(0))
    mine: dict[str, list[float]] = {case: [] for case in CASES}
    rows = []
    with Contestant(__file__, "ours", sys.executable, core) as ours:
        for rival, cases in RIVALS.items():
            with Contestant(__file__, rival, THEIRS, core) as theirs:
                told = {case: pairs(ours, theirs, case, ROUNDS) for case in cases}
            for case, (took, _, _) in told.items():
                mine[case].append(took)
            rows.append((rival, told))
    print(f"{'':18}" + "".join(f"{said:>24}" for said in CASES.values()))
    prices = {case: statistics.median(each) for case, each in mine.items()}
    print(f"{'détente guard':18}" + "".join(f"{prices[case]:>21.0f} ns" for case in CASES))
    for rival, told in rows:
        cells = [
            f"{told[case][1]:.0f} ns = {told[case][2]:.1f} x" if case in told else "–"
            for case in CASES
        ]
        print(f"{rival:18}" + "".join(f"{cell:>24}" for cell in cells))
    print(f"a guarded plain call costs {prices['sync']:.0f} ns more (wanted: less than {WANTED})")
    return 0 if prices["sync"] < WANTED else 1


# -- in the contestants' processes -----------------------------------------------------------------


def nothing() -> int:
    return 1


async def nothing_soon() -> int:
    return 1


def contestant(name: str) -> Callable[[str], float]:
    """Answers a case with nanoseconds a call, less what the bare call takes in the same moment."""
    guarded = {"ours": ours, "pybreaker": pybreaker, "circuitbreaker": circuitbreaker}.get(
        name, purgatory
    )()
    loop = asyncio.new_event_loop()

    def answer(case: str) -> float:
        if case == "sync":
            return _plain(guarded["sync"]) - _plain(nothing)
        soon = guarded["async"]
        return loop.run_until_complete(_awaited(soon)) - loop.run_until_complete(
            _awaited(nothing_soon)
        )

    return answer


def _plain(function: Callable[[], Any]) -> float:
    took = []
    for _ in range(BATCHES):
        began = time.perf_counter_ns()
        for _ in range(CALLS):
            function()
        took.append(time.perf_counter_ns() - began)
    return min(took) / CALLS


async def _awaited(function: Callable[[], Awaitable[Any]]) -> float:
    took = []
    for _ in range(BATCHES):
        began = time.perf_counter_ns()
        for _ in range(CALLS):
            await function()
        took.append(time.perf_counter_ns() - began)
    return min(took) / CALLS


def ours() -> dict[str, Callable[[], Any]]:
    from detente.work import guard

    return {"sync": guard("bench")(nothing), "async": guard("bench")(nothing_soon)}


def pybreaker() -> dict[str, Callable[[], Any]]:
    import pybreaker

    return {"sync": pybreaker.CircuitBreaker()(nothing)}


def circuitbreaker() -> dict[str, Callable[[], Any]]:
    from circuitbreaker import circuit

    return {"sync": circuit()(nothing), "async": circuit()(nothing_soon)}


def purgatory() -> dict[str, Callable[[], Any]]:
    from purgatory import AsyncCircuitBreakerFactory, SyncCircuitBreakerFactory

    return {
        "sync": SyncCircuitBreakerFactory()("bench")(nothing),
        "async": AsyncCircuitBreakerFactory()("bench")(nothing_soon),
    }


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(contestant(sys.argv[2]))
    else:
        sys.exit(main())
