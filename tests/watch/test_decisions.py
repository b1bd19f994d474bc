"""Falls and rises, sheets, and what is nobody's fault."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from detente.facts.watch import (
    AnswerChanged,
    CameBack,
    LostSight,
    RegainedSight,
    Warned,
    WarningPassed,
    WasDown,
    WentDown,
    parts_of,
    seal_of,
)
from detente.kernel.clock import NS
from detente.kernel.fact import Fact
from detente.watch.decisions import (
    Answers,
    Standing,
    Whole,
    as_seen_from,
    file_sheet,
    judge,
    notice,
    put_together,
)
from detente.watch.engine.wire import Result
from detente.watch.settings import Check

HTTP = Check(http="http://cardpay.test", falls_after=3, rises_after=2)  # type: ignore[arg-type]
TLS = Check(tls="cardpay.test:443", falls_after=2, rises_after=1)  # type: ignore[arg-type]
EVERY = 30

verdicts = st.lists(st.sampled_from("of?s"))
WORDS = {"o": "ok", "f": "failed", "?": "inconclusive", "s": "skipped"}


def result(letter: str, slot: int, **given: Any) -> Result:
    return Result(
        id="cardpay",
        slot=slot,
        at=slot,
        verdict=WORDS[letter],
        reason="why",
        **given,  # type: ignore[arg-type]
    )


def run(
    letters: str | list[str], check: Check = HTTP, standing: Standing | None = None, start: int = 1
) -> tuple[Standing, list[tuple[int, Fact]]]:
    """What a row of verdicts makes, each fact with the number of the run that made it."""
    standing, told = standing or Standing(), []
    for number, letter in enumerate(letters, start=start):
        standing, facts = judge(
            "cardpay", check, "vendor:cardpay", standing, result(letter, number * EVERY * NS)
        )
        told += [(number, fact) for fact in facts]
    return standing, told


def slot(number: int) -> int:
    return number * EVERY * NS


def test_it_falls_after_so_many_failures_in_a_row() -> None:
    """Two failures and a good answer are nothing; the third in a row is an outage since the first."""
    assert run("ffoffo")[1] == []
    ((number, fact),) = run("offf")[1]
    assert number == 4
    assert isinstance(fact, WentDown)
    assert (fact.since, fact.failures, fact.reason) == (slot(2), 3, "why")


def test_it_rises_after_so_many_answers_in_a_row() -> None:
    """One good answer is not enough; the outage lasted from the first failure to the first of them."""
    _, told = run("fffofoo")
    assert [type(fact) for _, fact in told] == [WentDown, CameBack]
    number, back = told[1]
    assert number == 7
    assert isinstance(back, CameBack)
    assert (back.since, back.lasted) == (slot(6), 5 * EVERY)


def test_a_long_outage_is_told_once() -> None:
    """However long it stays down, there is one fact of it."""
    assert len(run("f" * 100)[1]) == 1


def test_what_could_not_be_told_never_counts_as_down() -> None:
    """Inconclusive and skipped runs prove nothing: sight is lost, the target is not blamed."""
    _, told = run("ff????????")
    assert [type(fact) for _, fact in told] == [LostSight]
    assert told[0][1] == LostSight(about="check:cardpay", since=slot(3), reason="why")
    assert run("s" * 50)[1] == []


def test_sight_comes_back_with_the_first_run_that_tells_something() -> None:
    """Good or bad, it can be judged again."""
    for letter in "of":
        _, told = run("???" + letter)
        assert [type(fact) for _, fact in told] == [LostSight, RegainedSight]


def test_failures_before_and_after_blindness_are_not_in_a_row() -> None:
    """Nobody looked meanwhile, so no outage is claimed for that time."""
    _, told = run("ff" + "?" * 10 + "fff")
    fell = next(fact for _, fact in told if isinstance(fact, WentDown))
    assert fell.since == slot(13)


def test_a_single_doubtful_run_does_not_break_a_row() -> None:
    """It proves nothing either way: neither does it save the target."""
    _, told = run("f?ff")
    assert [type(fact) for _, fact in told] == [WentDown]


def test_a_warning_pages_nobody() -> None:
    """A certificate that expires soon wants a look, and is no outage."""
    _, told = run("ffffo", TLS)
    assert [type(fact) for _, fact in told] == [Warned, WarningPassed]
    counted = msgspec.structs.replace(TLS, counts_as="outage")
    assert [type(fact) for _, fact in run("ffo", counted)[1]] == [WentDown, CameBack]


def test_an_outage_ends_as_what_it_began() -> None:
    """Declared a warning while it was down, it still comes back as an outage does."""
    standing, _ = run("fff")
    softened = msgspec.structs.replace(HTTP, counts_as="warning")
    _, told = run("oo", softened, standing, start=4)
    assert [type(fact) for _, fact in told] == [CameBack]


def test_what_was_down_before_a_restart_comes_back() -> None:
    """Remembered as down since then, it is not told again, and its whole length is."""
    standing = Standing(down=True, down_since=slot(1))
    _, told = run("ffoo", standing=standing, start=10)
    ((_, back),) = told
    assert isinstance(back, CameBack)
    assert back.lasted == 11 * EVERY


def test_a_result_that_came_twice_or_late_counts_once() -> None:
    """Two results of one slot, or an older one after a newer, are not two failures."""
    standing = Standing()
    for number in (1, 1, 1, 2, 1, 2):
        one = result("f", slot(number))
        standing, facts = judge("cardpay", HTTP, "vendor:cardpay", standing, one)
        assert facts == []
    assert standing.failures == 2


def test_a_first_look_between_the_slots_counts() -> None:
    """A run at start, outside the schedule, is as good as any."""
    look = result("f", slot(1) - 17)
    standing, _ = judge("cardpay", HTTP, "vendor:cardpay", Standing(), look)
    assert run("ff", standing=standing)[1][0][1].since == slot(1) - 17  # type: ignore[attr-defined]


def test_a_clock_put_back_blinds_nobody() -> None:
    """After the clock was set back by an hour, failures go on being counted."""
    standing, _ = run("o", start=1000)
    _, told = run("fff", standing=standing, start=880)
    assert [type(fact) for _, fact in told] == [WentDown]


@given(verdicts)
def test_downs_and_ups_take_turns(letters: list[str]) -> None:
    """Whatever happens, a fall is followed by a rise, and lost sight by sight regained."""
    _, told = run(letters)
    falls = [
        isinstance(fact, WentDown) for _, fact in told if isinstance(fact, WentDown | CameBack)
    ]
    sight = [isinstance(f, LostSight) for _, f in told if isinstance(f, LostSight | RegainedSight)]
    for turns in (falls, sight):
        assert turns == [each % 2 == 0 for each in range(len(turns))]
    for number, fact in told:
        assert fact.since <= slot(number)  # type: ignore[attr-defined]
        if isinstance(fact, WentDown):
            assert letters[fact.since // slot(1) - 1] == "f"
        if isinstance(fact, CameBack):
            assert fact.lasted > 0


# -- sheets ----------------------------------------------------------------------------------------


@given(
    st.dictionaries(st.sampled_from("abc"), st.sets(st.integers(0, 20)), max_size=3),
    st.lists(st.tuples(st.sampled_from("abcd"), st.integers(-3, 25), st.sampled_from("of?s"))),
)
def test_a_sheet_leaves_nothing_out(
    expected: dict[str, set[int]], came: list[tuple[str, int, str]]
) -> None:
    """Every expected slot stands in it, run or not; what came outside the schedule is merged in."""
    results = [
        msgspec.structs.replace(result(letter, each, total=0.5), id=name)
        for name, each, letter in came
    ]
    slots = {name: sorted(each) for name, each in expected.items()}
    sheet, packed = file_sheet("here", 0, 21, slots, results)
    assert sheet.sha256 == seal_of(parts_of(packed).values())
    lines = msgspec.msgpack.decode(packed)["checks"]
    assert set(lines) == set(expected)
    for name, line in lines.items():
        seen = {each.slot for each in results if each.id == name}
        assert [each for each, _ in line] == sorted(expected[name] | seen)
        assert {each for each, run in line if run is None} == expected[name] - seen
    for name, tally in sheet.tallies.items():
        ran = tally.ok + tally.failed + tally.inconclusive + tally.skipped
        assert ran + tally.not_run == tally.expected == len(lines[name])
        assert tally.not_run == sum(run is None for _, run in lines[name])
    assert set(sheet.tallies) == {name for name, line in lines.items() if line}


def test_a_tally_tells_how_long_answers_took() -> None:
    """Median and worst are those of good answers; the last failure has its reason."""
    results = [result("o", each, total=each / 10) for each in (1, 2, 9)]
    results.append(msgspec.structs.replace(result("f", 10, total=99.0), reason="HTTP 503"))
    sheet, _ = file_sheet("here", 0, 11, {"cardpay": [1, 2, 9, 10]}, results)
    tally = sheet.tallies["cardpay"]
    assert (tally.median, tally.worst, tally.last) == (0.2, 0.9, "HTTP 503")


# -- warnings of plugins -------------------------------------------------------------------------

WORDS["w"] = "warned"
PLUGIN = Check(plugin=("check_disk",), falls_after=2, rises_after=2)


def names(told: list[tuple[int, Fact]]) -> list[str]:
    return [fact.name for _, fact in told]


def test_a_plugin_that_warns_works_and_wants_a_look() -> None:
    """Two warnings in a row are told, since the first; two calm answers end it. It was never down."""
    standing, told = run("owwwoo", PLUGIN)
    assert names(told) == ["watch.warned", "watch.warning_passed"]
    warned, passed = (fact for _, fact in told)
    assert isinstance(warned, Warned)
    assert isinstance(passed, WarningPassed)
    assert (warned.since, passed.since) == (slot(2), slot(5))
    assert not standing.worried
    assert names(run("wowowo", PLUGIN)[1]) == []


def test_a_warning_ends_an_outage() -> None:
    """What warns answers: it is up again, and the warning is told beside it."""
    assert names(run("ffww", PLUGIN)[1]) == ["watch.went_down", "watch.came_back", "watch.warned"]


def test_a_check_that_only_warns_knows_one_kind_of_trouble() -> None:
    """There a plugin's warning and its failure are the same."""
    only = Check(plugin=("check_disk",), falls_after=2, rises_after=1, counts_as="warning")
    assert names(run("wfo", only)[1]) == ["watch.warned", "watch.warning_passed"]


# -- several places ------------------------------------------------------------------------------


def together(*said: tuple[str, str], agree: int = 1, late: int = 0) -> list[Fact]:
    """What the runs of places make, in the order in which the node hears of them."""
    check = Check(http="http://x", falls_after=2, rises_after=1, agree=agree)  # type: ignore[arg-type]
    looks = {place: Standing() for place, _ in said}
    number, whole, told = 0, Whole(), []
    for place, letters in said:
        for letter in letters:
            number += 1
            seen = result(letter, slot(number))
            looks[place], news = judge("cardpay", check, "vendor:cardpay", looks[place], seen)
            news = as_seen_from(place, check, looks[place], news)
            whole, more = put_together(
                "cardpay", check, "vendor:cardpay", whole, looks, news,
                now=slot(number) + late * NS, sheet=30,
            )  # fmt: skip
            told += [*news, *more]
    return told


def test_a_check_is_down_while_as_many_places_as_must_agree_see_it() -> None:
    """Since the last of them saw it, and until the last but enough of them sees it answer."""
    one = together(("here", "oo"), ("berlin", "ffo"))
    assert [fact.name for fact in one] == [
        "watch.missed_from", "watch.went_down", "watch.reached_from", "watch.came_back",
    ]  # fmt: skip
    assert [fact.name for fact in together(("here", "oo"), ("berlin", "ff"), agree=2)] == [
        "watch.missed_from"
    ]
    both = together(("here", "ff"), ("berlin", "ff"), ("here", "o"), agree=2)
    (down,) = (fact for fact in both if isinstance(fact, WentDown))
    (back,) = (fact for fact in both if isinstance(fact, CameBack))
    assert (down.since, back.since) == (slot(3), slot(5))


def test_what_was_over_before_it_was_heard_of_is_history() -> None:
    """It makes one fact with both ends; where two must agree, one place's past makes none."""
    late = together(("berlin", "ffoo"), late=3600)
    assert [fact.name for fact in late] == [
        "watch.missed_from", "watch.reached_from", "watch.was_down",
    ]  # fmt: skip
    was = late[-1]
    assert isinstance(was, WasDown)
    assert (was.since, was.until, was.reason) == (slot(1), slot(3), "why")
    agreed = together(("here", "oo"), ("berlin", "ffoo"), agree=2, late=3600)
    assert not any(isinstance(fact, WasDown) for fact in agreed)


@given(st.lists(st.tuples(st.sampled_from(("here", "berlin")), verdicts.map("".join)), max_size=8))
def test_falls_and_rises_of_a_check_take_turns(said: list[tuple[str, str]]) -> None:
    """However places disagree, a check never falls twice without rising, nor rises without a fall."""
    told = [f.name for f in together(*said) if f.name in ("watch.went_down", "watch.came_back")]
    assert all(one != two for one, two in pairwise(told))
    assert told[:1] in ([], ["watch.went_down"])


# -- somebody else answers -----------------------------------------------------------------------


def noticed(*said: str | None) -> list[Fact]:
    answers, told = Answers(), []
    for number, each in enumerate(said):
        answers, facts = notice("check:c", "vendor:c", "address", answers, each, slot(number))
        told += facts
    return told


def test_another_address_is_told_once_it_has_answered_twice() -> None:
    """A single odd answer is nothing, and addresses that take turns with known ones join them."""
    assert noticed("a", "a", "b", "a", "b", "b") == []
    assert noticed(None, "a", None, "b", "a") == []
    (changed,) = noticed("a", "b", None, "b", "b", "b")
    assert isinstance(changed, AnswerChanged)
    assert (changed.before, changed.after, changed.since) == (("a",), ("b",), slot(1))
    assert "is at another address: b, before it was a" in changed.says()
