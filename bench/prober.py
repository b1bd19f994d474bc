"""How many checks does one core make, judge and store?

Ours is the whole way: the prober's process asks over fresh connections; a second process takes its
frames apart, judges every result (falls and rises), and files sheets in a durable ledger. Both run
on one core and both are counted. The rival is `prometheus-blackbox-exporter`, which asks and shows
the outcome as metrics, but stores and judges nothing; `GOMAXPROCS=1`, same core, same target,
driven over kept-alive connections as Prometheus drives it. The target and the driver have the
other core. What is compared is checks per second of processor time.

    python -m bench prober          both, three times each, medians
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import select
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROUNDS = 3
SECONDS = 6.0
CHECKS = 8_000
EVERY = 1.0  # seconds: 8,000 checks a second
DRIVERS = 16
OURS_ON, OTHERS_ON = 0, 1
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\nContent-Type: text/plain\r\n\r\nall is well\n"
SEAM = re.compile(rb"\r\n[0-9a-f]+\r\n")  # between two chunks of an answer
TICK = os.sysconf("SC_CLK_TCK")


def _version(program: str) -> str:
    """What the rival calls itself: results hold for that version only."""
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    return (said.stdout or said.stderr).partition("\n")[0]


def main() -> int:
    """Run the comparison and say what came out."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        print("This needs two cores: one for what is measured, one for the target.")
        return 0
    with target(cores[OTHERS_ON]) as port:
        ours = [our_round(port, cores[OURS_ON]) for _ in range(ROUNDS)]
        mine = statistics.median(ours)
        print(f"détente, probing, judging and storing: {_rates(ours)} → {mine:,.0f} per CPU second")
        rival = shutil.which("prometheus-blackbox-exporter")
        if rival is None:
            print("No comparison: prometheus-blackbox-exporter is not installed.")
            print("On Debian and Ubuntu: apt-get install prometheus-blackbox-exporter")
            return 0
        print(f"beside it: {_version(rival)}")
        theirs = [their_round(rival, port, *cores[:2]) for _ in range(ROUNDS)]
    other = statistics.median(theirs)
    print(f"blackbox_exporter, probing only: {_rates(theirs)} → {other:,.0f} per CPU second")
    print(f"ratio: {mine / other:.1f} (wanted: 4 or more)")
    return 0 if mine >= 4 * other else 1


def _rates(rates: list[float]) -> str:
    return ", ".join(f"{rate:,.0f}" for rate in rates)


# -- ours -------------------------------------------------------------------------------------


def our_round(port: int, core: int) -> float:
    """Checks per CPU second of prober and consumer together, in a process pinned to one core."""
    command = [sys.executable, "-P", __file__, "--consume", str(port)]
    done = subprocess.run(
        command,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: _pin(core),
    )
    checks, seconds, prober, consumer, worst, verdicts = done.stdout.strip().split("\t")
    print(
        f"  {int(checks):,} checks in {float(seconds):.1f} s; CPU: prober {float(prober):.2f} s, "
        f"judging and storing {float(consumer):.2f} s; latest start {float(worst) * 1e3:.1f} ms "
        f"after its slot; {verdicts}"
    )
    return int(checks) / (float(prober) + float(consumer))


async def consume(port: int) -> None:
    """Be the node: take results for a while, judge them, file a sheet every second."""
    from detente.kernel.clock import SystemClock
    from detente.kernel.ledger.sqlite import SqliteLedger
    from detente.watch.engine.parent import ProberProcess
    from detente.watch.engine.wire import Orders, Probe

    where = f"http://127.0.0.1:{port}/"
    probes = tuple(
        Probe(id=f"shop-{n}", kind="http", target=where, every=EVERY, timeout=2.0)
        for n in range(CHECKS)
    )
    with tempfile.TemporaryDirectory() as folder:
        ledger = SqliteLedger(Path(folder) / "ledger.db", clock=SystemClock())
        prober = ProberProcess()
        await prober.start(Orders(probes=probes))
        try:
            print(await _measure(prober, ledger, probes))
        finally:
            await prober.close()
            await ledger.close()


async def _measure(prober, ledger, probes) -> str:  # type: ignore[no-untyped-def]
    desk = Desk(ledger, probes, where="here")
    worst, verdicts = 0.0, Counter[str]()
    began = cpu = ours = None
    filed_at = time.monotonic()
    async for batch in prober.results():
        now = time.monotonic()
        if began is None:
            if now - filed_at < 1.0:  # let everything warm up
                continue
            began, cpu, ours = now, cpu_of(prober.pid), time.process_time()
            desk.begin(batch[-1].slot)
            continue
        await desk.judge(batch)
        worst = max(worst, *(result.lateness for result in batch))
        verdicts.update(result.verdict for result in batch)
        if now - filed_at >= 1.0:
            filed_at = now
            await desk.file(batch[-1].slot)
        if now - began >= SECONDS:
            break
    spent = cpu_of(prober.pid) - cpu, time.process_time() - ours
    told = " ".join(f"{number:,} {verdict}" for verdict, number in sorted(verdicts.items()))
    return "\t".join(map(str, (verdicts["ok"], now - began, *spent, worst, told)))


class Desk:
    """Judges and files results as the node does."""

    def __init__(self, ledger, probes, where: str) -> None:  # type: ignore[no-untyped-def]
        from detente.watch import decisions
        from detente.watch.engine.schedule import slots
        from detente.watch.settings import Check

        self.ledger, self.place, self.decisions, self.slots = ledger, where, decisions, slots
        self.checks = {probe.id: Check(http=probe.target, every=probe.every) for probe in probes}
        self.standings = {name: decisions.Standing() for name in self.checks}
        self.unfiled: list = []
        self.since = 0

    def begin(self, since: int) -> None:
        self.since = since

    async def judge(self, batch) -> None:  # type: ignore[no-untyped-def]
        facts = []
        for result in batch:
            name = result.id
            self.standings[name], news = self.decisions.judge(
                name, self.checks[name], "vendor:shop", self.standings[name], result
            )
            facts += news
        self.unfiled += batch
        if facts:
            await self.ledger.append(facts, by="bench")

    async def file(self, until: int) -> None:
        expected = {name: list(self.slots(name, EVERY, self.since, until)) for name in self.checks}
        mine = [result for result in self.unfiled if self.since <= result.slot < until]
        sheet, packed = self.decisions.file_sheet(self.place, self.since, until, expected, mine)
        await self.ledger.append([sheet], by="bench", attach={0: packed})
        self.unfiled = [result for result in self.unfiled if result.slot >= until]
        self.since = until


# -- theirs -----------------------------------------------------------------------------------


def their_round(program: str, port: int, core: int, driver_core: int) -> float:
    """Probes per CPU second of blackbox_exporter, kept busy."""
    listen = free_port()
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(
            [program, f"--web.listen-address=127.0.0.1:{listen}", "--config.file", modules(folder)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "GOMAXPROCS": "1"},
            preexec_fn=lambda: _pin(core),  # noqa: PLW1509 - no threads here
        ) as process,
    ):
        try:
            wait_for(listen)
            drive(listen, port, driver_core, 1.0)
            before = cpu_of(process.pid)
            probes, seconds = drive(listen, port, driver_core, SECONDS)
            spent = cpu_of(process.pid) - before
        finally:
            process.send_signal(signal.SIGTERM)
    print(f"  {probes:,} probes in {seconds:.1f} s; CPU {spent:.2f} s")
    return probes / spent


def modules(folder: str) -> str:
    """The rival's configuration: ask over HTTP, accept any 2xx."""
    path = Path(folder) / "blackbox.yml"
    path.write_text("modules:\n  http_2xx:\n    prober: http\n")
    return str(path)


def drive(listen: int, port: int, core: int, seconds: float) -> tuple[int, float]:
    """Ask for probes over kept-alive connections, as fast as they are answered."""
    request = (
        f"GET /probe?module=http_2xx&target=http://127.0.0.1:{port}/ HTTP/1.1\r\n"
        f"Host: 127.0.0.1:{listen}\r\n\r\n"
    ).encode()
    mine = os.sched_getaffinity(0)
    _pin(core)
    try:
        with contextlib.ExitStack() as stack:
            return _drive(
                [stack.enter_context(_dial(listen)) for _ in range(DRIVERS)], request, seconds
            )
    finally:
        os.sched_setaffinity(0, mine)


def _dial(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def _drive(socks: list[socket.socket], request: bytes, seconds: float) -> tuple[int, float]:
    epoll = select.epoll()
    got = {sock.fileno(): b"" for sock in socks}
    by_fd = {sock.fileno(): sock for sock in socks}
    for sock in socks:
        epoll.register(sock, select.EPOLLIN)
        sock.sendall(request)
    probes, began = 0, time.monotonic()
    while time.monotonic() - began < seconds:
        for fd, _ in epoll.poll(1.0):
            got[fd] += by_fd[fd].recv(1 << 16)
            if not _whole(got[fd]):
                continue
            if b"\nprobe_success 1\n" not in SEAM.sub(b"", got[fd]):
                raise SystemExit(f"the rival's probe failed:\n{got[fd].decode()}")
            got[fd] = b""
            probes += 1
            by_fd[fd].sendall(request)
    epoll.close()
    return probes, time.monotonic() - began


def _whole(answer: bytes) -> bool:
    head, blank, body = answer.partition(b"\r\n\r\n")
    if not blank:
        return False
    length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
    return len(body) >= int(length) if length else body.endswith(b"0\r\n\r\n")


# -- the ground -------------------------------------------------------------------------------


@contextlib.contextmanager
def target(core: int) -> Iterator[int]:
    """A plain HTTP server on the other core, quick enough never to be what is measured."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    port = listener.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-P", __file__, "--serve", str(listener.fileno())],
        pass_fds=[listener.fileno()],
        preexec_fn=lambda: _pin(core),  # noqa: PLW1509 - no threads here
    )
    listener.close()
    try:
        yield port
    finally:
        process.terminate()
        process.wait()


def serve(fd: int) -> None:
    """Answer every request the same, and hang up."""
    listener = socket.socket(fileno=fd)
    listener.setblocking(False)
    epoll = select.epoll()
    epoll.register(listener, select.EPOLLIN)
    open_now: dict[int, socket.socket] = {}
    while True:
        for ready, _ in epoll.poll():
            if ready == fd:
                with contextlib.suppress(BlockingIOError):
                    while True:
                        sock, _ = listener.accept()
                        open_now[sock.fileno()] = sock
                        epoll.register(sock, select.EPOLLIN)
            else:
                sock = open_now.pop(ready)
                with contextlib.suppress(OSError):
                    if sock.recv(4096):
                        sock.send(ANSWER)
                sock.close()


def cpu_of(pid: int | None) -> float:
    """Seconds of processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def wait_for(port: int) -> None:
    """Until somebody listens there."""
    for _ in range(200):
        with contextlib.suppress(OSError):
            _dial(port).close()
            return
        time.sleep(0.02)
    raise SystemExit(f"nothing listens on port {port}")


def _pin(core: int) -> None:
    os.sched_setaffinity(0, {core})


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--serve", fd]:
            serve(int(fd))
        case ["--consume", port]:
            asyncio.run(consume(int(port)))
        case _:
            sys.exit(main())
