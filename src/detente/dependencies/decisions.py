"""What does a change put at risk, and which things fell together that share nothing declared?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from detente.dependencies.engine import together
from detente.dependencies.engine.points import Atlas, is_central
from detente.dependencies.engine.together import Burst
from detente.facts.dependencies import ChangeDropped, ChangePlanned, ChangeRecorded, Suspected
from detente.kernel.catalogue import Catalogue
from detente.kernel.clock import Instant, instant
from detente.kernel.config.words import brief, listed, nearest
from detente.kernel.fact import Fact, Subject
from detente.kernel.forms import BadForm, within_ten_years
from detente.kernel.money import Money
from detente.kernel.needs import Needs

_LIKE = "write it like 2026-11-28 06:00, in UTC, or with an offset: 2026-11-28 06:00+01:00"


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody says of a change."""

    title: str
    touches: tuple[Subject, ...] = ()
    at: Instant | None = None  # None: just now
    link: str = ""


class Risk(msgspec.Struct, frozen=True, kw_only=True):
    """What falls if what is touched does not come up again, and who must know."""

    central: tuple[Subject, ...] = ()
    falls: tuple[Subject, ...] = ()
    an_hour: tuple[Money, ...] = ()
    tell: tuple[Subject, ...] = ()


# -- changes ---------------------------------------------------------------------------------------


def risk(atlas: Atlas, touches: Sequence[Subject], central_from: float) -> Risk:
    """What the map says of touching these, all at once."""
    if not touches:
        return Risk()
    fall = atlas.fall(*touches)
    alone = [atlas.fall(each) for each in dict.fromkeys(touches)]
    central = tuple(each.down[0] for each in alone if is_central(each, central_from))
    concerned = (*touches, *(each.node for each in fall.fallen))
    teams = {team: None for each in concerned for team in atlas.catalogue.teams_of(each)}
    return Risk(
        central=central,
        falls=fall.journeys,
        an_hour=fall.an_hour,
        tell=tuple(f"team:{name}" for name in teams),
    )


def record(about: Subject, said: Said, risk: Risk, now: Instant) -> list[Fact]:
    """It is planned if its time is yet to come, and was made otherwise."""
    if said.at is not None and said.at > now:
        return [_planned(about, said, risk, said.at)]
    return [_made(about, said, risk, said.at)]


def made(about: Subject, said: Said, risk: Risk) -> list[Fact]:
    """What was planned has been made; the map may have changed since, so it is asked again."""
    return [_made(about, said, risk, said.at)]


def drop(about: Subject, why: str) -> list[Fact]:
    return [ChangeDropped(about=about, why=why)]


def _planned(about: Subject, said: Said, risk: Risk, starts: Instant) -> ChangePlanned:
    return ChangePlanned(
        about=about, title=said.title, touches=said.touches, starts=starts, link=said.link,
        central=risk.central, falls=risk.falls, an_hour=risk.an_hour, tell=risk.tell,
    )  # fmt: skip


def _made(about: Subject, said: Said, risk: Risk, since: Instant | None) -> ChangeRecorded:
    return ChangeRecorded(
        about=about, title=said.title, touches=said.touches, since=since, link=said.link,
        central=risk.central, falls=risk.falls, an_hour=risk.an_hour, tell=risk.tell,
    )  # fmt: skip


# -- what people write -----------------------------------------------------------------------------


def when(said: str, now: Instant, field: str = "at") -> Instant:
    """A point in time as people and programs write it. Raises BadForm."""
    try:
        read = datetime.fromisoformat(said.strip())
        at = instant(read if read.tzinfo else read.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        raise BadForm(f"{field}: “{brief(said)}” is not a time; {_LIKE}.") from None
    return within_ten_years(at, now, field)


def subjects(said: str | Iterable[str], catalogue: Catalogue, field: str) -> tuple[Subject, ...]:
    """The declared things of these names, separated by commas. Raises BadForm for an unknown one."""
    names = said.split(",") if isinstance(said, str) else said
    cleaned = (name.strip() for name in names)
    return tuple(dict.fromkeys(_subject(name, catalogue, field) for name in cleaned if name))


def _subject(name: str, catalogue: Catalogue, field: str) -> Subject:
    found = name if name in catalogue.entries else catalogue.find(name)
    if found is None:
        names = [each.partition(":")[2] for each in catalogue.entries]
        raise BadForm(f"{field}: nothing called “{brief(name)}” is declared; {_meant(name, names)}")
    return found


def _meant(name: str, names: list[str]) -> str:
    """The nearest name, or the names there are if they fit into a sentence."""
    if near := nearest(name, names):
        return f"did you mean {near}?"
    if len(names) > 12:
        return "`detente dependencies` lists what is."
    return f"there is {listed(names, 'and')}." if names else "nothing is declared yet."


def worded(text: str, field: str, longest: int) -> str:
    """One line of text without control signs. Raises BadForm if nothing is left, or too much is."""
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
    if not line:
        raise BadForm(f"{field}: this has to be filled in.")
    if len(line) > longest:
        raise BadForm(f"{field}: {len(line)} letters are too many; {longest} fit.")
    return line


def linked(link: str) -> str:
    """An address that a page may lead to. Raises BadForm for anything else."""
    link = link.strip()
    if link and not re.fullmatch(r"https?://[^\s<>\"]{1,2000}", link):
        raise BadForm(f"link: “{brief(link)}” is no address; it begins with http:// or https://.")
    return link


# -- suspicions ------------------------------------------------------------------------------------


def suspect(
    burst: Burst,
    needs: Needs,
    times: Mapping[Subject, int],
    moments: int,
    told: Iterable[frozenset[Subject]],
) -> list[Fact]:
    """Do these share something undeclared? Told once, and never of what the map explains.

    `times`: how often each thing that is watched began to fail; `told`: what was suspected before.
    """
    groups = together.unexplained(burst.nodes, needs)
    names = tuple(each for group in groups for each in group)
    chance = together.chance(len(groups), times, moments)
    if len(groups) < 2 or chance >= together.SELDOM:
        return []
    if any(set(names) <= known for known in told):
        return []
    return [Suspected(about=_called(names), together=names, since=burst.starts, chance=chance)]


def _called(nodes: Sequence[Subject]) -> Subject:
    """`suspicion:shop+tax+permits+2`: the first few, and how many more."""
    names = [each.partition(":")[2] for each in nodes]
    more = [str(len(names) - 3)] if len(names) > 3 else []
    return f"suspicion:{'+'.join([*names[:3], *more])}"
