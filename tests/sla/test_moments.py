"""Sets of moments: what is taken apart adds up again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from detente.sla.engine.moments import Moments, both, length, union, without

stretches = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=8)


def each_moment(moments: Moments) -> set[int]:
    return {at for start, end in moments for at in range(start, end)}


@given(stretches, stretches)
def test_the_algebra_is_that_of_sets(one: Moments, other: Moments) -> None:
    """Union, intersection and difference hold exactly the moments that sets of moments would."""
    left, right = union(one), union(other)
    assert each_moment(left) == each_moment(one)
    assert each_moment(both(left, right)) == each_moment(one) & each_moment(other)
    assert each_moment(without(left, right)) == each_moment(one) - each_moment(other)
    assert length(left) == len(each_moment(one))


@given(stretches, stretches)
def test_results_are_in_order_and_never_touch(one: Moments, other: Moments) -> None:
    """Every result is sorted, with a gap between any two stretches, so it can be used again."""
    left, right = union(one), union(other)
    for found in (left, both(left, right), without(left, right)):
        assert all(start < end for start, end in found)
        assert found == union(found)
