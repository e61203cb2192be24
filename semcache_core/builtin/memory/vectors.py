"""The ``memory`` vector store: exact search within a scope, least recently used points evicted."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Annotated, Self

from msgspec import Meta

from semcache_core.builtin.memory.index import VectorIndex
from semcache_core.errors import NotOpenError
from semcache_core.protocols import Options
from semcache_core.settings import Bytes
from semcache_core.types import Match, Point, Space, Vector

SWEEP_BATCH = 1000
"""Points deleted before a sweep yields to the event loop: about 2 ms."""


class MemoryVectorOptions(Options, frozen=True):
    """``[vector_store] use = "memory"``."""

    max_bytes: Annotated[
        Bytes, Meta(ge=1, description="Memory that vectors may take; least recently used go first.")
    ] = 512 * 1024 * 1024


class MemoryVectorStore:
    """Vectors in this process's memory. No method suspends, except ``sweep`` between batches."""

    Options = MemoryVectorOptions

    def __init__(self, options: MemoryVectorOptions) -> None:
        self._max_bytes = options.max_bytes
        self._space: Space | None = None
        self._index: VectorIndex | None = None
        """None until a space is prepared; a cache without an embedder never prepares one."""
        self._opened = False

    async def __aenter__(self) -> Self:
        self._opened = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self._opened = False
        self._index = self._space = None

    async def prepare(self, space: Space) -> None:
        if not self._opened:
            raise _not_open()
        if space != self._space:
            self._space, self._index = space, VectorIndex(space.dimensions)

    async def upsert(self, points: Sequence[Point]) -> None:
        index = self._ready()
        for point in points:
            index.check(point.vector)
        for point in points:
            index.put(point)
            while index.size > self._max_bytes and len(index) > 0:
                index.remove(index.slots.oldest())

    async def search(self, vector: Vector, *, scope: bytes, limit: int, floor: float, now: float) -> Sequence[Match]:
        return self._ready().search(vector, scope=scope, limit=limit, floor=floor, now=now)

    async def delete(self, ids: Sequence[bytes]) -> None:
        index = self._held()
        if index is not None:
            for id in ids:
                index.discard(id)

    async def count(self) -> int:
        index = self._held()
        return 0 if index is None else len(index)

    def has_scope(self, scope: bytes) -> bool:
        index = self._held()
        return index is not None and index.has_scope(scope)

    async def sweep(self, *, now: float) -> int:
        index, swept = self._held(), 0
        if index is None:
            return 0
        expired = index.slots.expired(now)
        for start in range(0, len(expired), SWEEP_BATCH):
            for slot in expired[start : start + SWEEP_BATCH]:
                # Meanwhile the slot may have been freed or its expiry moved: then it is infinite or in the future.
                if index.slots.keep_until[slot] <= now:
                    index.remove(slot)
                    swept += 1
            if start + SWEEP_BATCH < len(expired):
                await asyncio.sleep(0)
        return swept

    def _held(self) -> VectorIndex | None:
        if not self._opened:
            raise _not_open()
        return self._index

    def _ready(self) -> VectorIndex:
        index = self._held()
        if index is None:
            raise NotOpenError("vector store 'memory' has no space yet: call `prepare` first")
        return index


def _not_open() -> NotOpenError:
    return NotOpenError("vector store 'memory' is not open: use it inside `async with`")
