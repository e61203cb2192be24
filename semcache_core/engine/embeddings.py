"""The way to an embedding: a small cache, no text embedded twice at once, batches without a timer."""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from semcache_core.engine.breakers import Guard
from semcache_core.errors import DimensionMismatch, EmbedderUnavailable
from semcache_core.protocols import Embedder
from semcache_core.types import Vector

_LARGEST_BATCH = 64

_Asked = tuple[bytes, str]
_Waiting = dict[_Asked, asyncio.Future[Vector] | None]
"""Texts, and the future that their waiters share; None where only the caller that embeds wants the text."""


class Embeddings:
    """Embeds texts through one embedder.

    An idle embedder starts at once; what arrives meanwhile forms the next batch. Where the embedder is not
    batch-invariant a batch is one text. The cache is keyed by partition: whether another partition's text was
    embedded before must not show in how long this caller waits.
    """

    def __init__(self, embedder: Embedder, dependency: Guard, *, capacity: int) -> None:
        self._embedder = embedder
        self._dependency = dependency
        self._capacity = capacity
        self._dimensions = embedder.dimensions
        self._largest_batch = _LARGEST_BATCH if embedder.batch_invariant else 1
        self._cached: OrderedDict[_Asked, Vector] = OrderedDict()
        self._asked: _Waiting = {}
        self._embedding: _Waiting = {}
        self._worker: asyncio.Task[None] | None = None

    async def of(self, partition: bytes, text: str) -> Vector:
        """Return the unit vector of ``text``: float32, shape (dimensions,).

        Raises TextTooLong, TextUnreadable, DependencyError.
        """
        asked = (partition, text)
        vector = self._cached.get(asked)
        if vector is not None:
            self._cached.move_to_end(asked)
            return vector
        if not self._embedding and not self._asked:
            return await self._embed_at_once(asked)
        waiting = self._embedding if asked in self._embedding else self._asked
        future = waiting.get(asked)
        if future is None:
            future = waiting[asked] = asyncio.get_running_loop().create_future()
        # Shielded: another caller may wait for the same text.
        return await asyncio.shield(future)

    async def close(self) -> None:
        """Stop embedding; callers that still wait get EmbedderUnavailable."""
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.wait((self._worker,))
        for future in (*self._embedding.values(), *self._asked.values()):
            _settle(future, EmbedderUnavailable("the cache was closed"))
        self._asked.clear()

    async def _embed_at_once(self, asked: _Asked) -> Vector:
        """Embed in the caller's own task: a task and a future between would cost several turns of the loop."""
        batch = self._embedding = {asked: None}
        try:
            vectors = await self._embed(batch)
        except asyncio.CancelledError:
            # This caller left; the others that wait for the text still want it.
            if batch[asked] is not None:
                self._asked[asked] = batch[asked]
            raise
        except Exception as error:
            _settle(batch[asked], error)
            raise
        finally:
            self._embedding = {}
            if self._asked:
                self._worker = asyncio.create_task(self._work(), name="semcache-embed")
        vector: Vector = vectors[0]
        return vector

    async def _work(self) -> None:
        try:
            while self._asked:
                first = list(self._asked)[: self._largest_batch]
                self._embedding = {asked: self._asked.pop(asked) for asked in first}
                await self._embed_each(self._embedding)
        finally:
            self._worker = None
            for future in self._embedding.values():
                _settle(future, EmbedderUnavailable("the cache was closed"))
            self._embedding = {}

    async def _embed_each(self, batch: _Waiting) -> None:
        try:
            await self._embed(batch)
        except Exception as error:  # noqa: BLE001  handed to every caller that waits for this batch
            for asked, future in batch.items():
                if len(batch) > 1:
                    # One bad text must not take its batch mates down.
                    await self._embed_each({asked: future})
                else:
                    _settle(future, error)

    async def _embed(self, batch: _Waiting) -> Vector:
        vectors = await self._dependency.call(self._checked([text for _, text in batch]))
        for (asked, future), vector in zip(batch.items(), vectors, strict=True):
            self._remember(asked, vector)
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
        # One sum is finite exactly if every component of what should be unit vectors is.
        if not math.isfinite(np.add.reduce(vectors, axis=None)):
            raise EmbedderUnavailable("the embedder returned a vector that is not finite")
        return vectors

    def _remember(self, asked: _Asked, vector: Vector) -> None:
        if self._capacity:
            self._cached[asked] = vector
            if len(self._cached) > self._capacity:
                self._cached.popitem(last=False)


def _settle(future: asyncio.Future[Vector] | None, error: BaseException) -> None:
    if future is not None and not future.done():
        future.set_exception(error)
        future.exception()  # Marks it as read: without a waiter asyncio would log it.
