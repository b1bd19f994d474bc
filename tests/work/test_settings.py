"""Is what cannot work said when the node starts?"""

from __future__ import annotations

import pytest

from detente.app import declared_type, mistakes
from detente.kernel.config import ConfigErrors, loads
from detente.work.settings import Size

DECLARED = """
vendors:
  cardpay: {title: CardPay}
work:
  SETTING
  routes:
    payments:
      vendor: cardpay
      to: http://cardpay.test
      ROUTE
"""


@pytest.mark.parametrize(
    ("setting", "route", "says"),
    [
        ("gateway_names: ['http://x']", "", "'http://x' is no name of a machine"),
        ("park_at_most: 1 TB", "", "expected a size such as 500MB or 1GB"),
        ("park_at_most: 500", "", "expected a size such as 500MB or 1GB"),
        ("", "statement: {reference: a, amount: b, currency: EUR, ours: order}", "such as /order"),
        (
            "",
            "statement: {reference: a, amount: b, currency: EUR, delimiter: ';;'}",
            "one sign stands",
        ),
        (
            "",
            "statement: {reference: a, amount: b, currency: EUR, delimiter: ',', decimal: ','}",
            "the same sign cannot stand",
        ),
        ("", "drill_at_most: forever", "expected a length of time"),
    ],
)
def test_settings_that_could_not_work(setting: str, route: str, says: str) -> None:
    """With the place and the remedy."""
    text = DECLARED.replace("SETTING", setting).replace("ROUTE", route)
    with pytest.raises(ConfigErrors, match="work") as errors:
        loads(text, declared_type(), cross=mistakes)
    assert says in str(errors.value)


@pytest.mark.parametrize(
    ("written", "size"), [("1GB", 10**9), ("500 MB", 5 * 10**8), ("1500kB", 1_500_000)]
)
def test_sizes(written: str, size: int) -> None:
    """As people write them, and back."""
    assert Size.read(written) == size
    assert Size.read(str(Size.read(written))) == size
