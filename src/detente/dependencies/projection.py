"""Which changes are planned or were made, and what was suspected?"""

from __future__ import annotations

import msgspec

from detente.facts.dependencies import ChangeDropped, ChangePlanned, ChangeRecorded, Suspected
from detente.kernel.fact import Recorded
from detente.kernel.views import Projection, Rows

_TABLES = """
create table dependencies_change(
  about text primary key, state text not null, at integer not null, title text not null,
  touches text not null, central text not null, falls text not null, an_hour text not null,
  tell text not null, link text not null, said_by text not null, why text not null default '',
  position integer not null
) without rowid;
create index dependencies_changed on dependencies_change(state, at);
create table dependencies_suspicion(
  about text not null, together text not null, since integer not null, chance real not null,
  position integer primary key
) without rowid;
"""


def _fold(rows: Rows, recorded: Recorded) -> None:
    match recorded.fact:
        case ChangePlanned() as fact:
            _put(rows, recorded, fact, "planned", fact.starts)
        case ChangeRecorded() as fact:
            _put(rows, recorded, fact, "made", recorded.at if fact.since is None else fact.since)
        case ChangeDropped() as fact:
            rows.execute(_DROP, (fact.why, fact.about))
        case Suspected() as fact:
            known = (fact.about, _json(fact.together), fact.since, fact.chance, recorded.position)
            rows.execute("insert into dependencies_suspicion values (?, ?, ?, ?, ?)", known)
        case _:
            pass


_DROP = "update dependencies_change set state = 'dropped', why = ? where about = ? and state = 'planned'"


def _put(
    rows: Rows, recorded: Recorded, fact: ChangePlanned | ChangeRecorded, state: str, at: int
) -> None:
    """A change that was made stays as it was made; one that was planned may be planned anew."""
    rows.execute(
        "insert into dependencies_change values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '', ?)"
        " on conflict(about) do update set state = excluded.state, at = excluded.at,"
        " title = excluded.title, touches = excluded.touches, central = excluded.central,"
        " falls = excluded.falls, an_hour = excluded.an_hour, tell = excluded.tell,"
        " link = excluded.link, said_by = excluded.said_by, why = '', position = excluded.position"
        " where state <> 'made'",
        (
            fact.about, state, at, fact.title, _json(fact.touches), _json(fact.central),
            _json(fact.falls), _json(fact.an_hour), _json(fact.tell), fact.link, recorded.by,
            recorded.position,
        ),
    )  # fmt: skip


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


changes = Projection(
    "dependencies",
    _TABLES,
    (ChangePlanned.name, ChangeRecorded.name, ChangeDropped.name, Suspected.name),
    _fold,
)
