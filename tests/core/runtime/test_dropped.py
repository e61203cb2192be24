"""A cache that its program drops without closing it leaves no thread and no descriptor, and loses nothing."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from semcache_core import SemanticCache, cached
from semcache_core.builtin.memory import MemoryResponseStore
from semcache_core.errors import StoreUnavailable

ASKED = "What is left of a cache that was dropped?"


def in_a_file(path: Path) -> SemanticCache:
    at = {"use": "sqlite", "path": str(path)}
    return SemanticCache({"semcache": {"match": "exact"}, "vector_store": at, "response_store": at})


def held() -> tuple[set[int], set[str]]:
    """Return the threads of this process, and its descriptors."""
    fds = {fd for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}")}
    return {thread.ident or 0 for thread in threading.enumerate()}, fds


@pytest.fixture
def nothing_left() -> Iterator[None]:
    gc.collect()
    threads, fds = held()
    yield
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        gc.collect()
        more_threads, more_fds = held()
        if more_threads <= threads and len(more_fds) <= len(fds):
            return
        time.sleep(0.02)
    raise AssertionError(f"left: {len(more_threads - threads)} threads, {len(more_fds) - len(fds)} descriptors")


def by_sync(cache: SemanticCache) -> None:
    assert cache.sync.get_or_call(ASKED, lambda: "x") == "x"


def by_await(cache: SemanticCache) -> None:
    assert asyncio.run(cache.get_or_call(ASKED, lambda: "x")) == "x"


def by_function(cache: SemanticCache) -> None:
    @cached(cache)
    def ask(prompt: str) -> str:
        return "x"

    assert ask(ASKED) == "x"


def by_a_thread(cache: SemanticCache) -> None:
    thread = threading.Thread(target=by_sync, args=(cache,))
    thread.start()
    thread.join()


def by_a_call_that_raises(cache: SemanticCache) -> None:
    with pytest.raises(ZeroDivisionError):
        cache.sync.get_or_call(ASKED, lambda: 1 / 0)


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts descriptors in /proc")
@pytest.mark.parametrize("use", [by_sync, by_await, by_function, by_a_thread, by_a_call_that_raises])
def test_it_leaves_no_thread_and_no_descriptor(
    use: Callable[[SemanticCache], None], tmp_path: Path, nothing_left: None
) -> None:
    for _ in range(5):
        use(in_a_file(tmp_path / "a.db"))


def test_what_it_had_queued_is_written(tmp_path: Path, nothing_left: None) -> None:
    for number in range(20):
        cache = in_a_file(tmp_path / "a.db")
        cache.sync.get_or_call(f"question {number}", lambda: "x")
        del cache
    gc.collect()
    again = in_a_file(tmp_path / "a.db")
    deadline = time.monotonic() + 5
    while not all(again.sync.lookup(f"question {number}").hit for number in range(20)):
        assert time.monotonic() < deadline
    again.sync.close()


class Slow(MemoryResponseStore):
    """A store that takes its time to open, or that is down."""

    down = False
    asked: threading.Event

    async def __aenter__(self) -> Self:
        self.asked.set()
        if self.down:
            raise StoreUnavailable("down")
        await asyncio.sleep(3600)
        raise AssertionError("never")


@pytest.mark.parametrize("down", [True, False], ids=["down", "hanging"])
def test_one_that_never_opened_leaves_nothing(down: bool, nothing_left: None) -> None:
    store = Slow(Slow.Options())
    store.down, store.asked = down, threading.Event()
    cache = SemanticCache({"semcache": {"match": "exact"}, "vector_store": {"use": "memory"}}, response_store=store)

    async def ask() -> Any:
        try:
            async with asyncio.timeout(0.2):
                return await cache.lookup(ASKED)
        except TimeoutError:
            return None

    assert not asyncio.run(ask())
    assert store.asked.wait(3)


def test_one_that_a_running_loop_entered_and_dropped_is_closed_there(tmp_path: Path, nothing_left: None) -> None:
    async def main() -> None:
        before = threading.active_count()
        cache = in_a_file(tmp_path / "a.db")
        await cache.__aenter__()
        assert await cache.store(ASKED, "x")
        del cache
        gc.collect()
        async with asyncio.timeout(5):
            while threading.active_count() > before:
                await asyncio.sleep(0.01)

    asyncio.run(main())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("closed", [True, False], ids=["closed", "stopped"])
@pytest.mark.parametrize("reused", [True, False], ids=["used again", "dropped"])
def test_one_whose_loop_ended_is_closed_without_it(
    closed: bool, reused: bool, tmp_path: Path, nothing_left: None
) -> None:
    async def main(cache: SemanticCache) -> None:
        await cache.__aenter__()
        assert await cache.store(ASKED, "x")

    cache, loop = in_a_file(tmp_path / "a.db"), asyncio.new_event_loop()
    loop.run_until_complete(main(cache))
    if closed:
        loop.close()
    if reused:
        assert cache.sync.lookup(ASKED).value == "x"
    del cache
    gc.collect()
    if not closed:
        time.sleep(0.1)
        loop.close()


def test_one_in_use_is_not_dropped(tmp_path: Path) -> None:
    """Only the call itself refers to the cache."""

    def call() -> str:
        gc.collect()
        time.sleep(0.1)
        return "x"

    assert in_a_file(tmp_path / "a.db").sync.get_or_call(ASKED, call) == "x"
    assert in_a_file(tmp_path / "a.db").sync.lookup(ASKED).value == "x"
    assert asyncio.run(in_a_file(tmp_path / "a.db").get_or_call("another", call)) == "x"


PROGRAM = """
import gc, os, sys
from semcache_core import SemanticCache
at = {"use": "sqlite", "path": "a.db"}
def made():
    return SemanticCache({"semcache": {"match": "exact"}, "vector_store": at, "response_store": at})
"""


def run(program: str, at: Path) -> str:
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM + program],
        cwd=at,
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    assert ended.stderr == ""
    return ended.stdout


def test_one_dropped_as_the_interpreter_exits_still_writes(tmp_path: Path) -> None:
    run('made().sync.get_or_call("one", lambda: "x"); gc.collect()', tmp_path)
    run('c = made(); c.sync.get_or_call("two", lambda: "x"); c.itself = c; del c', tmp_path)
    found = run('c = made(); print(c.sync.lookup("one").value, c.sync.lookup("two").value)', tmp_path)
    assert found == "x x\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_fork_may_drop_what_it_inherited(tmp_path: Path) -> None:
    said = run(
        """
c = made()
c.sync.store("one", "x")
child = os.fork()
if child == 0:
    del c
    gc.collect()
    again = made()
    print("child", again.sync.lookup("one").value, flush=True)
    del again
    gc.collect()
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
print("parent", c.sync.lookup("one").value, c.sync.store("two", "y"))
""",
        tmp_path,
    )
    assert said == "child x\nparent x True\n"
