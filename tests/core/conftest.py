"""What the tests of the core share: a cache over the built-in memory stores and an embedder that counts."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from semcache_core import SemanticCache
from semcache_core.builtin.memory import MemoryResponseStore, MemoryVectorStore
from semcache_core.config import load
from semcache_core.runtime.registry import Registry
from semcache_core.testing import CountingEmbedder, FlakyStore, FrozenClock, RecordingObserver

MEMORY = {"vector_store": {"use": "memory"}, "response_store": {"use": "memory"}}


@dataclass
class Rig:
    """An open cache and everything around it that a test may want to look at."""

    cache: SemanticCache
    embedder: CountingEmbedder
    clock: FrozenClock
    observer: RecordingObserver = field(default_factory=RecordingObserver)


@asynccontextmanager
async def open_rig(config: dict[str, Any] | None = None, **components: Any) -> AsyncIterator[Rig]:
    """Open a cache on memory stores with a frozen clock; ``components`` replace what the configuration names.

    ``plugins`` are further objects with hooks.
    """
    clock, observer, registry = FrozenClock(), RecordingObserver(), Registry.installed()
    for number, plugin in enumerate([observer, *components.pop("plugins", ())]):
        assert registry.add(plugin, distribution=f"tests-{number}"), registry.failures
    embedder = components.pop("embedder", None) or CountingEmbedder()
    cache = SemanticCache(
        load(MEMORY | (config or {})), registry=registry, clock=clock, embedder=embedder, **components
    )
    async with cache:
        yield Rig(cache, embedder, clock, observer)


def remote_responses() -> FlakyStore:
    """Return a response store that has to be waited for, as one behind a network."""
    return FlakyStore(MemoryResponseStore(MemoryResponseStore.Options()), without=("get_nowait",))


def remote_vectors() -> FlakyStore:
    """Return a vector store that has to be asked what it holds, as one behind a network."""
    return FlakyStore(MemoryVectorStore(MemoryVectorStore.Options()), without=("has_scope",))


def cpu_seconds(work: Callable[[], object], *, tries: int = 3) -> float:
    """Return the CPU seconds of one call in this thread, the best of several: other programs run here, too."""

    def once() -> float:
        began = time.thread_time()
        work()
        return time.thread_time() - began

    return min(once() for _ in range(tries))


@pytest.fixture
def growth() -> Callable[[Callable[[Any], object], Any, Any], float]:
    """Return a function that says how many times as long ``work`` takes for a larger input: about 2 for twice as much.

    Quadratic work takes four times as long.
    """
    return lambda work, small, large: cpu_seconds(lambda: work(large)) / cpu_seconds(lambda: work(small))


@pytest.fixture
def peak() -> Callable[[Callable[[], object]], int]:
    """Return a function that says how much memory Python objects take at most during a call, in bytes."""

    def of(work: Callable[[], Any]) -> int:
        tracemalloc.start()
        try:
            work()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    return of


@pytest.fixture
def rig() -> Callable[..., AbstractAsyncContextManager[Rig]]:
    """Return ``open_rig``: a context manager that opens a cache for one test."""
    return open_rig
