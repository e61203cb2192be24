"""The blocking facade."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from semcache_core import SemanticCache
from semcache_core.config import load
from semcache_core.testing import CountingEmbedder

MEMORY = {"vector_store": {"use": "memory"}, "response_store": {"use": "memory"}}
ASKED = "How do I change the address of my order?"


@pytest.fixture
def cache() -> Iterator[SemanticCache]:
    made = SemanticCache(load(MEMORY), embedder=CountingEmbedder())
    yield made
    made.sync.close()


def test_every_call_has_its_blocking_twin(cache: SemanticCache) -> None:
    assert not cache.sync.lookup(ASKED)
    assert cache.sync.get_or_call(ASKED, lambda: "x") == "x"
    found = cache.sync.lookup(ASKED)
    assert found.value == "x"
    cache.sync.reject(found)
    assert not cache.sync.lookup(ASKED)
    assert cache.sync.store(ASKED, "y", tags=["t"], ttl="1h")
    cache.sync.invalidate(tag="t")
    assert not cache.sync.lookup(ASKED)
    assert cache.sync.stats().hits["exact"] == cache.stats().hits["exact"] == 1


def test_it_works_inside_a_running_loop(cache: SemanticCache) -> None:
    async def scenario() -> str:
        return str(cache.sync.get_or_call(ASKED, lambda: "x"))

    assert asyncio.run(scenario()) == "x"


def test_who_is_interrupted_while_waiting_leaves_nobody_waiting(cache: SemanticCache) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def failing() -> str:
        asked.set()
        go_on.wait(5)
        raise ConnectionError("down")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with ThreadPoolExecutor(2) as pool:
        leading = pool.submit(cache.sync.get_or_call, ASKED, failing)
        assert asked.wait(5)
        handler = signal.signal(signal.SIGALRM, interrupt)
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        try:
            with pytest.raises(KeyboardInterrupt):
                cache.sync.get_or_call(ASKED, lambda: "never")
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, handler)
        go_on.set()
        with pytest.raises(ConnectionError):
            leading.result(5)
        assert pool.submit(cache.sync.get_or_call, ASKED, lambda: "x").result(5) == "x"


def test_a_hundred_threads_with_the_same_question_make_one_call(cache: SemanticCache) -> None:
    calls = []
    go_on = threading.Event()

    def call() -> str:
        calls.append(1)
        go_on.wait(0.2)
        return "x"

    with ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(lambda _: cache.sync.get_or_call(ASKED, call), range(100)))
    assert answers == ["x"] * 100
    assert len(calls) == 1


def test_what_the_call_raises_is_raised_in_its_own_thread(cache: SemanticCache) -> None:
    def fail() -> str:
        raise LookupError(threading.current_thread().name)

    with pytest.raises(LookupError, match=threading.current_thread().name):
        cache.sync.get_or_call(ASKED, fail)


def test_a_cache_that_an_event_loop_opened_is_the_one_that_other_threads_use() -> None:
    async def scenario() -> None:
        async with SemanticCache(load(MEMORY), embedder=CountingEmbedder()) as cache:
            await cache.store(ASKED, "x")
            found = await asyncio.to_thread(cache.sync.lookup, ASKED)
            assert found.value == "x"

    asyncio.run(scenario())


def test_closing_twice_is_harmless_and_a_later_call_opens_again(cache: SemanticCache) -> None:
    cache.sync.store(ASKED, "x")
    cache.sync.close()
    cache.sync.close()
    assert not cache.sync.lookup(ASKED)


def test_the_interpreter_exits_cleanly_with_the_cache_still_open() -> None:
    program = f"""
from semcache_core import SemanticCache
from semcache_core.config import load
from semcache_core.testing import CountingEmbedder
cache = SemanticCache(load({MEMORY!r}), embedder=CountingEmbedder())
print(cache.sync.get_or_call("How do I change the address?", lambda: "x"))
"""
    ended = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=20)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "x\n", "")


def test_a_forked_process_opens_its_own(cache: SemanticCache) -> None:
    cache.sync.store(ASKED, "x")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python 3.12 and later: a fork with threads; that is what is tested.
        child = os.fork()
    if child == 0:
        cache.sync.store("What did the parent not ask?", "y")
        os._exit(0 if cache.sync.lookup("What did the parent not ask?") else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert cache.sync.lookup(ASKED)
