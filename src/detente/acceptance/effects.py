"""Runs suites: in production by itself, anywhere when asked; writes down what came of it.

All that one run found is written in one append under the run's name. So a run is on record whole or
not at all, and asking for it again after a crash answers with what was recorded. Production is asked all
day, and mostly says what it said before: that is one fact a run, and not one a test.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Protocol, cast

import msgspec

from detente.acceptance import decisions, queries
from detente.acceptance.decisions import Run
from detente.acceptance.engine import parent
from detente.acceptance.engine.parent import CannotRun, Order, Outcome, Plan
from detente.acceptance.settings import FALLS_AFTER, Acceptance, Suite, python_of
from detente.kernel.clock import Instant, Seconds
from detente.kernel.config import SecretMissing
from detente.kernel.fact import Fact, plain
from detente.kernel.forms import BadForm
from detente.kernel.ledger import LedgerError
from detente.kernel.node import Node
from detente.kernel.slice import Effect, Refused

log = logging.getLogger(__name__)


class Tester(Protocol):
    """Whoever runs a suite: a process of its own, or the simulated world."""

    async def run(self, order: Order) -> list[Outcome]:
        """Raises CannotRun."""
        ...

    async def close(self) -> None: ...


class Testers(Protocol):
    """Makes the tester of a suite. The simulated world brings its own."""

    def __call__(self, name: str, suite: Suite) -> Tester: ...


class Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody wants a suite to be run."""

    suite: str
    place: str
    release: str = ""
    version: str = ""
    run: str = ""
    base_url: str = ""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a run."""

    run: str
    suite: str
    place: str
    passed: bool
    broken: str
    ran: int
    failed: int
    skipped: int
    took: Seconds
    says: str
    results: tuple[Outcome, ...]


class Runner:
    """Holds the node's suites ready, and runs them."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.settings = node.settings(Acceptance)
        make = cast("Testers", node.part(Testers) or self._process)
        self._testers = {name: make(name, each) for name, each in self.settings.suites.items()}
        self._under_way: dict[str, asyncio.Task[Report]] = {}

    def _process(self, _name: str, suite: Suite) -> Tester:
        plan = Plan(
            path=suite.path.path,
            home=suite.path.home,
            python=python_of(suite),
            environment=suite.environment,
        )
        return parent.Suite(plan, self._account)

    def _account(self, name: str) -> Mapping[str, str]:
        """A test account, revealed here and nowhere else, when a test wants it."""
        accounts = self.settings.accounts
        if name not in accounts:
            there = ", ".join(accounts) or "none yet"
            return {"missing": f"no test account is called {name}; declared: {there}"}
        try:
            return {"user": accounts[name].user, "password": accounts[name].password.reveal()}
        except SecretMissing as missing:
            return {"missing": f"the password of {name}: {missing}"}

    async def run(self, asked: Asked) -> Report:
        """Run a suite and write down what it found, once for each run that has a name. Raises BadForm."""
        if not asked.run:
            return await self._run(asked)
        task = self._under_way.get(asked.run)
        if task is None:
            task = self._under_way[asked.run] = asyncio.create_task(self._run(asked))
            task.add_done_callback(lambda _done: self._under_way.pop(asked.run, None))
        return await asyncio.shield(task)

    async def _run(self, asked: Asked) -> Report:
        suite, place = queries.suite_named(self.node, asked.suite), queries.place_named(asked.place)
        run = Run(
            id=asked.run or f"{self.node.chance.getrandbits(96):024x}",
            place=place,
            suite=asked.suite,
            version=asked.version,
            release=decisions.named(asked.release, "release"),
        )
        if asked.run and (known := queries.outcomes_of(self.node.rows, asked.run)):
            return report(run, known, "")
        url = _declared(suite, asked) or getattr(suite.base_url, place)
        if not url:
            raise BadForm(
                f"base_url: nothing says where {asked.suite} finds {place}; write it under the suite"
            )
        only = suite.only if place == "production" else ()
        order = Order(place=place, base_url=str(url), timeout=float(suite.timeout), only=only)
        try:
            outcomes = await self._testers[asked.suite].run(order)
        except CannotRun as why:
            await self._could_not(run, suite, str(why))
            return report(run, (), str(why))
        await self._note(run, suite, outcomes, in_short=not asked.run)
        return report(run, outcomes, "")

    async def _note(
        self, run: Run, suite: Suite, outcomes: Sequence[Outcome], *, in_short: bool
    ) -> None:
        """`in_short`: nobody asks for this run by its name, so what is as before is one fact."""
        facts = facts_of(self.node, run, outcomes, suite)
        if run.place == "production":
            if in_short:
                before = queries.said_in_production(self.node.rows, run.suite)
                facts = decisions.as_before(facts, before)
            about = [f"test:{each.test}" for each in outcomes]
            failing = queries.failing_by_suite(self.node.rows)
            facts += decisions.gone(failing, about, run.suite)
            known = _is_unrun(self.node, run.suite)
            facts += decisions.can_again(run.suite, self.node.clock.now(), known=known)
        await self.node.record(*facts, by="detente:acceptance", key=decisions.run_key(run.id))

    async def _could_not(self, run: Run, suite: Suite, reason: str) -> None:
        """Not knowing is worth knowing in production, where somebody relies on it."""
        if run.place != "production":
            return
        known = _is_unrun(self.node, run.suite)
        of, now = queries.owner(self.node, suite.of), self.node.clock.now()
        if facts := decisions.could_not(run.suite, of, reason, now, known=known):
            await self.node.record(*facts, by="detente:acceptance")

    async def again_and_again(self, name: str, suite: Suite) -> None:
        """Run it in production for as long as the node runs. A slow run is not overtaken."""
        loop = asyncio.get_running_loop()
        every = float(suite.every or 0)
        due = loop.time()
        while True:
            try:
                await self.run(Asked(suite=name, place="production"))
            except LedgerError as error:
                log.error("what %s found in production is not written down: %s", name, error)
            due = max(due + every, loop.time())
            await asyncio.sleep(due - loop.time())

    async def close(self) -> None:
        under_way = [*self._under_way.values()]
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        await asyncio.gather(*(each.close() for each in self._testers.values()))


def _declared(suite: Suite, asked: Asked) -> str:
    """The address that is asked for, if it is one of the suite's: tests show passwords there."""
    there = [each for each in msgspec.structs.astuple(suite.base_url) if each is not None]
    if asked.base_url and asked.base_url not in there:
        declared = ", ".join(there) or "none yet"
        raise BadForm(
            f"base_url: tests sign on where they are sent, so {asked.suite} goes only to addresses"
            f" that stand under the suite in detente.yaml: {declared}"
        )
    return asked.base_url


def _is_unrun(node: Node, suite: str) -> bool:
    return any(plain(each.about) == suite for each in queries.unrun(node.rows))


def report(run: Run, outcomes: Sequence[Outcome], broken: str) -> Report:
    return Report(
        run=run.id,
        suite=run.suite,
        place=run.place,
        passed=not broken and decisions.passed(outcomes),
        broken=broken,
        ran=len(outcomes),
        failed=sum(each.outcome == "failed" for each in outcomes),
        skipped=sum(each.outcome == "skipped" for each in outcomes),
        took=sum(each.took for each in outcomes),
        says=decisions.in_words(outcomes, broken),
        results=tuple(outcomes),
    )


def facts_of(
    node: Node,
    run: Run,
    outcomes: Sequence[Outcome],
    suite: Suite | None = None,
    at: Mapping[str, Instant] | None = None,
) -> list[Fact]:
    """That the tests ran; and in production, what that changes. `at`: when, if earlier than now."""
    facts: list[Fact] = []
    for each in outcomes:
        of = queries.owner(node, each.of or (suite.of if suite else ""))
        when = (at or {}).get(each.test)
        fact = decisions.ran(each, run, of=of, at=when)
        facts.append(fact)
        if run.place == "production":
            standing = queries.standing(node.rows, fact.about)
            now = when or node.clock.now()
            falls = suite.falls_after if suite else FALLS_AFTER
            facts += decisions.judge(fact, standing, falls_after=falls, at=now)
    return facts


async def told(
    node: Node, run: Run, outcomes: Sequence[Outcome], at: Mapping[str, Instant], by: str
) -> int:
    """Write down results from elsewhere, each once; answers with how many were new."""

    async def tell(each: Outcome) -> bool:
        facts = facts_of(node, run, [each], at=at)
        receipt = await node.record(*facts, by=by, key=decisions.result_key(run.id, each.test))
        return not receipt.repeated

    return sum(await asyncio.gather(*map(tell, outcomes)))  # together: one sync for many


def runner(node: Node) -> Runner:
    """The running part. Raises Refused while there is none."""
    found: Runner | None = node.part(Runner)
    if found is None:
        raise Refused("No suite can be run here: declare one under `acceptance:` in detente.yaml.")
    return found


async def _run_suites(node: Node) -> None:
    made = Runner(node)
    node.parts[Runner] = made
    try:
        async with asyncio.TaskGroup() as group:
            for name in queries.suites_in_production(node):
                suite = made.settings.suites[name]
                group.create_task(made.again_and_again(name, suite), name=f"acceptance: {name}")
            group.create_task(asyncio.Event().wait())
    finally:
        node.parts.pop(Runner, None)
        await made.close()


async def retire(node: Node) -> None:
    """What is not run in production any more neither fails there nor is missed there."""
    there = queries.suites_in_production(node)
    for test, suite in queries.failing_by_suite(node.rows).items():
        if suite and suite not in there:
            facts = decisions.gone({test: suite}, (), suite)
            await node.record(*facts, by="detente:acceptance")
    for span in queries.unrun(node.rows):
        name = plain(span.about)
        if name not in there:
            now = node.clock.now()
            facts = decisions.can_again(name, now, known=True, retired=True)
            await node.record(*facts, by="detente:acceptance")


async def _keep_house(node: Node) -> None:
    await retire(node)
    await asyncio.Event().wait()


def _has_suites(node: Node) -> bool:
    return bool(node.settings(Acceptance).suites)


EFFECTS = (
    Effect("acceptance", _run_suites, wanted=_has_suites),
    Effect("acceptance: keeping house", _keep_house),
)
