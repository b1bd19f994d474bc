"""How does a node start, and how does it stop?

Everything that can be wrong at the start is one sentence and exit code 2. It stops cleanly when asked
(Ctrl-C, SIGTERM), at once when asked twice. Hangup re-reads the configuration and says whether a
restart would change anything; from a closed terminal it means stop.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import resource
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

import detente
from detente.commands.config import summary
from detente.commands.place import home_of
from detente.kernel.config import Address, ConfigErrors
from detente.kernel.node import CannotStart, Node
from detente.kernel.terminal.calling import leave_note, take_note_away
from detente.kernel.terminal.commands import Command, asked, config_option

if TYPE_CHECKING:
    from detente.app import Declared

log = logging.getLogger("detente")


def _up(*, port: int | None, verbose: int) -> None:
    from detente import app

    config = asked().config
    log_to_terminal(verbose)
    declared = app.load_declared(config)
    if port is not None:
        declared = _listening_on(declared, port)
    asyncio.run(_run(declared, config))


up = Command(
    "up",
    params=[
        config_option(),
        click.Option(
            ["--port"], type=click.IntRange(0, 65_535), help="Another port for the pages; 0: any."
        ),
        click.Option(["--verbose", "-v"], count=True, help="Say more; -vv says everything."),
    ],
    help="Start the node: watch, keep selling, show the pages.",
    example="detente up\ndetente up --config staging.yaml --port 4000",
    callback=_up,
)


def _listening_on(declared: Declared, port: int) -> Declared:
    host = declared.web.listen.rpartition(":")[0]
    web = msgspec.structs.replace(declared.web, listen=Address(f"{host}:{port}"))
    return msgspec.structs.replace(declared, web=web)


async def _run(declared: Declared, config: Path) -> None:
    from detente import app

    _take_every_file()
    say_once_when_full(asyncio.get_running_loop())
    stop = asyncio.Event()
    _hear_signals(stop, declared, config)
    async with app.opened(declared, home_of(config)) as node:
        listen = declared.web.listen
        try:
            server, port = await app.serve(node, listen)
        except OSError as error:
            raise CannotStart(
                f"The pages cannot be served on {listen}: {(error.strerror or str(error)).lower()}. "
                "Choose another address for `web.listen`, or another `--port`."
            ) from error
        ledger = app.ledger_path(declared, home_of(config))
        try:
            if not declared.web.address:
                node.address = f"http://{listen.rpartition(':')[0]}:{port}"
            leave_note(ledger, listen.host, port)
            click.echo("\n".join(_hello(node, declared, ledger)))
            await app.run(node, stop)
        finally:
            take_note_away(ledger)
            await server.close()
    click.echo("Stopped.")


def _take_every_file() -> None:
    """As many open files as this process may have: callers, pages and vendors need one each."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


_A_WHILE = 60.0


def say_once_when_full(loop: asyncio.AbstractEventLoop) -> None:
    """Callers that find no file left wait; the loop would tell of each of them, every second."""
    told = -_A_WHILE

    def hear(loop: asyncio.AbstractEventLoop, trouble: dict[str, Any]) -> None:
        nonlocal told
        error = trouble.get("exception")
        if not isinstance(error, OSError) or error.errno not in (errno.EMFILE, errno.ENFILE):
            loop.default_exception_handler(trouble)
        elif loop.time() - told >= _A_WHILE:
            told = loop.time()
            log.warning(
                "New callers wait: every file that this process may open is in use (%s). Close some"
                " pages, or allow it more (`ulimit -n`, `LimitNOFILE=`).", error.strerror,
            )  # fmt: skip

    loop.set_exception_handler(hear)


def _hello(node: Node, declared: Declared, ledger: Path) -> Iterator[str]:
    """Where everything is, in a few calm lines."""
    facts = node.ledger.head()
    yield f"Détente {detente.__version__} is up: {summary(declared)}."
    yield f"  page     {node.address}"
    work: Any = node.declared.get("work")
    if work and work.routes:
        yield f"  gateway  http://{work.gateway}  ({', '.join(work.routes)})"
    yield f"  ledger   {ledger}  ({f'{facts:,} facts'.replace(',', ' ') if facts else 'new'})"
    yield "  Ctrl-C stops."


# Signals


def _hear_signals(stop: asyncio.Event, declared: Declared, config: Path) -> None:
    loop = asyncio.get_running_loop()

    def ask_to_stop() -> None:
        stop.set()
        for each in (signal.SIGINT, signal.SIGTERM):  # asked twice: the system ends us at once
            loop.remove_signal_handler(each)
            signal.signal(each, signal.SIG_DFL)

    for each in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(each, ask_to_stop)
    if sys.stdin is not None and sys.stdin.isatty():
        loop.add_signal_handler(signal.SIGHUP, ask_to_stop)
    else:
        loop.add_signal_handler(signal.SIGHUP, lambda: log.warning(_compared(declared, config)))


def _compared(running: Declared, config: Path) -> str:
    """What a restart would change."""
    from detente import app

    try:
        written = app.load_declared(config)
    except ConfigErrors as errors:
        return f"{config} has mistakes; the node goes on with what it read at its start.\n{errors}"
    changed = [
        name
        for name in running.__struct_fields__
        if _plain(getattr(running, name)) != _plain(getattr(written, name))
    ]
    if not changed:
        return f"{config} says what it said at the start; nothing would change."
    return f"{config} has changed under {', '.join(changed)}: restart the node to use it."


def _plain(value: object) -> object:
    """Settings as they can be compared; secrets by where they are, not by what they are."""
    return msgspec.to_builtins(value, enc_hook=repr)


# The log


def log_to_terminal(verbose: int) -> None:
    """Short lines on standard error."""
    level = {0: logging.WARNING, 1: logging.INFO}.get(verbose, logging.DEBUG)
    logging.basicConfig(
        level=level, format="%(asctime)s %(levelname)-7s %(message)s", datefmt="%H:%M:%S"
    )
    logging.getLogger("asyncio").setLevel(max(level, logging.INFO))
