"""Each wrong vector store breaks one rule, and is caught by the tests that are named for it and by no others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pytest

from semcache_core.errors import StoreUnavailable
from semcache_core.protocols import SupportsScopes, SupportsSweep, VectorStore
from semcache_core.testing import VectorStoreContract
from semcache_core.types import Match, Point, Space, Vector

from .right import DictVectors
from .runner import broken, promises, skipped

WRONG: dict[type[DictVectors], set[str]] = {}


def caught_by(*names: str) -> Any:
    """Note by which tests a wrong store is to be caught."""

    def note(store: type[DictVectors]) -> type[DictVectors]:
        WRONG[store] = set(names)
        return store

    return note


class TestRight(VectorStoreContract):
    shared = True
    promises = (SupportsScopes, SupportsSweep)
    store: ClassVar[type[DictVectors]] = DictVectors

    @cached_property
    def place(self) -> dict[Any, dict[bytes, Point]]:
        return {}

    def make(self) -> VectorStore:
        return self.store(self.place)


@caught_by("test_a_point_is_found_at_once_with_its_id_and_similarity")
class GivesNumpyFloats(DictVectors):
    def similarity(self, vector: Vector, point: Point) -> Any:
        return np.float32(super().similarity(vector, point))


@caught_by("test_a_lonely_entry_is_found_among_200_scopes_with_20000_nearer_neighbours")
class FiltersAfterTheSearch(DictVectors):
    def in_scope(self, scope: bytes, vector: Vector) -> list[Point]:
        nearest = sorted(self.points.values(), key=lambda point: -float(vector @ point.vector))[:100]
        return [point for point in nearest if point.scope == scope]


@caught_by("test_the_closest_come_first")
class GivesTheFarthestFirst(DictVectors):
    def best(self, near: list[Match], limit: int) -> list[Match]:
        return super().best(near, limit)[::-1]


@caught_by("test_no_more_than_the_limit_come_back")
class IgnoresTheLimit(DictVectors):
    def best(self, near: list[Match], limit: int) -> list[Match]:
        return super().best(near, 1000)


@caught_by("test_nothing_below_the_floor_comes_back_and_what_is_on_it_does")
class IgnoresTheFloor(DictVectors):
    def reaches(self, similarity: float, floor: float) -> bool:
        return True


@caught_by(
    "test_nothing_below_the_floor_comes_back_and_what_is_on_it_does", "test_an_opposite_vector_has_similarity_zero"
)
class LeavesOutWhatIsOnTheFloor(DictVectors):
    def reaches(self, similarity: float, floor: float) -> bool:
        return similarity > floor


@caught_by("test_similarity_is_the_cosine")
class RoundsVectors(DictVectors):
    def similarity(self, vector: Vector, point: Point) -> float:
        return max(0.0, float(vector @ np.round(point.vector * 60) / 60))


@caught_by("test_an_opposite_vector_has_similarity_zero")
class GivesNegativeSimilarities(DictVectors):
    def similarity(self, vector: Vector, point: Point) -> float:
        return float(vector @ point.vector)

    def reaches(self, similarity: float, floor: float) -> bool:
        return max(0.0, similarity) >= floor


@caught_by("test_an_empty_scope_has_no_neighbours", "test_a_point_that_moves_to_another_scope_leaves_the_old_one")
class LooksElsewhereIfAScopeIsEmpty(DictVectors):
    def in_scope(self, scope: bytes, vector: Vector) -> list[Point]:
        return super().in_scope(scope, vector) or list(self.points.values())


@caught_by("test_an_upsert_replaces")
class KeepsTheFirstVector(DictVectors):
    def put(self, point: Point) -> None:
        old = self.points.get(point.id)
        same_scope_and_older = old is not None and old.scope == point.scope and self.batch is not self.of.get(point.id)
        self.of[point.id] = self.batch
        if not same_scope_and_older:
            super().put(point)

    def __init__(self, place: dict[Any, dict[bytes, Point]]) -> None:
        super().__init__(place)
        self.of: dict[bytes, object] = {}
        self.batch = object()

    async def upsert(self, points: Sequence[Point]) -> None:
        self.batch = object()
        await super().upsert(points)


@caught_by("test_a_point_that_moves_to_another_scope_leaves_the_old_one")
class LeavesACopyInTheOldScope(DictVectors):
    def put(self, point: Point) -> None:
        old = self.points.get(point.id)
        super().put(point)
        if old is not None and old.scope != point.scope:
            self.points[b"old " + point.id] = old


@caught_by("test_of_one_id_twice_in_a_batch_the_last_stays")
class TakesTheFirstOfABatch(DictVectors):
    async def upsert(self, points: Sequence[Point]) -> None:
        await super().upsert(points[::-1])


@caught_by("test_an_array_that_changes_later_does_not_change_the_index")
class KeepsTheCallersArray(DictVectors):
    def put(self, point: Point) -> None:
        self.points[point.id] = point


@caught_by("test_a_deleted_point_is_not_found")
class DeletesTheFirstOnly(DictVectors):
    async def delete(self, ids: Sequence[bytes]) -> None:
        await super().delete(ids[:1])


@caught_by("test_deleting_what_is_not_there_is_harmless")
class RaisesOnUnknownIds(DictVectors):
    async def delete(self, ids: Sequence[bytes]) -> None:
        self.check_open()
        for id in ids:
            del self.points[id]


@caught_by("test_empty_batches_are_harmless")
class RaisesOnEmptyBatches(DictVectors):
    async def upsert(self, points: Sequence[Point]) -> None:
        if not points:
            raise StoreUnavailable("syntax error at or near VALUES")
        await super().upsert(points)


@caught_by("test_count_counts_the_points")
class CountsWrites(DictVectors):
    written = 0

    def put(self, point: Point) -> None:
        super().put(point)
        self.written += 1

    async def count(self) -> int:
        return self.written if len(self.points) == 6 else len(self.points)


@caught_by("test_a_point_expires_by_the_given_now", "test_expired_neighbours_do_not_hide_living_ones")
class ExpiresByItsOwnClock(DictVectors):
    def remaining(self, point: Point, now: float) -> bool:
        own = time.time() if self.searching else now
        return super().remaining(point, own)

    searching = False

    async def search(self, vector: Vector, **options: Any) -> list[Match]:
        self.searching = True
        found = await super().search(vector, **options)
        self.searching = False
        return found


@caught_by("test_a_point_expires_by_the_given_now", "test_a_sweep_deletes_what_has_expired_and_nothing_else")
class ExpiresTooLate(DictVectors):
    def remaining(self, point: Point, now: float) -> bool:
        return point.keep_until is None or point.keep_until >= now


@caught_by("test_expired_neighbours_do_not_hide_living_ones")
class LimitsBeforeItLooksAtExpiry(DictVectors):
    def in_scope(self, scope: bytes, vector: Vector) -> list[Point]:
        found = super().in_scope(scope, vector)
        return sorted(found, key=lambda point: -float(vector @ point.vector))[:5] if len(found) == 21 else found


@caught_by("test_a_point_without_an_end_never_expires")
class TakesNoEndForAYear(DictVectors):
    def remaining(self, point: Point, now: float) -> bool:
        return super().remaining(point, now) and now < 4_102_444_800.0 + 365 * 86400


@caught_by("test_storing_a_vector_of_wrong_length_raises")
class CutsWhatItStores(DictVectors):
    def check_length(self, vector: Vector) -> None:
        pass

    def check_query(self, vector: Vector) -> None:
        super().check_length(vector)


@caught_by("test_searching_with_a_vector_of_wrong_length_raises")
class FindsNothingForAWrongQuery(DictVectors):
    async def search(self, vector: Vector, **options: Any) -> list[Match]:
        self.check_open()
        return await super().search(vector, **options) if vector.shape == (self.space.dimensions,) else []


@caught_by("test_vectors_of_3072_dimensions_are_kept")
class EndsAt2000Dimensions(DictVectors):
    def put(self, point: Point) -> None:
        if len(point.vector) > 2000:
            raise StoreUnavailable("column cannot have more than 2000 dimensions for hnsw index")
        super().put(point)


@caught_by("test_spaces_never_mix")
class KnowsOneSpace(DictVectors):
    def key(self) -> object:
        return self.space.dimensions


@caught_by("test_points_outlive_the_component", "test_spaces_never_mix")
class ForgetsAtClose(DictVectors):
    async def __aexit__(self, *error: Any) -> bool | None:
        self.place.clear()
        return await super().__aexit__(*error)


@caught_by("test_another_handle_sees_a_change_within_a_second")
class NeverLooksForOthersChanges(DictVectors):
    async def prepare(self, space: Space) -> None:
        await super().prepare(space)
        self.mine = dict(self.points)

    def put(self, point: Point) -> None:
        super().put(point)
        self.mine[point.id] = self.points[point.id]

    async def delete(self, ids: Sequence[bytes]) -> None:
        await super().delete(ids)
        for id in ids:
            self.mine.pop(id, None)

    def in_scope(self, scope: bytes, vector: Vector) -> list[Point]:
        return [point for point in self.mine.values() if point.scope == scope]


@caught_by("test_50_concurrent_writes_all_land")
class LosesConcurrentWrites(DictVectors):
    async def upsert(self, points: Sequence[Point]) -> None:
        before = dict(self.points)
        await super().upsert(points)
        after = {point.id: self.points[point.id] for point in points}
        self.points.clear()
        self.points.update(before | after)


@caught_by("test_cancellation_leaves_it_usable")
class StaysBrokenAfterCancellation(DictVectors):
    was_cancelled = False

    async def upsert(self, points: Sequence[Point]) -> None:
        if self.was_cancelled:
            raise StoreUnavailable("another operation is in progress")
        try:
            await super().upsert(points)
        except asyncio.CancelledError:
            self.was_cancelled = True
            raise


@caught_by("test_its_powers_are_the_promised_ones")
class HasAPowerThatNobodyPromised(DictVectors):
    def notices(self) -> Sequence[str]:
        return ()


@caught_by("test_a_scope_that_holds_a_point_is_never_called_empty")
class CallsAScopeEmptyAfterADeletion(DictVectors):
    deleted = False

    async def delete(self, ids: Sequence[bytes]) -> None:
        await super().delete(ids)
        self.deleted = True

    def has_scope(self, scope: bytes) -> bool:
        return super().has_scope(scope) and not self.deleted


@caught_by("test_a_sweep_deletes_what_has_expired_and_nothing_else")
class SweepsWhatNeverExpires(DictVectors):
    async def sweep(self, *, now: float) -> int:
        swept = await super().sweep(now=now)
        await self.delete([point.id for point in self.points.values() if point.keep_until is None])
        return swept


@caught_by("test_use_before_open_raises_not_open")
class WorksWithoutBeingOpened(DictVectors):
    def __init__(self, place: dict[Any, dict[bytes, Point]]) -> None:
        super().__init__(place)
        self.is_open = True
        self.space = Space(fingerprint="kit/1", dimensions=32)


@caught_by("test_use_after_close_raises_not_open")
class WorksAfterItWasClosed(DictVectors):
    async def __aexit__(self, *error: Any) -> bool | None:
        return None


@caught_by("test_closing_twice_is_harmless")
class RaisesWhenClosedTwice(DictVectors):
    async def __aexit__(self, *error: Any) -> bool | None:
        self.check_open()
        return await super().__aexit__(*error)


@caught_by("test_closing_leaves_no_task_behind")
class LeavesATaskBehind(DictVectors):
    async def __aenter__(self) -> Any:
        self.task = asyncio.create_task(asyncio.sleep(3600))
        return await super().__aenter__()


@caught_by("test_an_error_in_the_block_is_not_swallowed")
class SwallowsErrors(DictVectors):
    async def __aexit__(self, *error: Any) -> bool | None:
        await super().__aexit__(*error)
        return True


@pytest.mark.parametrize("store", WRONG, ids=lambda store: store.__name__)
def test_a_wrong_store_is_caught_by_the_tests_named_for_its_fault(store: type[DictVectors]) -> None:
    contract = type("Wrong", (TestRight,), {"store": store})
    assert broken(contract) == WRONG[store]


def test_every_promise_has_a_store_that_breaks_it() -> None:
    assert set().union(*WRONG.values()) == set(promises(TestRight))


def test_a_store_without_powers_skips_what_it_does_not_promise() -> None:
    class Plain(DictVectors):
        has_scope = None
        sweep = None

    class Contract(VectorStoreContract):
        def make(self) -> VectorStore:
            return Plain({})

    assert broken(Contract) == set()
    assert skipped(Contract) == {
        "test_a_scope_that_holds_a_point_is_never_called_empty",
        "test_a_sweep_deletes_what_has_expired_and_nothing_else",
        "test_another_handle_sees_a_change_within_a_second",
        "test_points_outlive_the_component",
        "test_spaces_never_mix",
    }
