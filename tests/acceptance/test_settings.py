"""What cannot be meant under `acceptance:` is told with its place."""

from __future__ import annotations

import pytest

from detente.app import declared_type, mistakes
from detente.kernel.config import ConfigErrors, loads

GOOD = """
services: {shop: {}}
acceptance:
  suites:
    smoke: {of: shop, path: tests, environment: {SHOP_LANGUAGE: nb}}
"""


@pytest.mark.parametrize(
    ("before", "instead", "says"),
    [
        ("SHOP_LANGUAGE: nb", '"A=B": x', "'A=B' is no name of a variable"),
        ("SHOP_LANGUAGE: nb", '"": x', "is no name of a variable"),
        ("SHOP_LANGUAGE: nb", 'A: "x\\0y"', "environment.A: no variable can hold the sign 0"),
        ("of: shop", "of: shup", "did you mean shop?"),
        ("path: tests", "path: tests, every: 1m", "needs `base_url: {production: https://…}`"),
    ],
)
def test_each_mistake_has_its_sentence(before: str, instead: str, says: str) -> None:
    """It names what to write instead."""
    loads(GOOD, declared_type(), cross=mistakes)
    with pytest.raises(ConfigErrors) as wrong:
        loads(GOOD.replace(before, instead), declared_type(), cross=mistakes)
    assert says in str(wrong.value)
