"""An incident as a story in five acts, with its curve."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from detente.incidents import queries
from detente.incidents.decisions import Incident
from detente.incidents.engine import acts, suspects
from detente.incidents.engine.acts import Moment, Name, Play
from detente.incidents.engine.curve import Curve, drawn
from detente.incidents.queries import changes, retold
from detente.incidents.settings import Incidents
from detente.kernel.clock import Instant
from detente.kernel.fact import Subject, plain
from detente.kernel.money import Money, total
from detente.kernel.needs import Fallen
from detente.kernel.node import Node
from detente.kernel.slice import Ask, Page


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One act: what it is here, and its sentences, each with the facts that it rests on."""

    name: Name
    numeral: str
    says: str
    moments: tuple[Moment, ...]


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """The incident in five acts: computed from the facts, each sentence citing them."""

    number: str
    of: Subject
    title: str
    over: bool
    turn: Instant | None
    turned_by_hand: bool
    suspense: Instant | None
    peak: str  # the height of the curve where it is highest, in words
    acts: tuple[Told, ...]
    curve: Curve


def story(node: Node, ask: Ask) -> Story:
    incident = queries.one_or_not_found(node.rows, f"incident:{ask.path['number']}")
    play = play_of(node, incident)
    return Story(
        number=incident.number,
        of=incident.of,
        title=node.title(incident.of),
        over=play.over,
        turn=play.turn,
        turned_by_hand=play.turned_by_hand,
        suspense=play.suspense,
        peak=Scale(node, incident).says(play.peak),
        acts=told(play),
        curve=drawn(play, node.clock.now()),
    )


def play_of(node: Node, incident: Incident) -> Play:
    """The incident as a play, from the facts."""
    found = changes.before(node.ledger, incident, float(node.settings(Incidents).looks_back))
    ranked = suspects.rank(changes.fall_of(incident), found, node.catalogue.needs, node.title)
    height = Scale(node, incident).height
    return acts.play(retold.moments(node.ledger, incident, ranked, height, node.title))


def told(play: Play) -> tuple[Told, ...]:
    """The acts with their numerals."""
    return tuple(
        Told(name=each.name, numeral=numeral, says=each.says, moments=each.moments)
        for numeral, each in zip(("I", "II", "III", "IV", "V"), play.acts, strict=True)
    )


class Scale:
    """How high the curve stands: money at risk an hour where the map knows it, else things down."""

    def __init__(self, node: Node, incident: Incident) -> None:
        self.node = node
        felt = [(each.cause, each.of or incident.of) for each in incident.causes if not each.remark]
        sums = self._an_hour(felt)
        self.currency = sums[0].currency if len(sums) == 1 else ""

    def height(self, down: Sequence[tuple[Subject, Subject]]) -> float:
        if self.currency:
            return float(sum(each.minor for each in self._an_hour(down)))
        return float(len(down) + sum(bool(each.over) for each in self._fallen(down)))

    def says(self, height: float) -> str:
        if self.currency:
            return f"{Money(round(height), self.currency)} at risk an hour"
        many = round(height)
        return "1 thing down" if many == 1 else f"{many} things down"

    def _an_hour(self, down: Sequence[tuple[Subject, Subject]]) -> tuple[Money, ...]:
        declared = self.node.catalogue.journeys
        journeys = (declared.get(plain(each.node)) for each in self._fallen(down))
        return total(each.earns for each in journeys if each and each.earns)

    def _fallen(self, down: Sequence[tuple[Subject, Subject]]) -> tuple[Fallen, ...]:
        subjects = tuple(dict.fromkeys(of for _, of in down))
        return self.node.catalogue.needs.falls(subjects) if subjects else ()


PAGE = Page(
    path="/incidents/{number}/story",
    title="Story",
    answer=story,
    template="incidents/story.html",
    hears=("incidents.*", "pager.*", "releases.*", "toggles.*", "work.route_paused"),
)
