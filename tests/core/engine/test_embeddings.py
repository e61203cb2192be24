"""The way to an embedding: who starts it, who joins in, and what becomes of those who wait when somebody leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semcache_core.engine.breakers import Guard
from semcache_core.engine.embeddings import EmbedderBusy, Embeddings
from semcache_core.errors import EmbedderUnavailable, TextTooLong
from semcache_core.runtime.outcome import outcome_of
from semcache_core.settings import LimitOptions
from semcache_core.testing import CountingEmbedder
from semcache_core.types import Vector


def embeddings(embedder: CountingEmbedder, limits: LimitOptions = LimitOptions()) -> Embeddings:  # noqa: B008  frozen
    dependency = Guard("embed", deadline=2.0, open_for=10.0, clock=lambda: 0.0, on_fault=lambda *_: None)
    return Embeddings(embedder, dependency, limits=limits, on_fault=lambda *_: None)


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


def test_whoever_waits_for_the_text_of_an_interrupted_caller_still_gets_it() -> None:
    class Interrupted(CountingEmbedder):
        async def embed(self, texts: Sequence[str]) -> Vector:
            vectors = await super().embed(texts)
            if self.calls == 1:
                raise KeyboardInterrupt
            return vectors

    async def body() -> None:
        async with Interrupted(delay=0.01) as embedder:
            asked = embeddings(embedder)
            interrupted = await begun(outcome_of(asked.of(b"p", "one text")))
            staying = await begun(asked.of(b"p", "one text"))
            async with asyncio.timeout(5):
                assert (await staying).shape == (embedder.dimensions,)
            with pytest.raises(KeyboardInterrupt):
                (await interrupted).unwrap()

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


def test_a_text_in_the_background_is_taken_for_a_request_that_wants_it_too() -> None:
    async def body() -> None:
        async with CountingEmbedder(delay=0.01) as embedder:
            embedder.batch_invariant = False
            asked = embeddings(embedder)
            first = await begun(asked.of(b"p", "first text"))
            behind = [await begun(asked.of(b"p", f"text {number}", background=True)) for number in range(5)]
            wanted = await begun(asked.of(b"p", "text 4"))
            await wanted
            assert embedder.texts.index("text 4") <= 2
            await asyncio.gather(first, *behind)
            assert len(embedder.texts) == 6

    asyncio.run(body())


def test_a_text_that_all_have_left_is_not_embedded_and_one_that_somebody_waits_for_is() -> None:
    async def body() -> None:
        async with CountingEmbedder(delay=0.01) as embedder:
            embedder.batch_invariant = False
            asked = embeddings(embedder)
            first = await begun(asked.of(b"p", "first text"))
            left = [await begun(asked.of(b"p", "left text")) for _ in range(2)]
            kept = [await begun(asked.of(b"p", "kept text")) for _ in range(2)]
            for task in (*left, kept[0]):
                task.cancel()
            await asyncio.gather(first, kept[1])
            await asyncio.sleep(0.03)
            assert embedder.texts == ["first text", "kept text"]

    asyncio.run(body())


CALLS = st.lists(
    st.tuples(st.sampled_from([b"p", b"q"]), st.integers(0, 6), st.booleans(), st.sampled_from(["", "leave", "turn"])),
    max_size=30,
)


@settings(max_examples=60, deadline=None, database=None)
@given(CALLS, st.booleans(), st.integers(1, 8))
def test_whoever_stays_gets_a_vector_or_hears_that_the_queue_is_full(
    calls: list[tuple[bytes, int, bool, str]], together: bool, places: int
) -> None:
    class Waiting(CountingEmbedder):
        batch_invariant = together

        async def embed(self, texts: Sequence[str]) -> Vector:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            if any(text.startswith("bad") for text in texts):
                raise TextTooLong("bad")
            return await super().embed(texts)

    async def body() -> None:
        async with Waiting() as embedder:
            asked = embeddings(embedder, LimitOptions(embed_queue=places))
            tasks = []
            for partition, number, background, then in calls:
                text = f"bad {number}" if number > 4 else f"text {number}"
                tasks.append((text, await begun(asked.of(partition, text, background=background))))
                if then == "turn":
                    await asyncio.sleep(0)
                elif then == "leave":
                    tasks.pop()[1].cancel()
            for text, task in tasks:
                try:
                    vector = await asyncio.wait_for(task, 5)
                except EmbedderBusy:
                    assert len(calls) > places
                except TextTooLong:
                    assert text.startswith("bad")
                else:
                    assert np.array_equal(vector, embedder._vector(text))
            await asyncio.sleep(0.001)
            assert not asked._queue.lines
            assert not asked._embedding
            assert asked._worker is None

    asyncio.run(body())
