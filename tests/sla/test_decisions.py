"""What was promised, what was got, what is owed."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detente.kernel.clock import NS
from detente.kernel.config import Percent
from detente.kernel.money import Money
from detente.sla.decisions import (
    Account,
    Evidence,
    Standing,
    account,
    allowed_downtime,
    broken,
    by_day,
    credit,
    leave_out,
    percent,
    reached,
    restored,
    stand,
)
from detente.sla.engine.calendar import period_named
from detente.sla.engine.moments import Moments, both, length, union
from detente.sla.settings import Credit, Promise

MINUTE = 60 * NS
TIERS = (
    Credit(below=Percent(0.999), owed=Percent(0.1)),
    Credit(below=Percent(0.99), owed=Percent(0.25)),
    Credit(below=Percent(0.95), owed=Percent(1.0)),
)
PROMISE = Promise(vendor="cardpay", target=Percent(0.999), fee=Money(400_000, "EUR"), credits=TIERS)
NOVEMBER = period_named("2026-11", "month", "UTC")

stretches = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=6)
evidences = st.lists(
    st.builds(lambda out, seen: Evidence(outages=out, seen=seen), stretches, stretches), max_size=3
)
modes = st.sampled_from(("any", "all"))


def made(down: int, *, upto: int | None = None, unseen: int = 0) -> Account:
    """An account of November so far: first so much down, then so much unmeasured, then up."""
    start, end = NOVEMBER.start, NOVEMBER.end if upto is None else upto
    return Account(
        down=union([(start, start + down)]),
        unmeasured=union([(start + down, start + down + unseen)]),
        up=union([(start + down + unseen, end)]),
        too_short=[],
    )


def at_end(down: int, promise: Promise = PROMISE) -> Standing:
    return stand(promise, NOVEMBER, NOVEMBER.end, made(down))


@given(evidences, modes, st.integers(0, 20))
def test_down_up_and_unmeasured_make_up_the_elapsed_time(
    checks: list[Evidence], mode: Literal["any", "all"], minimum: int
) -> None:
    """Every moment of a window is exactly one of down, up and unmeasured."""
    found = account(checks, (0, 60), down_when=mode, minimum=minimum)
    parts = (found.down, found.up, found.unmeasured)
    assert sum(length(part) for part in parts) == 60
    assert union(stretch for part in parts for stretch in part) == [(0, 60)]
    assert both(found.too_short, found.up) == found.too_short


@given(evidences, modes, st.integers(0, 20), st.integers(0, 60))
def test_splitting_a_window_adds_up(
    checks: list[Evidence], mode: Literal["any", "all"], minimum: int, cut: int
) -> None:
    """Two halves of a period have the downtime of the whole, also where an outage spans the cut."""
    whole, first, second = (
        account(checks, window, down_when=mode, minimum=minimum)
        for window in ((0, 60), (0, cut), (cut, 60))
    )
    assert length(whole.down) == length(first.down) + length(second.down)
    assert length(whole.up) == length(first.up) + length(second.up)
    assert length(whole.unmeasured) == length(first.unmeasured) + length(second.unmeasured)


def test_what_nobody_saw_is_neither_up_nor_down() -> None:
    """An outage during which nobody looked any more counts only as long as somebody looked."""
    check = Evidence(outages=[(10, 40)], seen=[(0, 20), (50, 60)])
    found = account([check], (0, 60), down_when="any", minimum=0)
    assert found.down == [(10, 20)]
    assert found.up == [(0, 10), (50, 60)]
    assert found.unmeasured == [(20, 50)]


def test_two_checks_are_down_when_any_or_when_all_are() -> None:
    """With `any` one fallen check is enough; with `all` one answering check is."""
    one = Evidence(outages=[(10, 30)], seen=[(0, 60)])
    other = Evidence(outages=[(20, 40)], seen=[(0, 50)])
    any_of = account([one, other], (0, 60), down_when="any", minimum=0)
    assert (any_of.down, any_of.unmeasured) == ([(10, 40)], [(50, 60)])
    all_of = account([one, other], (0, 60), down_when="all", minimum=0)
    assert (all_of.down, all_of.unmeasured) == ([(20, 30)], [])


def test_an_outage_shorter_than_the_contract_counts_is_up() -> None:
    """Ten seconds do not count if the contract counts from twenty; the blip is still known."""
    check = Evidence(outages=[(10, 20), (30, 50)], seen=[(0, 60)])
    found = account([check], (0, 60), down_when="any", minimum=20)
    assert (found.down, found.too_short) == ([(30, 50)], [(10, 20)])


def test_an_outage_over_the_end_of_a_month_counts_as_a_whole() -> None:
    """Fifteen seconds before and fifteen after midnight are half a minute for the contract."""
    check = Evidence(outages=[(45, 75)], seen=[(0, 120)])
    found = account([check], (0, 60), down_when="any", minimum=30)
    assert found.down == [(45, 60)]


def test_without_checks_nothing_is_measured() -> None:
    """A promise that nothing measures is neither kept nor broken."""
    for mode in ("any", "all"):
        found = account([], (0, 60), down_when=mode, minimum=0)
        assert (found.down, found.up, found.unmeasured) == ([], [], [(0, 60)])


def test_a_month_at_three_nines_allows_43_minutes() -> None:
    """30 days at 99.9% leave 43 min 12 s: exactly that much is kept, a nanosecond more is broken."""
    allowed = allowed_downtime(PROMISE, NOVEMBER.length)
    assert allowed == 2592 * NS
    assert not at_end(allowed).broken
    assert at_end(allowed).owed is None
    assert at_end(allowed + 1).broken
    assert at_end(allowed + 1).owed == Money(40_000, "EUR")


def test_what_is_left_is_said_in_plain_words() -> None:
    """Half way through the month with 22 min 12 s used, 21 min are left."""
    half = NOVEMBER.start + 15 * 86_400 * NS
    standing = stand(PROMISE, NOVEMBER, half, made(22 * MINUTE + 12 * NS, upto=half))
    assert standing.budget_says == "21 min of 43 min 12 s left"
    assert standing.verdict == "The target can still be met."
    assert standing.attained_says == "99.897%"
    assert standing.under_contract_says == "99.948%"
    assert (standing.final, standing.owed) == (False, None)


def test_early_in_the_month_nothing_is_owed_though_the_share_looks_bad() -> None:
    """Ten minutes down in the first hour: 83% of the hour, but only 99.97% of the month."""
    hour = NOVEMBER.start + 60 * MINUTE
    standing = stand(PROMISE, NOVEMBER, hour, made(10 * MINUTE, upto=hour))
    assert standing.attained_says == "83.333%"
    assert standing.owed is None
    assert not standing.broken


def test_unmeasured_time_counts_for_the_vendor_in_the_contract_only() -> None:
    """Of an hour with 6 min down and 30 not measured, 80% was attained of the time we looked."""
    hour = NOVEMBER.start + 60 * MINUTE
    standing = stand(PROMISE, NOVEMBER, hour, made(6 * MINUTE, upto=hour, unseen=30 * MINUTE))
    assert standing.attained == pytest.approx(0.8)
    assert standing.under_contract == pytest.approx(1 - 6 / (30 * 24 * 60))
    assert standing.unmeasured_share == pytest.approx(0.5)


def test_a_promise_of_everything_leaves_no_budget() -> None:
    """At 100% nothing is low until something happens, and then it is broken at once."""
    promise = Promise(vendor="cardpay", target=Percent(1.0))
    assert (at_end(0, promise).used, at_end(0, promise).running_low) == (0.0, False)
    assert at_end(1, promise).broken
    assert at_end(0, promise).budget_says == "no downtime is allowed, and there was none"


def test_low_means_less_than_a_quarter_left() -> None:
    """33 of 43 minutes used is low; 32 is not yet."""
    assert at_end(33 * MINUTE).running_low
    assert not at_end(32 * MINUTE).running_low
    assert not at_end(60 * MINUTE).running_low  # no longer low but broken


@pytest.mark.parametrize(
    ("down", "owed"),
    [(0, None), (44, 40_000), (7 * 60, 40_000), (7 * 60 + 13, 100_000), (37 * 60, 400_000)],
)
def test_the_table_says_what_is_owed(down: int, owed: int | None) -> None:
    """Each row applies below its attainment and replaces the milder ones."""
    standing = at_end(down * MINUTE)
    assert standing.owed == (None if owed is None else Money(owed, "EUR"))
    assert [row.money for row in standing.rows if row.reached] == [standing.owed] * bool(owed)


@given(st.integers(0, NOVEMBER.length), st.integers(0, NOVEMBER.length))
def test_more_downtime_never_owes_less(one: int, other: int) -> None:
    """What is owed grows with the downtime, as does the share of the budget that is used."""
    less, more = at_end(min(one, other)), at_end(max(one, other))
    assert (less.owed or Money(0, "EUR")) <= (more.owed or Money(0, "EUR"))
    assert less.used <= more.used
    assert less.under_contract >= more.under_contract
    assert less.broken <= more.broken


@given(st.integers(0, NOVEMBER.length))
def test_broken_is_the_same_as_missing_the_target(down: int) -> None:
    """Counting minutes and counting percent never disagree, to the nanosecond."""
    standing = at_end(down)
    attained = Fraction(NOVEMBER.length - down, NOVEMBER.length)
    assert standing.broken == (attained < Fraction(999, 1000))
    assert standing.broken == (reached(TIERS[:1], attained) is not None)


def test_credits_are_rounded_down_to_whole_coins() -> None:
    """A tenth of 19.99 EUR is 1.99 EUR, and of 999 JPY 99 JPY: never a coin too much."""
    assert credit(Money(1999, "EUR"), TIERS[0]) == Money(199, "EUR")
    assert credit(Money(999, "JPY"), TIERS[0]) == Money(99, "JPY")
    assert credit(Money(1000, "EUR"), TIERS[0]) == Money(100, "EUR")  # not 99 by a float's whim


def test_nothing_less_than_everything_reads_as_everything() -> None:
    """One second down in a year is not 100.00%."""
    assert percent(31_535_999, 31_536_000) == "99.999%"
    assert percent(5, 5) == "100.00%"
    assert percent(0, 0) == "—"


def test_the_days_of_the_month_tell_what_they_were_made_of() -> None:
    """Each day is good, bad or not measured, and days to come are not measured."""
    end = NOVEMBER.start + 3 * 86_400 * NS
    found = by_day(PROMISE, NOVEMBER, made(5 * MINUTE, upto=end))
    assert len(found) == 30
    assert [day.tone for day in found[:4]] == ["bad", "good", "good", "plain"]
    assert [day.says for day in found[:4]] == [
        "5 min down", "no downtime", "no downtime", "not measured",
    ]  # fmt: skip


def test_a_broken_promise_becomes_one_fact() -> None:
    """The fact carries the numbers that decided it, and what is owed by then."""
    assert broken("uptime", PROMISE, at_end(0)) == []
    (fact,) = broken("uptime", PROMISE, at_end(44 * MINUTE))
    assert (fact.about, fact.vendor, fact.period) == ("promise:uptime", "vendor:cardpay", "2026-11")
    assert fact.owed == Money(40_000, "EUR")
    assert fact.says() == "was broken for 2026-11: 44 min down, 43 min 12 s allowed at 99.9%"


def test_a_period_nobody_measured_is_not_called_kept() -> None:
    """A past month without a single sheet says that nobody measured it."""
    nothing = Account(down=[], up=[], unmeasured=[(NOVEMBER.start, NOVEMBER.end)], too_short=[])
    standing = stand(PROMISE, NOVEMBER, NOVEMBER.end, nothing)
    assert standing.verdict == "Nobody measured it."
    assert (standing.attained, standing.attained_says, standing.tone) == (None, "—", "plain")


# -- what is left out --------------------------------------------------------------------------

outs = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=4)


@given(evidences, modes, outs, outs, st.none() | st.integers(0, 60))
def test_leaving_out_keeps_the_time_whole(
    checks: list[Evidence],
    mode: Literal["any", "all"],
    people: list[tuple[int, int]],
    contract: list[tuple[int, int]],
    at_most: int | None,
) -> None:
    """Only downtime is left out, and down, up, unmeasured and excluded still are the elapsed time."""
    whole = account(checks, (0, 60), down_when=mode, minimum=0)
    found = leave_out(whole, union(people), union(contract), at_most)
    assert (found.up, found.unmeasured) == (whole.up, whole.unmeasured)
    assert length(found.down) + length(found.excluded) == length(whole.down)
    assert both(found.excluded, whole.down) == found.excluded
    planned = length(both(found.excluded, union(contract)))
    chosen = length(both(whole.down, union(people)))
    assert at_most is None or length(found.excluded) - chosen <= at_most
    assert planned <= length(whole.down)


@given(evidences, modes)
def test_with_nothing_left_out_nothing_changes(
    checks: list[Evidence], mode: Literal["any", "all"]
) -> None:
    """A promise without exclusions is reckoned as ever."""
    whole = account(checks, (0, 60), down_when=mode, minimum=0)
    assert leave_out(whole, [], [], None) == whole


@given(outs, outs, st.none() | st.integers(0, 60), st.integers(0, 60 * 12))
def test_leaving_out_more_never_makes_it_worse_for_the_vendor(
    some: list[tuple[int, int]], more: list[tuple[int, int]], at_most: int | None, hours: int
) -> None:
    """Attained, of the time measured and under the contract, only rises; what is owed only falls."""
    whole, window = made(hours * 60 * MINUTE), _halves([(0, 30)])
    cap = None if at_most is None else at_most * 60 * MINUTE
    less, most = (
        stand(PROMISE, NOVEMBER, NOVEMBER.end, leave_out(whole, _halves(said), window, cap))
        for said in (some, [*some, *more])
    )
    assert most.under_contract >= less.under_contract
    assert (most.owed or Money(0, "EUR")) <= (less.owed or Money(0, "EUR"))
    assert most.broken <= less.broken
    assert most.attained is None or less.attained is None or most.attained >= less.attained


def _halves(hours: list[tuple[int, int]]) -> Moments:
    """Stretches of November, in steps of twelve hours."""
    half = 720 * MINUTE
    return union((NOVEMBER.start + a * half, NOVEMBER.start + b * half) for a, b in hours)


@given(evidences, modes, outs, st.integers(0, 60))
def test_splitting_a_window_adds_up_with_exclusions(
    checks: list[Evidence], mode: Literal["any", "all"], people: list[tuple[int, int]], cut: int
) -> None:
    """Two halves of a period have the downtime and the excluded time of the whole."""
    whole, one, other = (
        leave_out(account(checks, window, down_when=mode, minimum=0), union(people), [], None)
        for window in ((0, 60), (0, cut), (cut, 60))
    )
    assert length(whole.down) == length(one.down) + length(other.down)
    assert length(whole.excluded) == length(one.excluded) + length(other.excluded)


def test_excluded_time_leaves_the_downtime_and_the_period() -> None:
    """Of 60 min down, 20 left out: 40 are down, of a month that is 20 min shorter."""
    start = NOVEMBER.start
    found = leave_out(made(60 * MINUTE), [(start, start + 20 * MINUTE)], [], None)
    standing = stand(PROMISE, NOVEMBER, NOVEMBER.end, found)
    assert (standing.down, standing.excluded) == (40 * 60, 20 * 60)
    assert standing.allowed == pytest.approx(0.001 * (30 * 86_400 - 20 * 60))
    assert standing.under_contract == pytest.approx(1 - 40 / (30 * 24 * 60 - 20))
    assert not standing.broken


def test_what_was_up_in_a_window_stays_up() -> None:
    """A window in which nothing was down changes nothing."""
    end = NOVEMBER.end
    whole = made(60 * MINUTE)
    assert leave_out(whole, [(end - 600 * MINUTE, end)], [], None) == whole


def test_the_contracts_windows_excuse_only_so_much() -> None:
    """With `at_most` an hour, the second hour of maintenance is downtime; people's word has no cap."""
    start = NOVEMBER.start
    window = [(start, start + 120 * MINUTE)]
    capped = leave_out(made(120 * MINUTE), [], window, 60 * MINUTE)
    assert (capped.excluded, capped.down) == (
        [(start, start + 60 * MINUTE)],
        [(start + 60 * MINUTE, start + 120 * MINUTE)],
    )
    said = leave_out(made(120 * MINUTE), window, window, 60 * MINUTE)
    assert said.down == []


def test_a_month_that_is_left_out_whole_owes_nothing() -> None:
    """With no time left to be promised, nothing is broken and nothing divided by nothing."""
    whole = [(NOVEMBER.start, NOVEMBER.end)]
    found = leave_out(made(NOVEMBER.length), whole, [], None)
    standing = stand(PROMISE, NOVEMBER, NOVEMBER.end, found)
    assert (standing.broken, standing.owed, standing.attained) == (False, None, None)


def test_restored_only_by_what_was_left_out() -> None:
    """A promise that is kept even with everything counted was not restored by leaving something out."""
    assert restored("uptime", PROMISE, at_end(0), at_end(0)) == []
    assert restored("uptime", PROMISE, at_end(50 * MINUTE), at_end(50 * MINUTE)) == []
    (fact,) = restored("uptime", PROMISE, at_end(0), at_end(50 * MINUTE))
    assert (fact.about, fact.period) == ("promise:uptime", "2026-11")
