"""How do the incidents, the room of one, and its story look in a terminal?

And the one command that pages and levers do not give: a retrospective as a file to edit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import msgspec
from rich.console import RenderableType
from rich.text import Text

from detente.incidents.engine.acts import Sort
from detente.incidents.engine.curve import Curve, sampled
from detente.incidents.levers import LEVERS
from detente.incidents.pages import retrospective as afterwards
from detente.incidents.pages.changed import Changed
from detente.incidents.pages.rooms import Brief, Entry, Last, List, Room, Strand
from detente.incidents.pages.story import Story, Told
from detente.incidents.queries import Sum
from detente.kernel.clock import lasting
from detente.kernel.fact import Tone
from detente.kernel.slice import Ask
from detente.kernel.terminal.commands import (
    Command,
    Group,
    House,
    asked,
    common,
    print_json,
    pull_and_tell,
    read,
)
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
def listed(answer: List, see: Seeing) -> Iterator[RenderableType]:
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
    if answer.falls.journeys:
        yield heading("What cannot be done", "by the map")
        for each in answer.falls.journeys:
            worth = f"  {each.earns} an hour" if each.earns else ""
            yield indented(Text.assemble((each.title, "bold"), worth))
    yield from changed(answer.changed, see)
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


@shows(Changed)
def changed(answer: Changed, see: Seeing) -> Iterator[RenderableType]:
    """What changed before it fell, the best explanation first, each with its reasons."""
    yield heading("What changed?")
    yield indented(Text(answer.verdict))
    for each in answer.candidates:
        first = Text.assemble(
            (f"{see.clock(each.at)}  ", "dim"), (f"{each.title} ", "bold"), f"{each.says}  "
        )
        yield indented(first.append(status(each.tone, each.state)))
        yield indented(Text(f"  {'; '.join(each.reasons)}", style="dim"))


_TONES: dict[Sort, Tone] = {
    "failure": "bad",
    "recovery": "good",
    "end": "good",
    "action": "warn",
    "change": "warn",
}


@shows(Story)
def story(answer: Story, see: Seeing) -> Iterator[RenderableType]:
    """The incident in five acts, and its curve."""
    yield Text(f"{answer.title}, in five acts", style="bold")
    if not see.piped:
        yield from drawn_curve(answer.curve, f"at its highest {answer.peak}")
    yield from told_acts(answer.acts, see)


def told_acts(acts: Sequence[Told], see: Seeing) -> Iterator[RenderableType]:
    """Each act with its sentences, and where they stand."""
    for act in acts:
        yield heading(f"{act.numeral}. {act.name.capitalize()}", act.says)
        for each in act.moments:
            cited = " ".join(f"#{cite}" for cite in each.cites)
            sentence = Text.assemble(
                (f"{see.clock(each.at)}  ", "dim"), sign(_TONES.get(each.sort, "plain")),
                f" {each.says} ", (cited, "dim"),
            )  # fmt: skip
            yield indented(sentence)


_ROWS, _COLUMNS = 6, 64
_EIGHTHS = " ▁▂▃▄▅▆▇█"


def drawn_curve(curve: Curve, highest: str) -> Iterator[RenderableType]:
    """The curve in blocks, the acts' numerals below."""
    if not curve.bands:
        return
    yield Text(f"  {highest}", style="dim")
    heights = [round(each * _ROWS * 8) for each in sampled(curve, _COLUMNS)]
    for row in reversed(range(_ROWS)):
        cells = (_EIGHTHS[max(0, min(8, height - row * 8))] for height in heights)
        yield Text.assemble("  ", ("".join(cells), "red"))
    below = [" "] * _COLUMNS
    for band in curve.bands:
        middle = int((band.left + band.width / 2) / 100 * _COLUMNS)
        first = max(0, min(middle - len(band.numeral) // 2, _COLUMNS - len(band.numeral)))
        below[first : first + len(band.numeral)] = band.numeral
    yield Text(f"  {''.join(below)}", style="dim")


# The retrospective as a file


def _retrospective(number: str, *, source: Path | None) -> None:
    number = number.removeprefix("incident:")
    house = click.get_current_context().find_object(House)
    assert house is not None, "commands run below the group of their slice"
    if source is not None:
        given = {"markdown": _text_of(source)}
        lever = next(each for each in LEVERS if each.name == "incidents.answer_from")
        pull_and_tell(lever, number, given, house)
        return
    body = read(afterwards.PAGE, house, Ask(path={"number": number}))
    if asked().json:
        print_json(body)
        return
    click.echo(msgspec.json.decode(body, type=afterwards.Retrospection).markdown, nl=False)


def _text_of(source: Path) -> str:
    try:
        return source.read_text("utf-8")
    except UnicodeDecodeError as wrong:
        raise click.BadParameter(
            f"{source} is not UTF-8 text (byte {wrong.start}): save it as UTF-8.",
            param_hint="--from",
        ) from None


incidents = Group("incidents")
incidents.add_command(
    Command(
        "retrospective",
        params=[
            click.Argument(["number"], metavar="NUMBER"),
            click.Option(
                ["--from", "source"],
                type=click.Path(path_type=Path, exists=True, dir_okay=False),
                help="Hand in the edited file.",
            ),
            *common(),
        ],
        help="Print the retrospective of an incident as Markdown, or hand in the edited file.",
        example="detente incidents retrospective 12 > 12.md\n"
        "detente incidents retrospective 12 --from 12.md",
        callback=_retrospective,
    )
)
