"""What falls when this falls, against a brute-force answer."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from detente.kernel.needs import Need, Needs

nodes = st.sampled_from("abcdefgh")
needs = st.builds(
    lambda of, least, soft: Need(tuple(of), at_least=min(least, len(of)), soft=soft),
    st.lists(nodes, min_size=1, max_size=4, unique=True),
    st.integers(1, 3),
    st.booleans(),
)
graphs = st.fixed_dictionaries({name: st.lists(needs, max_size=3) for name in "abcdefgh"})


@given(graphs, st.sets(nodes))
def test_failure_spreads_until_nothing_more_falls(
    graph: dict[str, list[Need]], down: set[str]
) -> None:
    """What falls is the least set that has the failed in it and everything with an unmet need."""
    fallen = set(down)
    while True:
        more = {
            node
            for node, wants in graph.items()
            if any(not n.soft and len(set(n.of) - fallen) < n.at_least for n in wants)
        } - fallen
        if not more:
            break
        fallen |= more
    assert {each.node for each in Needs(graph).falls(down)} == fallen


@given(graphs, nodes)
def test_what_fell_over_something_names_what(graph: dict[str, list[Need]], down: str) -> None:
    """Each node that fell names members of one need that had fallen before it."""
    found = Needs(graph).falls([down])
    order = [each.node for each in found]
    for index, each in enumerate(found):
        assert bool(each.over) == (each.node != down)
        assert set(each.over) <= set(order[:index])


def test_the_sign_on_server_and_the_spare_database() -> None:
    """Everything falls with the sign-on server, also with the host below it; one database is spare."""
    graph = Needs(
        {
            "tax": [Need(("portal",)), Need(("mail",), soft=True)],
            "portal": [Need(("cas",)), Need(("db1", "db2"))],
            "cas": [Need(("vmhost",))],
            "db1": [],
            "db2": [],
            "vmhost": [],
            "mail": [],
        }
    )
    assert [each.node for each in graph.falls(["vmhost"])] == ["vmhost", "cas", "portal", "tax"]
    assert [each.node for each in graph.falls(["db1"])] == ["db1"]
    assert graph.weakened(["db1"]) == ("portal",)
    assert graph.weakened(["mail"]) == ("tax",)
    assert graph.needing("db1") == ("portal", "tax")
    assert graph.steps("vmhost", "tax") == 3
    assert graph.steps("mail", "portal") is None
