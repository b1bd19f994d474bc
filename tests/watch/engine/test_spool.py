"""Sheets wait on disk: through crashes, in order, and honest about what had to go."""

from __future__ import annotations

from pathlib import Path

import pytest

from detente.watch.engine.spool import Spool, SpoolInUse, Waiting
from detente.watch.engine.wire import Result


def sheet(number: int, size: int = 1000) -> Waiting:
    return Waiting(since=number, until=number + 1, full=b"x" * size, brief=b"b" * 50)


def all_of(spool: Spool) -> list[Waiting]:
    """Take everything out, oldest first."""
    found = []
    while (next_one := spool.oldest()) is not None:
        found.append(next_one[1])
        spool.taken(next_one[0])
    return found


def again(spool: Spool) -> Spool:
    """The process ends without a word, and another one opens the same folder."""
    spool.close()
    return Spool(spool.folder, room=spool.room)


def test_sheets_come_out_in_the_order_they_went_in(tmp_path: Path) -> None:
    """Also after a restart, and each until it was taken."""
    spool = Spool(tmp_path / "spool")
    for number in range(1, 12):
        spool.put(sheet(number))
    first = spool.oldest()
    assert first is not None
    assert first[1].since == 1
    spool.taken(first[0])
    spool = again(spool)
    assert spool.last_until() == 12
    assert [each.since for each in all_of(spool)] == list(range(2, 12))
    assert spool.oldest() is None
    assert list(tmp_path.glob("spool/*.sheet")) == []


def test_a_full_spool_gives_up_detail_first_and_the_oldest_first(tmp_path: Path) -> None:
    """Then whole sheets, and it says which time is gone."""
    spool = Spool(tmp_path, room=5_000)
    for number in range(1, 9):
        spool.put(sheet(number))
    kept = all_of(spool)
    assert [each.since for each in kept] == list(range(1, 9))
    assert [each.full is None for each in kept] == [True] * 4 + [False] * 4
    assert spool.gap is None

    spool = Spool(tmp_path / "tiny", room=1_500)
    for number in range(1, 30):
        spool.put(sheet(number))
    gap = spool.gap
    kept = all_of(again(spool))
    assert gap is not None
    assert gap[0] == 1
    assert gap[1] == kept[0].since
    assert gap[2] + len(kept) == 29
    spool.gap_told((1, 2, 1))
    assert spool.gap == gap  # it had grown since
    spool.gap_told(gap)
    assert spool.gap is None


def test_what_was_seen_outlives_the_process(tmp_path: Path) -> None:
    """The journal of the open sheet is there after a crash, up to where it was torn off."""
    spool = Spool(tmp_path)
    seen = [Result(id="a", slot=slot, at=slot, verdict="ok") for slot in range(1, 6)]
    spool.begin_journal(3, seen[2:3])
    spool.note(seen[3:4])
    spool.note(seen[4:])
    assert again(spool).noted() == (3, seen[2:])
    with (tmp_path / "journal").open("rb+") as journal:
        journal.truncate(journal.seek(0, 2) - 3)
    fresh = Spool(tmp_path / "fresh")
    assert fresh.noted() == (0, [])
    fresh.keep("since", b"3")
    fresh.keep("journal", (tmp_path / "journal").read_bytes())
    assert fresh.noted() == (3, seen[2:4])


def test_a_crash_between_a_sheet_and_its_journal_doubles_nothing(tmp_path: Path) -> None:
    """What is in the sheet already is not taken up again from the journal."""
    spool = Spool(tmp_path)
    spool.begin_journal(1, [])
    spool.note([Result(id="a", slot=5, at=5, verdict="ok")])
    spool.keep("since", b"9")  # the sheet up to 9 was put, and then the process died
    assert again(spool).noted() == (9, [])


def test_a_sheet_the_disk_has_spoilt_is_set_aside(tmp_path: Path) -> None:
    """It stops nobody, and is kept for whoever wants to look."""
    spool = Spool(tmp_path)
    for number in (1, 2):
        spool.put(sheet(number))
    min(tmp_path.glob("*.sheet")).write_bytes(b"\xc1nonsense")
    assert [each.since for each in all_of(again(spool))] == [2]
    assert len(list(tmp_path.glob("*.spoilt"))) == 1


def test_two_agents_do_not_share_a_spool(tmp_path: Path) -> None:
    """The second one is told so, and may come once the first has gone."""
    spool = Spool(tmp_path)
    with pytest.raises(SpoolInUse, match="Another agent keeps its sheets in"):
        Spool(tmp_path)
    again(spool).close()


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    """Orders carry secrets."""
    spool = Spool(tmp_path / "spool")
    spool.keep("orders", b"secret")
    assert (tmp_path / "spool").stat().st_mode & 0o077 == 0
    assert (tmp_path / "spool" / "orders").stat().st_mode & 0o077 == 0
    spool.close()
