"""What was learnt from it, and who will see to what?

A retrospective answers four questions. It is not closed while one is unanswered, nor while an answer
says that nobody knows and nobody said so on purpose. An action ends when the check, test, toggle or
drill that it names is there and has run; nobody ticks it off.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from detente.facts import acceptance, toggles, watch, work
from detente.facts.incidents import (
    QUESTIONS,
    ActionDone,
    Answered,
    RetrospectiveOpened,
    Section,
)
from detente.incidents.decisions import Incident
from detente.kernel.clock import Instant, Seconds, later
from detente.kernel.fact import Fact, Recorded, Subject, kind, plain

CLOSES_ON = ("check", "test", "toggle", "drill")
"""What an action can wait for."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The newest answer to one question."""

    section: Section
    answer: str
    unknown: bool  # said on purpose that nobody knows
    position: int
    at: Instant
    by: str


class Retrospective(msgspec.Struct, frozen=True, kw_only=True):
    """The four questions about one incident, as far as they are answered."""

    about: Subject
    opened_at: Instant
    opened_by: str
    due: Instant
    closed_at: Instant | None = None
    closed_by: str | None = None
    answers: Mapping[Section, Answer] = {}

    @property
    def newest(self) -> int:
        """Where the newest answer stands; 0 before there is one."""
        return max((each.position for each in self.answers.values()), default=0)


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """Something that somebody took on, and the fact that it waits for."""

    action: str
    about: Subject
    position: int
    title: str
    owner: str
    due: Instant
    closes_on: Subject
    ended_at: Instant | None = None
    done_by: int | None = None  # position of the fact that closed it; none if it was dropped
    ended: str | None = None  # in words


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that somebody wants to give."""

    section: Section
    answer: str
    unknown: bool = False


# The retrospective


def opened(incident: Incident, now: Instant, within: Seconds) -> RetrospectiveOpened:
    return RetrospectiveOpened(about=incident.about, due=later(now, within))


def deserves_one(lasted: Seconds, longer_than: Seconds | None) -> bool:
    """Did it last so long that its retrospective is opened by itself?"""
    return longer_than is not None and lasted > longer_than


def answers(retrospective: Retrospective, said: Iterable[Said]) -> list[Fact]:
    """What is new of what was said; an answer given again unchanged is no news."""
    return [
        Answered(
            about=retrospective.about,
            section=each.section,
            answer=each.answer.strip(),
            unknown=each.unknown,
        )
        for each in said
        if each.answer.strip() and not _same(retrospective.answers.get(each.section), each)
    ]


def _same(before: Answer | None, said: Said) -> bool:
    given = (said.answer.strip(), said.unknown)
    return before is not None and (before.answer, before.unknown) == given


def quicker(retrospective: Retrospective, said: Sequence[Said], seen: int) -> Answer | None:
    """An answer that the one who says this has not seen, and would overwrite."""
    for each in said:
        before = retrospective.answers.get(each.section)
        if before is not None and before.position > seen and not _same(before, each):
            return before
    return None


_NOBODY_KNOWS = re.compile(
    r"\b(?:(?:do not|don['’]?t|does not|did not|didn['’]?t) know|nobody knows|no idea|unknown"
    r"|to be (?:done|determined|decided)|tbd|tba|todo)\b|\?\?",
    re.IGNORECASE,
)


def says_unknown(answer: str) -> bool:
    """Does the answer say that there is none?"""
    return _NOBODY_KNOWS.search(answer) is not None


def lacking(answers: Mapping[Section, Answer]) -> Iterator[str]:
    """What keeps it from being closed, a sentence each."""
    for section, question in QUESTIONS.items():
        answer = answers.get(section)
        if answer is None:
            yield f"“{question}” is not answered yet."
        elif says_unknown(answer.answer) and not answer.unknown:
            yield (
                f"“{question}” is answered with not knowing. Find out, or say on purpose that"
                " nobody knows."
            )


# Actions


def number_of(incident: Incident, before: Sequence[Action]) -> str:
    """'12-3': the third action of incident 12."""
    return f"{incident.number}-{len(before) + 1}"


def can_close(closes_on: Subject) -> bool:
    """Is that something whose fact an action can wait for?"""
    return kind(closes_on) in CLOSES_ON and bool(plain(closes_on).strip())


def done(waiting: Iterable[Action], recorded: Recorded) -> list[Fact]:
    """The actions that this fact closes: what they wait for is there and has run since."""
    return [
        ActionDone(
            about=each.about,
            action=each.action,
            title=each.title,
            position=recorded.position,
            because=because,
        )
        for each in waiting
        if each.position < recorded.position
        if (because := _fulfils(each.closes_on, recorded.fact))
    ]


def _fulfils(closes_on: Subject, fact: Fact) -> str:
    """Why this fact is the one it waited for; empty if it is not."""
    name = plain(closes_on)
    match kind(closes_on), fact:
        case "check", watch.SheetFiled(tallies=tallies) if name in tallies:
            ran = tallies[name].ok + tallies[name].failed
            return f"the check {name} has run {ran} times" if ran > 1 else _ran_once(name, ran)
        case "test", acceptance.Ran() | acceptance.SuiteRan() as ran:
            passed = ran.outcomes().get(closes_on) == "passed"
            return f"the test passed in {ran.place}" if passed else ""
        case "toggle", toggles.Defined(about=about):
            return f"the toggle {name} is there" if about == closes_on else ""
        case "drill", work.DrillEnded(aborted=False) as drill:
            return "the drill was held" if name in (plain(drill.about), plain(drill.vendor)) else ""
        case _:
            return ""


def _ran_once(name: str, ran: int) -> str:
    return f"the check {name} has run" if ran else ""
