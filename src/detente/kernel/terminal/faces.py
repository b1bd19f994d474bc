"""How do *Now*, the timeline and a subject look in a terminal?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from detente.kernel.clock import Instant, lasting, seconds_between
from detente.kernel.faces import (
    Handle,
    Now,
    Part,
    Shown,
    SubjectPage,
    Timeline,
    Told,
    Trouble,
    Watched,
)
from detente.kernel.fact import Subject, Tone
from detente.kernel.slice import Sign
from detente.kernel.terminal.show import (
    amounts,
    closed_up,
    drawn,
    heading,
    indented,
    panel,
    shows,
    titled,
    told,
)
from detente.kernel.terminal.signs import bar, sign, status
from detente.kernel.terminal.words import WORDS, Seeing, called, counted

_LATELY = 6


@shows(Now)
def now(answer: Now, see: Seeing) -> Iterator[RenderableType]:
    """Is everything all right; what is not, who has it, what it costs; then what is watched."""
    yield Text.assemble(sign(answer.tone), " ", (answer.sentence, "bold"))
    yield Text(f"  {answer.note}")
    if answer.troubles:
        yield Text("")
        titles = {each.about: each.title for each in answer.told}
        titles |= {each.about: each.title for each in answer.watched}
        yield _troubles(answer.troubles, titles, see)
    if len(answer.troubles) > 1 and answer.costs:
        yield Text(f"  At stake altogether: {amounts(answer.costs)}")
    if answer.watched:
        yield heading("Watched", "the last 24 hours")
        yield _watched(answer, see)
    for each in answer.panels:
        yield from shown(each, see)
    if answer.told:
        yield heading("Lately", "more with: detente timeline")
        yield from (told(each, see) for each in answer.told[:_LATELY])


def _troubles(troubles: Sequence[Trouble], titles: dict[Subject, str], see: Seeing) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for each in troubles:
        says = Text.assemble((titled(titles.get(each.about, ""), each.about), "bold"))
        for said in each.signs:
            who = "" if said.about == each.about else f"{called(said.about)} "
            says.append(f"\n{who}{said.sentence}")
        says.append(f"\n{_more(each.signs, see)}", style="dim")
        grid.add_row(sign(each.tone), says)
    return grid


def _more(signs: Sequence[Sign], see: Seeing) -> str:
    """Since when, who has it, what it costs."""
    parts = []
    if since := min((each.since for each in signs if each.since is not None), default=None):
        length = lasting(seconds_between(since, see.now))
        parts.append(f"since {see.clock(since)}" + ("" if see.piped else f" ({length})"))
    holder = next((each.held_by for each in signs if each.held_by), None)
    parts.append(f"{holder} has it" if holder else "nobody has it yet")
    costs = [each.costs for each in signs if each.costs]
    if costs:
        parts.append(f"{amounts(max(costs))} at stake")
    return " · ".join(parts)


def _watched(answer: Now, see: Seeing) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(3):
        grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for each in answer.watched:
        grid.add_row(
            sign(each.tone), each.title, bar(_told(each.parts), answer.day_starts, answer.at),
            _says(each, see),
        )  # fmt: skip
    return grid


def _told(parts: tuple[Part, ...]) -> list[tuple[Instant, Instant | None, Tone]]:
    return [(part.start, part.end, part.tone) for part in parts]


def _says(watched: Watched, see: Seeing) -> Text:
    """What is wrong stands above already; here it only says how long."""
    if watched.tone == "good":
        return Text(watched.says, style="dim")
    since = f" {see.lasting(watched.since)}" if watched.since else ""
    return Text(f"{WORDS[watched.tone]}{since}")


@shows(Timeline)
def timeline(answer: Timeline, see: Seeing) -> Iterator[RenderableType]:
    """What happened, the newest first, day by day."""
    if not answer.told:
        yield Text("Nothing has happened yet.")
    for day, facts in groupby(answer.told, key=lambda each: see.day(each.at)):
        if not see.piped:
            yield heading(day)
        for each in facts:
            yield told(each, see, clock=False)
            if each.quiet and not see.piped:
                yield Text(f"{'⋮':>8}     {counted(each.quiet, 'routine fact')}", style="dim")
    if answer.older and not see.piped:
        yield Text(f"\nOlder: detente timeline --before {answer.older}", style="dim")


@shows(SubjectPage)
def subject(answer: SubjectPage, see: Seeing) -> Iterator[RenderableType]:
    """What about this one?"""
    yield Text.assemble((answer.title, "bold"), (f"  {answer.about}", "dim"))
    if answer.says:
        yield Text.assemble(status(answer.tone, WORDS[answer.tone]), f": {answer.says}")
    holder = next((each.held_by for each in answer.signs if each.held_by), None)
    if holder:
        yield Text(f"  {holder} has it", style="dim")
    if answer.parts or answer.kind in ("vendor", "service", "infrastructure"):
        yield Text.assemble(
            bar(_told(answer.parts), answer.day_starts, answer.at, cells=48), ("  24 hours", "dim")
        )
    for each in answer.panels:
        yield from shown(each, see)
    if answer.levers:
        yield heading("What you can do")
        yield from levers(answer.levers, answer.about)
    if answer.told:
        yield heading("What happened")
        yield from (told(each, see) for each in answer.told)


def levers(offered: Sequence[Handle], about: Subject) -> Iterator[RenderableType]:
    """The command that pulls each lever, and what it does."""
    for each in offered:
        group, _, verb = each.name.partition(".")
        command = f"detente {group} {verb.replace('_', '-')} {about}"
        yield indented(Text(command), indented(Text(each.explains, style="dim")))


@shows(Told)
def one(answer: Told, see: Seeing) -> Iterator[RenderableType]:
    yield told(answer, see)


@shows(Shown)
def shown(answer: Shown, see: Seeing) -> Iterator[RenderableType]:
    """One slice's panel, below its title."""
    yield heading(answer.title)
    yield indented(*closed_up(drawn(panel(answer.noun, answer.title, answer.answer), see)))
