"""The ``sqlite`` vector store: vectors in the shared file, searched in memory.

A scope is loaded at its first search, so opening a large file costs nothing and memory holds only scopes in use. From
then on it is kept current: this process's writes apply at once, those of others at the next tick.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from types import TracebackType
from typing import Self

from semcache_core.builtin.memory.index import VectorIndex
from semcache_core.builtin.sqlite.news import (
    Batch,
    Heads,
    News,
    Prepared,
    find_space,
    forget_tombstones,
    prepare,
    read_news,
    read_scope,
    scopes_of,
)
from semcache_core.builtin.sqlite.options import SqliteVectorOptions
from semcache_core.builtin.sqlite.shared import OnSharedFile, executed
from semcache_core.errors import NotOpenError
from semcache_core.types import Match, Point, Space, Vector

SWEEP_BATCH = 500
"""Rows deleted in one transaction of a sweep: other writers can write in between."""

_PUT = "INSERT OR REPLACE INTO vectors (space, scope, id, keep_until, vector) VALUES (?, ?, ?, ?, ?)"
_DELETE = "DELETE FROM vectors WHERE id = ? AND space = ?"
_DELETE_EVERYWHERE = "DELETE FROM vectors WHERE id = ?"
_COUNT = "SELECT count(*) FROM vectors WHERE space = ?"
_SWEEP = "DELETE FROM vectors WHERE seq IN (SELECT seq FROM vectors WHERE keep_until <= ? LIMIT ?)"


class SqliteVectorStore(OnSharedFile):
    """Vectors in one SQLite file. A search in a loaded scope never suspends."""

    Options = SqliteVectorOptions

    def __init__(self, options: SqliteVectorOptions, *, looks: bool = False) -> None:
        super().__init__(options, owner="vector store", looks=looks)
        self._options = options
        self._max_memory = options.max_memory
        self._loading: dict[bytes, asyncio.Task[None]] = {}
        self._forget()

    def _forget(self) -> None:
        self._space: Space | None = None
        self._number = 0
        self._index: VectorIndex | None = None
        self._heads = Heads()
        self._scopes: set[bytes] = set()
        """Non-empty scopes of the file; one that lost its last vector may remain until the next sweep."""
        self._loaded: OrderedDict[bytes, None] = OrderedDict()
        """Scopes that are entirely in memory, least recently searched first."""

    async def __aenter__(self) -> Self:
        await self._file.open(each_tick=self._tick, replaced=self._replaced)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        await self._file.close()
        if self._loading:
            await asyncio.wait(self._loading.values())
        self._forget()

    def read_only(self) -> SqliteVectorStore:
        return SqliteVectorStore(self._options, looks=True)

    async def prepare(self, space: Space) -> None:
        looks = self._file.looks
        await self._file.run(
            lambda connection: (find_space if looks else prepare)(connection, space),
            writes=not looks,
            then=partial(self._begin, space),
        )

    async def upsert(self, points: Sequence[Point]) -> None:
        index, number = self._ready(), self._number
        # Copies: the caller's arrays may change before the thread writes them.
        kept = [
            Point(id=point.id, scope=point.scope, vector=index.check(point.vector).copy(), keep_until=point.keep_until)
            for point in points
        ]
        rows = [(number, point.scope, point.id, point.keep_until, point.vector.tobytes()) for point in kept]
        await self._file.run(executed(_PUT, rows), writes=True, then=lambda _: self._take(kept))

    async def search(self, vector: Vector, *, scope: bytes, limit: int, floor: float, now: float) -> Sequence[Match]:
        index = self._ready()
        if scope in self._loaded:
            self._loaded.move_to_end(scope)
        else:
            index.check(vector)
            if scope not in self._scopes:
                return []
            await self._load(scope)
            index = self._ready()
        return index.search(vector, scope=scope, limit=limit, floor=floor, now=now)

    async def delete(self, ids: Sequence[bytes]) -> None:
        if self._index is None:
            work = executed(_DELETE_EVERYWHERE, [(id,) for id in ids])
        else:
            work = executed(_DELETE, [(id, self._number) for id in ids])
        await self._file.run(work, writes=True, then=lambda _: self._drop(ids))

    async def count(self) -> int:
        number = self._number
        (rows,) = await self._file.run(lambda connection: connection.execute(_COUNT, (number,)).fetchone())
        return int(rows)

    def has_scope(self, scope: bytes) -> bool:
        self._file.check_open()
        if self._index is not None and scope in self._loaded:
            return self._index.has_scope(scope)
        return scope in self._scopes

    async def sweep(self, *, now: float) -> int:
        swept = 0
        while True:
            count = await self._file.run(
                lambda connection: connection.execute(_SWEEP, (now, SWEEP_BATCH)).rowcount, writes=True
            )
            swept += count
            if count < SWEEP_BATCH:
                break
        await self._file.run(forget_tombstones, writes=True)
        # Its own deletions reach memory by their tombstones, like those of other processes.
        await self._catch_up(look=True)
        number = self._number
        await self._file.run(lambda connection: scopes_of(connection, number), then=self._forget_empty)
        return swept

    # -- keeping memory current: all of this runs on the loop, in the order in which the thread did the work ----------

    def _begin(self, space: Space, prepared: Prepared) -> None:
        self._space, self._number = space, prepared.number
        self._index = VectorIndex(space.dimensions)
        self._heads, self._scopes = prepared.heads, set(prepared.scopes)
        self._loaded.clear()

    def _take(self, points: Sequence[Point]) -> None:
        """Index points that have been written to the file, if their scope is loaded."""
        index = self._index
        if index is None:
            return
        for point in points:
            if point.scope not in self._scopes:
                # The scope was empty, so these points are all of it.
                self._scopes.add(point.scope)
                self._loaded[point.scope] = None
            if point.scope in self._loaded or point.scope in self._loading:
                index.put(point)
            else:
                # The point may have been in another scope that is loaded.
                index.discard(point.id)
        self._shed()

    def _drop(self, ids: Sequence[bytes]) -> None:
        if self._index is not None:
            for id in ids:
                self._index.discard(id)

    def _shed(self) -> None:
        """Unload the least recently searched scopes; the last one stays, even if it is too large."""
        index = self._index
        while index is not None and index.size > self._max_memory and len(self._loaded) > 1:
            scope, _ = self._loaded.popitem(last=False)
            index.drop_scope(scope)

    def _forget_empty(self, scopes: frozenset[bytes]) -> None:
        """Forget scopes that are empty in the file."""
        self._scopes = set(scopes)
        for scope in [scope for scope in self._loaded if scope not in self._scopes]:
            del self._loaded[scope]
            if self._index is not None:
                self._index.drop_scope(scope)

    async def _load(self, scope: bytes) -> None:
        """Load a scope, once for all waiters; a cancelled waiter does not stop it for the others."""
        task = self._loading.get(scope)
        if task is None:
            task = self._loading[scope] = asyncio.create_task(self._read_scope(scope), name="semcache-load-scope")
            task.add_done_callback(partial(self._loading_ended, scope))
        await asyncio.shield(task)

    def _loading_ended(self, scope: bytes, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            # Waiters raise it; without waiters it is not an unhandled error.
            task.exception()

    async def _read_scope(self, scope: bytes) -> None:
        index, number, last = self._ready(), self._number, 0
        whole = False
        try:
            while not whole:
                read = partial(read_scope, space=number, scope=scope, after=last)
                batch = await self._file.run(read, then=partial(_put_all, index))
                last, whole = batch.last, not batch.full
        finally:
            del self._loading[scope]
            if self._index is index and not whole:
                index.drop_scope(scope)
        if self._index is index:
            self._loaded[scope] = None
            self._shed()

    async def _tick(self) -> None:
        await self._catch_up(look=self._file.take_made_room())

    async def _catch_up(self, *, look: bool = False) -> None:
        """Apply the changes of other processes; ``look`` reads even if the data version is unchanged."""
        while self._index is not None:
            heads = Heads(vectors=self._heads.vectors, gone=self._heads.gone) if look else self._heads
            news = await self._file.run(partial(read_news, space=self._number, heads=heads), then=self._apply)
            if news is None or not news.batch.full:
                return

    def _apply(self, news: News | None) -> None:
        index = self._index
        if news is None or index is None:
            return
        if news.anew:
            for scope in self._loaded:
                index.drop_scope(scope)
            self._loaded.clear()
        self._drop(news.gone)
        self._take(news.batch.points)
        self._heads = news.heads

    async def _replaced(self) -> None:
        if self._space is not None:
            await self.prepare(self._space)

    def _ready(self) -> VectorIndex:
        self._file.check_open()
        if self._index is None:
            raise NotOpenError("vector store 'sqlite' has no space yet: call `prepare` first")
        return self._index


def _put_all(index: VectorIndex, batch: Batch) -> None:
    for point in batch.points:
        index.put(point)
