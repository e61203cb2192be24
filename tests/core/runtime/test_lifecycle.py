"""The life cycle of one cache: where it lives, who crosses over to it, and what happens while it is down."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import pytest

from semcache_core import DoNotCache, SemanticCache, cached
from semcache_core.builtin.memory import MemoryResponseStore
from semcache_core.errors import (
    CacheUnavailable,
    ConfigError,
    NotOpenError,
    PluginError,
    StoreUnavailable,
    WrongLoopError,
)

EXACT: dict[str, Any] = {"semcache": {"match": "exact"}, "vector_store": {"use": "memory"}}
ASKED = "How do I change the address of my order?"


class Store(MemoryResponseStore):
    """A store that tells where it lives, and that cannot be opened while ``down`` says why."""

    down: BaseException | None = None
    opening: float = 0.0
    opened = 0
    loop: asyncio.AbstractEventLoop | None = None

    async def __aenter__(self) -> Self:
        self.opened += 1
        await asyncio.sleep(self.opening)
        if self.down is not None:
            raise self.down
        self.loop = asyncio.get_running_loop()
        return await super().__aenter__()


@pytest.fixture
def store() -> Store:
    return Store(Store.Options())


@pytest.fixture
def cache(store: Store) -> Iterator[SemanticCache]:
    made = SemanticCache(EXACT, response_store=store)
    yield made
    made.lifecycle.close_blocking()


def named(call: Any) -> Any:
    """Return a function to cache that makes ``call``."""

    async def ask(prompt: str) -> str:
        answer: str = await call()
        return answer

    return ask


@asynccontextmanager
async def held_elsewhere(cache: SemanticCache) -> AsyncIterator[asyncio.AbstractEventLoop]:
    """Enter the cache on an event loop of another thread, which runs until the block ends."""
    ready: asyncio.Future[asyncio.AbstractEventLoop] = asyncio.get_running_loop().create_future()
    here, done = asyncio.get_running_loop(), threading.Event()

    async def owner() -> None:
        async with cache:
            here.call_soon_threadsafe(ready.set_result, asyncio.get_running_loop())
            while not done.is_set():
                await asyncio.sleep(0.005)

    thread = threading.Thread(target=asyncio.run, args=(owner(),))
    thread.start()
    try:
        yield await ready
    finally:
        done.set()
        await asyncio.to_thread(thread.join)


# -- where it lives -----------------------------------------------------------------------------------------------


def test_inside_async_with_the_cache_lives_on_the_running_loop(cache: SemanticCache, store: Store) -> None:
    async def main() -> None:
        async with cache:
            assert store.loop is asyncio.get_running_loop()
            assert cache.lifecycle.here() is not None
        assert not cache.lifecycle.is_open

    asyncio.run(main())


def test_a_first_call_without_async_with_opens_it_on_a_thread_of_its_own(cache: SemanticCache, store: Store) -> None:
    async def main() -> None:
        await cache.lookup(ASKED)
        assert cache.lifecycle.is_open
        assert cache.lifecycle.here() is None
        assert store.loop is not asyncio.get_running_loop()

    asyncio.run(main())
    assert store.opened == 1


def test_a_cache_that_a_call_opened_stays_where_it_is_when_it_is_entered_and_closes_with_the_block(
    cache: SemanticCache, store: Store
) -> None:
    cache.sync.store(ASKED, "x")

    async def main() -> None:
        async with cache:
            assert (await cache.lookup(ASKED)).value == "x"
        assert not cache.lifecycle.is_open

    asyncio.run(main())
    assert store.opened == 1


def test_a_cache_that_is_entered_twice_says_so(cache: SemanticCache) -> None:
    async def main() -> None:
        async with cache:
            with pytest.raises(NotOpenError, match="open already"):
                await cache.__aenter__()
            assert cache.lifecycle.is_open

    asyncio.run(main())


@pytest.mark.parametrize("wrong", [5, ["semcache.toml"], Store])
def test_what_is_no_configuration_raises_at_once_with_the_remedy(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"takes the path of a TOML file, a mapping or a Config, not .*response_store="):
        SemanticCache(wrong)


def test_a_cache_is_made_of_a_path_too(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text('[semcache]\nnamespace = "mine"\n')
    for path in (tmp_path / "own.toml", str(tmp_path / "own.toml")):
        assert SemanticCache(path)._config.cache.namespace == "mine"


def test_a_folder_as_path_is_a_configuration_error_that_says_what_to_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"is a folder; name the TOML file in it"):
        SemanticCache(tmp_path)


# -- crossing over ------------------------------------------------------------------------------------------------


def test_every_call_crosses_over_from_another_loop(cache: SemanticCache) -> None:
    async def main() -> None:
        async with held_elsewhere(cache):
            assert await cache.store(ASKED, "x", tags=["t"])
            found = await cache.lookup(ASKED)
            assert found.value == "x"
            await cache.reject(found)
            assert await cache.get_or_call(ASKED, lambda: "y", tags=["t"]) == "y"
            assert (await cache.lookup(ASKED)).value == "y"
            await cache.invalidate(tag="t")
            assert not await cache.lookup(ASKED)
            with pytest.raises(TypeError, match="before is a time"):
                await cache.invalidate(before="now")  # type: ignore[arg-type]
            assert cache.stats().hits["exact"] == 2

    asyncio.run(main())


def test_an_async_call_runs_on_its_callers_loop_and_a_plain_one_in_a_thread_of_it(cache: SemanticCache) -> None:
    async def main() -> None:
        seen: list[Any] = []

        async def call() -> str:
            seen.append(asyncio.get_running_loop())
            return "x"

        async with held_elsewhere(cache) as home:
            await cache.get_or_call("one?", call)
            await cached(cache, version="1")(named(call))("two?")
            await cache.get_or_call("three?", lambda: seen.append(threading.current_thread()) or "x")
            assert seen[:2] == [asyncio.get_running_loop()] * 2
            assert seen[2] is not threading.main_thread()
            assert home is not asyncio.get_running_loop()

    asyncio.run(main())


def test_callers_on_two_loops_and_in_threads_share_one_call(cache: SemanticCache) -> None:
    calls: list[int] = []

    async def slow() -> str:
        calls.append(1)
        await asyncio.sleep(0.3)
        return "x"

    def slow_sync() -> str:
        calls.append(1)
        time.sleep(0.3)
        return "x"

    async def main() -> None:
        async with cache:
            with ThreadPoolExecutor(8) as pool:
                loop = asyncio.get_running_loop()
                others = [
                    loop.run_in_executor(pool, lambda: asyncio.run(cache.get_or_call(ASKED, slow))) for _ in range(4)
                ]
                others += [
                    loop.run_in_executor(pool, lambda: cache.sync.get_or_call(ASKED, slow_sync)) for _ in range(4)
                ]
                answers = await asyncio.gather(cache.get_or_call(ASKED, slow), *others)
        assert answers == ["x"] * 9
        assert len(calls) == 1

    asyncio.run(main())


def test_what_a_call_raises_reaches_its_caller_on_another_loop_and_the_next_one_asks(cache: SemanticCache) -> None:
    async def main() -> None:
        async def fails() -> str:
            raise LookupError("no")

        async def refuses() -> str:
            raise DoNotCache("only now")

        async with held_elsewhere(cache):
            with pytest.raises(LookupError, match="no"):
                await cache.get_or_call(ASKED, fails)
            assert await cache.get_or_call(ASKED, refuses) == "only now"
            assert await cache.get_or_call(ASKED, lambda: "x") == "x"

    asyncio.run(main())


def test_a_caller_that_is_cancelled_while_it_waits_leaves_the_leader_alone(cache: SemanticCache) -> None:
    async def main() -> None:
        started, go_on = asyncio.Event(), asyncio.Event()

        async def slow() -> str:
            started.set()
            await go_on.wait()
            return "x"

        async with held_elsewhere(cache):
            leading = asyncio.create_task(cache.get_or_call(ASKED, slow))
            await started.wait()
            waiting = asyncio.create_task(cache.get_or_call(ASKED, lambda: "never"))
            await asyncio.sleep(0.1)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            go_on.set()
            assert await leading == "x"

    asyncio.run(main())


def test_a_leader_that_is_cancelled_on_another_loop_lets_the_next_one_lead(cache: SemanticCache) -> None:
    async def main() -> None:
        started = asyncio.Event()

        async def hangs() -> str:
            started.set()
            await asyncio.sleep(60)
            return "never"

        async with held_elsewhere(cache):
            leading = asyncio.create_task(cache.get_or_call(ASKED, hangs))
            await started.wait()
            leading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await leading
            assert await asyncio.wait_for(cache.get_or_call(ASKED, lambda: "x"), 5) == "x"

    asyncio.run(main())


def test_a_leader_that_others_wait_for_outlives_its_cancellation_on_another_loop(cache: SemanticCache) -> None:
    async def main() -> None:
        started, go_on = asyncio.Event(), asyncio.Event()

        async def slow() -> str:
            started.set()
            await go_on.wait()
            return "x"

        async with held_elsewhere(cache):
            leading = asyncio.create_task(cache.get_or_call(ASKED, slow))
            await started.wait()
            waiting = asyncio.create_task(cache.get_or_call(ASKED, lambda: "never"))
            await asyncio.sleep(0.1)
            leading.cancel()
            await asyncio.wait((leading,))
            go_on.set()
            assert await asyncio.wait_for(waiting, 5) == "x"

    asyncio.run(main())


def test_a_stale_answer_is_refreshed_on_its_callers_loop(store: Store) -> None:
    now = [1000.0]
    tables = {**EXACT, "semcache": {"match": "exact", "ttl": 10, "jitter": 0, "stale_while_revalidate": 100}}
    cache = SemanticCache(tables, response_store=store, clock=lambda: now[0])
    seen: list[Any] = []

    async def call() -> str:
        seen.append(asyncio.get_running_loop())
        return f"answer {len(seen)}"

    async def main() -> None:
        async with held_elsewhere(cache):
            assert await cache.get_or_call(ASKED, call) == "answer 1"
            now[0] += 20
            assert await cache.get_or_call(ASKED, call) == "answer 1"
            while (await cache.lookup(ASKED)).value != "answer 2":
                await asyncio.sleep(0.01)
            assert seen == [asyncio.get_running_loop()] * 2

    asyncio.run(asyncio.wait_for(main(), 10))


def test_a_blocking_call_on_the_home_loop_raises_instead_of_waiting_for_itself(cache: SemanticCache) -> None:
    @cached(cache)
    def ask(prompt: str) -> str:
        return "x"

    async def main() -> None:
        async with cache:
            for blocking in (lambda: cache.sync.lookup(ASKED), lambda: ask(ASKED), cache.sync.close):
                with pytest.raises(WrongLoopError, match=r"would wait for itself: await .*asyncio\.to_thread"):
                    blocking()
            assert await asyncio.to_thread(ask, ASKED) == "x"

    asyncio.run(main())


def test_an_async_function_is_refused_by_the_blocking_call(cache: SemanticCache) -> None:
    async def call() -> str:
        return "x"

    with pytest.raises(TypeError, match="plain function"):
        cache.sync.get_or_call(ASKED, call)


# -- closing ------------------------------------------------------------------------------------------------------


def test_calls_that_wait_while_the_cache_closes_go_on_without_it(cache: SemanticCache) -> None:
    started, go_on = threading.Event(), threading.Event()

    def slow() -> str:
        started.set()
        go_on.wait(10)
        return "x"

    with ThreadPoolExecutor(3) as pool:
        leading = pool.submit(cache.sync.get_or_call, ASKED, slow)
        assert started.wait(5)
        waiting = pool.submit(cache.sync.get_or_call, ASKED, lambda: "asked alone")
        awaiting = pool.submit(lambda: asyncio.run(cache.get_or_call(ASKED, lambda: "asked alone")))
        time.sleep(0.2)
        cache.sync.close()
        assert (waiting.result(5), awaiting.result(5)) == ("asked alone", "asked alone")
        go_on.set()
        assert leading.result(5) == "x"


def test_a_call_that_comes_while_the_cache_closes_does_not_open_it_again() -> None:
    class SlowToClose(Store):
        async def __aexit__(self, *told: Any) -> None:
            closing.set()
            await asyncio.sleep(0.3)
            await super().__aexit__(*told)

    closing = threading.Event()
    slow = SlowToClose(Store.Options())
    cache = SemanticCache(EXACT, response_store=slow)

    async def main() -> None:
        async with cache:
            assert (await cache.lookup(ASKED)).reason == "absent"

    with ThreadPoolExecutor(1) as pool:
        ending = pool.submit(asyncio.run, main())
        assert closing.wait(5)
        assert cache.sync.lookup(ASKED).reason == "not-open"
        ending.result(5)
    assert slow.opened == 1
    assert cache.sync.lookup(ASKED).reason == "absent"
    cache.sync.close()


def test_another_loop_closes_it_too(cache: SemanticCache, store: Store) -> None:
    before = threading.active_count()
    cache.sync.store(ASKED, "x")
    asyncio.run(cache.lifecycle.close())
    assert not cache.lifecycle.is_open
    assert threading.active_count() == before


# -- while it is down ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [StoreUnavailable("down"), OSError("no route to host")])
def test_while_a_store_is_down_every_call_goes_on_without_the_cache(
    error: Exception, cache: SemanticCache, store: Store
) -> None:
    store.down = error

    @cached(cache)
    def ask(prompt: str) -> object:
        return DoNotCache("plain")

    @cached(cache)
    async def ask_async(prompt: str) -> str:
        return "async"

    async def main() -> None:
        async with cache:
            found = await cache.lookup(ASKED)
            assert (found.hit, found.reason) == (False, "not-open")
            assert not await cache.store(ASKED, "x")
            assert await cache.get_or_call(ASKED, lambda: "x") == "x"
            assert await ask_async(ASKED) == "async"
            assert await asyncio.to_thread(ask, ASKED) == "plain"
            assert (await asyncio.to_thread(cache.sync.lookup, ASKED)).reason == "not-open"
            with pytest.raises(CacheUnavailable, match="not open"):
                await cache.invalidate(tag="t")
            with pytest.raises(CacheUnavailable, match="not open"):
                await asyncio.to_thread(cache.sync.invalidate, tag="t")
            assert cache.stats().miss_reasons == {"not-open": 5}

    asyncio.run(main())
    assert store.opened == 1


def test_what_was_down_opens_on_the_loop_that_entered_it_whoever_asks(
    cache: SemanticCache, store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "semcache")
    store.down = StoreUnavailable("down")

    async def main() -> None:
        async with cache:
            assert (await cache.lookup(ASKED)).reason == "not-open"
            store.down = None
            monkeypatch.setattr("semcache_core.runtime.outage._PAUSE", 0.0)
            cache.lifecycle._outage.end_pause()
            assert await asyncio.to_thread(cache.sync.store, ASKED, "x")
            assert store.loop is asyncio.get_running_loop()
            assert (await cache.lookup(ASKED)).value == "x"

    asyncio.run(main())
    told = [record.message for record in caplog.records if record.message.startswith("the cache ")]
    assert told == [
        "the cache cannot be opened (StoreUnavailable: down): requests pass uncached until it can be",
        "the cache is open",
    ]


def test_one_caller_alone_waits_for_a_new_try_and_not_for_long(
    cache: SemanticCache, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("semcache_core.runtime.outage._PAUSE", 0.0)
    monkeypatch.setattr("semcache_core.runtime.lifecycle._RETRY_PATIENCE", 0.2)
    store.down = StoreUnavailable("down")
    assert cache.sync.lookup(ASKED).reason == "not-open"
    store.opening = 60.0
    began = time.monotonic()
    with ThreadPoolExecutor(10) as pool:
        found = list(pool.map(cache.sync.lookup, [ASKED] * 10))
    assert {each.reason for each in found} == {"not-open"}
    assert time.monotonic() - began < 5
    assert store.opened == 2


def test_first_callers_that_come_together_open_one_cache(cache: SemanticCache, store: Store) -> None:
    store.opening = 0.2
    with ThreadPoolExecutor(10) as pool:
        reasons = {found.reason for found in pool.map(cache.sync.lookup, [ASKED] * 10)}
    assert reasons == {"absent"}
    assert store.opened == 1


@pytest.mark.parametrize("error", [ConfigError("semcache.toml: wrong"), PluginError("tests: broken")])
def test_only_a_wrong_configuration_and_a_broken_plugin_raise(
    error: Exception, cache: SemanticCache, store: Store
) -> None:
    store.down = error

    async def main() -> None:
        with pytest.raises(type(error)):
            async with cache:
                pass
        with pytest.raises(type(error)):
            await cache.get_or_call(ASKED, lambda: "x")

    asyncio.run(main())
    for call in (lambda: cache.sync.lookup(ASKED), lambda: cache.sync.get_or_call(ASKED, lambda: "x")):
        with pytest.raises(type(error)):
            call()
    store.down = None
    assert cache.sync.store(ASKED, "x")


def test_a_call_that_raises_stop_iteration_ends_nothing_else(cache: SemanticCache) -> None:
    def stops() -> str:
        raise StopIteration("end")

    with pytest.raises(StopIteration):
        cache.sync.get_or_call(ASKED, stops)
    with pytest.raises(RuntimeError):
        asyncio.run(cache.get_or_call(ASKED, stops))
    assert cache.sync.get_or_call(ASKED, lambda: "x") == "x"


@pytest.mark.parametrize("signal", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_inside_of_a_call_reaches_its_caller_and_ends_nothing_else(
    signal: type[BaseException], cache: SemanticCache
) -> None:
    def interrupted() -> str:
        raise signal

    with pytest.raises(signal):
        cache.sync.get_or_call(ASKED, interrupted)
    assert cache.sync.get_or_call(ASKED, lambda: "x") == "x"
