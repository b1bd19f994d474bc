"""What can people do about an incident?"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from typing import Annotated

import msgspec
from msgspec import Meta

from detente.facts.incidents import (
    QUESTIONS,
    ActionDropped,
    ActionTakenOn,
    Answered,
    Closed,
    Noted,
    RetrospectiveClosed,
    RetrospectiveOpened,
    Section,
)
from detente.incidents import decisions, queries
from detente.incidents.decisions import afterwards
from detente.incidents.decisions.afterwards import Answer, Retrospective, Said
from detente.incidents.queries import retrospectives
from detente.incidents.settings import Incidents
from detente.incidents.wording import BadMarkdown, read_markdown
from detente.kernel.clock import Instant, instant, moment
from detente.kernel.fact import Fact, Subject, kind, plain
from detente.kernel.forms import LINES, BadForm, within_ten_years
from detente.kernel.node import Node
from detente.kernel.slice import Lever, Pull, Refused

Text = Annotated[str, Meta(max_length=2_000)]
Line = Annotated[str, Meta(max_length=160)]
Lines = Annotated[str, Meta(max_length=20_000, extra_json_schema=LINES)]


class Note(msgspec.Struct, frozen=True):
    """What somebody saw, thinks or did."""

    note: Text


class Close(msgspec.Struct, frozen=True):
    """How it ended, and whether it may be closed though something is down."""

    note: Text
    although_down: bool = False


class Give(msgspec.Struct, frozen=True):
    """The answer to one of the four questions."""

    section: Annotated[
        Section,
        Meta(description="happened, went wrong, will it again, what then"),
    ]
    answer: Lines
    nobody_knows: Annotated[bool, Meta(description="nobody knows, and we say so")] = False
    seen: Annotated[
        int, Meta(description="where the answer stands that this one takes the place of")
    ] = 0


class Markdown(msgspec.Struct, frozen=True):
    """The edited file: `detente incidents retrospective N > file.md` gives it."""

    markdown: Annotated[str, Meta(max_length=100_000, extra_json_schema=LINES)]


class TakeOn(msgspec.Struct, frozen=True):
    """What is to be done, by whom, until when, and what shows that it is done."""

    title: Line
    owner: Annotated[str, Meta(max_length=80)]
    due: Annotated[str, Meta(max_length=10, description="a day, such as 2026-12-24")]
    closes_on: Annotated[
        str,
        Meta(
            max_length=200,
            description="check:NAME, test:NAME, toggle:NAME or drill:NAME: done once it has run",
        ),
    ]


class Drop(msgspec.Struct, frozen=True):
    """Which action, and why nobody will do it."""

    action: Annotated[str, Meta(max_length=40, description="its number, such as 12-1")]
    why: Text


def _note(node: Node, pull: Pull) -> list[Fact]:
    incident = queries.one_or_not_found(node.rows, pull.about)
    return [Noted(about=incident.about, note=_said(pull.form.note, "what you saw or did"))]


def _close(node: Node, pull: Pull) -> list[Fact]:
    incident = queries.one_or_not_found(node.rows, pull.about)
    if incident.closed_at is not None:
        raise Refused("This incident is closed already; a note can still be added.")
    note = _said(pull.form.note, "how it ended")
    if incident.down and not pull.form.although_down:
        down = ", ".join(node.title(each.cause) for each in incident.down)
        raise Refused(
            f"Still down: {down}. It closes by itself once that works again. To close it all the"
            " same, say “although down”; the next failure then opens a new incident."
        )
    facts = decisions.close_by_hand(incident, note, pull.at)
    return [*facts, *_worth_a_retrospective(node, incident, facts, pull.at)]


def _worth_a_retrospective(
    node: Node, incident: decisions.Incident, closing: Sequence[Fact], at: Instant
) -> list[Fact]:
    settings = node.settings(Incidents)
    lasted = max((each.lasted for each in closing if isinstance(each, Closed)), default=0.0)
    deserved = afterwards.deserves_one(lasted, settings.retrospective_after)
    if not deserved or retrospectives.of(node.rows, incident.about):
        return []
    return [afterwards.opened(incident, at, settings.answered_within)]


def _open_retrospective(node: Node, pull: Pull) -> list[Fact]:
    incident = queries.one_or_not_found(node.rows, pull.about)
    if incident.into:
        raise Refused(
            f"This went on as part of incident {plain(incident.into)}: open the retrospective there."
        )
    if retrospectives.of(node.rows, pull.about):
        raise Refused("Its retrospective is open already, at this incident's page.")
    return [afterwards.opened(incident, pull.at, node.settings(Incidents).answered_within)]


def _answer(node: Node, pull: Pull) -> list[Fact]:
    form: Give = pull.form
    _said(form.answer, "what the answer is")
    said = Said(section=form.section, answer=form.answer, unknown=form.nobody_knows)
    return _answers(node, pull.about, [said], form.seen)


def _answer_from(node: Node, pull: Pull) -> list[Fact]:
    try:
        sheet = read_markdown(pull.form.markdown)
    except BadMarkdown as wrong:
        raise BadForm(str(wrong)) from None
    if sheet.number != plain(pull.about):
        raise BadForm(
            f"The file is of incident {sheet.number}, and this is incident {plain(pull.about)}; hand"
            " it in there."
        )
    return _answers(node, pull.about, sheet.said, sheet.seen)


def _answers(node: Node, about: Subject, said: Sequence[Said], seen: int) -> list[Fact]:
    retrospective = _going_on(node, about)
    quicker = afterwards.quicker(retrospective, said, seen)
    if quicker is not None:
        raise Refused(_was_quicker(quicker))
    return afterwards.answers(retrospective, said)


def _was_quicker(answer: Answer) -> str:
    at = moment(answer.at)
    return (
        f"{answer.by} answered “{QUESTIONS[answer.section]}” on {at.day} {at:%b} at"
        f" {at:%H:%M} UTC, and you have not seen it. Look at the page or take the file anew, and put"
        f" yours into it (or say that you have seen it: {answer.position})."
    )


def _going_on(node: Node, about: Subject) -> Retrospective:
    incident = queries.one_or_not_found(node.rows, about)
    found = retrospectives.of(node.rows, incident.about)
    if found is None:
        raise Refused(
            "Its retrospective has not been opened: `detente incidents open-retrospective"
            f" {incident.number}`, or the button on its page."
        )
    if found.closed_at is not None:
        raise Refused("Its retrospective is closed; what was learnt since is a note.")
    return found


def _close_retrospective(node: Node, pull: Pull) -> list[Fact]:
    retrospective = _going_on(node, pull.about)
    if lacking := list(afterwards.lacking(retrospective.answers)):
        raise Refused(" ".join(lacking))
    return [RetrospectiveClosed(about=retrospective.about)]


def _take_on(node: Node, pull: Pull) -> list[Fact]:
    form: TakeOn = pull.form
    incident = queries.one_or_not_found(node.rows, pull.about)
    closes_on = form.closes_on.strip()
    if not afterwards.can_close(closes_on):
        kinds = ", ".join(f"{each}:NAME" for each in afterwards.CLOSES_ON)
        raise BadForm(
            f"closes_on: “{closes_on}” is nothing that an action can end with; write one of {kinds}."
        )
    return [
        ActionTakenOn(
            about=incident.about,
            action=afterwards.number_of(
                incident, retrospectives.actions(node.rows, incident.about)
            ),
            title=_said(form.title, "what is to be done"),
            owner=_said(form.owner, "who does it"),
            due=_end_of(form.due, pull.at),
            closes_on=closes_on,
        )
    ]


def _end_of(day: str, now: Instant) -> Instant:
    try:
        end = instant(datetime.combine(date.fromisoformat(day.strip()), time.max, UTC))
    except ValueError:
        raise BadForm(f"due: “{day}” is no day; write one such as 2026-12-24.") from None
    if end < now:
        raise BadForm(f"due: {day} is over already; write a day to come.")
    return within_ten_years(end, now, "due")


def _drop_action(node: Node, pull: Pull) -> list[Fact]:
    form: Drop = pull.form
    found = retrospectives.one_action(node.rows, form.action.strip())
    if found is None or found.about != pull.about:
        there = ", ".join(each.action for each in retrospectives.actions(node.rows, pull.about))
        raise BadForm(
            f"action: incident {plain(pull.about)} has none called “{form.action}”; there is"
            f" {there or 'none at all'}."
        )
    if found.ended_at is not None:
        raise Refused(f"{found.action} has ended already: {found.ended}.")
    why = _said(form.why, "why nobody will do it")
    return [ActionDropped(about=pull.about, action=found.action, title=found.title, why=why)]


def _said(text: str, what: str) -> str:
    if not text.strip():
        raise Refused(f"Please say {what}; the other side reads it too.")
    return text.strip()


def _there(node: Node, about: Subject) -> bool:
    return queries.one(node.rows, about) is not None


def _open(node: Node, about: Subject) -> bool:
    incident = queries.one(node.rows, about)
    return incident is not None and incident.closed_at is None


def _is_opened(node: Node, about: Subject) -> bool:
    return kind(about) == "incident" and retrospectives.of(node.rows, about) is not None


def _is_going_on(node: Node, about: Subject) -> bool:
    found = retrospectives.of(node.rows, about)
    return found is not None and found.closed_at is None


def _can_be_opened(node: Node, about: Subject) -> bool:
    return _there(node, about) and not _is_opened(node, about)


def _has_waiting(node: Node, about: Subject) -> bool:
    return any(each.ended_at is None for each in retrospectives.actions(node.rows, about))


_ANSWERING = (Answered.name, RetrospectiveClosed.name)
_ACTING = (ActionTakenOn.name, "incidents.action_done", ActionDropped.name)

LEVERS = (
    Lever(
        name="incidents.note",
        label="Add a note",
        explains="Writes down what you saw or did, for both sides and for afterwards.",
        kinds=("incident",),
        decide=_note,
        offered=_there,
        form=Note,
    ),
    Lever(
        name="incidents.close",
        label="Close it",
        explains="Says that it is over. Otherwise it closes by itself after some quiet.",
        kinds=("incident",),
        decide=_close,
        offered=_open,
        form=Close,
    ),
    Lever(
        name="incidents.open_retrospective",
        label="Open its retrospective",
        explains="Asks the four questions about it, with drafts of the answers from the facts.",
        kinds=("incident",),
        decide=_open_retrospective,
        offered=_can_be_opened,
        unless=(RetrospectiveOpened.name,),
    ),
    Lever(
        name="incidents.answer",
        label="Answer",
        explains="Answers one of the four questions of its retrospective.",
        kinds=("incident",),
        decide=_answer,
        offered=_is_going_on,
        form=Give,
        unless=_ANSWERING,
    ),
    Lever(
        name="incidents.answer_from",
        label="Hand in as Markdown",
        explains="Takes the answers from the edited file; sections still marked as drafts are left.",
        kinds=("incident",),
        decide=_answer_from,
        offered=_is_going_on,
        form=Markdown,
        unless=_ANSWERING,
    ),
    Lever(
        name="incidents.close_retrospective",
        label="Close the retrospective",
        explains="Says that the four questions are answered; says which one is not, if any.",
        kinds=("incident",),
        decide=_close_retrospective,
        offered=_is_going_on,
        tone="good",
        unless=_ANSWERING,
    ),
    Lever(
        name="incidents.take_on",
        label="Take on an action",
        explains="Writes down who does what until when; it ends when what it names has run.",
        kinds=("incident",),
        decide=_take_on,
        offered=_there,
        form=TakeOn,
        unless=_ACTING,
    ),
    Lever(
        name="incidents.drop_action",
        label="Drop an action",
        explains="Says that nobody will do it after all, and why.",
        kinds=("incident",),
        decide=_drop_action,
        offered=_has_waiting,
        form=Drop,
        unless=_ACTING,
    ),
)
