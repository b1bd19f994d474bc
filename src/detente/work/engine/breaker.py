"""Is it worth calling them at all right now?

A breaker counts how calls end. When too many fail, hang or crawl it opens: callers are refused at
once instead of waiting for an answer that does not come. After a while it lets a few probes
through, and closes again when they come back well.

It knows no network, no threads and no loop: ask for a permit, make the call, say how it ended.
Time comes from the monotonic clock passed in. One short lock is held while counting, never while
calling.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable
from typing import Literal

import msgspec

from detente.kernel.clock import Seconds, lasting

State = Literal["closed", "open", "half-open", "held open"]
"""Closed lets calls through, open refuses them, half-open lets a few try; people hold it open."""

_Ending = Literal["succeeded", "failed", "dropped"]

_BUCKETS = 10


class BreakerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When to stop calling, and when to try again. Lengths of time are seconds."""

    window: Seconds = 10.0
    """Only calls that ended this recently count."""
    minimum_calls: int = 5
    """Fewer calls than this prove nothing."""
    failure_rate: float = 0.5
    """Opens when this share of calls failed or hang."""
    slow_after: Seconds | None = 2.0
    """A call without an answer for this long hangs; one that still answered was slow."""
    slow_rate: float = 0.8
    """Opens when this share of calls was slow, even if they answered in the end."""
    open_for: Seconds = 5.0
    """Refuses for this long before it tries again; twice as long each time that fails."""
    open_for_at_most: Seconds = 60.0
    probes: int = 1
    """Calls let through at the same time while trying again."""
    closes_after: int = 2
    """Probes that must come back well before everybody may call again."""

    def __post_init__(self) -> None:
        for name in ("window", "slow_after", "open_for"):
            length = getattr(self, name)
            if length is not None and not 0 < length < math.inf:
                raise ValueError(f"{name} is {length}; it must be some seconds, more than 0")
        for name in ("failure_rate", "slow_rate"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; write a share such as 0.5")
        for name in ("minimum_calls", "probes", "closes_after"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        if not self.open_for <= self.open_for_at_most < math.inf:
            raise ValueError("open_for_at_most must not be shorter than open_for")


class Change(msgspec.Struct, frozen=True):
    """The breaker went from one state to another. `at` is a reading of the breaker's own clock."""

    before: State
    after: State
    reason: str
    at: Seconds


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """How things stand, for people. `calls`, `failures` and `slow` are of the last window."""

    state: State
    since: Seconds  # on the breaker's own clock
    reason: str
    calls: int
    failures: int
    slow: int
    in_flight: int
    retry_after: Seconds | None
    good_probes: int = 0  # that came back well since it tries again


class _Bucket(msgspec.Struct, eq=False):
    """One tenth of the window. Whoever was counted in it may still correct it after it has left."""

    calls: int = 0
    failures: int = 0
    slow: int = 0


class Permit(msgspec.Struct, eq=False):
    """Leave to make one call. Say how it ended exactly once; further words are ignored."""

    _breaker: Breaker
    _started: Seconds
    _generation: int
    _hung: _Bucket | None = None  # where it was counted as hanging while still under way
    _under_way: bool = True

    def succeeded(self) -> None:
        """They answered. A refusal such as "card declined" is an answer too."""
        self._breaker._end(self, "succeeded", "")

    def failed(self, reason: str = "failed") -> None:
        """They did not answer, or said that they cannot."""
        self._breaker._end(self, "failed", reason)

    def dropped(self) -> None:
        """Our caller gave up. That says nothing about them, unless they had been hanging."""
        self._breaker._end(self, "dropped", "given up")


class Breaker:
    """Counts how calls end, and refuses new ones while the other side cannot answer.

    `on_change` hears of every change once and in order, outside the lock, in whichever thread
    noticed it; it may use the breaker.
    """

    def __init__(
        self,
        settings: BreakerSettings,
        *,
        now: Callable[[], Seconds],
        on_change: Callable[[Change], None] | None = None,
    ) -> None:
        self.settings = settings
        self._now = now
        self._on_change = on_change
        # Re-entrant: the garbage collector may end a forgotten call while this thread is counting.
        self._lock = threading.RLock()
        self._state: State = "closed"
        self._since = now()
        self._reason = "no trouble seen yet"
        self._generation = 0  # goes up with every change; endings of an earlier one are ignored
        self._in_flight = 0
        self._waiting: dict[Permit, None] = {}  # under way since the last change, oldest first
        self._patience = math.inf if settings.slow_after is None else settings.slow_after
        self._wakes_at = math.inf  # when something next happens without anybody saying a word
        self._next_wait = settings.open_for
        self._retry_at = math.inf
        self._free_probes = settings.probes
        self._good_probes = 0
        self._forget()
        self._untold: deque[Change] = deque()
        self._telling = threading.Lock()

    # -- callers ---------------------------------------------------------------------------------

    def ask(self) -> Permit | None:
        """May I call them? None means no; `retry_after` says when to ask again."""
        permit = None
        self._lock.acquire()  # half the price of `with`, here and in `_end`: every call pays it
        try:
            now = self._now()
            if now >= self._wakes_at:
                self._catch_up(now)
            if self._state == "closed" or self._admits():
                permit = Permit(self, now, self._generation)
                self._waiting[permit] = None
                self._in_flight += 1
                if self._wakes_at == math.inf:
                    self._wakes_at = now + self._patience
        finally:
            self._lock.release()
        if self._untold:
            self._tell()
        return permit

    @property
    def retry_after(self) -> Seconds | None:
        """How long a refused caller should wait. None while people hold it open."""
        with self._lock:
            return self._retry_after(self._now())

    def tick(self) -> None:
        """Notice what time alone has changed: calls that hang, a wait that is over.

        Every other question notices it too; call this now and then where traffic is thin.
        """
        with self._lock:
            now = self._now()
            if now >= self._wakes_at:
                self._catch_up(now)
        self._tell()

    # -- people ----------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """How things stand right now."""
        self.tick()
        with self._lock:
            now = self._now()
            calls, failures, slow = self._sums(now)
            return Snapshot(
                state=self._state,
                since=self._since,
                reason=self._reason,
                calls=calls,
                failures=failures,
                slow=slow,
                in_flight=self._in_flight,
                retry_after=self._retry_after(now),
                good_probes=self._good_probes,
            )

    def hold_open(self, reason: str) -> None:
        """Refuse every call until released, whatever the numbers say."""
        with self._lock:
            if self._state == "held open":
                self._reason = reason
            else:
                self._become("held open", self._now(), reason)
        self._tell()

    def release(self) -> None:
        """Let the numbers decide again, after a few calls that try."""
        with self._lock:
            if self._state == "held open":
                self._become("half-open", self._now(), "released; trying a call")
        self._tell()

    def vouch(self, reason: str) -> None:
        """Call them again: somebody else knows that they are well. What people hold stays held."""
        with self._lock:
            if self._state in ("open", "half-open"):
                self._close(self._now(), reason)
        self._tell()

    def after_fork(self) -> None:
        """In a child process: calls under way, and whoever held a lock, stayed with the parent."""
        self._lock = threading.RLock()
        self._telling = threading.Lock()
        self._waiting.clear()
        self._in_flight = 0
        self._free_probes = self.settings.probes
        if self._state != "open":
            self._wakes_at = math.inf

    # -- counting, always under the lock ---------------------------------------------------------

    def _admits(self) -> bool:
        """Not closed: is there a probe to spare?"""
        if self._state == "half-open" and self._free_probes:
            self._free_probes -= 1
            return True
        return False

    def _end(self, permit: Permit, ending: _Ending, reason: str) -> None:
        self._lock.acquire()
        try:
            if not permit._under_way:
                return
            permit._under_way = False
            self._in_flight -= 1
            # Taken out first: a call that is just ending must not be found hanging below.
            self._waiting.pop(permit, None)
            now = self._now()
            if now >= self._wakes_at:
                self._catch_up(now)
            if permit._generation == self._generation:
                slow = now >= permit._started + self._patience
                if self._state == "half-open":
                    self._count_probe(ending, slow, reason, now)
                elif ending == "succeeded" and not slow:  # nearly always: keep this short
                    bucket = self._newest if now < self._turns_at else self._bucket(now)
                    bucket.calls += 1
                else:
                    self._count_trouble(permit, ending, slow, reason, now)
        finally:
            self._lock.release()
        if self._untold:
            self._tell()

    def _count_trouble(
        self, permit: Permit, ending: _Ending, slow: bool, reason: str, now: Seconds
    ) -> None:
        if permit._hung is not None:  # counted already; only a good answer changes that
            permit._hung.failures -= ending == "succeeded"
            return
        if ending == "dropped" and not slow:
            return
        bucket = self._bucket(now)
        bucket.calls += 1
        bucket.slow += slow
        bucket.failures += ending != "succeeded"
        self._judge(now, reason)

    def _count_probe(self, ending: _Ending, slow: bool, reason: str, now: Seconds) -> None:
        if slow:
            self._open(now, f"a probe took longer than {lasting(self._patience)}")
        elif ending == "failed":
            self._open(now, f"a probe failed: {reason}")
        else:
            self._free_probes += 1
            self._good_probes += ending == "succeeded"
            if self._good_probes >= self.settings.closes_after:
                self._close(now, f"{_number(self._good_probes, 'probe')} came back well")

    def _judge(self, now: Seconds, reason: str) -> None:
        calls, failures, slow = self._sums(now)
        settings = self.settings
        if self._state != "closed" or calls < settings.minimum_calls:
            return
        if failures / calls >= settings.failure_rate:
            told = f"{failures} of {_number(calls, 'call')} in {lasting(settings.window)} failed"
            self._open(now, f"{told}, the last one: {reason}")
        elif slow / calls >= settings.slow_rate:
            told = f"{slow} of {_number(calls, 'call')} in {lasting(settings.window)}"
            self._open(now, f"{told} took longer than {lasting(self._patience)}")

    def _catch_up(self, now: Seconds) -> None:
        """What happened by itself since somebody last asked."""
        if self._state == "open":
            self._become("half-open", now, "waited long enough; trying a call")
            return
        hanging = []
        for permit in self._waiting:
            if permit._started + self._patience > now:
                break
            hanging.append(permit)
        for permit in hanging:
            del self._waiting[permit]
        oldest = next(iter(self._waiting), None)
        self._wakes_at = math.inf if oldest is None else oldest._started + self._patience
        if hanging:
            self._count_hanging(hanging, now)

    def _count_hanging(self, hanging: list[Permit], now: Seconds) -> None:
        if self._state == "half-open":
            self._open(now, f"a probe got no answer for {lasting(self._patience)}")
            return
        bucket = self._bucket(now)
        for permit in hanging:
            permit._hung = bucket
            bucket.calls += 1
            bucket.failures += 1
            bucket.slow += 1
        self._judge(now, f"no answer for {lasting(self._patience)}")

    def _retry_after(self, now: Seconds) -> Seconds | None:
        if self._state == "held open":
            return None
        if self._state == "open":
            return max(0.0, self._retry_at - now)
        if self._state == "half-open" and not self._free_probes:
            return max(0.0, self._wakes_at - now)  # by then the probe has come back, or it hangs
        return 0.0

    # -- the window ------------------------------------------------------------------------------

    def _forget(self) -> None:
        self._buckets = deque((_Bucket() for _ in range(_BUCKETS)), maxlen=_BUCKETS)
        self._newest = self._buckets[-1]
        self._turns_at = self._since + self.settings.window / _BUCKETS

    def _bucket(self, now: Seconds) -> _Bucket:
        """The newest bucket. Old ones leave as time goes by, not only when calls come in."""
        if now >= self._turns_at:
            width = self.settings.window / _BUCKETS
            turns = int((now - self._turns_at) / width) + 1
            self._turns_at += turns * width
            self._buckets.extend(_Bucket() for _ in range(min(turns, _BUCKETS)))
            self._newest = self._buckets[-1]
        return self._newest

    def _sums(self, now: Seconds) -> tuple[int, int, int]:
        self._bucket(now)
        calls = failures = slow = 0
        for bucket in self._buckets:
            calls += bucket.calls
            failures += bucket.failures
            slow += bucket.slow
        return calls, failures, slow

    # -- changing state --------------------------------------------------------------------------

    def _open(self, now: Seconds, reason: str) -> None:
        # Closing for a moment between two failures is no recovery: the wait keeps growing.
        if self._state == "closed" and now - self._since >= self.settings.window:
            self._next_wait = self.settings.open_for
        self._retry_at = now + self._next_wait
        self._next_wait = min(self._next_wait * 2, self.settings.open_for_at_most)
        self._become("open", now, reason)
        self._wakes_at = self._retry_at

    def _close(self, now: Seconds, reason: str) -> None:
        self._become("closed", now, reason)
        self._forget()

    def _become(self, state: State, now: Seconds, reason: str) -> None:
        self._untold.append(Change(self._state, state, reason, now))
        self._state = state
        self._since = now
        self._reason = reason
        self._generation += 1
        self._waiting.clear()
        self._wakes_at = math.inf
        self._free_probes = self.settings.probes
        self._good_probes = 0
        slow_after = self.settings.slow_after
        if slow_after is not None:
            self._patience = slow_after
        else:  # a probe that nobody reports on must not keep its slot for ever
            self._patience = self.settings.open_for_at_most if state == "half-open" else math.inf

    def _tell(self) -> None:
        """Hand over what changed. Whoever is telling already tells ours too, so order is kept."""
        while self._untold and self._telling.acquire(blocking=False):
            try:
                while self._untold:
                    change = self._untold.popleft()
                    if self._on_change is not None:
                        self._on_change(change)
            except Exception:  # a listener's mistake must not fail somebody's call
                import logging

                logging.getLogger("detente.work").exception("could not tell that a breaker changed")
            finally:
                self._telling.release()


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
