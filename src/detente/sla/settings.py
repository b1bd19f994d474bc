"""What people write about promises: `sla:` in `detente.yaml`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta

from detente.kernel.catalogue import Catalogue, unknown
from detente.kernel.config import Duration, Mistake, Percent, between
from detente.kernel.money import Money


class Within(str):
    """How long there is for a claim, written `30d`, `36h` or `10 business days`."""

    __slots__ = ()
    shape: ClassVar[dict[str, Any]] = {
        "type": "string",
        "pattern": r"^(?:[0-9.]+[a-z]+)+$|^[1-9][0-9]{0,2} business days?$",
        "examples": ["30d", "36h", "10 business days"],
    }

    @classmethod
    def read(cls, written: Any) -> Self:
        text = written.strip() if isinstance(written, str) else written
        if isinstance(text, str) and re.fullmatch(r"[1-9][0-9]{0,2} business days?", text):
            return cls(text)
        if not 0 < Duration.read(text) <= _LONGEST_CLAIM:
            raise ValueError(f"expected more than nothing and at most 3650d, found {text}")
        return cls(text)

    @property
    def business_days(self) -> int:
        """0 if it is not counted in business days."""
        return int(self.split()[0]) if "business" in self else 0

    @property
    def whole_days(self) -> int:
        """Days on the calendar, of which one may have 23 hours; 0 if it is not whole days."""
        found = re.fullmatch(r"(\d+)d", self)
        return int(found[1]) if found else 0

    @property
    def seconds(self) -> float:
        return float(Duration.read(str(self)))


_LONGEST_CLAIM = 3650 * 86_400


class EveryWeek(str):
    """A time of every week on the contract's clock, written `Sun 02:00 to Sun 04:00`."""

    __slots__ = ()
    days: ClassVar[tuple[str, ...]] = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    shape: ClassVar[dict[str, Any]] = {
        "type": "string",
        "pattern": "^{0} to {0}$".format(
            r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun) ([01]\d|2[0-3]|24(?=:00)):([0-5]\d)"
        ),
        "examples": ["Sun 02:00 to Sun 04:00"],
    }

    @classmethod
    def read(cls, written: Any) -> Self:
        if not isinstance(written, str) or not re.match(cls.shape["pattern"], written.strip()):
            raise ValueError(f"expected such as Sun 02:00 to Sun 04:00, found {written}")
        return cls(written.strip())

    @property
    def minutes(self) -> tuple[int, int]:
        """When it begins, in minutes since Monday's midnight, and how many minutes it lasts."""
        first, last = (self._minute(each) for each in self.split(" to "))
        return first, (last - first) % _A_WEEK or _A_WEEK

    def _minute(self, said: str) -> int:
        day, hour, minute = said[:3], said[4:6], said[7:]
        return (self.days.index(day) * 24 + int(hour)) * 60 + int(minute)


_A_WEEK = 7 * 24 * 60


class Dated(str):
    """One time on the contract's clock, written `2026-11-15 22:00 to 2026-11-16 02:00`."""

    __slots__ = ()
    shape: ClassVar[dict[str, Any]] = {
        "type": "string",
        "pattern": r"^{0} to {0}$".format(r"\d{4}-\d\d-\d\d \d\d:\d\d"),
        "examples": ["2026-11-15 22:00 to 2026-11-16 02:00"],
    }

    @classmethod
    def read(cls, written: Any) -> Self:
        like = "2026-11-15 22:00 to 2026-11-16 02:00"
        if not isinstance(written, str) or not re.match(cls.shape["pattern"], written.strip()):
            raise ValueError(f"expected such as {like}, found {written}")
        made = cls(written.strip())
        try:
            start, end = made.ends
        except ValueError:
            raise ValueError(f"there is no {written} in the calendar") from None
        if end <= start:
            raise ValueError(f"{written} ends before it begins; write it like {like}")
        return made

    @property
    def ends(self) -> tuple[datetime, datetime]:
        """Without their time zone, which is the contract's."""
        start, end = self.split(" to ")
        return datetime.fromisoformat(start), datetime.fromisoformat(end)


class Maintenance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A time that the contract sets aside. Either weekly or dated."""

    weekly: Annotated[
        EveryWeek | None, Meta(description="every week, for example Sun 02:00 to Sun 04:00")
    ] = None
    dated: Annotated[
        Dated | None, Meta(description="once: 2026-11-15 22:00 to 2026-11-16 02:00")
    ] = None


class Excludes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Downtime that the contract does not count."""

    maintenance: Annotated[
        tuple[Maintenance, ...],
        Meta(description="when they may be down for maintenance, in the contract's time zone"),
    ] = ()
    at_most: Annotated[
        Duration | None,
        Meta(
            description="this much downtime in these windows is left out of a period; more counts"
        ),
    ] = None


class Claim(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Until when, and where, a credit has to be claimed."""

    within: Annotated[
        Within | None, Meta(description="how long there is: 30d, or 10 business days")
    ] = None
    counted_from: Annotated[
        Literal["period end", "incident", "end of next month"],
        Meta(
            description="from the end of the period, from the first outage that counts, or from the"
            " end of the month after the period"
        ),
    ] = msgspec.field(name="from", default="period end")
    ticket_within: Annotated[
        Duration | None,
        Meta(description="they must have heard of each outage this soon after it began"),
    ] = None
    to: Annotated[str, Meta(description="where claims go, for example sla@cardpay.example")] = ""


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
    claim: Annotated[
        Claim | None, Meta(description="until when a credit has to be claimed, and where")
    ] = None
    excludes: Annotated[
        Excludes | None, Meta(description="downtime that the contract does not count")
    ] = None


class Sla(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What we were promised."""

    promises: Mapping[str, Promise] = {}
    checkpoint_every: Annotated[
        Duration,
        between("1s", "7d"),
        Meta(description="how often the ledger so far is summed up and signed"),
    ] = Duration(3600)
    origin: Annotated[
        str,
        Meta(
            pattern=r"^[^\s+]*$",
            description="the name under which checkpoints are signed; by default from `name`",
        ),
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
        yield from _unclear(promise, here)


def _unclear(promise: Promise, here: tuple[str, ...]) -> Iterator[Mistake]:
    """Claims without a deadline or a credit, and windows at no time."""
    claim, excludes = promise.claim, promise.excludes or Excludes()
    if claim is not None and claim.within is None and claim.counted_from != "end of next month":
        says = f"how long after the {claim.counted_from}? add `within:`, for example 30d"
        yield Mistake((*here, "claim"), says)
    if claim is not None and not promise.credits:
        says = "there is nothing to claim without `credits:`; write down the contract's table"
        yield Mistake((*here, "claim"), says)
    for index, window in enumerate(excludes.maintenance):
        if (window.weekly is None) == (window.dated is None):
            says = "say either weekly: Sun 02:00 to Sun 04:00, or dated: with a date on both sides"
            yield Mistake((*here, "excludes", "maintenance", index), says)
    if excludes.at_most is not None and not excludes.maintenance:
        says = "at most of what? add `maintenance:` with its windows"
        yield Mistake((*here, "excludes", "at_most"), says)


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
