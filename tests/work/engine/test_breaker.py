from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from itertools import pairwise

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from detente.work.engine.breaker import Breaker, BreakerSettings, Change, Permit

SETTINGS = BreakerSettings(window=10, minimum_calls=5, failure_rate=0.5, slow_after=2, open_for=5)


class Watch:
    """A stopwatch that only moves when told."""

    def __init__(self) -> None:
        self.reads = 0.0

    def __call__(self) -> float:
        return self.reads

    def goes(self, seconds: float) -> None:
        self.reads += seconds


class Told(list[Change]):
    def states(self) -> list[str]:
        return [change.after for change in self]


def a_breaker(**changes: object) -> tuple[Breaker, Watch, Told]:
    watch, told = Watch(), Told()
    changed = msgspec.structs.replace(SETTINGS, **changes)
    return Breaker(changed, now=watch, on_change=told.append), watch, told


def asked(breaker: Breaker) -> Permit:
    permit = breaker.ask()
    assert permit is not None
    return permit


def fails(breaker: Breaker, times: int = 5) -> None:
    for _ in range(times):
        asked(breaker).failed("503")


def test_opens_when_too_many_fail() -> None:
    """Half of the calls failing opens it, with the reason in plain words."""
    breaker, _, told = a_breaker()
    for _ in range(3):
        asked(breaker).succeeded()
    fails(breaker, 3)
    assert told == [
        Change("closed", "open", "3 of 6 calls in 10 s failed, the last one: 503", at=0.0)
    ]
    assert breaker.ask() is None
    assert breaker.retry_after == 5


def test_few_calls_prove_nothing() -> None:
    """Fewer failures than the minimum number of calls leave it closed."""
    breaker, _, told = a_breaker()
    fails(breaker, 4)
    assert breaker.ask() is not None
    assert not told


def test_failures_are_forgotten_by_time_alone() -> None:
    """Old failures leave the window even if no new call pushes them out."""
    breaker, watch, _ = a_breaker()
    fails(breaker, 4)
    watch.goes(11)
    assert breaker.snapshot().failures == 0
    fails(breaker, 4)
    assert breaker.snapshot().state == "closed"


def test_opens_on_calls_that_only_hang() -> None:
    """Calls that never end open it, while they are still under way and nobody has said a word."""
    breaker, watch, told = a_breaker()
    permits = [asked(breaker) for _ in range(5)]
    watch.goes(1.9)
    assert breaker.ask() is not None
    watch.goes(0.1)
    assert breaker.ask() is None
    assert told[0].reason == "5 of 5 calls in 10 s failed, the last one: no answer for 2 s"
    assert len(permits) + 1 == breaker.snapshot().in_flight


def test_a_hanging_call_counts_once() -> None:
    """A call counted while it hung is not counted again when it fails in the end."""
    breaker, watch, _ = a_breaker()
    permit = asked(breaker)
    watch.goes(2)
    assert breaker.snapshot().failures == 1
    permit.failed("timeout")
    permit.failed("timeout")
    now = breaker.snapshot()
    assert (now.calls, now.failures, now.slow, now.in_flight) == (1, 1, 1, 0)


def test_a_hanging_call_that_answers_after_all_was_only_slow() -> None:
    """The verdict on a hanging call is corrected once it answers."""
    breaker, watch, _ = a_breaker()
    permit = asked(breaker)
    watch.goes(3)
    breaker.tick()
    permit.succeeded()
    now = breaker.snapshot()
    assert (now.calls, now.failures, now.slow) == (1, 0, 1)


def test_opens_when_answers_crawl() -> None:
    """Good answers that come too late open it, at their own rate."""
    breaker, watch, told = a_breaker(slow_rate=0.8)
    for slow in (2, 2, 1, 2, 2):
        permit = asked(breaker)
        watch.goes(slow)
        permit.succeeded()
    assert told[0].reason == "4 of 5 calls in 10 s took longer than 2 s"


def test_cancelled_calls_are_no_success() -> None:
    """A caller giving up early changes no number at all."""
    breaker, _, _ = a_breaker()
    fails(breaker, 4)
    for _ in range(20):
        asked(breaker).dropped()
    assert breaker.snapshot().calls == 4
    fails(breaker, 1)
    assert breaker.ask() is None


def test_cancelling_a_hanging_call_is_a_failure() -> None:
    """Hung calls that an outer timeout cancels open it: the very failure it is there for."""
    breaker, watch, _ = a_breaker()
    let_through = 0
    for _ in range(20):
        permit = breaker.ask()
        if permit is None:
            break
        let_through += 1
        watch.goes(2)
        permit.dropped()
    assert let_through == 5


def test_without_a_limit_nothing_is_slow() -> None:
    """With no slow_after, long calls and their cancellation say nothing."""
    breaker, watch, told = a_breaker(slow_after=None)
    for _ in range(9):
        permit = asked(breaker)
        watch.goes(100)
        permit.dropped()
    assert not told


def test_after_the_wait_one_probe_at_a_time() -> None:
    """Fifty callers after the wait: one gets through, the others are refused as before."""
    breaker, watch, _ = a_breaker()
    fails(breaker)
    watch.goes(4.9)
    assert breaker.ask() is None
    watch.goes(0.1)
    permits = [permit for _ in range(50) if (permit := breaker.ask()) is not None]
    assert len(permits) == 1
    assert breaker.retry_after == 2


def test_closes_after_enough_good_probes() -> None:
    """It takes as many good probes as asked for, and then everybody may call."""
    breaker, watch, told = a_breaker(closes_after=2)
    fails(breaker)
    watch.goes(5)
    asked(breaker).succeeded()
    assert breaker.snapshot().state == "half-open"
    asked(breaker).succeeded()
    assert told.states() == ["open", "half-open", "closed"]
    assert breaker.snapshot().calls == 0


def test_a_bad_probe_opens_again_for_longer() -> None:
    """Every probe that fails doubles the wait, up to the limit; a good spell makes it short again."""
    breaker, watch, _ = a_breaker(open_for=5, open_for_at_most=15, closes_after=1)
    fails(breaker)
    waits = []
    for _ in range(4):
        waits.append(breaker.retry_after)
        watch.goes(waits[-1] or 0)
        asked(breaker).failed("503")
    assert waits == [5, 10, 15, 15]
    watch.goes(15)
    asked(breaker).succeeded()
    fails(breaker)
    assert breaker.retry_after == 15, "closed for a moment only"
    watch.goes(15)
    asked(breaker).succeeded()
    watch.goes(10)
    fails(breaker)
    assert breaker.retry_after == 5


def test_a_slow_probe_is_a_bad_probe() -> None:
    """A probe that answers too late does not let everybody in."""
    breaker, watch, told = a_breaker(closes_after=1)
    fails(breaker)
    watch.goes(5)
    permit = asked(breaker)
    watch.goes(2)
    permit.succeeded()
    assert told[-1].reason == "a probe took longer than 2 s"


def test_a_cancelled_probe_gives_its_place_back() -> None:
    """Giving up a probe early neither closes it nor leaves it stuck half-open."""
    breaker, watch, _ = a_breaker(closes_after=1)
    fails(breaker)
    watch.goes(5)
    for _ in range(3):
        asked(breaker).dropped()
        assert breaker.snapshot().state == "half-open"
    asked(breaker).succeeded()
    assert breaker.snapshot().state == "closed"


@pytest.mark.parametrize("slow_after", [2, None])
def test_a_lost_probe_does_not_keep_its_place(slow_after: float | None) -> None:
    """A probe nobody ever reports on opens it again, so that another one can try."""
    breaker, watch, _ = a_breaker(slow_after=slow_after)
    fails(breaker)
    watch.goes(5)
    asked(breaker)
    assert breaker.ask() is None
    watch.goes(60)
    assert breaker.ask() is None
    watch.goes(10)
    assert breaker.ask() is not None


def test_answers_from_before_do_not_count() -> None:
    """A good answer to a call made before it opened neither closes it nor frees a probe."""
    breaker, watch, _ = a_breaker(closes_after=1)
    early = [asked(breaker) for _ in range(3)]
    fails(breaker)
    early[0].succeeded()
    assert breaker.snapshot().state == "open"
    watch.goes(5)
    asked(breaker)
    early[1].succeeded()
    early[2].failed("503")
    assert breaker.snapshot().state == "half-open"
    assert breaker.ask() is None


def test_calls_from_before_do_not_hang_into_the_new_state() -> None:
    """Calls under way when it changed are not found hanging afterwards."""
    breaker, watch, _ = a_breaker()
    before = [asked(breaker) for _ in range(4)]
    breaker.hold_open("Ben: wait a moment")
    breaker.release()
    breaker.vouch("Ben: they are well")
    asked(breaker)
    watch.goes(2)
    now = breaker.snapshot()
    assert (now.state, now.failures, now.in_flight) == ("closed", 1, len(before) + 1)


def test_people_may_hold_it_open() -> None:
    """Held open it refuses whatever happens; released it tries a call before trusting them."""
    breaker, watch, told = a_breaker()
    breaker.hold_open("Mia: their database is being moved")
    breaker.hold_open("Mia: and it takes longer")
    watch.goes(1000)
    assert breaker.ask() is None
    assert breaker.retry_after is None
    assert breaker.snapshot().reason == "Mia: and it takes longer"
    breaker.release()
    breaker.release()
    assert told.states() == ["held open", "half-open"]
    assert breaker.ask() is not None
    assert breaker.ask() is None


def test_somebody_else_may_know_that_they_are_well() -> None:
    """Vouched for it closes and starts afresh; what people hold stays held."""
    breaker, _, told = a_breaker()
    breaker.vouch("nothing to say")
    fails(breaker)
    breaker.vouch("their check answers")
    assert told.states() == ["open", "closed"]
    assert breaker.snapshot().reason == "their check answers"
    assert breaker.snapshot().calls == 0
    breaker.hold_open("Mia: not today")
    breaker.vouch("their check answers")
    assert breaker.ask() is None


def test_a_listener_may_use_the_breaker() -> None:
    """Changes made while being told of one are told too, after it, once each."""
    told: list[str] = []

    def hears(change: Change) -> None:
        told.append(change.after)
        if change.after == "open":
            breaker.hold_open("we know")
            assert told == ["open"]

    breaker = Breaker(SETTINGS, now=Watch(), on_change=hears)
    fails(breaker)
    assert told == ["open", "held open"]


def test_a_listener_that_fails_harms_no_call(caplog: pytest.LogCaptureFixture) -> None:
    """A mistake in a listener is logged; the call that opened the breaker ends as usual."""

    def stumbles(change: Change) -> None:
        raise KeyError(change.after)

    breaker = Breaker(SETTINGS, now=Watch(), on_change=stumbles)
    fails(breaker)
    assert breaker.ask() is None
    assert "KeyError: 'open'" in caplog.text


@pytest.mark.parametrize(
    "wrong",
    [
        {"window": 0},
        {"failure_rate": 50},
        {"slow_rate": 0},
        {"minimum_calls": 0},
        {"probes": 0},
        {"slow_after": -1},
        {"open_for": 90},
    ],
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, float]) -> None:
    """Settings under which it would never open, or never close, are refused by name."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        BreakerSettings(**wrong)  # type: ignore[arg-type]


def test_threads_lose_no_count_and_hear_every_change_in_order() -> None:
    """Eight threads at once: nothing is miscounted, changes follow on from each other."""
    breaker, _, told = a_breaker(minimum_calls=10**9, closes_after=1)
    start = threading.Barrier(9)

    def calls() -> None:
        start.wait()
        for each in range(2_000):
            permit = breaker.ask()
            if permit is None:
                continue
            (permit.dropped, permit.succeeded, lambda: permit.failed("503"))[each % 3]()  # noqa: B023

    threads = [threading.Thread(target=calls) for _ in range(8)]
    for thread in threads:
        thread.start()
    start.wait()
    for _ in range(200):
        breaker.hold_open("a moment")
        breaker.release()
        breaker.vouch("go on")
    for thread in threads:
        thread.join()
    assert breaker.snapshot().in_flight == 0
    assert len(told) >= 400
    assert all(one.after == two.before for one, two in pairwise(told))


def test_threads_never_share_a_probe() -> None:
    """However many threads ask at once after the wait, no more get through than there are probes."""
    breaker, watch, _ = a_breaker(probes=3)
    fails(breaker)
    watch.goes(5)
    got: list[Permit] = []
    start = threading.Barrier(16)

    def calls() -> None:
        start.wait()
        permit = breaker.ask()
        if permit is not None:
            got.append(permit)

    threads = [threading.Thread(target=calls) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 3


def test_a_call_may_end_while_the_same_thread_is_asking() -> None:
    """The garbage collector can end a call at any moment, even inside the breaker: no deadlock."""
    forgotten: list[Permit] = []

    def now() -> float:  # read under the lock, as anything the collector runs there would be
        while forgotten:
            forgotten.pop().dropped()
        return 0.0

    breaker = Breaker(SETTINGS, now=now)
    forgotten.append(asked(breaker))
    assert breaker.ask() is not None
    assert breaker.snapshot().in_flight == 1


def test_works_inside_a_loop() -> None:
    """Tasks share it as they are: twenty that hang under an outer timeout get five tries."""
    breaker, watch, _ = a_breaker()

    async def hangs() -> bool:
        permit = breaker.ask()
        if permit is None:
            return False
        try:
            async with asyncio.timeout(0):
                await asyncio.Event().wait()
        except TimeoutError:
            watch.goes(2)
            permit.dropped()
        return True

    async def one_by_one() -> list[bool]:
        return [await hangs() for _ in range(20)]

    assert sum(asyncio.run(one_by_one())) == 5


@dataclass
class Record:
    """One counted call."""

    at: float
    failed: bool
    slow: bool


@dataclass
class UnderWay:
    """One call that has not ended."""

    permit: Permit
    started: float
    changes_before: int
    hung: Record | None = None


class Naive:
    """The same rules the slow and obvious way: lists of everything, counted afresh each time."""

    def __init__(self, settings: BreakerSettings) -> None:
        self.settings = settings
        self.state, self.since, self.changes = "closed", 0.0, 0
        self.wait, self.retry_at = settings.open_for, 0.0
        self.records: list[Record] = []
        self.records_from = 0.0
        self.under_way: list[UnderWay] = []
        self.good_probes = 0

    def recent(self, now: float) -> list[Record]:
        def tenth(at: float) -> int:
            return int((at - self.records_from) / (self.settings.window / 10))

        return [each for each in self.records if tenth(each.at) > tenth(now) - 10]

    def current(self) -> list[UnderWay]:
        return [call for call in self.under_way if call.changes_before == self.changes]

    def hangs(self, call: UnderWay, now: float) -> bool:
        return now >= call.started + (self.settings.slow_after or 0)

    def becomes(self, state: str, now: float) -> None:
        if state == "open":
            if self.state == "closed" and now - self.since >= self.settings.window:
                self.wait = self.settings.open_for
            self.retry_at = now + self.wait
            self.wait = min(2 * self.wait, self.settings.open_for_at_most)
        if state == "closed":
            self.records, self.records_from = [], now
        self.state, self.since, self.good_probes = state, now, 0
        self.changes += 1

    def judges(self, now: float) -> None:
        calls = self.recent(now)
        if self.state != "closed" or len(calls) < self.settings.minimum_calls:
            return
        failed = sum(each.failed for each in calls) / len(calls)
        slow = sum(each.slow for each in calls) / len(calls)
        if failed >= self.settings.failure_rate or slow >= self.settings.slow_rate:
            self.becomes("open", now)

    def notices(self, now: float) -> None:
        if self.state == "open" and now >= self.retry_at:
            self.becomes("half-open", now)
        hanging = [c for c in self.current() if c.hung is None and self.hangs(c, now)]
        if hanging and self.state == "half-open":
            self.becomes("open", now)
        elif hanging:
            for call in hanging:
                call.hung = Record(now, failed=True, slow=True)
                self.records.append(call.hung)
            self.judges(now)

    def admits(self, now: float) -> bool:
        self.notices(now)
        if self.state == "half-open":
            return len(self.current()) < self.settings.probes
        return self.state == "closed"

    def ends(self, call: UnderWay, ending: str, now: float) -> None:
        self.under_way.remove(call)
        self.notices(now)
        if call.changes_before != self.changes:
            return
        slow, bad = self.hangs(call, now), ending != "succeeded"
        if self.state == "half-open":
            self.probe_ends(ending, slow, now)
        elif call.hung is not None:
            call.hung.failed = bad
        elif slow or ending != "dropped":
            self.records.append(Record(now, failed=bad, slow=slow))
            if slow or bad:
                self.judges(now)

    def probe_ends(self, ending: str, slow: bool, now: float) -> None:
        if slow or ending == "failed":
            self.becomes("open", now)
        elif ending == "succeeded":
            self.good_probes += 1
            if self.good_probes >= self.settings.closes_after:
                self.becomes("closed", now)


class BreakerMachine(RuleBasedStateMachine):
    """The breaker and its naive twin live through the same calls, waits and people."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker, self.watch, self.told = a_breaker(
            minimum_calls=3, window=10, probes=2, closes_after=2, open_for_at_most=15
        )
        self.naive = Naive(self.breaker.settings)

    @rule(times=st.integers(1, 4))
    def ask(self, times: int) -> None:
        for _ in range(times):
            now, permit = self.watch.reads, self.breaker.ask()
            assert self.naive.admits(now) == (permit is not None)
            if permit is not None:
                call = UnderWay(permit, now, self.naive.changes)
                self.naive.under_way.append(call)

    @precondition(lambda self: self.naive.under_way)
    @rule(choice=st.data(), ending=st.sampled_from(["succeeded", "failed", "dropped"]))
    def ends(self, choice: st.DataObject, ending: str) -> None:
        call = choice.draw(st.sampled_from(self.naive.under_way))
        self.breaker.tick()
        before = self.breaker.snapshot()
        stale = call.changes_before != len(self.told)
        getattr(call.permit, ending)()
        self.naive.ends(call, ending, self.watch.reads)
        after = self.breaker.snapshot()
        if stale:
            assert after == msgspec.structs.replace(before, in_flight=before.in_flight - 1)
        if ending == "dropped":
            assert after.state != "closed" or before.state == "closed"
            assert after.calls - after.failures <= before.calls - before.failures

    @rule(seconds=st.sampled_from([0.25, 0.5, 1, 2, 5, 10, 30]))
    def time_goes_by(self, seconds: float) -> None:
        self.watch.goes(seconds)

    @rule()
    def tick(self) -> None:
        self.breaker.tick()
        self.naive.notices(self.watch.reads)

    @rule()
    def hold(self) -> None:
        self.breaker.hold_open("Mia says so")
        if self.naive.state != "held open":
            self.naive.becomes("held open", self.watch.reads)

    @rule()
    def vouch(self) -> None:
        self.breaker.vouch("their check answers")
        if self.naive.state in {"open", "half-open"}:
            self.naive.becomes("closed", self.watch.reads)

    @rule()
    def release(self) -> None:
        self.breaker.release()
        if self.naive.state == "held open":
            self.naive.becomes("half-open", self.watch.reads)

    @invariant()
    def they_agree(self) -> None:
        now = self.watch.reads
        self.naive.notices(now)
        seen, counted = self.breaker.snapshot(), self.naive.recent(now)
        assert seen.state == self.naive.state
        assert seen.calls == len(counted)
        assert seen.failures == sum(each.failed for each in counted)
        assert seen.slow == sum(each.slow for each in counted)
        assert seen.in_flight == len(self.naive.under_way)

    @invariant()
    def probes_are_few(self) -> None:
        if self.naive.state == "half-open":
            assert len(self.naive.current()) <= 2

    @invariant()
    def changes_follow_on(self) -> None:
        assert len(self.told) == self.naive.changes
        assert all(one.after == two.before for one, two in pairwise(self.told))


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
