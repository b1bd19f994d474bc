"""The agency of story two: four journeys, one sign-on server, two databases of which one is enough."""

from __future__ import annotations

from detente.app import catalogue_of, declared_type
from detente.dependencies.engine.points import Atlas
from detente.kernel.catalogue import Catalogue
from detente.kernel.config import loads

MAP = """
teams: {ops: {}, dev: {}}
infrastructure:
  vmhost1: {teams: [ops]}
  vmhost2: {teams: [ops]}
  cas: {title: Sign-on, teams: [ops], needs: [vmhost1]}
  db1: {teams: [ops], needs: [vmhost1]}
  db2: {teams: [ops], needs: [vmhost2]}
  mailer: {teams: [ops]}
vendors:
  cardpay: {title: CardPay, teams: [ops]}
services:
  permits: {teams: [dev], needs: [cas, {any_of: [db1, db2]}, {can_live_without: [mailer]}]}
  tax: {teams: [dev], needs: [cas, {any_of: [db1, db2]}, cardpay]}
  forms: {teams: [dev], needs: [cas]}
  portal: {teams: [dev], needs: [cas]}
journeys:
  renew: {title: Renew a permit, teams: [dev], earns: 1200 EUR, needs: [permits]}
  pay: {teams: [dev], earns: 2400 EUR, needs: [tax]}
  apply: {teams: [dev], needs: [forms]}
  look: {teams: [dev], earns: 600 EUR, needs: [portal]}
"""

WATCHED = """
watch:
  checks:
    cas: {http: "http://cas.test/health", every: 10s}
    db1: {http: "http://dbone.test/health", every: 10s}
    tax: {http: "http://tax.test/health", every: 10s}
    forms: {http: "http://forms.test/health", every: 10s}
    cardpay: {http: "http://cardpay.test/health", every: 10s}
"""


def catalogue(declared: str = MAP) -> Catalogue:
    return catalogue_of(loads(declared, declared_type()))


def atlas(declared: str = MAP) -> Atlas:
    return Atlas(catalogue(declared))
