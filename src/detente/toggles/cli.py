"""How do toggles look in a terminal?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.console import RenderableType
from rich.text import Text

from detente.kernel.fact import plain
from detente.kernel.terminal.show import (
    heading,
    indented,
    labelled,
    named,
    shows,
    table,
    told,
)
from detente.kernel.terminal.signs import bar, sign, status
from detente.kernel.terminal.words import Seeing
from detente.toggles.pages import Dead, Eye, Line, Mine, Overview, TogglePage, Watch

_CELLS = 48


@shows(Overview)
def overview(answer: Overview, see: Seeing) -> Iterator[RenderableType]:
    """Every switch and knob: how it stands, whose it is, what comes next, who asks."""
    if not answer.toggles:
        yield Text("Nothing can be switched yet: declare toggles under `toggles:` in detente.yaml.")
        return
    yield _table(answer.toggles, see)
    yield from _advice(answer.toggles)
    if not answer.told:
        yield Text("\nNo program has told yet what it asks for.", style="dim")


@shows(Mine)
def mine(answer: Mine, see: Seeing) -> Iterator[RenderableType]:
    """Those of one service, vendor, journey or release."""
    yield _table(answer.toggles, see)
    yield from _advice(answer.toggles)


@shows(Dead)
def dead(answer: Dead, _see: Seeing) -> Iterator[RenderableType]:
    """Those that could go, and why."""
    yield from _advice(answer.toggles)


def _table(lines: Iterable[Line], see: Seeing) -> RenderableType:
    made = table("Toggle", "State", "Since", "By", "Owner", "Belongs to", "Next", "Last asked")
    for each in lines:
        step = f"{each.step.to} {see.when(each.step.at)}" if each.step else ""
        if each.guarded_until:
            step = f"guarded until {see.clock(each.guarded_until)}"
        made.add_row(
            each.name, status(each.tone, each.state), see.when(each.since) if each.since else "",
            named(each.by), each.owner or "nobody", plain(each.of), step,
            see.when(each.asked_at) if each.asked_at else "never",
        )  # fmt: skip
    return made


def _advice(lines: Iterable[Line]) -> Iterator[RenderableType]:
    for each in lines:
        if each.advice:
            yield Text.assemble(sign("plain"), " ", (each.name, "bold"), f" {each.advice}")


@shows(TogglePage)
def toggle(answer: TogglePage, see: Seeing) -> Iterator[RenderableType]:
    """One toggle: how it stands, its guard, who would get what, what happened."""
    line = answer.line
    yield Text.assemble((line.title, "bold"), "  ", status(line.tone, line.state), f"  {line.why}")
    yield indented(labelled(_about(answer, see)))
    if answer.steps:
        yield heading("Scheduled")
        steps = table("When", "To", "Why")
        for step in answer.steps:
            steps.add_row(see.clock(step.at), step.to, step.why)
        yield indented(steps)
    if answer.guard:
        yield heading("Guard", answer.guard.flip.says)
        yield from (indented(each) for each in _guard(answer.guard, see))
    if answer.tried:
        yield heading("Who would get what")
        tried = answer.tried
        yield indented(Text(f"{tried.variant} ({tried.value}): {tried.because}"))
    yield heading("Definition", f"shares in buckets of generation {answer.generation}")
    yield indented(Text(answer.definition))
    if answer.told:
        yield heading("What happened")
        yield from (told(each, see) for each in answer.told)


def _about(answer: TogglePage, see: Seeing) -> Iterator[tuple[str, str | Text]]:
    line, asked = answer.line, answer.asked
    yield "Belongs to", line.of.replace(":", " ", 1) or "nothing"
    yield "Owner", line.owner or "nobody"
    if line.since:
        by = f" by {named(line.by)}" if named(line.by) else ""
        yield "Switched", f"{see.when(line.since)}{by}"
    if answer.parts and not see.piped:
        parts = [(each.start, each.end, each.tone) for each in answer.parts]
        yield "Was on", bar(parts, answer.start, answer.at, cells=_CELLS)
    if answer.remove_by:
        yield "Remove by", answer.remove_by
    if line.advice:
        yield "It could go", line.advice
    yield "Last asked", see.when(asked.last_at) if asked.last_at else "never"
    if asked.variants:
        yield (
            "In 7 days",
            ", ".join(f"{name or 'the default'} {count} times" for name, count in asked.variants),
        )


def _guard(guard: Watch, see: Seeing) -> Iterator[RenderableType]:
    yield status(guard.tone, guard.state)
    if not guard.flip.outcome and not guard.flip.ended_at:
        yield Text(f"It looks until {see.clock(guard.ends)}.")
    eyes = table("What", "Failed", "Before", "Evidence", "Needed", "Says", right=["Evidence"])
    for each in guard.eyes:
        eyes.add_row(*_eye(each, guard.needed))
    yield eyes


def _eye(eye: Eye, needed: float) -> Iterator[str | Text]:
    seen = eye.watched
    yield eye.title
    yield f"{seen.failed} of {seen.of}"
    without = " without it" if seen.how == "sides" else ""
    yield f"{seen.before_failed} of {seen.before_of}{without}"
    yield f"{seen.e_value:,.1f}" if seen.e_value < 1e6 else "over a million"
    yield f"{needed:g}"
    yield status(eye.tone, eye.state)
