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
- A check is forgotten by nobody: whose it was when it last went down is kept, for the time after it
  is taken out of `detente.yaml`.
- Time that no sheet covers was not seen: the node was not running.
"""

from __future__ import annotations

from detente.facts.node import Started
from detente.facts.watch import CameBack, Retired, SheetFiled, Tally, WentDown
from detente.kernel.clock import NS
from detente.kernel.fact import Recorded, plain
from detente.kernel.views import Projection, Rows

_TABLES = """
create table sla_seen(
  name text not null, place text not null, start integer not null, stop integer not null,
  primary key (name, place, start)) without rowid;
create table sla_filed(
  name text not null, place text not null, since integer not null, until integer not null,
  failing integer not null, running integer not null,
  primary key (name, place)) without rowid;
create table sla_down(
  name text primary key, since integer not null, until integer) without rowid;
create table sla_hour(
  name text not null, hour integer not null, failed integer not null, runs integer not null,
  primary key (name, hour)) without rowid;
create table sla_measured(
  name text primary key, of text not null, environment text not null) without rowid;
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
_FELL = "insert or replace into sla_down values (?, ?, null)"
_ROSE = "update sla_down set until = ? where name = ? and until is null"
_WAS_DOWN = """
select 1 from sla_down where name = ? and since < ? and (until is null or until > ?)
"""
_AN_HOUR = 3600 * NS
_COUNT = """
insert into sla_hour values (?, ?, ?, ?) on conflict do update set
  failed = failed + excluded.failed, runs = runs + excluded.runs
"""
_MEASURED = "insert or replace into sla_measured values (?, ?, ?)"
_AT_REST = "select name from sla_filed where place = ? and until = ? and running"


def _fold(rows: Rows, recorded: Recorded) -> None:
    match recorded.fact:
        case SheetFiled() as sheet if sheet.until > sheet.since:
            for (name,) in list(rows.execute(_AT_REST, (sheet.about, sheet.since))):
                if name not in sheet.tallies:
                    _see(rows, sheet, name, Tally(expected=0))
            for name, tally in sheet.tallies.items():
                _see(rows, sheet, name, tally)
        case WentDown() as fact:
            rows.execute(_MEASURED, (plain(fact.about), fact.of, fact.environment))
            rows.execute(_FELL, (plain(fact.about), fact.since))
        case CameBack() | Retired():
            since = getattr(recorded.fact, "since", recorded.at)
            rows.execute(_ROSE, (since, plain(recorded.about)))
        case Started():
            rows.execute("update sla_filed set running = 0")  # nobody knows past the last sheet
        case _:
            pass


def _see(rows: Rows, sheet: SheetFiled, name: str, tally: Tally) -> None:
    told = tally.ok + tally.failed
    failing = sheet.until if tally.failed and not tally.ok else 0
    if told and not any(True for _ in rows.execute(_WAS_DOWN, (name, sheet.until, sheet.since))):
        hour = sheet.since // _AN_HOUR * _AN_HOUR
        rows.execute(_COUNT, (name, hour, tally.failed, told))
    rows.execute(_FILED, (name, sheet.about, sheet.since, sheet.until, failing))
    seen = sheet.until - sheet.since
    if told < tally.expected:
        seen = seen * told // tally.expected
    if not seen:
        return
    rows.execute(_EXTEND, (name, sheet.about, sheet.since, sheet.since + seen))
    if not rows.changes() and tally.expected:
        rows.execute(_BEGIN, (name, sheet.about, sheet.until - seen, sheet.until))


_HEARS = (SheetFiled.name, WentDown.name, CameBack.name, Retired.name, Started.name)

seen = Projection("sla", _TABLES, _HEARS, _fold, version=2)
