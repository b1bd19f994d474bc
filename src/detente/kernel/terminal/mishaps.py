"""What does a person read when a command does not work out?

One clear sentence, and the right exit code: 1 when there is nothing of that name or a lever is
refused, 2 when the configuration, the ledger, a port or the node is not as it must be.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import click

from detente.kernel.config import ConfigErrors, SecretMissing
from detente.kernel.ledger import LedgerError
from detente.kernel.node import CannotStart
from detente.kernel.slice import NotFound, Refused
from detente.kernel.terminal.calling import NoNode, Troubled
from detente.kernel.web.forms import BadForm

NO, BROKEN = 1, 2

_CODES: dict[type[Exception], int] = {
    NotFound: NO,
    Refused: NO,
    BadForm: BROKEN,
    ConfigErrors: BROKEN,
    SecretMissing: BROKEN,
    LedgerError: BROKEN,
    CannotStart: BROKEN,
    NoNode: BROKEN,
    Troubled: BROKEN,
}


class Mishap(click.ClickException):
    """A sentence for standard error."""

    def __init__(self, says: str, code: int) -> None:
        super().__init__(says)
        self.exit_code = code

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(self.format_message(), file=file or sys.stderr)


@contextmanager
def in_words() -> Iterator[None]:
    """What goes wrong inside leaves as a Mishap."""
    try:
        yield
    except BrokenPipeError:
        raise
    except tuple(_CODES) as error:
        raise Mishap(_says(error), _code(error)) from error
    except OSError as error:
        raise Mishap(_of_the_system(error), BROKEN) from error
    except Exception as error:
        if not _is_port_in_use(error):
            raise
        raise Mishap(str(error), BROKEN) from error


def _says(error: Exception) -> str:
    said = str(error) or (type(error).__doc__ or "").partition("\n")[0]
    return said[:1].upper() + said[1:] if isinstance(error, (NotFound, Refused)) else said


def _code(error: Exception) -> int:
    return next(code for kind, code in _CODES.items() if isinstance(error, kind))


def _of_the_system(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    return (
        f"{where}{error.strerror or error}. See that it is there, that this user may use it, and that "
        "the disk has room."
    )


def _is_port_in_use(error: Exception) -> bool:
    """The server is only loaded in a node, so its exception is looked for and not imported."""
    server = sys.modules.get("detente.kernel.web.server")
    return server is not None and isinstance(error, server.PortInUse)
