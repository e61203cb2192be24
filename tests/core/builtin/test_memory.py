"""The memory stores: what they promise beyond the contract of every store."""

from __future__ import annotations

import asyncio
import random
from collections import OrderedDict
from collections.abc import Coroutine
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semcache_core.builtin.memory import MemoryResponseStore, MemoryVectorStore
from semcache_core.builtin.memory.index import CHUNK_ROWS, SCOPE_BYTES, VectorIndex
from semcache_core.builtin.memory.responses import ENTRY_BYTES, STAMPS_KEPT
from semcache_core.builtin.memory.slots import MISSING, Slots
from semcache_core.errors import NotOpenError
from semcache_core.types import Point, Space, Vector

D = 16
SPACE = Space(fingerprint="m", dimensions=D)
ROW_BYTES = VectorIndex(D)._row_bytes


def unit(seed: int) -> Vector:
    vector = np.random.default_rng(seed).standard_normal(D).astype(np.float32)
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def point(name: str, *, scope: bytes = b"s", seed: int = 0, keep_until: float | None = None) -> Point:
    return Point(id=name.encode(), scope=scope, vector=unit(seed), keep_until=keep_until)


def vectors(max_bytes: int = 2**30) -> MemoryVectorStore:
    return MemoryVectorStore(MemoryVectorStore.Options(max_bytes=max_bytes))


def responses(max_bytes: int = 2**30) -> MemoryResponseStore:
    return MemoryResponseStore(MemoryResponseStore.Options(max_bytes=max_bytes))


def finishes_at_once(call: Coroutine[Any, Any, Any]) -> bool:
    try:
        call.send(None)
    except StopIteration:
        return True
    call.close()
    return False


async def ids_held(store: MemoryResponseStore) -> set[bytes]:
    return {id for id, _ in await store.scan()}


# -- the index --------------------------------------------------------------------------------------------------------


def test_chunks_grow_from_eight_rows_to_the_cap_and_are_never_copied() -> None:
    index = VectorIndex(4)
    row = np.ones(4, np.float32)
    seen: list[int] = []
    for n in range(3 * CHUNK_ROWS[-1]):
        index.put(Point(id=b"%d" % n, scope=b"s", vector=row, keep_until=None))
        chunks = index._scopes[b"s"].chunks
        if len(chunks) > len(seen):
            seen.append(chunks[-1].__array_interface__["data"][0])
    chunks = index._scopes[b"s"].chunks
    assert [chunk.__array_interface__["data"][0] for chunk in chunks] == seen
    assert [len(chunk) for chunk in chunks] == [*CHUNK_ROWS, CHUNK_ROWS[-1], CHUNK_ROWS[-1]]


def test_what_is_left_after_deletions_is_still_found() -> None:
    index = VectorIndex(D)
    count = 2 * CHUNK_ROWS[-1] + 10
    for n in range(count):
        index.put(point(f"{n}", seed=n % 500))
    for n in range(count - 3):
        index.discard(b"%d" % n)
    for n in range(count - 3, count):
        found = index.search(unit(n % 500), scope=b"s", limit=1, floor=0.999, now=0.0)
        assert [match.id for match in found] == [b"%d" % n]


def test_chunks_are_given_back_when_their_rows_are_deleted() -> None:
    index = VectorIndex(4)
    for n in range(2000):
        index.put(Point(id=b"%d" % n, scope=b"s", vector=np.ones(4, np.float32), keep_until=None))
    for n in range(1990):
        index.discard(b"%d" % n)
    assert index._scopes[b"s"].rows <= CHUNK_ROWS[0] + CHUNK_ROWS[1]
    assert len(index) == 10


def test_a_scope_whose_last_point_is_deleted_takes_no_memory() -> None:
    index = VectorIndex(D)
    index.put(point("a"))
    index.discard(b"a")
    assert not index.has_scope(b"s")
    assert index.size == 0


def brute_force(held: dict[bytes, Point], query: Vector, *, scope: bytes, floor: float, now: float) -> list[bytes]:
    near = [
        (float(each.vector @ query), each.id)
        for each in held.values()
        if each.scope == scope and (each.keep_until is None or each.keep_until > now)
    ]
    return [id for cosine, id in sorted(near, reverse=True) if max(0.0, cosine) >= floor]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), floor=st.sampled_from([0.0, 0.1, 0.4]), size=st.integers(1, 300))
def test_searches_agree_with_brute_force_after_any_history(seed: int, floor: float, size: int) -> None:
    chance = random.Random(seed)
    index = VectorIndex(D)
    held: dict[bytes, Point] = {}
    for step in range(size):
        name = f"{chance.randrange(size // 2 + 1)}"
        if chance.random() < 0.3:
            index.discard(name.encode())
            held.pop(name.encode(), None)
        else:
            scope = b"%d" % chance.randrange(3)
            each = point(name, scope=scope, seed=seed + step, keep_until=chance.choice([None, 1.0, 9.0]))
            index.put(each)
            held[each.id] = each
    query = unit(seed + size + 1)
    for scope in (b"0", b"1", b"2"):
        expected = brute_force(held, query, scope=scope, floor=floor, now=5.0)
        found = index.search(query, scope=scope, limit=5, floor=floor, now=5.0)
        if floor:
            assert [match.id for match in found] == expected[:5]
        else:
            assert len(found) == len(expected[:5])
    assert len(index) == len(held)


def test_the_similarity_of_a_vector_with_itself_is_never_above_one() -> None:
    index = VectorIndex(D)
    for seed in range(200):
        index.put(point(f"{seed}", seed=seed))
        (best, *_) = index.search(unit(seed), scope=b"s", limit=1, floor=0.99, now=0.0)
        assert 0.99 < best.similarity <= 1.0


# -- slots: the hash table and the order of use ------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("atrf"), st.integers(0, 120)), max_size=600))
def test_slots_agree_with_a_dict_after_any_history(steps: list[tuple[str, int]]) -> None:
    slots, model = Slots(), OrderedDict[bytes, None]()
    for kind, number in steps:
        id = b"%d" % number
        slot = slots.find(id)
        assert (slot != MISSING) == (id in model)
        if kind == "a" and slot == MISSING:
            slots.add(id, keep_until=None)
            model[id] = None
        elif kind == "t" and slot != MISSING:
            slots.touch(slot)
            model.move_to_end(id)
        elif kind == "r" and slot != MISSING:
            slots.remove(slot)
            del model[id]
        elif kind == "f" and model:
            assert slots.ids[slots.oldest()] == next(iter(model)), "the one used least recently"
    assert sorted(slots.ids[slot] for slot in slots) == sorted(model)
    assert len(slots) == len(model)


def test_ids_that_share_a_home_in_the_table_are_all_found_and_removed() -> None:
    slots = Slots()
    crowd = [id for id in (b"%d" % n for n in range(4000)) if hash(id) & 63 >= 60][:30]
    for id in crowd:
        slots.add(id, keep_until=None)
    for gone, id in enumerate(crowd):
        slots.remove(slots.find(id))
        assert [slots.find(other) != MISSING for other in crowd] == [n > gone for n in range(30)]


# -- bounds -----------------------------------------------------------------------------------------------------------


def test_vectors_stay_within_their_bytes_and_the_least_recently_used_go_first() -> None:
    async def body() -> None:
        async with vectors(max_bytes=SCOPE_BYTES + 10 * ROW_BYTES) as store:
            await store.prepare(SPACE)
            await store.upsert([point(f"{n}", seed=n) for n in range(10)])
            await store.search(unit(0), scope=b"s", limit=1, floor=0.99, now=0.0)
            await store.upsert([point(f"{n}", seed=n) for n in range(10, 15)])
            assert await store.count() == 10
            for gone in (1, 2, 3, 4, 5):
                assert not await store.search(unit(gone), scope=b"s", limit=1, floor=0.99, now=0.0)
            assert await store.search(unit(0), scope=b"s", limit=1, floor=0.99, now=0.0), "a match counts as use"

    asyncio.run(body())


def test_eviction_takes_the_oldest_vector_of_all_scopes() -> None:
    async def body() -> None:
        async with vectors(max_bytes=2 * SCOPE_BYTES + 6 * ROW_BYTES) as store:
            await store.prepare(SPACE)
            for n in range(6):
                await store.upsert([point(f"{n}", scope=b"%d" % (n % 2), seed=n)])
            await store.upsert([point("new", scope=b"0", seed=99)])
            assert not await store.search(unit(0), scope=b"0", limit=1, floor=0.99, now=0.0)
            assert await store.search(unit(1), scope=b"1", limit=1, floor=0.99, now=0.0)
            assert await store.search(unit(99), scope=b"0", limit=1, floor=0.99, now=0.0)

    asyncio.run(body())


def test_responses_stay_within_their_bytes_and_the_least_recently_used_go_first() -> None:
    async def body() -> None:
        async with responses(max_bytes=10 * (100 + ENTRY_BYTES)) as store:
            for n in range(10):
                await store.set(b"%d" % n, bytes(100), keep_until=None, tags=())
            await store.get([b"0", b"2"], now=0.0)
            for n in range(10, 13):
                await store.set(b"%d" % n, bytes(100), keep_until=None, tags=())
            assert await ids_held(store) == {b"%d" % n for n in (0, 2, 5, 6, 7, 8, 9, 10, 11, 12)}

    asyncio.run(body())


def test_a_larger_answer_under_the_same_id_makes_room_too() -> None:
    async def body() -> None:
        async with responses(max_bytes=10 * (100 + ENTRY_BYTES)) as store:
            for n in range(10):
                await store.set(b"%d" % n, bytes(100), keep_until=None, tags=())
            await store.set(b"9", bytes(700), keep_until=None, tags=())
            assert await ids_held(store) == {b"%d" % n for n in range(2, 10)}

    asyncio.run(body())


def test_an_answer_larger_than_a_quarter_of_the_bound_is_not_kept_and_drops_only_what_it_replaces() -> None:
    async def body() -> None:
        async with responses(max_bytes=10_000) as store:
            await store.set(b"a", b"old", keep_until=None, tags=())
            await store.set(b"b", b"other", keep_until=None, tags=())
            await store.set(b"a", bytes(store.largest() + 1), keep_until=None, tags=())
            assert await ids_held(store) == {b"b"}
            await store.set(b"a", bytes(store.largest()), keep_until=None, tags=())
            assert await ids_held(store) == {b"a", b"b"}

    asyncio.run(body())


def test_a_bound_holds_through_any_churn() -> None:
    async def body() -> None:
        chance = random.Random(7)
        async with responses(max_bytes=200_000) as store:
            for n in range(5000):
                await store.set(b"%d" % chance.randrange(800), bytes(chance.randrange(2000)), keep_until=None, tags=())
                if n % 3 == 0:
                    await store.delete([b"%d" % chance.randrange(800)])
            held = await store.scan(limit=10_000)
            assert sum(len(stored.data) for _, stored in held) == store._bytes
            assert store._bytes + len(held) * ENTRY_BYTES <= 200_000

    asyncio.run(body())


# -- stamps, tags, sweeping -------------------------------------------------------------------------------------------


def test_equal_tags_are_kept_once_and_forgotten_with_their_last_entry() -> None:
    async def body() -> None:
        async with responses() as store:
            for n in range(100):
                await store.set(b"%d" % n, b"", keep_until=None, tags=[b"red", b"green"])
            assert len(store._shared) == 1
            await store.delete([b"%d" % n for n in range(100)])
            assert not store._shared

    asyncio.run(body())


def test_old_stamps_that_nothing_carries_are_forgotten_and_the_others_stay() -> None:
    async def body() -> None:
        async with responses() as store:
            await store.set(b"a", b"", keep_until=None, tags=[b"carried"])
            await store.invalidate([b"carried"], before=1.0)
            await store.invalidate([b"%d" % n for n in range(20_000)], before=1.0)
            await store.invalidate([b"recent"], before=9_000.0)
            await store.sweep(now=10_000.0)
            assert set(store._stamps) == {b"carried", b"recent"}

    asyncio.run(body())


def test_a_sweep_of_many_lets_others_run_in_between() -> None:
    async def body() -> None:
        beats = 0

        async def beat() -> None:
            nonlocal beats
            while True:
                beats += 1
                await asyncio.sleep(0)

        async with vectors() as store, responses() as answers:
            await store.prepare(SPACE)
            for n in range(5000):
                await store.upsert([point(f"{n}", keep_until=1.0)])
                await answers.set(b"%d" % n, b"", keep_until=1.0, tags=())
            heart = asyncio.create_task(beat())
            assert await store.sweep(now=2.0) == 5000
            assert await answers.sweep(now=2.0) == 5000
            heart.cancel()
            assert beats >= 8
            assert await store.count() == await answers.count() == 0

    asyncio.run(body())


# -- life cycle -------------------------------------------------------------------------------------------------------


def test_no_call_on_the_request_path_suspends() -> None:
    async def body() -> None:
        async with vectors() as store, responses() as answers:
            await store.prepare(SPACE)
            assert finishes_at_once(store.upsert([point("a")]))
            assert finishes_at_once(store.search(unit(0), scope=b"s", limit=5, floor=0.9, now=0.0))
            assert finishes_at_once(store.delete([b"a"]))
            assert finishes_at_once(answers.set(b"a", b"x", keep_until=None, tags=()))
            assert finishes_at_once(answers.get([b"a"], now=0.0))
            assert finishes_at_once(answers.invalidate([b"t"], before=1.0))
            assert finishes_at_once(answers.delete([b"a"]))

    asyncio.run(body())


def test_contents_and_secret_end_with_the_block() -> None:
    async def body() -> None:
        store = responses()
        async with store:
            await store.set(b"a", b"x", keep_until=None, tags=())
            first = store.identity_secret()
        async with store:
            assert await store.count() == 0
            assert store.identity_secret() != first

    asyncio.run(body())


def test_without_a_space_a_vector_store_is_empty_and_says_what_is_missing() -> None:
    async def body() -> None:
        async with vectors() as store:
            assert (await store.count(), await store.sweep(now=0.0), store.has_scope(b"s")) == (0, 0, False)
            await store.delete([b"a"])
            with pytest.raises(NotOpenError, match="prepare"):
                await store.search(unit(0), scope=b"s", limit=1, floor=0.0, now=0.0)

    asyncio.run(body())


def test_another_space_starts_empty_and_the_same_one_keeps_what_is_there() -> None:
    async def body() -> None:
        async with vectors() as store:
            await store.prepare(SPACE)
            await store.upsert([point("a")])
            await store.prepare(SPACE)
            assert await store.count() == 1
            await store.prepare(Space(fingerprint="other", dimensions=D))
            assert await store.count() == 0

    asyncio.run(body())


def test_stamps_of_strangers_are_bounded_at_once_and_those_that_entries_carry_stay() -> None:
    async def body() -> None:
        async with responses() as store:
            await store.set(b"a", b"", keep_until=None, tags=[b"carried"])
            await store.invalidate([b"carried"], before=1.0)
            for n in range(50_000):
                await store.invalidate([b"stranger %d" % n], before=float(n))
                assert len(store._stamps) <= 2 * STAMPS_KEPT + 1
            assert {b"carried", b"stranger 49999"} <= set(store._stamps)

    asyncio.run(body())
