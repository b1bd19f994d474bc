"""What stands in the ledger, and do the views say the same?"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from detente.commands.place import ledger_of
from detente.kernel.clock import SystemClock, iso, lasting, seconds_between
from detente.kernel.fact import Recorded, Unknown, encode
from detente.kernel.ledger import Ledger, LedgerError, Query
from detente.kernel.terminal.commands import Command, Group, asked, common

if TYPE_CHECKING:
    from detente.kernel.views import Rows, Views

ledger = Group(
    "ledger",
    help="What stands in the ledger, and do the views say the same?",
    example="detente ledger read --name 'watch.*'",
)


# Rebuilding


def _rebuild() -> None:
    asyncio.run(_fold_anew(asked().config))


ledger.add_command(
    Command(
        "rebuild",
        params=common(),
        help="Forget the views and fold every fact anew. No node may be running.",
        example="detente ledger rebuild",
        callback=_rebuild,
    )
)


async def _fold_anew(config: Path) -> None:
    from detente import app
    from detente.kernel.ledger.sqlite import SqliteLedger

    path = _existing(config)
    clock = SystemClock()
    ledger = SqliteLedger(path, clock=clock, holder="detente ledger rebuild")
    try:
        views = app.open_views(ledger, app.views_path(path))
        try:
            before, began = prints(views), clock.now()
            facts = views.rebuild(ledger)
            took = seconds_between(began, clock.now())
            after = prints(views)
        finally:
            views.close()
    finally:
        await ledger.close()
    changed = sorted(name for name in after if before.get(name) != after[name])
    _tell_rebuilt(facts, took, changed)


def _existing(config: Path) -> Path:
    path = ledger_of(config)
    if not path.exists():
        raise LedgerError(f"There is no ledger at {path} yet. `detente up` makes one.")
    return path


def prints(views: Views) -> dict[str, str]:
    """A fingerprint of each table, whatever the order of its rows."""
    asked = "select name from sqlite_master where type = 'table' and name not like 'sqlite_%'"
    return {str(name): _print(views.rows, str(name)) for (name,) in list(views.rows.execute(asked))}


def _print(rows: Rows, table: str) -> str:
    total = 0
    for row in rows.execute(f'select * from "{table}"'):
        total += int.from_bytes(hashlib.sha256(repr(row).encode()).digest()[:16])
    return f"{total:x}"


def _tell_rebuilt(facts: int, took: float, changed: list[str]) -> None:
    if asked().json:
        said = {"facts": facts, "seconds": took, "changed": changed}
        click.echo(msgspec.json.encode(said).decode())
        return
    count = f"{facts:,}".replace(",", " ")
    click.echo(f"{count} facts folded anew in {lasting(took)}.")
    if changed:
        click.echo(f"These views were not what the facts say, and are now: {', '.join(changed)}.")
    else:
        click.echo("The views say the same as before.")


# Reading


def _read(
    *, name: tuple[str, ...], about: tuple[str, ...], after: int, last: int | None, follow: bool
) -> None:
    query = Query(names=name, subjects=about)
    asyncio.run(_tell(_existing(asked().config), query, after, last, follow=follow))


ledger.add_command(
    Command(
        "read",
        params=[
            click.Option(["--name"], multiple=True, help="Only facts of this name; work.* works."),
            click.Option(["--about"], multiple=True, help="Only facts about this subject."),
            click.Option(["--after"], type=int, default=0, help="Only after this position."),
            click.Option(["--last"], type=int, metavar="N", help="Only the last N."),
            click.Option(["--follow", "-f"], is_flag=True, help="Go on with what comes."),
            *common(),
        ],
        help="Print facts as they stand in the ledger, one a line.",
        example="detente ledger read --name 'work.*' --last 20\n"
        "detente ledger read --about call:01JDQ2 --json",
        callback=_read,
    )
)


async def _tell(path: Path, query: Query, after: int, last: int | None, *, follow: bool) -> None:
    from detente import app  # noqa: F401 - with the slices come the classes of their facts
    from detente.kernel.ledger.sqlite import SqliteLedger

    ledger = SqliteLedger(path, clock=SystemClock(), read_only=True)
    try:
        head = ledger.head()
        _print_all(_some(ledger, query, after, head, last))
        if follow:
            async for batch in ledger.follow(query, after=max(after, head)):
                _print_all(batch)
    finally:
        await ledger.close()


def _some(
    ledger: Ledger, query: Query, after: int, head: int, last: int | None
) -> Iterable[Recorded]:
    if last is None:
        return ledger.read(query, after=after, until=head)
    newest = ledger.read(query, after=after, until=head, limit=last, backwards=True)
    return reversed(list(newest))


def _print_all(facts: Iterable[Recorded]) -> None:
    line = _as_json if asked().json else _as_line
    for recorded in facts:
        click.echo(line(recorded))


def _as_line(recorded: Recorded) -> str:
    """Position, when, name, subject, what it says, who: columns for eyes and for grep."""
    says = recorded.fact.says()
    return (
        f"{recorded.position:>7}  {iso(recorded.at)}  {recorded.name:<22}  {recorded.about:<20}  "
        f"{says}  [{recorded.by}]"
    )


def _as_json(recorded: Recorded) -> str:
    fact = recorded.fact
    body = fact.body if isinstance(fact, Unknown) else encode(fact)
    said = {
        "position": recorded.position,
        "at": recorded.at,
        "by": recorded.by,
        "name": recorded.name,
        "fact": msgspec.Raw(body),
    }
    return msgspec.json.encode(said).decode()
