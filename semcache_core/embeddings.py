"""The way to an embedding: a small cache, no text embedded twice at once, batches without a timer."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from .deadlines import Dependency
from .errors import DimensionMismatch, EmbedderUnavailable
from .protocols import Embedder
from .types import Vector

_LARGEST_BATCH = 64

_Asked = tuple[bytes, str]


class Embeddings:
    """Embeds texts through one embedder.

    An idle embedder starts at once; what arrives meanwhile forms the next batch. Where the embedder is not
    batch-invariant a batch is one text. The cache is keyed by partition: whether somebody else's text was embedded
    before must not show in how long this caller waits.
    """

    def __init__(self, embedder: Embedder, dependency: Dependency, *, capacity: int) -> None:
        self._embedder = embedder
        self._dependency = dependency
        self._capacity = capacity
        self._largest_batch = _LARGEST_BATCH if embedder.batch_invariant else 1
        self._cached: OrderedDict[_Asked, Vector] = OrderedDict()
        self._asked: OrderedDict[_Asked, asyncio.Future[Vector]] = OrderedDict()
        self._embedding: dict[_Asked, asyncio.Future[Vector]] = {}
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
        future = self._embedding.get(asked) or self._asked.get(asked)
        if future is None:
            future = self._asked[asked] = asyncio.get_running_loop().create_future()
            if self._worker is None:
                self._worker = asyncio.create_task(self._work(), name="semcache-embed")
        # Shielded: somebody else may wait for the same text.
        return await asyncio.shield(future)

    async def close(self) -> None:
        """Stop embedding; whoever still waits gets EmbedderUnavailable."""
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.wait((self._worker,))

    async def _work(self) -> None:
        try:
            while self._asked:
                while self._asked and len(self._embedding) < self._largest_batch:
                    asked, future = self._asked.popitem(last=False)
                    self._embedding[asked] = future
                await self._embed(self._embedding)
                self._embedding.clear()
        finally:
            self._worker = None
            for future in (*self._embedding.values(), *self._asked.values()):
                _settle(future, EmbedderUnavailable("the cache was closed"))
            self._embedding.clear()
            self._asked.clear()

    async def _embed(self, batch: dict[_Asked, asyncio.Future[Vector]]) -> None:
        texts = [text for _, text in batch]
        try:
            vectors = await self._dependency.call(self._checked(texts))
        except Exception as error:  # noqa: BLE001  handed to everybody who waits for this batch
            if len(batch) > 1:
                # One bad text must not take its batch mates down.
                for asked, future in batch.items():
                    await self._embed({asked: future})
                return
            for future in batch.values():
                _settle(future, error)
            return
        for (asked, future), vector in zip(batch.items(), vectors, strict=True):
            self._remember(asked, vector)
            if not future.done():
                future.set_result(vector)

    async def _checked(self, texts: Sequence[str]) -> Vector:
        vectors = np.asarray(await self._embedder.embed(texts), dtype=np.float32)
        if vectors.shape != (len(texts), self._embedder.dimensions):
            raise DimensionMismatch(
                f"{type(self._embedder).__name__} returned shape {vectors.shape} for {len(texts)} texts of "
                f"{self._embedder.dimensions} dimensions"
            )
        if not np.isfinite(vectors).all():
            raise EmbedderUnavailable("the embedder returned a vector that is not finite")
        return vectors

    def _remember(self, asked: _Asked, vector: Vector) -> None:
        if self._capacity:
            self._cached[asked] = vector
            if len(self._cached) > self._capacity:
                self._cached.popitem(last=False)


def _settle(future: asyncio.Future[Vector], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
        future.exception()  # Read here, so that nobody is told of an exception that nobody waits for.
