"""Calls that overlap: whatever is answered was not replaced, invalidated or rejected by a call that had ended before.

Times of begin and end are kept for every call. A lookup may see either side of a call that overlaps it, and only the
later side of one that had ended. While an entry is being removed an older answer of it may show for a moment: what
waited to be written is dropped first.
"""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from semcache_core import SemanticCache
from semcache_core.config import load
from semcache_core.testing import CountingEmbedder

from ..conftest import MEMORY, remote_responses, remote_vectors

QUESTION = "How do I reset my password?"
REWORDED = "How do I reset my password"
CALLS = ("store", "get_or_call", "refresh", "lookup", "lookup_reworded", "invalidate", "invalidate_entry", "reject")
SLOW = ("get", "set", "delete", "invalidate", "search", "upsert")
PAUSE = st.sampled_from([0.0, 0.0, 0.001, 0.003])
SCHEDULES = st.lists(st.tuples(st.sampled_from(CALLS), PAUSE), min_size=2, max_size=14)
DELAYS = st.fixed_dictionaries(dict.fromkeys((*SLOW, "embed"), PAUSE))


@dataclass
class Span:
    """When a call began and ended, by the order of events; what it wrote."""

    begin: int
    end: int = 10**9
    value: int = -1


@dataclass
class History:
    """Every call of one run."""

    ticks: itertools.count[int] = field(default_factory=itertools.count)
    writes: list[Span] = field(default_factory=list)
    removals: list[Span] = field(default_factory=list)

    def check(self, value: int, *, asked_at: int) -> None:
        """Raise if a lookup that began at ``asked_at`` may not have been answered with ``value``."""
        (written,) = [write for write in self.writes if write.value == value]
        removing = any(removal.end > asked_at for removal in self.removals)
        for later in self.removals if removing else (*self.writes, *self.removals):
            if later.begin > written.end and later.end < asked_at:
                kind = "replaced" if later in self.writes else "removed"
                raise AssertionError(f"answer {value} was {kind}: {written} {later}, and was served at {asked_at}")


class Run:
    """One cache over slow stores, and calls that overlap."""

    def __init__(self, cache: SemanticCache) -> None:
        self.cache = cache
        self.history = History()
        self.values = itertools.count()

    async def call(self, name: str) -> None:
        await getattr(self, name)()

    async def store(self) -> None:
        span = self.write()
        await self.cache.store(QUESTION, span.value, tags=["faq"])
        span.end = next(self.history.ticks)

    async def get_or_call(self, *, refresh: bool = False) -> None:
        asked_at, made = next(self.history.ticks), []

        async def answer() -> int:
            made.append(self.write())
            await asyncio.sleep(0.001)
            return made[-1].value

        value = await self.cache.get_or_call(QUESTION, answer, refresh=refresh, tags=["faq"])
        # Who waited for another's call may have its answer; whoever called has its own.
        for span in made:
            span.end = next(self.history.ticks)
        if not made:
            self.history.check(value, asked_at=asked_at)

    async def refresh(self) -> None:
        await self.get_or_call(refresh=True)

    async def lookup(self, prompt: str = QUESTION) -> Any:
        asked_at = next(self.history.ticks)
        found = await self.cache.lookup(prompt)
        if found:
            self.history.check(found.value, asked_at=asked_at)
        return found

    async def lookup_reworded(self) -> None:
        await self.lookup(REWORDED)

    async def invalidate(self) -> None:
        span = self.removal()
        await self.cache.invalidate(tag="faq")
        span.end = next(self.history.ticks)

    async def invalidate_entry(self) -> None:
        found = await self.lookup()
        if found:
            span = self.removal()
            await self.cache.invalidate(entry_id=found.entry_id)
            span.end = next(self.history.ticks)

    async def reject(self) -> None:
        found = await self.lookup()
        if found:
            span = self.removal()
            await self.cache.reject(found)
            span.end = next(self.history.ticks)

    def write(self) -> Span:
        span = Span(next(self.history.ticks), value=next(self.values))
        self.history.writes.append(span)
        return span

    def removal(self) -> Span:
        span = Span(next(self.history.ticks))
        self.history.removals.append(span)
        return span


@pytest.mark.slow
@settings(max_examples=80, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(SCHEDULES, DELAYS)
def test_no_overlap_of_calls_brings_back_what_was_replaced_or_removed(
    schedule: list[tuple[str, float]], delays: dict[str, float]
) -> None:
    async def main() -> None:
        responses, vectors = remote_responses(), remote_vectors()
        cache = SemanticCache(
            load(MEMORY | {"verifiers": {"use": []}}),
            embedder=CountingEmbedder(delay=delays["embed"]),
            response_store=responses,
            vector_store=vectors,
        )
        async with cache:
            for method in SLOW:
                store = vectors if method in ("search", "upsert") else responses
                store.delay(method, seconds=delays[method])
            run = Run(cache)
            tasks = []
            for name, pause in schedule:
                tasks.append(asyncio.create_task(run.call(name)))
                await asyncio.sleep(pause)
            await asyncio.gather(*tasks)
            await run.lookup()
            await asyncio.sleep(0.03)
            await run.lookup()
            await run.lookup_reworded()

    asyncio.run(main())
