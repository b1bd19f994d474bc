"""How do the score, the five metrics and advice look in a terminal?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.text import Text

from detente.kernel.clock import Instant, lasting
from detente.kernel.terminal.show import amounts, heading, indented, labelled, shows, table
from detente.kernel.terminal.signs import status
from detente.kernel.terminal.words import Seeing
from detente.scoreboard.decisions.fairness import Side
from detente.scoreboard.pages import AdvicePage, Board, Delivering, Metric
from detente.scoreboard.queries import Given


@shows(Board)
def board(answer: Board, see: Seeing) -> Iterator[RenderableType]:
    """Features and uptime in one currency, and what each side was asked for."""
    yield Text.assemble(("How are we doing, both of us?", "bold"), _since(answer.start, see))
    for says in answer.unfair:
        yield Text.assemble(status("warn", "One side's target at the other's cost"), f": {says}")
    yield heading("What it is worth")
    parts = table("", "Worth", "Which is", right=["Worth"], whole=["", "Worth"])
    for part in answer.parts:
        parts.add_row(status(part.tone, part.word), amounts(part.worth) or "—", part.says)
    yield indented(parts)
    yield heading("What each side is asked for")
    yield indented(_sides(answer.sides))
    if answer.lost:
        yield heading("Lost, by what fell first")
        lost = table("Cause", "What fell", "Journeys down", "Worth", right=["Worth"])
        for each in answer.lost:
            fell = ", ".join(each.over)
            lost.add_row(each.cause, fell, lasting(each.lasted), amounts(each.worth))
        yield indented(lost)
    yield from _advice(answer.advice)


def _since(start: Instant, see: Seeing) -> tuple[str, str]:
    return f"  since {see.time(start)}", "dim"


def _sides(sides: Sequence[Side]) -> RenderableType:
    made = table("Side", "Asked for", "Got", "Target", whole=["Side", "Target"])
    for each in sides:
        met = status("good", "met") if each.met else status("bad", "missed")
        made.add_row(
            each.side, each.asked, each.got, status("plain", "none") if each.met is None else met
        )
    return made


@shows(Delivering)
def delivering(answer: Delivering, see: Seeing) -> Iterator[RenderableType]:
    """The five metrics, and the deployments that they come from."""
    yield Text.assemble(("The five metrics of DORA", "bold"), _since(answer.start, see))
    yield from _metrics("Throughput", answer.throughput)
    yield from _metrics("Instability", answer.instability)
    if not answer.deployments:
        yield Text("")
        yield Text("Nothing was deployed. Releases are counted that run through Détente.")
        return
    yield heading("Deployments", f"{answer.not_known} not known" if answer.not_known else "")
    made = table("Version", "In production", "Lead time", "Fate", "Why", whole=["Version", "Fate"])
    for each in answer.deployments:
        fate = status("warn", "failed") if each.failed else status("good", "stayed")
        made.add_row(
            each.version, see.time(each.at), "not known" if each.lead is None else lasting(each.lead),
            status("plain", "not known") if each.failed is None else fate, each.why,
        )  # fmt: skip
    yield indented(made)


def _metrics(title: str, metrics: Sequence[Metric]) -> Iterator[RenderableType]:
    yield heading(title)
    yield indented(
        labelled([(each.name, Text.assemble(each.value, (f"  {each.means}", "dim"))) for each in metrics])
    )  # fmt: skip


@shows(AdvicePage)
def advice(answer: AdvicePage, _see: Seeing) -> Iterator[RenderableType]:
    """What to do and why, and what was declined."""
    if not answer.standing:
        yield Text("No advice: the facts call for nothing just now.")
    yield from _advice(answer.standing)
    if answer.declined:
        yield heading("Declined")
        yield from (indented(Text(each.do, style="dim")) for each in answer.declined)


def _advice(given: Sequence[Given]) -> Iterator[RenderableType]:
    if given:
        yield heading("Advice", "decline one: detente scoreboard decline")
    for each in given:
        yield indented(Text.assemble((each.do, "bold"), f"  {each.why}"))
