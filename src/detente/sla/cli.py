"""How do promises look in a terminal?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
from rich.console import RenderableType
from rich.text import Text

from detente.kernel.clock import lasting
from detente.kernel.fact import plain
from detente.kernel.terminal.commands import Command, Group, caller, common
from detente.kernel.terminal.show import heading, indented, labelled, shows, table, told
from detente.kernel.terminal.signs import sign, status
from detente.kernel.terminal.words import STYLES, Seeing
from detente.sla.pages import Card, PromisePage, Promises

_CELLS = 24


@shows(Promises)
def promises(answer: Promises, see: Seeing) -> Iterator[RenderableType]:
    """Every promise: what was promised, what we got, what is left, what we are owed."""
    if not answer.promises:
        yield Text("No promise is written down yet: declare one under `sla:` in detente.yaml.")
    for index, each in enumerate(answer.promises):
        if index:
            yield Text("")
        yield from card(each, see)


@shows(Card)
def card(answer: Card, see: Seeing) -> Iterator[RenderableType]:
    """One promise in one period, at a glance."""
    made = answer.standing
    left = "none left, " if made.broken else ""
    yield Text.assemble(
        sign(answer.tone), " ", (answer.name, "bold"),
        (f"  {plain(answer.vendor)}, {answer.period}", "dim"), f"  {answer.verdict}",
    )  # fmt: skip
    rows: list[tuple[str, str | Text]] = [
        ("Promised", made.target),
        ("Attained", f"{made.attained_says} {answer.so_far}"),
        ("Allowed downtime", Text.assemble(_budget(made.used), f"  {left}{answer.budget}")),
    ]
    if answer.without:
        without = f"{answer.without.under_contract_says} under the contract without that"
        rows.append(("Left out", f"{lasting(made.excluded)}; {without}"))
    if made.owed:
        rows.append(("Owed", str(made.owed)))
    if answer.claim:
        rows.append(("Claim", status(answer.claim.tone, answer.claim.says)))
    yield indented(labelled(rows))


def _budget(used: float) -> Text:
    """How much of the allowed downtime is left."""
    gone = min(_CELLS, round(_CELLS * used))
    tone = STYLES["bad" if used > 1 else "warn" if used > 0.75 else "good"]
    return Text.assemble(("▆" * (_CELLS - gone), tone), ("·" * gone, "dim"))


@shows(PromisePage)
def promise(answer: PromisePage, see: Seeing) -> Iterator[RenderableType]:
    """The card, how the numbers came about, and the contract's table."""
    yield from card(answer.card, see)
    if answer.steps:
        yield heading("How it was computed")
        steps = table("What", "How much", "How", whole=["How much"])
        for each in answer.steps:
            steps.add_row(each.what, each.value, each.how)
        yield indented(steps)
    if answer.card.standing.rows:
        yield heading("What the contract owes us")
        rows = table(
            "Attained below", "Downtime", "Share", "Owed", "Reached",
            right=["Share", "Owed"], whole=["Downtime", "Reached"],
        )  # fmt: skip
        for row in answer.card.standing.rows:
            mark = status("warn", "reached") if row.reached else "no"
            down = f"more than {lasting(row.from_down)}"
            rows.add_row(row.below, down, row.owed, str(row.money or ""), mark)
        yield indented(rows)
    if answer.left_out:
        yield heading("Left out")
        yield indented(_left_out(answer, see))
    if answer.facts:
        yield heading("The facts")
        yield from (told(each, see) for each in answer.facts)


def _left_out(answer: PromisePage, see: Seeing) -> RenderableType:
    rows = table(
        "No.", "From", "To", "Down in it", "Why", "Now", right=["No."], whole=["From", "To"]
    )
    for each in answer.left_out:
        now = f"counts again: {each.back}" if each.back else "left out"
        down = lasting(each.down) if each.down else "none"
        times = (see.clock(each.start), see.clock(each.end))
        rows.add_row(str(each.number or ""), *times, down, f"{each.reason} ({each.by})", now)
    return rows


def _claim_draft(promise: str, *, period: str | None) -> None:
    query = {"period": period} if period else {}
    click.echo(caller().fetch(f"/sla/{promise}/claim.txt", query).decode(), nl=False)


def _evidence(promise: str, *, period: str | None, out: Path | None) -> None:
    query = {"period": period} if period else {}
    bundle = caller().fetch(f"/sla/{promise}/evidence.zip", query)
    target = out or Path(f"{promise}-evidence.zip")
    target.write_bytes(bundle)
    click.echo(f"Wrote {target} ({len(bundle):,} bytes). Whoever gets it checks it offline:")
    click.echo(f"  unzip {target} verify.py && python3 verify.py {target} --key $(detente sla key)")


def _key() -> None:
    click.echo(caller().fetch("/sla/key.txt").decode(), nl=False)


def _checkpoint() -> None:
    click.echo(caller().fetch("/sla/checkpoint.txt").decode(), nl=False)


sla = Group("sla")
sla.add_command(
    Command(
        "evidence",
        params=[
            click.Argument(["promise"]),
            click.Option(["--period"], help="Such as 2026-11; the running one by default."),
            click.Option(
                ["--out"],
                type=click.Path(path_type=Path, dir_okay=False),
                help="The file to write.",
            ),
            *common(),
        ],
        help="Take the evidence for a promise: a file that the vendor checks offline.",
        example="detente sla evidence cardpay-uptime\n"
        "detente sla evidence cardpay-uptime --period 2026-10 --out october.zip",
        callback=_evidence,
    )
)
sla.add_command(
    Command(
        "claim-draft",
        params=[
            click.Argument(["promise"]),
            click.Option(["--period"], help="Such as 2026-11; the running one by default."),
            *common(),
        ],
        help="Print the claim for what a vendor owes, as a text to read over and send.",
        example="detente sla claim-draft cardpay-uptime --period 2026-10",
        callback=_claim_draft,
    )
)
sla.add_command(
    Command(
        "key",
        params=[*common()],
        help="Print the public key by which a vendor checks evidence: write it into the contract.",
        example="detente sla key",
        callback=_key,
    )
)
sla.add_command(
    Command(
        "checkpoint",
        params=[*common()],
        help="Print the ledger so far in one signed hash, to keep where nobody here can reach it.",
        example="detente sla checkpoint | mail -s checkpoint sla@cardpay.example",
        callback=_checkpoint,
    )
)
