"""What have people declared: who is there, and what needs what?

Services are ours, vendors are theirs; both run in environments, of which one is production and
others may be its twin for tests. Teams have people and addresses, and mail leaves in one way. Half of the slices ask the
catalogue, so it lives here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import combinations
from typing import Annotated

import msgspec
from msgspec import Meta

from detente.kernel import mailing
from detente.kernel.config import Mistake, Webhook
from detente.kernel.fact import Subject, kind, plain
from detente.kernel.money import Money
from detente.kernel.needs import Need, Needs

_TITLE = Meta(description="what people call it; by default its name")


class Team(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """People who are told, and how: dev, ops, business, the vendor's own support desk."""

    title: Annotated[str, _TITLE] = ""
    mail: Annotated[tuple[str, ...], Meta(description="addresses that get a mail each")] = ()
    webhook: Annotated[
        Webhook | None,
        Meta(description="a chat that takes JSON by POST: its address is a secret too"),
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


class Group(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A need that is not simply one name: some of several, or nothing that it would fall over."""

    any_of: Annotated[tuple[str, ...], Meta(description="one of these is enough")] = ()
    at_least: Annotated[
        Annotated[int, Meta(ge=1)] | None, Meta(description="so many of those in `of`")
    ] = None
    of: Annotated[tuple[str, ...], Meta(description="where `at_least` are needed")] = ()
    can_live_without: Annotated[
        tuple[str, ...], Meta(description="missed when they are down, and no more than that")
    ] = ()


_ONE = Meta(examples=["database"])
_SOME = Meta(examples=[{"any_of": ["db1", "db2"]}])

Needed = tuple[Annotated[str, _ONE] | Annotated[Group, _SOME], ...]

_NEEDS = Meta(
    description="what it cannot work without: names, or any_of, at_least/of, can_live_without"
)


class Infrastructure(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What things run on: a host, a database, a network, a sign-on server."""

    title: Annotated[str, _TITLE] = ""
    teams: Annotated[
        tuple[str, ...], Meta(description="told when it fails; nobody named means every team")
    ] = ()
    needs: Annotated[Needed, _NEEDS] = ()


class Journey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What people come for: buying, renewing a permit. Worth money while it can be done."""

    title: Annotated[str, _TITLE] = ""
    teams: Annotated[
        tuple[str, ...], Meta(description="told when it fails; nobody named means every team")
    ] = ()
    earns: Annotated[
        Money | None, Meta(description="what an hour of it is worth, for example 1200 EUR")
    ] = None
    needs: Annotated[Needed, _NEEDS] = ()


class Service(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something of our own. `needs` says what it cannot work without."""

    title: Annotated[str, _TITLE] = ""
    teams: Annotated[
        tuple[str, ...], Meta(description="told when it fails; nobody named means every team")
    ] = ()
    environments: Mapping[str, Environment] = {}
    needs: Annotated[Needed, _NEEDS] = ()


Entry = Vendor | Service | Infrastructure | Journey
"""What can be needed, or fall."""


class Measure(msgspec.Struct, frozen=True):
    """A check as the other slices know it: what it is about, and whether failing it is an outage."""

    of: Subject
    environment: str
    is_outage: bool


class Catalogue(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """Everything declared, by name."""

    mail: mailing.Mail | None = None
    teams: Mapping[str, Team] = {}
    vendors: Mapping[str, Vendor] = {}
    services: Mapping[str, Service] = {}
    infrastructure: Mapping[str, Infrastructure] = {}
    journeys: Mapping[str, Journey] = {}
    measures: Mapping[str, Measure] = {}  # by the name of the check
    names: Mapping[str, Mapping[str, object]] = {}
    """What slices declare that others refer to by name: `{"suite": {"smoke": …}}`."""

    @cached_property
    def entries(self) -> Mapping[Subject, Entry]:
        """Everything that can be needed or fall."""
        return {f"{noun}:{name}": entry for noun, _, name, entry in self._shelved()}

    def _shelved(self) -> Iterator[tuple[str, str, str, Entry]]:
        """(kind, section, name, entry) of everything that can be needed or fall."""
        shelves: tuple[tuple[str, str, Mapping[str, Entry]], ...] = (
            ("vendor", "vendors", self.vendors),
            ("service", "services", self.services),
            ("infrastructure", "infrastructure", self.infrastructure),
            ("journey", "journeys", self.journeys),
        )
        for noun, section, shelf in shelves:
            for name, entry in shelf.items():
                yield noun, section, name, entry

    @cached_property
    def needs(self) -> Needs:
        """What needs what, and what falls when this falls."""
        return Needs(
            {
                subject: tuple(self._need(each) for each in getattr(entry, "needs", ()))
                for subject, entry in self.entries.items()
            }
        )

    def _need(self, needed: str | Group) -> Need:
        if isinstance(needed, str):
            return Need(self._found((needed,)))
        if needed.can_live_without:
            return Need(self._found(needed.can_live_without), soft=True)
        if needed.at_least is not None:
            return Need(self._found(needed.of), at_least=needed.at_least)
        return Need(self._found(needed.any_of))

    def _found(self, names: tuple[str, ...]) -> tuple[Subject, ...]:
        return tuple(found for name in names if (found := self.find(name)))

    def title(self, subject: Subject) -> str:
        """What people call it: `vendor:cardpay` → 'CardPay'."""
        entry = self.entry(subject)
        return (entry.title if entry else "") or plain(subject)

    def entry(self, subject: Subject) -> Entry | Team | None:
        if kind(subject) == "team":
            return self.teams.get(plain(subject))
        return self.entries.get(subject)

    def find(self, name: str) -> Subject | None:
        """The subject people mean by a bare name: `cardpay` → `vendor:cardpay`."""
        return self._by_name.get(name)

    @cached_property
    def _by_name(self) -> Mapping[str, Subject]:
        return {name: f"{noun}:{name}" for noun, _, name, _ in reversed([*self._shelved()])}

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
        """What needs it, directly or through others, nearest first."""
        return self.needs.needing(subject)

    def mistakes(self) -> Iterator[Mistake]:
        """Teams nobody could write to, names that nothing answers to, twins of nobody."""
        yield from self._in_teams()
        for _, section, name, entry in self._shelved():
            for index, team in enumerate(entry.teams):
                if team not in self.teams:
                    yield unknown((section, name, "teams", index), "team", team, self.teams)
            for env, environment in getattr(entry, "environments", {}).items():
                twin = environment.twin_of
                where = (section, name, "environments", env, "twin_of")
                if twin == env:
                    yield Mistake(where, f"{env} cannot be the twin of itself")
                elif twin is not None and twin not in entry.environments:  # type: ignore[union-attr]
                    yield unknown(where, "environment", twin, entry.environments)  # type: ignore[union-attr]
            for index, need in enumerate(getattr(entry, "needs", ())):
                yield from self._in_need((section, name, "needs", index), name, need)
        for name, journey in self.journeys.items():
            if journey.earns is not None and journey.earns.minor < 0:
                yield Mistake(("journeys", name, "earns"), "an hour of it is worth nothing or more")
        yield from self._taken_twice()

    def _in_teams(self) -> Iterator[Mistake]:
        if self.mail is not None:
            yield from mailing.mistakes(self.mail)
        for name, team in self.teams.items():
            here = ("teams", name, "mail")
            yield from mailing.wrong_addresses(here, team.mail)
            if team.mail and self.mail is None:
                yield mailing.unsent(here, f"{name} is to be told")

    def _in_need(
        self, where: tuple[str | int, ...], name: str, need: str | Group
    ) -> Iterator[Mistake]:
        if isinstance(need, Group):
            yield from _contradictions(where, need)
        for place, needed in _names_in(where, need):
            if needed == name:
                yield Mistake(place, f"{name} cannot need itself")
            elif (found := self.find(needed)) is None:
                there = {**self.vendors, **self.services, **self.infrastructure}
                yield unknown(place, "service, vendor or infrastructure", needed, there)
            elif kind(found) == "journey":
                yield Mistake(
                    place, f"{needed} is a journey: journeys need things, never the reverse"
                )

    def _taken_twice(self) -> Iterator[Mistake]:
        for (first, _, name, _), (_, section, again, _) in combinations(self._shelved(), 2):
            if name == again:
                yield Mistake(
                    (section, name), f"{name} is also declared as {first}; rename one of them"
                )


def _names_in(
    where: tuple[str | int, ...], need: str | Group
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if isinstance(need, str):
        yield where, need
        return
    for field in ("any_of", "of", "can_live_without"):
        for index, name in enumerate(getattr(need, field)):
            yield (*where, field, index), name


def _contradictions(where: tuple[str | int, ...], need: Group) -> Iterator[Mistake]:
    said = [
        bool(need.any_of),
        bool(need.of) or need.at_least is not None,
        bool(need.can_live_without),
    ]
    if sum(said) != 1:
        yield Mistake(
            where, "say one of any_of, at_least with of, or can_live_without in each line of needs"
        )
    elif twice := next((name for name, times in _counted(need).items() if times > 1), None):
        yield Mistake(where, f"{twice} stands here twice; nothing is a spare of itself")
    elif need.of and need.at_least is None:
        yield Mistake((*where, "of"), "say how many of these are needed, with at_least")
    elif need.at_least is not None and not need.of:
        yield Mistake((*where, "at_least"), f"say of which {need.at_least} are needed, with of")
    elif need.at_least is not None and need.at_least > len(set(need.of)):
        yield Mistake(
            (*where, "at_least"), f"{need.at_least} of {len(set(need.of))} can never be met"
        )


def _counted(need: Group) -> Counter[str]:
    return Counter((*need.any_of, *need.of, *need.can_live_without))


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


def unknown_in(
    path: tuple[str | int, ...], what: str, said: Sequence[str], there: Mapping[str, object]
) -> Iterator[Mistake]:
    """The same of each name in a list."""
    for index, name in enumerate(said):
        if name not in there:
            yield unknown((*path, index), what, name, there)


def _declared(what: str, there: Mapping[str, object]) -> str:
    return f"declared: {', '.join(there)}" if there else f"no {what} is declared yet"
