"""What must every ledger do, whatever it is kept in?

A store's tests inherit `LedgerContract` and say how one is opened; everything here then holds for it.
Nothing in this file knows how a store works.
"""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detente.kernel.clock import NS, Instant
from detente.kernel.fact import Fact, Recorded, Unfit, Unknown, named
from detente.kernel.ledger import (
    EVERYTHING,
    Condition,
    Conflict,
    Ledger,
    LedgerError,
    Query,
    Receipt,
)


@named("tide.rose")
class Rose(Fact):
    """A fact for these tests only."""

    metres: int = 0

    def says(self) -> str:
        return f"rose to {self.metres} m"


@named("tide.fell")
class Fell(Fact):
    """Another of the same family."""

    def says(self) -> str:
        return "fell"


@named("tides.turned")
class Turned(Fact):
    """Another family, whose name begins with the letters of the first."""

    def says(self) -> str:
        return "turned"


KINDS: tuple[type[Fact], ...] = (Rose, Fell, Turned)
NAMES = ("tide.rose", "tide.fell", "tides.turned", "tide.*", "tides.*", "ebb.*", "tide")
HARBOURS = ("harbour:a", "harbour:b", "harbour:c")

T = TypeVar("T")


class HandClock:
    """A clock that shows what it is told to."""

    def __init__(self, at: Instant = 1_800_000_000 * NS) -> None:
        self.at = at

    def now(self) -> Instant:
        return self.at


queries = st.builds(
    Query,
    names=st.lists(st.sampled_from(NAMES), max_size=3).map(tuple),
    subjects=st.lists(st.sampled_from([*HARBOURS, "harbour:nowhere"]), max_size=3).map(tuple),
)
facts = st.builds(
    lambda kind, about: kind(about=about), st.sampled_from(KINDS), st.sampled_from(HARBOURS)
)
few = st.lists(facts, min_size=1, max_size=5)
appends = st.lists(st.one_of(few, few, few.map(lambda group: group * 40)), max_size=12)


def property_of_every_store(examples: int) -> settings:
    """One property runs for every store that inherits it, which Hypothesis would take for a slip."""
    inherited = [HealthCheck.differing_executors]
    return settings(max_examples=examples, deadline=None, suppress_health_check=inherited)


def answers(query: Query, recorded: Recorded) -> bool:
    """The meaning of a query, as plainly as it can be said."""

    def called(wanted: str) -> bool:
        if wanted.endswith(".*"):
            return recorded.name.startswith(wanted.removesuffix("*"))
        return recorded.name == wanted

    named_so = not query.names or any(called(name) for name in query.names)
    return named_so and (not query.subjects or recorded.about in query.subjects)


def positions(recorded: Sequence[Recorded]) -> list[int]:
    return [each.position for each in recorded]


async def collect(
    ledger: Ledger, count: int, query: Query = EVERYTHING, after: int = 0
) -> list[Recorded]:
    """The first so many facts that a follower hears of."""
    heard: list[Recorded] = []
    if count == 0:
        return heard
    following = ledger.follow(query, after=after)
    async for batch in following:
        heard += batch
        if len(heard) >= count:
            break
    await following.aclose()  # type: ignore[attr-defined]
    return heard


class LedgerContract:
    """Inherit this as `TestSomething(LedgerContract)` and say how such a ledger is opened."""

    def open(self, folder: Path, clock: HandClock) -> Ledger:
        """The ledger kept in that folder: a new one the first time, the same one again later."""
        raise NotImplementedError

    @asynccontextmanager
    async def opened(self, folder: Path, clock: HandClock | None = None) -> AsyncIterator[Ledger]:
        ledger = self.open(folder, clock or HandClock())
        try:
            yield ledger
        finally:
            await ledger.close()

    def play(
        self, story: Callable[[Ledger], Coroutine[Any, Any, T]], folder: Path | None = None
    ) -> T:
        """Run a story on a ledger of its own."""

        async def run(where: Path) -> T:
            async with self.opened(where) as ledger:
                return await story(ledger)

        if folder is not None:
            return asyncio.run(run(folder))
        with tempfile.TemporaryDirectory() as name:
            return asyncio.run(run(Path(name)))

    # Append and read

    def test_an_empty_ledger_has_nothing_to_tell(self) -> None:
        """A new ledger has no facts, its head is 0, nobody has read, nothing is attached."""

        async def story(ledger: Ledger) -> None:
            assert ledger.head() == 0
            assert list(ledger.read()) == []
            assert list(ledger.read(backwards=True)) == []
            assert ledger.read_by("nobody") == 0
            assert ledger.attachment(1) is None

        self.play(story)

    def test_what_is_appended_is_read_again(self) -> None:
        """Facts come back equal, with who caused them, when, and gapless positions from 1."""

        async def story(ledger: Ledger) -> None:
            first = Rose(about="harbour:ä", metres=3)
            assert await ledger.append([first], by="moon") == Receipt(1, 1)
            more = [Fell(about="harbour:a"), Turned(about="harbour:b")]
            assert await ledger.append(more, by="Ève") == Receipt(2, 3)
            told = list(ledger.read())
            assert [each.fact for each in told] == [first, *more]
            assert positions(told) == [1, 2, 3]
            assert [each.by for each in told] == ["moon", "Ève", "Ève"]
            assert {each.at for each in told} == {1_800_000_000 * NS}
            assert ledger.head() == 3

        self.play(story)

    def test_it_is_all_there_after_opening_again(self, tmp_path: Path) -> None:
        """Closing and opening forgets nothing: facts, keys, readers and attachments."""

        async def before(ledger: Ledger) -> None:
            tides = [Rose(about="harbour:a", metres=each) for each in range(3)]
            await ledger.append(tides, by="moon", key="k", attach={1: b"log"}, reader=("gauge", 7))

        async def afterwards(ledger: Ledger) -> None:
            assert ledger.head() == 3
            assert positions(list(ledger.read())) == [1, 2, 3]
            assert ledger.attachment(2) == b"log"
            assert ledger.read_by("gauge") == 7
            again = await ledger.append([Fell(about="harbour:a")], by="moon", key="k")
            assert again == Receipt(1, 3, repeated=True)
            assert await ledger.append([Fell(about="harbour:a")], by="moon") == Receipt(4, 4)

        self.play(before, tmp_path)
        self.play(afterwards, tmp_path)

    def test_time_never_runs_backwards(self, tmp_path: Path) -> None:
        """If the clock is set back, later facts are not earlier, not even after opening again."""
        clock = HandClock()

        async def run() -> list[Instant]:
            async with self.opened(tmp_path, clock) as ledger:
                for step in (0, -60, 30):
                    clock.at += step * NS
                    await ledger.append([Fell(about="harbour:a")], by="moon")
            clock.at -= 3_600 * NS
            async with self.opened(tmp_path, clock) as ledger:
                await ledger.append([Fell(about="harbour:a")], by="moon")
                return [each.at for each in ledger.read()]

        times = asyncio.run(run())
        assert times == sorted(times)
        assert len(times) == 4

    def test_a_name_nobody_knows_any_more_is_kept(self) -> None:
        """A fact of an unknown name comes back as Unknown, body and all, and can be asked for."""
        stranger = Unknown(about="harbour:a", called="comet.seen", body=b'{"tail":"long"}')

        async def story(ledger: Ledger) -> None:
            await ledger.append([stranger, Fell(about="harbour:a")], by="moon")
            (told,) = ledger.read(Query(names=("comet.*",)))
            assert told.fact == stranger
            assert told.name == "comet.seen"

        self.play(story)

    def test_a_ledger_that_was_closed_says_so(self, tmp_path: Path) -> None:
        """After close, appending and reading are refused with a sentence; closing again is harmless."""

        async def run() -> None:
            ledger = self.open(tmp_path, HandClock())
            await ledger.close()
            await ledger.close()
            with pytest.raises(LedgerError, match="closed"):
                await ledger.append([Fell(about="harbour:a")], by="moon")
            with pytest.raises(LedgerError, match="closed"):
                list(ledger.read())

        asyncio.run(run())

    def test_closing_finishes_what_was_asked(self, tmp_path: Path) -> None:
        """Appends under way when the ledger is closed are answered, and are there afterwards."""

        async def run() -> None:
            async with self.opened(tmp_path) as ledger:
                asked = [
                    asyncio.create_task(ledger.append([Fell(about="harbour:a")], by="moon"))
                    for _ in range(20)
                ]
                await asyncio.sleep(0)
            assert sorted(each.first for each in await asyncio.gather(*asked)) == list(range(1, 21))
            async with self.opened(tmp_path) as ledger:
                assert ledger.head() == 20

        asyncio.run(run())

    # Windows and queries

    def test_a_window_is_open_below_and_closed_above(self) -> None:
        """`after` is left out, `until` is included, `limit` cuts off, backwards begins at the newest."""

        async def story(ledger: Ledger) -> None:
            await ledger.append([Fell(about="harbour:a")] * 10, by="moon")
            assert positions(list(ledger.read(after=3, until=6))) == [4, 5, 6]
            assert positions(list(ledger.read(after=3, until=6, backwards=True))) == [6, 5, 4]
            assert positions(list(ledger.read(limit=2))) == [1, 2]
            assert positions(list(ledger.read(limit=2, backwards=True))) == [10, 9]
            assert positions(list(ledger.read(after=8, limit=9, backwards=True))) == [10, 9]
            assert list(ledger.read(limit=0)) == []
            assert list(ledger.read(after=10)) == []
            assert list(ledger.read(after=6, until=6)) == []
            assert list(ledger.read(after=9, until=2)) == []

        self.play(story)

    def test_many_facts_come_page_by_page_and_in_order(self) -> None:
        """However the store pages, thousands of facts come once each, in order, in both directions."""

        async def story(ledger: Ledger) -> None:
            for harbour in itertools.islice(itertools.cycle(HARBOURS), 9):
                await ledger.append([Rose(about=harbour, metres=n) for n in range(450)], by="moon")
            assert positions(list(ledger.read())) == list(range(1, 4_051))
            assert positions(list(ledger.read(backwards=True))) == list(range(4_050, 0, -1))
            in_b = Query(subjects=("harbour:b",))
            told = positions(list(ledger.read(in_b, limit=1_200)))
            assert told == [n for n in range(1, 4_051) if (n - 1) // 450 % 3 == 1][:1_200]
            assert positions(list(ledger.read(in_b, backwards=True)))[-1_200:] == told[::-1]

        self.play(story)

    @property_of_every_store(40)
    @given(groups=appends, query=queries, data=st.data())
    def test_asking_equals_filtering_by_hand(
        self, groups: list[list[Fact]], query: Query, data: st.DataObject
    ) -> None:
        """Any query on any window answers what reading everything and filtering would."""
        count = sum(map(len, groups))
        after = data.draw(st.integers(0, count + 1))
        until = data.draw(st.none() | st.integers(0, count + 1))
        limit = data.draw(st.none() | st.integers(0, 9))
        backwards = data.draw(st.booleans())

        async def story(ledger: Ledger) -> None:
            for group in groups:
                await ledger.append(group, by="moon")
            everything = list(ledger.read())
            assert [each.fact for each in everything] == list(itertools.chain(*groups))
            assert positions(everything) == list(range(1, count + 1))
            end = count if until is None else until
            wanted = [e for e in everything if answers(query, e) and after < e.position <= end]
            expected = (wanted[::-1] if backwards else wanted)[:limit]
            found = ledger.read(query, after=after, until=until, limit=limit, backwards=backwards)
            assert list(found) == expected

        self.play(story)

    def test_asking_about_very_many_subjects(self) -> None:
        """A question about hundreds of subjects or names is answered like any other."""

        async def story(ledger: Ledger) -> None:
            await ledger.append([Rose(about=f"boat:{n}") for n in range(400)], by="moon")
            boats = Query(subjects=tuple(f"boat:{n}" for n in range(0, 400, 2)), names=("tide.*",))
            assert positions(list(ledger.read(boats))) == list(range(1, 401, 2))
            names = Query(names=(*(f"tide.{n}" for n in range(300)), "tide.rose"))
            assert len(list(ledger.read(names))) == 400

        self.play(story)

    # Conditions and keys

    def test_something_newer_refuses_an_append(self) -> None:
        """With a condition, an append fails if a matching fact stands after the position, else not."""

        async def story(ledger: Ledger) -> None:
            await ledger.append([Rose(about="harbour:a"), Rose(about="harbour:b")], by="moon")
            about_a = Query(subjects=("harbour:a",))
            with pytest.raises(Conflict, match=r"tide\.rose about harbour:a .*position 1"):
                await ledger.append(
                    [Fell(about="harbour:a")], by="moon", condition=Condition(about_a, 0)
                )
            assert ledger.head() == 2
            answer = await ledger.append(
                [Fell(about="harbour:a")], by="m", condition=Condition(about_a, 1)
            )
            assert answer == Receipt(3, 3)

        self.play(story)

    @property_of_every_store(60)
    @given(groups=appends, query=queries, data=st.data())
    def test_a_condition_means_what_reading_would_show(
        self, groups: list[list[Fact]], query: Query, data: st.DataObject
    ) -> None:
        """An append is refused exactly if reading that query after that position shows anything."""
        after = data.draw(st.integers(0, sum(map(len, groups)) + 1))

        async def story(ledger: Ledger) -> None:
            for group in groups:
                await ledger.append(group, by="moon")
            newer = list(ledger.read(query, after=after))
            asked = ledger.append(
                [Fell(about="harbour:z")], by="moon", condition=Condition(query, after)
            )
            if newer:
                with pytest.raises(Conflict):
                    await asked
            else:
                await asked

        self.play(story)

    @property_of_every_store(25)
    @given(writers=st.integers(2, 12), query=queries.filter(lambda q: answers(q, _SAMPLE)))
    def test_two_conditional_writers_never_both_win(self, writers: int, query: Query) -> None:
        """Of writers who decided on the same knowledge exactly one is taken; bystanders all are."""
        condition = Condition(query, 0)

        async def story(ledger: Ledger) -> None:
            rivals = [
                ledger.append([Rose(about="harbour:a")], by=f"rival {n}", condition=condition)
                for n in range(writers)
            ]
            bystanders = [ledger.append([Turned(about="sea:b")], by="b") for _ in range(writers)]
            both = [each for pair in zip(rivals, bystanders, strict=True) for each in pair]
            outcomes = await asyncio.gather(*both, return_exceptions=True)
            lost = [each for each in outcomes if isinstance(each, BaseException)]
            assert len(lost) == writers - 1
            assert all(isinstance(each, Conflict) for each in lost)
            assert ledger.head() == writers + 1

        self.play(story)

    def test_counting_together_loses_no_count(self) -> None:
        """Many who read, decide and append under a condition count as well as one would."""

        async def story(ledger: Ledger) -> None:
            tide = Query(subjects=("harbour:a",))

            async def count_up() -> None:
                while True:
                    newest = next(ledger.read(tide, limit=1, backwards=True), None)
                    metres = newest.fact.metres if newest and isinstance(newest.fact, Rose) else 0
                    known = Condition(tide, newest.position if newest else 0)
                    try:
                        fact = Rose(about="harbour:a", metres=metres + 1)
                        await ledger.append([fact], by="counter", condition=known)
                    except Conflict:
                        continue
                    return

            await asyncio.gather(*(count_up() for _ in range(20)))
            assert [e.fact.metres for e in ledger.read()] == list(range(1, 21))  # type: ignore[attr-defined]

        self.play(story)

    def test_a_repeated_key_writes_nothing(self) -> None:
        """A key that was answered is answered the same again, even if its condition would fail now."""

        async def story(ledger: Ledger) -> None:
            never = Condition(EVERYTHING, 0)
            facts = [Rose(about="harbour:a"), Fell(about="harbour:a")]
            first = await ledger.append(facts, by="moon", key="once", condition=never)
            assert first == Receipt(1, 2)
            again = await ledger.append(
                facts, by="moon", key="once", condition=never, reader=("r", 9), attach={0: b"x"}
            )
            assert again == Receipt(1, 2, repeated=True)
            assert ledger.head() == 2
            assert ledger.read_by("r") == 0
            assert ledger.attachment(1) is None

        self.play(story)

    def test_a_number_that_rows_cannot_hold_is_refused(self) -> None:
        """All or nothing, before anything is written; the largest that fit are kept."""

        async def story(ledger: Ledger) -> None:
            for metres in (1 << 63, -(1 << 63) - 1, 10**30):
                with pytest.raises(Unfit, match="metres: no fact can hold this number"):
                    await ledger.append([Rose(about="a"), Rose(about="a", metres=metres)], by="x")
            assert ledger.head() == 0
            for metres in ((1 << 63) - 1, -(1 << 63)):
                await ledger.append([Rose(about="a", metres=metres)], by="x")
            assert ledger.head() == 2

        self.play(story)

    def test_a_key_repeated_at_the_same_moment(self) -> None:
        """Of many appends with one key asked for at once, one writes and all have its answer."""

        async def story(ledger: Ledger) -> None:
            fact = Rose(about="harbour:a")
            asked = (ledger.append([fact], by="moon", key="once") for _ in range(30))
            receipts = await asyncio.gather(*asked)
            assert {(each.first, each.last) for each in receipts} == {(1, 1)}
            assert sum(each.repeated for each in receipts) == 29
            assert ledger.head() == 1

        self.play(story)

    def test_a_refused_append_may_use_its_key_again(self) -> None:
        """A conflict answers no key: the same key with a fresh condition is taken."""

        async def story(ledger: Ledger) -> None:
            await ledger.append([Rose(about="harbour:a")], by="moon")
            fact = Fell(about="harbour:a")
            with pytest.raises(Conflict):
                await ledger.append([fact], by="moon", key="k", condition=Condition(EVERYTHING, 0))
            taken = await ledger.append(
                [fact], by="moon", key="k", condition=Condition(EVERYTHING, 1)
            )
            assert taken == Receipt(2, 2)

        self.play(story)

    def test_all_or_nothing(self) -> None:
        """A refused append leaves no fact, no attachment, no reader; its neighbours are all taken."""

        async def story(ledger: Ledger) -> None:
            await ledger.append([Rose(about="harbour:a")], by="moon")
            bad = ledger.append(
                [Fell(about="harbour:a")] * 3,
                by="moon",
                condition=Condition(Query(subjects=("harbour:a",)), 0),
                attach={0: b"never"},
                reader=("reader", 5),
            )
            good = [ledger.append([Fell(about="harbour:b")] * 2, by="moon") for _ in range(10)]
            outcomes = await asyncio.gather(*good[:5], bad, *good[5:], return_exceptions=True)
            assert [type(each) for each in outcomes] == [*[Receipt] * 5, Conflict, *[Receipt] * 5]
            assert ledger.head() == 21
            assert {each.about for each in ledger.read(after=1)} == {"harbour:b"}
            assert ledger.read_by("reader") == 0
            assert [ledger.attachment(n) for n in range(1, 22)] == [None] * 21

        self.play(story)

    # Attachments and readers

    def test_attachments_expire_and_facts_stay(self) -> None:
        """Bytes stand beside the fact they were given for, until they are forgotten; facts stay."""

        async def story(ledger: Ledger) -> None:
            await ledger.append([Rose(about="harbour:a")], by="moon")
            facts = [Fell(about="harbour:a")] * 3
            big = bytes(range(256)) * 5_000
            await ledger.append(facts, by="moon", attach={0: b"", 2: big})
            assert [ledger.attachment(n) for n in (1, 2, 3, 4)] == [None, b"", None, big]
            await ledger.expire([4, 3, 99])
            assert [ledger.attachment(n) for n in (2, 4)] == [b"", None]
            assert ledger.head() == 4

        self.play(story)

    def test_an_attachment_needs_its_fact(self) -> None:
        """Attaching to a fact that is not in the append is refused, and nothing is written."""

        async def story(ledger: Ledger) -> None:
            for index in (1, -1):
                with pytest.raises(ValueError, match="attach"):
                    await ledger.append([Fell(about="harbour:a")], by="moon", attach={index: b"x"})
            assert ledger.head() == 0

        self.play(story)

    def test_a_reader_may_move_without_facts(self) -> None:
        """An append of no facts moves its reader and answers with the head."""

        async def story(ledger: Ledger) -> None:
            assert await ledger.append([], by="gauge", reader=("gauge", 0)) == Receipt(0, 0)
            await ledger.append([Fell(about="harbour:a")] * 4, by="moon", reader=("other", 2))
            assert await ledger.append([], by="gauge", reader=("gauge", 4)) == Receipt(4, 4)
            assert (ledger.read_by("gauge"), ledger.read_by("other")) == (4, 2)
            assert ledger.head() == 4

        self.play(story)

    # Following

    def test_a_follower_hears_old_and_new_in_order(self) -> None:
        """A follower gets what is there and then what comes, each once, in order, without gaps."""

        async def story(ledger: Ledger) -> None:
            await ledger.append([Fell(about="harbour:a")] * 5, by="moon")
            following = asyncio.create_task(collect(ledger, 203, after=2))
            for n in range(100):
                await ledger.append([Rose(about="harbour:b", metres=n)] * 2, by="moon")
            assert positions(await following) == list(range(3, 206))

        self.play(story)

    def test_a_follower_hears_only_what_it_asked_for(self) -> None:
        """A follower with a query hears exactly the facts that reading that query shows."""

        async def story(ledger: Ledger) -> None:
            query = Query(names=("tide.*",), subjects=("harbour:a", "harbour:c"))
            following = asyncio.create_task(collect(ledger, 60, query))
            for _ in range(30):
                await ledger.append(
                    [kind(about=about) for kind in KINDS for about in HARBOURS[:2]], by="moon"
                )
            assert await following == list(ledger.read(query))

        self.play(story)

    def test_many_followers_hear_the_same(self) -> None:
        """Several followers do not take facts from each other, and early leavers disturb nobody."""

        async def story(ledger: Ledger) -> None:
            followers = [asyncio.create_task(collect(ledger, 50 + n)) for n in range(5)]
            for _ in range(20):
                await asyncio.gather(
                    *(ledger.append([Fell(about=each)], by="moon") for each in HARBOURS)
                )
            heard = [positions(each) for each in await asyncio.gather(*followers)]
            assert all(each[: 50 + n] == list(range(1, 51 + n)) for n, each in enumerate(heard))

        self.play(story)

    def test_whoever_hears_of_a_fact_can_read_it(self) -> None:
        """A receipt and a batch only ever name facts that reading shows as well."""

        async def story(ledger: Ledger) -> None:
            async def watcher() -> None:
                async for batch in ledger.follow():
                    newest = batch[-1].position
                    assert ledger.head() >= newest
                    assert next(ledger.read(backwards=True)).position >= newest
                    if newest >= 60:
                        return

            async def writer() -> None:
                for _ in range(20):
                    receipt = await ledger.append([Fell(about="harbour:a")], by="moon")
                    assert ledger.head() >= receipt.last

            await asyncio.gather(watcher(), writer(), writer(), writer())

        self.play(story)

    def test_following_ends_when_it_is_cancelled(self) -> None:
        """A cancelled follower stops at once, and the ledger goes on."""

        async def story(ledger: Ledger) -> None:
            following = asyncio.create_task(collect(ledger, 1))
            await asyncio.sleep(0)
            following.cancel()
            with pytest.raises(asyncio.CancelledError):
                await following
            assert await ledger.append([Fell(about="harbour:a")], by="moon") == Receipt(1, 1)

        self.play(story)

    def test_following_ends_when_the_ledger_is_closed(self, tmp_path: Path) -> None:
        """Closing the ledger ends every follower without an error."""

        async def run() -> None:
            async with self.opened(tmp_path) as ledger:
                following = asyncio.create_task(collect(ledger, 99))
                await ledger.append([Fell(about="harbour:a")], by="moon")
                await asyncio.sleep(0)
            assert positions(await following) == [1]

        asyncio.run(run())


_SAMPLE = Recorded(1, 0, "", Rose(about="harbour:a"))
