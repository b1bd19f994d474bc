"""How does it look in a terminal: who is told, and did they hear?"""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.text import Text

from detente.kernel.terminal.show import heading, indented, shows, table, told
from detente.kernel.terminal.signs import sign, status
from detente.kernel.terminal.words import Seeing, counted
from detente.pager.pages import Heard, Hearers, Overview


@shows(Overview)
def overview(answer: Overview, see: Seeing) -> Iterator[RenderableType]:
    """Whether messages arrive; who hears of what."""
    if answer.late:
        says = f"{counted(len(answer.late), 'message')} could not be handed over yet."
        yield Text.assemble(sign("bad"), " ", (says, "bold"))
        late = table("Team", "By", "Incident", "Tries", "Next", "Why", right=["Tries"])
        for each in answer.late:
            late.add_row(
                each.team, each.channel, each.number, str(each.attempts), see.when(each.next_at),
                each.reason,
            )  # fmt: skip
        yield indented(late)
    elif answer.anybody:
        yield Text.assemble(sign("good"), " ", ("Everything that was to be told was told.", "bold"))
    else:
        yield Text.assemble(sign("warn"), " ", ("Nobody would be told of anything.", "bold"))
        yield Text("  Give a team `mail` or a `webhook` in detente.yaml.")
    if answer.hearers:
        yield heading("Who hears of what")
        yield indented(_hearers(answer.hearers))
    if answer.told:
        yield heading("Told lately")
        yield from (told(each, see) for each in answer.told)


def _hearers(hearers: tuple[Hearers, ...]) -> RenderableType:
    made = table("About", "Team", "By", "To")
    for each in hearers:
        for ear in each.ears:
            made.add_row(each.title, ear.title, ear.channel, ", ".join(ear.to))
        for team in each.silent:
            made.add_row(each.title, team, status("warn", "cannot be reached"), "")
        if not each.ears and not each.silent:
            made.add_row(each.title, status("warn", "nobody"), "", "")
    return made


@shows(Heard)
def heard(answer: Heard, see: Seeing) -> Iterator[RenderableType]:
    """Who was told about one incident, and who has it."""
    if answer.held_by:
        when = f", {see.when(answer.held_at)}" if answer.held_at else ""
        yield Text.assemble(sign("good"), f" {answer.held_by} has it{when}")
    elif not answer.over:
        yield Text.assemble(sign("warn"), " Nobody has it yet.")
    if not answer.lines:
        yield Text("Nobody was told.", style="dim")
        return
    made = table("Team", "By", "To", "", "When")
    for each in answer.lines:
        made.add_row(
            each.title, each.channel, ", ".join(each.to), status(each.tone, each.says),
            see.when(each.at) if each.at else "",
        )  # fmt: skip
    yield made
