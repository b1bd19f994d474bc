"""How do the map, what falls and the changes look in a terminal?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.console import RenderableType
from rich.text import Text

from detente.dependencies.pages import (
    Beside,
    ChangesPage,
    Falls,
    MapPage,
    Noted,
    Point,
    WhatIf,
)
from detente.kernel.fact import Subject, plain
from detente.kernel.terminal.show import amounts, heading, indented, shows, table
from detente.kernel.terminal.signs import sign, status
from detente.kernel.terminal.words import Seeing, called, counted

_SORTS = {"needs": "needs", "spare": "needs some of", "without": "can live without"}


@shows(MapPage)
def the_map(answer: MapPage, see: Seeing) -> Iterator[RenderableType]:
    """How everything stands, or would stand; what falls with each thing; what is suspected."""
    if not answer.points and not answer.journeys:
        yield Text(
            "Nothing is on the map yet: declare services and what they need in detente.yaml."
        )
        return
    if answer.what_if:
        yield from what_if(answer.what_if, see)
    else:
        yield Text.assemble(sign(answer.tone), " ", (answer.sentence, "bold"))
        central = counted(answer.central, "central point")
        earned = f", {amounts(answer.an_hour)} an hour altogether" if answer.an_hour else ""
        yield Text(f"  {counted(answer.journeys, 'journey')}{earned}; {central}", style="dim")
        yield heading("If this falls", "what if? detente dependencies without NAME")
        yield indented(_ranking(answer.points, answer.journeys))
        if answer.more_points:
            yield indented(Text(f"… and {answer.more_points} more", style="dim"))
    yield from _together(answer)
    if answer.planned:
        yield heading("About to be changed")
        for each in answer.planned:
            yield from noted(each, see)


def _ranking(points: Sequence[Point], journeys: int) -> RenderableType:
    made = table(
        "Point", "Journeys", "An hour", "Falls too", "Now",
        right=["Journeys", "An hour", "Falls too"], whole=["Now"],
    )  # fmt: skip
    for each in points:
        some = f"{len(each.journeys)} of {journeys}" if each.journeys else "none"
        note = "\ncentral" if each.central else f"\n{each.note}" if each.note else ""
        made.add_row(
            Text.assemble(called(each.about), (note, "bold" if each.central else "dim")),
            some, amounts(each.an_hour), str(each.falls or ""), status(each.tone, each.word),
        )  # fmt: skip
    return made


@shows(WhatIf)
def what_if(answer: WhatIf, _see: Seeing) -> Iterator[RenderableType]:
    yield Text.assemble(sign(answer.tone), " ", (answer.sentence, "bold"))
    if answer.falls:
        yield heading("Would fall")
        rows = table("What", "Over")
        for each in answer.falls:
            rows.add_row(called(each.about), _names(each.over))
        yield indented(rows)
    if answer.weakened:
        yield heading("Would go on, with less behind it")
        yield indented(Text(_names(answer.weakened)))
    if answer.tell:
        yield heading("Should know")
        yield indented(Text(_names(answer.tell)))


def _together(answer: MapPage) -> Iterator[RenderableType]:
    if answer.pairs and not answer.what_if:
        yield heading("Only together", "neither fells a journey alone, both do")
        rows = table("Both", "Journeys", "An hour", right=["Journeys", "An hour"])
        for each in answer.pairs:
            rows.add_row(_names(each.both, " and "), str(len(each.journeys)), amounts(each.an_hour))
        yield indented(rows)
        left = answer.more_pairs
        if left or answer.pairs_untried:
            untried = (
                f"; up to {answer.pairs_untried} were not tried" if answer.pairs_untried else ""
            )
            yield indented(Text(f"{left} more are not listed{untried}", style="dim"))
    if answer.suspicions:
        yield heading("Fell together, and nobody declared why")
        for one in answer.suspicions:
            yield indented(Text.assemble(sign("warn"), " ", _names(one.together)))


@shows(ChangesPage)
def changes(answer: ChangesPage, see: Seeing) -> Iterator[RenderableType]:
    """What is planned, the next one first; then what was made."""
    if not answer.planned and not answer.past:
        yield Text("No change was recorded yet: detente changes record --help")
    if answer.planned:
        yield heading("Planned")
    for each in answer.planned:
        yield from noted(each, see)
    if answer.past:
        yield heading("Made, or dropped")
    for each in answer.past:
        yield from noted(each, see)


@shows(Noted)
def noted(answer: Noted, see: Seeing) -> Iterator[RenderableType]:
    """One change in two or three lines."""
    change = answer.change
    state = f"{answer.state}, {see.clock(change.at)}"
    yield Text.assemble(
        sign(answer.tone), " ", (f"{change.id}  {change.title}", "bold"), f"  {state}"
    )
    if answer.warning and change.state == "planned":
        yield indented(Text(f"{answer.warning}."))
        if change.tell:
            yield indented(Text(f"Must know: {_names(change.tell)}"))
    touches = (
        f"touches {_names(change.touches)}" if change.touches else "touches nothing on the map"
    )
    more = [touches, change.link, change.why, f"by {change.by}" if ":" not in change.by else ""]
    yield indented(Text(" · ".join(each for each in more if each), style="dim"))


@shows(Falls)
def falls(answer: Falls, see: Seeing) -> Iterator[RenderableType]:
    """What falls with it, and what it needs."""
    if answer.sentence:
        yield Text.assemble(
            sign("warn" if answer.central else "plain"), f" {answer.sentence}",
            ("  central point" if answer.central else "", "bold"),
        )  # fmt: skip
    if answer.falls:
        yield Text(f"Falls with it: {_names(each.about for each in answer.falls)}")
    for sort, says in _SORTS.items():
        some = [each for each in answer.needs if each.sort == sort]
        if some:
            yield _needs(says, some)
    if answer.over:
        yield Text(f"Falls if one of these falls: {_names(answer.over)}")
    for each in answer.changes:
        yield from noted(each, see)


def _needs(says: str, some: Sequence[Beside]) -> Text:
    line = Text(f"{says.capitalize()}: ")
    for index, each in enumerate(some):
        line.append(", " if index else "").append(f"{plain(each.about)} ")
        line.append_text(status(each.tone, each.word))
    return line


def _names(subjects: Iterable[Subject], between: str = ", ") -> str:
    return between.join(plain(each) for each in subjects)
