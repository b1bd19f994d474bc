"""What people write about incidents: `incidents:` in `detente.yaml`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

from detente.kernel.catalogue import Catalogue, Service, Vendor, unknown
from detente.kernel.config import Duration, Mistake


class Incidents(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When an incident begins, and when it is over."""

    closes_after: Annotated[
        Duration,
        Meta(
            description="closed once everything has worked again for this long; longer if it flaps"
        ),
    ] = Duration(60)
    lead_in: Annotated[
        Duration, Meta(description="its timeline begins this long before the first failure")
    ] = Duration(300)
    looks_back: Annotated[
        Duration,
        Meta(description="how long before the first failure a change may have been its cause"),
    ] = Duration(7 * 86_400)
    retrospective_after: Annotated[
        Duration | None,
        Meta(description="incidents that lasted longer get a retrospective; by default none does"),
    ] = None
    answered_within: Annotated[
        Duration, Meta(description="a retrospective is overdue this long after it was opened")
    ] = Duration(7 * 86_400)
    opens_for: Annotated[
        tuple[str, ...],
        Meta(description="environments whose failures open an incident; others are only noted"),
    ] = ("production",)


def mistakes(incidents: Incidents, catalogue: Catalogue) -> Iterator[Mistake]:
    """Environments nobody declared, and things whose failure would open nothing."""
    shelves: dict[str, Mapping[str, Vendor | Service]] = {
        "vendors": catalogue.vendors,
        "services": catalogue.services,
    }
    declared = {
        name: environment
        for shelf in shelves.values()
        for entry in shelf.values()
        for name, environment in entry.environments.items()
    }
    for index, name in enumerate(incidents.opens_for):
        if name not in declared and name != "production":
            yield unknown(("incidents", "opens_for", index), "environment", name, declared)
    for noun, shelf in shelves.items():
        for name, entry in shelf.items():
            if entry.environments and not set(entry.environments) & set(incidents.opens_for):
                there = ", ".join(entry.environments)
                says = (
                    f"no failure of {name} would open an incident: it runs in {there}, and"
                    f" incidents.opens_for says {', '.join(incidents.opens_for) or 'nothing'}; add"
                    " the environment that customers use"
                )
                yield Mistake((noun, name, "environments"), says)
