"""The ``sqlite`` response store: answers in the shared file, read each time, so that no process is behind."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from semcache_core.builtin.sqlite.options import SqliteResponseOptions
from semcache_core.builtin.sqlite.room import evict_for
from semcache_core.builtin.sqlite.shared import OnSharedFile, executed
from semcache_core.errors import StoreUnavailable
from semcache_core.types import Stored

BATCH = 500
"""Rows deleted in one transaction of a sweep."""
TOUCHES = 1000
"""Uses recorded between two ticks at most: eviction order is approximate, and hits are not slowed."""
STAMPS_KEPT = 10_000
"""Above this many invalidation times, a sweep drops those of tags that no entry has, if they are old or not among so
many newest ones. Anybody can cause one: a credential that upstream refuses invalidates its own partition.
"""
STAMP_GRACE = 3600.0
"""Seconds an invalidation is kept although no entry has its tag: an earlier flight may still store its answer."""
LARGEST_PART = 4
"""One entry may take this part of the file: a quarter."""

_STAMP = "(SELECT max(at) FROM json_each(responses.tags) JOIN stamps ON stamps.tag = json_each.value)"
_GET = f"SELECT data, keep_until, used, {_STAMP} FROM responses WHERE id = ?"  # noqa: S608
_SCAN = f"SELECT id, data, {_STAMP}, tags FROM responses WHERE id > ? ORDER BY id LIMIT ?"  # noqa: S608
_NEXT_USE = "(SELECT coalesce(max(used), 0) + 1 FROM responses)"
_SET = f"INSERT OR REPLACE INTO responses (id, keep_until, used, tags, data) VALUES (?, ?, {_NEXT_USE}, ?, ?)"  # noqa: S608
_DELETE = "DELETE FROM responses WHERE id = ?"
_STAMP_TAG = "INSERT INTO stamps VALUES (?, ?) ON CONFLICT (tag) DO UPDATE SET at = max(at, excluded.at)"
_TOUCH = f"UPDATE responses SET used = {_NEXT_USE} WHERE id = ?"  # noqa: S608
_SPREAD = "SELECT (SELECT min(used) FROM responses), (SELECT max(used) FROM responses)"
_SWEEP = "DELETE FROM responses WHERE rowid IN (SELECT rowid FROM responses WHERE keep_until <= ? LIMIT ?)"
_FORGET_STAMPS = (
    "DELETE FROM stamps WHERE (at < ? OR tag NOT IN (SELECT tag FROM stamps ORDER BY at DESC LIMIT ?)) AND tag NOT IN "
    "(SELECT json_each.value FROM responses, json_each(responses.tags) WHERE responses.tags IS NOT NULL)"
)


class SqliteResponseStore(OnSharedFile):
    """Answers in one SQLite file. A read is one statement on the event loop; everything else runs in the thread.

    Answers are not cached in this process: a read costs a few microseconds more than a bare SELECT, and is never
    outdated.
    """

    Options = SqliteResponseOptions

    def __init__(self, options: SqliteResponseOptions, *, looks: bool = False) -> None:
        super().__init__(options, owner="response store", looks=looks)
        self._options = options
        self._file.after_writes = self._measure
        self._max_bytes = options.max_bytes
        self._touched: dict[bytes, None] = {}
        """Entries hit since the last tick: their uses are written together, not by the hit."""
        self._oldest = self._newest = 0

    async def __aenter__(self) -> Self:
        await self._file.open(each_tick=self._tick)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        with contextlib.suppress(StoreUnavailable):  # It only affects eviction; the thread must still end.
            if self._file.is_open:
                self._write_touches()
        await self._file.close()

    def read_only(self) -> SqliteResponseStore:
        return SqliteResponseStore(self._options, looks=True)

    def get_nowait(self, id: bytes, *, now: float) -> Stored | None:
        row = self._file.read(_GET, (id,))
        if row is None:
            return None
        data, keep_until, used, invalidated_at = row
        if keep_until is not None and keep_until <= now:
            return None
        # An entry among the newest sixteenth is not moved, so a busy entry is rarely written.
        is_old = self._newest - used > (self._newest - self._oldest) // 16
        if is_old and len(self._touched) < TOUCHES and not self._file.looks:
            self._touched[id] = None
        return Stored(data=data, invalidated_at=invalidated_at)

    async def get(self, ids: Sequence[bytes], *, now: float) -> Sequence[Stored | None]:
        self._file.check_open()
        return [self.get_nowait(id, now=now) for id in ids]

    async def set(self, id: bytes, data: bytes, *, keep_until: float | None, tags: Sequence[bytes]) -> None:
        if len(data) > self.largest():
            # It would evict much of the rest. The entry it replaces is outdated all the same.
            await self.delete([id])
            return
        row = (id, keep_until, _tag_list(tags), bytes(data))

        def write(connection: sqlite3.Connection) -> None:
            # Now, not after the commit: many writes are committed together, and the file would grow by all of them.
            evict_for(connection, len(row[3]), max_bytes=self._max_bytes)
            connection.execute(_SET, row)

        await self._file.run(write, writes=True)

    def largest(self) -> int:
        return self._max_bytes // LARGEST_PART

    async def delete(self, ids: Sequence[bytes]) -> None:
        await self._file.run(executed(_DELETE, [(id,) for id in ids]), writes=True)

    async def invalidate(self, tags: Sequence[bytes], *, before: float) -> None:
        await self._file.run(executed(_STAMP_TAG, [(tag.hex(), before) for tag in tags]), writes=True)

    async def scan(self, *, after: bytes = b"", limit: int = 1000) -> Sequence[tuple[bytes, Stored]]:
        rows = await self._file.run(lambda connection: connection.execute(_SCAN, (after, limit)).fetchall())
        return [
            (id, Stored(data=data, invalidated_at=invalidated_at, tags=_read_tags(tags)))
            for id, data, invalidated_at, tags in rows
        ]

    async def count(self) -> int:
        (rows,) = await self._file.run(
            lambda connection: connection.execute("SELECT count(*) FROM responses").fetchone()
        )
        return int(rows)

    async def sweep(self, *, now: float) -> int:
        swept = 0
        while True:
            # One transaction per batch: other writers, here and in other processes, can write in between.
            count = await self._file.run(
                lambda connection: connection.execute(_SWEEP, (now, BATCH)).rowcount, writes=True
            )
            swept += count
            if count < BATCH:
                break
        await self._file.run(lambda connection: _forget_stamps(connection, before=now - STAMP_GRACE), writes=True)
        return swept

    def identity_secret(self) -> bytes:
        self._file.check_open()
        return self._file.secret

    async def _tick(self) -> None:
        self._write_touches()
        await self._look()

    def _write_touches(self) -> None:
        if self._touched:
            rows = [(id,) for id in self._touched]
            self._touched = {}
            self._file.run_later(executed(_TOUCH, rows))

    async def _look(self) -> None:
        await self._file.run(self._measure)

    def _measure(self, connection: sqlite3.Connection) -> None:
        """Read the oldest and the newest use; runs in the thread."""
        oldest, newest = connection.execute(_SPREAD).fetchone()
        self._oldest, self._newest = oldest or 0, newest or 0


def _tag_list(tags: Sequence[bytes]) -> str | None:
    return json.dumps([tag.hex() for tag in tags]) if tags else None


def _read_tags(tags: str | None) -> tuple[bytes, ...]:
    return tuple(bytes.fromhex(tag) for tag in json.loads(tags)) if tags else ()


def _forget_stamps(connection: sqlite3.Connection, *, before: float) -> None:
    (stamps,) = connection.execute("SELECT count(*) FROM stamps").fetchone()
    if stamps > STAMPS_KEPT:
        connection.execute(_FORGET_STAMPS, (before, STAMPS_KEPT))
