"""What happens off every caller's path: background tasks, deleting, mending and sweeping."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from semcache_core.engine import record_codec
from semcache_core.engine.components import Guards, OpenComponents
from semcache_core.engine.decide import is_dead
from semcache_core.engine.observe import Observatory
from semcache_core.engine.writes import Writes
from semcache_core.errors import DependencyError
from semcache_core.reasons import Code

_SWEEP_EVERY = 60.0


class Maintenance:
    """Owns the background tasks of a cache."""

    def __init__(self, parts: OpenComponents, dependencies: Guards, writes: Writes, observatory: Observatory) -> None:
        self._parts, self._dependencies, self._writes, self._observatory = parts, dependencies, writes, observatory
        self._tasks: set[asyncio.Future[Any]] = set()
        self._closed = False

    def spawn(self, work: Coroutine[Any, Any, object]) -> None:
        """Run ``work`` in the background until the cache closes; what it raises is a fault."""
        if self._closed:
            work.close()
            return
        self.adopt(self.task_of(work))

    def task_of(self, work: Coroutine[Any, Any, object]) -> asyncio.Task[None]:
        """Return a task of the running loop that does ``work``; what it raises is a fault."""
        task = asyncio.create_task(self._guarded(work))
        task.add_done_callback(lambda _: work.close())  # For a task that is cancelled before it begins.
        return task

    def adopt(self, task: asyncio.Future[Any]) -> None:
        """Keep hold of a task that outlives the request it began in."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """End every background task, and begin no other one."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def forget(self, entry_id: bytes) -> None:
        """Delete one entry: the vector first, then the response. Raises DependencyError if the response may be there.

        A vector that cannot be deleted is no harm: without its response it is a miss, and pruned when it is met.
        """
        self._writes.forget(entry_id)
        await self._writes.landed((entry_id,))
        with contextlib.suppress(DependencyError):  # Told where it was raised.
            await self._forget_vectors((entry_id,))
        # Deleting is writing: a store that cannot be written to is read all the same.
        await self._dependencies.write_responses.call(self._parts.responses.delete((entry_id,)))

    def prune(self, ids: Sequence[bytes]) -> None:
        """Delete vectors without a response: an entry was evicted, or its writer died between the two."""
        self.spawn(self._forget_vectors(ids))

    def bury(self, ids: Sequence[bytes], *, now: float) -> None:
        """Delete entries that were met dead: otherwise they stay until they expire, and take the places
        of living ones among the nearest.
        """
        self.spawn(self._buried(ids, now=now))

    def unreadable(self, entry_id: bytes, error: record_codec.NewerVersion | record_codec.Undecodable) -> Code:
        """Take note of an entry that does not decode and return the reason code of the miss."""
        if isinstance(error, record_codec.NewerVersion):
            return "newer-version"
        self._observatory.fault("decode", error)
        self.spawn(self.forget(entry_id))
        return "undecodable"

    def fault(self, stage: str, error: BaseException) -> None:
        """Count and tell a failure behind the cache."""
        self._observatory.fault(stage, error)

    async def sweep(self, *, clock: Callable[[], float]) -> None:
        """Delete what has expired and tell what stores have to tell, about once a minute, until cancelled."""
        while True:
            await asyncio.sleep(_SWEEP_EVERY)
            for teller in self._parts.tellers:
                try:
                    self._observatory.told_by(teller)
                except Exception as error:  # noqa: BLE001  the edge to plugin code: it is asked again in a minute
                    self._observatory.fault("notices", error)
            for store in self._parts.sweepers:
                try:
                    await store.sweep(now=clock())
                except Exception as error:  # noqa: BLE001  the edge to plugin code: it is tried again in a minute
                    self._observatory.fault("sweep", error)

    async def _buried(self, ids: Sequence[bytes], *, now: float) -> None:
        # Read anew: one may have been asked for again meanwhile, and its new answer lives.
        stored = await self._dependencies.responses.call(self._parts.responses.get(ids, now=now))
        for id, entry in zip(ids, stored, strict=True):
            if (
                entry is not None
                and self._writes.queued(id) is None
                and is_dead(record_codec.decode(entry.data), invalidated_at=entry.invalidated_at)
            ):
                await self.forget(id)

    async def _forget_vectors(self, ids: Sequence[bytes]) -> None:
        await self._dependencies.write_vectors.call(self._parts.vectors.delete(ids))

    async def _guarded(self, work: Coroutine[Any, Any, object]) -> None:
        try:
            await work
        except DependencyError:
            return  # Counted where it was raised.
        except Exception as error:  # noqa: BLE001  the edge of the request: no caller waits for this task
            self._observatory.fault("background", error)
