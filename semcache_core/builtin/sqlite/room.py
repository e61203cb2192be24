"""Keeps the file within its bound: evicts the least recently used entries and writes tombstones."""

from __future__ import annotations

import sqlite3
import time

from semcache_core.builtin.sqlite.news import forget_tombstones

_BATCH = 64
"""Entries deleted in one transaction at most: other processes wait for about a millisecond."""
LONGEST = 0.2
"""Seconds of evicting after one write: if the bound was lowered by a lot, the thread's other work runs in between."""
_AIM = 0.99
"""Evict down to this share of the bound, so that not every write has to evict."""


def make_room(connection: sqlite3.Connection, *, max_bytes: int) -> bool:
    """Delete until the used pages fit ``max_bytes``; return whether anything was deleted. Freed pages are reused."""
    if used_bytes(connection) <= max_bytes:
        return False
    # In a small file 64 entries may be most of it.
    entries = max(1, min(_BATCH, max_bytes // 2**20))
    went, until = False, time.monotonic() + LONGEST
    while used_bytes(connection) > max_bytes * _AIM and _delete_some(connection, entries):
        went = True
        if time.monotonic() >= until:
            break
    return went


def evict_for(connection: sqlite3.Connection, size: int, *, max_bytes: int) -> None:
    """Delete, in the running transaction, what has to go so that ``size`` more bytes fit ``max_bytes``.

    Nothing if the used pages do not fit as it is, because the bound was lowered: that is for ``make_room``.
    """
    used, entries = used_bytes(connection), 1
    while max_bytes - size < used <= max_bytes and _evicted(connection, entries):
        used, entries = used_bytes(connection), min(2 * entries, _BATCH)


def used_bytes(connection: sqlite3.Connection) -> int:
    """Return the bytes of the used pages."""
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    return int(size * (pages - free))


def _delete_some(connection: sqlite3.Connection, entries: int) -> bool:
    connection.execute("BEGIN IMMEDIATE")
    try:
        deleted = _evicted(connection, entries)
        forget_tombstones(connection)
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    return deleted


def _evicted(connection: sqlite3.Connection, entries: int) -> bool:
    return (
        _old_spaces(connection, entries)
        or _least_recently_used(connection, entries)
        or _vectors_without_responses(connection, entries)
    )


def _old_spaces(connection: sqlite3.Connection, entries: int) -> bool:
    """Delete vectors of every embedder except the last prepared one: they are probably not needed again."""
    return _deleted(
        connection,
        "DELETE FROM vectors WHERE seq IN (SELECT seq FROM vectors WHERE space IN "
        "(SELECT space FROM spaces WHERE prepared < (SELECT max(prepared) FROM spaces)) LIMIT ?)",
        (entries,),
    )


def _least_recently_used(connection: sqlite3.Connection, entries: int) -> bool:
    """Delete entries by last use, each with its vectors."""
    rows = connection.execute("SELECT id FROM responses ORDER BY used LIMIT ?", (entries,)).fetchall()
    connection.executemany("DELETE FROM vectors WHERE id = ?", rows)
    connection.executemany("DELETE FROM responses WHERE id = ?", rows)
    return bool(rows)


def _vectors_without_responses(connection: sqlite3.Connection, entries: int) -> bool:
    """Delete the oldest vectors, if the responses are in another store."""
    return _deleted(
        connection, "DELETE FROM vectors WHERE seq IN (SELECT seq FROM vectors ORDER BY seq LIMIT ?)", (entries,)
    )


def _deleted(connection: sqlite3.Connection, statement: str, parameters: tuple[int, ...]) -> bool:
    return connection.execute(statement, parameters).rowcount > 0
