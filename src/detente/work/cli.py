"""How do the queue, a call, failures and books look in a terminal?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote, urlencode

import click
import msgspec
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from detente.kernel.clock import lasting
from detente.kernel.fact import Tone, plain
from detente.kernel.forms import BadForm
from detente.kernel.terminal.calling import NoNode
from detente.kernel.terminal.commands import Command, asked, caller, common, print_json
from detente.kernel.terminal.commands import Group as Commands
from detente.kernel.terminal.show import (
    amounts,
    heading,
    indented,
    labelled,
    show,
    shows,
    table,
    told,
)
from detente.kernel.terminal.signs import sign, status
from detente.kernel.terminal.words import Seeing, counted
from detente.work.decisions import Call, State
from detente.work.pages import Books, CallPage, Queue, RouteState
from detente.work.pages.failing import FailurePage, Failures
from detente.work.pages.statements import Reconciliation, Reconciliations
from detente.work.queries import Sum
from detente.work.queries.drills import Rehearsal
from detente.work.queries.failures import Failure

_TONES: dict[State, Tone] = {
    "taken": "plain",
    "parked": "warn",
    "held": "warn",
    "charged": "good",
    "refused": "plain",
    "settled": "good",
    "refunded": "plain",
    "handed back": "warn",
    "lost": "bad",
}


@shows(Queue)
def queue(answer: Queue, see: Seeing) -> Iterator[RenderableType]:
    """What waits and what it is worth; how the routes do; where the money stands."""
    for drill in (each for each in answer.drills if each.ended is None):
        yield Text.assemble(
            sign("warn"), " ", (f"DRILL on {plain(drill.about)}", "bold"),
            f" until {see.clock(drill.until)}, nothing is broken: {drill.reason}",
        )  # fmt: skip
    if answer.waiting:
        yield Text.assemble(
            sign("warn"), " ", (f"{counted(answer.waiting_calls, 'call')} waiting", "bold"),
            f": {_at_stake(answer)}" if answer.at_stake else "",
        )  # fmt: skip
        yield Text("")
        yield indented(_waiting(answer.waiting, see))
    else:
        yield Text.assemble(sign("good"), " ", ("Nothing waits.", "bold"))
    money = Books(books=answer.books, waiting=[], routes=answer.routes, recovered=answer.recovered)
    yield from books(money, see)
    if answer.done_lately:
        yield heading("Parked and done with lately")
        yield indented(_done(answer.done_lately, see))
    if any(each.ended is not None for each in answer.drills):
        yield heading("Drills")
        yield indented(_drills(answer.drills, see))


def _drills(drills: Sequence[Rehearsal], see: Seeing) -> Table:
    made = table("Route", "Played", "When", "Taken", "Parked", "Charged", "Lost", "", right=["Taken", "Parked", "Charged", "Lost"])  # fmt: skip
    for each in drills:
        if each.ended is None:
            continue
        caught = "" if each.caught_up is None else f"caught up in {lasting(each.caught_up)}"
        counts = each.counts
        made.add_row(
            plain(each.about), each.how, see.when(each.began), str(counts.taken),
            str(counts.parked), str(counts.charged), str(counts.lost),
            caught or f"{counts.waiting} still wait",
        )  # fmt: skip
    return made


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
        if answer.recovered.calls:
            calls = counted(answer.recovered.calls, "charged call")
            yield indented(
                Text(f"{calls} recovered, parked first: {amounts(answer.recovered.money)}")
            )


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
    yield "Key", f"{it.new_key} (edited; the caller's is {it.key})" if it.new_key else it.key
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


# -- what broke ----------------------------------------------------------------------------------

_TRENDS: dict[str, tuple[Tone, str]] = {
    "new": ("bad", "new today"),
    "rising": ("bad", "gets worse"),
    "steady": ("warn", "goes on"),
    "falling": ("warn", "gets less"),
    "quiet": ("plain", "quiet for a day"),
}


@shows(Failures)
def failures(answer: Failures, see: Seeing) -> Iterator[RenderableType]:
    """What broke, what broke last first."""
    if not answer.failures:
        yield Text.assemble(sign("good"), " ", ("Nothing broke.", "bold"))
        return
    made = table("Failure", "Vendor", "What", "Times", "Last", "Now", right=["Times"])
    for each in answer.failures:
        made.add_row(
            each.id, plain(each.vendor), _what(each), str(each.calls), see.when(each.last),
            status(*_TRENDS[each.trend]),
        )  # fmt: skip
    yield made


def _what(it: Failure) -> str:
    kind = "" if it.kind in it.reason else f"{it.kind}: "
    return f"{kind}{it.reason}" + (f"; answer: {it.shape}" if it.shape else "")


@shows(FailurePage)
def failure(answer: FailurePage, see: Seeing) -> Iterator[RenderableType]:
    """One way to break, with what was going on, and what was asked and answered."""
    it = answer.failure
    yield Text.assemble(
        (f"{it.kind} from {plain(it.vendor)}", "bold"), "  ", status(*_TRENDS[it.trend])
    )
    yield indented(labelled(_about_failure(it, see)))
    for each in answer.follows:
        yield Text(f"First seen {lasting(each.seconds)} after {each.kind} {plain(each.about)}.")
    if answer.during:
        yield heading("What was going on then")
        made = table("What", "Of", "Began", "Failures in it", right=["Failures in it"])
        for then in answer.during:
            made.add_row(then.kind, plain(then.about), see.when(then.start), str(then.calls))
        yield indented(made)
    for sample in answer.samples:
        yield heading(f"Call {plain(sample.call)}", f"{sample.asked}, secrets are masked")
        yield indented(Text(sample.request or "(no longer kept)"))
        yield indented(Text(sample.answer or "(nothing came back, or it is no longer kept)"))


def _about_failure(it: Failure, see: Seeing) -> Iterator[tuple[str, str]]:
    yield "What", _what(it)
    yield "Route", it.route
    yield "Times", str(it.calls)
    yield "First", see.when(it.first)
    yield "Last", see.when(it.last)


# -- books beside books --------------------------------------------------------------------------


@shows(Reconciliations)
def reconciliations(answer: Reconciliations, see: Seeing) -> Iterator[RenderableType]:
    """Every time our books were laid beside theirs."""
    if not answer.reconciliations:
        yield Text("Nothing was compared yet: detente work reconcile ROUTE FILE")
        return
    made = table("Number", "Route", "File", "Matched", "Differences", "When", right=["Matched", "Differences"])  # fmt: skip
    for each in answer.reconciliations:
        made.add_row(
            str(each.position), plain(each.about), each.file, str(each.matched), str(each.wrong),
            see.when(each.at),
        )  # fmt: skip
    yield made


@shows(Reconciliation)
def reconciliation(answer: Reconciliation, see: Seeing) -> Iterator[RenderableType]:
    """What matched, and every difference with its lines."""
    wrong = "no difference" if not answer.wrong else counted(answer.wrong, "difference")
    yield Text.assemble(
        sign("bad" if answer.wrong else "good"), " ", (f"{answer.file}: {wrong}", "bold"),
        f", {answer.matched} matched {amounts(answer.worth)}",
    )  # fmt: skip
    if answer.differences:
        made = table("What", "Reference", "Our call", "Ours", "Theirs", "Lines", right=["Ours", "Theirs"])  # fmt: skip
        for each in answer.differences:
            here = f"{plain(each.about)} {each.state}" if each.about else ""
            made.add_row(
                each.kind, each.reference, here, str(each.ours or ""), str(each.theirs or ""),
                ", ".join(map(str, each.lines)),
            )  # fmt: skip
        yield indented(made)


_LONGEST_READ = 120.0  # seconds for a long statement


def _reconcile(route: str, file: Path, since: str, until: str) -> None:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise BadForm(f"{file} cannot be read: {error.strerror}.") from None
    said = {"file": file.name, "since": since, "until": until}
    query = urlencode({name: value for name, value in said.items() if value})
    path = f"/work/reconciliations/{quote(route, safe='')}?{query}"
    try:
        body = caller().post(path, content, who=asked().who, patience=_LONGEST_READ)
    except NoNode as none:
        raise NoNode(f"{none} Comparing needs one: start it with `detente up`.") from None
    told = msgspec.json.decode(body, type=Reconciliation)
    if asked().json:
        print_json(body)
    else:
        show(told)
    click.get_current_context().exit(1 if told.wrong else 0)


work = Commands("work")
work.add_command(
    Command(
        "reconcile",
        params=[
            click.Argument(["route"], metavar="ROUTE"),
            click.Argument(["file"], metavar="FILE", type=click.Path(path_type=Path)),
            click.Option(
                ["--since"],
                default="",
                metavar="DAY",
                help="Our calls from this day, such as 2026-11-02.",
            ),
            click.Option(["--until"], default="", metavar="DAY", help="Our calls to this day."),
            *common(),
        ],
        help="Lay our books beside a CSV of the vendor's and list every difference. Ends with 1 if there is one.",
        example="detente work reconcile payments cardpay-november.csv",
        callback=_reconcile,
    )
)
