"""Follows every outage and says whose fault it is, as soon as that can be told and whenever it changes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from detente.facts.watch import Fault, VerdictReached
from detente.kernel import spans
from detente.kernel.clock import Instant, Seconds, later, seconds_between
from detente.kernel.fact import Fact, Subject, kind
from detente.kernel.ledger import LedgerError
from detente.kernel.node import Node
from detente.watch import queries
from detente.watch.decisions import Standing, look_of
from detente.watch.engine.verdict import Look, Opinion, Role, how_it_failed, verdict
from detente.watch.engine.wire import Result
from detente.watch.settings import Check, Watch, owner

log = logging.getLogger(__name__)

EVERY: Seconds = 5.0
UNSURE_FOR: Seconds = 60.0  # that nobody can tell is told later: most outages say more by then
_LONGEST_WAIT: Seconds = 180.0  # for everybody to have looked

Standings = Mapping[str, Mapping[str, Standing]]  # by check, then by place


class Leaning(msgspec.Struct, frozen=True):
    """What the verdict would be, and since when it would."""

    opinion: Opinion
    since: Instant


class Court:
    """One node's judgement of its outages."""

    def __init__(
        self,
        node: Node,
        standings: Standings,
        last: Mapping[tuple[str, str], Result],
        began: Instant,
    ) -> None:
        self.node = node
        self.watch = node.settings(Watch)
        self.standings = standings
        self.last = last
        self._began = began
        self._leanings: dict[Subject, Leaning] = {}
        self._owners = {
            name: owner(name, check, node.catalogue) for name, check in self.watch.checks.items()
        }

    async def sit(self) -> None:
        """Look at all outages again and again."""
        while True:
            await asyncio.sleep(min(EVERY, self.watch.verdict_holds))
            facts = list(self.hear())
            try:
                if facts:
                    await self.node.record(*facts, by="detente:watch")
            except LedgerError as error:
                log.error("a verdict is not written down yet: %s", error)

    def hear(self) -> Iterator[Fact]:
        """The verdicts that are new."""
        now = self.node.clock.now()
        down = self._down()
        for about in self._leanings.keys() - down.keys():
            del self._leanings[about]
        for about, since in down.items():
            opinion = verdict(
                self.looks(about, since),
                theirs=kind(about) == "vendor",
                waited=self._waited(since, now),
            )
            opinion = opinion and self._follows(about, opinion, down)
            if opinion is not None and self._is_settled(about, opinion, since, now):
                yield VerdictReached(
                    about=about, since=since, fault=opinion.fault, sure=opinion.sure,
                    reasons=opinion.reasons, cites=opinion.cites,
                )  # fmt: skip

    def _down(self) -> dict[Subject, Instant]:
        """What is down in production, and since when."""
        down: dict[Subject, Instant] = {}
        for span in spans.going_on(self.node.rows, "outage"):
            name = span.about.partition(":")[2]
            check = self.watch.checks.get(name)
            if check is not None and self._is_production(name, check):
                down.setdefault(self._owners[name], span.start)
        return down

    def _is_production(self, name: str, check: Check) -> bool:
        return self.node.catalogue.in_production(self._owners[name], check.environment)

    def _waited(self, since: Instant, now: Instant) -> bool:
        """Has everybody had two turns since it began, or since this node did?"""
        checks = self.watch.checks.values()
        turns = max((2 * each.every + each.waits for each in checks), default=0.0)
        outside = 2 * self.watch.sheet if self.watch.places else 0.0
        wait = min(_LONGEST_WAIT, turns + outside + EVERY)
        return seconds_between(max(since, self._began), now) >= wait

    def _is_settled(self, about: Subject, opinion: Opinion, since: Instant, now: Instant) -> bool:
        """Has it been the same for long enough, and is it not what was told already?"""
        before = self._leanings.get(about)
        if before is None or _gist(before.opinion) != _gist(opinion):
            before = Leaning(opinion, now)
        self._leanings[about] = Leaning(opinion, before.since)
        told = queries.verdict_of(self.node.rows, about)
        if told is not None and told.since == since and (told.fault, told.sure) == _gist(opinion):
            return False
        unsure = opinion.fault == "can't tell"
        if unsure and now < later(max(since, self._began), UNSURE_FOR):
            return False
        return now >= later(before.since, self.watch.verdict_holds)

    def _follows(
        self, about: Subject, opinion: Opinion, down: Mapping[Subject, Instant]
    ) -> Opinion:
        """What falls because it needs something that is down is as much at fault as that."""
        if kind(about) == "vendor":
            return opinion
        needs, others = self.node.catalogue.needs, down.keys() - {about}
        if about not in {each.node for each in needs.falls(others)}:
            return opinion
        needed = sorted(
            (each for each in others if about in needs.needing(each)),
            key=lambda each: needs.steps(each, about) or 0,
        )
        told = queries.verdict_of(self.node.rows, needed[0])
        title = self.node.title(needed[0])
        whose: Fault = "theirs" if kind(needed[0]) == "vendor" else "ours"
        fault = told.fault if told is not None and told.since == down[needed[0]] else whose
        reasons = (f"it needs {title}, which is down", *opinion.reasons)
        return msgspec.structs.replace(opinion, fault=fault, sure=False, reasons=reasons)

    # -- what was seen --------------------------------------------------------------------------------

    def looks(self, about: Subject, since: Instant) -> Sequence[Look]:
        """Everything that was looked at, as it bears on this outage."""
        entwined = {about, *self._entwined(about)}
        found = []
        for name, check in self.watch.checks.items():
            role = self._role(name, check, about, entwined)
            if role is not None and not check.warns_only:
                found += [self._look(name, place, role, since) for place in self.standings[name]]
        return found

    def _role(self, name: str, check: Check, about: Subject, entwined: set[Subject]) -> Role | None:
        of = self._owners[name]
        if of == about:
            return "it" if self._is_production(name, check) else "twin"
        if of in entwined or not self._is_production(name, check):
            return None
        if kind(about) == "vendor":
            return "other" if kind(of) == "vendor" else None
        return "other"

    def _entwined(self, about: Subject) -> Iterator[Subject]:
        """What fails with it, or it with that: no witness of the network between."""
        needs = self.node.catalogue.needs
        yield from needs.needing(about)
        yield from (each for each in self._owners.values() if about in needs.needing(each))

    def _look(self, name: str, place: str, role: Role, since: Instant) -> Look:
        standing, of = self.standings[name][place], self._owners[name]
        result = self.last.get((name, place))
        here = place == self.watch.place
        outside = self.watch.places.get(place)
        look = Look(
            role=role, of=of, title=self.node.title(of), place=place, inside=here,
            where=queries.place_title(self.watch, place),
            network=outside.network if outside else "", saw="nothing yet",
        )  # fmt: skip
        if result is None or standing.blind or result.slot < since:
            return look
        if standing.down or standing.failures >= 2:
            reason, how = result.reason or standing.reason, how_it_failed(result)
            return msgspec.structs.replace(
                look, saw="fails", how=how, reason=reason, cites=self._cites(name, place)
            )
        return look if standing.failures else msgspec.structs.replace(look, saw="answers")

    def _cites(self, name: str, place: str) -> int:
        """The fact that says so, once one does."""
        subjects = (f"check:{name}", look_of(name, place))
        going = spans.going_on(self.node.rows)
        return max((each.opened_by for each in going if each.about in subjects), default=0)


def _gist(opinion: Opinion) -> tuple[str, bool]:
    return opinion.fault, opinion.sure
