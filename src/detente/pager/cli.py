"""How does it look in a terminal who is told, and who was?"""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.text import Text

from detente.kernel.mailing import WAYS
from detente.kernel.terminal.show import drawn, heading, indented, shows, table
from detente.kernel.terminal.signs import sign, status
from detente.kernel.terminal.words import Seeing, called
from detente.pager.pages import Heard, Hearers, Overview, TakePage
from detente.pager.pages.rota import RotaView


@shows(Overview)
def overview(answer: Overview, see: Seeing) -> Iterator[RenderableType]:
    """Who could not be told, who would be told, who was told."""
    for each in answer.late:
        yield Text.assemble(
            sign("warn"), " ",
            (f"{each.what}: {each.team} could not be told {WAYS[each.channel]} {each.message}", "bold"),
            f": {each.reason}; tried {each.attempts}×, again {see.when(each.next_at)}",
        )  # fmt: skip
    for rota in answer.rotas:
        yield heading(f"On call: {rota.name}", f"{rota.changes}, {rota.timezone}")
        yield indented(_turns(rota))
    if not answer.anybody:
        yield status("warn", "Nobody would be told: no team in detente.yaml has an address.")
        yield indented(Text(_HOW, style="dim"))
        return
    yield heading("Who is told")
    yield indented(_hearers(answer.hearers))
    if answer.told:
        yield heading("Told lately")
        for told in answer.told:
            yield from drawn(told, see)


def _turns(rota: RotaView) -> RenderableType:
    made = table("Who", "Team", "From", "Until", whole=["From", "Until"])
    for turn in rota.turns:
        who = status("bad", "nobody") if turn.person is None else turn.says
        made.add_row(who, turn.team, turn.begins_says, turn.ends_says)
    return made


_HOW = """\
teams:
  ops: {title: Operations, mail: [ops@example.com]}
mail: {server: smtp.example.com:587, from: Détente <detente@example.com>}"""


def _hearers(hearers: tuple[Hearers, ...]) -> RenderableType:
    made = table("When this fails", "Told", "How", "To")
    for each in hearers:
        for ear in each.ears:
            made.add_row(called(each.about), ear.title, WAYS[ear.channel], ", ".join(ear.to))
        for team in each.silent:
            made.add_row(called(each.about), team, "not at all", "it has no address")
        if not each.ears and not each.silent:
            made.add_row(called(each.about), "nobody", "", "no team is declared")
    return made


@shows(Heard)
def heard(answer: Heard, see: Seeing) -> Iterator[RenderableType]:
    """Who was told about one incident, and who has it."""
    if answer.held_by:
        yield status("good", f"{answer.held_by} {'had' if answer.over else 'has'} it")
    elif not answer.over:
        yield status("bad", "nobody has it yet")
    made = table("Team", "How", "What", "When")
    for line in answer.lines:
        when = see.when(line.at) if line.at else ""
        made.add_row(line.title, WAYS[line.channel], status(line.tone, line.says), when)
    if answer.lines:
        yield made


@shows(TakePage)
def letter(answer: TakePage, see: Seeing) -> Iterator[RenderableType]:
    """What a link asks, and how to answer it from here."""
    state = "is over" if answer.over else see.lasting(answer.since)
    if answer.into:
        state = f"goes on as incident {answer.into}"
    yield Text.assemble((f"{answer.title}: {answer.reason}", "bold"), f"  {state}")
    yield Text(f"{answer.held_by} has it" if answer.held_by else "nobody has it yet")
    if not answer.over:
        yield indented(Text(f"detente pager take {answer.number}", style="dim"))
