"""The contract of a vector store.

Similarities are exact by construction: vectors are built from the intended cosine.
"""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from semcache_core.errors import DimensionMismatch
from semcache_core.protocols import VectorStore
from semcache_core.testing._contract import promise
from semcache_core.testing._samples import START, cut_off, ident, random_units, scope_of, towards, within_a_second
from semcache_core.testing._vector_powers import SCOPE, VectorStorePowers
from semcache_core.types import Match, Point

OTHER_SCOPE = scope_of("another scope")
ROUGHLY = 0.05
"""The tolerance of tests that are not about exact similarities."""


class VectorStoreContract(VectorStorePowers):
    """What the engine relies on in a vector store::

        class TestRedisVectors(VectorStoreContract):
            shared = True
            promises = (SupportsSweep,)

            def make(self) -> VectorStore:
                return RedisVectorStore(RedisOptions(url=URL, prefix=self.prefix))

    Each test needs an empty store: create it in an autouse fixture of your class if necessary.
    """

    # -- searching ----------------------------------------------------------------------------------------------------

    @promise
    async def test_a_point_is_found_at_once_with_its_id_and_similarity(self, store: VectorStore) -> None:
        await store.upsert([self.point("a", 0.8)])
        (match,) = await self.near(store)
        assert type(match) is Match
        assert type(match.id) is bytes, "an id is bytes"
        assert type(match.similarity) is float, "a similarity is a plain float, which JSON can write"
        assert match.id == ident("a")

    @promise
    async def test_a_lonely_entry_is_found_among_200_scopes_with_20000_nearer_neighbours(
        self, store: VectorStore
    ) -> None:
        crowd = [self.point(f"{n}", 0.99, scope=scope_of(f"crowd {n % 200}"), axis=1 + n % 30) for n in range(20_000)]
        for begin in range(0, len(crowd), 1000):
            await store.upsert(crowd[begin : begin + 1000])
        await store.upsert([self.point("lonely", 0.9)])
        found = await self.near(store, floor=0.8)
        assert [match.id for match in found] == [ident("lonely")], "scope is a filter before the search, never after"

    @promise
    async def test_the_closest_come_first(self, store: VectorStore) -> None:
        shuffled = [0.5, 0.9, 0.1, 0.7, 0.3]
        await store.upsert([self.point(f"{s}", s) for s in shuffled])
        found = await self.near(store)
        assert [match.id for match in found] == [ident(f"{s}") for s in sorted(shuffled, reverse=True)]

    @promise
    async def test_no_more_than_the_limit_come_back(self, store: VectorStore) -> None:
        await store.upsert([self.point(f"{n}", n / 20) for n in range(20)])
        found = await self.near(store, limit=3)
        assert len(found) == 3
        assert _ids(found) == {ident("19"), ident("18"), ident("17")}, "the nearest ones, and no others"

    @promise
    async def test_nothing_below_the_floor_comes_back_and_what_is_on_it_does(self, store: VectorStore) -> None:
        # One half is exact in every float format, so the match is exactly on the floor.
        on_the_floor = np.zeros(self.dimensions, dtype=np.float32)
        on_the_floor[:4] = 0.5
        await store.upsert([self.point("above", 0.6), self.point("below", 0.45)])
        await store.upsert([Point(id=ident("on"), scope=SCOPE, vector=on_the_floor, keep_until=None)])
        found = await self.near(store, floor=0.5)
        assert _ids(found) == {ident("above"), ident("on")}

    @promise
    async def test_similarity_is_the_cosine(self, store: VectorStore) -> None:
        vectors = random_units(50, dimensions=self.dimensions)
        near_each_other = vectors + 2 * vectors[0]
        vectors = near_each_other / np.linalg.norm(near_each_other, axis=1, keepdims=True)
        await store.upsert(
            [Point(id=ident(f"{n}"), scope=SCOPE, vector=vector, keep_until=None) for n, vector in enumerate(vectors)]
        )
        found = await self.near(store, vectors[7], limit=50)
        cosines = {ident(f"{n}"): float(vector @ vectors[7]) for n, vector in enumerate(vectors)}
        assert len(found) == 50
        for match in found:
            assert match.similarity == pytest.approx(cosines[match.id], abs=self._tolerance)

    @promise
    async def test_an_opposite_vector_has_similarity_zero(self, store: VectorStore) -> None:
        await store.upsert([self.point("opposite", -0.9)])
        (match,) = await self.near(store, floor=0.0)
        assert match.similarity == 0.0, "similarity is max(0, cosine)"

    @promise
    async def test_an_empty_scope_has_no_neighbours(self, store: VectorStore) -> None:
        await store.upsert([self.point("a", scope=OTHER_SCOPE)])
        assert await self.near(store) == []

    # -- changing -----------------------------------------------------------------------------------------------------

    @promise
    async def test_an_upsert_replaces(self, store: VectorStore) -> None:
        await store.upsert([self.point("a", 0.9)])
        await store.upsert([self.point("a", 0.5)])
        (match,) = await self.near(store)
        assert match.similarity == pytest.approx(0.5, abs=ROUGHLY)

    @promise
    async def test_a_point_that_moves_to_another_scope_leaves_the_old_one(self, store: VectorStore) -> None:
        await store.upsert([self.point("a")])
        await store.upsert([self.point("a", scope=OTHER_SCOPE)])
        assert await self.near(store) == []
        assert [match.id for match in await self.near(store, scope=OTHER_SCOPE)] == [ident("a")]

    @promise
    async def test_of_one_id_twice_in_a_batch_the_last_stays(self, store: VectorStore) -> None:
        await store.upsert([self.point("a", 0.9), self.point("b", 0.4), self.point("a", 0.5)])
        found = {match.id: match.similarity for match in await self.near(store)}
        assert found == {ident("a"): pytest.approx(0.5, abs=ROUGHLY), ident("b"): pytest.approx(0.4, abs=ROUGHLY)}

    @promise
    async def test_an_array_that_changes_later_does_not_change_the_index(self, store: VectorStore) -> None:
        point = self.point("a")
        await store.upsert([point])
        point.vector[:] = 0.0
        (match,) = await self.near(store)
        assert match.similarity == pytest.approx(1.0, abs=ROUGHLY), "copy the vectors you keep"

    @promise
    async def test_a_deleted_point_is_not_found(self, store: VectorStore) -> None:
        await store.upsert([self.point("a"), self.point("b", 0.9), self.point("c", 0.8)])
        await store.delete([ident("a"), ident("c")])
        assert [match.id for match in await self.near(store)] == [ident("b")]

    @promise
    async def test_deleting_what_is_not_there_is_harmless(self, store: VectorStore) -> None:
        await store.upsert([self.point("a")])
        await store.delete([ident("never there")])
        assert [match.id for match in await self.near(store)] == [ident("a")]

    @promise
    async def test_empty_batches_are_harmless(self, store: VectorStore) -> None:
        await store.upsert([])
        await store.delete([])
        assert await store.count() == 0

    @promise
    async def test_count_counts_the_points(self, store: VectorStore) -> None:
        await store.upsert([self.point(f"{n}", scope=scope_of(f"{n % 3}")) for n in range(7)])
        await store.upsert([self.point("0", scope=scope_of("0"))])
        await store.delete([ident("1")])
        assert await store.count() == 6

    # -- time ---------------------------------------------------------------------------------------------------------

    @promise
    async def test_a_point_expires_by_the_given_now(self, store: VectorStore) -> None:
        await store.upsert([self.point("a", keep_until=START + 10)])
        assert len(await self.near(store, now=START + 9)) == 1
        assert await self.near(store, now=START + 10) == [], "expired: keep_until <= now"

    @promise
    async def test_expired_neighbours_do_not_hide_living_ones(self, store: VectorStore) -> None:
        await store.upsert([self.point(f"{n}", 0.99, keep_until=START + 10) for n in range(20)])
        await store.upsert([self.point("alive", 0.9, keep_until=START + 100)])
        assert [match.id for match in await self.near(store, limit=5, now=START + 50)] == [ident("alive")]

    @promise
    async def test_a_point_without_an_end_never_expires(self, store: VectorStore) -> None:
        await store.upsert([self.point("a", keep_until=None)])
        assert len(await self.near(store, now=START + 1e9)) == 1

    # -- spaces -------------------------------------------------------------------------------------------------------

    @promise
    async def test_storing_a_vector_of_wrong_length_raises(self, store: VectorStore) -> None:
        wrong = Point(id=ident("a"), scope=SCOPE, vector=towards(1.0, dimensions=self.dimensions + 1), keep_until=None)
        with pytest.raises(DimensionMismatch):
            await store.upsert([wrong])
        assert await store.count() == 0

    @promise
    async def test_searching_with_a_vector_of_wrong_length_raises(self, store: VectorStore) -> None:
        await store.upsert([self.point("a")])
        with pytest.raises(DimensionMismatch):
            await self.near(store, towards(1.0, dimensions=self.dimensions - 1))

    def test_vectors_of_3072_dimensions_are_kept(self) -> None:
        # Some indexes are limited to 2,000 dimensions; above it a store may use half precision.
        async def body() -> None:
            async with self.opened(dimensions=3072) as store:
                vector = random_units(1, dimensions=3072)[0]
                await store.upsert([Point(id=ident("a"), scope=SCOPE, vector=vector, keep_until=None)])
                (match,) = await self.near(store, vector)
                assert match.similarity == pytest.approx(1.0, abs=ROUGHLY)

        self.run(body)

    def test_spaces_never_mix(self) -> None:
        async def body() -> None:
            self._needs_sharing()
            async with self.opened(fingerprint="model/1") as store:
                await store.upsert([self.point("a")])
            async with self.opened(fingerprint="model/2") as store:
                assert await self.near(store) == [], "another embedder's vectors mean something else"
                assert await store.count() == 0
                await store.upsert([self.point("a", 0.5)])
            async with self.opened(fingerprint="model/1") as store:
                (match,) = await self.near(store)
                assert match.similarity == pytest.approx(1.0, abs=ROUGHLY)

        self.run(body)

    # -- sharing and misuse -------------------------------------------------------------------------------------------

    def test_points_outlive_the_component(self) -> None:
        async def body() -> None:
            self._needs_sharing()
            async with self.opened() as store:
                await store.upsert([self.point("a")])
            async with self.opened() as store:
                assert len(await self.near(store)) == 1

        self.run(body)

    @promise
    async def test_another_handle_sees_a_change_within_a_second(self, store: VectorStore) -> None:
        self._needs_sharing()
        async with self.opened() as other:

            async def sees(*names: str) -> bool:
                return _ids(await self.near(other)) == {ident(name) for name in names}

            assert await sees()
            await store.upsert([self.point("a"), self.point("b", 0.5)])
            assert await within_a_second(lambda: sees("a", "b"))
            await store.delete([ident("a")])
            assert await within_a_second(lambda: sees("b"))

    @promise
    async def test_50_concurrent_writes_all_land(self, store: VectorStore) -> None:
        await asyncio.gather(*(store.upsert([self.point(f"{n}", 0.4 + n / 100)]) for n in range(50)))
        assert await store.count() == 50
        assert _ids(await self.near(store, limit=50)) == {ident(f"{n}") for n in range(50)}

    @promise
    async def test_cancellation_leaves_it_usable(self, store: VectorStore) -> None:
        for turns in range(6):
            await cut_off(store.upsert([self.point(f"cut {turns}", scope=OTHER_SCOPE)]), after=turns)
            await cut_off(self.near(store), after=turns)
        await store.upsert([self.point("after")])
        assert [match.id for match in await self.near(store)] == [ident("after")]


def _ids(found: list[Match]) -> set[bytes]:
    return {match.id for match in found}
