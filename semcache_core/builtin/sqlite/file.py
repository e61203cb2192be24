"""The file on disk: creates it with tight permissions, checks it, sets it aside if unusable, and opens it.

Everything here blocks; it runs in the store's thread.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

from semcache_core.builtin.sqlite import schema
from semcache_core.errors import ConfigError, StoreUnavailable
from semcache_core.types import Quiet, Struct

WRITE_PATIENCE = 2.0
"""Seconds that a write waits for the write of another process."""
_SUFFIXES = ("", "-wal", "-shm", "-journal")
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class Fault(Struct, frozen=True):
    """Why a file cannot be used."""

    what: str
    remedy: str
    is_foreign: bool = False
    """Another program uses it: it stays in place."""

    def told(self, path: Path) -> str:
        return f"{path} {self.what}: {self.remedy}"


_FOREIGN = Fault("is another program's database", "give semcache a file of its own (path, of both stores)", True)
_OTHER_VERSION = Fault("was made by another version", "The next start of a server sets it aside and begins a new one.")
_DAMAGED = Fault("is damaged", _OTHER_VERSION.remedy)
_NO_DATABASE = Fault("is not a database", _OTHER_VERSION.remedy)
_DATABASE_SUFFIXES = frozenset({".db", ".db3", ".sqlite", ".sqlite3"})
"""A file of another name may be somebody's text: a slip in the configuration must not rename it."""


class OpenedFile(Quiet, Struct, frozen=True):
    """An opened file: the writing connection, and notices for the operator."""

    connection: sqlite3.Connection
    secret: bytes
    identity: tuple[int, int]
    """Device and inode: another process may set this file aside and create a new one at the same path."""
    notices: tuple[str, ...] = ()


def open_file(path: Path, *, secret: bytes | None = None, again: bool = False) -> OpenedFile:
    """Open ``path``; create it if it is missing, with ``secret`` in it.

    A file that is damaged, not a database, or of another version is renamed; the last such file is kept. ``again``:
    this process had the path open before, and then a file of another version stays. Raises StoreUnavailable, and
    ConfigError for a folder or for the database of another program, which stays in place.
    """
    try:
        _make_folder(path.parent)
        with _alone(path):
            return _open(path, secret=secret, again=again)
    except (OSError, sqlite3.Error) as error:
        raise unavailable(path, error) from error


def open_reader(path: Path) -> sqlite3.Connection:
    """Open a connection for lookups on the event loop: it never waits for a lock and never writes."""
    # Do not create the file: one that vanished meanwhile would be created with default permissions.
    address = f"{path.as_uri()}?mode=rw"
    reader = sqlite3.connect(address, uri=True, isolation_level=None, timeout=0, check_same_thread=False)
    reader.execute("PRAGMA query_only = ON")
    return reader


def unavailable(path: Path, error: Exception, *, wants: str = "writable") -> StoreUnavailable:
    """Return an error with the file, the failure and the remedy."""
    return StoreUnavailable(f"{path}: {error}; the file must be {wants}, on a local disk with free space")


def no_file(path: Path) -> str | None:
    """Return what to say of what is no file at its place; None for a file, or where nothing is.

    SQLite would wait for ever for what another program writes into a pipe.
    """
    if path.is_file() or not path.exists():
        return None
    if path.is_dir():
        return f"{path} is a folder: name a file in it, as in {path / 'semcache.db'} (path, of both stores)"
    return f"{path} is a pipe, a socket or a device: name a file (path, of both stores)"


def is_damage(error: BaseException) -> bool:
    """Say whether SQLite found the file damaged, not merely busy, full or unreachable."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in _DAMAGE


def mark_damaged(path: Path) -> None:
    """Mark the file as damaged: the next open sets it aside."""
    with contextlib.suppress(OSError):
        _marker(path).touch(mode=0o600)


def identity(path: Path) -> tuple[int, int] | None:
    """Return device and inode of the file now at ``path``; None if there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _open(path: Path, *, secret: bytes | None, again: bool) -> OpenedFile:
    notices: tuple[str, ...] = ()
    refusal = StoreUnavailable if again else ConfigError
    misplaced = no_file(path)
    if misplaced is not None:
        raise refusal(misplaced)
    fault = _fault(path)
    if fault is not None and fault.is_foreign:
        # Renaming it would break the other program that uses it.
        raise refusal(fault.told(path))
    if fault is _NO_DATABASE and path.suffix not in _DATABASE_SUFFIXES:
        raise refusal(
            f"{path} is not a database and does not end in .db: name another file (path, of both stores), or remove it"
        )
    if fault is _OTHER_VERSION and again:
        # A process of that version created it. Otherwise the two would set aside each other's files for ever.
        raise StoreUnavailable(f"{path} {fault.what} since this process began to use it; restart this process")
    if fault is not None:
        secret = secret or _rescued_secret(path)
        aside = _set_aside(path)
        notices = (f"{path} {fault.what}: it was set aside as {aside.name}, and a new file begun.",)
    # SQLite gives its side files the permissions of the main file, so create that first, private to the user.
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    connection = _connect(path)
    try:
        if schema.is_empty(connection):
            schema.create(connection, secret=secret)
        found = identity(path)
        if found is None:
            raise FileNotFoundError(path)
        return OpenedFile(connection=connection, secret=schema.read_secret(connection), identity=found, notices=notices)
    except BaseException:
        connection.close()
        raise


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, timeout=WRITE_PATIENCE)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA journal_size_limit = 16777216")
    # Off, so that replacing a vector does not write a tombstone for it.
    connection.execute("PRAGMA recursive_triggers = OFF")
    return connection


def _fault(path: Path) -> Fault | None:
    """Return why the file cannot be used, or None: it is missing, empty, or valid."""
    if not path.exists() or path.stat().st_size == 0:
        return None
    # Only SQLite may open the file: closing any other descriptor of it drops the POSIX locks of this process's
    # connections, and the next process to close would believe it is the last and delete the log in use.
    connection = sqlite3.connect(path, isolation_level=None, timeout=WRITE_PATIENCE)
    try:
        return fault_of(path, connection)
    finally:
        connection.close()


def fault_of(path: Path, connection: sqlite3.Connection) -> Fault | None:
    """Return why the file that is open cannot be used, or None."""
    if _marker(path).exists():
        return _DAMAGED
    try:
        if schema.is_empty(connection):
            return None
        if not schema.is_ours(connection):
            return _FOREIGN
        if not schema.is_current(connection):
            return _OTHER_VERSION
        schema.probe(connection)
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        return _NO_DATABASE if error.sqlite_errorcode == sqlite3.SQLITE_NOTADB else _DAMAGED
    return None


def _rescued_secret(path: Path) -> bytes | None:
    """Return the secret of a file about to be set aside, so that processes that already have it can go on sharing."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=0)
    try:
        return schema.read_secret(connection)
    except (sqlite3.Error, TypeError, ValueError):
        return None
    finally:
        connection.close()


def _set_aside(path: Path) -> Path:
    """Rename the file, and return its new place. The one that was set aside before goes: disks are not archives."""
    before = {number: aside for aside in _asides(path) if (number := _number_of(aside)) is not None}
    aside = path.with_name(f"{path.name}.aside-{max(before, default=0) + 1}")
    for suffix in _SUFFIXES:
        with contextlib.suppress(FileNotFoundError):
            os.rename(f"{path}{suffix}", f"{aside}{suffix}")
    _marker(path).unlink(missing_ok=True)
    for old in before.values():
        for suffix in _SUFFIXES:
            # Another program may hold it: then it stays.
            with contextlib.suppress(OSError):
                os.unlink(f"{old}{suffix}")
    return aside


def _asides(path: Path) -> Iterator[Path]:
    start = f"{path.name}.aside-"
    return (each for each in path.parent.iterdir() if each.name.startswith(start))


def _number_of(aside: Path) -> int | None:
    number = aside.name.rpartition("-")[2]
    return int(number) if number.isascii() and number.isdigit() and len(number) < 10 else None


def _marker(path: Path) -> Path:
    return path.with_name(f"{path.name}.damaged")


def _make_folder(folder: Path) -> None:
    """Create the folder if it is missing, private to the user and ignored by version control."""
    if folder.is_dir():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        (folder / ".gitignore").write_text("*\n", encoding="ascii")


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Exclude other processes while the file is checked and created: two could set aside each other's new file."""
    try:
        lock = os.open(f"{path}.lock", os.O_CREAT | os.O_RDWR, 0o600)
    except OSError:
        # The folder is not writable: then no file can be created or renamed in it either.
        yield
        return
    try:
        if sys.platform != "win32":
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
