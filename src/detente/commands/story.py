"""What story does a plain list of times tell, and which lever would have helped?

Needs no configuration, no ledger and no node: a file in, the story in five acts out, with what is
recognised in it and what to write into `detente.yaml` to begin with.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from detente.incidents.engine.acts import NAMES, Moment, Name, Play, play
from detente.incidents.engine.brought import BadStory, Brought, moments, read
from detente.incidents.engine.curve import Curve, drawn
from detente.incidents.engine.diagnosis import Diagnosis, Finding, diagnose
from detente.kernel.clock import Instant, iso, lasting, moment
from detente.kernel.terminal.commands import Command, asked, common, print_json
from detente.kernel.terminal.mishaps import Mishap

if TYPE_CHECKING:
    from rich.console import RenderableType

_HOW_TO_BEGIN = """\
Which story? Name a file with a list of times, or begin with one that comes along:

    detente story --example sign-on > mine.md
    detente story mine.md"""
_LARGEST = 1024 * 1024
_NUMERALS = ("I", "II", "III", "IV", "V")


class Sentence(msgspec.Struct, frozen=True, kw_only=True):
    """One moment, and the line of the file that says it."""

    at: str
    says: str
    sort: str
    lines: tuple[int, ...]


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One act."""

    name: Name
    numeral: str
    says: str
    sentences: tuple[Sentence, ...]


class Advised(msgspec.Struct, frozen=True, kw_only=True):
    """The whole answer: the story, what it suffers from, and what to do."""

    title: str
    peak: str
    turned_by_hand: bool
    acts: tuple[Told, ...]
    curve: Curve
    diagnosis: Diagnosis
    guessed: tuple[int, ...]  # lines whose meaning their words decided


def advise(text: str, name: str) -> Advised:
    """Everything about one story. Raises BadStory."""
    story = read(text, name)
    told = play(moments(story))
    many = round(told.peak)
    return Advised(
        title=story.title,
        peak="1 thing down" if many == 1 else f"{many} things down",
        turned_by_hand=told.turned_by_hand,
        acts=tuple(_acts(story, told)),
        curve=drawn(told, story.lines[-1].at),
        diagnosis=diagnose(story, told),
        guessed=tuple(each.number for each in story.lines if each.guessed),
    )


def _acts(story: Brought, told: Play) -> Iterator[Told]:
    first = story.lines[0].at
    for numeral, name, act in zip(_NUMERALS, NAMES, told.acts, strict=True):
        sentences = tuple(_sentence(each, first, dated=story.dated) for each in act.moments)
        yield Told(name=name, numeral=numeral, says=act.says, sentences=sentences)


def _sentence(told: Moment, first: Instant, *, dated: bool) -> Sentence:
    return Sentence(
        at=iso(told.at)[:16].replace("T", " ") if dated else _clock(told.at, first),
        says=told.says,
        sort=told.sort,
        lines=told.cites,
    )


def _clock(at: Instant, first: Instant) -> str:
    """Clock time, and how many days on, where the story names no day."""
    here = moment(at)
    days = (here.date() - moment(first).date()).days
    return f"{here:%H:%M}" + (f" (+{days})" if days else "")


# The command


def _story(*, file: Path | None, example: str | None, html: Path | None) -> None:
    if example is not None:
        click.echo(_example(example), nl=False)
        return
    if file is None:
        click.echo(_HOW_TO_BEGIN)
        return
    try:
        answer = advise(_text_of(file), file.name)
    except BadStory as wrong:
        raise Mishap(str(wrong)) from None
    if html is not None:
        html.write_text(page(answer), "utf-8")
    if asked().json:
        print_json(msgspec.json.encode(answer))
        return
    _show(answer)
    if html is not None:
        click.echo(f"\nWritten as a page to {html}.")


def _text_of(file: Path) -> str:
    if file.stat().st_size > _LARGEST:
        raise Mishap(f"{file} is larger than a megabyte; tell the story in fewer lines.")
    try:
        return file.read_text("utf-8-sig")
    except UnicodeDecodeError as wrong:
        raise Mishap(f"{file} is not UTF-8 text (byte {wrong.start}): save it as UTF-8.") from None


def examples() -> dict[str, str]:
    """The stories that come along, by name."""
    folder = resources.files("detente.incidents") / "examples"
    files = sorted(folder.iterdir(), key=lambda each: each.name)
    return {each.name.rpartition(".")[0]: each.name for each in files}


def _example(name: str) -> str:
    folder = resources.files("detente.incidents") / "examples"
    return (folder / examples()[name]).read_text("utf-8")


story = Command(
    "story",
    params=[
        click.Argument(
            ["file"],
            required=False,
            metavar="FILE",
            type=click.Path(path_type=Path, exists=True, dir_okay=False),
        ),
        click.Option(
            ["--example"], type=click.Choice([*examples()]), help="Print a story that comes along."
        ),
        click.Option(
            ["--html"],
            type=click.Path(path_type=Path, dir_okay=False),
            metavar="OUT.html",
            help="Also write it as a page that needs nothing else.",
        ),
        *common(),
    ],
    help="Tell a story of your own in five acts, with a diagnosis and what to do. Needs no node.",
    example="detente story --example sign-on > sign-on.md\n"
    "detente story sign-on.md --html sign-on.html",
    callback=_story,
)


# In a terminal


def _show(answer: Advised) -> None:
    from detente.kernel.terminal.show import screen

    console = screen()
    with console.capture() as drawing:
        for part in _parts(answer, piped=not console.is_terminal):
            console.print(part)
    for line in drawing.get().splitlines():
        click.echo(line.rstrip())


def _parts(answer: Advised, *, piped: bool) -> Iterator[RenderableType]:
    from rich.text import Text

    from detente.incidents.cli import drawn_curve
    from detente.kernel.terminal.show import heading

    yield Text(f"{answer.title}, in five acts", style="bold")
    if not piped:
        yield from drawn_curve(answer.curve, f"at its highest {answer.peak}")
    for act in answer.acts:
        yield heading(f"{act.numeral}. {act.name.capitalize()}", act.says)
        yield from (_line(each) for each in act.sentences)
    yield heading("Diagnosis")
    yield from (Text(f"  {each}") for each in measured(answer.diagnosis))
    written: set[str] = set()
    for finding in answer.diagnosis.findings:
        yield from _finding(finding, again=finding.write in written)
        written.add(finding.write)
    if not answer.diagnosis.findings:
        yield Text("  Nothing is recognised for which Détente has a lever.")
    if answer.guessed:
        lines = ", ".join(map(str, answer.guessed))
        yield Text(
            f"\nWhat lines {lines} mean was guessed from their words; say it with [change], [down …],"
            " [noticed …], [told …], [action], [up …], [over] or [note].",
            style="dim",
        )


def _line(sentence: Sentence) -> RenderableType:
    from rich.table import Table

    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True, style="dim", min_width=8)
    grid.add_column(overflow="fold")
    grid.add_column(no_wrap=True, style="dim")
    grid.add_row(f"  {sentence.at}", sentence.says, f"line {sentence.lines[0]}")
    return grid


def _finding(finding: Finding, *, again: bool) -> Iterator[RenderableType]:
    from rich.text import Text

    yield Text.assemble("\n  ", (finding.says, "bold"), (f" {_places(finding)}", "dim"))
    yield Text(f"  Instead: {finding.instead}")
    if again:
        yield Text(f"  The lever: {finding.lever}, as above.")
        return
    yield Text(f"  The lever: {finding.lever}. To begin with, in detente.yaml:")
    yield Text("\n".join(f"      {line}" for line in finding.write.splitlines()), style="dim")


def _places(finding: Finding) -> str:
    many = "s" if len(finding.lines) > 1 else ""
    return f"(line{many} {', '.join(map(str, finding.lines))})" if finding.lines else ""


def measured(diagnosis: Diagnosis) -> list[str]:
    """How long what took, a sentence each."""
    times = diagnosis.times
    said = []
    if times.to_notice is not None:
        said.append(f"It was noticed after {lasting(times.to_notice)}, by {times.noticed_by}.")
    if times.to_turn is not None:
        said.append(f"It turned after {lasting(times.to_turn)}.")
    if times.to_the_end is not None:
        said.append(f"Nothing was down any more after {lasting(times.to_the_end)}.")
    return said


# As a page


def page(answer: Advised) -> str:
    """A page that needs nothing else: the look of the node's pages stands in it."""
    import jinja2

    from detente.kernel.web.kit import STATIC

    templates = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [
                jinja2.PrefixLoader(
                    {"incidents": jinja2.PackageLoader("detente.incidents", "templates")}
                ),
                jinja2.FileSystemLoader(Path(__file__).parent),
            ]
        ),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    look = (STATIC / "detente.css").read_text("utf-8")
    return templates.get_template("story.html").render(
        answer=answer, look=look, measured=measured(answer.diagnosis)
    )
