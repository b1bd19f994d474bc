"""Lengths of time, shares, prices, addresses and secrets, as people write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detente.kernel.config import (
    Address,
    Amount,
    Duration,
    Percent,
    Place,
    Secret,
    SecretMissing,
    Url,
)
from detente.kernel.money import Money


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("10s", 10),
        ("250ms", 0.25),
        ("5m", 300),
        ("2h", 7200),
        ("7d", 604_800),
        ("1m30s", 90),
        ("1.5h", 5400),
        ("0s", 0),
        ("1d2h3m4s5ms", 93_784.005),
    ],
)
def test_a_length_of_time(written: str, seconds: float) -> None:
    """A length of time is read to the second it means."""
    assert Duration.read(written) == seconds


@pytest.mark.parametrize(
    ("written", "says"),
    [
        (10, "say the unit, for example 10s"),
        (0, "say the unit, for example 10s"),
        ("10", "say the unit, for example 10s"),
        ("10 seconds", "write 10s"),
        ("5 min", "write 5m"),
        ("1 hour 30 minutes", "write 1h30m"),
        ("-5s", "cannot be negative"),
        ("10 months", "such as 10s, 5m or 1m30s"),
        ("30s1m", "found 30s1m"),
        ("soon", "found soon"),
        ("", "an empty text"),
        (True, "found true"),
        (None, "found nothing"),
        ([], "found a list"),
    ],
)
def test_no_length_of_time(written: Any, says: str) -> None:
    """What is no length of time is refused with the spelling that was probably meant."""
    with pytest.raises(ValueError, match=r"\w") as caught:
        Duration.read(written)
    assert says in str(caught.value)


@given(st.integers(0, 10_000_000_000))
def test_a_length_of_time_is_printed_as_it_is_read(milliseconds: int) -> None:
    """Printing a length of time and reading it again changes nothing."""
    length = Duration(milliseconds / 1000)
    assert Duration.read(str(length)) == length


@given(st.integers(0, 1_000_000))
def test_a_share_is_printed_as_it_is_read(millionths: int) -> None:
    """Printing a share and reading it again changes nothing."""
    share = Percent(millionths / 1_000_000)
    assert Percent.read(str(share)) == share


@pytest.mark.parametrize(
    ("written", "says"),
    [
        (99.9, "write 99.9%"),
        (0.999, "write 99.9%"),
        (250, "for example 99.9%"),
        ("101%", "from 0% to 100%"),
        ("99,9%", "found 99,9%"),
    ],
)
def test_no_share(written: Any, says: str) -> None:
    """A number without its sign, or out of bounds, is refused with the right spelling."""
    with pytest.raises(ValueError, match=r"\w") as caught:
        Percent.read(written)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "written", "says"),
    [
        (Address, "cardpay.example", "lacks a port"),
        (Address, "::1:80", "lacks a port"),
        (Address, "cardpay.example:99999", "from 1 to 65535"),
        (Address, "https://cardpay.example:443", "without scheme"),
        (Address, "[zz]:80", "not a host name"),
        (Address, "a b:80", "not a host name"),
        (Address, ["::1"], "in quotes"),
        (Url, "cardpay.example", "does not start with http:// or https://"),
        (Url, "ftp://cardpay.example", "does not start with"),
        (Url, "https://", "names no host"),
        (Url, "https://cardpay.example:port", "is not a URL"),
        (Url, "https://[::1", "is not a URL"),
        (Url, "https://a b", "no spaces"),
        (Url, 5, "found the number 5"),
        (Amount, 5, "5 of which currency? for example 5 EUR"),
        (Amount, "5", "such as 19.90 EUR"),
        (Amount, "5 euros", "such as 19.90 EUR"),
        (Amount, "19.999 EUR", "more digits"),
    ],
)
def test_other_slips(kind: Any, written: Any, says: str) -> None:
    """Every spelling says what to write instead."""
    with pytest.raises(ValueError, match=r"\w") as caught:
        kind.read(written)
    assert says in str(caught.value)


def test_addresses_urls_and_amounts() -> None:
    """What is written right means what it says."""
    assert (Address.read("[::1]:80").host, Address.read("[::1]:80").port) == ("::1", 80)
    assert Address.read("cardpay.example:443").port == 443
    assert Url.read("https://cardpay.example/x?y=1") == "https://cardpay.example/x?y=1"
    assert Amount.read("4000 EUR") == Money(400_000, "EUR")
    assert Amount.read("19.90 EUR") == Money(1_990, "EUR")


def test_a_secret_in_the_environment() -> None:
    """A secret is looked up when it is needed and never printed."""
    secret = Secret(env="CARDPAY_KEY", environ={"CARDPAY_KEY": "hunter2\n"})
    assert secret.reveal() == "hunter2"
    assert f"{secret}" == repr(secret) == "(secret from env CARDPAY_KEY)"
    with pytest.raises(SecretMissing, match="variable CARDPAY_KEY is not set"):
        Secret(env="CARDPAY_KEY", environ={}).reveal()


def test_a_secret_in_a_file(tmp_path: Path) -> None:
    """A secret's file is found beside the configuration; if it is not, the error names the place."""
    (tmp_path / "key").write_text("hunter2\n")
    assert Secret(file="key", beside=tmp_path).reveal() == "hunter2"
    with pytest.raises(SecretMissing, match=r"no secret can be read from .*nowhere"):
        Secret(file="nowhere", beside=tmp_path).reveal()
    (tmp_path / "key").write_bytes(b"\xff")
    with pytest.raises(SecretMissing, match="not text in UTF-8"):
        Secret(file="key", beside=tmp_path).reveal()


@pytest.mark.parametrize(
    "written",
    [
        "hunter2",
        "",
        {"env": "hunter 2"},
        {"file": ""},
        {"key": "hunter2"},
        ["hunter2"],
        5,
        None,
        {"env": "A", "file": "hunter2"},
        {"env": ["hunter2"]},
    ],
)
def test_a_secret_is_only_referred_to(written: Any) -> None:
    """Anything but a reference is refused, and never repeated."""
    with pytest.raises(ValueError, match=r"\w") as caught:
        Secret.read(written)
    assert "hunter" not in str(caught.value)


def test_a_dollar_sign_fills_nothing_in() -> None:
    """Who writes ${CARDPAY_KEY} for a secret is shown how to refer to it."""
    with pytest.raises(ValueError, match=r"write \{env: CARDPAY_KEY\}"):
        Secret.read("${CARDPAY_KEY}")


def test_a_place_lies_beside_the_file_that_names_it(tmp_path: Path) -> None:
    """Relative paths are looked up beside `detente.yaml`, wherever the node was started."""
    assert Place.read("tests/acceptance").within({}, tmp_path).path == tmp_path / "tests/acceptance"
    assert Place.read("/usr/bin/env").within({}, tmp_path).path == Path("/usr/bin/env")
    with pytest.raises(ValueError, match="expected a path such as"):
        Place.read("  ")
