"""What was seen of each check lately, and by the hour?"""

from __future__ import annotations

from detente.facts.watch import SheetFiled
from detente.kernel.clock import NS
from detente.kernel.fact import Recorded
from detente.kernel.views import Projection, Rows

_DETAIL = 48 * 3600 * NS  # sheets this old are folded into hours only

_TABLES = """
create table watch_seen(
  name text not null, since integer not null, until integer not null, expected integer not null,
  ok integer not null, failed integer not null, inconclusive integer not null,
  skipped integer not null, not_run integer not null, median real, worst real, last text not null,
  primary key (name, since)) without rowid;
create index watch_seen_since on watch_seen(since);
create table watch_hour(
  name text not null, hour integer not null, expected integer not null, ok integer not null,
  failed integer not null, inconclusive integer not null, skipped integer not null,
  not_run integer not null, worst real, primary key (name, hour)) without rowid;
"""

_SEEN = "insert or replace into watch_seen values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_HOUR = """
insert into watch_hour values (?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict do update set
  expected = expected + excluded.expected, ok = ok + excluded.ok, failed = failed + excluded.failed,
  inconclusive = inconclusive + excluded.inconclusive, skipped = skipped + excluded.skipped,
  not_run = not_run + excluded.not_run,
  worst = max(coalesce(worst, excluded.worst), coalesce(excluded.worst, worst))
"""


def _fold(rows: Rows, recorded: Recorded) -> None:
    sheet = recorded.fact
    if not isinstance(sheet, SheetFiled):
        return
    hour = sheet.since // (3600 * NS) * 3600 * NS
    for name, tally in sheet.tallies.items():
        counts = (
            tally.expected, tally.ok, tally.failed, tally.inconclusive, tally.skipped, tally.not_run,
        )  # fmt: skip
        times = (tally.median, tally.worst, tally.last)
        rows.execute(_SEEN, (name, sheet.since, sheet.until, *counts, *times))
        rows.execute(_HOUR, (name, hour, *counts, tally.worst))
    rows.execute("delete from watch_seen where since < ?", (sheet.since - _DETAIL,))


seen = Projection("watch", _TABLES, (SheetFiled.name,), _fold)
