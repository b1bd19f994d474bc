"""What people write about the score: `scoreboard:` in `detente.yaml`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import msgspec
from msgspec import Meta

from detente.kernel.catalogue import Catalogue
from detente.kernel.config import Duration, Mistake, Percent, between


class Targets(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What each side is measured by, written down side by side. Neither is met at the other's cost."""

    deliveries: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="changes in production that a window should see: what Dev is asked for"),
    ] = None
    uptime: Annotated[
        Percent | None,
        Meta(description="the share of a window each journey should work: what Ops is asked for"),
    ] = None


class Scoreboard(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How both sides are counted."""

    window: Annotated[
        Duration, between("1h", "366d"), Meta(description="how far back the score looks")
    ] = Duration(30 * 86_400)
    targets: Targets = Targets()


def mistakes(scoreboard: Scoreboard, catalogue: Catalogue) -> Iterator[Mistake]:
    """A target for journeys where none is declared."""
    if scoreboard.targets.uptime is not None and not catalogue.journeys:
        says = "uptime is counted by journeys, and none is declared; add `journeys:`"
        yield Mistake(("scoreboard", "targets", "uptime"), says)
