"""The doubles do what their docstrings say; the CountingEmbedder keeps the whole contract elsewhere."""

from __future__ import annotations

import asyncio

import pytest

from semcache_core.errors import StoreUnavailable
from semcache_core.protocols import SupportsInvalidation, SupportsScan
from semcache_core.runtime.registry import Registry
from semcache_core.testing import CountingEmbedder, FlakyStore, FrozenClock, RecordingObserver
from semcache_core.types import Decision, Fault, Notice

from .right import DictResponses, Shelf


def flaky() -> FlakyStore:
    return FlakyStore(DictResponses(Shelf()))


def test_a_frozen_clock_moves_only_when_it_is_told_to() -> None:
    clock = FrozenClock(100.0)
    assert (clock(), clock()) == (100.0, 100.0)
    clock.advance(5)
    assert clock() == 105.0
    clock.now = 1.0
    assert clock() == 1.0


def test_a_counting_embedder_counts_calls_and_keeps_texts() -> None:
    async def body() -> None:
        async with CountingEmbedder() as embedder:
            await embedder.embed(["a", "b"])
            await embedder.embed(["c"])
            assert (embedder.calls, embedder.texts) == (2, ["a", "b", "c"])

    asyncio.run(body())


def test_a_counting_embedder_fails_and_waits_as_it_is_told() -> None:
    async def body() -> None:
        async with CountingEmbedder(delay=0.02) as embedder:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.001):
                    await embedder.embed(["a"])
            embedder.fail = RuntimeError("told to")
            with pytest.raises(RuntimeError, match="told to"):
                await embedder.embed(["a"])

    asyncio.run(body())


def test_a_flaky_store_passes_everything_on_and_counts_it() -> None:
    async def body() -> None:
        async with flaky() as store:
            await store.set(b"a", b"data", keep_until=None, tags=())
            (found,) = await store.get([b"a"], now=0.0)
            assert found.data == b"data"
            assert store.calls == {"set": 1, "get": 1}

    asyncio.run(body())


def test_a_flaky_store_has_the_powers_of_what_it_wraps() -> None:
    class Plain(DictResponses):
        scan = None

    assert isinstance(flaky(), SupportsInvalidation)
    assert not isinstance(FlakyStore(Plain(Shelf())), SupportsScan)


def test_a_flaky_store_fails_as_often_as_it_is_told_to() -> None:
    async def body() -> None:
        async with flaky() as store:
            store.fail("get", times=2)
            for _ in range(2):
                with pytest.raises(StoreUnavailable):
                    await store.get([], now=0.0)
            assert await store.get([], now=0.0) == []
            store.fail("get", error=OSError("disk full"))
            with pytest.raises(OSError, match="disk full"):
                await store.get([], now=0.0)
            store.heal()
            assert await store.get([], now=0.0) == []

    asyncio.run(body())


def test_a_flaky_store_hangs_until_it_is_healed() -> None:
    async def body() -> None:
        async with flaky() as store:
            store.hang("get")
            waiting = asyncio.create_task(store.get([], now=0.0))
            await asyncio.sleep(0.01)
            assert not waiting.done()
            store.heal()
            with pytest.raises(StoreUnavailable):
                await waiting

    asyncio.run(body())


def test_a_flaky_store_delays_a_call_and_then_passes_it_on() -> None:
    async def body() -> None:
        async with flaky() as store:
            store.delay("get", seconds=0.05)
            loop = asyncio.get_running_loop()
            begin = loop.time()
            assert await store.get([], now=0.0) == []
            assert loop.time() - begin >= 0.04

    asyncio.run(body())


def test_a_flaky_store_cannot_disturb_what_is_not_there() -> None:
    with pytest.raises(ValueError, match="DictResponses has no async method 'gte'"):
        flaky().fail("gte")


def test_a_recording_observer_is_a_plugin_that_keeps_events_by_kind() -> None:
    observer, registry = RecordingObserver(), Registry()
    assert registry.add(observer, distribution="tests"), registry.failures
    (observe,) = registry.observers()
    events = [Decision(outcome="miss", reason="x"), Fault(stage="read", error="E"), Notice(code="c", message="m")]
    for event in events:
        observe(event)
    assert observer.events == events
    assert (observer.decisions, observer.faults, observer.notices) == tuple([event] for event in events)
    observer.clear()
    assert observer.events == []
