"""What people write about releases: `releases:` in `detente.yaml`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta

from detente.kernel.catalogue import Catalogue, unknown, unknown_in
from detente.kernel.config import Duration, Mistake
from detente.kernel.mailing import unsent

Keys = tuple[str | int, ...]


class LocalTime(str):
    """A moment where the freeze is, written `2026-12-20 18:00` or `2026-12-20` for its midnight."""

    __slots__ = ()
    shape: ClassVar[dict[str, Any]] = {
        "type": "string",
        "pattern": r"^\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d)?$",
        "examples": ["2026-12-20 18:00", "2026-12-20"],
    }

    @classmethod
    def read(cls, written: Any) -> Self:
        text = str(written).strip()
        if not re.fullmatch(cls.shape["pattern"], text):
            raise ValueError(f"expected a moment such as 2026-12-20 18:00, found {text}")
        try:
            datetime.fromisoformat(text)
        except ValueError:
            raise ValueError(f"there is no {text} in the calendar") from None
        return cls(text)

    @property
    def moment(self) -> datetime:
        """Without its time zone, which stands beside it."""
        return datetime.fromisoformat(self)


class Weekly(str):
    """Some of every week, written `Fri 15:00 to Mon 06:00`."""

    __slots__ = ()
    days: ClassVar[tuple[str, ...]] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
    _written: ClassVar[str] = (
        r"^([A-Za-z]{3})[a-z]* (\d\d):(\d\d) (?:to|until|-) ([A-Za-z]{3})[a-z]* (\d\d):(\d\d)$"
    )
    shape: ClassVar[dict[str, Any]] = {
        "type": "string",
        "pattern": _written,
        "examples": ["Fri 15:00 to Mon 06:00"],
    }

    @classmethod
    def read(cls, written: Any) -> Self:
        made = cls(str(written).strip())
        if not re.match(cls._written, made) or not all(_is_week_minute(each) for each in made.ends):
            raise ValueError(f"expected such as Fri 15:00 to Mon 06:00, found {made}")
        return made

    @property
    def ends(self) -> tuple[int, int]:
        """Minutes since Monday's midnight at which it begins and ends; -1 for what is no time."""
        found = re.match(self._written, self)
        assert found is not None, "it was read"
        first, second = found.groups()[:3], found.groups()[3:]
        return self._minute(*first), self._minute(*second)

    @classmethod
    def _minute(cls, day: str, hour: str, minute: str) -> int:
        if day.lower() not in cls.days or int(hour) > 24 or int(minute) > 59:
            return -1
        return cls.days.index(day.lower()) * 1440 + int(hour) * 60 + int(minute)


def _is_week_minute(minute: int) -> bool:
    return 0 <= minute <= 7 * 1440


class TimeOfDay(str):
    """A time of the day, written `07:00`."""

    __slots__ = ()
    shape: ClassVar[dict[str, Any]] = {
        "type": "string",
        "pattern": r"^([01]\d|2[0-3]):[0-5]\d$",
        "examples": ["07:00"],
    }

    @classmethod
    def read(cls, written: Any) -> Self:
        if not isinstance(written, str) or not re.match(cls.shape["pattern"], written.strip()):
            raise ValueError(f"expected a time of the day such as 07:00, found {written}")
        return cls(written.strip())

    @property
    def minutes(self) -> int:
        return int(self[:2]) * 60 + int(self[3:])


class Command(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A program to run. It gets DETENTE_RELEASE, DETENTE_VERSION and DETENTE_PREVIOUS."""

    run: Annotated[
        tuple[str, ...],
        Meta(min_length=1, description="the program and its arguments, as a list: no shell"),
    ]
    timeout: Annotated[
        Duration, Meta(description="after this it is ended, with all that it started")
    ] = Duration(600)


Steps = tuple[str | Command, ...]

_WATCH_FOR = Duration(600)


class Watched(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is looked at after shipping, and for how long."""

    lasts: Annotated[Duration, Meta(description="how long, once it is in production")] = (
        msgspec.field(name="for", default=_WATCH_FOR)
    )
    checks: Annotated[tuple[str, ...], Meta(description="checks under `watch:`")] = ()
    acceptance: Annotated[
        tuple[str, ...], Meta(description="suites whose runs in production count")
    ] = ()
    routes: Annotated[tuple[str, ...], Meta(description="routes under `work:`")] = ()


class Shipped(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one of our services gets into production, and out of it again."""

    ship: Annotated[Command, Meta(description="brings DETENTE_VERSION into production")]
    back: Annotated[Command, Meta(description="brings DETENTE_PREVIOUS back; may be run twice")]
    repository: Annotated[
        str | None, Meta(description="its git repository: commands run there")
    ] = None
    version: Annotated[
        Command | None, Meta(description="prints the version that is in production now")
    ] = None
    gate: Annotated[
        Steps, Meta(description="must pass before it ships: acceptance suites by name, commands")
    ] = ()
    emergency: Annotated[
        Steps | None, Meta(description="the gate of an emergency, if it is a smaller one")
    ] = None
    verify: Annotated[
        Steps, Meta(description="must pass in production: acceptance suites by name, commands")
    ] = ()
    watch: Annotated[
        Watched | None, Meta(description="what is looked at afterwards; it goes back by itself")
    ] = None


class Freeze(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A time in which nothing is released, and why. Either from/until or weekly."""

    title: str
    reason: Annotated[str, Meta(description="what is told to whoever is stopped by it")]
    owner: Annotated[str, Meta(description="whom to ask")]
    starts: Annotated[LocalTime | None, Meta(description="for example 2026-12-20 18:00")] = (
        msgspec.field(name="from", default=None)
    )
    until: Annotated[LocalTime | None, Meta(description="for example 2027-01-04 06:00")] = None
    weekly: Annotated[Weekly | None, Meta(description="for example Fri 15:00 to Mon 06:00")] = None
    timezone: Annotated[
        str | None, Meta(description="where these times are; by default that of releases")
    ] = None
    services: Annotated[tuple[str, ...], Meta(description="nobody named means all of them")] = ()


class LeadTime(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long before its start a release is announced, by its kind. Emergencies need none."""

    standard: Duration = Duration(0)
    normal: Duration = Duration(0)


class MorningReport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What happened since yesterday, by mail, once a morning."""

    to: Annotated[tuple[str, ...], Meta(description="teams that get it")]
    at: Annotated[TimeOfDay, Meta(description="when, for example 07:00")] = TimeOfDay("07:00")
    timezone: Annotated[
        str | None, Meta(description="where that time is; by default that of releases")
    ] = None


class Releases(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How things get into production."""

    services: Annotated[
        Mapping[str, Shipped], Meta(description="services that are released from here")
    ] = {}
    freezes: Annotated[tuple[Freeze, ...], Meta(description="when nothing is released")] = ()
    must_know: Annotated[
        tuple[str, ...], Meta(description="teams that are told of every release")
    ] = ()
    lead_time: LeadTime = LeadTime()
    open_incidents: Annotated[
        Literal["stop", "warn"],
        Meta(description="what the gate does about an open incident of what the release touches"),
    ] = "stop"
    billing_code: Annotated[
        str | None, Meta(description="a regular expression that billing codes match")
    ] = None
    review_within: Annotated[
        Duration, Meta(description="when emergencies and exceptions are to be reviewed")
    ] = Duration(3 * 86_400)
    timezone: Annotated[
        str, Meta(description="where times without one are, for example Europe/Berlin")
    ] = "UTC"
    morning_report: MorningReport | None = None

    def zone_of(self, part: Freeze | MorningReport) -> str:
        return part.timezone or self.timezone


def mistakes(releases: Releases, catalogue: Catalogue) -> Iterator[Mistake]:
    """Names that nothing answers to, times that are none, patterns that cannot be read."""
    here = ("releases",)
    if not _is_zone(releases.timezone):
        yield _no_zone((*here, "timezone"), releases.timezone)
    yield from unknown_in((*here, "must_know"), "team", releases.must_know, catalogue.teams)
    for name, service in releases.services.items():
        yield from _in_service((*here, "services", name), name, service, catalogue)
    for index, freeze in enumerate(releases.freezes):
        yield from _in_freeze((*here, "freezes", index), freeze, releases, catalogue)
    yield from _in_report(releases.morning_report, catalogue)
    if releases.billing_code is not None and (why := _unreadable(releases.billing_code)):
        says = f"this is no regular expression ({why}); write for example [A-Z]{{2}}-\\d{{4}}"
        yield Mistake((*here, "billing_code"), says)


def _in_service(where: Keys, name: str, service: Shipped, all_: Catalogue) -> Iterator[Mistake]:
    if name not in all_.services:
        yield unknown(where, "service", name, all_.services)
    if service.watch is not None:
        checks = service.watch.checks
        yield from unknown_in((*where, "watch", "checks"), "check", checks, all_.measures)
        for part, what in (("acceptance", "suite"), ("routes", "route")):
            named, there = getattr(service.watch, part), all_.names.get(what, {})
            yield from unknown_in((*where, "watch", part), what, named, there)
        if service.watch.lasts <= 0:
            yield Mistake((*where, "watch", "for"), "a watch lasts longer than nothing; say 10m")
    for part in ("ship", "back", "version"):
        command = getattr(service, part)
        if command is not None:
            yield from _in_command((*where, part), command)
    for part in ("gate", "emergency", "verify"):
        for index, step in enumerate(getattr(service, part) or ()):
            if isinstance(step, Command):
                yield from _in_command((*where, part, index), step)
            elif step not in (suites := all_.names.get("suite", {})):
                yield unknown((*where, part, index), "suite", step, suites)


def _in_command(where: Keys, command: Command) -> Iterator[Mistake]:
    if not command.run[0].strip():
        yield Mistake((*where, "run"), "the first of the list is the program, such as ./ship.sh")
    if command.timeout <= 0:
        yield Mistake((*where, "timeout"), "a program needs some time; say 10m")


def _in_freeze(where: Keys, freeze: Freeze, all_: Releases, there: Catalogue) -> Iterator[Mistake]:
    dated = freeze.starts is not None or freeze.until is not None
    if dated == (freeze.weekly is not None):
        says = "say either from and until, or weekly: Fri 15:00 to Mon 06:00"
        yield Mistake(where, says)
    elif dated and (freeze.starts is None or freeze.until is None):
        missing = "until" if freeze.until is None else "from"
        yield Mistake(where, f"this lacks {missing}: a freeze has both ends")
    elif _is_backwards(freeze):
        yield Mistake((*where, "until"), f"{freeze.until} is not after {freeze.starts}")
    if freeze.timezone is not None and not _is_zone(freeze.timezone):
        yield _no_zone((*where, "timezone"), freeze.timezone)
    yield from unknown_in((*where, "services"), "service", freeze.services, there.services)


def _is_backwards(freeze: Freeze) -> bool:
    first, last = freeze.starts, freeze.until
    return first is not None and last is not None and last.moment <= first.moment


def _in_report(report: MorningReport | None, catalogue: Catalogue) -> Iterator[Mistake]:
    if report is None:
        return
    where = ("releases", "morning_report")
    yield from unknown_in((*where, "to"), "team", report.to, catalogue.teams)
    if catalogue.mail is None:
        yield unsent(where, "the report is sent")
    for index, team in enumerate(report.to):
        if team in catalogue.teams and not catalogue.teams[team].mail:
            says = f"{team} has no mail address; give it one under teams, or leave it out"
            yield Mistake((*where, "to", index), says)
    if report.timezone is not None and not _is_zone(report.timezone):
        yield _no_zone((*where, "timezone"), report.timezone)


def _unreadable(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        return str(error)
    return ""


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _no_zone(where: Keys, said: str) -> Mistake:
    return Mistake(where, f"no time zone is called {said}; write it like Europe/Berlin or UTC")
