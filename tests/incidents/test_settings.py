"""Are mistakes about incidents noticed at start?"""

from __future__ import annotations

from detente.incidents.settings import Incidents, mistakes
from detente.kernel.catalogue import Catalogue, Environment, Vendor

TWIN = Environment(twin_of="live")


def test_the_usual_is_right() -> None:
    """Nothing written, or production and its twin: no mistake."""
    usual = Vendor(environments={"production": Environment(), "test": Environment()})
    assert not list(mistakes(Incidents(), Catalogue(vendors={"cardpay": usual, "other": Vendor()})))


def test_a_vendor_whose_failure_would_open_nothing() -> None:
    """If customers use `live` and incidents open for `production` only, nobody would be told."""
    vendor = Vendor(environments={"live": Environment(), "test": TWIN})
    (mistake,) = mistakes(Incidents(), Catalogue(vendors={"cardpay": vendor}))
    assert mistake.path == ("vendors", "cardpay", "environments")
    assert "live, test" in mistake.says


def test_an_environment_nobody_declared() -> None:
    """A misspelt environment is named together with the right one."""
    vendor = Vendor(environments={"live": Environment(), "test": TWIN})
    found = list(mistakes(Incidents(opens_for=("lve", "live")), Catalogue(vendors={"c": vendor})))
    assert [each.path for each in found] == [("incidents", "opens_for", 0)]
    assert "did you mean live?" in found[0].says
