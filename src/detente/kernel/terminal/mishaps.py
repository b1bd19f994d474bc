"""What does a person read when a command does not work out?

One clear sentence, and the right exit code: 1 when there is nothing of that name or a lever is
refused, 2 when the configuration, the ledger, a port or the node is not as it must be.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, ClassVar

import click

from detente.kernel.config import ConfigErrors, SecretMissing
from detente.kernel.fact import Unfit
from detente.kernel.forms import BadForm
from detente.kernel.ledger import LedgerError
from detente.kernel.node import CannotStart
from detente.kernel.slice import NotFound, Refused
from detente.kernel.terminal.calling import NoNode, Troubled


class Mishap(click.ClickException):
    """A sentence for standard error: something is not as it must be."""

    exit_code: ClassVar[int] = 2

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(self.format_message(), file=file or sys.stderr)


class No(Mishap):
    """The answer is no: nothing of that name, or not just now."""

    exit_code: ClassVar[int] = 1


_KINDS: dict[type[Exception], type[Mishap]] = {
    NotFound: No,
    Refused: No,
    BadForm: Mishap,
    Unfit: Mishap,
    ConfigErrors: Mishap,
    SecretMissing: Mishap,
    LedgerError: Mishap,
    CannotStart: Mishap,
    NoNode: Mishap,
    Troubled: Mishap,
}


@contextmanager
def in_words() -> Iterator[None]:
    """What goes wrong inside leaves as a Mishap."""
    try:
        yield
    except BrokenPipeError:
        raise
    except tuple(_KINDS) as error:
        raise _of(error) from error
    except OSError as error:
        raise Mishap(_of_the_system(error)) from error
    except Exception as error:
        if not _is_port_in_use(error):
            raise
        raise Mishap(str(error)) from error


def _of(error: Exception) -> Mishap:
    said = str(error) or (type(error).__doc__ or "").partition("\n")[0]
    mishap = next(made for kind, made in _KINDS.items() if isinstance(error, kind))
    return mishap(said[:1].upper() + said[1:] if mishap is No else said)


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
