"""The file on disk: made with tight rights, examined, set aside when it cannot be used, opened.

Everything here blocks; it runs in a store's own thread.
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
from semcache_core.types import Struct

WRITE_PATIENCE = 2.0
"""Seconds a write waits for another process to finish its own."""
_SUFFIXES = ("", "-wal", "-shm", "-journal")
_OTHER_VERSION = "was made by another version"
_FOREIGN = "is another program's database"
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class OpenedFile(Struct, frozen=True):
    """A file that can be used: the connection to write through, and what the operator should know."""

    connection: sqlite3.Connection
    secret: bytes
    identity: tuple[int, int]
    """Device and inode: another process may set this file aside and begin a new one under the same path."""
    notices: tuple[str, ...] = ()


def open_file(path: Path, *, secret: bytes | None = None, again: bool = False) -> OpenedFile:
    """Open ``path``, making it where there is none. ``secret`` goes into a file that has to be made.

    A file that is damaged, no database, or of another version is renamed, never deleted; but ``again``, when this
    process had the path open before, one of another version stays. Raises StoreUnavailable, and ConfigError for the
    database of another program, which stays where it is, and for a folder.
    """
    try:
        _make_folder(path.parent)
        with _alone(path):
            return _open(path, secret=secret, again=again)
    except (OSError, sqlite3.Error) as error:
        raise unavailable(path, error) from error


def open_reader(path: Path) -> sqlite3.Connection:
    """Open a connection for look-ups on the event loop: it never waits for a lock and never writes."""
    # Never making the file: one that vanished meanwhile would come back with the rights of any file.
    address = f"{path.as_uri()}?mode=rw"
    reader = sqlite3.connect(address, uri=True, isolation_level=None, timeout=0, check_same_thread=False)
    reader.execute("PRAGMA query_only = ON")
    return reader


def unavailable(path: Path, error: Exception) -> StoreUnavailable:
    """Name the file, what happened, and what helps."""
    return StoreUnavailable(f"{path}: {error}; the file must be writable, on a local disk with free space")


def is_damage(error: BaseException) -> bool:
    """Say whether SQLite found the file damaged, not merely busy, full or out of reach."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in _DAMAGE


def mark_damaged(path: Path) -> None:
    """Leave word that the file is damaged: whoever opens it next sets it aside."""
    with contextlib.suppress(OSError):
        _marker(path).touch(mode=0o600)


def identity(path: Path) -> tuple[int, int] | None:
    """Return device and inode of what lies under ``path`` now; None where nothing does."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _open(path: Path, *, secret: bytes | None, again: bool) -> OpenedFile:
    notices: tuple[str, ...] = ()
    refusal = StoreUnavailable if again else ConfigError
    if path.is_dir():
        raise refusal(f"{path} is a folder: name a file in it, as in {path / 'semcache.db'} (path, of both stores)")
    problem = _problem(path)
    if problem == _FOREIGN:
        # Whoever works with it would lose it under their hands.
        raise refusal(f"{path} {problem}: give semcache a file of its own (path, of both stores)")
    if problem == _OTHER_VERSION and again:
        # A process of that version has begun it. Setting aside each other's files in turn would never end.
        raise StoreUnavailable(f"{path} {problem} since this process began to use it; restart this process")
    if problem is not None:
        secret = secret or _rescued_secret(path)
        aside = _set_aside(path)
        notices = (f"{path} {problem}: it was set aside as {aside.name}, and a new file begun.",)
    # SQLite gives its side files the rights of the main file, so that one is made first, and closed to others.
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
    # Off, so that replacing a vector leaves no tombstone behind its own back.
    connection.execute("PRAGMA recursive_triggers = OFF")
    return connection


def _problem(path: Path) -> str | None:
    """Say why the file cannot be used, or None: it is missing, empty, or good."""
    if not path.exists() or path.stat().st_size == 0:
        return None
    if _marker(path).exists():
        return "is damaged"
    # Only SQLite may open the file: closing any other descriptor of it drops the locks that this process's connections
    # hold (POSIX), and the next process to leave would take itself for the last and delete the log under them.
    connection = sqlite3.connect(path, isolation_level=None, timeout=WRITE_PATIENCE)
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
        return "is not a database" if error.sqlite_errorcode == sqlite3.SQLITE_NOTADB else "is damaged"
    finally:
        connection.close()
    return None


def _rescued_secret(path: Path) -> bytes | None:
    """Return the secret of a file about to be set aside, so that processes which still know it go on sharing."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=0)
    try:
        return schema.read_secret(connection)
    except (sqlite3.Error, TypeError, ValueError):
        return None
    finally:
        connection.close()


def _set_aside(path: Path) -> Path:
    number = 1
    while (aside := path.with_name(f"{path.name}.aside-{number}")).exists():
        number += 1
    for suffix in _SUFFIXES:
        with contextlib.suppress(FileNotFoundError):
            os.rename(f"{path}{suffix}", f"{aside}{suffix}")
    _marker(path).unlink(missing_ok=True)
    return aside


def _marker(path: Path) -> Path:
    return path.with_name(f"{path.name}.damaged")


def _make_folder(folder: Path) -> None:
    """Make the folder where there is none, closed to others and out of version control."""
    if folder.is_dir():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        (folder / ".gitignore").write_text("*\n", encoding="ascii")


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let one process at a time examine and make the file: two that start together must not set aside each other's."""
    try:
        lock = os.open(f"{path}.lock", os.O_CREAT | os.O_RDWR, 0o600)
    except OSError:
        # A folder that cannot be written to: nothing can be made or renamed in it either.
        yield
        return
    try:
        if sys.platform != "win32":
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
