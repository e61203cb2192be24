"""A process of its own with both SQLite stores open, told what to do line by line: run by test_sqlite_processes.py.

python sqlite_process.py serve PATH [MAX_BYTES]   obeys JSON commands on stdin, answers each with one JSON line
python sqlite_process.py write PATH               writes without end and says each id once it is acknowledged
python sqlite_process.py fill PATH BYTES          writes under a limit on file sizes, as on a full disk
python sqlite_process.py forget PATH              opens, writes, and ends without closing
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import resource
import sys
from typing import Any

import numpy as np

from semcache_core.builtin.sqlite import SqliteResponseStore, SqliteVectorStore
from semcache_core.errors import StoreUnavailable
from semcache_core.types import Point, Space, Vector

D = 16
SPACE = Space(fingerprint="m", dimensions=D)


def unit(seed: int) -> Vector:
    vector = np.random.default_rng(seed).standard_normal(D).astype(np.float32)
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def content(id: str) -> bytes:
    """What belongs under an id: long, and different for every id, so that nothing torn goes unseen."""
    return hashlib.blake2b(id.encode()).digest() * 500


def stores(path: str, **options: Any) -> tuple[SqliteResponseStore, SqliteVectorStore]:
    return (
        SqliteResponseStore(SqliteResponseStore.Options(path=path, **options)),
        SqliteVectorStore(SqliteVectorStore.Options(path=path, **options)),
    )


async def obey(store: SqliteResponseStore, index: SqliteVectorStore, command: dict[str, Any]) -> Any:
    id = command.get("id", "").encode()
    match command["do"]:
        case "set":
            tags = [tag.encode() for tag in command.get("tags", [])]
            await store.set(id, command["data"].encode() * command.get("times", 1), keep_until=None, tags=tags)
        case "get":
            (found,) = await store.get([id], now=0.0)
            return None if found is None else [found.data.decode(), found.invalidated_at]
        case "delete":
            await index.delete([id])
            await store.delete([id])
        case "invalidate":
            await store.invalidate([command["tag"].encode()], before=command["at"])
        case "upsert":
            await index.upsert([Point(id=id, scope=b"s", vector=unit(command["seed"]), keep_until=None)])
        case "search":
            found_ids = await index.search(unit(command["seed"]), scope=b"s", limit=5, floor=0.99, now=0.0)
            return [match.id.decode() for match in found_ids]
        case "has_scope":
            return index.has_scope(b"s")
        case "secret":
            return store.identity_secret().hex()
    return None


async def serve(path: str, options: dict[str, Any]) -> None:
    store, index = stores(path, **options)
    async with store, index:
        await index.prepare(SPACE)
        print(json.dumps("ready"), flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            try:
                answer = await obey(store, index, json.loads(line))
            except StoreUnavailable:
                answer = "unavailable"
            print(json.dumps(answer), flush=True)


async def write(path: str) -> None:
    store, index = stores(path)
    async with store, index:
        await index.prepare(SPACE)
        number = 0
        while True:
            ids = [f"{os.getpid()}-{number + n}" for n in range(8)]
            await asyncio.gather(*(store.set(i.encode(), content(i), keep_until=None, tags=[b"t"]) for i in ids))
            await index.upsert([Point(id=i.encode(), scope=b"s", vector=unit(7), keep_until=None) for i in ids])
            print(json.dumps(ids), flush=True)
            number += 8


async def fill(path: str, size: int) -> None:
    store, index = stores(path)
    async with store, index:
        await index.prepare(SPACE)
        await store.set(b"first", b"here", keep_until=None, tags=())
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        refused = 0
        for n in range(100):
            try:
                await store.set(b"%d" % n, os.urandom(size // 20), keep_until=None, tags=())
                await index.upsert([Point(id=b"%d" % n, scope=b"s", vector=unit(n), keep_until=None)])
            except StoreUnavailable:
                refused += 1
        (first,) = await store.get([b"first"], now=0.0)
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        await store.set(b"last", b"here too", keep_until=None, tags=())
        (last,) = await store.get([b"last"], now=0.0)
        print(json.dumps({"refused": refused, "read": first is not None, "written again": last is not None}))


async def forget(path: str) -> None:
    store, index = stores(path)
    await store.__aenter__()
    await index.__aenter__()
    await index.prepare(SPACE)
    await store.set(b"a", b"here", keep_until=None, tags=())
    print(json.dumps("written"), flush=True)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", where, *bound]:
            asyncio.run(serve(where, {"max_bytes": int(bound[0])} if bound else {}))
        case ["write", where]:
            asyncio.run(write(where))
        case ["fill", where, limit]:
            asyncio.run(fill(where, int(limit)))
        case ["forget", where]:
            asyncio.run(forget(where))
