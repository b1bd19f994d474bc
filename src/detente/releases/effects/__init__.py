"""Carries releases out, tells who must know, and writes to everybody in the morning."""

from __future__ import annotations

from detente.kernel.node import Node
from detente.kernel.slice import Effect
from detente.releases.effects import carry, morning, tell
from detente.releases.settings import Releases


def _ships(node: Node) -> bool:
    return bool(node.settings(Releases).services)


def _reports(node: Node) -> bool:
    return node.settings(Releases).morning_report is not None


def effects() -> tuple[Effect, ...]:
    return (
        Effect("releases", carry.carry_on, wanted=_ships),
        Effect("releases: tell", tell.go_round, wanted=_ships),
        Effect("releases: morning report", morning.go_round, wanted=_reports),
    )
