"""The way to an embedding: who starts it, who joins in, and what becomes of those who wait when somebody leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import numpy as np
import pytest

from semcache_core.engine.breakers import Guard
from semcache_core.engine.embeddings import Embeddings
from semcache_core.errors import EmbedderUnavailable
from semcache_core.settings import LimitOptions
from semcache_core.testing import CountingEmbedder


def embeddings(embedder: CountingEmbedder) -> Embeddings:
    dependency = Guard("embed", deadline=2.0, open_for=10.0, clock=lambda: 0.0, on_fault=lambda *_: None)
    return Embeddings(embedder, dependency, limits=LimitOptions(), on_fault=lambda *_: None)


async def begun(coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    task = asyncio.create_task(coroutine)
    await asyncio.sleep(0)
    return task


def test_an_idle_embedder_starts_at_once_and_what_arrives_meanwhile_is_the_next_batch() -> None:
    async def body() -> None:
        async with CountingEmbedder(delay=0.01) as embedder:
            asked = embeddings(embedder)
            tasks = [await begun(asked.of(b"p", text)) for text in ("first text", "second text", "third text")]
            await asyncio.gather(*tasks)
            assert embedder.calls == 2
            assert embedder.texts == ["first text", "second text", "third text"]

    asyncio.run(body())


def test_a_text_that_is_being_embedded_is_not_embedded_again() -> None:
    async def body() -> None:
        async with CountingEmbedder(delay=0.01) as embedder:
            asked = embeddings(embedder)
            vectors = await asyncio.gather(*(asked.of(b"p", "one text") for _ in range(5)), asked.of(b"q", "one text"))
            assert all(np.array_equal(vector, vectors[0]) for vector in vectors)
            assert embedder.texts == ["one text", "one text"], "once a partition"

    asyncio.run(body())


def test_whoever_waits_for_the_text_of_one_who_leaves_still_gets_it() -> None:
    async def body() -> None:
        async with CountingEmbedder(delay=0.01) as embedder:
            asked = embeddings(embedder)
            leaving = await begun(asked.of(b"p", "one text"))
            staying = await begun(asked.of(b"p", "one text"))
            another = await begun(asked.of(b"p", "another text"))
            leaving.cancel()
            assert (await staying).shape == (await another).shape
            assert leaving.cancelled()

    asyncio.run(body())


def test_a_failure_reaches_everybody_who_waits_for_that_text() -> None:
    async def body() -> None:
        async with CountingEmbedder(delay=0.01) as embedder:
            asked = embeddings(embedder)
            tasks = [await begun(asked.of(b"p", "one text")) for _ in range(3)]
            embedder.fail = EmbedderUnavailable("x")
            await asyncio.sleep(0.02)
            embedder.fail = None
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            assert [type(outcome) for outcome in outcomes] == [EmbedderUnavailable] * 3
            assert (await asked.of(b"p", "one text")).shape == (embedder.dimensions,)

    asyncio.run(body())


def test_closing_leaves_nobody_waiting_for_a_turn() -> None:
    async def body() -> None:
        async with CountingEmbedder(delay=0.01) as embedder:
            asked = embeddings(embedder)
            first, second, third = [
                await begun(asked.of(b"p", text)) for text in ("one text", "another text", "one text")
            ]
            await asked.close()
            for waiting in (second, third):
                with pytest.raises(EmbedderUnavailable):
                    await waiting
            await first

    asyncio.run(body())
