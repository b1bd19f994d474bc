"""What is there to tell of incidents and changes, and how far has each team been told?"""

from __future__ import annotations

from email.utils import parseaddr

import msgspec

from detente.facts.dependencies import ChangeDropped, ChangePlanned, ChangeRecorded
from detente.facts.incidents import CauseJoined, Closed, Opened
from detente.facts.pager import CoverAgreed, CoverDropped, NotTold, Taken, Told, TurnedAway
from detente.kernel.fact import Recorded
from detente.kernel.views import Projection, Rows

_TABLES = """
create table pager_matter(
  about text primary key, of text not null, cause text not null, since integer not null,
  reason text not null, opened_at integer not null, opened integer not null,
  taken integer, held_by text, held_at integer,
  closed integer, closed_at integer, ended integer, lasted real not null default 0,
  note text not null default '', into_about text not null default '', newest integer not null
) without rowid;
create index pager_open on pager_matter(opened) where closed_at is null;
create index pager_closed on pager_matter(closed_at) where closed_at is not null;

create table pager_joined(
  about text not null, of text not null, cause text not null, reason text not null,
  position integer not null, primary key (about, of)
) without rowid;

create table pager_change(
  about text primary key, state text not null, at integer not null, said_at integer not null,
  newest integer not null, fact text not null, said_by text not null, why text not null default ''
) without rowid;

create table pager_mark(
  about text not null, team text not null, channel text not null, told integer not null default 0,
  told_at integer, message text not null default '', sent_to text not null default '[]',
  attempts integer not null default 0, next_at integer, reason text not null default '',
  step integer not null default 0, primary key (about, team, channel)
) without rowid;

create table pager_page(
  position integer primary key, at integer not null, person text not null, about text not null,
  step integer not null, because text not null
);
create index pager_paged on pager_page(at);

create table pager_cover(
  position integer primary key, rota text not null, person text not null, starts integer not null,
  ends integer not null, note text not null, dropped integer
);

create table pager_turned_away(
  team text not null, address text not null, about text not null, at integer not null,
  reason text not null, primary key (team, address)
) without rowid;
create index pager_late on pager_mark(about) where attempts > 0;
"""


def _fold(rows: Rows, recorded: Recorded) -> None:
    at, position = recorded.at, recorded.position
    match recorded.fact:
        case Opened() as fact:
            rows.execute(
                "insert or ignore into pager_matter(about, of, cause, since, reason, opened_at,"
                " opened, newest) values (?, ?, ?, ?, ?, ?, ?, ?)",
                (fact.about, fact.of, fact.cause, fact.since, fact.reason, at, position, position),
            )
        case Taken() as fact:
            rows.execute(
                "update pager_matter set taken = ?, held_by = ?, held_at = ?,"
                " newest = iif(closed is null, ?, newest) where about = ?",
                (position, fact.who, at, position, fact.about),
            )
        case Closed() as fact:
            rows.execute(
                "update pager_matter set closed = ?, closed_at = ?, ended = ?, lasted = ?, note = ?,"
                " into_about = ?, newest = ? where about = ? and closed is null",
                (position, at, fact.since, fact.lasted, fact.note, fact.into, position, fact.about),
            )
            if fact.into:  # whoever has it is to be woken by nobody for the same thing
                rows.execute(_PASSED_ON, (fact.about, fact.into))
        case CauseJoined(of=of) as fact if of and not fact.remark:
            joined = (fact.about, of, fact.cause, fact.reason, position)
            rows.execute("insert or ignore into pager_joined values (?, ?, ?, ?, ?)", joined)
        case ChangePlanned() as fact if fact.central:
            _put(rows, recorded, fact, "planned", fact.starts)
        case ChangeRecorded() as fact if fact.central:
            _put(rows, recorded, fact, "made", at if fact.since is None else fact.since)
        case ChangeDropped() as fact:
            rows.execute(_DROPPED, (at, position, fact.why, fact.about))
        case Told() as fact:
            to = msgspec.json.encode(fact.to).decode()
            tells = fact.tells or position
            told = (fact.about, fact.team, fact.channel, tells, at, fact.message, to, fact.step)
            rows.execute(_TOLD, told)
            if fact.step:
                page = (position, at, fact.team, fact.about, fact.step, fact.because)
                rows.execute("insert into pager_page values (?, ?, ?, ?, ?, ?)", page)
            for address in fact.to:
                rows.execute(_WELCOME, (fact.team, parseaddr(address)[1]))
        case TurnedAway() as fact:
            for address in fact.to:
                rows.execute(_TURNED_AWAY, (fact.team, address, fact.about, at, fact.reason))
        case NotTold() as fact:
            rows.execute(
                _NOT_TOLD,
                (fact.about, fact.team, fact.channel, fact.attempt, fact.next_at, fact.reason),
            )
        case CoverAgreed() as fact:
            cover = (position, fact.about, fact.person, fact.starts, fact.ends, fact.note)
            rows.execute("insert into pager_cover values (?, ?, ?, ?, ?, ?, null)", cover)
        case CoverDropped() as fact:
            gone = "update pager_cover set dropped = ? where position = ? and rota = ?"
            rows.execute(gone, (at, fact.cover, fact.about))
        case _:
            pass


def _put(
    rows: Rows, recorded: Recorded, fact: ChangePlanned | ChangeRecorded, state: str, at: int
) -> None:
    whole = msgspec.json.encode(fact).decode()
    told = (fact.about, state, at, recorded.at, recorded.position, whole, recorded.by)
    rows.execute("insert or replace into pager_change values (?, ?, ?, ?, ?, ?, ?, '')", told)


_PASSED_ON = """
update pager_matter set (held_by, held_at) =
    (select held_by, held_at from pager_matter where about = ?1)
  where about = ?2 and held_by is null and closed is null
"""
_DROPPED = """
update pager_change set state = 'dropped', said_at = ?, newest = ?, why = ?
  where about = ? and state = 'planned'
"""
_TOLD = """
insert into pager_mark(about, team, channel, told, told_at, message, sent_to, step)
values (?, ?, ?, ?, ?, ?, ?, ?)
on conflict do update set told = max(told, excluded.told), told_at = excluded.told_at,
  message = excluded.message, sent_to = excluded.sent_to, step = max(step, excluded.step), attempts = 0, next_at = null, reason = ''
"""
_WELCOME = "delete from pager_turned_away where team = ? and address = ?"
_TURNED_AWAY = "insert or replace into pager_turned_away values (?, ?, ?, ?, ?)"
_NOT_TOLD = """
insert into pager_mark(about, team, channel, attempts, next_at, reason) values (?, ?, ?, ?, ?, ?)
on conflict do update set attempts = excluded.attempts, next_at = excluded.next_at,
  reason = excluded.reason
"""

HEARS = (
    Opened.name, Closed.name, CauseJoined.name, ChangePlanned.name, ChangeRecorded.name,
    ChangeDropped.name, Taken.name, Told.name, NotTold.name, TurnedAway.name,
    CoverAgreed.name, CoverDropped.name,
)  # fmt: skip

matters = Projection("pager", _TABLES, HEARS, _fold)
