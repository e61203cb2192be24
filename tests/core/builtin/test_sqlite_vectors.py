"""SQLite vectors in memory: read once, kept current, agreed on by all who share the file."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from semcache_core.builtin.sqlite import SqliteVectorStore

from .sqlite_stores import (
    SPACE,
    fill,
    found,
    point,
    rows,
    unit,
    vectors,
    within_a_second,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "semcache.db"


@pytest.fixture
def filled(path: Path) -> Path:
    """Return a file that holds 200 answers and as many vectors."""
    fill(path)
    return path


# -- scopes in memory -------------------------------------------------------------------------------------------------


def test_a_search_of_a_scope_in_memory_never_suspends(filled: Path) -> None:
    async def body() -> None:
        async with vectors(filled) as index:
            await index.prepare(SPACE)
            await found(index, 1)
            with pytest.raises(StopIteration) as ended:
                index.search(unit(2), scope=b"s", limit=5, floor=0.99, now=0.0).send(None)
            assert [match.id for match in ended.value.value] == [b"2"]

    asyncio.run(body())


def test_fifty_searches_of_a_scope_read_it_once(filled: Path) -> None:
    async def body() -> None:
        async with vectors(filled) as index:
            await index.prepare(SPACE)
            results = await asyncio.gather(*(found(index, n) for n in range(50)))
            assert results == [[b"%d" % n] for n in range(50)]
            assert not index._loading

    asyncio.run(body())


def test_one_who_gives_up_does_not_stop_the_reading_for_others(filled: Path) -> None:
    async def body() -> None:
        async with vectors(filled) as index:
            await index.prepare(SPACE)
            impatient, patient = asyncio.create_task(found(index, 1)), asyncio.create_task(found(index, 2))
            await asyncio.sleep(0)
            impatient.cancel()
            assert await patient == [b"2"]

    asyncio.run(body())


def test_writes_while_a_scope_is_being_read_are_in_it(path: Path) -> None:
    async def body() -> None:
        async with vectors(path) as index:
            await index.prepare(SPACE)
            await index.upsert([point(f"{n}", seed=n) for n in range(3000)])
        async with vectors(path) as index:
            await index.prepare(SPACE)
            reading = asyncio.create_task(found(index, 2999))
            await asyncio.sleep(0)
            await asyncio.gather(index.delete([b"0"]), index.upsert([point("late", seed=9000)]))
            assert await reading == [b"2999"]
            assert await found(index, 0) == []
            assert await found(index, 9000) == [b"late"]
            assert index._index is not None
            assert len(index._index) == await index.count() == 3000

    asyncio.run(body())


@pytest.mark.parametrize("seed", range(3))
def test_handles_that_change_the_same_points_agree_within_a_second(path: Path, seed: int) -> None:
    scopes = [b"0", b"1", b"2"]

    async def change_things(index: SqliteVectorStore, chance: random.Random) -> None:
        for _ in range(150):
            name, scope = f"{chance.randrange(30)}", chance.choice(scopes)
            if chance.random() < 0.4:
                await index.delete([name.encode()])
            elif chance.random() < 0.7:
                await index.upsert([point(name, scope=scope, seed=chance.randrange(1000))])
            else:
                await found(index, 0, scope=scope)
            await asyncio.sleep(chance.random() * 0.01)

    async def seen(index: SqliteVectorStore) -> set[tuple[bytes, bytes, bytes]]:
        for scope in scopes:
            await found(index, 0, scope=scope)
        held = index._index
        assert held is not None
        return {
            (scope, held.slots.ids[slot], group.place(row)[0][group.place(row)[1]].tobytes())
            for scope, group in held._scopes.items()
            for row, slot in enumerate(group.slots)
        }

    async def body() -> None:
        # One of them keeps hardly anything in memory, so that scopes come and go while they change.
        async with vectors(path) as one, vectors(path) as two, vectors(path, max_memory=1) as small:
            handles = (one, two, small)
            for index in handles:
                await index.prepare(SPACE)
            await asyncio.gather(
                *(change_things(index, random.Random(seed * 10 + n)) for n, index in enumerate(handles))
            )

            async def agree() -> bool:
                truth = set(rows(path, "SELECT scope, id, vector FROM vectors"))
                return await seen(one) == await seen(two) == truth and await seen(small) <= truth

            assert await within_a_second(agree)

    asyncio.run(body())


def test_a_cancelled_upsert_that_landed_is_found(path: Path) -> None:
    async def body() -> None:
        async with vectors(path) as index:
            await index.prepare(SPACE)
            writing = asyncio.create_task(index.upsert([point("a")]))
            await asyncio.sleep(0)
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
            await index.upsert([point("b", seed=1)])
            assert await found(index, 0) == ([b"a"] if await index.count() == 2 else [])

    asyncio.run(body())
