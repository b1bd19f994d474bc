"""How do the incidents, and the room of one, look in a terminal?"""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.text import Text

from detente.incidents.pages.rooms import Brief, Entry, Last, List, Room, Strand
from detente.incidents.queries import Sum
from detente.kernel.clock import lasting
from detente.kernel.terminal.show import (
    amounts,
    drawn,
    heading,
    indented,
    labelled,
    shows,
    table,
)
from detente.kernel.terminal.signs import bar, sign, status
from detente.kernel.terminal.words import Seeing, called, counted


@shows(List)
def incidents(answer: List, see: Seeing) -> Iterator[RenderableType]:
    """What goes on first, then what there was."""
    if not answer.open:
        yield status("good", "No incident is open.")
    for each in answer.open:
        yield from brief(each, see)
    if answer.over:
        yield heading("What there was")
        yield indented(_over(answer.over, see))


@shows(Last)
def last(answer: Last, see: Seeing) -> Iterator[RenderableType]:
    """The same for one vendor or service."""
    if answer.open is not None:
        yield from brief(answer.open, see)
    if answer.over:
        yield _over(answer.over, see)


@shows(Brief)
def brief(answer: Brief, see: Seeing) -> Iterator[RenderableType]:
    """One incident in two lines."""
    incident = answer.incident
    first = Text.assemble(
        sign(answer.tone),
        " ",
        (f"{incident.number}  {answer.title}", "bold"),
        f": {answer.reason}",
    )
    going = incident.closed_at is None
    parts = [
        see.lasting(incident.since) if going else f"lasted {lasting(answer.lasted)}",
        f"{incident.held_by} {'has' if going else 'had'} it"
        if incident.held_by
        else "nobody has it",
        f"{counted(answer.parked, 'call')} parked" if answer.parked else "",
        amounts(answer.worth),
    ]
    yield first
    yield indented(Text(" · ".join(part for part in parts if part), style="dim"))


def _over(briefs: list[Brief], see: Seeing) -> RenderableType:
    made = table(
        "No.", "What", "Began", "Lasted", "Parked", "Worth", "Reason", right=["Parked", "Worth"]
    )
    for each in briefs:
        incident = each.incident
        reason = f"{incident.reason} — {incident.note}" if incident.note else incident.reason
        made.add_row(
            incident.number, each.title, see.clock(incident.since), lasting(each.lasted),
            str(each.parked or ""), amounts(each.worth), reason,
        )  # fmt: skip
    return made


@shows(Room)
def room(answer: Room, see: Seeing) -> Iterator[RenderableType]:
    """Everything about one incident."""
    incident = answer.incident
    yield Text.assemble(sign(answer.tone), " ", (answer.headline, "bold"))
    yield Text(f"  {answer.reason}")
    yield labelled(
        [
            ("Incident", incident.number),
            ("Of", called(incident.of)),
            ("State", answer.state),
            ("Since", see.clock(incident.since)),
            ("Lasts" if incident.closed_at is None else "Lasted", lasting(answer.lasted)),
            ("Who has it", incident.held_by or "nobody"),
            *([("Closes", see.when(answer.closes_at))] if answer.closes_at else []),
            *([("Note", incident.note)] if incident.note else []),
        ]
    )
    going = incident.closed_at is None and incident.down
    yield heading("What is down" if going else "What was down")
    yield from (indented(*_strand(each, answer, see)) for each in answer.strands)
    if answer.cost:
        yield heading("What it came to", "calls parked while it lasted")
        yield indented(_cost(answer.cost))
    for panel in (*answer.panels, *answer.of_panels):
        yield from drawn(panel, see)
    yield heading("What happened", "newest first")
    yield from (_quiet(answer.latest) for _ in answer.latest[:1])
    for entry in answer.entries:
        yield from _entry(entry, see)
    if answer.levers:
        yield heading("What you can do")
        for lever in answer.levers:
            group, _, verb = lever.name.partition(".")
            yield indented(Text(f"detente {group} {verb.replace('_', '-')} {incident.number}"))


def _strand(strand: Strand, answer: Room, see: Seeing) -> Iterator[RenderableType]:
    state = status(strand.tone, strand.state)
    remark = "  not in production: not waited for" if strand.remark else ""
    yield Text.assemble(called(strand.cause), "  ", state, f"  {strand.reason}", (remark, "dim"))
    if not see.piped:
        parts = [(each.start, each.end, each.tone) for each in strand.parts]
        yield bar(parts, answer.start, answer.end, cells=48)


def _cost(sums: list[Sum]) -> RenderableType:
    made = table("Now", "Calls", "Worth", right=["Calls", "Worth"])
    for each in sums:
        made.add_row(each.became, str(each.calls), amounts(each.money))
    return made


def _entry(entry: Entry, see: Seeing) -> Iterator[RenderableType]:
    yield from drawn(entry.told, see)
    if entry.meanwhile:
        yield _quiet(entry.meanwhile)


def _quiet(counts: tuple[str, ...]) -> RenderableType:
    return Text(f"          {'; '.join(counts)}", style="dim")
