"""Is a story cut where a reader would cut it?"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from detente.incidents.engine.acts import NAMES, Moment, Play, Sort, play
from detente.kernel.clock import NS

DRAMA: tuple[tuple[int, Sort, float, str], ...] = (
    (0, "change", 0, "4.2 was shipped"),
    (10, "failure", 2, "checkout went down"),
    (12, "notice", 0, "ops were told"),
    (15, "failure", 1, "login went down"),
    (20, "action", 0, "restarted the server"),
    (21, "recovery", -1, "login came back"),
    (25, "failure", 1, "login went down"),
    (40, "action", 0, "rolled back to 4.1"),
    (41, "recovery", -2, "checkout came back"),
    (42, "recovery", -1, "login came back"),
    (50, "failure", 1, "login went down"),
    (52, "recovery", -1, "login came back"),
    (60, "end", 0, "closed"),
    (90, "note", 0, "retrospective"),
)


def moments(*told: tuple[int, Sort, float, str]) -> list[Moment]:
    return [
        Moment(at=at * NS, sort=sort, lift=lift, says=says, cites=(number,))
        for number, (at, sort, lift, says) in enumerate(told, 1)
    ]


def cited(drama: Play) -> list[tuple[int, ...]]:
    return [tuple(each for moment in act.moments for each in moment.cites) for act in drama.acts]


def test_the_whole_pyramid() -> None:
    """What failed to help is rising action; the turn is what came before it got better for good."""
    drama = play(moments(*DRAMA))
    assert cited(drama) == [(1,), (2, 3, 4, 5, 6, 7), (8,), (9, 10, 11, 12), (13, 14)]
    assert (drama.peak, drama.over, drama.turned_by_hand) == (3, True, True)
    assert drama.turn == 40 * NS
    assert drama.suspense == 50 * NS, "it fell once more on its way out"
    assert tuple(act.name for act in drama.acts) == NAMES
    assert "changed before" in drama.acts[0].says
    assert "would not last" in drama.acts[3].says


def test_the_order_of_telling_does_not_matter() -> None:
    """Moments are told in the order in which they happened."""
    assert play(reversed(moments(*DRAMA))) == play(moments(*DRAMA))


def test_nobody_did_anything() -> None:
    """Then the turn is the recovery itself, and says that it came by itself."""
    drama = play(
        moments((0, "failure", 1, "down"), (5, "notice", 0, "told"), (9, "recovery", -1, "up"))
    )
    assert cited(drama) == [(), (1, 2), (3,), (), ()]
    assert not drama.turned_by_hand
    assert "by itself" in drama.acts[2].says
    assert drama.acts[3].says == "It was over at once."
    assert drama.acts[0].says == "Nothing is on record that led up to it."


def test_what_mends_itself_is_not_the_turn() -> None:
    """A small part comes back alone; the turn is what was done about the rest."""
    drama = play(
        moments(
            (0, "failure", 3, "three down"), (5, "recovery", -1, "one is back"),
            (8, "action", 0, "switched it off"), (9, "recovery", -2, "all back"),
        )
    )  # fmt: skip
    assert cited(drama)[2] == (3,)


def test_what_is_done_when_all_is_nearly_over_is_not_the_turn() -> None:
    """The big fall came by itself; what was done about the rest belongs to the falling action."""
    drama = play(
        moments(
            (0, "failure", 9, "nine down"), (5, "recovery", -8, "eight are back"),
            (8, "action", 0, "restarted the last"), (9, "recovery", -1, "all back"),
        )
    )  # fmt: skip
    assert cited(drama) == [(), (1,), (2,), (3, 4), ()]
    assert not drama.turned_by_hand


def test_an_action_that_made_it_worse_is_not_the_turn() -> None:
    """What lifts the curve turns nothing."""
    drama = play(
        moments((0, "failure", 1, "a"), (3, "action", 1, "restart"), (6, "recovery", -2, "back"))
    )
    assert cited(drama) == [(), (1, 2), (3,), (), ()]


def test_not_over_yet() -> None:
    """While it lasts, the acts that have not been played say so and are empty."""
    drama = play(
        moments((0, "calm", 0, "all well"), (1, "failure", 1, "down"), (2, "action", 0, "try"))
    )
    assert cited(drama) == [(1,), (2, 3), (), (), ()]
    assert not drama.over
    assert drama.turn is None
    assert [act.says for act in drama.acts[2:]] == [
        "It has not turned yet.", "Not written yet.", "Not written yet.",
    ]  # fmt: skip


def test_getting_better_but_not_over() -> None:
    """It turned, something is still down: a falling action without an end."""
    drama = play(
        moments((0, "failure", 3, "down"), (2, "action", 0, "do"), (3, "recovery", -2, "better"))
    )
    assert cited(drama) == [(), (1,), (2,), (3,), ()]
    assert drama.acts[3].says == "It gets better, and is not over yet."


def test_nothing_and_nothing_wrong() -> None:
    """No moments, or only calm ones, are no drama."""
    assert play([]).over
    assert all(not act.moments for act in play([]).acts)
    calm = play(moments((0, "note", 0, "a quiet day")))
    assert cited(calm) == [(1,), (), (), (), ()]
    assert calm.acts[0].says == "Nothing has gone wrong in what is told here."


TELLING = st.lists(
    st.tuples(
        st.integers(0, 1_000),
        st.sampled_from(("change", "failure", "notice", "action", "recovery", "note")),
        st.integers(-3, 3),
    ),
    max_size=30,
)


@given(TELLING)
def test_every_moment_is_in_one_act_in_order(told: list[tuple[int, Sort, float]]) -> None:
    """Nothing is told twice, nothing left out, and no act begins before the one before it has ended."""
    given_ = moments(*((at, sort, lift, "") for at, sort, lift in told))
    drama = play(given_)
    retold = [moment for act in drama.acts for moment in act.moments]
    assert sorted(each.cites for each in retold) == sorted(each.cites for each in given_)
    assert [each.at for each in retold] == sorted(each.at for each in given_)
    assert len(drama.acts[2].moments) <= 1
    assert drama.peak == max((point.height for point in drama.curve), default=0)
