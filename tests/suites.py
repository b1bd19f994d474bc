"""Where are the conformance suites? Beside the project, or where DETENTE_SUITES says.

They are other people's test data and no part of the project. Tests that want one are marked
`suite` and are skipped, with the reason, where it is not there.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent
PLACE = Path(os.environ.get("DETENTE_SUITES") or PROJECT.parent / "shared" / "suites")


def suite(name: str) -> Path:
    """The folder of that suite, whether it is there or not."""
    return PLACE / name


def wants(name: str) -> pytest.MarkDecorator:
    """For `pytestmark`: a module that wants that suite."""
    return pytest.mark.skipif(
        not suite(name).is_dir(),
        reason=f"the suite {name} is not in {PLACE}; set DETENTE_SUITES to where it is",
    )
