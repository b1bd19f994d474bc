"""The card of `pager`."""

from __future__ import annotations

from detente.kernel.slice import Slice
from detente.pager import levers, pages
from detente.pager.effects import effects
from detente.pager.endpoints import ENDPOINTS
from detente.pager.projection import matters
from detente.pager.settings import Pager, mistakes

card = Slice(
    noun="pager",
    question="Who is told, and did they hear?",
    settings=Pager,
    mistakes=mistakes,
    projection=matters,
    signs=pages.signs,
    pages=pages.PAGES,
    panels=pages.PANELS,
    levers=levers.LEVERS,
    endpoints=ENDPOINTS,
    effects=effects(),
)
