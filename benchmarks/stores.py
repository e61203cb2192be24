"""Store figures: search, look-up and memory of the built-in stores, each beside a ceiling taken in the same run.

    python benchmarks/stores.py [--smoke]

Ceilings: a bare numpy product with argmax for a search, ``dict.get`` for a look-up in memory, a bare SELECT of the
same row for SQLite, and 1,736 bytes (384 float32 and a 200-byte answer) for an entry. Store and ceiling are measured in
turn, round by round, so that whatever else the machine does meets both; the median of the rounds' ratios is printed,
and the best round's microseconds. Keys are distinct and asked in random order. Memory is what the resident set of a
fresh process grows by, embedding cache, digests and all, for entries stored through ``SemanticCache``.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import numpy as np

from semcache_core import SemanticCache
from semcache_core.builtin.memory import MemoryResponseStore, MemoryVectorStore
from semcache_core.builtin.sqlite import SqliteResponseStore
from semcache_core.config import load
from semcache_core.testing import CountingEmbedder
from semcache_core.types import Point, Space, Vector

DIMENSIONS = 384
RECORD = 375
"""Bytes of a record with a 200-byte answer."""
ROUNDS = 15
CEILING_BYTES = DIMENSIONS * 4 + 200

Pair = tuple[float, float]
"""Seconds a call: the ceiling's, then the store's."""


def report(name: str, rounds: Sequence[Pair], *, bound: str) -> None:
    """Print the best round's microseconds and the median ratio of the rounds."""
    ratio = statistics.median(ours / ceiling for ceiling, ours in rounds)
    ceiling, ours = (min(times) * 1e6 for times in zip(*rounds, strict=True))
    print(f"{name:46} {ceiling:9.2f} us {ours:9.2f} us  {ratio:6.2f}x  {bound}")


def timed(call: Callable[[Any], object], asked: Sequence[Any]) -> float:
    """Return seconds a call."""
    began = time.perf_counter()
    for each in asked:
        call(each)
    return (time.perf_counter() - began) / len(asked)


async def timed_async(call: Callable[[Any], Awaitable[object]], asked: Sequence[Any]) -> float:
    """Return seconds an awaited call."""
    began = time.perf_counter()
    for each in asked:
        await call(each)
    return (time.perf_counter() - began) / len(asked)


def units(count: int) -> Vector:
    """Return ``count`` random unit vectors."""
    rows = np.random.default_rng(count).standard_normal((count, DIMENSIONS)).astype(np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


# -- search -----------------------------------------------------------------------------------------------------------


async def search() -> None:
    """Search one scope of 1,000 and of 10,000 vectors, alone and beside 10,000 other scopes."""
    for crowd in (0, 10_000):
        async with MemoryVectorStore(MemoryVectorStore.Options()) as store:
            await store.prepare(Space(fingerprint="bench", dimensions=DIMENSIONS))
            lone = units(1)[0]
            await store.upsert(
                [Point(id=b"o%d" % n, scope=b"o%d" % n, vector=lone, keep_until=None) for n in range(crowd)]
            )
            for count, bound in ((1000, "1.5x"), (10_000, "1.25x")):
                rounds = await search_rounds(store, count)
                report(f"search of {count} vectors beside {crowd} scopes", rounds, bound=f"at most {bound}")


async def search_rounds(store: MemoryVectorStore, count: int) -> list[Pair]:
    """Fill a scope and search it for vectors that are in it, as a semantic hit does."""
    matrix, scope = units(count), b"%d" % count
    points = [Point(id=b"%d.%d" % (count, n), scope=scope, vector=row, keep_until=1e12) for n, row in enumerate(matrix)]
    await store.upsert(points)
    asked = [matrix[n].copy() for n in random.sample(range(count), 100)]
    return [
        (
            timed(lambda query: (matrix @ query).argmax(), asked),
            await timed_async(lambda query: store.search(query, scope=scope, limit=5, floor=0.9, now=0.0), asked),
        )
        for _ in range(ROUNDS * 3)
    ]


# -- look-up ----------------------------------------------------------------------------------------------------------


async def look_up_memory() -> None:
    """Look entries up by id in memory, at three sizes."""
    for count in (1000, 10_000, 100_000):
        async with MemoryResponseStore(MemoryResponseStore.Options()) as store:
            ids = [os.urandom(32) for _ in range(count)]
            held = {id: os.urandom(RECORD) for id in ids}
            for id, data in held.items():
                await store.set(id, bytes(data), keep_until=1e12, tags=(b"namespace", b"partition"))
            rounds = []
            for _ in range(ROUNDS):
                asked = random.sample(ids, min(count, 10_000))
                # Equal ids that are other objects, as digests of a request are.
                fresh = [bytes(bytearray(id)) for id in asked]
                rounds.append((timed(held.get, fresh), timed(lambda id: store.get_nowait(id, now=0.0), fresh)))
            report(f"peek in memory at {count} entries, beside dict.get", rounds, bound="under 1 us")


async def look_up_sqlite(folder: Path, count: int) -> None:
    """Look entries up in the file: nothing of them is kept in this process."""
    path = folder / "bench" / "semcache.db"
    async with SqliteResponseStore(SqliteResponseStore.Options(path=str(path))) as store:
        ids = [os.urandom(32) for _ in range(count)]
        began = time.perf_counter()
        for start in range(0, count, 64):
            calls = (
                store.set(id, os.urandom(RECORD), keep_until=1e12, tags=(b"namespace", b"partition"))
                for id in ids[start : start + 64]
            )
            await asyncio.gather(*calls)
        print(f"{'set in sqlite, 64 at a time':46} {'':12} {(time.perf_counter() - began) / count * 1e6:9.2f} us")
        with closing(sqlite3.connect(path, isolation_level=None)) as bare:

            def select(id: bytes) -> object:
                return bare.execute("SELECT data FROM responses WHERE id = ?", (id,)).fetchone()

            rounds = []
            for _ in range(ROUNDS):
                asked = random.sample(ids, count)
                rounds.append((timed(select, asked), timed(lambda id: store.get_nowait(id, now=0.0), asked)))
            report(f"peek in sqlite at {count} entries, beside SELECT", rounds, bound="about 10 us")


# -- memory -----------------------------------------------------------------------------------------------------------


class RandomEmbedder(CountingEmbedder):
    """Unit vectors at no cost: what is measured is what keeps them."""

    async def embed(self, texts: Sequence[str]) -> Vector:
        return units(1).repeat(len(texts), axis=0)


@asynccontextmanager
async def memory_cache() -> AsyncIterator[SemanticCache]:
    """Open a cache on the memory stores with everything on, as by default."""
    tables = {"vector_store": {"use": "memory"}, "response_store": {"use": "memory"}}
    async with SemanticCache(load(tables), embedder=RandomEmbedder(dimensions=DIMENSIONS)) as cache:
        yield cache


async def grow(scopes: int, count: int) -> None:
    """Store ``count`` answers in ``scopes`` scopes and print by how many bytes an entry this process grew."""
    async with memory_cache() as cache:
        for n in range(200):
            await cache.store(f"what is the meaning of number {n} in this warm-up", "x" * 200, context="warm")
        before = resident()
        for n in range(count):
            prompt = f"How do I change the delivery address of order {n}?"
            await cache.store(prompt, f"{n:0200d}", context={"conversation": n % scopes})
        print((resident() - before) / count)


def resident() -> int:
    """Return the bytes of this process that are in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def memory(count: int) -> None:
    """Measure in fresh processes, one for each number of scopes."""
    for scopes in (1, 1000):
        grown = subprocess.run(
            [sys.executable, __file__, "--grow", str(scopes), str(count)], capture_output=True, text=True, check=True
        )
        size = float(grown.stdout)
        name = f"memory an entry, {count} in {scopes} scopes"
        print(f"{name:46} {CEILING_BYTES:9} B  {size:9.0f} B   {size / CEILING_BYTES:6.2f}x  at most 2300 B")


def main() -> None:
    parser = argparse.ArgumentParser(description="Figures of the built-in stores.")
    parser.add_argument("--smoke", action="store_true", help="small sizes: that it runs, not what it costs")
    parser.add_argument("--grow", nargs=2, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.grow:
        asyncio.run(grow(*options.grow))
        return
    print(f"{'':46} {'ceiling':>12} {'semcache':>12}   ratio")
    asyncio.run(search())
    asyncio.run(look_up_memory())
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(look_up_sqlite(Path(folder), 1000 if options.smoke else 20_000))
    memory(2000 if options.smoke else 100_000)


if __name__ == "__main__":
    main()
