"""How do acceptance tests look in a terminal, and how are they run from one?"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import RenderableType
from rich.text import Text

from detente.acceptance.effects import Report
from detente.acceptance.endpoints import Taken
from detente.acceptance.engine import junit, spool
from detente.acceptance.engine.parent import Outcome
from detente.acceptance.pages import Cell, Line, Overview, TestPage, Vouching
from detente.acceptance.queries import PLACES
from detente.kernel.clock import lasting
from detente.kernel.fact import Tone, plain
from detente.kernel.terminal.calling import NoNode
from detente.kernel.terminal.commands import Command, Group, asked, caller, common, print_json
from detente.kernel.terminal.show import heading, indented, labelled, show, shows, table
from detente.kernel.terminal.signs import sign, status
from detente.kernel.terminal.words import Seeing, called, counted

_PATIENCE = 3_600.0  # a suite takes as long as its tests take
_TONES: dict[str, Tone] = {"passed": "good", "failed": "bad", "skipped": "plain"}


@shows(Overview)
def overview(answer: Overview, see: Seeing) -> Iterator[RenderableType]:
    """The matrix: each test in its three places."""
    yield Text.assemble(sign(answer.tone), " ", (f"{answer.sentence}.", "bold"))
    for suite in answer.suites:
        if suite.says:
            yield indented(status("warn", f"{suite.name} {suite.says}"))
    for group in answer.groups:
        yield heading(called(group.of) if group.of else "of nobody")
        yield indented(matrix(group.lines, see))
    if not answer.groups:
        yield indented(
            Text("pytest --detente http://127.0.0.1:3383, or a suite under `acceptance:`", "dim")
        )


@shows(Vouching)
def vouching(answer: Vouching, see: Seeing) -> Iterator[RenderableType]:
    yield matrix(answer.lines, see)


def matrix(lines: tuple[Line, ...], see: Seeing) -> RenderableType:
    made = table("Test", "CI", "Release gate", "Production", "")
    for line in lines:
        made.add_row(line.test, *(_cell(cell, see) for cell in line.cells), line.says)
    return made


def _cell(cell: Cell | None, see: Seeing) -> Text:
    if cell is None:
        return Text("never", style="dim")
    return Text.assemble(status(cell.tone, cell.word), (f" {see.when(cell.at)}", "dim"))


@shows(TestPage)
def test(answer: TestPage, see: Seeing) -> Iterator[RenderableType]:
    """One test's history in each place."""
    yield Text.assemble(sign(answer.tone), " ", (answer.test, "bold"), f"  {plain(answer.of)}")
    if answer.says:
        yield indented(Text(answer.says))
    for place in answer.places:
        yield heading(place.title, "" if place.cell else "never ran here")
        if place.cell is None:
            continue
        same = "another version of the test" if place.cell.odd else place.cell.sha256[:12]
        yield indented(
            labelled([("Failed", f"{place.cell.failed} of {place.cell.runs}"), ("Source", same)])
        )
        made = table("When", "Outcome", "Took", "Version", "Why", right=["Took"])
        for each in place.past:
            word = status(_TONES[each.outcome], each.outcome)
            made.add_row(
                see.when(each.at), word, lasting(each.took), each.version[:12], each.reason
            )
        yield indented(made)


@shows(Report)
def report(answer: Report, see: Seeing) -> Iterator[RenderableType]:
    """What a run found."""
    tone: Tone = "good" if answer.passed else "bad"
    yield Text.assemble(sign(tone), " ", (f"{answer.suite} {answer.says}", "bold"))
    if answer.results:
        made = table("Test", "Outcome", "Took", "Why", right=["Took"])
        for each in answer.results:
            word = status(_TONES[each.outcome], each.outcome)
            made.add_row(each.test, word, lasting(each.took), each.reason)
        yield indented(made)


def _run(suite: str, **given: str | None) -> None:
    said = {name: value for name, value in given.items() if value}
    body = _post("/acceptance/runs", msgspec.json.encode({"suite": suite, **said}))
    found = msgspec.json.decode(body, type=Report)
    if asked().json:
        print_json(body)
    else:
        show(found)
    if not found.passed:
        click.get_current_context().exit(2 if found.broken or not found.failed else 1)


def _import(file: Path, place: str, of: str | None, run: str | None, **given: str | None) -> None:
    body, outcomes = _read(file)
    head = {name: value for name, value in given.items() if value} | {"place": place}
    head["run"] = run or hashlib.sha256(body).hexdigest()[:24]
    answers = [
        _told(head, some) for some in spool.batches([_result(each, of or "") for each in outcomes])
    ]
    recorded, known = (sum(each) for each in zip(*answers, strict=True))
    if asked().json:
        print_json(msgspec.json.encode(Taken(run=head["run"], recorded=recorded, known=known)))
        return
    before = f", {known} were known already" if known else ""
    click.echo(f"✓ {counted(recorded, 'result')} taken{before}.")


def _read(file: Path) -> tuple[bytes, list[Outcome]]:
    try:
        body = file.read_bytes()
        return body, junit.read(body)
    except OSError as error:
        raise click.ClickException(f"{file} cannot be read: {error.strerror}") from None
    except junit.NotJUnit as wrong:
        raise click.ClickException(f"{file} cannot be imported: {wrong}") from None


def _result(outcome: Outcome, of: str) -> dict[str, Any]:
    said: dict[str, Any] = msgspec.to_builtins(outcome)
    return {**said, "of": outcome.of or of}


def _told(head: dict[str, str], results: list[dict[str, Any]]) -> tuple[int, int]:
    body = _post("/acceptance/results", msgspec.json.encode({**head, "results": results}))
    taken = msgspec.json.decode(body, type=Taken)
    return taken.recorded, taken.known


def _post(path: str, body: bytes) -> bytes:
    try:
        return caller().post(path, body, who=asked().who, patience=_PATIENCE)
    except NoNode as none:
        raise NoNode(f"{none} Start one with `detente up`.") from None


def _option(name: str, metavar: str, says: str) -> click.Option:
    return click.Option([f"--{name}"], metavar=metavar, help=says)


def _place(default: str | None) -> click.Option:
    return click.Option(
        ["--place"], type=click.Choice(PLACES), default=default, required=default is None,
        help="Where the tests run." if default else "Where they ran.", show_default=bool(default),
    )  # fmt: skip


acceptance = Group("acceptance")
acceptance.add_command(
    Command(
        "run",
        params=[
            click.Argument(["suite"], metavar="SUITE"),
            _place("gate"),
            _option("release", "ID", "The release that is let through, or not."),
            _option("version", "VERSION", "What is tested: a commit, a build."),
            _option("run", "NAME", "A name for this run: asked for again, it is not run again."),
            _option(
                "base-url", "URL", "Test at this one of the suite's addresses, whatever the place."
            ),
            *common(),
        ],
        help="Run a suite now and show what it found. Ends with 1 if a test failed, with 2 if nothing"
        " could be run.",
        example="detente acceptance run shop --place gate --release 12",
        callback=_run,
    )
)
acceptance.add_command(
    Command(
        "import",
        params=[
            click.Argument(["file"], metavar="RESULTS.xml", type=click.Path(path_type=Path)),
            _place(None),
            _option("of", "NAME", "What the tests vouch for."),
            _option("version", "VERSION", "What was tested: a commit, a build."),
            _option("release", "ID", "The release that was tested."),
            _option("run", "NAME", "A name for the run.  [default: made from the file]"),
            *common(),
        ],
        help="Take in results that another program wrote as JUnit XML, each once.",
        example="detente acceptance import results.xml --place ci --of shop",
        callback=_import,
    )
)
