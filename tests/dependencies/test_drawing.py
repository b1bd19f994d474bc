"""Does everything stand where people look for it?"""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from detente.dependencies.engine.drawing import BOX_HEIGHT, BOX_WIDTH, Drawing, draw
from detente.kernel.needs import Need, Needs

from .agency import catalogue

NEEDS = catalogue().needs


def test_whoever_needs_stands_above() -> None:
    """Journeys on top, services below, then sign-on, and at the bottom the host that it runs on."""
    at = {each.node: each.y for each in draw(NEEDS, NEEDS.nodes).boxes}
    way = ["journey:renew", "service:permits", "infrastructure:cas", "infrastructure:vmhost1"]
    assert [at[each] for each in way] == sorted({at[each] for each in way})
    assert len({at[each] for each in at if each.startswith("journey:")}) == 1


def test_every_need_is_drawn_as_what_it_is() -> None:
    """Lines for needs, for spares and for what one can live without, and how many spares are enough."""
    made = draw(NEEDS, NEEDS.nodes)
    sorts = {(each.who, each.what): each.sort for each in made.lines}
    assert sorts["service:permits", "infrastructure:cas"] == "needs"
    assert sorts["service:permits", "infrastructure:db2"] == "spare"
    assert sorts["service:permits", "infrastructure:mailer"] == "without"
    assert [each.says for each in made.tags] == ["1 of 2", "1 of 2"]


def test_a_part_of_the_map_has_no_loose_ends() -> None:
    """Lines to what is not drawn are left out."""
    made = draw(NEEDS, ["service:permits", "infrastructure:cas"])
    assert [(each.who, each.what) for each in made.lines] == [
        ("service:permits", "infrastructure:cas")
    ]
    assert draw(NEEDS, []).boxes == ()


nodes = st.sampled_from(
    [
        f"{kind}:{name}"
        for kind in ("journey", "service", "vendor", "infrastructure")
        for name in "abcd"
    ]
)
maps = st.dictionaries(
    nodes, st.lists(st.builds(Need, st.lists(nodes, min_size=1, max_size=3).map(tuple)), max_size=3)
)


@given(maps)
def test_nothing_stands_on_anything_else(declared: dict[str, list[Need]]) -> None:
    """Whatever needs whatever, in circles too: no two boxes overlap, and all are inside."""
    made = draw(Needs(declared), declared)
    assert {each.node for each in made.boxes} == set(declared)
    for one, two in combinations(made.boxes, 2):
        assert abs(one.x - two.x) >= BOX_WIDTH or abs(one.y - two.y) >= BOX_HEIGHT
    _inside(made)
    assert draw(Needs(declared), declared) == made, "the same map is drawn the same"


def _inside(made: Drawing) -> None:
    for box in made.boxes:
        assert 0 <= box.x <= made.width - BOX_WIDTH
        assert 0 <= box.y <= made.height - BOX_HEIGHT
