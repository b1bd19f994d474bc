from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detente.watch.engine import wire
from detente.watch.engine.loop import Loop
from detente.watch.engine.outlet import BACKLOG_LIMIT, Gone, Outlet
from detente.watch.engine.parent import ProberProcess
from detente.watch.engine.wire import BadFrame, Frames, Orders, Probe, Result

ENGINE = [sys.executable, "-P", "-m", "detente.watch.engine"]


def tcp(name: str, port: int, every: float = 0.05) -> Probe:
    return Probe(id=name, kind="tcp", target=f"127.0.0.1:{port}", every=every, timeout=1.0)


async def heard(prober: ProberProcess, count: int) -> list[Result]:
    """Listen until so many results came."""
    found: list[Result] = []
    async with contextlib.aclosing(prober.results()) as batches:  # type: ignore[type-var]
        async for batch in batches:
            found += batch
            if len(found) >= count:
                break
    return found


async def restarted(prober: ProberProcess, times: int) -> None:
    while prober.restarts < times:
        await asyncio.sleep(0.01)


def in_time(work: Awaitable[None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await work

    asyncio.run(bounded())


def test_a_prober_reports_and_goes_home(serve, acts):
    """Orders go in, results come out, and closing leaves no process behind."""

    async def story() -> None:
        prober = ProberProcess()
        await prober.start(Orders(probes=(tcp("a", serve(acts.hangs)),)))
        pid = prober.pid
        found = await heard(prober, 3)
        assert {(each.id, each.verdict) for each in found} == {("a", "ok")}
        await prober.orders([tcp("b", serve(acts.hangs))])
        while (await heard(prober, 1))[-1].id != "b":
            pass
        await prober.close()
        with pytest.raises(ProcessLookupError):
            os.kill(pid or 0, 0)
        assert await heard(prober, 1) == []

    in_time(story())


@pytest.mark.parametrize(
    "how", [signal.SIGKILL, pytest.param(signal.SIGSTOP, marks=pytest.mark.slow)]
)
def test_a_prober_that_dies_or_freezes_is_replaced(serve, acts, how):
    """Another prober takes over with the same orders; the gap stays a gap."""

    async def story() -> None:
        prober = ProberProcess(silence=1.0, first_wait=0.01)
        await prober.start(Orders(probes=(tcp("a", serve(acts.hangs)),)))
        before = await heard(prober, 2)
        first = prober.pid
        os.kill(first or 0, how)
        await asyncio.sleep(0)
        while prober.pid == first or prober.restarts == 0:
            after = await heard(prober, 1)
        assert prober.restarts == 1
        assert after[-1].slot > before[-1].slot
        await prober.close()

    in_time(story())


def test_a_prober_that_cannot_start_is_tried_again(caplog, serve, acts):
    """What the process complains about reaches the log, and the node does not give up."""
    complain = [sys.executable, "-c", "import sys; sys.exit('out of luck')"]

    async def story() -> None:
        prober = ProberProcess(complain, first_wait=0.01)
        await prober.start(Orders())
        listening = asyncio.create_task(heard(prober, 1))
        await restarted(prober, 2)
        await prober.close()
        assert await listening == []

    in_time(story())
    assert "out of luck" in caplog.text
    assert "it died" in caplog.text


def test_noise_instead_of_frames_restarts_the_prober(caplog):
    """A process that prints anything else is replaced, with a sentence in the log."""
    noisy = [sys.executable, "-c", "print('hello' * 100)"]

    async def story() -> None:
        prober = ProberProcess(noisy, first_wait=0.01)
        await prober.start(Orders())
        listening = asyncio.create_task(heard(prober, 1))
        await restarted(prober, 1)
        await prober.close()
        await listening

    in_time(story())
    assert "a frame of" in caplog.text


def test_it_ends_with_its_orders():
    """When stdin closes, the process ends at once, having said nothing but frames."""
    done = subprocess.run(ENGINE, input=wire.frame(Orders()), capture_output=True, timeout=20)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_it_ends_with_its_parent():
    """When whoever started it is killed, the prober does not linger."""
    script = (
        "import subprocess, sys, os, signal;"
        f"subprocess.Popen({ENGINE!r}, stdin=subprocess.PIPE);"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    ended = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, timeout=20)
    assert ended.returncode == -signal.SIGKILL  # and its output, which the prober shared, is closed


def test_wrong_orders_are_told_on_stderr():
    """Orders that make no sense end the process with a sentence and exit code 2."""
    done = subprocess.run(ENGINE, input=b"\0\0\0\1\x01", capture_output=True, timeout=20)
    assert done.returncode == 2
    assert b"these are not orders for a prober" in done.stderr


@pytest.mark.parametrize(
    ("orders", "sentence"),
    [
        (Orders(canaries=("nowhere",)), "“nowhere” is not a host and a port"),
        (Orders(resolvers=("dns.example:53",)), "a name server must be given by its IP address"),
    ],
)
def test_impossible_orders_are_told_on_stderr(orders, sentence):
    """A canary or a name server that cannot be ends the process with a sentence about it."""
    done = subprocess.run(ENGINE, input=wire.frame(orders), capture_output=True, timeout=20)
    assert done.returncode == 2
    assert sentence in done.stderr.decode()


def test_orders_come_through_a_pipe():
    """Given a file for a pipe, the process says what it wants and touches nothing."""
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123
        done = subprocess.run(ENGINE, stdin=nothing, capture_output=True, timeout=20)
    assert done.returncode == 2
    assert b"reads orders from a pipe" in done.stderr


@given(st.lists(st.text(max_size=20), max_size=5), st.data())
def test_frames_survive_any_cutting(names, data):
    """However the pipe cuts the stream, the same messages come out."""
    results = [Result(id=name, slot=1, at=2, verdict="ok") for name in names]
    stream = b"".join(wire.frame([each]) for each in results)
    frames, found, at = Frames(), [], 0
    while at < len(stream):
        end = data.draw(st.integers(at + 1, len(stream)))
        for body in frames.feed(stream[at:end]):
            found += wire.results(body)
        at = end
    assert found == results


def test_a_frame_too_large_is_refused():
    """A length that cannot be is noise, not a reason to wait for gigabytes."""
    with pytest.raises(BadFrame, match="is the limit"):
        list(Frames().feed(b"\xff\xff\xff\xff"))


def test_orders_survive_the_pipe():
    """Every field of a probe comes out as it went in."""
    probe = Probe(
        id="a", kind="http", target="http://x/", headers={"A": "b"}, body=b"\0\xff",
        expect_status=(200, (300, 399)), expect_body="é", slow_after=0.5, ip=6,
    )  # fmt: skip
    given = Orders(probes=(probe,), canaries=("x:1",), resolvers=("10.0.0.2",), place="here")
    (body,) = Frames().feed(wire.frame(given))
    assert wire.orders(body) == given


def test_results_leave_in_batches_even_if_nobody_reads_for_a_while():
    """A full pipe holds nobody up; what waited comes out whole and in order afterwards."""
    loop = Loop()
    reading, writing = os.pipe()
    outlet = Outlet(loop, writing)
    sent = [Result(id=str(n), slot=n, at=n, verdict="ok", reason="x" * 50) for n in range(20_000)]
    for result in sent:
        outlet.take(result)
        outlet.tend()
    outlet.flush()
    assert not outlet.full
    frames, found = Frames(), []
    while len(found) < len(sent):
        for body in frames.feed(os.read(reading, 1 << 16)):
            found += wire.results(body)
        loop.turn(0.0)
    assert found == sent
    outlet.take(Result(id="long", slot=0, at=0, verdict="ok", reason="x" * 2 * BACKLOG_LIMIT))
    outlet.flush()
    assert outlet.full
    os.close(reading)
    with pytest.raises(Gone):
        loop.turn(0.0)
    os.close(writing)
    loop.close()
