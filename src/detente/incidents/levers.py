"""What can people do about an incident?"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from detente.facts.incidents import Noted
from detente.incidents import decisions, queries
from detente.kernel.fact import Fact, Subject
from detente.kernel.node import Node
from detente.kernel.slice import Lever, Pull, Refused

Text = Annotated[str, Meta(max_length=2_000)]


class Note(msgspec.Struct, frozen=True):
    """What somebody saw, thinks or did."""

    note: Text


class Close(msgspec.Struct, frozen=True):
    """How it ended, and whether it may be closed though something is down."""

    note: Text
    although_down: bool = False


def _note(node: Node, pull: Pull) -> list[Fact]:
    incident = queries.one_or_not_found(node.rows, pull.about)
    return [Noted(about=incident.about, note=_said(pull.form.note, "what you saw or did"))]


def _close(node: Node, pull: Pull) -> list[Fact]:
    incident = queries.one_or_not_found(node.rows, pull.about)
    if incident.closed_at is not None:
        raise Refused("This incident is closed already; a note can still be added.")
    note = _said(pull.form.note, "how it ended")
    if incident.down and not pull.form.although_down:
        down = ", ".join(node.title(each.cause) for each in incident.down)
        raise Refused(
            f"Still down: {down}. It closes by itself once that works again. To close it all the"
            " same, say “although down”; the next failure then opens a new incident."
        )
    return decisions.close_by_hand(incident, note, pull.at)


def _said(text: str, what: str) -> str:
    if not text.strip():
        raise Refused(f"Please say {what}; the other side reads it too.")
    return text.strip()


def _there(node: Node, about: Subject) -> bool:
    return queries.one(node.rows, about) is not None


def _open(node: Node, about: Subject) -> bool:
    incident = queries.one(node.rows, about)
    return incident is not None and incident.closed_at is None


LEVERS = (
    Lever(
        name="incidents.note",
        label="Add a note",
        explains="Writes down what you saw or did, for both sides and for afterwards.",
        kinds=("incident",),
        decide=_note,
        offered=_there,
        form=Note,
    ),
    Lever(
        name="incidents.close",
        label="Close it",
        explains="Says that it is over. Otherwise it closes by itself after some quiet.",
        kinds=("incident",),
        decide=_close,
        offered=_open,
        form=Close,
    ),
)
