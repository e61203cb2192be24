"""Reads other processes' changes to the vectors, in the thread, by sequence numbers and tombstones."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import numpy as np

from semcache_core.types import Point, Quiet, Space, Struct

BATCH = 512
"""Vectors indexed in one iteration of the event loop: about a millisecond."""
TOMBSTONES_KEPT = 20_000
"""A process that missed more than this many deletions reads everything again."""

_NO_SPACE = -1

_SINCE = "SELECT seq, scope, id, keep_until, vector FROM vectors WHERE seq > ? AND space = ? ORDER BY seq LIMIT ?"
_OF_SCOPE = (
    "SELECT seq, scope, id, keep_until, vector FROM vectors "
    "WHERE space = ? AND scope = ? AND seq > ? ORDER BY seq LIMIT ?"
)
_GONE_SINCE = "SELECT id FROM gone WHERE seq > ? AND space = ?"
_HEADS = (
    "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'vectors'), 0), "
    "coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'gone'), 0)"
)
_PREPARE = (
    "INSERT INTO spaces (fingerprint, dimensions, prepared) "
    "VALUES (?, ?, (SELECT coalesce(max(prepared), 0) + 1 FROM spaces)) "
    "ON CONFLICT (fingerprint, dimensions) DO UPDATE SET prepared = excluded.prepared"
)


class Heads(Struct, frozen=True):
    """How far a process has read: the last vector, the last tombstone, and the file's data version."""

    vectors: int = 0
    gone: int = 0
    version: int = -1
    """SQLite's count of other connections' commits; -1 forces a read."""


class Batch(Quiet, Struct, frozen=True):
    """Some vectors in the order in which they were written."""

    points: Sequence[Point]
    last: int
    """The sequence number of the last one."""

    @property
    def full(self) -> bool:
        """Whether there may be more."""
        return len(self.points) == BATCH


class News(Quiet, Struct, frozen=True):
    """The changes after the heads. Apply tombstones before points: a deleted vector may have been written again."""

    heads: Heads
    batch: Batch
    gone: Sequence[bytes] = ()
    anew: bool = False
    """Missed tombstones are no longer kept: discard everything in memory."""


class Prepared(Struct, frozen=True):
    """A space in the file: its number, its non-empty scopes, and the heads at that time."""

    number: int
    scopes: frozenset[bytes]
    heads: Heads


def prepare(connection: sqlite3.Connection, space: Space) -> Prepared:
    """Select the space and make it the last prepared one; in a transaction."""
    connection.execute(_PREPARE, (space.fingerprint, space.dimensions))
    return find_space(connection, space)


def find_space(connection: sqlite3.Connection, space: Space) -> Prepared:
    """Return the space as it is in the file; an empty one if the file does not know it."""
    key = (space.fingerprint, space.dimensions)
    found = connection.execute("SELECT space FROM spaces WHERE fingerprint = ? AND dimensions = ?", key).fetchone()
    number = _NO_SPACE if found is None else found[0]
    vectors, gone = connection.execute(_HEADS).fetchone()
    return Prepared(number=number, scopes=scopes_of(connection, number), heads=Heads(vectors=vectors, gone=gone))


def scopes_of(connection: sqlite3.Connection, space: int) -> frozenset[bytes]:
    """Return the scopes that have a vector."""
    rows = connection.execute("SELECT DISTINCT scope FROM vectors WHERE space = ?", (space,))
    return frozenset(scope for (scope,) in rows)


def read_scope(connection: sqlite3.Connection, *, space: int, scope: bytes, after: int) -> Batch:
    """Return the next vectors of a scope."""
    return _batch(connection.execute(_OF_SCOPE, (space, scope, after, BATCH)), after=after)


def read_news(connection: sqlite3.Connection, *, space: int, heads: Heads) -> News | None:
    """Return the changes after ``heads`` as one snapshot; None if no other connection has written."""
    (version,) = connection.execute("PRAGMA data_version").fetchone()
    if version == heads.version:
        return None
    connection.execute("BEGIN")
    try:
        (first_gone,) = connection.execute("SELECT min(seq) FROM gone").fetchone()
        _, last_gone = connection.execute(_HEADS).fetchone()
        gone = [id for (id,) in connection.execute(_GONE_SINCE, (heads.gone, space))]
        batch = _batch(connection.execute(_SINCE, (heads.vectors, space, BATCH)), after=heads.vectors)
    finally:
        connection.execute("COMMIT")
    missed = last_gone > heads.gone and (first_gone is None or first_gone > heads.gone + 1)
    seen = Heads(vectors=batch.last, gone=last_gone, version=-1 if batch.full else version)
    return News(heads=seen, gone=gone, batch=batch, anew=missed)


def forget_tombstones(connection: sqlite3.Connection) -> None:
    """Delete all but the newest tombstones; in a transaction."""
    connection.execute("DELETE FROM gone WHERE seq <= (SELECT max(seq) FROM gone) - ?", (TOMBSTONES_KEPT,))


def _batch(rows: sqlite3.Cursor, *, after: int) -> Batch:
    points: list[Point] = []
    last = after
    for seq, scope, id, keep_until, vector in rows:
        points.append(Point(id=id, scope=scope, vector=np.frombuffer(vector, np.float32), keep_until=keep_until))
        last = seq
    return Batch(points=points, last=last)
