"""What a number costs, and which one it is."""

import os
from pathlib import Path

from detente import toggles

TARIFFS = {"basic": 990, "flat": 1990, "business": 3990}
POOL = Path(os.environ["TELECOM_POOL"])
TOGGLE = "bring-your-number"
DISCOUNT = {"basic": 100, "flat": 200, "business": 400}


def price(tariff: str, *, brings_number: bool, customer: str) -> int:
    """Cents a month; less for those who bring their number along, once that is switched on."""
    if brings_number and toggles.on(TOGGLE, {"targetingKey": customer}):
        return TARIFFS[tariff] - DISCOUNT[tariff]
    return TARIFFS[tariff]


def number() -> str:
    """The next free number; from the spare range while the pool is away."""
    try:
        return f"+49 151 {int(POOL.read_text()) + os.getpid()}"
    except OSError:
        return f"+49 155 {os.getpid()}"
