"""Are mistakes about telling people noticed at start?"""

from __future__ import annotations

import textwrap

import pytest

from detente.app import declared_type
from detente.app import mistakes as cross
from detente.kernel.catalogue import Catalogue
from detente.kernel.config import Address, ConfigErrors, Webhook, loads
from detente.kernel.mailing import Mail
from detente.pager.settings import Pager, Person, mistakes

MAIL = Mail(server=Address("smtp.example.com:587"), sender="Détente <detente@example.com>")


def test_the_usual_is_right() -> None:
    """People with mail and a chat, and a mail server: no mistake."""
    people = {
        "ada": Person(mail=("ada@example.com",)),
        "bob": Person(webhook=Webhook.read({"env": "RING_BOB"})),
    }
    assert not list(mistakes(Pager(people=people), Catalogue(mail=MAIL)))
    assert not list(mistakes(Pager(), Catalogue()))


def test_somebody_is_paged_by_mail_and_nothing_says_how() -> None:
    """The place is named, and what is to be declared."""
    people = {"ada": Person(mail=("ada@example.com",))}
    (mistake,) = mistakes(Pager(people=people), Catalogue())
    assert mistake.path == ("pager", "people", "ada", "mail")
    assert "declare at the top of this file `mail: {server:" in mistake.says


def test_a_mail_server_of_its_own() -> None:
    """The old place names the new one."""
    with pytest.raises(ConfigErrors, match="declared once, under mail:"):
        loads("pager: {mail: {server: smtp.example.com:587}}", declared_type(), cross=cross)


def rota(text: str) -> list[tuple[object, ...]]:
    """Where the mistakes are that this section makes."""
    teams = "teams: {dev: {mail: [dev@example.com]}}\n"
    section = "mail: {server: smtp.example.com:587, from: d@example.com}\npager:\n"
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
