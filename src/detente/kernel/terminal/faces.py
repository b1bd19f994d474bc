"""How do *Now*, the timeline and a subject look in a terminal?"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from detente.kernel.clock import lasting, seconds_between
from detente.kernel.fact import Subject
from detente.kernel.slice import Sign
from detente.kernel.terminal.show import amounts, drawn, heading, indented, shows, told
from detente.kernel.terminal.words import STYLES, WORDS, Seeing, bar, called, counted, sign, status
from detente.kernel.web.faces import Now, Part, Shown, SubjectPage, Timeline, Told, Watched

_LATELY = 6


@shows(Now)
def now(answer: Now, see: Seeing) -> Iterator[RenderableType]:
    """Is everything all right; what is not, who has it, what it costs; then what is watched."""
    yield Text.assemble(sign(answer.tone), " ", (answer.sentence, "bold"))
    yield Text(f"  {answer.note}")
    if answer.signs:
        yield Text("")
        titles = {each.about: each.title for each in (*answer.told, *answer.watched)}
        yield _signs(answer.signs, titles, see)
    if len(answer.signs) > 1 and answer.costs:
        yield Text(f"  At stake altogether: {amounts(answer.costs)}")
    if answer.watched:
        yield heading("Watched", "the last 24 hours")
        yield _watched(answer, see)
    for panel in answer.panels:
        yield from shown(panel, see)
    if answer.told:
        yield heading("Lately", "more with: detente timeline")
        yield from (told(each, see) for each in answer.told[:_LATELY])


def _signs(signs: tuple[Sign, ...], titles: dict[Subject, str], see: Seeing) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for each in signs:
        who = titles.get(each.about) or called(each.about)
        says = Text.assemble((who, "bold"), f"  {each.sentence}\n", (_more(each, see), "dim"))
        grid.add_row(sign(each.tone), says)
    return grid


def _more(said: Sign, see: Seeing) -> str:
    """Since when, who has it, what it costs."""
    parts = []
    if said.since is not None:
        length = lasting(seconds_between(said.since, see.now))
        parts.append(f"since {see.clock(said.since)}" + ("" if see.piped else f" ({length})"))
    parts.append(f"{said.held_by} has it" if said.held_by else "nobody has it yet")
    if said.costs:
        parts.append(f"{amounts(said.costs)} at stake")
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


def _told(parts: tuple[Part, ...]) -> Iterator[tuple[int, int | None, str]]:  # type: ignore[misc]
    return ((part.start, part.end, part.tone) for part in parts)  # type: ignore[return-value]


def _says(watched: Watched, see: Seeing) -> Text:
    since = f", {see.when(watched.since)}" if watched.since else ""
    return Text(f"{watched.says}{since}", style="dim" if watched.tone == "good" else "")


@shows(Timeline)
def timeline(answer: Timeline, see: Seeing) -> Iterator[RenderableType]:
    """What happened, the newest first, day by day."""
    if not answer.told:
        yield Text("Nothing has happened that this would tell.")
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
    first = answer.signs[0].sentence if answer.signs else "nothing amiss"
    yield Text.assemble((answer.title, "bold"), (f"  {answer.about}", "dim"))
    yield Text.assemble(status(answer.tone, WORDS[answer.tone]), f": {first}")
    yield Text.assemble(
        bar(_told(answer.parts), answer.day_starts, answer.at, cells=48), ("  24 hours", "dim")
    )
    for panel in answer.panels:
        yield from shown(panel, see)
    if answer.levers:
        yield heading("What you can do")
        for lever in answer.levers:
            group, _, verb = lever.name.partition(".")
            command = f"detente {group} {verb.replace('_', '-')} {answer.about}"
            yield indented(Text(command), indented(Text(lever.explains, style="dim")))
    if answer.told:
        yield heading("What happened")
        yield from (told(each, see) for each in answer.told)


@shows(Told)
def one(answer: Told, see: Seeing) -> Iterator[RenderableType]:
    yield told(answer, see)


@shows(Shown)
def shown(answer: Shown, see: Seeing) -> Iterator[RenderableType]:
    """One slice's panel, below its title."""
    yield heading(answer.title)
    yield indented(*drawn(answer.answer, see))


__all__ = ["STYLES"]
