"""Who is the test when it signs on?

A test account has a name in the suite, a user name, and a password that is asked for only when the
test wants it. Whatever was asked for is blanked in everything the test says afterwards.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from detente.kernel import masking


class Account(NamedTuple):
    """A named test account. Printing it does not show the password."""

    name: str
    user: str
    password: str

    def __repr__(self) -> str:
        return f"Account({self.name!r}, user={self.user!r}, password={masking.HIDDEN})"


class NoAccount(Exception):
    """There is no such test account here; the message says how to give one."""


Ask = Callable[[str], Account]


class Accounts:
    """The accounts of one run: each is asked for once, and remembered to be blanked."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._known: dict[str, Account] = {}

    def __call__(self, name: str) -> Account:
        """The account called that. Raises NoAccount."""
        if name not in self._known:
            self._known[name] = self._ask(name)
        return self._known[name]

    def blanked(self, said: str) -> str:
        """The same text without anybody's password."""
        for account in self._known.values():
            if account.password:
                said = re.sub(rf"(?<!\w){re.escape(account.password)}(?!\w)", masking.HIDDEN, said)
        return masking.text(said, [each.password for each in self._known.values()])


def from_environment(environ: Mapping[str, str] = os.environ) -> Ask:
    """Where no node hands accounts out, in CI: `DETENTE_ACCOUNT_BUYER_USER` and `…_PASSWORD`."""

    def ask(name: str) -> Account:
        prefix = f"DETENTE_ACCOUNT_{re.sub(r'[^A-Z0-9]+', '_', name.upper())}"
        try:
            return Account(name, environ[f"{prefix}_USER"], environ[f"{prefix}_PASSWORD"])
        except KeyError as missing:
            raise NoAccount(
                f"the test account {name} is not known here: set {missing.args[0]}, or run the suite"
                " with `detente acceptance run`"
            ) from None

    return ask
