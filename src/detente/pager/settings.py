"""What people write about telling people: `pager:` in `detente.yaml`. Whom to tell stands in `teams:`."""

from __future__ import annotations

from collections.abc import Iterator
from email.utils import parseaddr
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from detente.kernel.catalogue import Catalogue, Mistake
from detente.kernel.config import Address, Secret, Url


class Mail(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where mail is handed over, and in whose name."""

    server: Annotated[Address, Meta(description="your mail provider: smtp.example.com:587")]
    sender: Annotated[str, Meta(description="for example Détente <detente@example.com>")] = (
        msgspec.field(name="from")
    )
    user: Annotated[str | None, Meta(description="who signs on at the mail server")] = None
    password: Annotated[Secret | None, Meta(description="where it is found, by reference")] = None
    tls: Annotated[
        Literal["none", "starttls", "implicit"],
        Meta(description="starttls: encrypt after connecting; implicit: encrypted from the start"),
    ] = "starttls"


class Pager(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How teams are told about incidents."""

    mail: Mail | None = None


def mistakes(pager: Pager, catalogue: Catalogue) -> Iterator[Mistake]:
    """Teams that could not be told, and senders nobody could answer."""
    mail = pager.mail
    for name, team in catalogue.teams.items():
        for index, address in enumerate(team.mail):
            if not _is_address(address):
                says = f"{address} is not a mail address such as ops@example.com"
                yield Mistake(("teams", name, "mail", index), says)
        if team.mail and mail is None:
            says = (
                f"{name} is to be told by mail, and nothing says how mail is sent: declare"
                " `pager: {mail: {server: smtp.example.com:587, from: detente@example.com}}`"
            )
            yield Mistake(("teams", name, "mail"), says)
        if team.webhook is not None and not _is_web(team.webhook):
            says = "a webhook is an address that starts with https:// or http://"
            yield Mistake(("teams", name, "webhook"), says)
    if mail is None:
        return
    if not _is_address(mail.sender):
        says = f"{mail.sender} holds no mail address; write Détente <detente@example.com>"
        yield Mistake(("pager", "mail", "from"), says)
    if (mail.user is None) != (mail.password is None):
        there, missing = ("user", "password") if mail.password is None else ("password", "user")
        yield Mistake(("pager", "mail", there), f"a {there} without a {missing} is of no use")

    if mail.password is not None and mail.tls == "none" and not _is_here(mail.server.host):
        says = "without encryption everybody on the way could read the password; say starttls"
        yield Mistake(("pager", "mail", "tls"), says)


def _is_here(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")


def _is_address(written: str) -> bool:
    _, address = parseaddr(written)
    name, _, host = address.rpartition("@")
    return bool(name and host) and not any(each.isspace() for each in address)


def _is_web(written: str) -> bool:
    try:
        Url.read(written)
    except ValueError:
        return False
    return True
