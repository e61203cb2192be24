"""The SQLite stores: bounds, uses, sweeps and stamps, beyond the contract of every store."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import numpy as np
import pytest

from semcache_core.builtin.sqlite import news, responses, room
from semcache_core.types import Point, Space, Stored

from .sqlite_stores import (
    MIB,
    SPACE,
    D,
    answers,
    change,
    data,
    found,
    point,
    put,
    rows,
    vectors,
    within_a_second,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "semcache.db"


# -- bounds -----------------------------------------------------------------------------------------------------------


def test_the_file_stays_within_its_bound_and_the_newest_answers_stay(path: Path) -> None:
    async def body() -> None:
        async with answers(path, max_bytes=2 * MIB) as store:
            for n in range(3000):
                await put(store, f"{n}", os.urandom(3000))
            assert path.stat().st_size <= 2.1 * MIB
            assert await data(store, "2999") is not None
            assert await data(store, "0") is None
            assert await store.count() > 300

    asyncio.run(body())


def test_a_bound_that_was_lowered_by_a_lot_is_reached_without_keeping_others_waiting(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "LONGEST", 0.0)

    async def body() -> None:
        async with answers(path) as store:
            await asyncio.gather(*(put(store, f"{n}", bytes(5000)) for n in range(500)))
        async with answers(path, max_bytes=MIB) as store:
            await put(store, "new")
            assert await store.count() == 500, "one of the old has gone"
            for _ in range(350):
                await put(store, "new")
            assert await store.count() < 260
            assert await data(store, "new") is not None

    asyncio.run(body())


def test_answers_in_use_outlive_others_that_are_younger(path: Path) -> None:
    async def body() -> None:
        async with answers(path, max_bytes=MIB) as store:
            for n in range(100):
                await put(store, f"{n}", bytes(5000))
            for n in range(100, 400):
                assert await data(store, "3") is not None
                await put(store, f"{n}", bytes(5000))
                if n % 20 == 0:
                    await asyncio.sleep(0.3)
            assert await data(store, "4") is None

    asyncio.run(body())


def test_an_answer_evicted_takes_its_vector_along_and_searches_see_it_within_a_second(path: Path) -> None:
    async def body() -> None:
        async with answers(path, max_bytes=MIB) as store, vectors(path, max_bytes=MIB) as index:
            await index.prepare(SPACE)
            await put(store, "a")
            await index.upsert([point("a", seed=1)])
            assert await found(index, 1) == [b"a"]
            for n in range(300):
                await put(store, f"{n}", bytes(5000))

            async def is_gone() -> bool:
                return await found(index, 1) == []

            assert await data(store, "a") is None
            assert await within_a_second(is_gone)
            assert await index.count() == 0

    asyncio.run(body())


def test_vectors_whose_answers_live_elsewhere_are_bounded_too_oldest_first(path: Path) -> None:
    async def body() -> None:
        async with vectors(path, max_bytes=MIB) as index:
            await index.prepare(Space(fingerprint="m", dimensions=384))
            wide = np.ones(384, np.float32)
            for begin in range(0, 2000, 50):
                await index.upsert(
                    [Point(id=b"%d" % n, scope=b"s", vector=wide, keep_until=None) for n in range(begin, begin + 50)]
                )
            assert path.stat().st_size <= 1.3 * MIB
            kept = {id for (id,) in rows(path, "SELECT id FROM vectors")}
            assert b"1999" in kept
            assert b"0" not in kept

            async def agrees() -> bool:
                return await index.count() == len(index._index or ())

            assert await within_a_second(agrees)

    asyncio.run(body())


def test_vectors_of_an_embedder_no_longer_used_go_first(path: Path) -> None:
    async def body() -> None:
        async with vectors(path) as index:
            await index.prepare(SPACE)
            await index.upsert([point(f"{n}", seed=n) for n in range(2000)])
        async with answers(path, max_bytes=MIB) as store, vectors(path, max_bytes=MIB) as index:
            await index.prepare(Space(fingerprint="newer", dimensions=D))
            await index.upsert([point("kept", seed=1)])
            await put(store, "kept")
            for n in range(4):
                await put(store, f"another {n}", bytes(225_000))
            assert await data(store, "kept") is not None
            assert rows(path, "SELECT count(*) FROM vectors WHERE id != x'6b657074'")[0][0] < 2000

    asyncio.run(body())


def test_memory_for_vectors_is_bounded_and_scopes_that_left_it_are_found_again(path: Path) -> None:
    async def body() -> None:
        async with vectors(path, max_memory=40_000) as index:
            await index.prepare(SPACE)
            for n in range(100):
                await index.upsert([point(f"{n}", scope=b"%d" % n, seed=n)])
            assert index._index is not None
            assert index._index.size <= 40_000
            for n in range(100):
                assert await found(index, n, scope=b"%d" % n) == [b"%d" % n]
                assert index.has_scope(b"%d" % n)
            assert index._index.size <= 40_000

    asyncio.run(body())


def test_a_scope_larger_than_memory_allows_is_still_found_whole(path: Path) -> None:
    async def body() -> None:
        async with vectors(path, max_memory=1) as index:
            await index.prepare(SPACE)
            await index.upsert([point(f"{n}", seed=n) for n in range(1500)])
        async with vectors(path, max_memory=1) as index:
            await index.prepare(SPACE)
            for n in (0, 700, 1499):
                assert await found(index, n) == [b"%d" % n]

    asyncio.run(body())


def test_tombstones_are_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(news, "TOMBSTONES_KEPT", 10)

    async def body() -> None:
        async with vectors(path) as index:
            await index.prepare(SPACE)
            await index.upsert([point(f"{n}") for n in range(100)])
            await index.delete([b"%d" % n for n in range(100)])
            await index.sweep(now=0.0)
            assert rows(path, "SELECT count(*) FROM gone") == [(10,)]

    asyncio.run(body())


def test_one_who_missed_deletions_that_are_no_longer_told_reads_anew(path: Path) -> None:
    async def body() -> None:
        async with vectors(path) as index:
            await index.prepare(SPACE)
            await index.upsert([point(f"{n}", seed=n) for n in range(20)])
            assert await found(index, 3) == [b"3"]
            change(path, "DELETE FROM vectors WHERE id = x'33'", "DELETE FROM gone")

            async def is_gone() -> bool:
                return await found(index, 3) == []

            assert await within_a_second(is_gone)
            assert await found(index, 4) == [b"4"]

    asyncio.run(body())


def test_an_answer_larger_than_a_quarter_of_the_bound_is_not_kept_and_drops_only_what_it_replaces(path: Path) -> None:
    async def body() -> None:
        async with answers(path, max_bytes=MIB) as store:
            await put(store, "small")
            await put(store, "large", b"old")
            await put(store, "large", bytes(50 * MIB))
            assert await data(store, "large") is None
            assert await data(store, "small") == b"data"
            assert path.stat().st_size <= MIB
            await put(store, "large", bytes(MIB // 4))
            assert await data(store, "large") == bytes(MIB // 4)
            assert await data(store, "small") == b"data"

    asyncio.run(body())


def test_large_answers_that_are_committed_together_do_not_let_the_file_grow(path: Path) -> None:
    async def body() -> None:
        async with answers(path, max_bytes=MIB) as store:
            await asyncio.gather(*(put(store, f"{n}", os.urandom(MIB // 5)) for n in range(100)))
            assert path.stat().st_size <= 1.3 * MIB
            assert await data(store, "99") is not None

    asyncio.run(body())


# -- hits, sweeps, stamps ---------------------------------------------------------------------------------------------


def test_a_hit_writes_nothing_in_the_foreground_and_its_use_is_known_within_a_second(path: Path) -> None:
    async def body() -> None:
        async with answers(path) as store:
            for n in range(50):
                await put(store, f"{n}")
            before = rows(path, "SELECT used FROM responses WHERE id = x'30'")
            assert await data(store, "0") == b"data"
            assert rows(path, "SELECT used FROM responses WHERE id = x'30'") == before

            async def is_known() -> bool:
                return rows(path, "SELECT used FROM responses WHERE id = x'30'") > before

            assert await within_a_second(is_known)

    asyncio.run(body())


def test_a_sweep_of_many_deletes_in_batches_and_counts_them(path: Path) -> None:
    async def body() -> None:
        async with answers(path) as store, vectors(path) as index:
            await index.prepare(SPACE)
            await asyncio.gather(*(put(store, f"{n}", keep_until=1.0) for n in range(responses.BATCH + 10)))
            await index.upsert([point(f"{n}", keep_until=1.0) for n in range(responses.BATCH + 10)])
            await index.upsert([point("stays", scope=b"t", seed=5)])
            assert await store.sweep(now=2.0) == responses.BATCH + 10
            assert await index.sweep(now=2.0) == responses.BATCH + 10
            assert not index.has_scope(b"s")
            assert await found(index, 5, scope=b"t") == [b"stays"]

    asyncio.run(body())


def test_old_stamps_that_nothing_carries_are_forgotten_and_the_others_stay(path: Path) -> None:
    async def body() -> None:
        async with answers(path) as store:
            await put(store, "a", tags=[b"carried"])
            await put(store, "b")
            await store.invalidate([b"carried"], before=1.0)
            await store.invalidate([b"%d" % n for n in range(20_000)], before=1.0)
            await store.invalidate([b"recent"], before=9_000.0)
            await store.sweep(now=10_000.0)
            kept = {bytes.fromhex(tag) for (tag,) in rows(path, "SELECT tag FROM stamps")}
            assert kept == {b"carried", b"recent"}
            assert await store.get([b"a"], now=0.0) == [Stored(data=b"data", invalidated_at=1.0)]

    asyncio.run(body())


def test_stamps_of_strangers_are_bounded_by_a_sweep_and_those_that_entries_carry_stay(path: Path) -> None:
    async def body() -> None:
        async with answers(path) as store:
            await put(store, "a", tags=[b"carried"])
            await store.invalidate([b"carried"], before=1.0)
            for n in range(3):
                await store.invalidate([b"stranger %d %d" % (n, m) for m in range(10_000)], before=9_000.0 + n)
            await store.sweep(now=9_100.0)
            kept = {bytes.fromhex(tag) for (tag,) in rows(path, "SELECT tag FROM stamps")}
            assert len(kept) == responses.STAMPS_KEPT + 1
            assert {b"carried", b"stranger 2 0"} <= kept

    asyncio.run(body())
