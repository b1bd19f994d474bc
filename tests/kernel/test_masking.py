"""What is for the vendor alone is shown to nobody else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detente.kernel import masking


@pytest.mark.parametrize(
    "name",
    [
        "token", "refresh_token", "clientSecret", "passwd", "Authorization", "X-Vendor-Key", "cvv2",
        "Ocp-Apim-Subscription-Key", "track2", "securityCode", "access_token", "api%5Fkey", "PAN",
    ],
)  # fmt: skip
def test_names_of_secrets_are_known(name: str) -> None:
    """However it is spelt, a field that holds a secret is hidden."""
    assert masking.is_secret(name)


@pytest.mark.parametrize("name", ["amount", "currency", "reference", "Idempotency-Key", "monkey"])
def test_what_is_no_secret_stays_readable(name: str) -> None:
    """People must still be able to see what a call is about."""
    assert not masking.is_secret(name)


def test_a_body_is_shown_without_its_secrets() -> None:
    """Named fields, card numbers in any text, and what the caller must not know."""
    body = b'{"cardNumber": 1, "note": "pan 4111 1111 1111 1111 please", "n": 4111111111111111,'
    body += b' "echo": "X-Key: s3cr3t", "amount": 4990, "list": [{"refresh_token": "a"}]}'
    shown = masking.body(body, secrets=["s3cr3t"])
    for secret in ("4111 1111", "4111111111111111", "s3cr3t", '"a"'):
        assert secret not in shown
    assert "4990" in shown
    assert "1111 please" in shown


def test_a_path_keeps_its_shape() -> None:
    """Values of secret parameters go, everything else stays."""
    said = masking.address("https://me:pw@api.example/x?api_key=S&a=1&card=4111111111111111#z")
    assert said == "https://api.example/x?api_key=•••&a=1&card=•••#z"


def test_what_programs_print_is_shown_without_their_secrets() -> None:
    """Lines of an environment, words of a command, and what was named; everything else stays."""
    said = "API_TOKEN=two words\nexport DB_PASSWORD='x'\n+ PGPASSWORD=x5 psql --rows=5\nHOME=/root\nthe s3cr3t"
    shown = masking.printed(said, ["the s3cr3t"])
    assert shown == (
        "API_TOKEN=•••\nexport DB_PASSWORD=•••\n+ PGPASSWORD=••• psql --rows=5\nHOME=/root\n•••"
    )


def test_strange_bodies_are_shown_by_their_size() -> None:
    """Half a character and a thousand brackets break no page."""
    assert masking.body(b'{"a":"\\ud800"}')
    assert "bytes" in masking.body(b"[" * 5000 + b"]" * 5000)
    assert masking.body(b"\xff") == "(1 bytes, not JSON)"


@given(st.binary())
def test_any_body_can_be_shown(content: bytes) -> None:
    """Whatever arrived, a page can show it."""
    masking.body(content).encode()
