"""What changed before it fell, the best explanation first."""

from __future__ import annotations

import msgspec

from detente.incidents import queries
from detente.incidents.decisions import Incident
from detente.incidents.engine import suspects
from detente.incidents.engine.suspects import Suspect
from detente.incidents.queries import changes
from detente.incidents.settings import Incidents
from detente.kernel.clock import Instant, Seconds, lasting
from detente.kernel.fact import Subject, Tone, kind, plain
from detente.kernel.node import Node
from detente.kernel.slice import Ask, Page

_TONES: dict[suspects.Strength, Tone] = {
    "strong": "bad",
    "likely": "warn",
    "possible": "plain",
    "weak": "plain",
}
_MOST = 20


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was not as before, how well it explains the failure, and why."""

    position: int
    at: Instant
    about: Subject
    title: str
    says: str
    touches: tuple[Subject, ...]
    tone: Tone
    strength: suspects.Strength
    state: str  # the strength in words
    odds: float  # against something nobody wrote down
    reasons: tuple[str, ...]


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """What changed before it fell? The best explanation first, each with its reasons."""

    number: str
    about: Subject
    of: Subject
    title: str
    since: Instant
    known: bool  # does one of them explain it better than something nobody wrote down?
    verdict: str
    looks_back: Seconds
    considered: int
    candidates: tuple[Candidate, ...]


def changed(node: Node, ask: Ask) -> Changed:
    incident = queries.one_or_not_found(node.rows, f"incident:{ask.path['number']}")
    return of_incident(node, incident)


def of_incident(node: Node, incident: Incident, *, most: int = _MOST) -> Changed:
    """The ranking for one incident."""
    looks_back = float(node.settings(Incidents).looks_back)
    found = changes.before(node.ledger, incident, looks_back)
    fall = changes.fall_of(incident)
    ranked = suspects.rank(fall, found, node.catalogue.needs, node.title)
    known = suspects.explained(ranked)
    return Changed(
        number=incident.number,
        about=incident.about,
        of=incident.of,
        title=node.title(incident.of),
        since=incident.since,
        known=known,
        verdict=_verdict(node, ranked, looks_back),
        looks_back=looks_back,
        considered=len(ranked),
        candidates=tuple(_candidate(node, each) for each in ranked[:most]),
    )


def _verdict(node: Node, ranked: tuple[Suspect, ...], looks_back: Seconds) -> str:
    if not ranked:
        return f"Unknown: nothing on record changed in the {lasting(looks_back)} before it."
    if not suspects.explained(ranked):
        return "Unknown: none of what changed explains it well. Something may not be on record."
    first = ranked[0]
    much = suspects.WORDS[first.strength]
    much = "is a possible explanation" if first.strength == "possible" else much
    return f"{_called(node, first.change.about)}, which {first.change.says.rstrip('.')}, {much}."


def _called(node: Node, about: Subject) -> str:
    """What people call it; with its kind where only its name is known: 'The change 7'."""
    title = node.title(about)
    return f"The {kind(about)} {title}" if title == plain(about) else title


def _candidate(node: Node, suspect: Suspect) -> Candidate:
    change = suspect.change
    return Candidate(
        position=change.position,
        at=change.at,
        about=change.about,
        title=node.title(change.about),
        says=change.says,
        touches=change.touches,
        tone=_TONES[suspect.strength],
        strength=suspect.strength,
        state=suspects.WORDS[suspect.strength],
        odds=round(suspect.odds, 2),
        reasons=suspect.reasons,
    )


PAGE = Page(
    path="/incidents/{number}/changed",
    title="Changed",
    answer=changed,
    template="incidents/changed.html",
    hears=("incidents.*", "releases.*", "toggles.*", "dependencies.*", "watch.went_down"),
)
