"""Which releases are there, where do they stand, and who has been told?"""

from __future__ import annotations

import msgspec

from detente.facts.releases import (
    BackAsked,
    Began,
    Changed,
    Done,
    Held,
    Looked,
    NotTold,
    Requested,
    Resumed,
    Reviewed,
    ReviewOpened,
    RolledBack,
    RunAsked,
    Settled,
    Shipped,
    StepBegan,
    StepFailed,
    StepPassed,
    Stopped,
    Stuck,
    ToggleSwitchedBack,
    Told,
    WentOn,
    Withdrawn,
)
from detente.kernel.fact import Fact, Recorded, Subject, plain
from detente.kernel.views import Projection, Rows
from detente.releases.decisions import Release, after

_TABLES = """
create table releases_release(
  about text primary key, number integer not null, service text not null, state text not null,
  starts integer not null, ends integer not null, ended integer, review integer not null,
  newest integer not null, body blob not null
) without rowid;
create index releases_numbered on releases_release(number);
create index releases_state on releases_release(state, starts);
create index releases_when on releases_release(starts);

create table releases_mark(
  about text not null, team text not null, channel text not null, told integer not null default 0,
  told_at integer, message text not null default '', attempts integer not null default 0,
  next_at integer, reason text not null default '', primary key (about, team, channel)
) without rowid;
create index releases_late on releases_mark(about) where attempts > 0;
"""

_encoder = msgspec.msgpack.Encoder()
_decode = msgspec.msgpack.Decoder(Release).decode

_PUT = "insert or replace into releases_release values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_TOLD = """
insert into releases_mark(about, team, channel, told, told_at, message) values (?, ?, ?, ?, ?, ?)
on conflict do update set told = max(told, excluded.told), told_at = excluded.told_at,
  message = excluded.message, attempts = 0, next_at = null, reason = ''
"""
_NOT_TOLD = """
insert into releases_mark(about, team, channel, attempts, next_at, reason) values (?, ?, ?, ?, ?, ?)
on conflict do update set attempts = excluded.attempts, next_at = excluded.next_at,
  reason = excluded.reason
"""


def read(body: bytes) -> Release:
    """The release as its row keeps it."""
    return _decode(body)


def _fold(rows: Rows, recorded: Recorded) -> None:
    match recorded.fact:
        case Told() as fact:
            tells = fact.tells or recorded.position
            told = (fact.about, plain(fact.team), fact.channel, tells, recorded.at, fact.message)
            rows.execute(_TOLD, told)
        case NotTold() as fact:
            tried = (
                fact.about,
                plain(fact.team),
                fact.channel,
                fact.attempt,
                fact.next_at,
                fact.reason,
            )
            rows.execute(_NOT_TOLD, tried)
        case _:
            release = after(_known(rows, recorded.about), recorded)
            if release is not None:
                _put(rows, release)


def _known(rows: Rows, about: Subject) -> Release | None:
    for (body,) in rows.execute("select body from releases_release where about = ?", (about,)):
        return _decode(body)
    return None


def _put(rows: Rows, release: Release) -> None:
    number = int(plain(release.about)) if plain(release.about).isdigit() else 0
    rows.execute(
        _PUT,
        (
            release.about, number, release.service, release.state, release.starts, release.ends,
            release.ended_at, int(release.wants_review), release.newest, _encoder.encode(release),
        ),
    )  # fmt: skip


PROGRESS: tuple[type[Fact], ...] = (
    Requested, Changed, Withdrawn, RunAsked, Began, StepBegan, StepPassed, StepFailed, Resumed, Looked,
    ToggleSwitchedBack, Held, WentOn, BackAsked, Stopped, Shipped, Done, RolledBack, Stuck, Settled,
    ReviewOpened, Reviewed,
)  # fmt: skip
HEARS = (*(fact.name for fact in PROGRESS), Told.name, NotTold.name)

releases = Projection("releases", _TABLES, HEARS, _fold)
