from __future__ import annotations

import contextlib
import resource
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import pytest

from detente.kernel.clock import NS, SystemClock
from detente.watch.engine.faults import fault
from detente.watch.engine.loop import Deadlines, Loop
from detente.watch.engine.once import probe_once
from detente.watch.engine.prober import Prober
from detente.watch.engine.schedule import phase, slots
from detente.watch.engine.wire import Orders, Probe, Result

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


class World:
    """A prober at work in this process, with clocks that a test can move."""

    def __init__(self, **more: int) -> None:
        self.wall = 0.0
        self.steady = 0.0
        self.loop = Loop(lambda: time.monotonic() + self.steady)
        self.seen: list[Result] = []
        self.prober = Prober(self.loop, self.seen.append, clock=self, **more)

    def now(self) -> int:
        return SystemClock().now() + round(self.wall * NS)

    def stop_for(self, seconds: float) -> None:
        """As if the whole process had stood still."""
        self.wall += seconds
        self.steady += seconds

    def obey(self, *probes: Probe, **more: object) -> None:
        self.prober.obey(Orders(probes=probes, **more))  # type: ignore[arg-type]

    def until(self, done: Callable[[], bool], at_most: float = 5.0) -> None:
        end = time.monotonic() + at_most
        while not done():
            assert time.monotonic() < end, self.seen
            self.prober.turn(0.02)

    def until_seen(self, count: int) -> list[Result]:
        self.until(lambda: len(self.seen) >= count)
        return self.seen

    def verdicts(self) -> Counter[str]:
        return Counter(each.verdict for each in self.seen)

    def close(self) -> None:
        self.prober.close()
        self.loop.close()


@pytest.fixture
def worlds():
    made: list[World] = []

    def make(**more: int) -> World:
        made.append(World(**more))
        return made[-1]

    yield make
    for world in made:
        world.close()


def tcp(name: str, port: int, every: float = 0.1, **more: object) -> Probe:
    given = {"id": name, "kind": "tcp", "target": f"127.0.0.1:{port}", "timeout": 2.0}
    return Probe(every=every, **(given | more))  # type: ignore[arg-type]


def test_checks_are_made_at_their_slots(serve, acts, worlds):
    """Each slot brings one result, one interval after the other, hardly late."""
    world = worlds()
    world.obey(tcp("a", serve(acts.hangs)), tcp("b", serve(acts.hangs)))
    world.until_seen(8)
    for name in ("a", "b"):
        found = [each.slot for each in world.seen if each.id == name]
        assert all(later - one == NS // 10 for one, later in pairwise(found))
        assert found[0] % (NS // 10) == phase(name, 0.1)
    assert world.verdicts() == {"ok": len(world.seen)}
    assert all(0 <= each.lateness < 0.05 for each in world.seen)


def test_other_orders_leave_unchanged_probes_alone(serve, acts, worlds):
    """Adding, changing and removing probes does not disturb those that stay the same."""
    port = serve(acts.hangs)
    world = worlds()
    world.obey(tcp("stays", port), tcp("goes", port), tcp("changes", port))
    world.until_seen(6)
    world.obey(tcp("stays", port), tcp("changes", port, timeout=1.0), tcp("comes", port))
    before = len(world.seen)
    world.until_seen(before + 9)
    stayed = [each.slot for each in world.seen if each.id == "stays"]
    assert all(later - one == NS // 10 for one, later in pairwise(stayed))
    assert {each.id for each in world.seen[before:]} == {"stays", "changes", "comes"}


def test_a_run_that_is_removed_leaves_nothing_behind(serve, acts, worlds):
    """Removing a probe ends its run without a result and gives everything back."""
    world = worlds()
    hanging = serve(acts.hangs)
    world.obey(tcp("a", hanging, kind="http", target=f"http://127.0.0.1:{hanging}/"))
    world.until(lambda: world.prober.runs == 1)
    world.obey()
    assert world.prober.runs == 0
    assert world.seen == []


def test_a_run_still_under_way_skips_the_next_slot(serve, acts, worlds):
    """A check that takes longer than its interval is never asked twice at a time."""
    hanging = serve(acts.hangs)
    world = worlds()
    probe = tcp(
        "a", hanging, 0.05, kind="http", target=f"http://127.0.0.1:{hanging}/", timeout=0.12
    )
    world.obey(probe)
    world.until_seen(6)
    assert {"skipped", "failed"} <= set(world.verdicts())
    skipped = next(each for each in world.seen if each.verdict == "skipped")
    assert skipped.reason == "the run before it is still under way"
    assert len({each.slot for each in world.seen}) == len(world.seen)


def test_a_stopped_prober_blames_itself_and_does_not_burst(serve, acts, worlds):
    """After a pause of the whole process nobody is down and nothing is caught up."""
    port = serve(acts.hangs)
    world = worlds()
    world.obey(*(tcp(f"t{n}", port, 0.5) for n in range(30)))
    world.until_seen(5)
    world.seen.clear()
    world.stop_for(60.0)
    world.prober.turn(0.0)
    missed = [each for each in world.seen if each.verdict == "inconclusive"]
    assert 0 < len(missed) <= 30
    assert all("was stopped for 60" in each.reason for each in missed)
    assert world.prober.runs <= 1
    world.seen.clear()
    world.until_seen(30)
    assert world.verdicts()["failed"] == 0
    spread = sorted(each.slot % (NS // 2) for each in world.seen)
    assert spread[-1] - spread[0] > NS // 4


@pytest.mark.parametrize("step", [-7200.0, 7200.0])
def test_a_clock_that_is_set_does_not_burst(serve, acts, worlds, step):
    """When somebody sets the clock, checks go on at the same rate in their new slots."""
    port = serve(acts.hangs)
    world = worlds()
    world.obey(*(tcp(f"t{n}", port, 0.5) for n in range(30)))
    world.until_seen(5)
    world.wall += step
    world.prober.turn(0.0)
    world.prober.turn(0.0)
    world.seen.clear()
    began = time.monotonic()
    world.until(lambda: world.verdicts()["ok"] >= 45)
    assert 0.4 < time.monotonic() - began < 2.0
    assert world.verdicts()["failed"] == 0


def test_a_failure_during_a_hold_up_is_our_own(serve, acts, worlds):
    """A deadline that passes while the prober itself stood still proves nothing."""
    hanging = serve(acts.hangs)
    world = worlds()
    world.obey(tcp("a", hanging, 0.2, kind="http", target=f"http://127.0.0.1:{hanging}/"))
    world.until(lambda: world.prober.runs == 1)
    world.seen.clear()
    world.stop_for(2.5)
    world.prober.turn(0.0)
    ended = [each for each in world.seen if each.failed_in == "first_byte"]
    assert [each.verdict for each in ended] == ["inconclusive"]
    assert ended[0].reason.startswith("the prober itself was held up for 2.")


def test_slowness_during_a_hold_up_is_our_own(serve, acts, worlds):
    """An answer that waited for us is not slow; what it says counts nevertheless."""
    said, bad = threading.Event(), b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n"

    def answer(what: bytes):
        def handle(sock: socket.socket) -> None:
            acts.hear(sock)
            said.wait(5)
            sock.sendall(what)

        return handle

    world = worlds()
    ports = {"good": serve(answer(OK)), "bad": serve(answer(bad))}
    world.obey(
        *(
            tcp(name, port, 0.3, kind="http", target=f"http://127.0.0.1:{port}/", slow_after=0.6)
            for name, port in ports.items()
        )
    )
    world.until(lambda: world.prober.runs == 2)
    world.stop_for(0.9)
    said.set()
    world.until(lambda: world.prober.runs == 0)
    ended = {each.id: each for each in world.seen if each.status}
    assert ended["good"].verdict == "inconclusive"
    assert ended["bad"].verdict == "failed"


def test_late_runs_are_not_started(serve, acts, worlds):
    """What could not start in time is told as the prober's own lateness."""
    world = worlds()
    world.obey(tcp("a", serve(acts.hangs), 0.5))
    due = next(slots("a", 0.5, world.now(), world.now() + NS))
    world.wall += (due - world.now()) / NS - 0.02
    world.prober.turn(0.0)
    world.wall += 0.45  # less than a step: like a machine that is merely far too busy
    world.prober.turn(0.0)
    assert [each.verdict for each in world.seen] == ["inconclusive"]
    assert "late: it has more to do than it can" in world.seen[0].reason


def test_a_paused_prober_leaves_a_gap(serve, acts, worlds):
    """If nobody takes results, what is due goes by without one."""
    world = worlds()
    world.obey(tcp("a", serve(acts.hangs), 0.1))
    world.until_seen(1)
    world.wall += 0.3
    world.prober.pause()
    world.until_seen(2)
    assert world.seen[1].slot - world.seen[0].slot > 2 * NS // 10


def test_one_place_cannot_take_all_the_room(serve, acts, worlds):
    """Runs to one host and port are limited; those above the limit are skipped, not failed."""
    hanging = serve(acts.hangs)
    world = worlds(per_place=3)
    probes = [
        tcp(f"t{n}", hanging, 0.1, kind="http", target=f"http://127.0.0.1:{hanging}/")
        for n in range(6)
    ]
    world.obey(*probes, tcp("other", serve(acts.hangs), 0.1))
    world.until(lambda: world.verdicts()["skipped"] > 3 and world.verdicts()["ok"] > 1)
    assert any("3 checks of 127.0.0.1" in each.reason for each in world.seen)
    assert world.verdicts()["failed"] == 0


def test_no_room_for_another_run_is_our_fault(serve, acts, worlds):
    """When the prober may open no more files, checks are inconclusive and say what to raise."""
    hanging = serve(acts.hangs)
    world = worlds(files=65)
    world.obey(
        *(
            tcp(f"t{n}", hanging, 0.1, kind="http", target=f"http://127.0.0.1:{hanging}/")
            for n in range(3)
        )
    )
    world.until(lambda: world.verdicts()["inconclusive"] > 0)
    assert any("ulimit -n" in each.reason for each in world.seen)


def test_no_file_descriptors_left_is_our_fault(closed_port, worlds):
    """EMFILE in the middle of a run speaks about us, and the prober lives on."""
    world = worlds()
    world.obey(tcp("a", closed_port, 0.05))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket() as highest:
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest.fileno(), hard))
        try:
            taken = []
            try:
                while True:
                    taken.append(socket.socket())
            except OSError:
                pass
            world.until_seen(1)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for each in taken:
                each.close()
    assert world.seen[0].verdict == "inconclusive"
    assert "no file descriptors left" in world.seen[0].reason
    world.seen.clear()
    assert "refused" in world.until_seen(1)[0].reason


def test_cut_off_probers_blame_nobody(serve, acts, worlds, closed_port):
    """If no canary answers either, a silent target is not down; if one does, it is."""
    world = worlds()
    dead, alive = f"127.0.0.1:{closed_port}", f"127.0.0.1:{serve(acts.hangs)}"
    world.obey(tcp("a", closed_port), canaries=(dead,))
    first = world.until_seen(1)[0]
    assert first.verdict == "inconclusive"
    assert first.reason.startswith(
        "the prober itself is cut off: no canary answers (connection refused"
    )
    world.seen.clear()
    world.obey(tcp("a", closed_port), canaries=(dead, alive))
    world.until(lambda: "failed" in world.verdicts())
    assert world.seen[-1].reason == f"connection refused by 127.0.0.1:{closed_port}"


def test_who_answers_badly_is_not_excused_by_canaries(serve, acts, worlds, closed_port):
    """A target that answered, only wrongly, is failed whether canaries live or not."""
    port = serve(acts.says(b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n"))
    world = worlds()
    probe = tcp("a", port, kind="http", target=f"http://127.0.0.1:{port}/")
    world.obey(probe, canaries=(f"127.0.0.1:{closed_port}",))
    assert world.until_seen(1)[0].verdict == "failed"


@pytest.fixture
def silent_port():
    """A port where nobody is let in and nobody is turned away: its queue is full."""
    with contextlib.ExitStack() as stack:
        door = stack.enter_context(socket.socket())
        door.bind(("127.0.0.1", 0))
        door.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(door.getsockname())
        yield door.getsockname()[1]


def test_changed_canaries_release_what_waited(worlds, closed_port, silent_port):
    """Verdicts that waited for canaries are not lost when the canaries change."""
    world = worlds()
    world.obey(tcp("a", closed_port), canaries=(f"127.0.0.1:{silent_port}",))
    world.until(lambda: world.prober.canaries is not None and world.prober.canaries._out > 0)
    world.obey(tcp("a", closed_port))
    assert [each.verdict for each in world.seen] == ["failed"]


@pytest.mark.parametrize(
    ("code", "at_once", "ours"),
    [
        ("ECONNREFUSED", False, False),
        ("ETIMEDOUT", False, False),
        ("EHOSTUNREACH", False, False),
        ("ENETUNREACH", False, False),
        ("ENETUNREACH", True, True),
        ("EHOSTUNREACH", True, True),
        ("EADDRNOTAVAIL", True, True),
        ("EMFILE", True, True),
        ("EACCES", True, True),
        ("ENOBUFS", True, True),
        ("EPROTO", False, False),
    ],
)
def test_whose_fault_an_error_is(code, at_once, ours):
    """What came over the network is theirs; what this machine says by itself is ours."""
    import errno

    found = fault(getattr(errno, code), "10.0.0.5:443", at_once=at_once)
    assert found.ours is ours
    assert found.reason


def test_an_unused_ipv6_address_or_family_is_told(closed_port):
    """Whatever this machine makes of a far address, it ends in a verdict and a sentence."""
    seen = probe_once(tcp("a", closed_port, target=f"[::1]:{closed_port}", timeout=0.5))
    assert (seen.verdict, seen.reason) == ("failed", f"connection refused by [::1]:{closed_port}")


def test_deadlines_tell_everyone_once():
    """A deadline that was taken back never comes, the others come once and in time."""

    class Waiter:
        def __init__(self) -> None:
            self.told = 0

        def expire(self) -> None:
            self.told += 1

    deadlines, waiters = Deadlines(), [Waiter() for _ in range(3)]
    ticks = [deadlines.add(waiter, 1.0 + number) for number, waiter in enumerate(waiters)]
    assert 1.0 <= (deadlines.next() or 0) < 1.02
    deadlines.discard(waiters[0], ticks[0])
    assert 2.0 <= (deadlines.next() or 0) < 2.02
    deadlines.expire(2.5)
    deadlines.expire(9.0)
    assert [waiter.told for waiter in waiters] == [0, 1, 1]
    assert deadlines.next() is None
