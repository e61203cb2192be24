"""Writes off the caller's path: a bounded queue whose entries are already visible in their own process.

An answer that needs no vector and goes to a store that writes without waiting is not queued.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from semcache_core.engine.components import Guards, OpenComponents
from semcache_core.engine.embeddings import Embeddings
from semcache_core.engine.freshness import keep_until
from semcache_core.errors import DependencyError
from semcache_core.settings import LimitOptions
from semcache_core.types import Entity, Point, Record, Vector

_BATCH = 64


class Job(Entity):
    """One answer to be written."""

    entry_id: bytes
    partition: bytes
    store_scope: bytes
    text: str
    record: Record
    data: bytes
    stale_window: float
    """Seconds after its expiry for which the entry may still be served."""
    tags: Sequence[bytes]
    semantic: bool
    vector: Vector | None = None

    @property
    def keep_until(self) -> float | None:
        """When a store may drop the entry."""
        return keep_until(self.record.expires_at, stale_window=self.stale_window)


class Writes:
    """Writes answers: the response first, then its vector, so that a vector never points at nothing for long.

    Queued writes already answer lookups (``queued``, ``queued_in``). Beyond the bounds, new writes are dropped and
    counted: a slow store costs hits, never memory or a request.
    """

    def __init__(
        self,
        parts: OpenComponents,
        guards: Guards,
        embeddings: Embeddings | None,
        *,
        limits: LimitOptions,
        on_fault: Callable[[str, BaseException], None],
    ) -> None:
        self._parts, self._guards, self._embeddings = parts, guards, embeddings
        self._on_fault = on_fault
        self._set_nowait = None if parts.set_nowait is None else parts.set_nowait.set_nowait
        self._most, self._most_bytes = limits.write_queue, limits.write_queue_bytes
        self._waiting: dict[bytes, Job] = {}
        self.queued: Callable[[bytes], Job | None] = self._waiting.get
        """Return the queued write of this entry, if any."""
        self._by_scope: dict[bytes, dict[bytes, Job]] = {}
        self.has_queued_in: Callable[[bytes], bool] = self._by_scope.__contains__
        """Say whether the queue has a write whose text may be compared within this scope."""
        self._bytes = 0
        self._worker: asyncio.Task[None] | None = None
        self._under_way: dict[bytes, asyncio.Future[None]] = {}

    # -- the queue, as lookups see it -----------------------------------------------------------------------------

    def queued_in(self, store_scope: bytes) -> Sequence[Job]:
        """Return the queued writes whose texts may be compared within this scope."""
        jobs = self._by_scope.get(store_scope)
        return () if jobs is None else tuple(jobs.values())

    # -- writing --------------------------------------------------------------------------------------------------

    def queue(self, job: Job) -> None:
        """Write ``job`` in the background, or at once if the store need not be awaited."""
        entry_id = job.entry_id
        if (
            self._set_nowait is not None
            and not job.semantic
            and not (entry_id in self._waiting or entry_id in self._under_way)
        ):
            try:
                self._set_nowait(entry_id, job.data, keep_until=job.keep_until, tags=job.tags)
            except Exception as error:  # noqa: BLE001  the edge to plugin code: a failed write costs a hit
                self._on_fault("write_responses", error)
            return
        if len(self._waiting) >= self._most or self._bytes + len(job.data) > self._most_bytes:
            self._on_fault("write-queue", asyncio.QueueFull())
            return
        self._enter(job)
        if self._worker is None:
            self._worker = asyncio.create_task(self._work(), name="semcache-writes")

    def _enter(self, job: Job) -> None:
        self.forget(job.entry_id)
        self._waiting[job.entry_id] = job
        self._bytes += len(job.data)
        if job.semantic:
            self._by_scope.setdefault(job.store_scope, {})[job.entry_id] = job

    def forget(self, entry_id: bytes) -> None:
        """Drop a queued write: it was written, replaced or invalidated."""
        job = self._waiting.pop(entry_id, None)
        if job is None:
            return
        self._bytes -= len(job.data)
        scope = job.store_scope
        jobs = self._by_scope.get(scope)
        if jobs is not None and jobs.pop(entry_id, None) is not None and not jobs:
            del self._by_scope[scope]

    async def write_now(self, job: Job) -> bool:
        """Write ``job`` on the caller's path; return False if any part of it could not be written."""
        # It replaces the queued write: only dropping that one would expose an older answer meanwhile.
        self._enter(job)
        try:
            await self.landed((job.entry_id,))
            return await self._write((job,))
        finally:
            if self._still_waits(job):
                self.forget(job.entry_id)

    async def landed(self, ids: Sequence[bytes]) -> None:
        """Wait until no write of these entries is under way, so that the next operation takes effect last."""
        while under_way := {self._under_way[id] for id in ids if id in self._under_way}:
            await asyncio.wait(under_way)

    async def _write(self, jobs: Sequence[Job]) -> bool:
        landing = asyncio.get_running_loop().create_future()
        ids = [job.entry_id for job in jobs]
        self._under_way.update(dict.fromkeys(ids, landing))
        try:
            written = (
                await asyncio.gather(*(self._write_response(job) for job in jobs))
                if len(jobs) > 1
                else [await self._write_response(job) for job in jobs]
            )
            semantic = [job for job, ok in zip(jobs, written, strict=True) if ok and job.semantic]
            return await self._index(semantic) and all(written)
        finally:
            for id in ids:
                del self._under_way[id]
            landing.set_result(None)

    async def drain(self, seconds: float) -> None:
        """Wait up to ``seconds`` for the queue to empty; the rest is lost."""
        worker = self._worker
        if worker is None:
            return
        done, _ = await asyncio.wait((worker,), timeout=seconds)
        if not done:
            self._on_fault("write-drain", TimeoutError())
            worker.cancel()
            await asyncio.wait((worker,))

    async def _work(self) -> None:
        try:
            while self._waiting:
                batch = [job for _, job in zip(range(_BATCH), self._waiting.values(), strict=False)]
                await self.landed([job.entry_id for job in batch])
                # Some may have been replaced or invalidated meanwhile.
                jobs = [job for job in batch if self._still_waits(job)]
                await self._write(jobs)
                for job in jobs:
                    if self._still_waits(job):
                        self.forget(job.entry_id)
        finally:
            self._worker = None

    def _still_waits(self, job: Job) -> bool:
        return self._waiting.get(job.entry_id) is job

    async def _write_response(self, job: Job) -> bool:
        try:
            await self._guards.write_responses.call(
                self._parts.responses.set(job.entry_id, job.data, keep_until=job.keep_until, tags=job.tags)
            )
        except DependencyError:
            return False
        return True

    async def _index(self, jobs: Sequence[Job]) -> bool:
        points = [point for job in jobs if (point := await self._point(job)) is not None]
        if not points:
            return not jobs
        try:
            await self._guards.write_vectors.call(self._parts.vectors.upsert(points))
        except DependencyError:
            return False
        return len(points) == len(jobs)

    async def _point(self, job: Job) -> Point | None:
        vector = await self.vector_of(job)
        if vector is None:
            return None
        return Point(id=job.entry_id, scope=job.store_scope, vector=vector, keep_until=job.keep_until)

    async def vector_of(self, job: Job) -> Vector | None:
        """Return the vector of the job's text, embedding it if needed; None if that fails."""
        if job.vector is None and self._embeddings is not None:
            try:
                job.vector = await self._embeddings.of(job.partition, job.text)
            except DependencyError:
                return None
        return job.vector

    def forget_invalidated(self, tags: frozenset[bytes], at: float) -> None:
        """Drop every queued write with one of ``tags`` that was born at or before ``at``."""
        for entry_id, job in tuple(self._waiting.items()):
            if job.record.born_at <= at and not tags.isdisjoint(job.tags):
                self.forget(entry_id)
