"""Are mistakes about telling people noticed at start?"""

from __future__ import annotations

import textwrap

import pytest

from detente.app import declared_type
from detente.app import mistakes as cross
from detente.kernel.catalogue import Catalogue, Team
from detente.kernel.config import Address, ConfigErrors, Secret, loads
from detente.pager.settings import Mail, Pager, mistakes

MAIL = Mail(server=Address("smtp.example.com:587"), sender="Détente <detente@example.com>")


def test_the_usual_is_right() -> None:
    """A team with mail and chat, and a mail server: no mistake."""
    ops = Team(mail=("ops@example.com",), webhook="https://chat.example.com/hooks/1")
    assert not list(mistakes(Pager(mail=MAIL), Catalogue(teams={"ops": ops})))
    assert not list(mistakes(Pager(), Catalogue()))


def test_mail_without_a_server() -> None:
    """A team that is to be told by mail needs somebody who takes the mail."""
    (mistake,) = mistakes(Pager(), Catalogue(teams={"ops": Team(mail=("ops@example.com",))}))
    assert mistake.path == ("teams", "ops", "mail")
    assert "pager: {mail:" in mistake.says


def test_addresses_that_are_none() -> None:
    """Each wrong address is named where it stands."""
    team = Team(mail=("ops@example.com", "ops at example"), webhook="chat.example.com")
    sender = Mail(server=MAIL.server, sender="Détente")
    found = list(mistakes(Pager(mail=sender), Catalogue(teams={"ops": team})))
    assert [each.path for each in found] == [
        ("teams", "ops", "mail", 1), ("teams", "ops", "webhook"), ("pager", "mail", "from"),
    ]  # fmt: skip


def test_half_a_login() -> None:
    """A user without a password, or the other way round, is a mistake."""
    half = Mail(server=MAIL.server, sender=MAIL.sender, user="detente")
    (mistake,) = mistakes(Pager(mail=half), Catalogue())
    assert mistake.path == ("pager", "mail", "user")
    other = Mail(server=MAIL.server, sender=MAIL.sender, password=Secret(env="X"))
    (mistake,) = mistakes(Pager(mail=other), Catalogue())
    assert mistake.path == ("pager", "mail", "password")


def test_a_password_in_the_open() -> None:
    """A password goes out encrypted, unless the mail server is on this machine."""
    secret = Secret(env="X")
    bare = Mail(server=MAIL.server, sender=MAIL.sender, user="d", password=secret, tls="none")
    (mistake,) = mistakes(Pager(mail=bare), Catalogue())
    assert mistake.path == ("pager", "mail", "tls")
    here = Mail(
        server=Address("127.0.0.1:25"), sender=MAIL.sender, user="d", password=secret, tls="none"
    )
    assert not list(mistakes(Pager(mail=here), Catalogue()))


def rota(text: str) -> list[tuple[object, ...]]:
    """Where the mistakes are that this section makes."""
    teams = "teams: {dev: {mail: [dev@example.com]}}\n"
    section = "pager:\n  mail: {server: smtp.example.com:587, from: d@example.com}\n"
    try:
        loads(teams + section + textwrap.indent(text, "  "), declared_type(), cross=cross)
    except ConfigErrors as wrong:
        return [each.path[1:] for each in wrong.mistakes]
    return []


RIGHT = """
people:
  ada: {title: Ada, mail: [ada@example.com], team: dev, away: [{from: 2026-12-24, until: 2027-01-02}]}
  bob: {webhook: "https://ring.example.com/bob"}
rota:
  on-call: {people: [ada, bob], changes: weekly on monday 09:00, timezone: Europe/Berlin}
overrides:
  - {from: 2026-12-24 09:00, until: 2026-12-27 09:00, person: bob}
escalation:
  - {after: 0s, tell: on-call}
  - {after: 5m, tell: dev}
  - {after: 15m, tell: everybody}
"""


def test_a_rota_as_people_write_it() -> None:
    """Names, turns, covers and steps, without a mistake."""
    assert rota(RIGHT) == []


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ("people: [ada, bob]", "people: [ada, bod]", ("rota", "on-call", "people", 1)),
        ("people: [ada, bob]", "people: []", ("rota", "on-call", "people")),
        ("Europe/Berlin", "Europe/Berlun", ("rota", "on-call", "timezone")),
        ("weekly on monday", "weekly", ("rota", "on-call", "changes")),
        ("team: dev", "team: dve", ("people", "ada", "team")),
        ('webhook: "https://ring.example.com/bob"', "title: Bob", ("people", "bob")),
        ("mail: [ada@example.com]", "mail: [ada]", ("people", "ada", "mail", 0)),
        ("until: 2027-01-02", "until: 2026-12-23", ("people", "ada", "away", 0, "until")),
        ("2026-12-27 09:00", "2026-12-24 09:00", ("overrides", 0, "until")),
        ("person: bob}", "person: eve}", ("overrides", 0, "person")),
        ("person: bob}", "person: bob, rota: on}", ("overrides", 0, "rota")),
        ("2026-12-24 09:00, until", "christmas, until", ("overrides", 0, "from")),
        ("tell: dev", "tell: dve", ("escalation", 1, "tell")),
        ("after: 5m", "after: 20m", ("escalation", 2, "after")),
        ("  bob: {w", "  dev: {w", ("people", "dev")),
    ],
)
def test_mistakes_in_a_rota_are_named_where_they_stand(
    old: str, new: str, where: tuple[object, ...]
) -> None:
    """One sentence, at the key that is wrong."""
    assert old in RIGHT
    assert where in rota(RIGHT.replace(old, new))
