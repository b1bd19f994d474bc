"""The card of `scoreboard`."""

from __future__ import annotations

from detente.kernel.slice import Slice
from detente.scoreboard import pages
from detente.scoreboard.effects import EFFECTS
from detente.scoreboard.levers import LEVERS
from detente.scoreboard.projection import sales
from detente.scoreboard.settings import Scoreboard, mistakes

card = Slice(
    noun="scoreboard",
    question="How are we doing, both of us?",
    settings=Scoreboard,
    mistakes=mistakes,
    projection=sales,
    signs=pages.signs,
    pages=pages.PAGES,
    panels=pages.PANELS,
    levers=LEVERS,
    effects=EFFECTS,
)
