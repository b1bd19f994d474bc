"""How do checks look in a terminal, and what does one say right now?"""

from __future__ import annotations

import os
from collections.abc import Iterator

import click
import msgspec
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from detente.kernel.clock import lasting, seconds_between
from detente.kernel.config import section
from detente.kernel.config.words import hint
from detente.kernel.fact import Tone, plain
from detente.kernel.slice import NotFound
from detente.kernel.terminal.commands import Command, asked, common
from detente.kernel.terminal.commands import Group as Commands
from detente.kernel.terminal.show import (
    heading,
    indented,
    labelled,
    show,
    shows,
    table,
    told,
)
from detente.kernel.terminal.signs import bar, sign, status
from detente.kernel.terminal.words import Seeing, counted
from detente.watch.engine.measurement import Measurement, measurements
from detente.watch.engine.wire import Phase, Probe, Result, Verdict
from detente.watch.pages import CheckPage, Group, Judged, Overview
from detente.watch.queries import PlaceStanding, Seen, SeenFrom, Standing
from detente.watch.settings import Watch

_PHASES: tuple[tuple[Phase, str], ...] = (
    ("dns", "name"),
    ("connect", "connection"),
    ("tls", "TLS"),
    ("first_byte", "first byte"),
    ("transfer", "transfer"),
)
_BAR = 24  # cells for the slowest phase
_LAST_SHEETS = 8


@shows(Overview)
def overview(answer: Overview, see: Seeing) -> Iterator[RenderableType]:
    """Every check below whom it belongs to, with its last day as one line."""
    checks = [each for group in answer.groups for each in group.checks]
    if not checks:
        yield Text("Nothing is watched yet: declare checks under `watch:` in detente.yaml.")
        return
    wrong = [each for each in checks if each.tone in ("bad", "warn")]
    says = f"{len(wrong)} of {counted(len(checks), 'check')} {'is' if len(wrong) == 1 else 'are'} not all right." if wrong else (
        f"{counted(len(checks), 'check')}, all right."
        if all(each.tone == "good" for each in checks)
        else "Nothing amiss so far."
    )  # fmt: skip
    yield Text.assemble(sign("bad" if wrong else "good"), " ", (says, "bold"))
    for group in answer.groups:
        yield heading(plain(group.of), group.of.partition(":")[0])
        yield from belonging(group, see)
    if answer.places:
        yield heading("Other places that look")
        yield indented(_places(answer.places, see))


def _places(places: list[PlaceStanding], see: Seeing) -> Table:
    made = table("Place", "How it is", "Reported up to", "Checks", right=["Checks"])
    for each in places:
        until = see.when(each.until) if each.until else "never"
        made.add_row(each.title, status(each.tone, each.says), until, str(each.checks))
    return made


@shows(Group)
def belonging(answer: Group, see: Seeing) -> Iterator[RenderableType]:
    grid = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(4):
        grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for each in answer.checks:
        grid.add_row(
            status(each.tone, each.state), each.name, _day(each),
            lasting(each.median) if each.median is not None else "", _why(each, see),
        )  # fmt: skip
    yield indented(grid)


def _day(check: Standing) -> Text:
    """The last 24 hours; what nobody measured is left open."""
    return bar([(part[0], part[1], part[2]) for part in check.parts], check.day_start, check.now)


def _why(check: Standing, see: Seeing) -> Text:
    if not check.since:
        return Text(check.reason or check.target, style="dim")
    return Text.assemble(check.reason, (f"  {see.lasting(check.since)}", "dim"))


@shows(CheckPage)
def check(answer: CheckPage, see: Seeing) -> Iterator[RenderableType]:
    """One check: how it stands, its outages, what the last sheets say."""
    it = answer.check
    yield Text.assemble((it.name, "bold"), "  ", status(it.tone, it.state), f"  {it.reason}")
    yield indented(labelled(_about(it, see)))
    if it.looks:
        yield heading("Seen from")
        yield indented(_looks(it.looks, see))
    if answer.measured:
        yield heading("Measured", "in the newest run")
        yield indented(_measured(answer.measured))
    if answer.judged:
        yield heading("Whose fault")
        yield from judged(answer.judged, see)
    if it.outages:
        yield heading("Outages", "the last 24 hours")
        for each in it.outages:
            yield indented(_outage(each.start, each.end, each.says, see))
    if answer.seen:
        yield heading("Seen lately")
        yield indented(_sheets(answer.seen[-_LAST_SHEETS:], see))
    if answer.history:
        yield heading("What happened")
        yield from (told(each, see) for each in answer.history)


@shows(Judged)
def judged(answer: Judged, see: Seeing) -> Iterator[RenderableType]:
    """The verdict, what speaks for it, and what it rests on."""
    tone: Tone = "warn" if answer.verdict.going_on else "plain"
    yield indented(Text.assemble(sign(tone), " ", (answer.words, "bold")))
    yield from (indented(Text(f"· {each}")) for each in answer.verdict.reasons)
    yield from (told(each, see) for each in answer.rests_on)


def _looks(looks: tuple[SeenFrom, ...], see: Seeing) -> Table:
    made = table("Place", "How it stands", "Last seen")
    for each in looks:
        seen = see.when(each.last_seen) if each.last_seen else "never"
        made.add_row(each.title, status(each.tone, each.says), seen)
    return made


def _measured(measured: list[Measurement]) -> Table:
    made = table("What", "Value", "Warns at", "Critical at", right=["Value"])
    for each in measured:
        made.add_row(each.label, str(each), each.warn, each.crit)
    return made


def _about(it: Standing, see: Seeing) -> Iterator[tuple[str, str | Text]]:
    yield "Asks", f"{it.kind} {it.target}, every {lasting(it.every)}"
    yield "Belongs to", f"{it.of}, {it.environment}"
    yield "24 hours", _day(it)
    if it.median is not None:
        yield "Answers in", f"{lasting(it.median)} (median of the last hour)"
    if it.last_seen:
        yield "Last seen", see.when(it.last_seen)


def _outage(start: int, end: int | None, says: str, see: Seeing) -> Text:
    lasted = lasting(seconds_between(start, see.now if end is None else end))
    until = see.clock(end) if end else "now"
    return Text.assemble(f"{see.clock(start)} – {until}  ", says, (f"  ({lasted})", "dim"))


def _sheets(seen: list[Seen], see: Seeing) -> Table:
    numbers = ["Good", "Failed", "Not told", "Median", "Worst"]
    made = table("Until", *numbers, "Last failure", right=numbers)
    for each in reversed(seen):
        untold = each.inconclusive + each.skipped + each.not_run
        made.add_row(
            see.clock(each.until), str(each.ok), str(each.failed), str(untold),
            _length(each.median), _length(each.worst), each.last,
        )  # fmt: skip
    return made


def _length(seconds: float | None) -> str:
    return "" if seconds is None else lasting(seconds)


# One shot

_TIMEOUT = 5.0
_VERDICTS: dict[Verdict, tuple[Tone, str]] = {
    "ok": ("good", "answers"),
    "warned": ("warn", "answers, and warns"),
    "failed": ("bad", "does not answer well"),
    "inconclusive": ("warn", "could not be judged"),
    "skipped": ("warn", "could not be judged"),
}


def _try(target: str, *, kind: str | None, timeout: float | None) -> None:
    from detente.watch.engine.once import probe_once

    result = probe_once(_asked_for(target, kind, timeout))
    if asked().json:
        click.echo(msgspec.json.encode(msgspec.structs.asdict(result)).decode())
    else:
        show(result)
    if result.verdict != "ok":
        click.get_current_context().exit(1)


def _asked_for(target: str, kind: str | None, timeout: float | None) -> Probe:
    """What stands there is an address, or the name of a check in `detente.yaml`."""
    if "://" in target or ":" in target:
        kind = kind or ("http" if "://" in target else "tcp")
        return Probe(id="try", kind=kind, target=target, timeout=timeout or _TIMEOUT)  # type: ignore[arg-type]
    found = _declared(target)
    return found if timeout is None else msgspec.structs.replace(found, timeout=timeout)


def _declared(name: str) -> Probe:
    from detente.watch.effects.orders import probe

    watch = section(asked().config, "watch", Watch, environ=os.environ)
    if name not in watch.checks:
        raise NotFound(
            f"No check is called {name} in {asked().config}; {hint(name, watch.checks, 'there are')}."
        )
    return probe(name, watch.checks[name], watch)


@shows(Result)
def result(answer: Result, see: Seeing) -> Iterator[RenderableType]:
    """The verdict, then how long each phase took, the longer the longer its bar."""
    tone, word = _VERDICTS[answer.verdict]
    yield Text.assemble(sign(tone), " ", (f"It {word}", "bold"), f": {_details(answer)}")
    yield Text("")
    yield indented(_phases(answer))
    if answer.measured:
        yield indented(_measured(list(measurements(answer.measured))))
    if answer.tls_expires:
        left = lasting(seconds_between(see.now, answer.tls_expires))
        yield Text("")
        yield indented(
            Text(f"The certificate is valid until {see.clock(answer.tls_expires)} (for {left}).")
        )


def _details(result: Result) -> str:
    said = [result.reason] if result.reason else []
    said += [f"HTTP {result.status}"] if result.status and not result.reason else []
    said += [result.tls_version] if result.tls_version else []
    said += [f"from {result.ip}"] if result.ip else []
    said += [f"{result.bytes:,} bytes".replace(",", " ")] if result.bytes else []
    return ", ".join([*said, lasting(result.total)])


def _phases(result: Result) -> Table:
    """Each phase with its own length; the one it failed in is marked, later ones were not reached."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True, justify="right")
    grid.add_column(no_wrap=True)
    longest = max((getattr(result, name) or 0.0 for name, _ in _PHASES), default=0.0) or 1.0
    for name, says in _PHASES:
        took: float | None = getattr(result, name)
        failed = result.failed_in == name
        if took is None and not failed:
            continue
        blocks = "▆" * max(1, round(_BAR * (took or 0.0) / longest)) if took else ""
        grid.add_row(
            sign("bad" if failed else "good"), says, "" if took is None else _fine(took), blocks
        )
    return grid


def _fine(seconds: float) -> str:
    """Phases are short: a tenth of a millisecond is worth saying."""
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else lasting(seconds)


watch = Commands("watch")
watch.add_command(
    Command(
        "try",
        params=[
            click.Argument(["target"], metavar="URL|HOST:PORT|CHECK"),
            click.Option(
                ["--kind"],
                type=click.Choice(["http", "tcp", "tls"]),
                help="What to ask.  [default: http for a URL, tcp for host:port]",
            ),
            click.Option(
                ["--timeout"], type=float, help="Seconds to wait.  [default: 5, or as declared]"
            ),
            *common(),
        ],
        help="Make one check right now and show where the time goes. Needs no node. A name is that of"
        " a check in detente.yaml, a plugin's too.",
        example="detente watch try https://cardpay.example/health\n"
        "detente watch try cardpay.example:443 --kind tls\ndetente watch try disk",
        callback=_try,
    )
)
