"""How does another place look for us? `detente agent` runs there."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Coroutine
from pathlib import Path

import click

from detente.kernel.clock import SystemClock
from detente.kernel.network import RealNetwork
from detente.kernel.terminal.commands import Command
from detente.kernel.terminal.mishaps import Mishap

log = logging.getLogger("detente")

_SPOOL = Path("~/.local/state/detente/agent")


def _agent(
    *, node: str, place: str, token_file: Path, spool: Path | None, plugins: bool, verbose: int
) -> None:
    from detente.commands.up import log_to_terminal
    from detente.watch.effects.agent import Agent, Untrusted
    from detente.watch.engine.spool import Spool, SpoolInUse

    log_to_terminal(verbose)
    folder = (spool or _SPOOL / place).expanduser()
    try:
        kept = Spool(folder)
    except SpoolInUse as held:
        raise Mishap(str(held)) from held
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise Mishap(f"Sheets cannot be kept in {folder}: {why}. Name another --spool.") from error
    network = RealNetwork()
    try:
        agent = Agent(
            node=node, place=place, token=_token(token_file), spool=kept, network=network,
            clock=SystemClock(), runs_plugins=plugins,
        )  # fmt: skip
    except Untrusted as untrusted:
        raise Mishap(str(untrusted)) from untrusted
    click.echo(f"Looking from {place} for {node}; sheets are kept in {folder}. Ctrl-C stops.")
    asyncio.run(_until_stopped(agent.run(), network))
    kept.close()
    click.echo("Stopped.")


def _token(path: Path) -> str:
    try:
        token = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not text"
        raise Mishap(f"The token cannot be read from {path}: {str(why).lower()}.") from error
    if not token:
        raise Mishap(f"{path} is empty. Put the token into it that `watch.places` names.")
    return token


async def _until_stopped(running: Coroutine[None, None, None], network: RealNetwork) -> None:
    work = asyncio.create_task(running)
    loop = asyncio.get_running_loop()
    for each in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(each, work.cancel)
    try:
        await work
    except asyncio.CancelledError:
        pass
    finally:
        await network.close()


agent = Command(
    "agent",
    params=[
        click.Option(["--node"], required=True, metavar="URL", help="Where the node's pages are."),
        click.Option(
            ["--place"], required=True, help="This place, as `watch.places` calls it there."
        ),
        click.Option(
            ["--token-file"],
            required=True,
            type=click.Path(path_type=Path, dir_okay=False),
            help="A file that holds the token of this place, and nothing else.",
        ),
        click.Option(
            ["--spool"],
            type=click.Path(path_type=Path, file_okay=False),
            help=f"Where sheets wait until the node has them.  [default: {_SPOOL}/PLACE]",
        ),
        click.Option(
            ["--plugins"], is_flag=True, help="Run the plugins that the node asks for, too."
        ),
        click.Option(["--verbose", "-v"], count=True, help="Say more; -vv says everything."),
    ],
    help="Look from another place, and report to a node; nothing is lost while it is cut off.",
    example="detente agent --node https://detente.example --place berlin --token-file berlin.token",
    callback=_agent,
)
