"""Does a ledger in one SQLite file keep every promise, whatever happens to the file?"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import Any

import apsw
import pytest

from detente.kernel.fact import Fact
from detente.kernel.ledger import (
    Condition,
    Conflict,
    Ledger,
    LedgerError,
    LedgerFull,
    LedgerHeld,
    LedgerTooNew,
    Query,
    Receipt,
)
from detente.kernel.ledger.sqlite import SqliteLedger

from .ledger_contract import HandClock, LedgerContract, Rose, positions


class TestThread(LedgerContract):
    """With a thread that writes: as the node runs."""

    def open(self, folder: Path, clock: HandClock) -> Ledger:
        return SqliteLedger(folder / "ledger", clock=clock)


class TestInline(LedgerContract):
    """Writing in the calling task: as simulated worlds run."""

    def open(self, folder: Path, clock: HandClock) -> Ledger:
        return SqliteLedger(folder / "ledger", clock=clock, writer="inline")


WRITERS = pytest.mark.parametrize("writer", ["thread", "inline"])
ROSE = Rose(about="harbour:a", metres=1)


def open_ledger(path: Path | str, **more: Any) -> SqliteLedger:
    return SqliteLedger(path, clock=HandClock(), **more)


def filled(path: Path, count: int = 3) -> None:
    """A closed ledger with some facts."""

    async def run() -> None:
        ledger = open_ledger(path)
        await ledger.append([Rose(about="harbour:a", metres=n) for n in range(count)], by="moon")
        await ledger.close()

    asyncio.run(run())


def refused(path: Path, kind: type[LedgerError] = LedgerError, **more: Any) -> str:
    """What opening that file says."""
    with pytest.raises(kind) as told:
        open_ledger(path, **more)
    return str(told.value)


def program(code: str, *arguments: object, **how: Any) -> subprocess.Popen[str]:
    """A process of its own that runs this code, with `sys.argv[1:]` as given."""
    start = [sys.executable, "-c", _PROLOGUE + textwrap.dedent(code), *map(str, arguments)]
    return subprocess.Popen(start, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **how)


_PROLOGUE = """
import asyncio, os, resource, sys
from pathlib import Path
from detente.kernel.clock import SystemClock
from detente.kernel.fact import Fact, named
from detente.kernel.ledger import LedgerError, LedgerFull
from detente.kernel.ledger.sqlite import SqliteLedger

@named("tide.rose")
class Rose(Fact):
    metres: int = 0

"""


# What is told, and in which order


@WRITERS
def test_views_hear_first_then_writers_then_followers(tmp_path: Path, writer: Any) -> None:
    """After a commit come the callbacks, then whoever appended, then whoever follows."""
    order: list[str] = []

    async def run() -> None:
        ledger = open_ledger(tmp_path / "ledger", writer=writer)
        ledger.on_commit(lambda: order.append(f"view {ledger.head()}"))

        async def follower() -> None:
            async for batch in ledger.follow():
                order.append(f"follower {batch[-1].position}")
                return

        following = asyncio.create_task(follower())
        await asyncio.sleep(0)
        await ledger.append([ROSE], by="moon")
        order.append("writer 1")
        await following
        await ledger.close()

    asyncio.run(run())
    assert order == ["view 1", "writer 1", "follower 1"]


@WRITERS
def test_a_view_that_fails_stops_nobody(tmp_path: Path, writer: Any) -> None:
    """If a callback raises, the loop is told, and the append is answered all the same."""
    told: list[dict[str, Any]] = []

    async def run() -> Receipt:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, what: told.append(what))
        ledger = open_ledger(tmp_path / "ledger", writer=writer)
        ledger.on_commit(lambda: 1 // 0)  # type: ignore[arg-type, return-value]
        receipt = await ledger.append([ROSE], by="moon")
        await ledger.close()
        return receipt

    assert asyncio.run(run()) == Receipt(1, 1)
    assert isinstance(told[0]["exception"], ZeroDivisionError)


def test_views_may_read_while_the_ledger_closes(tmp_path: Path) -> None:
    """The last commit before closing is seen by the callbacks like every other."""
    seen: list[int] = []

    async def run() -> None:
        ledger = open_ledger(tmp_path / "ledger")
        ledger.on_commit(lambda: seen.extend(positions(list(ledger.read()))))
        asked = asyncio.create_task(ledger.append([ROSE], by="moon"))
        await asyncio.sleep(0)
        await ledger.close()
        await asked

    asyncio.run(run())
    assert seen == [1]


def test_one_that_cannot_be_written_does_not_spoil_the_others(tmp_path: Path) -> None:
    """An append SQLite cannot take fails alone, whoever is in the same commit."""

    async def run() -> None:
        ledger = open_ledger(tmp_path / "ledger")
        good = [ledger.append([ROSE], by="moon") for _ in range(6)]
        bad = ledger.append([ROSE], by="\ud800 is half a character")
        outcomes = await asyncio.gather(*good[:3], bad, *good[3:], return_exceptions=True)
        assert [isinstance(each, Receipt) for each in outcomes] == [True] * 3 + [False] + [True] * 3
        assert isinstance(outcomes[3], UnicodeEncodeError)
        assert positions(list(ledger.read())) == [1, 2, 3, 4, 5, 6]
        await ledger.close()

    asyncio.run(run())


def test_a_ledger_in_memory() -> None:
    """`:memory:` keeps nothing on disk and needs no thread."""

    async def run() -> None:
        ledger = open_ledger(":memory:")
        await ledger.append([ROSE], by="moon", attach={0: b"x"})
        assert [each.fact for each in ledger.read()] == [ROSE]
        assert ledger.attachment(1) == b"x"
        await ledger.close()

    asyncio.run(run())
    assert not Path(":memory:").exists()


def test_a_ledger_outlives_an_event_loop(tmp_path: Path) -> None:
    """One ledger may be used from one loop after another, but not from two at once."""
    ledger = open_ledger(tmp_path / "ledger")
    for expected in (1, 2):
        assert asyncio.run(ledger.append([ROSE], by="moon")).last == expected

    async def run() -> None:
        await ledger.append([ROSE], by="moon")
        with pytest.raises(LedgerError, match="another event loop"):
            await asyncio.to_thread(asyncio.run, ledger.append([ROSE], by="moon"))
        await ledger.close()

    asyncio.run(run())


# Storms


def storm(ledger: SqliteLedger, count: int) -> Any:
    boats = (Rose(about=f"boat:{n % 7}", metres=n) for n in range(count))
    return asyncio.gather(*(ledger.append([boat], by="storm") for boat in boats))


def indexed(path: Path) -> int:
    with apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY) as connection:
        return int(connection.execute("select up_to from indexed").get)


@WRITERS
def test_questions_are_answered_right_in_the_middle_of_a_storm(tmp_path: Path, writer: Any) -> None:
    """While the index lags behind, subjects, names and conditions still see every fact."""

    async def run() -> None:
        ledger = open_ledger(tmp_path / "ledger", writer=writer)
        await ledger.append([Rose(about=f"boat:{n % 7}", metres=n) for n in range(200)], by="storm")
        assert indexed(ledger.path) == 0
        third = Query(names=("tide.*",), subjects=("boat:3",))
        assert [p % 7 for p in positions(list(ledger.read(third)))] == [4] * 29
        newest = next(ledger.read(third, backwards=True, limit=1)).position
        with pytest.raises(Conflict):
            await ledger.append([ROSE], by="moon", condition=Condition(third, newest - 1))
        await ledger.append([ROSE], by="moon", condition=Condition(third, newest))
        await ledger.close()

    asyncio.run(run())


def test_the_index_catches_up_after_a_storm(tmp_path: Path) -> None:
    """When the ledger is closed after a storm, the index covers all of it."""

    async def run() -> None:
        ledger = open_ledger(tmp_path / "ledger")
        await storm(ledger, 20_000)
        await ledger.close()
        assert indexed(ledger.path) == 20_000
        ledger = open_ledger(tmp_path / "ledger")
        in_five = positions(list(ledger.read(Query(subjects=("boat:5",)))))
        assert in_five == list(range(6, 20_001, 7))
        await ledger.close()

    asyncio.run(run())


def test_a_tail_left_by_a_crash_is_found(tmp_path: Path) -> None:
    """A ledger copied in the middle of a storm, index behind, answers like any other."""

    async def run() -> None:
        ledger = open_ledger(tmp_path / "ledger", writer="inline")
        await ledger.append([Rose(about=f"boat:{n % 7}", metres=n) for n in range(200)], by="storm")
        for suffix in ("", "-wal"):
            shutil.copy(f"{ledger.path}{suffix}", f"{tmp_path / 'copy'}{suffix}")
        await ledger.close()
        copy = open_ledger(tmp_path / "copy")
        assert len(list(copy.read(Query(subjects=("boat:0",))))) == 29
        after_all = Condition(Query(subjects=("boat:0",)), 197)
        with pytest.raises(Conflict):
            await copy.append([ROSE], by="moon", condition=Condition(after_all.query, 196))
        assert await copy.append([ROSE], by="moon", condition=after_all) == Receipt(201, 201)
        await copy.close()

    asyncio.run(run())


# Who may open it


def test_only_one_writes(tmp_path: Path) -> None:
    """A second writer is refused with a sentence that says who holds the ledger and since when."""
    path = tmp_path / "ledger"
    first = open_ledger(path, holder="detente up on port 3383")
    (tmp_path / "other-name").symlink_to(path)
    for name in ("ledger", "other-name"):
        told = refused(tmp_path / name, LedgerHeld)
        for word in ("port 3383", str(os.getpid()), socket.gethostname(), "2027-01-15T08:00"):
            assert word in told
    asyncio.run(first.close())
    asyncio.run(open_ledger(path).close())


def test_a_lock_dies_with_its_process(tmp_path: Path) -> None:
    """After kill -9 the next process may write at once, whatever the lock file says."""
    path = tmp_path / "ledger"
    code = "l = SqliteLedger(sys.argv[1], clock=SystemClock(), holder='doomed'); print('up', flush=True); input()"
    with program(code, path) as other:
        assert other.stdout and other.stdout.readline() == "up\n"
        assert f"process {other.pid}" in refused(path, LedgerHeld)
        other.kill()
        other.wait()
        assert json.loads(path.with_name("ledger.lock").read_text())["pid"] == other.pid
        asyncio.run(open_ledger(path).close())


@pytest.mark.parametrize("words", ["", "{", '{"pid":4194999,"host":"HOST","since":"2020"}'])
def test_stale_words_name_nobody(tmp_path: Path, words: str) -> None:
    """Words that a dead process left in the lock are never taken for the holder's."""
    path = tmp_path / "ledger"
    first = open_ledger(path)
    path.with_name("ledger.lock").write_text(words.replace("HOST", socket.gethostname()))
    assert "another process, which has not said its name" in refused(path, LedgerHeld)
    asyncio.run(first.close())


def test_others_may_read_meanwhile(tmp_path: Path) -> None:
    """Opened for reading it needs no lock, sees what is committed, follows, and never writes."""

    async def run() -> None:
        path = tmp_path / "ledger"
        ledger = open_ledger(path)
        await ledger.append([ROSE], by="moon", reader=("gauge", 1))
        beside = open_ledger(path, read_only=True)
        assert [each.fact for each in beside.read()] == [ROSE]
        assert (beside.head(), beside.read_by("gauge")) == (1, 1)
        following = beside.follow(after=1)
        heard = asyncio.ensure_future(anext(following))
        await ledger.append([ROSE], by="moon")
        assert positions(await heard) == [2]
        await following.aclose()  # type: ignore[attr-defined]
        for asked in (beside.append([ROSE], by="me"), beside.expire([1])):
            with pytest.raises(LedgerError, match="for reading only"):
                await asked
        await ledger.close()
        await beside.close()

    asyncio.run(run())


def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    """The file, its journals and its lock are readable by their owner alone, whatever the umask."""

    async def run() -> None:
        ledger = open_ledger(tmp_path / "ledger")
        await ledger.append([ROSE], by="moon")
        modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in tmp_path.iterdir()}
        names = ("ledger", "ledger-shm", "ledger-wal", "ledger.lock")
        assert modes == dict.fromkeys(names, 0o600)
        await ledger.close()

    before = os.umask(0)
    try:
        asyncio.run(run())
    finally:
        os.umask(before)


def test_it_syncs_before_it_answers(tmp_path: Path) -> None:
    """The connection that writes uses a write-ahead log and syncs it at every commit."""
    ledger = open_ledger(tmp_path / "ledger")
    pragma = writing_connection(ledger).pragma
    assert (pragma("journal_mode"), pragma("synchronous")) == ("wal", 2)
    asyncio.run(ledger.close())


def writing_connection(ledger: SqliteLedger) -> apsw.Connection:
    assert ledger._pen is not None
    return ledger._pen.connection


# What can be wrong with the file


def test_a_newer_ledger_is_left_alone(tmp_path: Path) -> None:
    """A ledger of a newer version is refused with both versions and the remedy, and not changed."""
    path = tmp_path / "ledger"
    filled(path)
    with apsw.Connection(str(path)) as connection:
        connection.pragma("user_version", 7)
    connection.close()
    before = path.read_bytes()
    for more in ({}, {"read_only": True}):
        told = refused(path, LedgerTooNew, **more)
        assert "its format is 7" in told and "up to 1" in told and "Install the newer" in told
    assert path.read_bytes() == before


def test_a_file_of_another_program_is_left_alone(tmp_path: Path) -> None:
    """A database or text of somebody else's is refused with a sentence, and not changed."""
    database, text = tmp_path / "database", tmp_path / "text"
    with apsw.Connection(str(database)) as connection:
        connection.execute("create table song(title); insert into song values ('La mer')")
    connection.close()
    text.write_text("Dear diary, " * 500)
    for path in (database, text):
        before = path.read_bytes()
        for more in ({}, {"read_only": True}):
            told = refused(path, **more)
            assert "is not a ledger" in told and "choose another path" in told
        assert path.read_bytes() == before


def test_a_damaged_ledger_says_so(tmp_path: Path) -> None:
    """Overwritten or cut off, a ledger is refused, or reading it is, with what to do next."""
    path = tmp_path / "ledger"
    filled(path, 3_000)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2 // 4096 * 4096])
    assert "is damaged" in refused(path)
    path.write_bytes(whole[:8192] + b"\xa5" * (len(whole) - 8192))
    with pytest.raises(LedgerError, match=r"is damaged .*latest copy"):
        ledger = open_ledger(path)
        list(ledger.read())


def test_a_fact_edited_by_hand_says_so(tmp_path: Path) -> None:
    """A body that does not fit its fact is told with its position and what to do."""
    filled(tmp_path / "ledger")
    with apsw.Connection(str(tmp_path / "ledger")) as connection:
        connection.execute('update fact set body = \'{"metres":"deep"}\' where position = 2')
    connection.close()
    ledger = open_ledger(tmp_path / "ledger", read_only=True)
    with pytest.raises(
        LedgerError, match=r"position 2, tide\.rose about harbour:a, cannot be read"
    ):
        list(ledger.read())
    asyncio.run(ledger.close())


def test_a_place_where_no_ledger_can_be(tmp_path: Path) -> None:
    """A missing folder, a folder instead of a file, a file instead of a folder: each has its sentence."""
    assert "mkdir -p" in refused(tmp_path / "no" / "where" / "ledger")
    assert "is a folder" in refused(tmp_path)
    (tmp_path / "file").touch()
    assert "does not exist" in refused(tmp_path / "file" / "ledger")
    assert "no ledger at" in refused(tmp_path / "ledger", read_only=True)
    assert "no ledger at" in refused(tmp_path / "file", read_only=True)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file"]


_OPENING_AS_NOBODY = """
if os.getuid() == 0:
    os.setuid(65534)
for name in sys.argv[1:]:
    for read_only in (False, True):
        try:
            SqliteLedger(name, clock=SystemClock(), read_only=read_only)
        except LedgerError as error:
            print(error)
"""


def test_a_place_where_this_user_may_not_write() -> None:
    """Without the right to read or write there, each sentence says where and what to do."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        filled(folder / "ledger")
        for each in folder.iterdir():
            each.chmod(0)
        folder.chmod(0o555)
        with program(_OPENING_AS_NOBODY, folder / "ledger", folder / "new") as other:
            told = other.communicate(timeout=60)[0].splitlines()
        folder.chmod(0o755)
    assert len(told) == 4
    assert f"may not write {folder / 'ledger'}" in told[0] and "chown" in told[0]
    assert "cannot be opened" in told[1] and "owner and mode" in told[1]
    assert f"may not write {folder / 'new'}" in told[2]
    assert "no ledger at" in told[3]


def test_a_ledger_that_may_not_be_written(tmp_path: Path) -> None:
    """What the system refuses is told with the file, the folder and what to see to."""
    from detente.kernel.ledger import file

    told = file.unusable(tmp_path / "ledger", PermissionError(13, "Permission denied"))
    assert "chown" in str(told) and str(tmp_path) in str(told)
    told = file.explained(apsw.ReadOnlyError("attempt to write"), tmp_path / "ledger")
    assert "owner and mode" in str(told)
    told = file.unusable(tmp_path / "ledger", OSError(28, "No space left on device"))
    assert "No space left" in str(told) and "Free" in str(told)


# What can happen to the disk


@WRITERS
def test_another_program_locks_it(tmp_path: Path, writer: Any) -> None:
    """A foreign lock is told at open and at append; once it is gone, appends go on."""
    path = tmp_path / "ledger"
    filled(path)
    other = apsw.Connection(str(path))

    async def run() -> None:
        other.execute("begin exclusive")
        assert "is locked by another program" in refused(path, patience=0.02)
        other.execute("rollback")
        ledger = open_ledger(path, writer=writer, patience=0.02)
        other.execute("begin immediate")
        asked = [ledger.append([ROSE], by="moon") for _ in range(3)]
        for outcome in await asyncio.gather(*asked, return_exceptions=True):
            assert isinstance(outcome, LedgerError)
            assert "is locked by another program" in str(outcome)
        other.execute("rollback")
        assert await ledger.append([ROSE], by="moon") == Receipt(4, 4)
        await ledger.close()

    asyncio.run(run())
    other.close()


@WRITERS
def test_a_full_disk_keeps_nothing_and_later_everything(tmp_path: Path, writer: Any) -> None:
    """When the disk is full an append fails whole; with space again, appending goes on."""

    async def run() -> None:
        ledger = open_ledger(tmp_path / "ledger", writer=writer)
        await ledger.append([ROSE], by="moon")
        connection = writing_connection(ledger)
        pages = connection.pragma("page_count")
        connection.pragma("max_page_count", pages)
        big = [Rose(about=f"boat:{n}") for n in range(2_000)]
        asked = [ledger.append(big, by="moon", key=f"{n}", reader=("r", 5)) for n in range(3)]
        for outcome in await asyncio.gather(*asked, return_exceptions=True):
            assert isinstance(outcome, LedgerFull)
            assert "free some space" in str(outcome)
        assert (ledger.head(), ledger.read_by("r"), len(list(ledger.read()))) == (1, 0, 1)
        connection.pragma("max_page_count", 1_000_000)
        assert await ledger.append(big, by="moon", key="0") == Receipt(2, 2_001)
        assert positions(list(ledger.read(Query(subjects=("boat:7",))))) == [9]
        await ledger.close()

    asyncio.run(run())


_FILLING = """
async def main():
    ledger = SqliteLedger(sys.argv[1], clock=SystemClock())
    kept = 0
    resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, resource.RLIM_INFINITY))
    try:
        while True:
            kept = (await ledger.append([Rose(about='b:1')] * 100, by='moon', attach={0: b'x' * 9_000})).last
    except LedgerFull as error:
        print(error)
    assert [each.position for each in ledger.read()] == list(range(1, kept + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    print(kept, (await ledger.append([Rose(about='b:1')], by='moon')).first)
    await ledger.close()

asyncio.run(main())
"""


def test_a_file_that_may_not_grow(tmp_path: Path) -> None:
    """A limit on file sizes is a full disk too: nothing half kept, and on it goes when it is lifted."""
    with program(_FILLING, tmp_path / "ledger") as filling:
        told = filling.communicate(timeout=60)[0].splitlines()
    assert "took nothing more" in told[0]
    kept, first = map(int, told[1].split())
    assert kept >= 100
    assert first == kept + 1


_FILLING_A_DISK = """
async def main():
    folder = Path(sys.argv[1])
    ledger = SqliteLedger(folder / 'ledger', clock=SystemClock())
    ballast = folder / 'ballast'
    ballast.write_bytes(b'x' * 300_000)
    kept = 0
    try:
        while True:
            kept = (await ledger.append([Rose(about='b:1')] * 100, by='moon', attach={0: b'x' * 9_000})).last
    except LedgerFull as error:
        print(error)
    assert [each.position for each in ledger.read()] == list(range(1, kept + 1))
    ballast.unlink()
    print(kept, (await ledger.append([Rose(about='b:1')], by='moon')).first)
    await ledger.close()
    again = SqliteLedger(folder / 'ledger', clock=SystemClock())
    print(again.head())
    await again.close()

asyncio.run(main())
"""


def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    """On a small disk, filled up: a clear sentence, nothing lost, and on it goes with some space."""
    mount = 'mount -t tmpfs -o size=2m tmpfs "$0" && exec "$@"'
    own = ["unshare", "--mount", "sh", "-c", mount, str(tmp_path)]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*own, "true"], capture_output=True).returncode
    ):
        pytest.skip("this user may not mount a small disk")
    start = [*own, sys.executable, "-c", _PROLOGUE + _FILLING_A_DISK, str(tmp_path)]
    done = subprocess.run(start, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    told = done.stdout.splitlines()
    assert "took nothing more" in told[0]
    kept, first = map(int, told[1].split())
    assert kept >= 100
    assert first == kept + 1 == int(told[2])


_STORM = """
async def main():
    ledger = SqliteLedger(sys.argv[1], clock=SystemClock())
    run = sys.argv[2]

    async def writer(name):
        for n in range(1_000_000):
            fact = Rose(about=f'boat:{run}-{name}', metres=n)
            await ledger.append([fact], by='storm', key=f'{run}-{name}-{n}', reader=(f'{run}-{name}', n))
            print(f'{run}-{name} {n}', flush=True)

    await asyncio.gather(*(writer(name) for name in range(50)))

asyncio.run(main())
"""


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_when_it_is_killed(tmp_path: Path) -> None:
    """After kill -9 in a storm, every answered fact is there once, and positions have no gaps."""
    path = tmp_path / "ledger"
    chance = random.Random(3383)
    answered: set[tuple[str, int]] = set()
    for run in range(6):
        told = killed_after(path, run, chance.randint(50, 3_000))
        answered |= told
        there = what_is_there(path)
        assert len(there) == len(set(there))
        assert answered <= set(there)


def killed_after(path: Path, run: int, lines: int) -> set[tuple[str, int]]:
    """Let a storm rage until it has told so many lines; what it said was answered."""
    with program(_STORM, path, run) as raging:
        assert raging.stdout is not None
        told = [raging.stdout.readline() for _ in range(lines)]
        raging.kill()
        told += raging.stdout.readlines()
    whole = (line.split() for line in told if line.endswith("\n"))
    return {(f"boat:{name}", int(n)) for name, n in whole}


def what_is_there(path: Path) -> list[tuple[str, int]]:
    async def run() -> list[tuple[str, int]]:
        ledger = open_ledger(path)
        told = list(ledger.read())
        assert positions(told) == list(range(1, len(told) + 1))
        for subject in {each.about for each in told}:
            newest = next(ledger.read(Query(subjects=(subject,)), backwards=True, limit=1))
            assert ledger.read_by(subject.removeprefix("boat:")) == metres(newest.fact)
        await ledger.close()
        return [(each.about, metres(each.fact)) for each in told]

    return asyncio.run(run())


def metres(fact: Fact) -> int:
    assert isinstance(fact, Rose)
    return fact.metres


def test_reading_pages_holds_no_snapshot(tmp_path: Path) -> None:
    """A listener that stops in the middle does not keep the write-ahead log from being emptied."""

    async def run() -> None:
        ledger = open_ledger(tmp_path / "ledger", writer="inline")
        await ledger.append([ROSE] * 5_000, by="moon")
        reading = ledger.read()
        assert next(reading).position == 1
        busy, *_ = writing_connection(ledger).execute("pragma wal_checkpoint(truncate)").get
        assert busy == 0
        assert sum(1 for _ in reading) == 4_999
        await ledger.close()

    asyncio.run(run())


def test_questions_merge_and_do_not_sort(tmp_path: Path) -> None:
    """A question about names and subjects walks the index in order: SQLite sorts nothing."""
    from detente.kernel.ledger import asking

    filled(tmp_path / "ledger")
    connection = apsw.Connection(str(tmp_path / "ledger"), flags=apsw.SQLITE_OPEN_READONLY)

    def plan(query: Query, backwards: bool) -> str:
        sql, given = asking.select(query, query.names, asking.Span(1, 9, 5), 10, backwards)
        return str(connection.execute(f"explain query plan {sql}", given).get)

    both = Query(names=("a.b", "c.d"), subjects=("x:1", "x:2"))
    for query in (Query(), Query(names=("a.b", "c.d")), Query(subjects=("x:1",)), both):
        for backwards in (False, True):
            assert "TEMP B-TREE" not in plan(query, backwards)
    connection.close()
