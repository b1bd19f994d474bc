"""How does each toggle stand, what is due, who asked for it, and what do programs tell of it?"""

from __future__ import annotations

from collections.abc import Mapping

from detente.facts.sla import PromiseBroken
from detente.facts.toggles import (
    Counted,
    Defined,
    FlippedBack,
    GuardPassed,
    Reset,
    Retired,
    Scheduled,
    ScheduleDropped,
    Set,
    SwitchedOff,
    SwitchedOn,
    Usage,
)
from detente.kernel.clock import NS
from detente.kernel.fact import Recorded, Subject
from detente.kernel.views import Projection, Rows

KEPT = 48 * 3600 * NS
_DAY = 86_400 * NS

_TABLES = """
create table toggles_toggle(
  about text primary key, definition text not null, owner text not null, of text not null,
  generation text not null, defined_at integer not null, position integer not null,
  first_at integer not null, retired_at integer) without rowid;
create table toggles_standing(
  about text primary key, state text not null, percent real not null, value text not null,
  variant text not null, since integer not null, by text not null, why text not null,
  release text not null, position integer not null) without rowid;
create table toggles_flip(
  position integer primary key, about text not null, at integer not null, by text not null,
  says text not null, percent real not null, variant text not null, release text not null,
  ended_at integer, passed_at integer, outcome integer);
create index toggles_flip_of on toggles_flip(about, position);
create index toggles_flip_open on toggles_flip(about) where ended_at is null;
create index toggles_flip_release on toggles_flip(release) where release <> '';
create table toggles_step(
  position integer primary key, about text not null, at integer not null, put_to text not null,
  why text not null, release text not null, declared integer not null, by text not null);
create table toggles_outcome(
  about text not null, at integer not null, until integer not null, position integer not null,
  variant text not null, worked integer not null, failed integer not null,
  primary key (about, position, variant)) without rowid;
create index toggles_outcome_at on toggles_outcome(at);
create table toggles_usage(
  about text not null, day integer not null, variant text not null, asked integer not null,
  primary key (about, day, variant)) without rowid;
create table toggles_asked(
  about text primary key, last_at integer not null, by text not null) without rowid;
create table toggles_last(one integer primary key, position integer not null);
create table toggles_broken(
  about text not null, at integer not null, says text not null, primary key (about, at)
) without rowid;
"""


def _fold(rows: Rows, recorded: Recorded) -> None:
    match recorded.fact:
        case Defined() | Retired():
            _fold_definition(rows, recorded)
        case SwitchedOn() | SwitchedOff() | Set() | Reset() | FlippedBack():
            _fold_switch(rows, recorded)
            last = "insert or replace into toggles_last values (1, ?)"
            rows.execute(last, (recorded.position,))
        case GuardPassed() as fact:
            passed = "update toggles_flip set passed_at = ?, outcome = ? where position = ?"
            rows.execute(passed, (recorded.at, recorded.position, fact.flip))
        case Scheduled() | ScheduleDropped():
            _fold_schedule(rows, recorded)
        case Counted() as fact:
            _fold_counts(rows, recorded, fact)
        case PromiseBroken() as fact:
            broken = "insert or ignore into toggles_broken values (?, ?, ?)"
            rows.execute(broken, (fact.about, recorded.at, fact.says()))
        case _:
            pass


def _fold_definition(rows: Rows, recorded: Recorded) -> None:
    match recorded.fact:
        case Defined() as fact:
            given = (
                fact.about, fact.definition, fact.owner, fact.belongs_to, fact.generation, recorded.at,
                recorded.position, recorded.at,
            )  # fmt: skip
            rows.execute(_DEFINE, given)
        case _:
            gone = "update toggles_toggle set retired_at = ?, position = ? where about = ?"
            rows.execute(gone, (recorded.at, recorded.position, recorded.about))
            _end(rows, recorded)
            rows.execute("delete from toggles_standing where about = ?", (recorded.about,))
            rows.execute("delete from toggles_step where about = ?", (recorded.about,))


_DEFINE = """
insert into toggles_toggle values (?, ?, ?, ?, ?, ?, ?, ?, null) on conflict do update set
  definition = excluded.definition, owner = excluded.owner, of = excluded.of,
  generation = excluded.generation, defined_at = excluded.defined_at,
  position = excluded.position, retired_at = null
"""


def _fold_switch(rows: Rows, recorded: Recorded) -> None:
    outcome = recorded.position if isinstance(recorded.fact, FlippedBack) else None
    _end(rows, recorded, outcome)
    match recorded.fact:
        case SwitchedOn() as fact:
            _stand(rows, recorded, "on", fact.why, fact.release, percent=fact.percent)
            _begin(rows, recorded, percent=fact.percent, release=fact.release)
        case Set() as fact:
            knob = (fact.value, fact.variant)
            _stand(rows, recorded, "set", fact.why, fact.release, value=knob)
            _begin(rows, recorded, variant=fact.variant, release=fact.release)
        case SwitchedOff() as fact:
            state = "killed" if fact.kill else "off"
            _stand(rows, recorded, state, fact.why, fact.release)
        case FlippedBack() as fact:
            _stand(rows, recorded, "back", fact.why, fact.release)
        case _:
            rows.execute("delete from toggles_standing where about = ?", (recorded.about,))
    _forget_steps(rows, recorded)


def _forget_steps(rows: Rows, recorded: Recorded) -> None:
    """A step that was carried out is done; after a kill or a flip back nothing goes on by itself."""
    if step := getattr(recorded.fact, "step", 0):
        rows.execute("delete from toggles_step where position = ?", (step,))
    if isinstance(recorded.fact, FlippedBack) or getattr(recorded.fact, "kill", False):
        rows.execute("delete from toggles_step where about = ?", (recorded.about,))


def _stand(
    rows: Rows,
    recorded: Recorded,
    state: str,
    why: str,
    release: Subject,
    *,
    percent: float = 100.0,
    value: tuple[str, str] = ("", ""),
) -> None:
    rows.execute(
        "insert or replace into toggles_standing values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            recorded.about, state, percent, *value, recorded.at, recorded.by, why, release,
            recorded.position,
        ),
    )  # fmt: skip


def _begin(
    rows: Rows, recorded: Recorded, *, percent: float = 100.0, variant: str = "", release: Subject
) -> None:
    rows.execute(
        "insert into toggles_flip values (?, ?, ?, ?, ?, ?, ?, ?, null, null, null)",
        (
            recorded.position, recorded.about, recorded.at, recorded.by, recorded.fact.says(),
            percent, variant, release,
        ),
    )  # fmt: skip


def _end(rows: Rows, recorded: Recorded, outcome: int | None = None) -> None:
    """Whatever was switched before is over, and so is its guard."""
    rows.execute(
        "update toggles_flip set ended_at = ?, outcome = coalesce(?, outcome)"
        " where about = ? and ended_at is null",
        (recorded.at, outcome, recorded.about),
    )


def _fold_schedule(rows: Rows, recorded: Recorded) -> None:
    match recorded.fact:
        case Scheduled() as fact:
            rows.execute(
                "insert into toggles_step values (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    recorded.position, fact.about, fact.at, fact.to, fact.why, fact.release,
                    int(fact.declared), recorded.by,
                ),
            )  # fmt: skip
        case ScheduleDropped() as fact:
            dropped = "delete from toggles_step where about = ?1 and ?2 in (0, position)"
            rows.execute(dropped, (fact.about, fact.step))
        case _:
            pass


def _fold_counts(rows: Rows, recorded: Recorded, fact: Counted) -> None:
    """Programs have clocks of their own: only how long they counted is taken from them."""
    began = recorded.at - min(_DAY, max(0, fact.until - fact.since))
    for name, variants in fact.counts.items():
        about = f"toggle:{name}"
        _fold_usage(rows, recorded, about, variants)
        for variant, usage in variants.items():
            if usage.worked or usage.failed:
                told = (about, began, recorded.at, recorded.position, variant)
                counted = (usage.worked, usage.failed)
                rows.execute(_OUTCOME, (*told, *counted))
    rows.execute("delete from toggles_outcome where at < ?", (recorded.at - KEPT,))


def _fold_usage(
    rows: Rows, recorded: Recorded, about: Subject, variants: Mapping[str, Usage]
) -> None:
    day = recorded.at // _DAY * _DAY
    for variant, usage in variants.items():
        if usage.asked:
            rows.execute(_ASKED, (about, day, variant, usage.asked))
    if any(each.asked for each in variants.values()):
        last = "insert or replace into toggles_asked values (?, ?, ?)"
        rows.execute(last, (about, recorded.at, recorded.about))


_OUTCOME = "insert into toggles_outcome values (?, ?, ?, ?, ?, ?, ?)"
_ASKED = """
insert into toggles_usage values (?, ?, ?, ?) on conflict do update set asked = asked + excluded.asked
"""


SWITCHES = tuple(fact.name for fact in (SwitchedOn, SwitchedOff, Set, Reset, FlippedBack, Retired))
"""Whatever changes how a toggle stands."""

_HEARS = (
    *SWITCHES, Defined.name, GuardPassed.name, Scheduled.name, ScheduleDropped.name, Counted.name,
    PromiseBroken.name,
)  # fmt: skip

toggles = Projection("toggles", _TABLES, _HEARS, _fold)
