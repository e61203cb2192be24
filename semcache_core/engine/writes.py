"""Writes off the caller's path: bounded queues whose entries are already visible in their own process.

A write takes up to three steps: its response is stored, its text is embedded if the look-up has not done that, its
vector is indexed. Each step has its own queue, fair between partitions, so no response waits for texts or vectors. A
store that writes without waiting has no queue for the first step.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from semcache_core.engine.background_queue import BackgroundQueue
from semcache_core.engine.components import Guards, OpenComponents
from semcache_core.engine.embeddings import Embeddings
from semcache_core.engine.jobs import Job, Unindexed
from semcache_core.errors import DependencyError
from semcache_core.settings import LimitOptions
from semcache_core.types import Point, Vector

_BATCH = 64


class Writes:
    """Writes answers: the response first, then its vector, so that a vector never points at nothing for long.

    Queued writes already answer lookups (``queued``, ``queued_in``). Beyond the bounds, writes of the partition that
    has most of them are dropped and counted: a slow store costs hits, never memory or a request.
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
        places = min(limits.write_queue, limits.write_queue_bytes)
        self._bytes_a_place = limits.write_queue_bytes // places
        together = 1 if embeddings is None else embeddings.largest_batch
        self._responses = BackgroundQueue("semcache-writes", places=places, batch=_BATCH, work=self._write_responses)
        self._texts = BackgroundQueue(
            "semcache-texts", places=min(places, limits.embed_queue), batch=together, work=self._embed
        )
        self._vectors = BackgroundQueue("semcache-vectors", places=places, batch=_BATCH, work=self._index)
        self._waiting: dict[bytes, Job] = {}
        self.queued: Callable[[bytes], Job | None] = self._waiting.get
        """Return the queued write of this entry, if its response is not stored yet."""
        self._unindexed: dict[bytes, Unindexed] = {}
        self._by_scope: dict[bytes, dict[bytes, Unindexed]] = {}
        self.has_queued_in: Callable[[bytes], bool] = self._by_scope.__contains__
        """Say whether a queued write's text may be compared within this scope."""
        self._under_way: dict[bytes, asyncio.Future[None]] = {}

    # -- the queue, as lookups see it -----------------------------------------------------------------------------

    def queued_in(self, store_scope: bytes) -> Sequence[Unindexed]:
        """Return the queued writes whose texts may be compared within this scope."""
        waiting = self._by_scope.get(store_scope)
        return () if waiting is None else tuple(waiting.values())

    # -- writing --------------------------------------------------------------------------------------------------

    def queue(self, job: Job) -> None:
        """Write ``job`` in the background, or at once if it needs no vector and the store need not be awaited."""
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
        self._enter(job)
        for lost in self._responses.put(job, places=1 + len(job.data) // self._bytes_a_place):
            self._lose(lost, "write-queue")

    def _enter(self, job: Job) -> None:
        """Make the write visible to lookups, in place of an earlier one."""
        self._waiting[job.entry_id] = job
        if job.entry_id in self._unindexed:
            self._forget_text(job.entry_id)
        if job.semantic:
            text = Unindexed(
                job.entry_id,
                job.partition,
                job.store_scope,
                job.text,
                job.record.born_at,
                job.record.expires_at,
                job.stale_window,
                job.tags,
                job.vector,
            )
            self._unindexed[job.entry_id] = text
            self._by_scope.setdefault(job.store_scope, {})[job.entry_id] = text

    def _index_later(self, text: Unindexed) -> None:
        queue = self._texts if text.vector is None else self._vectors
        for lost in queue.put(text, places=1 + len(text.text) // self._bytes_a_place):
            self._lose(lost, "vector-queue")

    def _lose(self, lost: Job | Unindexed, queue: str) -> None:
        self._on_fault(queue, asyncio.QueueFull())
        if lost is self._waiting.get(lost.entry_id) or lost is self._unindexed.get(lost.entry_id):
            self.forget(lost.entry_id)

    def forget(self, entry_id: bytes) -> None:
        """Drop a queued write: it was written, replaced or invalidated."""
        job = self._waiting.pop(entry_id, None)
        if job is not None:
            self._responses.discard(job)
        self._forget_text(entry_id)

    def _forget_text(self, entry_id: bytes) -> None:
        text = self._unindexed.pop(entry_id, None)
        if text is None:
            return
        self._texts.discard(text)
        self._vectors.discard(text)
        waiting = self._by_scope[text.store_scope]
        del waiting[entry_id]
        if not waiting:
            del self._by_scope[text.store_scope]

    def forget_invalidated(self, tags: frozenset[bytes], at: float) -> None:
        """Drop every queued write with one of ``tags`` that was born at or before ``at``."""
        for job in tuple(self._waiting.values()):
            if job.record.born_at <= at and not tags.isdisjoint(job.tags):
                self.forget(job.entry_id)
        for text in tuple(self._unindexed.values()):
            if text.born_at <= at and not tags.isdisjoint(text.tags):
                self.forget(text.entry_id)

    async def write_now(self, job: Job) -> bool:
        """Write ``job`` on the caller's path; return False if any part of it could not be written."""
        # It replaces the queued write: only dropping that one would expose an older answer meanwhile.
        queued = self._waiting.get(job.entry_id)
        if queued is not None:
            self._responses.discard(queued)
        self._enter(job)
        text = self._unindexed.get(job.entry_id)
        try:
            await self.landed((job.entry_id,))
            with self._landing((job,)):
                if not await self._write_response(job):
                    return False
            return text is None or await self._index_now(text)
        finally:
            if self._waiting.get(job.entry_id) is job:
                self.forget(job.entry_id)

    async def _index_now(self, text: Unindexed) -> bool:
        return await self.vector_of(text) is not None and await self._index((text,))

    async def landed(self, ids: Sequence[bytes]) -> None:
        """Wait until no write of these entries is under way, so that the next operation takes effect last."""
        while under_way := {self._under_way[id] for id in ids if id in self._under_way}:
            await asyncio.wait(under_way)

    @contextmanager
    def _landing(self, items: Sequence[Job | Unindexed]) -> Iterator[None]:
        """Mark these writes as under way."""
        landing = asyncio.get_running_loop().create_future()
        ids = [item.entry_id for item in items]
        self._under_way.update(dict.fromkeys(ids, landing))
        try:
            yield
        finally:
            for id in ids:
                del self._under_way[id]
            landing.set_result(None)

    async def drain(self, seconds: float) -> None:
        """Wait up to ``seconds`` for the queues to empty; the rest is lost."""
        try:
            async with asyncio.timeout(seconds):
                while workers := self._workers():
                    await asyncio.wait(workers)
        except TimeoutError as error:
            self._on_fault("write-drain", error)
            workers = self._workers()
            for worker in workers:
                worker.cancel()
            if workers:
                await asyncio.wait(workers)

    def _workers(self) -> list[asyncio.Task[None]]:
        queues = (self._responses, self._texts, self._vectors)
        return [queue.worker for queue in queues if queue.worker is not None]

    # -- the steps ------------------------------------------------------------------------------------------------

    async def _write_responses(self, batch: Sequence[Job]) -> None:
        await self.landed([job.entry_id for job in batch])
        # Some may have been replaced or invalidated meanwhile.
        jobs = [job for job in batch if self._waiting.get(job.entry_id) is job]
        with self._landing(jobs):
            written = (
                await asyncio.gather(*(self._write_response(job) for job in jobs))
                if len(jobs) > 1
                else [await self._write_response(job) for job in jobs]
            )
        for job, ok in zip(jobs, written, strict=True):
            if self._waiting.get(job.entry_id) is job:
                text = self._unindexed.get(job.entry_id)
                if text is None or not ok:
                    self.forget(job.entry_id)
                else:
                    del self._waiting[job.entry_id]
                    self._index_later(text)

    async def _write_response(self, job: Job) -> bool:
        try:
            await self._guards.write_responses.call(
                self._parts.responses.set(job.entry_id, job.data, keep_until=job.keep_until, tags=job.tags),
                sources=(job.partition,),
            )
        except DependencyError:
            return False
        return True

    async def _embed(self, batch: Sequence[Unindexed]) -> None:
        # Each goes on as soon as it has its vector: it may be another partition's text that takes long.
        await asyncio.gather(*(self._embed_one(text) for text in batch))

    async def _embed_one(self, text: Unindexed) -> None:
        vector = await self.vector_of(text, background=True)
        if self._unindexed.get(text.entry_id) is not text:
            return
        if vector is None:
            self._forget_text(text.entry_id)
        else:
            self._index_later(text)

    async def vector_of(self, text: Unindexed, *, background: bool = False) -> Vector | None:
        """Return the vector of a queued write's text, embedding it if needed; None if that fails.

        ``background``: no request waits for it.
        """
        if text.vector is None and self._embeddings is not None:
            try:
                text.vector = await self._embeddings.of(text.partition, text.text, background=background)
            except DependencyError:
                return None
        return text.vector

    async def _index(self, batch: Sequence[Unindexed]) -> bool:
        """Index texts that have their vectors; return False if that failed."""
        await self.landed([text.entry_id for text in batch])
        texts = [text for text in batch if self._unindexed.get(text.entry_id) is text]
        points = [
            Point(id=text.entry_id, scope=text.store_scope, vector=text.vector, keep_until=text.keep_until)
            for text in texts
            if text.vector is not None
        ]
        if not points:
            return not texts
        try:
            with self._landing(texts):
                await self._guards.write_vectors.call(self._parts.vectors.upsert(points))
        except DependencyError:
            return False
        finally:
            for text in texts:
                if self._unindexed.get(text.entry_id) is text:
                    self._forget_text(text.entry_id)
        return True
