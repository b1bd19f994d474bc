"""Is this file a ledger, can we read it, and may we write to it?

Everything that can be wrong with the file becomes one sentence with a remedy. A file that is not ours
is never changed.
"""

from __future__ import annotations

import os
from pathlib import Path

import apsw

from detente.kernel.clock import Seconds
from detente.kernel.ledger import LedgerError, LedgerFull, LedgerTooNew

APPLICATION = 0x44746E74  # "Dtnt": SQLite's own place for saying whose file this is
VERSION = 1

_SCHEMA = f"""
create table fact(
  position integer primary key, at integer not null, by text not null,
  name text not null, about text not null, body text not null) strict;
create table of_subject(
  about text not null, position integer not null, primary key (about, position)) strict, without rowid;
create table of_name(
  name text not null, position integer not null, primary key (name, position)) strict, without rowid;
create table indexed(up_to integer not null) strict;
insert into indexed values (0);
create table attachment(position integer primary key, body blob not null) strict;
create table answered(
  key text primary key, first integer not null, last integer not null) strict, without rowid;
create table reader(name text primary key, position integer not null) strict, without rowid;
pragma application_id = {APPLICATION};
pragma user_version = {VERSION};
"""

_FOR_WRITING = (
    "pragma journal_mode = wal",
    "pragma synchronous = full",
    "pragma journal_size_limit = 67108864",
    "pragma secure_delete = on",
    "pragma cache_size = -16000",
)


def in_memory() -> apsw.Connection:
    """A ledger that nobody keeps."""
    connection = apsw.Connection(":memory:")
    _begin_anew(connection)
    return connection


def open_for_writing(path: Path, patience: Seconds) -> apsw.Connection:
    """The connection that writes; the file is made if there is none. Somebody must hold the lock."""
    try:
        _make(path)
        connection = _connect(path, apsw.SQLITE_OPEN_READWRITE, patience)
    except OSError as error:
        raise unusable(path, error) from error
    try:
        if _is_empty(connection):
            _begin_anew(connection)
        _verify(connection, path)
        for pragma in _FOR_WRITING:  # one by one: a statement that answers ends the call
            connection.execute(pragma).fetchall()
        connection.execute("begin immediate; rollback")
    except apsw.Error as error:
        connection.close()
        raise explained(error, path) from error
    except LedgerError:
        connection.close()
        raise
    return connection


def open_for_reading(path: Path, patience: Seconds) -> apsw.Connection:
    """A connection that never writes."""
    try:
        there = path.is_file() and path.stat().st_size > 0
    except OSError as error:
        raise unusable(path, error) from error
    if not there:
        raise LedgerError(f"There is no ledger at {path} yet. `detente up` makes one.")
    connection = _connect(path, apsw.SQLITE_OPEN_READONLY, patience)
    try:
        _verify(connection, path)
        connection.execute("pragma cache_size = -8000")
    except apsw.Error as error:
        connection.close()
        raise explained(error, path) from error
    except LedgerError:
        connection.close()
        raise
    return connection


def _make(path: Path) -> None:
    """Make an empty file that only its owner can read; SQLite gives its journals the same mode."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _connect(path: Path, flags: int, patience: Seconds) -> apsw.Connection:
    try:
        connection = apsw.Connection(str(path), flags=flags)
    except apsw.Error as error:
        raise explained(error, path) from error
    connection.set_busy_timeout(round(patience * 1000))
    return connection


def _is_empty(connection: apsw.Connection) -> bool:
    return bool(connection.pragma("page_count") == 0)


def _begin_anew(connection: apsw.Connection) -> None:
    with connection:
        connection.execute(_SCHEMA)


def _verify(connection: apsw.Connection, path: Path) -> None:
    if connection.pragma("application_id") != APPLICATION:
        raise LedgerError(
            f"{path} is not a ledger of Détente but a file of another program. It was left as it is: "
            "choose another path for the ledger."
        )
    version = int(connection.pragma("user_version"))
    if version > VERSION:
        raise LedgerTooNew(
            f"{path} was written by a newer Détente: its format is {version}, and this version reads "
            f"up to {VERSION}. Install the newer version again; the file was left as it is."
        )


def unusable(path: Path, error: OSError) -> LedgerError:
    """What the operating system refused, as a sentence."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return LedgerError(
            f"The folder {path.parent} for the ledger {path.name} does not exist. Make it first: "
            f"mkdir -p {path.parent}"
        )
    if isinstance(error, IsADirectoryError):
        return LedgerError(
            f"{path} is a folder. Name a file for the ledger, such as {path}/ledger."
        )
    if isinstance(error, PermissionError):
        return LedgerError(
            f"This user may not write {path} and its neighbours in {path.parent}. Give it the folder "
            "(chown, chmod u+rwx) or start Détente as the user it belongs to."
        )
    return LedgerError(
        f"The ledger {path} cannot be opened: {error.strerror}. Free or repair the disk it is on, or "
        "name a file elsewhere."
    )


def explained(error: Exception, path: Path) -> LedgerError:
    """What SQLite said, as a sentence with a remedy."""
    if isinstance(error, apsw.BusyError | apsw.LockedError):
        return LedgerError(
            f"{path} is locked by another program (a database browser, a backup, a shell). Close it "
            "and try again; nothing was written."
        )
    if isinstance(error, apsw.FullError) or _failed_to_grow(error):
        return LedgerFull(
            f"The disk took nothing more for {path}. Nothing of this was kept: free some space there "
            "and repeat it."
        )
    if isinstance(error, apsw.NotADBError | apsw.FormatError):
        return LedgerError(
            f"{path} is not a ledger: it is no SQLite database at all. It was left as it is: choose "
            "another path for the ledger."
        )
    if isinstance(error, apsw.CorruptError):
        return LedgerError(
            f"{path} is damaged ({error}). Move it aside with its -wal file and bring back your latest "
            "copy; `sqlite3 FILE .recover` saves what can still be read."
        )
    if isinstance(error, apsw.ReadOnlyError | apsw.CantOpenError | apsw.PermissionsError):
        return LedgerError(
            f"{path} cannot be opened ({error}). The user that runs Détente needs to write the file and "
            f"the folder {path.parent}: see their owner and mode."
        )
    return LedgerError(f"{path} cannot be used: {error}. See that the disk it is on is well.")


def _failed_to_grow(error: Exception) -> bool:
    """Quotas and size limits arrive as failed writes and not as a full disk."""
    grew = (apsw.SQLITE_IOERR_WRITE, apsw.SQLITE_IOERR_SHMSIZE, apsw.SQLITE_IOERR_TRUNCATE)
    return isinstance(error, apsw.IOError) and getattr(error, "extendedresult", 0) in grew
