"""Are mistakes about telling people noticed at start?"""

from __future__ import annotations

from detente.kernel.catalogue import Catalogue, Team
from detente.kernel.config import Address, Secret
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
