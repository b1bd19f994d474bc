"""The card of `incidents`."""

from __future__ import annotations

from detente.facts import incidents as facts
from detente.incidents import levers, pages
from detente.incidents.effects import effects
from detente.incidents.projection import incidents
from detente.incidents.settings import Incidents, mistakes
from detente.kernel.slice import Slice

card = Slice(
    noun="incidents",
    question="What happened, what went wrong, will it happen again, and what do we do then?",
    settings=Incidents,
    mistakes=mistakes,
    projection=incidents,
    spans=(facts.INCIDENT, facts.RETROSPECTIVE),
    signs=pages.signs,
    pages=pages.PAGES,
    panels=pages.PANELS,
    levers=levers.LEVERS,
    endpoints=pages.ENDPOINTS,
    effects=effects(),
)
