"""The four questions about an incident: drafts from the facts, people's answers, and the actions."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec
from msgspec.structs import replace

from detente.facts import watch, work
from detente.facts.incidents import QUESTIONS, Section
from detente.facts.pager import Told
from detente.incidents import queries, wording
from detente.incidents.decisions import Incident, afterwards
from detente.incidents.decisions.afterwards import Action, Retrospective
from detente.incidents.engine import again
from detente.incidents.engine.again import Rate
from detente.incidents.pages import changed, story
from detente.incidents.queries import retrospectives
from detente.incidents.wording import Part
from detente.kernel.clock import Instant, lasting, seconds_between
from detente.kernel.faces import levers_of
from detente.kernel.fact import Subject, Tone, kind
from detente.kernel.ledger import Query
from detente.kernel.node import Node
from detente.kernel.slice import Answered, Ask, Asked, Endpoint, Page


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """One of the four questions, with its answer or a draft of one."""

    section: Section
    question: str
    text: str
    draft: bool  # computed from the facts; nobody has agreed with it yet
    unknown: bool = False
    by: str = ""
    at: Instant | None = None
    position: int = 0


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One action, and whether it is done."""

    action: Action
    tone: Tone
    state: str


class Retrospection(msgspec.Struct, frozen=True, kw_only=True):
    """What happened, what went wrong, will it happen again, and what do we do if it does?"""

    number: str
    about: Subject
    of: Subject
    title: str
    tone: Tone
    state: str
    opened_at: Instant | None
    due: Instant | None
    closed_at: Instant | None
    closed_by: str | None
    seen: int  # where the newest answer stands
    again: Rate
    questions: tuple[Question, ...]
    lacking: tuple[str, ...]
    tasks: tuple[Task, ...]
    markdown: str


def retrospective(node: Node, ask: Ask) -> Retrospection:
    incident = queries.one_or_not_found(node.rows, f"incident:{ask.path['number']}")
    found = retrospectives.of(node.rows, incident.about)
    questions = tuple(_question(node, incident, found, each) for each in QUESTIONS)
    tone, state = _state(found, node.now())
    title, seen = node.title(incident.of), found.newest if found else 0
    return Retrospection(
        number=incident.number,
        about=incident.about,
        of=incident.of,
        title=title,
        tone=tone,
        state=state,
        opened_at=found.opened_at if found else None,
        due=found.due if found else None,
        closed_at=found.closed_at if found else None,
        closed_by=found.closed_by if found else None,
        seen=seen,
        again=_rate(node, incident),
        questions=questions,
        lacking=tuple(afterwards.lacking(found.answers if found else {})),
        tasks=tuple(
            _task(each, node.now()) for each in retrospectives.actions(node.rows, incident.about)
        ),
        markdown=wording.markdown(incident.number, title, seen, map(_part, questions)),
    )


def _part(question: Question) -> Part:
    return Part(
        section=question.section,
        text=question.text,
        draft=question.draft,
        unknown=question.unknown,
    )


def _state(found: Retrospective | None, now: Instant) -> tuple[Tone, str]:
    if found is None:
        return "plain", "not opened"
    if found.closed_at is not None:
        return "good", "closed"
    return ("warn", "overdue") if found.due < now else ("plain", "open")


def _task(action: Action, now: Instant) -> Task:
    if action.done_by is not None:
        return Task(action=action, tone="good", state="done")
    if action.ended_at is not None:
        return Task(action=action, tone="plain", state="dropped")
    late = action.due < now
    return Task(
        action=action, tone="warn" if late else "plain", state="overdue" if late else "open"
    )


# Drafts


def _question(
    node: Node, incident: Incident, found: Retrospective | None, section: Section
) -> Question:
    answer = found.answers.get(section) if found else None
    if answer is None:
        text = _DRAFTS[section](node, incident)
        return Question(section=section, question=QUESTIONS[section], text=text, draft=True)
    return Question(
        section=section,
        question=QUESTIONS[section],
        text=answer.answer,
        draft=False,
        unknown=answer.unknown,
        by=answer.by,
        at=answer.at,
        position=answer.position,
    )


def _happened(node: Node, incident: Incident) -> str:
    """As far as it was over: what was made of it afterwards is no part of what happened."""
    acts = story.play_of(node, incident).acts
    end = incident.closed_at
    if end is None:
        return wording.what_happened(acts)
    return wording.what_happened(
        replace(act, moments=tuple(each for each in act.moments if each.at <= end)) for act in acts
    )


def _wrong(node: Node, incident: Incident) -> str:
    ranked = changed.of_incident(node, incident, most=1)
    reasons = ranked.candidates[0].reasons if ranked.known else ()
    return wording.what_went_wrong(ranked.verdict, reasons, list(_noticing(node, incident)))


def _noticing(node: Node, incident: Incident) -> Iterator[str]:
    """How long it took to see it, to tell somebody, and until somebody had it; and whose fault."""
    noticed = lasting(max(0.0, seconds_between(incident.since, incident.opened_at)))
    yield f"It was noticed {noticed} after the first failure."
    query = Query(names=(Told.name,), subjects=(incident.about,))
    told = next(iter(node.ledger.read(query, limit=1)), None)
    if told is None:
        yield "Nobody is on record as having been told."
    else:
        late = lasting(max(0.0, seconds_between(incident.since, told.at)))
        yield f"The first to be told was {getattr(told.fact, 'team', '')}, {late} after it."
    if incident.held_by and incident.held_at:
        had = lasting(max(0.0, seconds_between(incident.since, incident.held_at)))
        yield f"{incident.held_by} had it {had} after it."
    else:
        yield "Nobody said that they had it."
    causes = tuple(dict.fromkeys(each.cause for each in incident.causes))
    query = Query(names=(watch.VerdictReached.name,), subjects=causes)
    after = incident.opened_by
    for verdict in node.ledger.read(query, after=after - 50, limit=1, backwards=True):
        yield f"Whose it was: {verdict.fact.says()}."


def _again(node: Node, incident: Incident) -> str:
    same = [each for each in _alike(node, incident) if each.reason == incident.reason]
    return wording.whether_again(node.title(incident.of), _rate(node, incident), len(same))


def _alike(node: Node, incident: Incident) -> list[Incident]:
    """The incidents of the same thing, those that went on as part of another left out."""
    going = [each for each in queries.going_on(node.rows) if each.of == incident.of]
    over = queries.lately(node.rows, of=incident.of, limit=10_000)
    return [each for each in (*going, *over) if not each.into]


def _rate(node: Node, incident: Incident) -> Rate:
    known = seconds_between(min(node.began(), incident.since), node.now())
    return again.rate(len(_alike(node, incident)), known)


def _then(node: Node, incident: Incident) -> str:
    levers = [f"{each.label} ({each.name})" for each in levers_of(node, incident.of)]
    for cause in dict.fromkeys(each.cause for each in incident.causes):
        if kind(cause) == "route":
            levers += [f"{each.label} ({each.name})" for each in levers_of(node, cause)]
    contact = getattr(node.catalogue.entry(incident.of), "contact", "")
    return wording.what_then(levers, contact, list(_drills(node, incident)))


def _drills(node: Node, incident: Incident) -> Iterator[str]:
    """What was rehearsed, newest last."""
    for each in node.ledger.read(Query(names=(work.DrillEnded.name,))):
        if incident.of in (each.about, getattr(each.fact, "vendor", "")):
            yield f"{node.title(each.about)} {each.fact.says()}."


_DRAFTS: dict[Section, Callable[[Node, Incident], str]] = {
    "happened": _happened,
    "wrong": _wrong,
    "again": _again,
    "then": _then,
}


# For programs


async def as_markdown(node: Node, asked: Asked) -> Answered:
    """The file that people edit."""
    answer = retrospective(node, Ask(path=asked.path))
    return Answered(body=answer.markdown.encode(), type="text/markdown; charset=utf-8")


ENDPOINT = Endpoint(
    method="GET",
    path="/incidents/{number}/retrospective.md",
    explains="The retrospective of an incident as Markdown, to be edited and handed in.",
    answer=as_markdown,
)

PAGE = Page(
    path="/incidents/{number}/retrospective",
    title="Retrospective",
    answer=retrospective,
    template="incidents/retrospective.html",
    hears=("incidents.*",),
)
