"""What can people do about advice?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from detente.facts.scoreboard import AdviceDeclined
from detente.kernel.fact import Fact, Subject
from detente.kernel.node import Node
from detente.kernel.slice import Lever, Pull, Refused
from detente.scoreboard import queries


class Decline(msgspec.Struct, frozen=True):
    """Why you will live with it."""

    why: Annotated[str, Meta(min_length=1, max_length=1_000)]


def _stands(node: Node, about: Subject) -> bool:
    return any(each.about == about and not each.declined for each in queries.standing(node))


def _decline(node: Node, pull: Pull) -> Sequence[Fact]:
    if not _stands(node, pull.about):
        raise Refused("There is no such advice any more. /scoreboard/advice lists what stands.")
    return [AdviceDeclined(about=pull.about, why=pull.form.why)]


LEVERS = (
    Lever(
        name="scoreboard.decline",
        label="Decline",
        explains="The advice is put aside with your reason, and comes back if its cause does.",
        kinds=("advice",),
        decide=_decline,
        offered=_stands,
        form=Decline,
    ),
)
