"""Where do the tests run just now, and as whom?"""

from __future__ import annotations

import pytest

from detente.acceptance.engine.account import Accounts
from detente.acceptance.engine.identity import Marked


class Surroundings:
    """What the fixtures answer; a suite that is kept warm gets others for every run."""

    def __init__(self, place: str, base_url: str, accounts: Accounts) -> None:
        self.place = place
        self.base_url = base_url
        self.accounts = accounts
        self.tests: dict[str, Marked] = {}  # by node id


HERE = pytest.StashKey[Surroundings]()
