"""The card of `work`."""

from __future__ import annotations

from detente.facts import work as facts
from detente.kernel.slice import Slice
from detente.work import levers, pages
from detente.work.effects import EFFECTS
from detente.work.projection import calls
from detente.work.settings import Work, mistakes

card = Slice(
    noun="work",
    question="How do we keep working without them?",
    settings=Work,
    mistakes=mistakes,
    declares=lambda work: {"route": work.routes},
    projection=calls,
    spans=(facts.BREAKER, facts.PAUSE, facts.DRILL),
    signs=pages.signs,
    pages=pages.PAGES,
    panels=pages.PANELS,
    levers=levers.LEVERS,
    endpoints=pages.ENDPOINTS,
    effects=EFFECTS,
)
