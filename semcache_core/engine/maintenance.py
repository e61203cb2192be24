"""Work off the caller's path: background tasks, deletes, repairs and the periodic sweep."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from semcache_core.engine import record_codec
from semcache_core.engine.components import Guards, OpenComponents
from semcache_core.engine.decide import is_dead
from semcache_core.engine.observe import Observatory
from semcache_core.engine.writes import Writes
from semcache_core.errors import DependencyError
from semcache_core.reasons import Code

_SWEEP_EVERY = 60.0
_NOTICES_EVERY = 2.0


class Maintenance:
    """Owns the background tasks of a cache."""

    def __init__(self, parts: OpenComponents, guards: Guards, writes: Writes, observatory: Observatory) -> None:
        self._parts, self._guards, self._writes, self._observatory = parts, guards, writes, observatory
        self._tasks: set[asyncio.Future[Any]] = set()
        self._closed = False
        self._deleting: set[bytes] = set()
        """Entries that a search found unusable, until they are deleted: other searches find them too."""

    def spawn(self, work: Coroutine[Any, Any, object]) -> None:
        """Run ``work`` in the background until the cache closes; an exception counts as a fault."""
        if self._closed:
            work.close()
            return
        self.adopt(self.task_of(work))

    def task_of(self, work: Coroutine[Any, Any, object]) -> asyncio.Task[None]:
        """Return a task of the running loop that runs ``work``; an exception counts as a fault."""
        task = asyncio.create_task(self._guarded(work))
        task.add_done_callback(lambda _: work.close())  # For a task that is cancelled before it begins.
        return task

    def adopt(self, task: asyncio.Future[Any]) -> None:
        """Keep a reference to a task that outlives the request that started it."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """End every background task and start no more."""
        self._closed = True
        # Tasks of a loop that has ended, ended with it.
        tasks = [task for task in self._tasks if task.get_loop() is asyncio.get_running_loop()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def forget(self, entry_id: bytes) -> None:
        """Delete one entry: the vector first, then the response. Raises DependencyError if the response may be there.

        A vector that cannot be deleted does no harm: without its response it is a miss, and the search that finds it
        prunes it.
        """
        self._writes.forget(entry_id)
        await self._writes.landed((entry_id,))
        with contextlib.suppress(DependencyError):  # Reported where it was raised.
            await self._forget_vectors((entry_id,))
        # A delete is a write: a store that cannot be written to can still be read.
        await self._guards.write_responses.call(self._parts.responses.delete((entry_id,)))

    def prune(self, ids: Sequence[bytes]) -> None:
        """Delete vectors without a response: the entry was evicted, or its writer died between the two writes."""
        self._delete(ids, self._forget_vectors)

    def bury(self, ids: Sequence[bytes], *, now: float) -> None:
        """Delete invalidated entries that a search found: until they expire they would displace valid candidates."""
        self._delete(ids, partial(self._bury, now=now))

    def unreadable(self, entry_id: bytes, error: record_codec.NewerVersion | record_codec.Undecodable) -> Code:
        """Handle an entry that does not decode and return the reason code of the miss."""
        if isinstance(error, record_codec.NewerVersion):
            return "newer-version"
        self._observatory.fault("decode", error)
        self.spawn(self.forget(entry_id))
        return "undecodable"

    def fault(self, stage: str, error: BaseException) -> None:
        """Count and report a failure behind the cache."""
        self._observatory.fault(stage, error)

    async def pass_notices(self) -> None:
        """Pass on what the stores tell the operator, within seconds, until cancelled."""
        while True:
            await asyncio.sleep(_NOTICES_EVERY)
            for teller in self._parts.tellers:
                try:
                    self._observatory.told_by(teller)
                except Exception as error:  # noqa: BLE001  the edge to plugin code: tried again
                    self._observatory.fault("notices", error)

    async def sweep(self, *, clock: Callable[[], float]) -> None:
        """Delete expired entries, about once a minute, until cancelled."""
        while True:
            await asyncio.sleep(_SWEEP_EVERY)
            for store in self._parts.sweepers:
                try:
                    await store.sweep(now=clock())
                except Exception as error:  # noqa: BLE001  the edge to plugin code: retried in a minute
                    self._observatory.fault("sweep", error)

    def _delete(self, ids: Sequence[bytes], delete: Callable[[Sequence[bytes]], Coroutine[Any, Any, None]]) -> None:
        fresh = [id for id in ids if id not in self._deleting]
        if fresh and not self._closed:
            self._deleting.update(fresh)
            task = self.task_of(delete(fresh))
            task.add_done_callback(lambda _: self._deleting.difference_update(fresh))
            self.adopt(task)

    async def _bury(self, ids: Sequence[bytes], *, now: float) -> None:
        # Read again: an entry may have been refreshed meanwhile, and the new answer is valid.
        stored = await self._guards.responses.call(self._parts.responses.get(ids, now=now))
        for id, entry in zip(ids, stored, strict=True):
            if (
                entry is not None
                and self._writes.queued(id) is None
                and is_dead(record_codec.decode(entry.data), invalidated_at=entry.invalidated_at)
            ):
                await self.forget(id)

    async def _forget_vectors(self, ids: Sequence[bytes]) -> None:
        await self._guards.write_vectors.call(self._parts.vectors.delete(ids))

    async def _guarded(self, work: Coroutine[Any, Any, object]) -> None:
        try:
            await work
        except DependencyError:
            return  # Counted where it was raised.
        except (asyncio.CancelledError, GeneratorExit):
            raise
        except BaseException as error:  # noqa: BLE001  no caller awaits this task, and a signal would end the loop
            self._observatory.fault("background", error)
