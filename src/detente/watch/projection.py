"""What was seen of each check lately, and by the hour? From which places, and with what verdict?"""

from __future__ import annotations

import msgspec

from detente.facts.watch import SheetFiled, VerdictReached
from detente.kernel.clock import NS
from detente.kernel.fact import Recorded, plain
from detente.kernel.views import Projection, Rows

_DETAIL = 48 * 3600 * NS  # sheets this old are folded into hours only

_TABLES = """
create table watch_seen(
  name text not null, place text not null, since integer not null, until integer not null,
  position integer not null, expected integer not null,
  ok integer not null, failed integer not null, inconclusive integer not null,
  skipped integer not null, not_run integer not null, median real, worst real, last text not null,
  primary key (name, since, place)) without rowid;
create index watch_seen_since on watch_seen(since);
create table watch_place(
  place text primary key, until integer not null, at integer not null) without rowid;
create table watch_verdict(
  about text not null, since integer not null, position integer not null, at integer not null,
  fault text not null, sure integer not null, reasons blob not null, cites blob not null,
  primary key (about, position)) without rowid;
create table watch_hour(
  name text not null, hour integer not null, expected integer not null, ok integer not null,
  failed integer not null, inconclusive integer not null, skipped integer not null,
  not_run integer not null, worst real, primary key (name, hour)) without rowid;
"""

_SEEN = """
insert or replace into watch_seen values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_PLACE = """
insert into watch_place values (?, ?, ?) on conflict do update set
  until = max(until, excluded.until), at = excluded.at
"""
_VERDICT = "insert or replace into watch_verdict values (?, ?, ?, ?, ?, ?, ?, ?)"
_HOUR = """
insert into watch_hour values (?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict do update set
  expected = expected + excluded.expected, ok = ok + excluded.ok, failed = failed + excluded.failed,
  inconclusive = inconclusive + excluded.inconclusive, skipped = skipped + excluded.skipped,
  not_run = not_run + excluded.not_run,
  worst = max(coalesce(worst, excluded.worst), coalesce(excluded.worst, worst))
"""


def _fold(rows: Rows, recorded: Recorded) -> None:
    match recorded.fact:
        case SheetFiled() as sheet:
            _file(rows, recorded, sheet)
        case VerdictReached() as verdict:
            _settle(rows, recorded, verdict)
        case _:
            pass


def _settle(rows: Rows, recorded: Recorded, verdict: VerdictReached) -> None:
    said = (msgspec.json.encode(verdict.reasons), msgspec.json.encode(verdict.cites))
    found = (verdict.fault, verdict.sure, *said)
    at = (verdict.since, recorded.position, recorded.at)
    rows.execute(_VERDICT, (recorded.about, *at, *found))


def _file(rows: Rows, recorded: Recorded, sheet: SheetFiled) -> None:
    rows.execute(_PLACE, (plain(sheet.about), sheet.until, recorded.at))
    hour = sheet.since // (3600 * NS) * 3600 * NS
    for name, tally in sheet.tallies.items():
        counts = (
            tally.expected, tally.ok, tally.failed, tally.inconclusive, tally.skipped, tally.not_run,
        )  # fmt: skip
        times = (tally.median, tally.worst, tally.last)
        when = (plain(sheet.about), sheet.since, sheet.until, recorded.position)
        rows.execute(_SEEN, (name, *when, *counts, *times))
        rows.execute(_HOUR, (name, hour, *counts, tally.worst))
    rows.execute("delete from watch_seen where since < ?", (recorded.at - _DETAIL,))


seen = Projection("watch", _TABLES, (SheetFiled.name, VerdictReached.name), _fold)
