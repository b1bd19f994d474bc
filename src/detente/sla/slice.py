"""The card of `sla`."""

from __future__ import annotations

from detente.kernel.slice import Slice
from detente.sla import pages
from detente.sla.effects import EFFECTS
from detente.sla.levers import LEVERS
from detente.sla.projection import seen
from detente.sla.settings import Sla, mistakes

card = Slice(
    noun="sla",
    question="What were we promised, did we get it, what are we owed?",
    settings=Sla,
    mistakes=mistakes,
    declares=lambda sla: {"promise": sla.promises},
    projection=seen,
    signs=pages.signs,
    pages=pages.PAGES,
    panels=pages.PANELS,
    levers=LEVERS,
    endpoints=pages.ENDPOINTS,
    effects=EFFECTS,
)
