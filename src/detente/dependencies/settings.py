"""What people write about dependencies: `dependencies:` in `detente.yaml`.

The map itself stands in the catalogue: `journeys`, `services`, `vendors`, `infrastructure` and their `needs`.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from detente.kernel.config import Duration, Percent, between


class Dependencies(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a point of the map is central, and what counts as falling together."""

    central: Annotated[
        Percent,
        Meta(
            description="a point is central, and changing it is warned about, when at least this"
            " share of the journeys, or of what they earn in a currency, falls with it"
        ),
        between("1%", "100%"),
    ] = Percent(0.5)
    fell_together: Annotated[
        Duration,
        Meta(description="outages that begin within this long are looked at as one moment"),
        between("1s", "1h"),
    ] = Duration(300)
    looks_back: Annotated[
        Duration,
        Meta(description="how far back outages tell how often each thing falls by itself"),
        between("1h", "90d"),
    ] = Duration(30 * 86_400)
