"""What can happen to Détente itself."""

from __future__ import annotations

from detente.kernel.clock import lasting
from detente.kernel.fact import Fact, named


@named("node.started")
class Started(Fact, frozen=True, kw_only=True):
    """The node began to work. `unannounced_end`: the last run ended without saying so."""

    version: str
    unannounced_end: bool = False

    def says(self) -> str:
        crash = ", after an end without notice" if self.unannounced_end else ""
        return f"started (version {self.version}){crash}"


@named("node.stopped")
class Stopped(Fact, frozen=True, kw_only=True):
    """The node was asked to stop and did."""

    ran_for: float  # seconds

    def says(self) -> str:
        return f"stopped after {lasting(self.ran_for)}"
