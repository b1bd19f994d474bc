"""What people write about promises: `sla:` in `detente.yaml`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta

from detente.kernel.catalogue import Catalogue, unknown
from detente.kernel.config import Duration, Mistake, Percent, between
from detente.kernel.money import Money


class Credit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One row of the contract's table: below this attainment, that share of the fee is owed."""

    below: Annotated[Percent, Meta(description="attained less than this")]
    owed: Annotated[Percent, Meta(description="the share of the fee that is then owed")]


class Promise(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a vendor's contract says about being there, as far as it can be counted."""

    vendor: Annotated[str, Meta(description="who promised it")]
    target: Annotated[Percent, Meta(description="the share of the period they promised to be up")]
    checks: Annotated[
        tuple[str, ...],
        Meta(description="what measures it; by default every production check of the vendor"),
    ] = ()
    down_when: Annotated[
        Literal["any", "all"],
        Meta(
            description="with several checks: down when any of them is down, or only when all are"
        ),
    ] = "any"
    period: Annotated[
        Literal["month", "quarter", "year"], Meta(description="what the contract counts by")
    ] = "month"
    timezone: Annotated[
        str, Meta(description="where the contract's months begin, for example Europe/Berlin")
    ] = "UTC"
    minimum_outage: Annotated[
        Duration, Meta(description="shorter outages do not count under the contract")
    ] = Duration(0)
    fee: Annotated[
        Money | None, Meta(description="what we pay for a period; credits are a share of it")
    ] = None
    credits: Annotated[
        tuple[Credit, ...], Meta(description="what is owed below which attainment, mildest first")
    ] = ()


class Sla(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What we were promised."""

    promises: Mapping[str, Promise] = {}
    checkpoint_every: Annotated[
        Duration,
        between("1s", "7d"),
        Meta(description="how often the ledger so far is summed up and signed"),
    ] = Duration(3600)
    origin: Annotated[
        str, Meta(description="the name under which checkpoints are signed; by default from `name`")
    ] = ""


def mistakes(sla: Sla, catalogue: Catalogue) -> Iterator[Mistake]:
    """Promises of nobody, in no time zone, with tables that contradict themselves."""
    for name, promise in sla.promises.items():
        here = ("sla", "promises", name)
        if promise.vendor not in catalogue.vendors:
            yield unknown((*here, "vendor"), "vendor", promise.vendor, catalogue.vendors)
        if not _is_zone(promise.timezone):
            yield _no_zone((*here, "timezone"), promise.timezone)
        yield from _unknown_checks(promise, here, catalogue)
        yield from _contradictions(promise, here)


def _contradictions(promise: Promise, here: tuple[str, ...]) -> Iterator[Mistake]:
    if promise.credits and promise.fee is None:
        says = "credits are a share of the fee; add `fee:`, for example 4000 EUR"
        yield Mistake((*here, "credits"), says)
    if promise.fee is not None and promise.fee.minor < 0:
        yield Mistake((*here, "fee"), "a fee is not negative")
    for index, (milder, harder) in enumerate(pairwise(promise.credits), start=1):
        where: tuple[str | int, ...] = (*here, "credits", index)
        if harder.below >= milder.below:
            says = f"{harder.below} comes after {milder.below}; write the mildest row first"
            yield Mistake((*where, "below"), says)
        elif harder.owed < milder.owed:
            says = f"owes {harder.owed}, less than the milder row before it ({milder.owed})"
            yield Mistake((*where, "owed"), says)


def _unknown_checks(
    promise: Promise, here: tuple[str, ...], catalogue: Catalogue
) -> Iterator[Mistake]:
    for index, check in enumerate(promise.checks):
        if check not in catalogue.measures:
            yield unknown((*here, "checks", index), "check", check, catalogue.measures)


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _no_zone(path: tuple[str | int, ...], said: str) -> Mistake:
    import difflib
    from zoneinfo import available_timezones

    near = difflib.get_close_matches(said, sorted(available_timezones()), n=1)
    hint = f"did you mean {near[0]}?" if near else "write it like Europe/Berlin or UTC"
    return Mistake(path, f"no time zone is called {said}; {hint}")
