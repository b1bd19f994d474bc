"""Who is asked next, how many at once, and whose fault is the silence?

The prober keeps the schedule, starts a run for every slot, and turns what became of it into a
result. It never queues: what cannot start now is reported as skipped or inconclusive, at once.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from heapq import heappop, heappush

from detente.kernel.clock import NS, Clock, Instant, Seconds, SystemClock
from detente.watch.engine.canary import Canaries
from detente.watch.engine.kinds import kind_of_run
from detente.watch.engine.loop import Loop
from detente.watch.engine.plan import Plan, host_and_port
from detente.watch.engine.resolver import Resolver, server
from detente.watch.engine.run import Run
from detente.watch.engine.schedule import Schedule, Turn, lateness_limit, phase
from detente.watch.engine.wire import Orders, Probe, Result, Verdict

STARTS_AT_ONCE = 256  # then sockets get their turn again
PER_PLACE = 512  # runs under way to one host and port
PLUGINS_AT_ONCE = max(8, 4 * len(os.sched_getaffinity(0)))  # they cost a process each
FIRST_LOOK = 1.0  # seconds within which a new check is asked once, ahead of its first slot
SPARE_FILES = 64  # for everything that is not a run
STOPPED = 1.0  # seconds lost in one go after which nothing is caught up
STEP = 0.5  # seconds between wall clock and steady clock that are no drift


class Standing:
    """A probe that stands on the schedule."""

    __slots__ = ("at_once", "late_after", "plan", "run", "runs_as", "turn")

    def __init__(self, probe: Probe) -> None:
        self.plan = Plan(probe)
        self.runs_as = kind_of_run(self.plan)
        self.late_after = lateness_limit(probe.every)
        self.at_once = PLUGINS_AT_ONCE if probe.kind == "plugin" else PER_PLACE
        self.run: Run | None = None
        self.turn: Turn[Standing] | None = None


class Prober:
    """Carries out the orders in force."""

    def __init__(
        self,
        loop: Loop,
        report: Callable[[Result], None],
        *,
        clock: Clock | None = None,
        files: int = 1024,
        per_place: int = PER_PLACE,
    ) -> None:
        self.loop = loop
        self.report = report
        self.now = (clock or SystemClock()).now
        self.most_runs = max(1, files - SPARE_FILES)
        self.per_place = max(1, min(per_place, self.most_runs))
        self.orders = Orders()
        self.resolver = Resolver(loop)
        self.canaries: Canaries[Run] | None = None
        self._canary_runs: set[Run] = set()
        self.schedule: Schedule[Standing] = Schedule()
        self._standing: dict[str, Standing] = {}
        self._first_looks: list[tuple[Instant, str, Standing]] = []
        self._under_way: dict[str, int] = {}
        self.runs = 0
        self._offset = self._clock_offset()

    # -- orders -------------------------------------------------------------------------------

    def obey(self, orders: Orders) -> None:
        """Do this from now on. Probes that stay the same notice nothing.

        Raises Mistake if a canary or a name server cannot be what was written.
        """
        for canary in orders.canaries:
            host_and_port(canary)
        before, self.orders = self.orders, orders
        if orders.resolvers != before.resolvers:
            self._ask_others(orders)
        if orders.canaries != before.canaries:
            self._change_canaries(orders.canaries)
        wanted = {probe.id: probe for probe in orders.probes}
        for name, standing in list(self._standing.items()):
            if wanted.get(name) != standing.plan.probe or orders.place != before.place:
                self._dismiss(name)
        for name, probe in wanted.items():
            if name not in self._standing:
                self._engage(probe)

    def _engage(self, probe: Probe) -> None:
        standing = self._standing[probe.id] = Standing(probe)
        place = self.orders.place
        now = self.now()
        standing.turn = self.schedule.add(standing, probe.every, probe.id, now, place=place)
        if standing.turn.due - now > FIRST_LOOK * NS:
            due = now + phase(probe.id, FIRST_LOOK, place)
            heappush(self._first_looks, (due, probe.id, standing))

    def _look_first(self, now: Instant) -> None:
        """Nobody waits a whole interval to hear of a check that was just declared."""
        while self._first_looks and self._first_looks[0][0] <= now:
            _, name, standing = heappop(self._first_looks)
            if self._standing.get(name) is standing and standing.run is None:
                self._start(standing, now)

    def _dismiss(self, name: str) -> None:
        standing = self._standing.pop(name)
        if standing.turn is not None:
            self.schedule.remove(standing.turn)
        run = standing.run
        if run is not None:
            self._over(run)
            run.cancel()

    def _ask_others(self, orders: Orders) -> None:
        """Other name servers. Lookups on their way fail as if nobody had answered: they are ours."""
        servers = [server(written) for written in orders.resolvers]
        self.resolver.close()
        self.resolver = Resolver(self.loop, servers=servers)

    def _change_canaries(self, places: tuple[str, ...]) -> None:
        before, self.canaries = self.canaries, None
        for run in list(self._canary_runs):
            run.cancel()
        self._canary_runs.clear()
        if places:
            self.canaries = Canaries(self.loop, places, self._ask_canary, self._settle)
        for run in before.close() if before is not None else ():
            self._settle(run, cut_off=False)

    # -- the beat -----------------------------------------------------------------------------

    def turn(self, longest: Seconds) -> None:
        """Start what is due, then wait for whatever comes, for at most that long."""
        self._notice_interruptions()
        now = self.now()
        self._look_first(now)
        for standing, slot in self.schedule.take(now, STARTS_AT_ONCE):
            self._start(standing, slot)
        due = self.schedule.next_due()
        if due is not None:
            longest = min(longest, (due - self.now()) / NS)
        if self._first_looks:
            longest = min(longest, (self._first_looks[0][0] - self.now()) / NS)
        self.loop.turn(longest)

    def _notice_interruptions(self) -> None:
        """Was this process stopped, or the clock set? Then nothing is caught up."""
        lost = self.loop.lost_lately()
        stepped = self._clock_step()
        if lost > STOPPED:
            self._start_over(f"the prober itself was stopped for {lost:.1f} s")
        elif stepped:
            self.loop.lost += max(0.0, stepped)  # asleep, perhaps: what is under way tells nothing
            self._start_over(f"the clock of this machine was set by {stepped:+.1f} s")

    def pause(self) -> None:
        """Nobody takes the results: let what is due go by. Its slots will be missing."""
        self.schedule.start_over(self.now())

    def _clock_offset(self) -> Seconds:
        return self.now() / NS - self.loop.monotonic()

    def _clock_step(self) -> Seconds:
        """By how much somebody moved the wall clock just now; 0 if nobody did."""
        offset = self._clock_offset()
        stepped, self._offset = offset - self._offset, offset
        return stepped if abs(stepped) > STEP else 0.0

    def _start_over(self, why: str) -> None:
        now = self.now()
        for standing, slot in self.schedule.start_over(now):
            self._not_run(standing, slot, now, "inconclusive", why)

    def _start(self, standing: Standing, slot: Instant) -> None:
        now = self.now()
        plan = standing.plan
        if standing.run is not None:
            self._not_run(standing, slot, now, "skipped", "the run before it is still under way")
        elif now - slot > standing.late_after * NS:
            late = (now - slot) / NS
            reason = f"the prober itself is {late:.1f} s late: it has more to do than it can"
            self._not_run(standing, slot, now, "inconclusive", reason)
        elif self.runs >= self.most_runs:
            reason = f"the prober has {self.runs} runs under way and no more file descriptors"
            self._not_run(standing, slot, now, "inconclusive", f"{reason}: raise `ulimit -n`")
        elif self._under_way.get(plan.place, 0) >= min(standing.at_once, self.per_place):
            under_way = self._under_way[plan.place]
            reason = f"{under_way} checks of {plan.place} are still under way"
            self._not_run(standing, slot, now, "skipped", reason)
        else:
            self._run(standing, slot, now)

    def _not_run(
        self, standing: Standing, slot: Instant, now: Instant, verdict: Verdict, reason: str
    ) -> None:
        late = (now - slot) / NS
        name = standing.plan.probe.id
        self.report(
            Result(id=name, slot=slot, at=now, verdict=verdict, reason=reason, lateness=late)
        )

    def _run(self, standing: Standing, slot: Instant, now: Instant) -> None:
        plan = standing.plan
        run = standing.run = standing.runs_as(
            plan, self.loop, self.resolver, self._done, slot=slot, at=now, holder=standing
        )
        self._under_way[plan.place] = self._under_way.get(plan.place, 0) + 1
        self.runs += 1
        run.begin()

    # -- what became of it --------------------------------------------------------------------

    def _done(self, run: Run) -> None:
        self._over(run)
        if run.verdict == "failed" and not run.answered and self.canaries is not None:
            self.canaries.judge(run, run.began)
        else:
            self.report(run.result())

    def _over(self, run: Run) -> None:
        standing = run.holder
        assert isinstance(standing, Standing)
        standing.run = None
        self.runs -= 1
        place = run.plan.place
        left = self._under_way[place] - 1
        if left:
            self._under_way[place] = left
        else:
            del self._under_way[place]

    def _settle(self, run: Run, cut_off: bool) -> None:
        """Now it is known whose silence it was."""
        if cut_off:
            run.verdict = "inconclusive"
            run.reason = f"the prober itself is cut off: no canary answers ({run.reason})"
        self.report(run.result())

    def _ask_canary(self, place: str, answered: Callable[[bool], None]) -> None:
        def done(run: Run) -> None:
            self._canary_runs.discard(run)
            answered(run.verdict == "ok")

        plan = Plan(Probe(id=f"canary {place}", kind="tcp", target=place, timeout=2.0))
        now = self.now()
        run = Run(plan, self.loop, self.resolver, done, slot=now, at=now)
        self._canary_runs.add(run)
        run.begin()

    def close(self) -> None:
        """Stop everything, without results."""
        self.obey(Orders())
        self.resolver.close()


def raise_file_limit() -> int:
    """Take as many file descriptors as this process is allowed; answers with their number."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or soft == hard:
        return int(soft)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):
        return int(soft)
    return int(hard)
