"""The list of cards: one line a slice."""

from __future__ import annotations

from detente.acceptance.slice import card as acceptance
from detente.dependencies.slice import card as dependencies
from detente.incidents.slice import card as incidents
from detente.kernel.slice import Slice
from detente.pager.slice import card as pager
from detente.releases.slice import card as releases
from detente.scoreboard.slice import card as scoreboard
from detente.sla.slice import card as sla
from detente.toggles.slice import card as toggles
from detente.watch.slice import card as watch
from detente.work.slice import card as work

CARDS: tuple[Slice, ...] = (
    watch,
    dependencies,
    work,
    incidents,
    pager,
    sla,
    acceptance,
    toggles,
    releases,
    scoreboard,
)
