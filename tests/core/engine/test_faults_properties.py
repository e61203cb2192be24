"""Anything behind the cache may fail, hang or be slow at any moment: answers stay right and soon, nothing is raised."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from semcache_core.errors import DependencyError, EmbedderUnavailable, StoreUnavailable

from ..conftest import open_rig, remote_responses, remote_vectors

LIMITS = {
    "embed_deadline": 0.02,
    "vector_deadline": 0.02,
    "response_deadline": 0.02,
    "lookup_deadline": 0.05,
    "drain": 0.05,
}
SLOWEST = 1.0
"""Seconds: the deadlines of a lookup and a write, and the patience that a busy machine needs."""
RESPONSE_CALLS, VECTOR_CALLS = ("get", "set", "delete", "invalidate"), ("search", "upsert", "delete")
ERRORS = st.sampled_from([StoreUnavailable("x"), RuntimeError("x"), OSError(28, "x"), KeyError("x"), TimeoutError()])
TROUBLE = st.sampled_from(["fail", "hang", "slow", "heal"])
BREAK = st.tuples(
    st.just("break"), st.sampled_from(["responses", "vectors", "embedder"]), st.integers(0, 3), TROUBLE, ERRORS
)
USE = st.tuples(
    st.sampled_from(["get_or_call", "lookup", "store", "invalidate", "reject"]),
    st.sampled_from(["How do I reset my password?", "How do I reset my password", "Which wine goes with fish?"]),
)
WAIT = st.tuples(st.just("wait"), st.sampled_from([1.0, 11.0]))


class Trial:
    """A cache whose stores and embedder get into trouble, and calls that must not notice."""

    def __init__(self, rig: Any, responses: Any, vectors: Any) -> None:
        self.rig, self.responses, self.vectors = rig, responses, vectors

    async def do(self, step: tuple[Any, ...]) -> None:
        name, *rest = step
        begin = time.perf_counter()
        await getattr(self, f"on_{name}")(*rest)
        assert time.perf_counter() - begin < SLOWEST, step

    async def on_break(self, part: str, number: int, trouble: str, error: Exception) -> None:
        if part == "embedder":
            self.rig.embedder.fail = {"fail": error, "hang": EmbedderUnavailable("x")}.get(trouble)
            self.rig.embedder.delay = {"slow": 0.03, "hang": 3600.0}.get(trouble, 0.0)
            return
        store, methods = (self.responses, RESPONSE_CALLS) if part == "responses" else (self.vectors, VECTOR_CALLS)
        method = methods[number % len(methods)]
        match trouble:
            case "fail":
                store.fail(method, error=error)
            case "hang":
                store.hang(method)
            case "slow":
                store.delay(method, seconds=0.005)
            case _:
                store.heal()

    async def on_get_or_call(self, prompt: str) -> None:
        async def answer() -> str:
            return topic(prompt)

        assert await self.rig.cache.get_or_call(prompt, answer) == topic(prompt)

    async def on_lookup(self, prompt: str) -> None:
        found = await self.rig.cache.lookup(prompt)
        assert not found or found.value == topic(prompt)

    async def on_store(self, prompt: str) -> None:
        assert await self.rig.cache.store(prompt, topic(prompt), tags=["faq"]) in (True, False)

    async def on_invalidate(self, prompt: str) -> None:
        try:
            await self.rig.cache.invalidate(tag="faq")
        except DependencyError:
            return

    async def on_reject(self, prompt: str) -> None:
        found = await self.rig.cache.lookup(prompt)
        if not found:
            return
        try:
            await self.rig.cache.reject(found)
        except DependencyError:
            return
        assert (await self.rig.cache.lookup(prompt)).entry_id != found.entry_id, "rejected, and served"

    async def on_wait(self, seconds: float) -> None:
        self.rig.clock.advance(seconds)


def topic(prompt: str) -> str:
    """Return the right answer: near prompts have the same."""
    return prompt.split()[0]


@pytest.mark.parametrize("guarded", [True, False], ids=["text-guard", "bare"])
def test_no_trouble_behind_the_cache_reaches_a_caller(guarded: bool) -> None:
    @settings(max_examples=40, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.one_of(USE, USE, BREAK, WAIT), max_size=25))
    def trial(steps: list[tuple[Any, ...]]) -> None:
        async def main() -> None:
            responses, vectors = remote_responses(), remote_vectors()
            config = {"limits": LIMITS, "verifiers": {"use": ["text-guard"] if guarded else []}}
            async with open_rig(config, response_store=responses, vector_store=vectors) as rig:
                for step in steps:
                    await Trial(rig, responses, vectors).do(step)

        asyncio.run(main())

    trial()
