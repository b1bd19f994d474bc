"""The card of `releases`."""

from __future__ import annotations

from detente.facts import releases as facts
from detente.kernel.slice import Slice
from detente.releases import levers, pages
from detente.releases.effects import effects
from detente.releases.projection import releases
from detente.releases.settings import Releases, mistakes

card = Slice(
    noun="releases",
    question="Can one person ship this tonight and sleep?",
    settings=Releases,
    mistakes=mistakes,
    projection=releases,
    spans=(facts.RELEASE,),
    signs=pages.signs,
    pages=pages.PAGES,
    panels=pages.PANELS,
    levers=levers.LEVERS,
    endpoints=pages.ENDPOINTS,
    effects=effects(),
    commands="detente.releases.cli:releases",
)
