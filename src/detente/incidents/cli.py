"""How do the incidents, and the room of one, look in a terminal?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from detente.incidents.pages import Brief, Entry, Last, List, Room, Strand
from detente.incidents.queries import Sum
from detente.kernel.clock import Instant, lasting
from detente.kernel.terminal.faces import levers, shown
from detente.kernel.terminal.show import amounts, heading, indented, shows, table, told
from detente.kernel.terminal.signs import bar, sign, status
from detente.kernel.terminal.words import Seeing, counted


@shows(List)
def incidents(answer: List, see: Seeing) -> Iterator[RenderableType]:
    """What is going on, and what there was."""
    if answer.open:
        says = f"{counted(len(answer.open), 'incident')} going on."
        yield Text.assemble(sign("bad"), " ", (says, "bold"))
        yield Text("")
        yield indented(_briefs(answer.open, see))
    else:
        yield Text.assemble(sign("good"), " ", ("No incident is going on.", "bold"))
    if answer.over:
        yield heading("Over")
        yield indented(_briefs(answer.over, see))


@shows(Last)
def last(answer: Last, see: Seeing) -> Iterator[RenderableType]:
    """The one that is going on and the last ones, in one table."""
    yield _briefs([*([answer.open] if answer.open else []), *answer.over], see)


@shows(Brief)
def brief(answer: Brief, see: Seeing) -> Iterator[RenderableType]:
    yield _briefs([answer], see)


def _briefs(briefs: Sequence[Brief], see: Seeing) -> Table:
    made = table("#", "Of", "Since", "Lasted", "Parked", "Why", right=["#", "Parked"])
    for each in briefs:
        it = each.incident
        holder = f"  — {it.held_by} has it" if it.held_by and it.closed_at is None else ""
        worth = f": {amounts(each.worth)}" if each.worth else ""
        made.add_row(
            it.number, Text.assemble(sign(each.tone), f" {each.title}"), see.when(it.since),
            lasting(each.lasted), f"{each.parked}{worth}", Text.assemble(it.reason, (holder, "dim")),
        )  # fmt: skip
    return made


@shows(Room)
def room(answer: Room, see: Seeing) -> Iterator[RenderableType]:
    """One incident: what, since when, who has it, what it cost; then everything that happened."""
    it = answer.incident
    yield Text.assemble(
        status(answer.tone, answer.state), "  ", (f"Incident {it.number}: ", "dim"),
        (answer.headline, "bold"),
    )  # fmt: skip
    yield Text(f"  {' · '.join(_facts(answer, see))}", style="dim")
    yield heading("What was down", f"{see.clock(answer.start)} – {see.clock(answer.end)}")
    yield indented(_strands(answer.strands, answer.start, answer.end))
    if answer.cost:
        yield heading("What it came to")
        yield indented(_cost(answer.cost))
    for panel in answer.panels:
        yield from shown(panel, see)
    if answer.levers:
        yield heading("What you can do")
        yield from levers(answer.levers, it.about)
    yield heading("What happened", f"newest first; {answer.title} itself: detente about {it.of}")
    for line in answer.latest:
        yield _meanwhile(line)
    for entry in answer.entries:
        yield from _entry(entry, see)


def _facts(answer: Room, see: Seeing) -> Iterator[str]:
    it = answer.incident
    yield f"since {see.clock(it.since)}"
    yield f"{'lasted' if it.closed_at else 'for'} {lasting(answer.lasted)}"
    yield f"{it.held_by} has it" if it.held_by else "nobody has it yet"
    if answer.at_stake:
        yield f"{amounts(answer.at_stake)} at stake"
    if answer.closes_at:
        yield f"closes {see.when(answer.closes_at)} if it stays well"


def _strands(strands: Sequence[Strand], start: Instant, end: Instant) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(3):
        grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for each in strands:
        tone = "plain" if each.remark else "bad" if each.down else "good"
        line = bar([(part.start, part.end, part.tone) for part in each.parts], start, end)
        remark = " (does not keep it open)" if each.remark else ""
        grid.add_row(sign(tone), each.cause.replace(":", " ", 1), line, f"{each.reason}{remark}")
    return grid


def _cost(sums: Sequence[Sum]) -> Table:
    made = table("Calls that were parked", "Calls", "Worth", right=["Calls", "Worth"])
    for each in sums:
        made.add_row(each.became, str(each.calls), amounts(each.money))
    return made


def _entry(entry: Entry, see: Seeing) -> Iterator[RenderableType]:
    yield told(entry.told, see)
    for line in entry.meanwhile:
        yield _meanwhile(line)


def _meanwhile(line: str) -> Text:
    """What happened routinely in between."""
    return Text(f"{'⋮':>8}     {line}", style="dim")
