"""What needs what, and whether what people wrote makes sense."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from detente.kernel.catalogue import Catalogue, Environment, Journey, Service, Team, Vendor
from detente.kernel.money import Money

names = st.sampled_from("abcdef")
needs = st.dictionaries(names, st.lists(names, max_size=4).map(tuple), max_size=6)


def services(graph: dict[str, tuple[str, ...]]) -> Catalogue:
    return Catalogue(services={name: Service(needs=graph.get(name, ())) for name in "abcdef"})


@given(needs, names)
def test_what_needs_it_is_found_once_and_cycles_end(
    graph: dict[str, tuple[str, ...]], name: str
) -> None:
    """Whoever needs it, directly or through others, is named once; nothing needs itself."""
    found = [each.partition(":")[2] for each in services(graph).needing(f"service:{name}")]
    assert len(found) == len(set(found))
    assert name not in found
    reached, before = {name}, set[str]()
    while reached != before:
        before = set(reached)
        reached |= {each for each, need in graph.items() if reached & set(need)}
    assert set(found) == reached - {name}


def test_the_nearest_come_first() -> None:
    """A direct need is named before one through others."""
    catalogue = Catalogue(
        vendors={"cardpay": Vendor()},
        services={"report": Service(needs=("shop",)), "shop": Service(needs=("cardpay",))},
    )
    assert catalogue.needing("vendor:cardpay") == ("service:shop", "service:report")
    assert catalogue.needing("vendor:nobody") == ()


def test_names_and_titles() -> None:
    """A bare name finds its subject; what has no title is called by its name."""
    catalogue = Catalogue(
        teams={"ops": Team(title="Operations")},
        vendors={"cardpay": Vendor(title="CardPay")},
        services={"shop": Service()},
    )
    assert catalogue.find("cardpay") == "vendor:cardpay"
    assert catalogue.find("shop") == "service:shop"
    assert catalogue.find("ops") is None
    assert catalogue.title("vendor:cardpay") == "CardPay"
    assert catalogue.title("service:shop") == "shop"
    assert catalogue.title("check:anything") == "anything"


def test_who_is_told() -> None:
    """The teams it names; without any, everybody."""
    teams = {"dev": Team(), "ops": Team()}
    catalogue = Catalogue(teams=teams, vendors={"a": Vendor(teams=("ops",)), "b": Vendor()})
    assert catalogue.teams_of("vendor:a") == ("ops",)
    assert catalogue.teams_of("vendor:b") == ("dev", "ops")
    assert catalogue.teams_of("vendor:gone") == ("dev", "ops")


def test_what_an_hour_is_worth_is_not_negative() -> None:
    """Nobody loses money while customers can buy."""
    journeys = {"buy": Journey(earns=Money(-500, "EUR")), "look": Journey(earns=Money(0, "EUR"))}
    (wrong,) = Catalogue(journeys=journeys).mistakes()
    assert wrong.path == ("journeys", "buy", "earns")


def said(catalogue: Catalogue) -> dict[tuple[str | int, ...], str]:
    return {mistake.path: mistake.says for mistake in catalogue.mistakes()}


def test_every_mistake_is_told_with_its_place() -> None:
    """Each wrong name stands with where it was written and the nearest right one."""
    catalogue = Catalogue(
        teams={"dev": Team()},
        vendors={
            "cardpay": Vendor(
                teams=("dve",),
                environments={
                    "test": Environment(twin_of="producton"),
                    "production": Environment(twin_of="production"),
                },
            )
        },
        services={
            "shop": Service(needs=("cardpai", "shop", "nothing-like-it")),
            "cardpay": Service(),
        },
    )
    assert said(catalogue) == {
        ("vendors", "cardpay", "teams", 0): "no team is called dve; did you mean dev?",
        ("vendors", "cardpay", "environments", "test", "twin_of"): (
            "no environment is called producton; did you mean production?"
        ),
        ("vendors", "cardpay", "environments", "production", "twin_of"): (
            "production cannot be the twin of itself"
        ),
        ("services", "shop", "needs", 0): (
            "no service, vendor or infrastructure is called cardpai; did you mean cardpay?"
        ),
        ("services", "shop", "needs", 1): "shop cannot need itself",
        ("services", "shop", "needs", 2): (
            "no service, vendor or infrastructure is called nothing-like-it; declared: cardpay, shop"
        ),
        ("services", "cardpay"): "cardpay is also declared as vendor; rename one of them",
    }


def test_nothing_declared_is_no_mistake() -> None:
    """An empty catalogue is right; a team where none is declared is told so."""
    assert said(Catalogue()) == {}
    assert said(Catalogue(vendors={"a": Vendor(teams=("dev",))})) == {
        ("vendors", "a", "teams", 0): "no team is called dev; no team is declared yet"
    }
