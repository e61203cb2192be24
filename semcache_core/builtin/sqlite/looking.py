"""Opens the file to look at it: nothing is created, renamed, migrated or written, whatever is found.

SQLite creates the side files of a write-ahead log even for a reader. ``readonly_shm`` keeps it from that while a
process has the file open; while none has, there is no log, and ``immutable`` reads the file without one.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from semcache_core.builtin.sqlite import schema
from semcache_core.builtin.sqlite.file import OpenedFile, fault_of, identity, no_file, unavailable
from semcache_core.errors import ConfigError, StoreUnavailable

_PATIENCE = 2.0


def open_to_look(path: Path) -> OpenedFile:
    """Open the file at ``path`` for reading. Raises StoreUnavailable, and ConfigError as ``open_file`` does."""
    misplaced = no_file(path)
    if misplaced is not None:
        raise ConfigError(misplaced)
    try:
        connection = connect_to_look(path)
        try:
            fault = fault_of(path, connection)
            found = identity(path)
            if fault is None and schema.is_empty(connection):
                raise StoreUnavailable(f"{path} holds nothing yet: the server that begins it is just starting")
            if fault is None and found is not None:
                return OpenedFile(connection=connection, secret=schema.read_secret(connection), identity=found)
        except BaseException:
            connection.close()
            raise
        connection.close()
    except (OSError, sqlite3.Error) as error:
        raise unreadable(path, error) from error
    if fault is None:
        raise StoreUnavailable(f"{path}: it was removed while it was being opened")
    if fault.is_foreign:
        raise ConfigError(fault.told(path))
    raise StoreUnavailable(f"{path} {fault.what}; it was left as it is. {fault.remedy}")


def connect_to_look(path: Path) -> sqlite3.Connection:
    """Return a connection that changes nothing, not even the side files."""
    kept = "readonly_shm=1" if _has_log(path) else "immutable=1"
    return sqlite3.connect(
        f"{path.as_uri()}?mode=ro&{kept}", uri=True, isolation_level=None, timeout=_PATIENCE, check_same_thread=False
    )


def unreadable(path: Path, error: Exception) -> StoreUnavailable:
    """Return an error with the file, the failure and the remedy."""
    if _has_log(path) and not os.path.exists(f"{path}-shm"):
        return StoreUnavailable(
            f"{path}: the process that wrote it was stopped, and its log ({path.name}-wal) has to be read first, "
            "which changes the file: start the server once"
        )
    return unavailable(path, error, wants="readable")


def _has_log(path: Path) -> bool:
    try:
        return os.stat(f"{path}-wal").st_size > 0 or os.path.exists(f"{path}-shm")
    except FileNotFoundError:
        return False
