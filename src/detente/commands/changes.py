"""What is changed besides releases, and what does the map say of it?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import click
import msgspec

from detente.commands.place import HOUSE
from detente.dependencies import levers, pages
from detente.dependencies.pages import ChangesPage
from detente.kernel.fact import Subject, plain
from detente.kernel.slice import Lever, Page
from detente.kernel.terminal.calling import Caller, NoNode, Outcome
from detente.kernel.terminal.commands import (
    Command,
    Group,
    asked,
    common,
    of_lever,
    print_json,
    read_and_show,
    told,
)

_PAGE: Page = next(each for each in pages.PAGES if each.path == "/dependencies/changes")
_LEVERS: dict[str, Lever] = {each.name.partition(".")[2]: each for each in levers.LEVERS}


def _alone() -> None:
    if click.get_current_context().invoked_subcommand is None:
        read_and_show(_PAGE, HOUSE)


changes = Group(
    "changes",
    params=common(),
    help="What is changed besides releases: planned, made, and what would fall with it.",
    example='detente changes\ndetente changes record "moved sign-on to a VM" --touches cas',
    invoke_without_command=True,
    callback=_alone,
)


def _record(title: str, *, touches: tuple[str, ...], at: str | None, link: str | None) -> None:
    said = {"about": "node:here", "title": title, "touches": ",".join(touches)}
    said |= {"at": _as_here(at) if at else "", "link": link or ""}
    caller = Caller(HOUSE.ledger(asked().config))
    try:
        body = caller.pull("dependencies.record_change", said, who=asked().who)
        after = caller.get(_PAGE.path)
    except NoNode as none:
        raise NoNode(f"{none} Changes are told to one: start it with `detente up`.") from None
    if asked().json:
        print_json(body)
        return
    outcome = msgspec.json.decode(body, type=Outcome)
    for line in (*told(outcome), *_who_must_know(outcome.facts[0].about, after)):
        click.echo(line)


def _as_here(at: str) -> str:
    """Whoever writes a time means it where they are; what is no time, the node says so."""
    try:
        read = datetime.fromisoformat(at.strip())
        return (read if read.tzinfo else read.astimezone()).isoformat(sep=" ")
    except (ValueError, OverflowError):
        return at


def _who_must_know(about: Subject, page: bytes) -> Iterator[str]:
    """Names, where the fact's own sentence only counts."""
    answer = msgspec.json.decode(page, type=ChangesPage)
    for each in (*answer.planned, *answer.past):
        if each.change.about == about and each.warning:
            yield f"! {each.warning}."
            yield f"  Must know: {', '.join(map(plain, each.change.tell)) or 'nobody is declared'}"


changes.add_command(
    Command(
        "record",
        params=[
            click.Argument(["title"], metavar="TITLE"),
            click.Option(
                ["--touches"],
                metavar="NAME",
                multiple=True,
                help="What it touches, as the map calls it; several times, or with commas.",
            ),
            click.Option(
                ["--at"], metavar="TIME", help='When: "2026-11-28 06:00", here.  [default: now]'
            ),
            click.Option(["--link"], metavar="URL", help="Where more stands about it."),
            *common(),
        ],
        help="Say that something is changed, now or later. If the map says that it is a central"
        " point, it says what would fall.",
        example='detente changes record "moved sign-on to a VM" --touches cas --at "2026-11-28 06:00"',
        callback=_record,
    )
)
for _name, _verb in (("made", "made"), ("drop", "drop_change")):
    _command = of_lever(_LEVERS[_verb], HOUSE)
    _command.name, _command.example = _name, f"detente changes {_name} k7qx2"
    changes.add_command(_command)
