"""The card of `watch`."""

from __future__ import annotations

from detente.facts import watch as facts
from detente.kernel.slice import Slice
from detente.watch import pages
from detente.watch.effects import EFFECTS, ENDPOINTS
from detente.watch.projection import seen
from detente.watch.settings import Watch, measures, mistakes

card = Slice(
    noun="watch",
    question="Is everything we depend on answering, and if not, whose fault is it?",
    settings=Watch,
    measures=measures,
    mistakes=mistakes,
    projection=seen,
    spans=(facts.OUTAGE, facts.WARNING, facts.BLIND, facts.UNREACHED, facts.SILENCE),
    signs=pages.signs,
    pages=pages.PAGES,
    panels=pages.PANELS,
    endpoints=ENDPOINTS,
    effects=EFFECTS,
    commands="detente.watch.cli:watch",
)
