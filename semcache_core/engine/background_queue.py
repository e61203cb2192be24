"""A queue that empties itself in the background."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, Protocol, TypeVar

from semcache_core.engine.fair import FairQueue


class _Queued(Protocol):
    @property
    def entry_id(self) -> bytes: ...

    @property
    def partition(self) -> bytes: ...


T = TypeVar("T", bound=_Queued)


class BackgroundQueue(Generic[T]):
    """A queue, fair between partitions, and the task that works on what waits in it, ``batch`` items at a time."""

    def __init__(self, name: str, *, places: int, batch: int, work: Callable[[Sequence[T]], Awaitable[object]]) -> None:
        self.worker: asyncio.Task[None] | None = None
        """None while nothing waits."""
        self._name, self._batch, self._work = name, batch, work
        self._queue: FairQueue[bytes, T] = FairQueue(places)

    def put(self, item: T, *, places: int = 1) -> list[T]:
        """Queue ``item``; return what lost its place."""
        lost = self._queue.put(item.partition, item.entry_id, item, places=places)
        if self.worker is None and self._queue.lines:
            self.worker = asyncio.create_task(self._run(), name=self._name)
        return lost

    def discard(self, item: T) -> None:
        """Remove ``item``, if it still waits."""
        if self._queue.get(item.partition, item.entry_id) is item:
            self._queue.discard(item.partition, item.entry_id)

    async def _run(self) -> None:
        queue = self._queue
        try:
            while queue.lines:
                await self._work([queue.take() for _ in range(self._batch) if queue.lines])
        finally:
            self.worker = None
