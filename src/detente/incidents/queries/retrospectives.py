"""What was answered about an incident, and who took on what?"""

from __future__ import annotations

from collections.abc import Iterable

from detente.facts.incidents import Section
from detente.incidents.decisions.afterwards import Action, Answer, Retrospective
from detente.kernel.clock import Instant
from detente.kernel.fact import Subject
from detente.kernel.views import Rows

_RETROSPECTIVE = """
select about, opened_at, opened_by, due, closed_at, closed_by from incidents_retrospective
"""
_ACTION = """
select action, about, position, title, owner, due, closes_on, done_at, done_by, ended
from incidents_action
"""


def of(rows: Rows, about: Subject) -> Retrospective | None:
    """The retrospective of that incident, if one was opened."""
    return next(iter(_read(rows, f"{_RETROSPECTIVE} where about = ?", (about,))), None)


def overdue(rows: Rows, now: Instant) -> list[Retrospective]:
    """Those that should have been closed by now, longest overdue first."""
    return _read(rows, f"{_RETROSPECTIVE} where closed_at is null and due < ? order by due", (now,))


def _read(rows: Rows, asked: str, given: tuple[object, ...]) -> list[Retrospective]:
    return [
        Retrospective(
            about=about, opened_at=opened_at, opened_by=opened_by, due=due, closed_at=closed_at,
            closed_by=closed_by, answers=_answers(rows, about),
        )
        for about, opened_at, opened_by, due, closed_at, closed_by in list(
            rows.execute(asked, given)
        )
    ]  # fmt: skip


def _answers(rows: Rows, about: Subject) -> dict[Section, Answer]:
    asked = """select section, answer, unknown, position, at, by from incidents_answer
      where about = ?"""
    return {
        section: Answer(
            section=section, answer=answer, unknown=bool(unknown), position=position, at=at, by=by
        )
        for section, answer, unknown, position, at, by in rows.execute(asked, (about,))
    }


def actions(rows: Rows, about: Subject) -> list[Action]:
    """What was taken on because of that incident, in the order in which it was."""
    return _actions(rows.execute(f"{_ACTION} where about = ? order by position", (about,)))


def waiting(rows: Rows) -> list[Action]:
    """The actions that have not ended."""
    return _actions(rows.execute(f"{_ACTION} where done_at is null order by due"))


def one_action(rows: Rows, action: str) -> Action | None:
    """That action, if there is one."""
    return next(iter(_actions(rows.execute(f"{_ACTION} where action = ?", (action,)))), None)


def _actions(found: Iterable[tuple[object, ...]]) -> list[Action]:
    names = (
        "action", "about", "position", "title", "owner", "due", "closes_on", "ended_at", "done_by",
        "ended",
    )  # fmt: skip
    return [Action(**dict(zip(names, row, strict=True))) for row in found]  # type: ignore[arg-type]
