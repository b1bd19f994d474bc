"""Do developers see what breaks, with whom, since when, and what was going on?"""

from __future__ import annotations

import pytest
from tests.work.test_pages import DECLARED, drawn, printed

from detente.facts import releases, toggles
from detente.kernel.fact import plain
from detente.kernel.slice import Ask, NotFound
from detente.testing import World, simulate
from detente.work import decisions, pages
from detente.work.pages.failing import FailurePage, all_failures, one_failure

SALE = {"amount": 4990, "currency": "EUR", "card_number": "4111111111111111"}
DECLINED = {**SALE, "token": "tok_declined"}

_PAGES, _PAGE = pages.PAGES[2], pages.PAGES[3]


def page(world: World, group: str) -> FailurePage:
    return one_failure(world.node, Ask(path={"failure": group}))


def test_what_breaks_in_the_same_way_is_one_failure() -> None:
    """Declined cards are one, a vendor that hangs is another; what the breaker kept back is none."""

    async def story(world: World) -> None:
        for number in range(3):
            await world.call("payments", DECLINED, key=f"d{number}")
        world.vendor("cardpay").hangs = True
        for number in range(8):
            await world.call("payments", SALE, key=f"h{number}")
        found = {each.kind: each for each in all_failures(world.node, Ask()).failures}
        assert set(found) == {"HTTP 402", "no answer"}
        assert found["HTTP 402"].calls == 3
        assert found["HTTP 402"].shape == "{error=card_declined}"
        assert found["no answer"].calls < 8, "the rest was not sent"
        assert found["no answer"].trend == "new"

    simulate(story, declared=DECLARED)


def test_a_failure_shows_what_was_asked_and_answered_without_secrets() -> None:
    """The request and the answer as they were, masked, with the way to the call."""

    async def story(world: World) -> None:
        await world.call("payments", DECLINED, key="d1")
        world.vendor("cardpay").errors = 1.0
        await world.call("payments", SALE, key="e1")
        refused, errors = sorted(
            all_failures(world.node, Ask()).failures, key=lambda each: each.kind
        )
        answer = page(world, refused.id)
        (sample,) = answer.samples
        assert "card_declined" in (sample.answer or "")
        assert "49" in (sample.request or "")
        assert "4111111111111111" not in (sample.request or "")
        assert page(world, errors.id).samples[0].answer == "HTTP 503"
        shown = drawn(world, _PAGE, failure=refused.id)
        assert plain(sample.call) in shown
        assert "4111111111111111" not in shown + printed(world, answer)
        assert "HTTP 402 from CardPay" in shown

    simulate(story, declared=DECLARED)


def test_releases_and_toggles_that_were_on_are_counted() -> None:
    """How many of the failures fall into each, and what it followed."""

    async def story(world: World) -> None:
        begin = releases.Began(about="release:shop", version="2.4")
        await world.node.record(begin, by="anna")
        await world.node.record(toggles.SwitchedOn(about="toggle:express"), by="ben")
        await world.passes(60)
        await world.call("payments", DECLINED, key="d1")
        await world.call("payments", DECLINED, key="d2")
        await world.passes(1)
        await world.node.record(
            releases.Done(about="release:shop", version="2.4", lasted=60), by="anna"
        )
        await world.call("payments", DECLINED, key="d3")
        (it,) = all_failures(world.node, Ask()).failures
        answer = page(world, it.id)
        assert [(each.kind, each.about, each.calls) for each in answer.during] == [
            ("toggle on", "toggle:express", 3),
            ("release", "release:shop", 2),
        ]
        (after,) = answer.follows
        assert (after.about, round(after.seconds)) == ("toggle:express", 60)

    simulate(story, declared=DECLARED)


def test_attempts_that_failed_keep_their_answers_until_the_call_is_done() -> None:
    """A parked call may fail again and again; each answer is there, and all go in the end."""

    async def story(world: World) -> None:
        vendor = world.vendor("cardpay")
        vendor.errors = 1.0
        await world.call("payments", SALE, key="e1")
        await world.passes(120)
        vendor.errors = 0.0
        await world.passes(600)
        (it,) = all_failures(world.node, Ask()).failures
        failed = [
            each.position for each in world.recorded("work.replay_failed", "work.call_parked")
        ]
        assert len(failed) > 2
        assert all(world.node.ledger.attachment(each) for each in failed)
        await world.passes(8 * 86_400)
        assert not any(world.node.ledger.attachment(each) for each in failed)
        assert page(world, it.id).samples[0].answer is None
        assert all_failures(world.node, Ask()).failures[0].trend == "quiet"

    simulate(story, declared=DECLARED)


def test_a_failure_that_is_none() -> None:
    """Says where they are listed; and a quiet queue says so."""

    async def story(world: World) -> None:
        with pytest.raises(NotFound, match="/work/failures"):
            page(world, "nonsense")
        assert "Nothing broke" in drawn(world, _PAGES)
        assert "Nothing broke" in printed(world, all_failures(world.node, Ask()))

    simulate(story, declared=DECLARED)


@pytest.mark.parametrize(
    ("hours", "is_new", "trend"),
    [
        ([0] * 24, True, "quiet"),
        ([0] * 23 + [1], True, "new"),
        ([1] * 24, False, "steady"),
        ([1] * 18 + [4] * 6, False, "rising"),
        ([4] * 18 + [1] * 6, False, "falling"),
        ([0] * 18 + [1, 1, 0, 0, 0, 0], False, "steady"),
        ([1] * 6 + [0] * 18, False, "quiet"),
    ],
)
def test_how_it_goes(hours: list[int], is_new: bool, trend: str) -> None:
    """A handful more or less is no change."""
    assert decisions.trend(hours, is_new=is_new) == trend
