from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from detente.kernel.clock import NS
from detente.watch.engine.schedule import (
    Schedule,
    interval_ns,
    lateness_limit,
    phase,
    slot_at,
    slots,
)

names = st.text(min_size=1, max_size=20)
intervals = st.sampled_from([0.05, 0.3, 1.0, 7.5, 30.0, 3600.0])
times = st.integers(10**18, 2 * 10**18)


@given(names, intervals, times)
def test_slots_are_a_fixed_rate_apart(name, every, start):
    """Slots follow each other by exactly one interval, wherever one starts to look."""
    length = interval_ns(every)
    found = list(slots(name, every, start, start + 10 * length))
    assert len(found) == 10
    assert all(later - earlier == length for earlier, later in pairwise(found))
    assert found[0] - start < length
    assert {(slot - phase(name, every)) % length for slot in found} == {0}


@given(names, intervals, times, st.lists(st.floats(0.01, 0.9), min_size=1, max_size=30))
def test_every_slot_comes_once_while_nothing_stands_still(name, every, start, steps):
    """As long as the loop comes by at least once an interval, every slot is taken exactly once."""
    schedule: Schedule[str] = Schedule()
    schedule.add(name, every, name, start)
    now, taken = start, []
    for step in steps:
        now += int(step * interval_ns(every))
        taken += [slot for _, slot in schedule.take(now, 10)]
    assert taken == list(slots(name, every, start + 1, now + 1))


@given(intervals, times, st.integers(0, 10**14))
def test_nothing_is_caught_up_after_a_pause(every, start, pause):
    """However long nobody looked, each item is due at most once, for its newest slot."""
    schedule: Schedule[str] = Schedule()
    for each in map(str, range(20)):
        schedule.add(each, every, each, start)
    now = start + pause
    taken = schedule.take(now, 1000)
    assert len({item for item, _ in taken}) == len(taken)
    assert all(now - slot < interval_ns(every) for _, slot in taken)
    assert schedule.take(now, 1000) == []


@given(intervals, times, st.integers(-(10**14), 10**14))
def test_starting_over_waits_for_the_next_slot(every, start, step):
    """After a clock step in either direction nothing is due before its next own slot."""
    schedule: Schedule[str] = Schedule()
    for each in map(str, range(20)):
        schedule.add(each, every, each, start)
    now = start + step
    missed = schedule.start_over(now)
    assert all(slot <= now for _, slot in missed)
    assert schedule.take(now, 1000) == []
    soon = schedule.take(now + interval_ns(every), 1000)
    assert len(soon) == 20
    assert all(now < slot <= now + interval_ns(every) for _, slot in soon)


def test_phases_are_spread_evenly():
    """A thousand checks begin all over the interval, not together."""
    tenths = [0] * 10
    for number in range(1000):
        tenths[phase(f"check-{number}", 30.0) * 10 // (30 * NS)] += 1
    assert min(tenths) > 60
    assert max(tenths) < 140


@given(names, times, times)
def test_a_restart_keeps_the_slots(name, first, second):
    """The slots come from the name alone: whoever starts later takes the same ones."""
    one, two = Schedule[str](), Schedule[str]()
    due = one.add(name, 30.0, name, first).due, two.add(name, 30.0, name, second).due
    assert (due[0] - due[1]) % (30 * NS) == 0


def test_places_take_turns():
    """Two places that watch the same thing do so at different moments."""
    assert phase("shop", 30.0, "berlin") != phase("shop", 30.0, "oslo")
    assert phase("shop", 60.0) == 2 * phase("shop", 30.0) + phase("shop", 60.0) % 2


@given(names, intervals, times)
def test_the_newest_slot_has_begun_and_no_later_one(name, every, now):
    """The slot at a moment is the last one that began up to then."""
    length, offset = interval_ns(every), phase(name, every)
    assert slot_at(now, length, offset) <= now < slot_at(now, length, offset) + length


@given(intervals, times, st.lists(st.booleans(), min_size=300, max_size=300))
def test_removed_items_are_gone_and_others_stay(every, start, kept):
    """Removing any of many leaves exactly the others, however many there were."""
    schedule: Schedule[int] = Schedule()
    turns = [schedule.add(each, every, str(each), start) for each in range(len(kept))]
    for turn, stays in zip(turns, kept, strict=True):
        if not stays:
            schedule.remove(turn)
    assert len(schedule) == sum(kept)
    taken = {item for item, _ in schedule.take(start + interval_ns(every), 1000)}
    assert taken == {each for each, stays in enumerate(kept) if stays}


@given(st.floats(0.01, 100_000))
def test_the_limit_of_lateness(every):
    """A late run never reaches into the next slot's half of the interval."""
    assert 0 < lateness_limit(every) <= every / 2
    assert lateness_limit(30.0) == 3.0
    assert lateness_limit(5.0) == 1.0
    assert lateness_limit(1.0) == 0.5
