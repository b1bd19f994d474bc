"""When did somebody look?

Each sheet says of each check how many of its expected runs told something (*ok* or *failed*). That
share of the sheet's time was **seen**. Rows are stretches of seen time, extended in place from sheet
to sheet, so a quiet month is a handful of rows. The rules:

- A sheet in which every expected run told something was seen from its beginning to its end.
- If only a share told something (others were inconclusive, skipped or not run), that share of the
  sheet's time was seen: its first part when the check was seen right up to the sheet, else its last
  part. The tally does not say which runs; this is wrong by less than one sheet.
- A sheet that does not mention a check expected nothing of it (it runs less often than sheets are
  filed): the check stays seen if it was seen right up to the sheet.
- Time that no sheet covers was not seen: the node was not running.
"""

from __future__ import annotations

from detente.facts.node import Started
from detente.facts.watch import SheetFiled, Tally
from detente.kernel.fact import Recorded
from detente.kernel.views import Projection, Rows

_TABLES = """
create table sla_seen(
  name text not null, place text not null, start integer not null, stop integer not null,
  primary key (name, place, start)) without rowid;
create table sla_filed(
  name text not null, place text not null, since integer not null, until integer not null,
  failing integer not null, running integer not null,
  primary key (name, place)) without rowid;
"""

_EXTEND = """
update sla_seen set stop = ?4 where name = ?1 and place = ?2 and stop = ?3 and start =
  (select max(start) from sla_seen where name = ?1 and place = ?2)
"""
_BEGIN = "insert or ignore into sla_seen values (?, ?, ?, ?)"
_FILED = """
insert into sla_filed values (?, ?, ?, ?, ?, 1) on conflict do update set
  since = excluded.since, until = excluded.until, failing = max(failing, excluded.failing),
  running = 1
"""
_AT_REST = "select name from sla_filed where place = ? and until = ? and running"


def _fold(rows: Rows, recorded: Recorded) -> None:
    match recorded.fact:
        case SheetFiled() as sheet if sheet.until > sheet.since:
            for (name,) in list(rows.execute(_AT_REST, (sheet.about, sheet.since))):
                if name not in sheet.tallies:
                    _see(rows, sheet, name, Tally(expected=0))
            for name, tally in sheet.tallies.items():
                _see(rows, sheet, name, tally)
        case Started():
            rows.execute("update sla_filed set running = 0")  # nobody knows past the last sheet
        case _:
            pass


def _see(rows: Rows, sheet: SheetFiled, name: str, tally: Tally) -> None:
    told = tally.ok + tally.failed
    failing = sheet.until if tally.failed and not tally.ok else 0
    rows.execute(_FILED, (name, sheet.about, sheet.since, sheet.until, failing))
    seen = sheet.until - sheet.since
    if told < tally.expected:
        seen = seen * told // tally.expected
    if not seen:
        return
    rows.execute(_EXTEND, (name, sheet.about, sheet.since, sheet.since + seen))
    if not rows.changes() and tally.expected:
        rows.execute(_BEGIN, (name, sheet.about, sheet.until - seen, sheet.until))


seen = Projection("sla", _TABLES, (SheetFiled.name, Started.name), _fold)
