"""How do the queue and a call look in a terminal?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from detente.kernel.fact import Tone, plain
from detente.kernel.terminal.show import (
    amounts,
    heading,
    indented,
    labelled,
    shows,
    table,
    told,
)
from detente.kernel.terminal.signs import sign, status
from detente.kernel.terminal.words import Seeing, counted
from detente.work.decisions import Call, State
from detente.work.pages import Books, CallPage, Queue, RouteState
from detente.work.queries import Sum

_TONES: dict[State, Tone] = {
    "taken": "plain",
    "parked": "warn",
    "held": "warn",
    "charged": "good",
    "refused": "plain",
    "settled": "good",
    "refunded": "plain",
    "lost": "bad",
}


@shows(Queue)
def queue(answer: Queue, see: Seeing) -> Iterator[RenderableType]:
    """What waits and what it is worth; how the routes do; where the money stands."""
    if answer.waiting:
        yield Text.assemble(
            sign("warn"), " ", (f"{counted(answer.waiting_calls, 'call')} waiting", "bold"),
            f": {_at_stake(answer)}" if answer.at_stake else "",
        )  # fmt: skip
        yield Text("")
        yield indented(_waiting(answer.waiting, see))
    else:
        yield Text.assemble(sign("good"), " ", ("Nothing waits.", "bold"))
    yield from books(Books(books=answer.books, waiting=[], routes=answer.routes), see)
    if answer.done_lately:
        yield heading("Parked and done with lately")
        yield indented(_done(answer.done_lately, see))


def _at_stake(answer: Queue) -> str:
    sums = amounts(answer.at_stake)
    unpriced = f", and {counted(answer.unpriced, 'call')} of unknown worth"
    return sums + unpriced if answer.unpriced else sums


def _waiting(calls: Sequence[Call], see: Seeing) -> Table:
    """The oldest first, with whatever one must know to decide."""
    made = table("Call", "Worth", "Taken", "State", "Why", right=["Worth"])
    for each in calls:
        doubt = "; the vendor may have it" if each.unknown else ""
        tries = f"; tried {each.attempts + 1} times" if each.attempts else ""
        made.add_row(
            plain(each.about), str(each.money or ""), see.when(each.taken_at),
            status(_TONES[each.state], each.state), f"{each.note or each.reason}{doubt}{tries}",
        )  # fmt: skip
    return made


def _done(calls: Sequence[Call], see: Seeing) -> Table:
    made = table("Call", "Worth", "When", "State", "Note", right=["Worth"])
    for each in calls:
        made.add_row(
            plain(each.about), str(each.money or ""), see.when(each.changed_at),
            status(_TONES[each.state], each.state), each.note,
        )  # fmt: skip
    return made


@shows(Books)
def books(answer: Books, see: Seeing) -> Iterator[RenderableType]:
    """The routes, what waits there, and every call in exactly one state."""
    if answer.routes:
        yield heading("Routes")
        yield indented(_routes(answer.routes))
    if answer.waiting:
        yield heading("Waiting")
        yield indented(_waiting(answer.waiting, see))
    if answer.books:
        yield heading("Money", "each call in exactly one state")
        yield indented(_sums(answer.books))


def _routes(routes: Sequence[RouteState]) -> Table:
    made = table("Route", "Vendor", "State", "Waiting", "", right=["Waiting"])
    for each in routes:
        tone: Tone = "good" if each.tone == "good" else "bad" if each.tone == "bad" else "warn"
        made.add_row(
            plain(each.about), plain(each.vendor), status(tone, each.state), str(each.waiting),
            each.reason,
        )  # fmt: skip
    return made


def _sums(sums: Sequence[Sum]) -> Table:
    made = table("State", "Calls", "Worth", right=["Calls", "Worth"])
    for each in sums:
        made.add_row(status(_TONES[each.state], each.state), str(each.calls), amounts(each.money))
    return made


@shows(CallPage)
def call(answer: CallPage, see: Seeing) -> Iterator[RenderableType]:
    """One call: where it stands, what happened to it, what was asked and answered."""
    it = answer.call
    yield Text.assemble(
        (f"Call {plain(it.about)}", "bold"), "  ", status(_TONES[it.state], it.state),
        f"  {it.money}" if it.money else "",
    )  # fmt: skip
    yield indented(labelled(_about(it, see)))
    if answer.history:
        yield heading("What happened")
        yield from (told(each, see) for each in answer.history)
    for title, text in (("What was asked", answer.request), ("What came back", answer.answer)):
        if text:
            yield heading(title, "secrets are masked")
            yield indented(Text(text))


def _about(it: Call, see: Seeing) -> Iterator[tuple[str, str | Text]]:
    yield "For", f"{it.vendor} by route {it.route}: {it.method} {it.path}"
    yield "Key", it.key
    yield "Taken", see.when(it.taken_at)
    if it.reason:
        yield "Why", it.reason + (" (the vendor may have it already)" if it.unknown else "")
    if it.attempts:
        yield "Tried", f"{counted(it.attempts + 1, 'time')}"
    if it.next_at and it.state in ("parked", "held"):
        due = it.next_at <= see.now
        yield "Next", "as soon as calls go through again" if due else see.when(it.next_at)
    if it.note:
        yield "Note", it.note
