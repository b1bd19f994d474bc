"""Carries releases out: gate, ship, verify, watch, and back when it must be.

What is to be done is read off the release's facts each time, so a node that was killed goes on where it
was. A step's fact is written when the step has ended, together with what follows from it.
"""

from __future__ import annotations

import asyncio
import logging
import textwrap
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from detente.facts.releases import (
    BackAsked,
    Looked,
    Resumed,
    RunAsked,
    Shipped,
    StepBegan,
    StepFailed,
    StepPassed,
    Stopped,
    Stuck,
    ToggleSwitchedBack,
    WentOn,
    short,
)
from detente.kernel.clock import Instant, Seconds, later, seconds_between
from detente.kernel.fact import Fact, Subject
from detente.kernel.node import Node
from detente.kernel.sequential import needed
from detente.kernel.slice import Refused
from detente.releases import decisions, queries
from detente.releases.decisions import Blame, Inquired, Next, Release, Step
from detente.releases.effects.hands import Hands
from detente.releases.engine.processes import Ended, end_marked, wait_for_marked
from detente.releases.queries import evidence
from detente.releases.settings import Command, Releases, Steps, Watched
from detente.releases.settings import Shipped as Declared

log = logging.getLogger(__name__)

_BY = "detente:releases"
_STIRS = (RunAsked.name, WentOn.name, BackAsked.name)
_LOOKS = 60  # about so many times the watch looks
_SOONEST, _LATEST = 0.5, 15.0  # seconds between two looks
_NAMED = 48  # letters of a command in a sentence; the page keeps the whole of it


class Carrier:
    """Takes each release that runs through its steps."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.hands = Hands(node)
        self._tasks: dict[Subject, asyncio.Task[None]] = {}
        self._back: dict[Subject, asyncio.Event] = {}

    async def carry_on(self) -> None:
        """Whatever runs already, then whatever is let go, for ever."""
        after = self.node.ledger.head()
        self.node.parts[Hands] = self.hands
        async with asyncio.TaskGroup() as group:
            self._take_up(group)
            async for batch in self.node.follow(_STIRS, after=after):
                for recorded in batch:
                    if isinstance(recorded.fact, BackAsked):
                        self._back.setdefault(recorded.about, asyncio.Event()).set()
                self._take_up(group)

    def _take_up(self, group: asyncio.TaskGroup) -> None:
        for release in queries.in_state(self.node.rows, "running"):
            task = self._tasks.get(release.about)
            if task is None or task.done():
                self._back.setdefault(release.about, asyncio.Event())
                self._tasks[release.about] = group.create_task(self._carry(release.about))

    async def _carry(self, about: Subject) -> None:
        """One release, as far as it goes without a person."""
        while True:
            release = queries.one(self.node.rows, about)
            declared = queries.how_shipped(self.node, release) if release is not None else None
            if release is None or release.state != "running":
                return
            if declared is None:
                await self._stuck(release, "begin", "nobody says any more how it is shipped")
                return
            wanted = decisions.next_of(release, watches=declared.watch is not None)
            if wanted is None:
                return
            if release.back is None:
                self._back[about].clear()
            await self._do(release, declared, wanted)

    async def _do(self, release: Release, declared: Declared, wanted: Next) -> None:
        match wanted.what:
            case "begin":
                await self._begin(release, declared)
            case "stop":
                await self._stop(release)
            case "done":
                await self._record(*decisions.done(release, self.node.clock.now()))
            case "ship":
                await self._ship(release, declared, wanted.interrupted)
            case "back":
                await self._go_back(release, declared, wanted.interrupted)
            case _:
                await self._repeatable(release, declared, wanted)

    # -- beginning

    async def _begin(self, release: Release, declared: Declared) -> None:
        """Which version, instead of which, and how old is what is in it?"""
        try:
            began = await self.hands.begin(release, declared)
        except Refused as wrong:
            await self._record(Stopped(about=release.about, step="begin", why=str(wrong)))
            return
        now, within = self.node.clock.now(), self.node.settings(Releases).review_within
        passed = queries.obstacles(self.node, release, now)
        await self._record(began, *decisions.review(release, passed, now, within))

    async def _stop(self, release: Release) -> None:
        why = release.back.why if release.back is not None else "somebody stopped it"
        step = release.steps[-1].name if release.steps else "begin"
        if release.open_step is not None:
            await end_marked(release.open_step.mark)
        await self._record(Stopped(about=release.about, step=step, why=why))

    # -- gate, verify, watch: may be done again

    async def _repeatable(self, release: Release, declared: Declared, wanted: Next) -> None:
        if wanted.interrupted is not None:
            await end_marked(wanted.interrupted.mark)
            found = f"{wanted.what} is done again"
            await self._record(Resumed(about=release.about, step=wanted.what, found=found))
        step = await self._step_began(release, wanted.what)
        doing: dict[str, Callable[[], Awaitable[None]]] = {
            "gate": lambda: self._gate(release, declared, step),
            "verify": lambda: self._verify(release, declared, step),
            "watch": lambda: self._watch(release, declared.watch or Watched(), step),
        }
        await self._unless_back(release, step, doing[wanted.what])

    async def _unless_back(
        self, release: Release, step: Step, do: Callable[[], Awaitable[None]]
    ) -> None:
        """Do it, but drop it at once when somebody wants to go back."""
        doing, back = asyncio.ensure_future(do()), self._back[release.about]
        waiting = asyncio.ensure_future(back.wait())
        try:
            await asyncio.wait([doing, waiting], return_when=asyncio.FIRST_COMPLETED)
            if doing.done():
                doing.result()
                return
            doing.cancel()
            await asyncio.gather(doing, return_exceptions=True)
            await self._failed(release, step, Blame(why="it was asked to go back"))
        finally:
            for task in (doing, waiting):
                task.cancel()
            await asyncio.gather(doing, waiting, return_exceptions=True)

    async def _gate(self, release: Release, declared: Declared, step: Step) -> None:
        against = queries.obstacles(self.node, release, self.node.clock.now())
        if against and not decisions.excuse(release):
            await self._stopped_at(release, step, Ended(why="; ".join(against), printed=b""))
            return
        steps = declared.gate
        if release.kind == "emergency" and declared.emergency is not None:
            steps = declared.emergency
        ended, told = await self._all(release, declared, step, steps, place="gate")
        if ended.why:
            await self._stopped_at(release, step, ended)
            return
        passed = [f"let through although {each}" for each in against]
        await self._passed(release, step, "; ".join([*passed, told]), ended.printed)

    async def _stopped_at(self, release: Release, step: Step, ended: Ended) -> None:
        failed = self._failure(release, step, Blame(why=ended.why))
        stopped = Stopped(about=release.about, step=step.name, why=ended.why)
        await self._record(failed, stopped, printed=ended.printed)

    async def _verify(self, release: Release, declared: Declared, step: Step) -> None:
        ended, told = await self._all(release, declared, step, declared.verify, place="production")
        if ended.why:
            await self._failed(release, step, Blame(why=ended.why), ended.printed)
        else:
            await self._passed(release, step, told, ended.printed)

    async def _all(
        self, release: Release, declared: Declared, step: Step, steps: Steps, *, place: str
    ) -> tuple[Ended, str]:
        """Each of them until one does not pass; what was printed, and what they said in short."""
        printed, told = [], []
        for index, each in enumerate(steps):
            if isinstance(each, Command):
                ended = await self.hands.run(release, declared, each, mark=step.mark)
                says = _in_short(each, self.hands.last_line(ended))
                printed.append(f"$ {' '.join(each.run)}\n".encode() + ended.printed)
            else:
                run = f"release-{release.number}-{release.attempt}-{step.name}-{index}"
                ended, says = await self.hands.accept(release, each, place=place, run=run)
            if ended.why:
                why = ended.why if isinstance(each, Command) else f"{each}: {ended.why}"
                return Ended(why=why, printed=b"\n".join(printed)), ""
            told.append(says)
        return Ended(why="", printed=b"\n".join(printed)), "; ".join(told) or "nothing is asked"

    # -- watch

    async def _watch(self, release: Release, watched: Watched, step: Step) -> None:
        """Until its time is over, or until the evidence decides."""
        node, now = self.node, self.node.clock.now()
        since, ends = release.shipped_at or now, later(now, watched.lasts)
        if release.switched:
            since = max(since, release.switched[-1].at)
        pause: Seconds = min(_LATEST, max(_SOONEST, watched.lasts / _LOOKS))
        said: tuple[object, ...] | None = None
        while True:
            weighed = evidence.weighed(node, watched, release.service, since)
            readings = tuple(map(decisions.reading, weighed))
            if readings != said:
                await self._record(Looked(about=release.about, readings=readings))
                said = readings
            blame = decisions.blamed(weighed, needed(len(weighed)))
            if blame is not None:
                on = queries.toggles_on(node, queries.one(node.rows, release.about) or release)
                if not on or not await self._switch_back(release, on, blame):
                    await self._failed(release, step, blame)
                    return
                since, ends = node.clock.now(), later(node.clock.now(), watched.lasts)
            elif node.clock.now() >= ends:
                await self._passed(release, step, decisions.watched_well(weighed))
                return
            await asyncio.sleep(min(pause, max(0.01, seconds_between(node.clock.now(), ends))))

    async def _switch_back(
        self, release: Release, toggles: Sequence[Subject], blame: Blame
    ) -> bool:
        """The toggles first: that is quicker than the release, and takes less back."""
        facts: list[Fact] = []
        for toggle in toggles:
            try:
                off = self.hands.pull("toggles.off", toggle, f"{release.about}: {blame.why}")
            except Refused as why:
                log.warning("%s could not be switched off: %s", toggle, why)
                continue
            switched = ToggleSwitchedBack(
                about=release.about,
                toggle=toggle,
                why=blame.why,
                because=blame.because,
                e_value=blame.e_value,
                failed=blame.failed,
                of=blame.of,
            )
            facts += [*off, switched]
        if facts:
            await self._record(*facts)
        return bool(facts)

    # -- ship: never guessed about

    async def _ship(self, release: Release, declared: Declared, before: Step | None) -> None:
        if before is not None and not await self._goes_on(release, declared, before):
            return
        step = await self._step_began(release, "ship")
        ended = await self.hands.run(
            release, declared, declared.ship, mark=step.mark, left_alone=True
        )
        runs = await self.hands.version(release, declared)
        if ended.well and not self._unchanged(release, runs):
            await self._shipped(release, step, ended.printed)
            return
        why = (
            ended.why
            or f"{declared.ship.run[0]} ended well, but production still has {short(runs or '')}"
        )
        failed = self._failure(release, step, Blame(why=why))
        unchanged = runs is not None and decisions.same_version(runs, release.before)
        if unchanged:
            stopped = Stopped(
                about=release.about, step="ship", why=f"{why}; production has {short(runs or '')}"
            )
            await self._record(failed, stopped, printed=ended.printed)
        else:
            await self._record(failed, printed=ended.printed)

    def _unchanged(self, release: Release, runs: str | None) -> bool:
        return (
            runs is not None
            and decisions.same_version(runs, release.before)
            and not decisions.same_version(release.version, release.before)
        )

    async def _goes_on(self, release: Release, declared: Declared, step: Step) -> bool:
        """What became of a ship that was interrupted? True: it is to be shipped (again)."""
        await self._let_it_end(step, declared.ship.timeout)
        inquired = decisions.inquire(release, await self.hands.version(release, declared))
        resumed = Resumed(about=release.about, step="ship", found=inquired.found)
        match inquired.verdict:
            case "passed":
                await self._shipped(release, step, b"", resumed)
            case "stuck":
                why = f"{inquired.found}. Look at production, then settle it or go back"
                await self._record(resumed, Stuck(about=release.about, step="ship", why=why))
            case "again" if release.back is None:
                await self._record(resumed)
                return True
            case _:
                await self._shipped_not(release, step, inquired, resumed)
        return False

    async def _shipped_not(
        self, release: Release, step: Step, inquired: Inquired, resumed: Fact
    ) -> None:
        failed = self._failure(release, step, Blame(why=inquired.found))
        if inquired.verdict == "again":  # and somebody wants to go back: it is there already
            why = release.back.why if release.back is not None else inquired.found
            await self._record(failed, Stopped(about=release.about, step="ship", why=why))
        else:
            await self._record(resumed, failed)

    async def _let_it_end(self, step: Step, timeout: Seconds) -> None:
        """What an earlier node had started goes on by itself: wait for it, but not for ever."""
        if not await wait_for_marked(step.mark, timeout):
            await end_marked(step.mark)

    async def _shipped(self, release: Release, step: Step, printed: bytes, *more: Fact) -> None:
        passed = self._pass(release, step, short(release.version))
        shipped = Shipped(about=release.about, version=release.version)
        await self._record(passed, shipped, *more, printed=printed)

    # -- back

    async def _go_back(self, release: Release, declared: Declared, before: Step | None) -> None:
        if before is not None:
            await self._let_it_end(before, declared.back.timeout)
            runs = await self.hands.version(release, declared)
            if runs is not None and decisions.same_version(runs, release.before):
                found = f"production has {short(runs)} again already"
                resumed = Resumed(about=release.about, step="back", found=found)
                passed = self._pass(release, before, found)
                await self._record(resumed, passed, *decisions.rolled_back(release))
                return
        await self._bring_back(release, declared)

    async def _bring_back(self, release: Release, declared: Declared) -> None:
        step = await self._step_began(release, "back")
        ended = await self.hands.run(
            release, declared, declared.back, mark=step.mark, left_alone=True
        )
        runs = await self.hands.version(release, declared) if declared.version else None
        known = bool(declared.version and release.before)
        arrived = not known or (runs is not None and decisions.same_version(runs, release.before))
        if ended.well and arrived:
            passed = self._pass(release, step, short(runs or release.before))
            back = decisions.rolled_back(release)
            await self._record(passed, *back, printed=ended.printed)
            return
        why = (
            ended.why
            or f"production has {runs or 'no version that it tells'}, not {release.before}"
        )
        failed = self._failure(release, step, Blame(why=why))
        stuck = Stuck(about=release.about, step="back", why=why)
        await self._record(failed, stuck, printed=ended.printed)

    # -- writing down

    async def _step_began(self, release: Release, name: str) -> Step:
        """Written first: its processes carry the mark, so a later node finds them."""
        attempt = 1 + sum(each.name == name for each in release.steps)
        mark = f"{release.about}-{name}-{self.node.chance.getrandbits(64):016x}"
        began = StepBegan(about=release.about, step=name, mark=mark, attempt=attempt)
        await self._record(began)
        return Step(name=name, mark=mark, attempt=attempt, began_at=self.node.clock.now())

    def _pass(self, release: Release, step: Step, note: str) -> StepPassed:
        took = self._took(step.began_at)
        return StepPassed(about=release.about, step=step.name, took=took, note=note)

    def _failure(self, release: Release, step: Step, blame: Blame) -> StepFailed:
        return StepFailed(
            about=release.about,
            step=step.name,
            took=self._took(step.began_at),
            why=blame.why,
            because=blame.because,
            e_value=blame.e_value,
            failed=blame.failed,
            of=blame.of,
        )

    def _took(self, began: Instant) -> Seconds:
        return max(0.0, seconds_between(began, self.node.clock.now()))

    async def _passed(self, release: Release, step: Step, note: str, printed: bytes = b"") -> None:
        await self._record(self._pass(release, step, note), printed=printed)

    async def _failed(
        self, release: Release, step: Step, blame: Blame, printed: bytes = b""
    ) -> None:
        await self._record(self._failure(release, step, blame), printed=printed)

    async def _stuck(self, release: Release, step: str, why: str) -> None:
        await self._record(Stuck(about=release.about, step=step, why=why))

    async def _record(self, *facts: Fact, printed: bytes = b"") -> None:
        """What was printed belongs to the first fact, which says how a step ended."""
        attach = {0: self.hands.discreet(printed)} if printed else None
        await self.node.record(*facts, by=_BY, attach=attach)


def _in_short(command: Command, printed: str) -> str:
    """The program, and the last line it printed: test runners sum up there."""
    last = f": {printed[:120]}" if printed else ""
    program, *rest = command.run
    said = " ".join((Path(program).name, *rest))
    named = textwrap.shorten(said, _NAMED, placeholder=" …", break_on_hyphens=False)
    return f"{named}{last}"


async def carry_on(node: Node) -> None:
    await Carrier(node).carry_on()
