"""How did each test run lately, in each place?"""

from __future__ import annotations

from detente.facts.acceptance import Outcome, Place, Ran, SuiteRan
from detente.kernel.fact import Recorded, Subject, plain
from detente.kernel.views import Projection, Rows

_KEPT = 60  # runs of a test in a place that are still looked at one by one

_TABLES = """
create table acceptance_test(
  about text not null, place text not null, of text not null, suite text not null,
  outcome text not null, at integer not null, took real not null, reason text not null,
  version text not null, release text not null, sha256 text not null, position integer not null,
  runs integer not null, failed integer not null,
  failures integer not null, first_failure integer not null,
  primary key (about, place)) without rowid;
create table acceptance_run(
  about text not null, place text not null, at integer not null, position integer not null,
  outcome text not null, took real not null, reason text not null, version text not null,
  release text not null, sha256 text not null, run text not null,
  primary key (about, place, at, position)) without rowid;
create index acceptance_run_of on acceptance_run(run);
"""

_TEST = """
insert into acceptance_test values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, 1,
  ?5 = 'failed', ?5 = 'failed', iif(?5 = 'failed', ?6, 0))
on conflict do update set
  runs = runs + 1, failed = failed + excluded.failed,
  first_failure = case excluded.outcome when 'passed' then 0 when 'skipped' then first_failure
    else iif(failures = 0, excluded.at, first_failure) end,
  failures = case excluded.outcome when 'passed' then 0 when 'skipped' then failures
    else failures + 1 end,
  of = excluded.of, suite = excluded.suite, outcome = excluded.outcome, at = excluded.at,
  took = excluded.took, reason = excluded.reason, version = excluded.version,
  release = excluded.release, sha256 = excluded.sha256, position = excluded.position
where excluded.at >= at
"""
_LATE = """
update acceptance_test set runs = runs + 1, failed = failed + (?3 = 'failed')
where about = ?1 and place = ?2 and at > ?4
"""
_RUN = "insert into acceptance_run values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_FORGET = """
delete from acceptance_run where about = ?1 and place = ?2 and (at, position) not in
  (select at, position from acceptance_run where about = ?1 and place = ?2
   order by at desc, position desc limit ?3)
"""


_SAID = """
select of, suite, reason, version, release, sha256 from acceptance_test where about = ? and place = ?
"""


def _fold(rows: Rows, recorded: Recorded) -> None:
    match recorded.fact:
        case Ran() as fact:
            _fold_test(rows, recorded, fact)
        case SuiteRan() as suite:
            took = {**suite.passed, **suite.failed, **suite.skipped}
            for test, outcome in suite.outcomes().items():
                ran = _as_before(rows, test, suite.place, outcome, took[plain(test)], suite.run)
                _fold_test(rows, recorded, ran)
        case _:
            pass


def _as_before(
    rows: Rows, test: Subject, place: Place, outcome: Outcome, took: float, run: str
) -> Ran:
    """What the test said last, said again."""
    said = next(iter(rows.execute(_SAID, (test, place))), ("",) * 6)
    of, suite, reason, version, release, sha256 = map(str, said)
    return Ran(
        about=test, place=place, outcome=outcome, took=took, of=of, reason=reason, version=version,
        release=release, sha256=sha256, suite=suite, run=run,
    )  # fmt: skip


def _fold_test(rows: Rows, recorded: Recorded, fact: Ran) -> None:
    at = fact.ran_at or recorded.at
    said = (fact.took, fact.reason, fact.version, fact.release, fact.sha256)
    where = (fact.about, fact.place)
    rows.execute(_LATE, (*where, fact.outcome, at))  # told after a later one: only counted
    rows.execute(_TEST, (*where, fact.of, fact.suite, fact.outcome, at, *said, recorded.position))
    rows.execute(_RUN, (*where, at, recorded.position, fact.outcome, *said, fact.run))
    rows.execute(_FORGET, (*where, _KEPT))


tests = Projection("acceptance", _TABLES, (Ran.name, SuiteRan.name), _fold)
