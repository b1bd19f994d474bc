"""How does a release look in a terminal, and how is one asked for and let go from there?"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import click
import msgspec
from rich.console import RenderableType
from rich.text import Text

from detente.facts.releases import short
from detente.kernel.clock import lasting
from detente.kernel.config import loads
from detente.kernel.config.load import text_of
from detente.kernel.fact import Tone
from detente.kernel.forms import questions
from detente.kernel.terminal.calling import NoNode, Outcome, Troubled
from detente.kernel.terminal.commands import Command, asked, caller, common, print_json, told
from detente.kernel.terminal.commands import Group as Commands
from detente.kernel.terminal.show import heading, indented, labelled, shows, table
from detente.kernel.terminal.show import told as line
from detente.kernel.terminal.signs import sign, status
from detente.kernel.terminal.words import SIGNS, Seeing, called, counted
from detente.releases.levers import Request
from detente.releases.pages import Brief, Calendar, Lately, Room, Stage
from detente.releases.queries.night import Line, Morning

_EVERY = 0.4  # seconds between two looks at the node


@shows(Calendar)
def overview(answer: Calendar, see: Seeing) -> Iterator[RenderableType]:
    """What is on its way, what is planned, when nothing may be released, what became of the last."""
    if not answer.running and not answer.planned:
        yield status("good", "Nothing is on its way, and nothing is planned.")
    for each in answer.running:
        yield from brief(each, see)
    for title, briefs in (
        ("Planned", answer.planned),
        ("To be reviewed", answer.reviews),
        ("What became of the last ones", answer.over),
    ):
        if briefs:
            yield heading(title)
            yield indented(_briefs(briefs, see))
    if answer.freezes:
        yield heading("Freezes")
        made = table("Freeze", "From", "Until", "Why", "Whom to ask")
        for freeze in answer.freezes:
            start, end = see.clock(freeze.start), see.clock(freeze.end)
            made.add_row(freeze.title, start, end, freeze.reason, freeze.owner)
        yield indented(made)


def _briefs(briefs: Sequence[Brief], see: Seeing) -> RenderableType:
    made = table("No.", "What", "State", "When", "Says")
    for each in briefs:
        when = each.starts if each.state == "planned" else each.ends
        made.add_row(
            each.number, f"{each.service}: {each.title}", status(each.tone, each.state),
            see.clock(when), each.says,
        )  # fmt: skip
    return made


@shows(Brief)
def brief(answer: Brief, see: Seeing) -> Iterator[RenderableType]:
    """One release in two lines."""
    title = f"release {answer.number}, {answer.service}: {answer.title}"
    yield Text.assemble(sign(answer.tone), " ", (title, "bold"), f"  {answer.state}")
    who = ", ".join(answer.people)
    said = [see.when(answer.starts), who, answer.says]
    yield indented(Text(" · ".join(each for each in said if each), style="dim"))


@shows(Lately)
def lately(answer: Lately, see: Seeing) -> Iterator[RenderableType]:
    """Those to come, and the last ones."""
    yield indented(_briefs([*answer.coming, *answer.over], see))


@shows(Room)
def room(answer: Room, see: Seeing) -> Iterator[RenderableType]:
    """One release: where it stands, step by step, and what happened."""
    release = answer.release
    title = f"release {release.number} of {answer.service}: {release.title}"
    yield Text.assemble(sign(answer.tone), " ", (title, "bold"), f"  {answer.state}")
    if release.outcome:
        yield indented(Text(release.outcome))
    yield indented(labelled(_about(answer, see)))
    for against in answer.against:
        yield indented(status("warn", against))
    yield heading("Step by step")
    for stage in answer.stages:
        yield indented(_stage(stage))
    if answer.readings:
        yield indented(_readings(answer))
    if answer.informed:
        yield heading("Who must know")
        made = table("Team", "How", "What", "When")
        for team in answer.informed:
            when = see.when(team.at) if team.at else ""
            made.add_row(team.team, team.channel, status(team.tone, team.says), when)
        yield indented(made)
    yield heading("What happened", "newest first")
    yield from (line(fact, see) for fact in answer.told)
    if answer.levers:
        yield heading("What you can do")
        for lever in answer.levers:
            group, _, verb = lever.name.partition(".")
            yield indented(Text(f"detente {group} {verb.replace('_', '-')} {release.number}"))


def _about(answer: Room, see: Seeing) -> Iterator[tuple[str, str | Text]]:
    release = answer.release
    yield (
        "Version",
        f"{release.version or 'the newest'}"
        + (f", instead of {release.before}" if release.before else ""),
    )
    yield "From", f"{see.clock(release.starts)} until {see.clock(release.ends)}"
    if release.people:
        yield "Who", ", ".join(release.people)
    yield "Risk", release.risk
    if release.overlaps:
        yield "Meanwhile", ", ".join(map(called, release.overlaps))
    if release.frozen:
        yield "Freeze", release.frozen
    if release.review:
        yield "Review", release.reviewed or f"wanted: {release.review}"


def _stage(stage: Stage) -> Text:
    took = f" after {lasting(stage.took)}" if stage.took is not None else ""
    said = stage.note or ", ".join(stage.asks)
    return Text.assemble(
        sign(stage.tone), " ", (f"{stage.name:<7}", "bold"), f" {stage.state}{took}",
        (f"  {said}" if said else "", "dim"),
    )  # fmt: skip


def _readings(answer: Room) -> RenderableType:
    made = table(
        "Watched", "Since", "", "Before", "Evidence", right=["Since", "Before", "Evidence"]
    )
    for each in answer.readings:
        made.add_row(
            called(each.about), f"{each.failed} of {each.of}", each.what,
            f"at most {each.known:.1%}", f"{each.e_value:.1f} of {answer.needed:.0f}",
        )  # fmt: skip
    return made


@shows(Morning)
def morning(answer: Morning, see: Seeing) -> Iterator[RenderableType]:
    """The night, in the order in which people ask."""
    yield Text.assemble(sign(answer.tone), " ", (answer.headline, "bold"))
    parts: tuple[tuple[str, tuple[Line, ...]], ...] = (
        ("What came back, and why", answer.came_back),
        ("What shipped and stayed", answer.shipped),
        ("What broke", answer.broke),
        ("Who was paged", answer.paged),
        ("Toggles that changed", answer.toggles),
        ("What is the matter now", answer.now),
        ("Today", answer.today),
        ("To be reviewed", answer.reviews),
    )
    for title, lines in parts:
        if lines:
            yield heading(title)
            yield from (_line(each, see) for each in lines)
    if answer.parked:
        yield heading("The queue")
        worth = ", ".join(map(str, answer.parked_worth))
        says = f"{counted(answer.parked, 'call')} parked, {answer.waiting} of them wait still"
        yield indented(Text(f"{says} {worth}"))


def _line(each: Line, see: Seeing) -> RenderableType:
    said = Text.assemble(sign(each.tone), " ", (f"{each.title} ", "bold"), each.says)
    return indented(Text.assemble((f"{see.clock(each.at)}  ", "dim"), said))


# -- asking ------------------------------------------------------------------------------------


class Asking(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A change request in a file of its own."""

    service: str
    title: str
    starts: str
    lasts: str = "1h"
    kind: Literal["normal", "standard", "emergency"] = "normal"
    version: str = ""
    people: tuple[str, ...] = ()
    billing_code: str = ""
    touches: tuple[str, ...] = ()
    toggles: tuple[str, ...] = ()
    plan: str = ""
    back_out: str = ""
    fixes: str = ""


def _request(service: str | None, written: Path | None, **options: str | None) -> None:
    said = _from_file(written) if written is not None else {}
    said |= {name: value for name, value in options.items() if value is not None}
    service = service or said.pop("service", None)
    said.pop("service", None)
    for name, value in (
        ("SERVICE", service),
        ("--title", said.get("title")),
        ("--starts", said.get("starts")),
    ):
        if not value:
            raise click.UsageError(f"{name} is missing: give it here, or in a file with --from.")
    _pull("releases.request", {"about": _subject("service", str(service)), **said})


def _from_file(path: Path) -> dict[str, Any]:
    asking = loads(text_of(path), Asking, name=str(path))
    said = {name: getattr(asking, name) for name in asking.__struct_fields__}
    return {
        name: ", ".join(value) if isinstance(value, tuple) else value
        for name, value in said.items()
        if value
    }


def _subject(kind: str, name: str) -> str:
    return name if name.startswith(f"{kind}:") else f"{kind}:{name}"


def _pull(lever: str, said: dict[str, Any]) -> None:
    body = caller().pull(lever, said, who=asked().who)
    if asked().json:
        print_json(body)
        return
    for each in told(msgspec.json.decode(body, type=Outcome)):
        click.echo(each)


# -- running -----------------------------------------------------------------------------------

_ENDS = {"done": 0, "settled": 0, "rolled back": 1, "stopped": 1, "withdrawn": 1, "stuck": 2}


def _run(release: str, *, version: str | None, through: str | None, leave: bool) -> None:
    said = {"version": version, "through": through}
    about = _subject("release", release)
    _pull("releases.run", {"about": about, **{k: v for k, v in said.items() if v is not None}})
    if not leave:
        _follow(release)


def _follow(release: str) -> None:
    """Until it is over. To stop looking (Ctrl-C) does not stop the release."""
    number = release.partition(":")[2] or release
    try:
        state = _watch(number)
    except KeyboardInterrupt:
        click.echo(
            f"\nYou stopped looking; release {number} goes on. Look again with `detente releases"
            f" follow {number}`, or take it back with `detente releases back {number}`."
        )
        click.get_current_context().exit(130)
    click.get_current_context().exit(_ENDS.get(state, 0))


def _watch(number: str) -> str:
    """Every step as it begins and ends; answers with the state that it came to."""
    path, said, away = f"/releases/{number}", list[str](), False
    ask = caller()
    while True:
        try:
            answer = msgspec.json.decode(ask.get(path), type=Room)
            away = False
        except (NoNode, Troubled) as trouble:
            if not away:
                click.echo(f"! {trouble} The release goes on when the node is back.", err=True)
            away = True
            time.sleep(_EVERY)
            continue
        lines = list(_lines(answer))
        for each in lines[_agree(said, lines) :]:
            click.echo(each)
        said = lines
        release = answer.release
        if release.state != "running":
            click.echo(f"{SIGNS[answer.tone]} {release.outcome or release.state}")
            return release.state
        if release.held is not None and release.back is None and _waits(answer):
            click.echo(f"! It is held. Let it go on with `detente releases go-on {number}`.")
            return release.state
        time.sleep(_EVERY)


def _waits(answer: Room) -> bool:
    return all(each.state != "running" for each in answer.stages)


def _agree(one: Sequence[str], other: Sequence[str]) -> int:
    """How many lines were said already."""
    same = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        same += 1
    return same


def _lines(answer: Room) -> Iterator[str]:
    """What can be said for good of each step so far, in order."""
    release = answer.release
    if release.began_at is not None:
        instead = f" instead of {short(release.before)}" if release.before else ""
        yield f"· {answer.service}: {short(release.version)}{instead}"
    for step in release.steps:
        again = f" (attempt {step.attempt})" if step.attempt > 1 else ""
        yield f"· {step.name}{again} …"
        if step.passed is not None:
            tone: Tone = "good" if step.passed else "bad"
            word = "passed" if step.passed else "failed"
            note = f": {step.note}" if step.note else ""
            yield f"{SIGNS[tone]} {step.name} {word} after {lasting(step.took)}{note}"
        elif step.ended_at is not None:
            yield f"! {step.name} was interrupted"
    for each in release.switched:
        yield f"! {each.toggle.partition(':')[2]} was switched off: {each.why}"


# -- the commands ------------------------------------------------------------------------------


def _option(name: str, hint: str) -> click.Option:
    return click.Option([f"--{name.replace('_', '-')}", name], help=hint)


def _asks() -> Iterator[click.Option]:
    """The fields of the request, as in the form on the page."""
    for each in questions(Request):
        hint = each.hint or each.label
        default = f"  [default: {each.value}]" if each.value else ""
        kind = click.Choice(each.choices) if each.choices else None
        flag = f"--{each.name.replace('_', '-')}"
        yield click.Option([flag, each.name], type=kind, help=f"{hint}{default}")


releases = Commands("releases")
releases.add_command(
    Command(
        "request",
        params=[
            click.Argument(["service"], metavar="[SERVICE]", required=False),
            click.Option(
                ["--from", "written"],
                type=click.Path(path_type=Path),
                metavar="FILE",
                help="A file that says it all; what is given here goes before it.",
            ),
            *_asks(),
            *common(),
        ],
        help="Ask for a release: it stands in the calendar, and whoever must know is told once.",
        example='detente releases request shop --title "Cheaper basket" --starts "2026-12-01 21:00"\n'
        "detente releases request --from release.yaml",
        callback=_request,
    )
)
releases.add_command(
    Command(
        "run",
        params=[
            click.Argument(["release"], metavar="RELEASE"),
            _option("version", "A commit, tag or build.  [default: the newest commit]"),
            _option("through", "Why it passes a freeze or an open incident; reviewed afterwards."),
            click.Option(["--leave"], is_flag=True, help="Let it go, and do not look on."),
            *common(),
        ],
        help="Let it go: gate, ship, verify, watch; it goes back by itself if it must. Ctrl-C only"
        " stops looking.",
        example='detente releases run 12\ndetente releases run 12 --through "the shop sells nothing"',
        callback=_run,
    )
)
releases.add_command(
    Command(
        "follow",
        params=[click.Argument(["release"], metavar="RELEASE"), *common()],
        help="Look on while a release runs. Ends with 0 when it stays, 1 when it came back or went"
        " no further, 2 when it needs a person.",
        example="detente releases follow 12",
        callback=_follow,
    )
)
