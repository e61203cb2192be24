"""A call that asks the cache, directly or further down, what it was called to answer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from semcache_core import SemanticCache

CONFIG: dict[str, Any] = {
    "semcache": {"match": "exact"},
    "vector_store": {"use": "memory"},
    "response_store": {"use": "memory"},
    "verifiers": {"use": []},
    "limits": {"waiter_patience": 30},
}
ASKED = "what is asked within its own call"


def test_an_async_call_that_asks_its_own_question_goes_on_at_once() -> None:
    async def inner() -> str:
        return "inner"

    async def main() -> None:
        async with SemanticCache(CONFIG) as cache:

            async def outer() -> str:
                return await cache.get_or_call(ASKED, inner) + ", outer"

            async with asyncio.timeout(5):
                assert await cache.get_or_call(ASKED, outer) == "inner, outer"

    asyncio.run(main())


def test_a_plain_call_that_asks_its_own_question_goes_on_at_once() -> None:
    cache = SemanticCache(CONFIG)

    async def main() -> None:
        def outer() -> str:
            return cache.sync.get_or_call(ASKED, lambda: "inner") + ", outer"

        async with asyncio.timeout(5):
            assert await asyncio.to_thread(cache.sync.get_or_call, ASKED, outer) == "inner, outer"

    try:
        asyncio.run(main())
    finally:
        cache.sync.close()


@pytest.mark.parametrize("times", [2, 5])
def test_calls_side_by_side_still_share_one(times: int) -> None:
    calls = 0

    async def main() -> None:
        async with SemanticCache(CONFIG) as cache:

            async def call() -> str:
                nonlocal calls
                calls += 1
                await asyncio.sleep(0.05)
                return "answer"

            asked = [cache.get_or_call(ASKED, call) for _ in range(times)]
            assert await asyncio.gather(*asked) == ["answer"] * times

    asyncio.run(main())
    assert calls == 1
