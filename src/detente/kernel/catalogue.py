"""What have people declared: who is there, and what needs what?

Services are ours, vendors are theirs; both run in environments, of which one is production and
others may be its twin for tests. Teams have people and addresses. Half of the slices ask the
catalogue, so it lives here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

from detente.kernel.fact import Subject, kind, plain

_TITLE = Meta(description="what people call it; by default its name")


class Mistake(msgspec.Struct, frozen=True):
    """Something wrong in `detente.yaml`: where (the keys that lead there) and what to do."""

    path: tuple[str | int, ...]
    says: str


class Team(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """People who are told, and how: dev, ops, business, the vendor's own support desk."""

    title: Annotated[str, _TITLE] = ""
    mail: Annotated[tuple[str, ...], Meta(description="addresses that get a mail each")] = ()
    webhook: Annotated[
        str | None, Meta(description="a chat that takes JSON by POST: its address is a secret too")
    ] = None


class Environment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One place where a service or vendor runs. `twin_of` names the environment it is the test of."""

    title: Annotated[str, _TITLE] = ""
    twin_of: Annotated[
        str | None, Meta(description="the environment that this one is the test of")
    ] = None


class Vendor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody else's service that we pay for and depend on."""

    title: Annotated[str, _TITLE] = ""
    teams: Annotated[
        tuple[str, ...], Meta(description="told when it fails; nobody named means every team")
    ] = ()
    environments: Mapping[str, Environment] = {}
    contact: Annotated[str, Meta(description="how people reach the vendor when it matters")] = ""


class Service(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something of our own. `needs` lists the services and vendors it cannot work without."""

    title: Annotated[str, _TITLE] = ""
    teams: Annotated[
        tuple[str, ...], Meta(description="told when it fails; nobody named means every team")
    ] = ()
    environments: Mapping[str, Environment] = {}
    needs: Annotated[
        tuple[str, ...], Meta(description="services and vendors it cannot work without")
    ] = ()


class Measure(msgspec.Struct, frozen=True):
    """A check as the other slices know it: what it is about, and whether failing it is an outage."""

    of: Subject
    environment: str
    is_outage: bool


class Catalogue(msgspec.Struct, frozen=True, kw_only=True):
    """Everything declared, by name."""

    teams: Mapping[str, Team] = {}
    vendors: Mapping[str, Vendor] = {}
    services: Mapping[str, Service] = {}
    measures: Mapping[str, Measure] = {}  # by the name of the check

    def title(self, subject: Subject) -> str:
        """What people call it: `vendor:cardpay` → 'CardPay'."""
        entry = self.entry(subject)
        return (entry.title if entry else "") or plain(subject)

    def entry(self, subject: Subject) -> Vendor | Service | Team | None:
        shelves: dict[str, Mapping[str, Vendor | Service | Team]] = {
            "vendor": self.vendors,
            "service": self.services,
            "team": self.teams,
        }
        return shelves.get(kind(subject), {}).get(plain(subject))

    def find(self, name: str) -> Subject | None:
        """The subject people mean by a bare name: `cardpay` → `vendor:cardpay`."""
        if name in self.vendors:
            return f"vendor:{name}"
        if name in self.services:
            return f"service:{name}"
        return None

    def in_production(self, subject: Subject, environment: str) -> bool:
        """Do customers depend on that environment of it? What names none is production."""
        places = getattr(self.entry(subject), "environments", {})
        return not environment or _is_production(places, environment)

    def measures_of(self, subject: Subject) -> tuple[str, ...]:
        """The checks whose failing is an outage of it in production, and not only of a test twin."""
        places = getattr(self.entry(subject), "environments", {})
        return tuple(
            name
            for name, measure in self.measures.items()
            if measure.of == subject
            and measure.is_outage
            and _is_production(places, measure.environment)
        )

    def teams_of(self, subject: Subject) -> tuple[str, ...]:
        """Who is told about it: the teams it names, or everybody."""
        entry = self.entry(subject)
        named = getattr(entry, "teams", ()) if entry else ()
        return named or tuple(self.teams)

    def needing(self, subject: Subject) -> tuple[Subject, ...]:
        """Services that need it, directly or through others, nearest first."""
        found: list[Subject] = []
        frontier = [subject]
        while frontier:
            here = frontier.pop(0)
            for name, service in self.services.items():
                candidate = f"service:{name}"
                if candidate in found or candidate == subject:
                    continue
                if plain(here) in service.needs:
                    found.append(candidate)
                    frontier.append(candidate)
        return tuple(found)

    def mistakes(self) -> Iterator[Mistake]:
        """Names that nothing answers to, names that mean two things, twins of nobody."""
        for shelf, entries in (("vendors", self.vendors), ("services", self.services)):
            for name, entry in entries.items():
                for index, team in enumerate(entry.teams):
                    if team not in self.teams:
                        yield unknown((shelf, name, "teams", index), "team", team, self.teams)
                for env, environment in entry.environments.items():
                    twin = environment.twin_of
                    where = (shelf, name, "environments", env, "twin_of")
                    if twin == env:
                        yield Mistake(where, f"{env} cannot be the twin of itself")
                    elif twin is not None and twin not in entry.environments:
                        yield unknown(where, "environment", twin, entry.environments)
        for name, service in self.services.items():
            if name in self.vendors:
                yield Mistake(
                    ("services", name), f"a vendor is called {name} too; rename one of them"
                )
            for index, need in enumerate(service.needs):
                if need == name:
                    yield Mistake(("services", name, "needs", index), f"{name} cannot need itself")
                elif self.find(need) is None:
                    there = {**self.vendors, **self.services}
                    yield unknown(
                        ("services", name, "needs", index), "service or vendor", need, there
                    )


def _is_production(places: Mapping[str, Environment], environment: str) -> bool:
    place = places.get(environment)
    return environment == "production" if place is None else place.twin_of is None


def unknown(
    path: tuple[str | int, ...], what: str, said: str, there: Mapping[str, object]
) -> Mistake:
    """'no team is called dve; did you mean dev?'"""
    import difflib

    near = difflib.get_close_matches(said, there, n=1)
    hint = f"did you mean {near[0]}?" if near else _declared(what, there)
    return Mistake(path, f"no {what} is called {said}; {hint}")


def _declared(what: str, there: Mapping[str, object]) -> str:
    return f"declared: {', '.join(there)}" if there else f"no {what} is declared yet"
