"""The card of `toggles`."""

from __future__ import annotations

from detente.facts import toggles as facts
from detente.kernel.slice import Slice
from detente.toggles import pages
from detente.toggles.decisions.definition import mistakes
from detente.toggles.effects import EFFECTS
from detente.toggles.endpoints import ENDPOINTS
from detente.toggles.levers import LEVERS
from detente.toggles.projection import toggles
from detente.toggles.settings import Toggles

card = Slice(
    noun="toggles",
    question="What can we switch without shipping?",
    settings=Toggles,
    mistakes=mistakes,
    projection=toggles,
    spans=(facts.TOGGLE_ON,),
    signs=pages.signs,
    pages=pages.PAGES,
    panels=pages.PANELS,
    levers=LEVERS,
    endpoints=ENDPOINTS,
    effects=EFFECTS,
)
