"""How near the nearest entry was is known on hits and misses alike, and nothing below the threshold is served."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from semcache_core.engine.semantic import Considered
from semcache_core.types import Reject

from ..conftest import remote_responses

ASKED = "How do I change the address of my order?"
REWORDED = "how do I change the address of my order"
NEAR = "How do I change the address of my parcel?"
FAR = "Which payment methods are accepted in Portugal?"


async def nearness(cache: Any, prompt: str) -> float:
    similarity: float | None = (await cache.lookup(prompt)).similarity
    assert similarity is not None
    return similarity


@pytest.mark.parametrize("remote", [False, True], ids=["memory", "remote"])
def test_a_miss_knows_how_near_the_nearest_entry_was(rig: Any, remote: bool) -> None:
    async def scenario() -> None:
        stores = {"response_store": remote_responses()} if remote else {}
        async with rig({"semcache": {"threshold": 0.99}}, **stores) as r:
            await r.cache.store(ASKED, "x")
            await r.cache.store(FAR, "y")
            found = await r.cache.lookup(NEAR)
            assert (found.hit, found.entry_id, found.reason) == (False, None, "below-threshold")
            assert 0.6 < found.similarity < 0.99
            assert r.observer.decisions[-1].similarity == found.similarity

    asyncio.run(scenario())


def test_an_answer_that_waits_to_be_written_is_the_nearest_too(rig: Any) -> None:
    async def scenario() -> None:
        async with rig({"semcache": {"threshold": 0.99}}) as r:
            await r.cache.get_or_call(ASKED, lambda: "x")
            assert 0.6 < await nearness(r.cache, NEAR) < 0.99

    asyncio.run(scenario())


def test_in_an_empty_scope_nothing_is_near(rig: Any) -> None:
    async def scenario() -> None:
        async with rig() as r:
            assert (await r.cache.lookup(ASKED)).similarity is None

    asyncio.run(scenario())


def test_what_is_below_the_threshold_is_not_even_read(rig: Any) -> None:
    async def scenario() -> None:
        store = remote_responses()
        async with rig({"semcache": {"threshold": 0.99}}, response_store=store) as r:
            await r.cache.store(ASKED, "x")
            before = store.calls["get"]
            await r.cache.lookup(NEAR)
            assert store.calls["get"] == before + 1, "the exact read and no other"

    asyncio.run(scenario())


def test_observe_knows_it_too(rig: Any) -> None:
    async def scenario() -> None:
        async with rig({"semcache": {"mode": "observe", "threshold": 0.99}}) as r:
            await r.cache.store(ASKED, "x")
            assert 0.6 < await nearness(r.cache, NEAR) < 0.99
            assert await nearness(r.cache, REWORDED) == pytest.approx(1.0, abs=1e-3)

    asyncio.run(scenario())


def test_the_statistics_hold_a_histogram_of_what_was_searched(rig: Any) -> None:
    async def scenario() -> None:
        async with rig({"semcache": {"threshold": 0.99}}) as r:
            await r.cache.lookup(ASKED)
            await r.cache.store(ASKED, "x")
            await r.cache.lookup(ASKED)
            assert r.cache.stats().similarities == {}, "an empty scope and an exact hit are not searched"
            near = await nearness(r.cache, NEAR)
            await r.cache.lookup(REWORDED)
            await r.cache.lookup(REWORDED)
            lower = f"{int(near * 100) / 100:.2f}" if near >= 0.8 else f"{int(near * 10) / 10:.2f}"
            assert r.cache.stats().similarities == {lower: 1, "1.00": 2}

    asyncio.run(scenario())


def test_the_search_says_what_became_of_each_entry(rig: Any) -> None:
    async def scenario() -> None:
        async with rig({"semcache": {"threshold": 0.9}}) as r:
            for prompt in ("How do I reset router 7 in room 4?", "How do I reset router 8 in room 4?", FAR):
                await r.cache.store(prompt, prompt)
            trail: list[Considered] = []
            runtime = r.cache.lifecycle.here()
            query = runtime.keys.of("how do I reset router 8 in room 4")
            found = await runtime.engine.find(query, policy=runtime.policy, trail=trail)
            assert found.reason == "semantic"
            said = {each.similarity: (each.reason, [verdict for _, verdict in each.verdicts]) for each in trail}
            ranked = [said[similarity] for similarity in sorted(said, reverse=True)]
            assert ranked[0][0] is None
            assert ranked[-1] == ("below-threshold", [])

            trail.clear()
            query = runtime.keys.of("how do I reset router 9 in room 4")
            found = await runtime.engine.find(query, policy=runtime.policy, trail=trail)
            assert found.reason == "numbers"
            assert [each.reason for each in trail] == ["numbers", "numbers", "below-threshold"]
            assert trail[0].verdicts == (("TextGuard", Reject(reason="numbers", certain=True)),)

    asyncio.run(scenario())
