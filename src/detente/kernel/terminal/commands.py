"""Which commands does a slice add?

Its pages are commands that show, its levers are commands that do; both come from its card. `/work` is
`detente work`, `/work/calls/{call}` with the title “Call” is `detente work call CALL`, and the lever
`work.hold` is `detente work hold SUBJECT`. A slice that needs more brings a group of its own
(`card.commands`), and its commands join these.
"""

from __future__ import annotations

import asyncio
import getpass
import importlib
import importlib.util
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click
import msgspec

from detente.kernel.fact import kind
from detente.kernel.forms import Question, questions
from detente.kernel.node import Node
from detente.kernel.slice import Ask, Lever, Page, Slice, encoded
from detente.kernel.terminal.calling import Caller, NoNode, Outcome

CONFIG = Path("detente.yaml")
_PLACES = re.compile(r"\{(\w+)\}")
_ASKED = "detente.asked"


@dataclass(frozen=True)
class House:
    """What commands must be told by whoever knows the whole app."""

    cards: Callable[[], Sequence[Slice]]
    ledger: Callable[[Path], Path]  # the ledger's file, from the path of the configuration
    looking: Callable[[Path], AbstractAsyncContextManager[Node]]  # the same node, for looking only


@dataclass(frozen=True)
class Asked:
    """What every command may be asked besides its own."""

    config: Path = CONFIG
    json: bool = False
    who: str = ""


def asked() -> Asked:
    """What was asked of the command that runs."""
    found: Asked = click.get_current_context().meta.get(_ASKED, Asked())
    return found if found.who else replace(found, who=login())


def caller() -> Caller:
    """Talks to the node, for a slice's own commands. They send to its endpoints."""
    house = click.get_current_context().find_object(House)
    assert house is not None, "commands run below the group of their slice"
    return Caller(house.ledger(asked().config))


def login() -> str:
    """Whoever sits at this terminal."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "someone"


# Options that every command has


def _note(field: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def remember(context: click.Context, _option: click.Parameter, value: Any) -> None:
        if value:
            before = context.meta.get(_ASKED, Asked())
            context.meta[_ASKED] = replace(before, **{field: value})

    return remember


def config_option() -> click.Option:
    return click.Option(
        ["--config", "-c"],
        type=click.Path(path_type=Path),
        envvar="DETENTE_CONFIG",
        expose_value=False,
        callback=_note("config"),
        help=f"The configuration.  [default: {CONFIG}, or $DETENTE_CONFIG]",
    )


def json_option() -> click.Option:
    return click.Option(
        ["--json"],
        is_flag=True,
        expose_value=False,
        callback=_note("json"),
        help="Print JSON, for programs.",
    )


def who_option() -> click.Option:
    return click.Option(
        ["--as"],
        metavar="NAME",
        expose_value=False,
        callback=_note("who"),
        help="Who you are, for the timeline.  [default: your login]",
    )


def common() -> list[click.Parameter]:
    return [config_option(), json_option(), who_option()]


class WithExample(click.Command):
    """A command whose help ends with an example."""

    example: str = ""

    def format_epilog(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        if self.example:
            with formatter.section("Example" if "\n" not in self.example else "Examples"):
                for line in self.example.splitlines():
                    formatter.write(f"{'':>{formatter.current_indent}}{line}\n")


class Command(WithExample):
    """One command."""

    def __init__(self, *args: Any, example: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.example = example


class Group(WithExample, click.Group):
    """Some commands, and what the group does when asked for none of them."""

    command_class = Command

    def __init__(self, *args: Any, example: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.example = example

    def format_epilog(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        WithExample.format_epilog(self, context, formatter)


class Noun(Group):
    """A slice's group. `detente incidents 12` asks for the page at `/incidents/{…}`."""

    direct: str | None = None

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if self.direct and args[0] not in self.commands and not args[0].startswith("-"):
            args = [self.direct, *args]
        return super().resolve_command(context, args)


# Commands from a card


def of_card(card: Slice, house: House) -> Noun:
    """The group of one slice."""
    own = {page.path: page for page in card.pages}
    first = own.pop(f"/{card.noun}", None)
    group = Noun(
        card.noun,
        params=common(),
        help=_help_of(card, first),
        short_help=card.question,
        example=f"detente {card.noun}",
        invoke_without_command=first is not None,
        callback=_when_alone(first, house) if first else None,
        context_settings={"obj": house},
    )
    for page in own.values():
        group.add_command(of_page(page, card.noun, house))
        if re.fullmatch(rf"/{card.noun}/\{{\w+\}}", page.path):
            group.direct = name_of(page)
    for lever in card.levers:
        group.add_command(of_lever(lever, house))
    for command in more_of(card).values():
        group.add_command(command)
    return group


def _help_of(card: Slice, first: Page | None) -> str:
    shows = f"\n\nAlone it shows: {_docstring(_answer_type(first))}" if first else ""
    return card.question + shows


def _when_alone(page: Page, house: House) -> Callable[[], None]:
    def alone() -> None:
        if click.get_current_context().invoked_subcommand is None:
            read_and_show(page, house)

    return alone


def name_of(page: Page) -> str:
    """A page's command is called like the page."""
    return page.title.lower().replace(" ", "-")


def of_page(page: Page, noun: str, house: House) -> Command:
    """The command that shows a page."""
    places = _PLACES.findall(page.path)

    def run(**given: str) -> None:
        path = {name: given[name].partition(":")[2] or given[name] for name in places}
        read_and_show(page, house, path)

    words = [name.upper() for name in places]
    return Command(
        name_of(page),
        params=[*(click.Argument([name], metavar=name.upper()) for name in places), *common()],
        help=_docstring(_answer_type(page)),
        example=" ".join(["detente", noun, name_of(page), *words]),
        callback=run,
    )


def of_lever(lever: Lever, house: House) -> Command:
    """The command that pulls a lever."""
    asks = questions(lever.form)
    hint = _docstring(lever.form)

    def run(subject: str, **given: Any) -> None:
        pull_and_tell(lever, subject, given, house)

    group, _, verb = lever.name.partition(".")
    name = verb.replace("_", "-")
    needed = [f'{_flag(each)} "…"' for each in asks if each.required and each.shape != "yes"]
    return Command(
        name,
        params=[
            click.Argument(["subject"], metavar="|".join(each.upper() for each in lever.kinds)),
            *(_option(each, "" if index else hint) for index, each in enumerate(asks)),
            *common(),
        ],
        help=lever.explains,
        example=" ".join(["detente", group, name, _example_subject(lever), *needed]),
        callback=run,
    )


def _example_subject(lever: Lever) -> str:
    return lever.kinds[0].upper() if len(lever.kinds) == 1 else f"{lever.kinds[0]}:NAME"


def _flag(question: Question) -> str:
    return "--" + question.name.replace("_", "-")


def _option(question: Question, hint: str) -> click.Option:
    """One field of a form; the node reads what was given, so here it is only text."""
    says = question.hint or hint or question.label
    if question.shape == "yes":
        return click.Option([_flag(question), question.name], is_flag=True, default=None, help=says)
    default = f"  [default: {question.value}]" if question.value else ""
    return click.Option(
        [_flag(question), question.name],
        required=question.required,
        type=click.Choice(question.choices) if question.choices else None,
        metavar="NUMBER" if question.shape == "number" else None,
        help=says.rstrip(".") + default,
    )


def more_of(card: Slice) -> Mapping[str, click.Command]:
    """The commands a slice brings itself. Loading them also loads what it says about looks."""
    module, _, attribute = (card.commands or f"detente.{card.noun}.cli:{card.noun}").partition(":")
    if importlib.util.find_spec(module) is None:
        return {}
    group = getattr(importlib.import_module(module), attribute, None)
    return group.commands if isinstance(group, click.Group) else {}


def _answer_type(page: Page) -> Any:
    return answers(page.answer)


def answers(function: Any) -> Any:
    """What a page or panel answers with, by its annotation."""
    said = function.__annotations__["return"]
    return eval(said, function.__globals__) if isinstance(said, str) else said


def _docstring(cls: type) -> str:
    """The first paragraph of a class's own docstring."""
    own = cls.__dict__.get("__doc__") or ""
    return " ".join(own.partition("\n\n")[0].split())


# Reading


def read_and_show(
    page: Page,
    house: House,
    path: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
    panels: bool = True,
) -> None:
    """Ask for a page's answer and print it. `panels`: it may show panels of any slice."""
    body = read(page, house, Ask(path=path or {}, query=query or {}))
    if asked().json:
        print_json(body)
        return
    answer = msgspec.json.decode(body, type=answers(page.answer))
    if panels:
        _know_looks(house.cards())
    import detente.kernel.terminal.faces  # noqa: F401 - how the kernel's own answers look
    from detente.kernel.terminal.show import show

    show(answer)


def _know_looks(cards: Sequence[Slice]) -> None:
    """What each slice says about looks, and of which types its panels are."""
    from detente.kernel.terminal.show import know_panels

    for card in cards:
        more_of(card)
        know_panels({(card.noun, each.title): answers(each.answer) for each in card.panels})


def read(page: Page, house: House, ask: Ask) -> bytes:
    """The answer as JSON: from the node that runs, or out of the ledger."""
    config = asked().config
    where = _PLACES.sub(lambda place: quote(ask.path[place[1]], safe=""), page.path)
    try:
        return Caller(house.ledger(config)).get(where, ask.query)
    except NoNode:
        click.echo("No node is running; this is what the ledger says.", err=True)
        return asyncio.run(_look(page, house, config, ask))


async def _look(page: Page, house: House, config: Path, ask: Ask) -> bytes:
    async with house.looking(config) as node:
        return encoded(page.answer(node, ask))


def print_json(body: bytes) -> None:
    """As it came for a program, with indentation for a person."""
    click.echo(msgspec.json.format(body) if sys.stdout.isatty() else body)


# Doing


def pull_and_tell(lever: Lever, subject: str, given: Mapping[str, Any], house: House) -> None:
    """Pull a lever of the running node and say what came of it."""
    said = {name: value for name, value in given.items() if value is not None}
    said["about"] = subject_for(lever.kinds, subject)
    caller = Caller(house.ledger(asked().config))
    try:
        body = caller.pull(lever.name, said, who=asked().who)
    except NoNode as none:
        raise NoNode(f"{none} Levers need one: start it with `detente up`.") from None
    if asked().json:
        print_json(body)
        return
    for line in told(msgspec.json.decode(body, type=Outcome)):
        click.echo(line)


def told(outcome: Outcome) -> Iterable[str]:
    """What pulling did, a line a fact."""
    if not outcome.facts:
        yield f"{outcome.about}: there was nothing to do."
    for fact in outcome.facts:
        yield f"✓ {fact.about.replace(':', ' ', 1)} {fact.says}"


def subject_for(kinds: Sequence[str], said: str) -> str:
    """The subject people mean: its kind goes without saying where there is only one."""
    if kind(said) in kinds and ":" in said:
        return said
    if len(kinds) == 1 and ":" not in said:
        return f"{kinds[0]}:{said}"
    choices = " or ".join(f"{each}:NAME" for each in kinds)
    raise click.BadParameter(f"{said} could be many things: write {choices}.", param_hint="SUBJECT")
