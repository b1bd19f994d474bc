"""What people write about telling people: `pager:` in `detente.yaml`. Whom to tell stands in `teams:`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, time
from typing import Annotated, Any, ClassVar, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta

from detente.kernel.catalogue import Catalogue, unknown
from detente.kernel.clock import Instant, instant
from detente.kernel.config import Duration, Mistake, Webhook
from detente.kernel.mailing import MOVED, unsent, wrong_addresses

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
EVERYBODY = "everybody"

_CHANGES = re.compile(
    rf"(?:(?P<daily>daily)|(?P<weekly>weekly)|every (?P<count>[1-9][0-9]?) (?P<unit>days|weeks))"
    rf"(?: on (?P<day>{'|'.join(DAYS)}))?(?: at)? (?P<hour>[0-9]{{1,2}}):(?P<minute>[0-9]{{2}})"
)


class Changes(str):
    """When one turn ends and the next begins, written `weekly on monday 09:00`, `daily 08:00`."""

    __slots__ = ()
    shape: ClassVar[dict[str, Any]] = {
        "type": "string",
        "examples": ["weekly on monday 09:00", "daily 08:00", "every 2 weeks on friday 12:00"],
    }

    @classmethod
    def read(cls, written: Any) -> Self:
        text = " ".join(str(written).lower().split()) if isinstance(written, str) else ""
        found = _CHANGES.fullmatch(text)
        if found is None or int(found["hour"]) > 23 or int(found["minute"]) > 59:
            raise ValueError(
                "expected when turns change, such as weekly on monday 09:00, daily 08:00 or"
                " every 2 weeks on friday 12:00"
            )
        weeks = bool(found["weekly"]) or found["unit"] == "weeks"
        if weeks != bool(found["day"]):
            raise ValueError(
                "say on which day a week begins, such as weekly on monday 09:00"
                if weeks
                else "a day of the week goes with weeks, such as weekly on monday 09:00"
            )
        return cls(text)

    @property
    def _parts(self) -> re.Match[str]:
        found = _CHANGES.fullmatch(self)
        assert found is not None, "only `read` makes one"
        return found

    @property
    def days(self) -> int:
        """How long a turn is."""
        found = self._parts
        weeks = bool(found["weekly"]) or found["unit"] == "weeks"
        return int(found["count"] or 1) * (7 if weeks else 1)

    @property
    def weekday(self) -> int | None:
        day = self._parts["day"]
        return DAYS.index(day) if day else None

    @property
    def at(self) -> time:
        return time(int(self._parts["hour"]), int(self._parts["minute"]))


class Moment(str):
    """A moment by the clock on the wall of a rota, written `2026-12-24 09:00`, or a day's beginning."""

    __slots__ = ()
    shape: ClassVar[dict[str, Any]] = {
        "type": "string",
        "examples": ["2026-12-24 09:00", "2026-12-24"],
    }

    @classmethod
    def read(cls, written: Any) -> Self:
        text = str(written).strip()
        try:
            if datetime.fromisoformat(text).tzinfo is None:
                return cls(text)
        except ValueError:
            pass
        raise ValueError(
            "expected a moment such as 2026-12-24 09:00, without a time zone: it is the rota's"
        )

    @property
    def local(self) -> datetime:
        return datetime.fromisoformat(self)

    def within(self, zone: str) -> Instant:
        """The point in time which that is there."""
        return instant(self.local.replace(tzinfo=ZoneInfo(zone)))


class Away(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody cannot be paged: from then until then."""

    starts: Annotated[Moment, Meta(description="for example 2026-12-24")] = msgspec.field(
        name="from"
    )
    until: Annotated[Moment, Meta(description="for example 2027-01-02")]


class Person(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody who can be paged, of either side."""

    title: Annotated[str, Meta(description="what people call them; by default their name")] = ""
    mail: Annotated[tuple[str, ...], Meta(description="addresses that get a mail each")] = ()
    webhook: Annotated[
        Webhook | None, Meta(description="a service that makes their phone ring: JSON by POST")
    ] = None
    team: Annotated[str | None, Meta(description="the team they belong to")] = None
    away: Annotated[
        tuple[Away, ...], Meta(description="when they cannot be paged, such as holidays")
    ] = ()


class Rota(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """People who take turns, from both sides."""

    people: Annotated[tuple[str, ...], Meta(description="in the order of their turns")]
    changes: Annotated[Changes, Meta(description="when the next one's turn begins")]
    timezone: Annotated[str, Meta(description="where that clock hangs, such as Europe/Berlin")] = (
        "UTC"
    )
    begins: Annotated[
        Moment | None, Meta(description="the day of the first one's first turn; before it, nobody")
    ] = None


class Override(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody covers for whoever's turn it is."""

    person: Annotated[str, Meta(description="who is on call instead")]
    starts: Annotated[Moment, Meta(description="for example 2026-12-24 09:00")] = msgspec.field(
        name="from"
    )
    until: Annotated[Moment, Meta(description="for example 2026-12-27 09:00")]
    rota: Annotated[str | None, Meta(description="which rota, if there are several")] = None


class Step(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who is paged when nobody has it yet."""

    after: Annotated[Duration, Meta(description="so long after the incident was opened")]
    tell: Annotated[
        str, Meta(description="a rota (whoever is on call), a person, a team, or everybody")
    ]


class Pager(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How teams are told about incidents, and who is paged until somebody has it."""

    moved: ClassVar[Mapping[str, str]] = {"mail": MOVED}

    people: Mapping[str, Person] = {}
    rota: Mapping[str, Rota] = {}
    overrides: tuple[Override, ...] = ()
    escalation: tuple[Step, ...] = ()

    @property
    def steps(self) -> tuple[Step, ...]:
        """As written; with rotas and nothing written, whoever is on call first hears at once."""
        if self.escalation or not self.rota:
            return self.escalation
        return (Step(after=Duration(0), tell=next(iter(self.rota))),)

    def rota_of(self, override: Override) -> str:
        """Which rota is meant: the one it names, or the only one."""
        return override.rota or next(iter(self.rota), "")


def mistakes(pager: Pager, catalogue: Catalogue) -> Iterator[Mistake]:
    """People who could not be paged, turns of nobody, steps that reach nobody."""
    yield from _people(pager, catalogue)
    yield from _rotas(pager)
    yield from _overrides(pager)
    yield from _steps(pager, catalogue)


def _people(pager: Pager, catalogue: Catalogue) -> Iterator[Mistake]:
    for name, person in pager.people.items():
        here = ("pager", "people", name)
        if name in catalogue.teams or name in pager.rota or name == EVERYBODY:
            says = f"{name} also means a team, a rota or everybody; pages need one name for each"
            yield Mistake(here, says)
        if person.team is not None and person.team not in catalogue.teams:
            yield unknown((*here, "team"), "team", person.team, catalogue.teams)
        if not person.mail and not person.webhook:
            yield Mistake(here, f"{name} could not be paged: add `mail:` or `webhook:`")
        yield from wrong_addresses((*here, "mail"), person.mail)
        if person.mail and catalogue.mail is None:
            yield unsent((*here, "mail"), f"{name} is to be paged")
        for index, away in enumerate(person.away):
            yield from _backwards((*here, "away", index), away)


def _rotas(pager: Pager) -> Iterator[Mistake]:
    for name, rota in pager.rota.items():
        here = ("pager", "rota", name)
        if not rota.people:
            yield Mistake((*here, "people"), "nobody takes turns; name at least one person")
        for index, person in enumerate(rota.people):
            if person not in pager.people:
                yield unknown((*here, "people", index), "person", person, pager.people)
        if not _is_zone(rota.timezone):
            says = f"no time zone is called {rota.timezone}; write it like Europe/Berlin or UTC"
            yield Mistake((*here, "timezone"), says)


def _overrides(pager: Pager) -> Iterator[Mistake]:
    for index, override in enumerate(pager.overrides):
        here = ("pager", "overrides", index)
        if override.person not in pager.people:
            yield unknown((*here, "person"), "person", override.person, pager.people)
        if override.rota is None and len(pager.rota) != 1:
            yield Mistake(here, f"say which rota: {', '.join(pager.rota) or 'none is declared'}")
        elif override.rota is not None and override.rota not in pager.rota:
            yield unknown((*here, "rota"), "rota", override.rota, pager.rota)
        yield from _backwards(here, override)


def _backwards(here: tuple[str | int, ...], some: Away | Override) -> Iterator[Mistake]:
    if some.until.local <= some.starts.local:
        says = f"{some.until} is not after {some.starts}; it has to end after it began"
        yield Mistake((*here, "until"), says)


def _steps(pager: Pager, catalogue: Catalogue) -> Iterator[Mistake]:
    there = {**pager.rota, **pager.people, **catalogue.teams, EVERYBODY: None}
    for index, step in enumerate(pager.escalation):
        here = ("pager", "escalation", index)
        if step.tell not in there:
            yield unknown((*here, "tell"), "rota, person or team", step.tell, there)
        if index and step.after < pager.escalation[index - 1].after:
            yield Mistake((*here, "after"), "steps come in the order of their times")


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
