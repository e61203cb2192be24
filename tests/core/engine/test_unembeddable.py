"""A prompt that can never be embedded is stored as digests: no other text can be compared with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from semcache_core.builtin.memory import MemoryResponseStore
from semcache_core.engine import record_codec
from semcache_core.testing import CountingEmbedder

Rigs = Callable[..., AbstractAsyncContextManager[Any]]
CONFIG = {"semcache": {"max_words": 5_000}, "verifiers": {"use": []}}


async def texts(store: MemoryResponseStore) -> list[str]:
    """Return the texts of all entries."""
    return [record_codec.decode(stored.data).text for _, stored in await store.scan()]


@pytest.mark.parametrize(
    "prompt",
    ["two " + "words" * 1_000_000, "what is \x00 in C", "e\u0301" * 500_000, "what is " + "a" + "\u0301" * 300_000],
    ids=["long words", "NUL", "marks", "one letter with marks"],
)
def test_a_prompt_that_no_text_may_be_compared_with_is_not_stored(prompt: str, rig: Rigs) -> None:
    async def main() -> None:
        store = MemoryResponseStore(MemoryResponseStore.Options())
        async with rig(CONFIG, response_store=store) as opened:
            await opened.cache.store(prompt, "an answer")
            assert (await opened.cache.lookup(prompt)).hit
            assert await texts(store) == [""]
            assert opened.embedder.texts == []

    asyncio.run(main())


def test_a_prompt_that_the_embedder_refused_is_not_stored_and_not_tried_again(rig: Rigs) -> None:
    async def main() -> None:
        store = MemoryResponseStore(MemoryResponseStore.Options())
        async with rig(CONFIG, response_store=store, embedder=CountingEmbedder(max_tokens=100)) as opened:
            await opened.cache.store("a short question", "an answer")
            prompt = "word " * 1_000
            for _ in range(2):
                assert (await opened.cache.lookup(prompt)).reason == "long-text"
            await opened.cache.store(prompt, "another answer")
            assert (await opened.cache.lookup(prompt)).hit
            assert sorted(await texts(store)) == ["", "a short question"]
            assert len(opened.embedder.texts) == 2

    asyncio.run(main())


def test_what_the_embedder_could_not_do_at_the_time_is_tried_again(rig: Rigs) -> None:
    async def main() -> None:
        embedder = CountingEmbedder()
        async with rig(CONFIG, embedder=embedder) as opened:
            await opened.cache.store("a short question", "an answer")
            embedder.fail = RuntimeError("out of memory")
            assert (await opened.cache.lookup("a short question, please")).reason == "embedder-unavailable"
            embedder.fail = None
            assert (await opened.cache.lookup("another question, then")).reason == "below-threshold"

    asyncio.run(main())
