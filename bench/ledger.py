"""How many facts a second does the ledger keep, and how many does it tell again?

Every append counted here was on disk before it was answered. Yardsticks in the same run: one
transaction a fact on the same SQLite with the same `synchronous=FULL`, a bare file that gets the same
bytes and is synced each time, and how often an event loop can wait for nothing at all.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import apsw

from detente.kernel.clock import SystemClock
from detente.kernel.fact import Fact, encode, named
from detente.kernel.ledger.sqlite import SqliteLedger

ROUNDS = 3
APPENDS_WANTED = 100_000
READS_WANTED = 200_000


@named("bench.measured")
class Measured(Fact):
    """A fact of the usual size."""

    reason: str = ""
    failures: int = 0

    def says(self) -> str:
        return f"failed: {self.reason}"


@dataclass(frozen=True)
class Result:
    """What was measured, how many facts a second, and how many were wanted."""

    what: str
    facts_per_second: float
    wanted: int | None = None


def fact(writer: int, number: int) -> Measured:
    reason = "connection refused by 10.20.30.40:443"
    return Measured(about=f"check:vendor-{writer}", reason=reason, failures=number)


def main() -> None:
    print(f"ledger: facts a second, median of {ROUNDS} rounds\n")
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as folder:
        results = measure(Path(folder))
    print(table(results))


def measure(folder: Path) -> list[Result]:
    """Rounds take turns, so that a slow minute of the machine is shared by all."""
    trials: list[tuple[str, Callable[[Path], float], int | None]] = [
        ("a bare file, synced for each fact", bare_file, None),
        ("SQLite, one transaction for each fact", plain_sqlite, None),
        ("event loop alone, 1,000 waiting", loop_alone, None),
        ("append, 1 writer", lambda at: appends(at, 1, 2_000), None),
        ("append, 10 writers", lambda at: appends(at, 10, 20_000), None),
        ("append, 100 writers", lambda at: appends(at, 100, 60_000), None),
        ("append, 1,000 writers", lambda at: appends(at, 1_000, 200_000), APPENDS_WANTED),
        ("append 100 at a time, 10 writers", lambda at: appends(at, 10, 200_000, 100), None),
        ("read and decode", lambda at: reads(at, 200_000), READS_WANTED),
    ]
    rates: list[list[float]] = [[] for _ in trials]
    for turn in range(ROUNDS):
        for index, (_, trial, _) in enumerate(trials):
            at = folder / f"{turn}-{index}"
            at.mkdir()
            rates[index].append(trial(at))
    return [
        Result(what, statistics.median(rate), wanted)
        for (what, _, wanted), rate in zip(trials, rates, strict=True)
    ]


def table(results: list[Result]) -> str:
    """Each beside plain SQLite and the bare file, and whether it is what was wanted."""
    bare, plain = results[0].facts_per_second, results[1].facts_per_second
    lines = [f"{'':40}{'facts/s':>10}{'/ SQLite':>10}{'/ file':>9}  wanted"]
    for each in results:
        rate = each.facts_per_second
        lines.append(
            f"{each.what:40}{rate:>10,.0f}{rate / plain:>10.1f}{rate / bare:>9.1f}{_met(each)}"
        )
    return "\n".join(lines)


def _met(result: Result) -> str:
    if result.wanted is None:
        return ""
    share = result.facts_per_second / result.wanted
    return f"  {result.wanted:,}: {'met' if share >= 1 else f'missed by {1 - share:.0%}'}"


def appends(folder: Path, writers: int, facts: int, at_once: int = 1) -> float:
    """Durable appends through the ledger, each writer waiting for its answer before the next."""

    async def run() -> float:
        ledger = SqliteLedger(folder / "ledger", clock=SystemClock())

        async def write(writer: int) -> None:
            for number in range(facts // writers // at_once):
                await ledger.append([fact(writer, number)] * at_once, by="bench")

        rate = await _timed(asyncio.gather(*map(write, range(writers))), facts)
        assert ledger.head() == facts
        await ledger.close()
        return rate

    return asyncio.run(run())


def reads(folder: Path, facts: int) -> float:
    """Reading them all again, as objects of their classes."""

    async def run() -> float:
        ledger = SqliteLedger(folder / "ledger", clock=SystemClock())
        for first in range(0, facts, 1_000):
            await ledger.append([fact(n % 977, n) for n in range(first, first + 1_000)], by="bench")
        start = time.perf_counter()
        told = sum(1 for each in ledger.read() if isinstance(each.fact, Measured))
        rate = told / (time.perf_counter() - start)
        await ledger.close()
        assert told == facts
        return rate

    return asyncio.run(run())


def plain_sqlite(folder: Path, facts: int = 2_000) -> float:
    """The plain way: one durable transaction a fact, no index, nobody else waiting."""
    connection = apsw.Connection(str(folder / "plain"))
    connection.execute("pragma journal_mode = wal; pragma synchronous = full")
    connection.execute("create table fact(position integer primary key, at, by, name, about, body)")
    start = time.perf_counter()
    for number in range(facts):
        one = fact(0, number)
        row = (time.time_ns(), "bench", one.name, one.about, encode(one))
        connection.execute(
            "insert into fact(at, by, name, about, body) values (?, ?, ?, ?, ?)", row
        )
    rate = facts / (time.perf_counter() - start)
    connection.close()
    return rate


def bare_file(folder: Path, facts: int = 2_000) -> float:
    """As fast as this disk answers to one who waits: append the bytes, sync, and again."""
    with (folder / "bytes").open("ab", buffering=0) as file:
        start = time.perf_counter()
        for number in range(facts):
            file.write(encode(fact(0, number)))
            os.fdatasync(file.fileno())
        return facts / (time.perf_counter() - start)


def loop_alone(_folder: Path, waiters: int = 1_000, rounds: int = 200) -> float:
    """What the event loop costs by itself: make a fact, wait for a future, nothing written."""

    async def run() -> float:
        loop = asyncio.get_running_loop()
        waiting: list[asyncio.Future[None]] = []

        def answer() -> None:
            answered = waiting[:]
            waiting.clear()
            for each in answered:
                each.set_result(None)

        async def wait(writer: int) -> None:
            for number in range(rounds):
                encode(fact(writer, number))
                waiting.append(loop.create_future())
                if len(waiting) == waiters:
                    loop.call_soon(answer)
                await waiting[-1]

        return await _timed(asyncio.gather(*map(wait, range(waiters))), waiters * rounds)

    return asyncio.run(run())


async def _timed(work: asyncio.Future[list[None]], count: int) -> float:
    start = time.perf_counter()
    await work
    return count / (time.perf_counter() - start)
