"""What a number costs, and which one it is."""

import os
from pathlib import Path

TARIFFS = {"basic": 990, "flat": 1990, "business": 3990}
POOL = Path(os.environ["TELECOM_POOL"])
DISCOUNT = {"basic": 100}


def price(tariff: str, *, brings_number: bool, customer: str) -> int:
    """Cents a month; less for those who bring their number along."""
    return TARIFFS[tariff] - (DISCOUNT[tariff] if brings_number else 0)


def number() -> str | None:
    """The next free number, out of the pool that all shops share."""
    try:
        return f"+49 151 {int(POOL.read_text()) + os.getpid()}"
    except OSError:
        return None
