"""Embeddings: a small cache, no text embedded twice at once, batches without a timer, a queue fair between callers."""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import Callable, Sequence

import numpy as np

from semcache_core.engine.breakers import Guard
from semcache_core.engine.fair import FairQueue, FairTable
from semcache_core.errors import DimensionMismatch, EmbedderUnavailable, TextTooLong, TextUnreadable
from semcache_core.protocols import Embedder
from semcache_core.settings import LimitOptions
from semcache_core.types import Entity, Vector

_LARGEST_BATCH = 64
_REFUSED_KEPT = 1024
"""Texts that the embedder cannot embed and that are not tried again."""
_BACKGROUND = b"background "
"""In front of a partition: the line of the texts that no request waits for. They delay no request of the partition,
and a flood of its requests does not hold them up either.
"""


class EmbedderBusy(EmbedderUnavailable):
    """Too many texts wait to be embedded, and this partition has most of them."""


class _Wanted(Entity):
    """One text, and those who wait for its vector."""

    partition: bytes
    text: str
    line: bytes
    """Its line in the queue: the partition, or that of the partition's background work."""
    future: asyncio.Future[Vector] | None = None
    """None if only the embedding caller needs it."""
    waiting: int = 0
    alone: bool = False
    """It was part of a batch that failed, and is embedded without the others now."""

    def settle(self, error: BaseException) -> None:
        """Raise ``error`` in every waiter."""
        future = self.future
        if future is not None and not future.done():
            future.set_exception(error)
            future.exception()  # Retrieved here, or asyncio logs an exception that no waiter retrieved.


class Embeddings:
    """Embeds texts through one embedder.

    An idle embedder starts at once; texts that arrive meanwhile form the next batch. If the embedder is not
    batch-invariant, a batch is one text. The queue is bounded, partitions take turns, and a text is dropped as soon as
    no caller waits for it. The cache is keyed by partition: a caller's waiting time must not reveal that another
    partition embedded the same text before.
    """

    def __init__(
        self,
        embedder: Embedder,
        dependency: Guard,
        *,
        limits: LimitOptions,
        on_fault: Callable[[str, BaseException], None],
    ) -> None:
        self._embedder = embedder
        self._dependency = dependency
        self._on_fault = on_fault
        self._dimensions = embedder.dimensions
        self.largest_batch = _LARGEST_BATCH if embedder.batch_invariant else 1
        """How many texts one call of the embedder takes."""
        self._cached: FairTable[str, Vector] = FairTable(limits.embedding_cache)
        self._refused: FairTable[bytes, type[EmbedderUnavailable]] = FairTable(_REFUSED_KEPT)
        self._queue: FairQueue[str, _Wanted] = FairQueue(limits.embed_queue)
        self._embedding: Sequence[_Wanted] = ()
        self._worker: asyncio.Task[None] | None = None

    async def of(self, partition: bytes, text: str, *, background: bool = False) -> Vector:
        """Return the unit vector of ``text``: float32, shape (dimensions,).

        ``background``: no request waits for it. Raises TextTooLong, TextUnreadable, DependencyError.
        """
        vector = self._cached.get(partition, text)
        if vector is not None:
            return vector
        refused = self._refused.get(partition, _digest(text))
        if refused is not None:
            raise refused("the embedder has refused this text before")
        try:
            return await self._embedded(partition, text, background=background)
        except (TextTooLong, TextUnreadable) as error:
            self._refused.put(partition, _digest(text), type(error))
            raise

    def refuses(self, partition: bytes, text: str) -> bool:
        """Say whether the embedder has refused this text: it can be compared with no other."""
        return self._refused.get(partition, _digest(text)) is not None

    async def _embedded(self, partition: bytes, text: str, *, background: bool) -> Vector:
        if not self._embedding and self._worker is None:
            return await self._embed_at_once(_Wanted(partition, text, partition))
        wanted = self._wanted(partition, text, background=background)
        if wanted.future is None:
            wanted.future = asyncio.get_running_loop().create_future()
        wanted.waiting += 1
        try:
            # Shielded: another caller may wait for the same text.
            return await asyncio.shield(wanted.future)
        except asyncio.CancelledError:
            if wanted.waiting == 1 and self._queue.get(wanted.line, text) is wanted:
                self._queue.discard(wanted.line, text)
            raise
        finally:
            wanted.waiting -= 1

    async def close(self) -> None:
        """Stop embedding; remaining waiters get EmbedderUnavailable."""
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.wait((self._worker,))
        for wanted in (*self._embedding, *self._queue.drain()):
            wanted.settle(EmbedderUnavailable("the cache was closed"))

    # -- the queue ------------------------------------------------------------------------------------------------

    def _wanted(self, partition: bytes, text: str, *, background: bool) -> _Wanted:
        """Return the text as one that is embedded or queued already, or queue it."""
        for wanted in self._embedding:
            if wanted.text == text and wanted.partition == partition:
                return wanted
        queue, behind = self._queue, _BACKGROUND + partition
        waits = queue.get(partition, text)
        if waits is None:
            waits = queue.get(behind, text)
            if waits is None:
                waits = _Wanted(partition, text, behind if background else partition)
            elif background:
                return waits
            else:
                queue.discard(behind, text)
                waits.line = partition
            self._enqueue(waits)
        return waits

    def _enqueue(self, wanted: _Wanted) -> None:
        if wanted.future is None:
            wanted.future = asyncio.get_running_loop().create_future()
        for lost in self._queue.put(wanted.line, wanted.text, wanted):
            error = EmbedderBusy("too many texts of this caller wait to be embedded")
            self._on_fault("embed-queue", error)
            lost.settle(error)

    def _next_batch(self) -> list[_Wanted]:
        queue = self._queue
        batch = [queue.take()]
        while queue.lines and len(batch) < self.largest_batch and not (batch[0].alone or queue.peek().alone):
            batch.append(queue.take())
        return batch

    # -- embedding ------------------------------------------------------------------------------------------------

    async def _embed_at_once(self, wanted: _Wanted) -> Vector:
        """Embed in the caller's own task: a separate task and future would cost several loop iterations."""
        self._embedding = (wanted,)
        try:
            vectors = await self._embed(self._embedding)
        except Exception as error:
            wanted.settle(error)
            raise
        except BaseException:
            # This caller left, or is ended; the text's other waiters still need it.
            if wanted.waiting:
                self._enqueue(wanted)
            raise
        finally:
            self._embedding = ()
            if self._queue.lines:
                self._worker = asyncio.create_task(self._work(), name="semcache-embed")
        vector: Vector = vectors[0]
        return vector

    async def _work(self) -> None:
        try:
            while self._queue.lines:
                self._embedding = self._next_batch()
                await self._embed_batch(self._embedding)
        finally:
            self._worker = None
            for wanted in self._embedding:
                wanted.settle(EmbedderUnavailable("the cache was closed"))
            self._embedding = ()

    async def _embed_batch(self, batch: Sequence[_Wanted]) -> None:
        try:
            await self._embed(batch)
        except Exception as error:  # noqa: BLE001  passed to every waiter of this text
            if len(batch) == 1:
                batch[0].settle(error)
                return
            # One bad text must not fail the rest of its batch, nor hold up those that wait behind it.
            for wanted in batch:
                wanted.alone = True
                if wanted.waiting:
                    self._enqueue(wanted)

    async def _embed(self, batch: Sequence[_Wanted]) -> Vector:
        partitions = {wanted.partition for wanted in batch}
        vectors = await self._dependency.call(self._checked([wanted.text for wanted in batch]), sources=partitions)
        for wanted, vector in zip(batch, vectors, strict=True):
            self._cached.put(wanted.partition, wanted.text, vector)
            future = wanted.future
            if future is not None and not future.done():
                future.set_result(vector)
        return vectors

    async def _checked(self, texts: Sequence[str]) -> Vector:
        vectors = np.asarray(await self._embedder.embed(texts), dtype=np.float32)
        if vectors.shape != (len(texts), self._dimensions):
            raise DimensionMismatch(
                f"{type(self._embedder).__name__} returned shape {vectors.shape} for {len(texts)} texts of "
                f"{self._dimensions} dimensions"
            )
        # For unit vectors the sum is finite exactly if every component is.
        if not math.isfinite(np.add.reduce(vectors, axis=None)):
            raise EmbedderUnavailable("the embedder returned a vector that is not finite")
        return vectors


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
