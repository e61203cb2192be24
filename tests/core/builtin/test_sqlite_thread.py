"""The thread of a SQLite store: writes grouped, ends with the store, never crosses a fork."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from semcache_core.builtin.sqlite.worker import ConnectionWorker
from semcache_core.errors import NotOpenError, StoreUnavailable

from .sqlite_stores import (
    SPACE,
    answers,
    data,
    found,
    point,
    put,
    semcache_threads,
    vectors,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "semcache.db"


def test_one_bad_write_does_not_take_its_neighbours_with_it(path: Path) -> None:
    async def body() -> None:
        async with answers(path) as store:

            def bad(connection: sqlite3.Connection) -> None:
                raise OverflowError("BLOB longer than INT_MAX bytes")

            calls: list[Any] = [put(store, f"{n}") for n in range(40)]
            calls.insert(20, store._file.run(bad, writes=True))
            outcomes: list[object] = [*await asyncio.gather(*calls, return_exceptions=True)]
            assert [type(outcome) for outcome in outcomes if outcome is not None] == [StoreUnavailable]
            assert await store.count() == 40

    asyncio.run(body())


def test_writes_that_wait_together_are_committed_together() -> None:
    async def body() -> None:
        commits: list[int] = []
        worker = ConnectionWorker("semcache-test", after_writes=lambda: commits.append(1))
        gate = threading.Event()
        await worker.submit(lambda: worker.use(sqlite3.connect(":memory:", isolation_level=None)))
        worker.submit(gate.wait)
        waiting = [worker.submit(lambda: None, writes=True) for _ in range(100)]
        gate.set()
        await asyncio.gather(*waiting)
        await worker.stop()
        assert len(commits) == 1

    asyncio.run(body())


def test_closing_leaves_no_thread_and_no_task(path: Path) -> None:
    async def body() -> None:
        async with answers(path) as store, vectors(path) as index:
            await index.prepare(SPACE)
            await put(store, "a")
            await data(store, "a")
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(body())
    assert not semcache_threads()


def test_a_store_can_be_opened_again(path: Path) -> None:
    async def body() -> None:
        store, index = answers(path), vectors(path)
        for _ in range(3):
            async with store, index:
                await index.prepare(SPACE)
                await put(store, "a")
                await index.upsert([point("a")])
            for unusable in (data(store, "a"), index.count(), found(index, 0)):
                with pytest.raises(NotOpenError):
                    await unusable
        await store.__aexit__(None, None, None)

    asyncio.run(body())


def test_a_forked_process_is_told_to_open_its_own(path: Path) -> None:
    async def body() -> None:
        async with answers(path) as store:
            child = os.fork()
            if child == 0:
                try:
                    store.get_nowait(b"a", now=0.0)
                except NotOpenError as error:
                    os._exit(0 if "after the fork" in str(error) else 2)
                os._exit(1)
            _, status = os.waitpid(child, 0)
            assert os.waitstatus_to_exitcode(status) == 0
            await put(store, "a")

    asyncio.run(body())
