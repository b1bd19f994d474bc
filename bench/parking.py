"""How fast is a queue that loses nothing?

Jobs that do nothing are put into the queue, each on disk before its caller hears of it, and then
worked off. Ours is the whole way of a sale: it is written down with its request, then written down as
parked, answered with 202, sent again to a vendor that says yes at once, and its answer written down.
The rivals put a job and take it off again: Huey (SQLite, fsync on) forgets it when it is taken,
persist-queue (SQLiteAckQueue) acknowledges it when it is done.

    python -m bench parking          all of them; rivals live in .venv-bench (make bench makes it)
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # rivals run this file by its path
    sys.path[0] = str(Path(__file__).parent.parent)

from bench.turns import MISSING, THEIRS, Contestant, folder, pairs, serve

ROUNDS = 3
JOBS = 400
MANY = 100  # callers who wait at the same moment
THREADS = 8  # of a rival, who has one for each caller that waits
CASES = {
    "put one": "put, 1 caller",
    "put many": "put, many callers",
    "done": "worked off",
}
RIVALS = {"huey": "Huey 3.5 (SQLite)", "persist-queue": "persist-queue 1.1"}


def main() -> int:
    """Run the comparison and say what came out, in jobs a second."""
    if not THEIRS.exists():
        print(MISSING)
        return 0
    rows = {}
    mine: dict[str, list[float]] = {case: [] for case in CASES}
    with Contestant(__file__, "ours", sys.executable, None) as ours:
        for rival in RIVALS:
            with Contestant(__file__, rival, THEIRS, None) as theirs:
                rows[rival] = {case: pairs(ours, theirs, case, ROUNDS) for case in CASES}
            for case, (said, _, _) in rows[rival].items():
                mine[case].append(said)
    print(f"{'jobs a second':20}" + "".join(f"{said:>24}" for said in CASES.values()))
    best = {case: sorted(each)[len(each) // 2] for case, each in mine.items()}
    print(f"{'détente':20}" + "".join(f"{best[case]:>24,.0f}" for case in CASES))
    for rival, told in rows.items():
        cells = [f"{theirs:,.0f}; we {1 / ratio:.1f} x" for _, theirs, ratio in told.values()]
        print(f"{RIVALS[rival]:20}" + "".join(f"{cell:>24}" for cell in cells))
    ratio = min(1 / told["put many"][2] for told in rows.values())
    print(f"{ratio:.1f} times as many are taken from many callers (wanted: 1.0 or more)")
    return 0 if ratio >= 1 else 1


# -- in the contestants' processes -----------------------------------------------------------------


def contestant(name: str) -> Callable[[str], float]:
    """Answers a case with jobs a second."""
    return {"ours": ours, "huey": huey, "persist-queue": persist_queue}[name]


def ours(case: str) -> float:
    with folder("queue") as home:
        return asyncio.run(_ours(case, Path(home)))


async def _ours(case: str, home: Path) -> float:
    from detente.app import declared_type, mistakes, opened
    from detente.kernel.config import loads
    from detente.kernel.network import Reply

    declared = loads(_DECLARED, declared_type(), cross=mistakes)
    async with opened(declared, home) as node:

        async def at_once(*_given: Any, **_named: Any) -> Reply:
            return Reply(201, (), b"{}")

        node.network.call = at_once  # type: ignore[method-assign]
        return await _sales(case, node)


_DECLARED = """
vendors: {cardpay: {}}
work:
  routes:
    payments:
      vendor: cardpay
      to: http://cardpay.test
      money: {amount: /amount, currency: EUR}
      replay: {starts_at: 100000, at_most: 100000}
"""


async def _sales(case: str, node: Any) -> float:
    from detente.work.effects import Desk

    desk = Desk(node)
    desk.breakers["payments"].hold_open("the vendor is away")
    replaying = asyncio.create_task(desk.replay_route("payments"))
    began = time.perf_counter()
    await _callers(desk, 1 if case == "put one" else MANY)
    took = time.perf_counter() - began
    if case == "done":
        began = time.perf_counter()
        desk.breakers["payments"].release()
        desk.breakers["payments"].vouch("it is back")
        desk._stirred.set()
        while _waiting(node):
            await asyncio.sleep(0.002)
        took = time.perf_counter() - began
    replaying.cancel()
    with suppress(asyncio.CancelledError):
        await replaying
    await desk.close()
    return JOBS / took


def _waiting(node: Any) -> bool:
    from detente.work import queries

    charged = [each.calls for each in queries.books(node.rows) if each.state == "charged"]
    return sum(charged) < JOBS


async def _callers(desk: Any, at_once: int) -> None:
    from detente.work.engine.travel import Incoming

    async def caller(first: int) -> None:
        for number in range(first, JOBS, at_once):
            body = json.dumps({"amount": 1990, "order": number}).encode()
            key = (("Idempotency-Key", f"k{number}"),)
            answer = await desk.answer(Incoming("payments", "POST", "/charges", key, body))
            assert answer.status == 202

    await asyncio.gather(*(caller(first) for first in range(at_once)))


def _in_threads(put: Callable[[int], object], threads: int) -> float:
    def some(first: int) -> None:
        for number in range(first, JOBS, threads):
            put(number)

    made = [threading.Thread(target=some, args=(first,)) for first in range(threads)]
    began = time.perf_counter()
    for thread in made:
        thread.start()
    for thread in made:
        thread.join()
    return JOBS / (time.perf_counter() - began)


def huey(case: str) -> float:
    from huey import SqliteHuey

    with folder("queue") as home:
        queue = SqliteHuey("bench", filename=f"{home}/huey.db", fsync=True, results=False)

        @queue.task()
        def nothing(order: str) -> None:
            pass

        body = json.dumps({"amount": 1990, "order": 1})
        rate = _in_threads(lambda _number: nothing(body), THREADS if case != "put one" else 1)
        if case == "done":
            began = time.perf_counter()
            while (task := queue.dequeue()) is not None:
                queue.execute(task)
            rate = JOBS / (time.perf_counter() - began)
        queue.storage.close()
        return rate


def persist_queue(case: str) -> float:
    import persistqueue

    with folder("queue") as home:
        queue = persistqueue.SQLiteAckQueue(home, multithreading=True, auto_commit=True)
        body = json.dumps({"amount": 1990, "order": 1})
        rate = _in_threads(lambda _number: queue.put(body), THREADS if case != "put one" else 1)
        if case == "done":
            began = time.perf_counter()
            for _ in range(JOBS):
                queue.ack(queue.get())
            rate = JOBS / (time.perf_counter() - began)
        queue.close()
        return rate


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(contestant(sys.argv[2]))
    else:
        sys.exit(main())
