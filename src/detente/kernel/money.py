"""How much, in which currency?

Amounts are whole minor units (cents), never floats, so sums are exact. The number of digits after
the point follows ISO 4217.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow
from typing import Literal

import msgspec

# ISO 4217 currencies whose minor unit is not a hundredth.
_DIGITS = {
    **dict.fromkeys(
        [
            "BIF",
            "CLP",
            "DJF",
            "GNF",
            "ISK",
            "JPY",
            "KMF",
            "KRW",
            "PYG",
            "RWF",
            "UGX",
            "UYI",
            "VND",
            "VUV",
            "XAF",
            "XOF",
            "XPF",
        ],
        0,
    ),
    **dict.fromkeys(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"], 3),
    **dict.fromkeys(["CLF", "UYW"], 4),
}


MOST = 10**15
"""More minor units than any one call is worth. Sums of amounts up to here stay exact in SQL."""


class Money(msgspec.Struct, frozen=True, order=True):
    """An exact amount: `minor` whole minor units of the ISO 4217 `currency`."""

    minor: int
    currency: str

    def __str__(self) -> str:
        digits = digits_of(self.currency)
        whole = Decimal(self.minor).scaleb(-digits)
        return f"{whole:,.{digits}f} {self.currency}".replace(",", "\N{NARROW NO-BREAK SPACE}")

    def __add__(self, other: Money) -> Money:
        if other.currency != self.currency:
            raise ValueError(f"cannot add {other.currency} to {self.currency}")
        return Money(self.minor + other.minor, self.currency)


_EXACT = Context(prec=60, traps=[Inexact, InvalidOperation, Overflow])


def digits_of(currency: str) -> int:
    """How many digits stand after the point."""
    return _DIGITS.get(currency, 2)


def money(
    amount: str | int | Decimal, currency: str, *, unit: Literal["minor", "major"] = "major"
) -> Money:
    """'19.90', 'EUR' → 1990 minor units; with `unit="minor"` the amount is in those already.

    ValueError if it has more digits than coins exist, or is no amount at all.
    """
    if len(currency) != 3 or not (currency.isascii() and currency.isalpha() and currency.isupper()):
        raise ValueError(f"{currency!r} is not an ISO 4217 code such as EUR")
    said = str(amount)[:40]
    try:
        minor = Decimal(amount).scaleb(0 if unit == "minor" else digits_of(currency), _EXACT)
    except ArithmeticError:
        raise ValueError(f"{said!r} is not an amount such as 19.90") from None
    if not minor.is_finite() or "_" in said:
        raise ValueError(f"{said!r} is not an amount such as 19.90")
    if abs(minor) > MOST:
        raise ValueError(f"{said} {currency} is more than any call is worth")
    if minor != minor.to_integral_value():
        raise ValueError(f"{said} {currency} has more digits than {currency} has coins for")
    return Money(int(minor), currency)


def total(amounts: Iterable[Money]) -> tuple[Money, ...]:
    """One sum a currency, in the order of the currencies' codes."""
    sums: dict[str, int] = {}
    for each in amounts:
        sums[each.currency] = sums.get(each.currency, 0) + each.minor
    return tuple(Money(minor, currency) for currency, minor in sorted(sums.items()))
