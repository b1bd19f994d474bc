"""The card of `dependencies`."""

from __future__ import annotations

from detente.dependencies import endpoints, levers, pages
from detente.dependencies.effects import EFFECTS
from detente.dependencies.projection import changes
from detente.dependencies.settings import Dependencies
from detente.kernel.slice import Slice

card = Slice(
    noun="dependencies",
    question="What falls when this falls?",
    settings=Dependencies,
    projection=changes,
    signs=pages.signs,
    pages=pages.PAGES,
    panels=pages.PANELS,
    levers=levers.LEVERS,
    endpoints=endpoints.ENDPOINTS,
    effects=EFFECTS,
)
