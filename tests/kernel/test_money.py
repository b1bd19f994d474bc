"""Money is exact, or it is refused."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detente.kernel.money import MOST, Money, digits_of, money, total

currencies = st.sampled_from(["EUR", "USD", "JPY", "KWD", "CLF"])
minors = st.integers(-MOST, MOST)
amounts = st.builds(Money, minors, currencies)


@given(minors, currencies)
def test_an_amount_comes_back_from_its_digits(minor: int, currency: str) -> None:
    """Written with as many digits as the currency has coins for, an amount is read exactly."""
    written = f"{Decimal(minor).scaleb(-digits_of(currency)):f}"
    assert money(written, currency) == Money(minor, currency)
    assert money(minor, currency, unit="minor") == Money(minor, currency)


@pytest.mark.parametrize(
    ("amount", "currency", "said"),
    [
        ("19.9", "EUR", "19.90 EUR"),
        ("-0.05", "EUR", "-0.05 EUR"),
        ("500", "JPY", "500 JPY"),
        ("1.234", "KWD", "1.234 KWD"),
        ("1.2345", "CLF", "1.2345 CLF"),
        ("1234567.89", "USD", "1\u202f234\u202f567.89 USD"),
    ],
)
def test_how_amounts_are_said(amount: str, currency: str, said: str) -> None:
    """The digits follow ISO 4217; thousands are set apart by narrow spaces."""
    assert str(money(amount, currency)) == said


@pytest.mark.parametrize(
    ("amount", "currency"),
    [
        ("0.001", "EUR"),
        ("0.5", "JPY"),
        ("1.0000000000000000000000000000000000001", "EUR"),
        ("123456789012345678901234567890123456789012345678901234567890123.01", "EUR"),
        ("1e400000", "EUR"),
        ("1e999999999999", "EUR"),
        ("1e-999999", "EUR"),
        ("10000000000000.01", "EUR"),
        ("1_000", "EUR"),
        ("NaN", "EUR"),
        ("sNaN", "EUR"),
        ("Infinity", "EUR"),
        ("", "EUR"),
        ("12,50", "EUR"),
        ("1", "eur"),
        ("1", "EURO"),
        ("1", "E1R"),
        ("1", "ÄÖÜ"),
        ("1", ""),
    ],
)
def test_what_is_no_amount_is_refused(amount: str, currency: str) -> None:
    """Nothing is rounded, nothing grows without bound, and the refusal is short."""
    with pytest.raises(ValueError, match=r"is not|has more digits|more than any call") as refusal:
        money(amount, currency)
    assert len(str(refusal.value)) < 120


def test_currencies_do_not_add_up() -> None:
    """Euros and yen have no sum."""
    assert Money(1, "EUR") + Money(2, "EUR") == Money(3, "EUR")
    with pytest.raises(ValueError, match="cannot add JPY to EUR"):
        Money(1, "EUR") + Money(2, "JPY")


@given(st.lists(amounts), st.lists(amounts))
def test_totals_add_up(some: list[Money], others: list[Money]) -> None:
    """The total of two lists is the total of their totals: exact, one a currency, in order."""
    both = total([*some, *others])
    assert both == total([*total(some), *total(others)])
    assert [each.currency for each in both] == sorted({each.currency for each in [*some, *others]})
    for each in both:
        parts = [other.minor for other in [*some, *others] if other.currency == each.currency]
        assert each.minor == sum(parts)
