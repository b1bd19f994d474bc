"""At which address is it tested, where no other plugin says?"""

from __future__ import annotations

import pytest

from detente.acceptance.engine.surroundings import HERE


@pytest.fixture(scope="session")
def base_url(request: pytest.FixtureRequest) -> str:
    """The address of what is tested, in the place where the test runs."""
    here = request.config.stash[HERE]
    if not here.base_url:
        pytest.fail(
            f"nobody said at which address to test in {here.place}: set DETENTE_BASE_URL, or"
            " write base_url under the suite in detente.yaml",
            pytrace=False,
        )
    return here.base_url
