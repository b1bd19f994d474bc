"""The card of `acceptance`."""

from __future__ import annotations

from detente.acceptance import pages
from detente.acceptance.effects import EFFECTS
from detente.acceptance.endpoints import ENDPOINTS
from detente.acceptance.projection import tests
from detente.acceptance.settings import Acceptance, mistakes
from detente.facts.acceptance import FAILING, UNRUN
from detente.kernel.slice import Slice

card = Slice(
    noun="acceptance",
    question="Does it do what we said?",
    settings=Acceptance,
    mistakes=mistakes,
    declares=lambda acceptance: {"suite": acceptance.suites},
    projection=tests,
    spans=(FAILING, UNRUN),
    signs=pages.signs,
    pages=pages.PAGES,
    panels=pages.PANELS,
    endpoints=ENDPOINTS,
    effects=EFFECTS,
    commands="detente.acceptance.cli:acceptance",
)
