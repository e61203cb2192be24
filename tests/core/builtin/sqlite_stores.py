"""What the tests of the SQLite stores share: stores on a file, and a look past them into it."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from semcache_core.builtin.sqlite import SqliteResponseStore, SqliteVectorStore
from semcache_core.types import Point, Space, Vector

D = 16
SPACE = Space(fingerprint="m", dimensions=D)
MIB = 1024 * 1024


def answers(path: Path, **options: Any) -> SqliteResponseStore:
    return SqliteResponseStore(SqliteResponseStore.Options(path=str(path), **options))


def vectors(path: Path, **options: Any) -> SqliteVectorStore:
    return SqliteVectorStore(SqliteVectorStore.Options(path=str(path), **options))


def unit(seed: int) -> Vector:
    vector = np.random.default_rng(seed).standard_normal(D).astype(np.float32)
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def point(name: str, *, scope: bytes = b"s", seed: int = 0, keep_until: float | None = None) -> Point:
    return Point(id=name.encode(), scope=scope, vector=unit(seed), keep_until=keep_until)


async def put(store: SqliteResponseStore, name: str, data: bytes = b"data", **more: Any) -> None:
    await store.set(name.encode(), data, **({"keep_until": None, "tags": ()} | more))


async def data(store: SqliteResponseStore, name: str) -> bytes | None:
    (found,) = await store.get([name.encode()], now=0.0)
    return None if found is None else found.data


async def found(store: SqliteVectorStore, seed: int, *, scope: bytes = b"s") -> list[bytes]:
    return [match.id for match in await store.search(unit(seed), scope=scope, limit=5, floor=0.99, now=0.0)]


async def within_a_second(true: Callable[[], Awaitable[bool]]) -> bool:
    return await soon(true, seconds=1.0)


async def soon(true: Callable[[], Awaitable[bool]], *, seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while not await true():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.02)
    return True


def rows(path: Path, statement: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as door:
        return door.execute(statement).fetchall()


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as door:
        for statement in statements:
            door.execute(statement)


def fill(path: Path) -> None:
    """Make a file that holds 200 answers and as many vectors."""

    async def body() -> None:
        async with answers(path) as store, vectors(path) as index:
            await index.prepare(SPACE)
            for n in range(200):
                await put(store, f"{n}", b"%d" % n * 300)
            await index.upsert([point(f"{n}", seed=n) for n in range(200)])

    asyncio.run(body())


def semcache_threads() -> list[threading.Thread]:
    """Return the stores' threads that are still there after a moment: one that has said its last word may take a bit
    to end. A cache's home thread is none of them.
    """
    ours = [
        thread
        for thread in threading.enumerate()
        if thread.name.startswith("semcache-") and thread.name != "semcache-home"
    ]
    for thread in ours:
        thread.join(timeout=1.0)
    return [thread for thread in ours if thread.is_alive()]
