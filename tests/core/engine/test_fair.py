"""Bounded and fair between partitions: who gets a turn, and who loses a place."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semcache_core.engine.fair import FairQueue, FairTable

PARTITIONS = st.sampled_from([b"a", b"b", b"c", b"d"])
Item = tuple[bytes, int, int]
"""Partition, key, places."""
PUTS = st.lists(st.tuples(PARTITIONS, st.integers(0, 9), st.integers(1, 4)), max_size=60)
quick = settings(max_examples=50, deadline=None, database=None)


def filled(puts: list[Item], *, places: int = 12) -> tuple[FairQueue[int, Item], list[Item]]:
    """Return a queue after these puts, and what it holds by its own account of what was lost."""
    queue: FairQueue[int, Item] = FairQueue(places)
    held: dict[tuple[bytes, int], Item] = {}
    for item in puts:
        partition, key, size = item
        held[partition, key] = item
        for lost in queue.put(partition, key, item, places=size):
            del held[lost[:2]]
    return queue, list(held.values())


@quick
@given(PUTS)
def test_it_holds_what_was_not_lost_and_never_more_than_its_places(puts: list[Item]) -> None:
    queue, held = filled(puts)
    assert len(queue) == sum(size for _, _, size in held) <= 12
    assert sorted(queue.drain()) == sorted(held)
    assert len(queue) == 0


@quick
@given(PUTS)
def test_with_k_partitions_waiting_each_gets_a_turn_within_k_takes(puts: list[Item]) -> None:
    queue, held = filled(puts)
    waiting = {partition for partition, _, _ in held}
    assert {queue.take()[0] for _ in waiting} == waiting


@quick
@given(PUTS)
def test_only_a_partition_that_has_most_places_loses_one(puts: list[Item]) -> None:
    queue: FairQueue[int, Item] = FairQueue(12)
    had: Counter[bytes] = Counter()
    for partition, key, size in puts:
        before = queue.get(partition, key)
        had[partition] += size - (0 if before is None else before[2])
        for lost in queue.put(partition, key, (partition, key, size), places=size):
            assert had[lost[0]] == max(had.values())
            had[lost[0]] -= lost[2]


@quick
@given(PUTS)
def test_within_a_partition_the_first_to_come_is_the_first_to_go(puts: list[Item]) -> None:
    queue: FairQueue[int, int] = FairQueue(1000)
    for number, (partition, _, _) in enumerate(puts):
        queue.put(partition, number, number)
    taken = queue.drain()
    for partition in {partition for partition, _, _ in puts}:
        own = [number for number, (whose, _, _) in enumerate(puts) if whose == partition]
        assert [number for number in taken if number in own] == own


def test_a_newcomer_gets_its_share_of_a_full_queue_and_not_more() -> None:
    queue: FairQueue[int, bytes] = FairQueue(10)
    for number in range(10):
        assert queue.put(b"flood", number, b"flood") == []
    assert [queue.put(b"new", number, b"new") for number in range(5)] == [[b"flood"]] * 5
    assert queue.put(b"new", 5, b"new") == [b"new"]


def test_what_is_larger_than_the_whole_queue_displaces_nothing() -> None:
    queue: FairQueue[int, str] = FairQueue(10)
    queue.put(b"a", 1, "small", places=9)
    assert queue.put(b"b", 1, "large", places=11) == ["large"]
    assert queue.drain() == ["small"]


def test_a_replaced_item_keeps_its_turn() -> None:
    queue: FairQueue[int, str] = FairQueue(2)
    queue.put(b"a", 1, "old")
    queue.put(b"a", 2, "other")
    assert queue.put(b"a", 1, "new") == []
    assert queue.drain() == ["new", "other"]


def test_a_removed_item_is_not_taken_and_its_place_is_free() -> None:
    queue: FairQueue[int, str] = FairQueue(2)
    queue.put(b"a", 1, "first")
    queue.put(b"a", 2, "second")
    queue.discard(b"a", 1)
    queue.discard(b"b", 1)
    assert queue.put(b"b", 1, "third") == []
    assert queue.drain() == ["second", "third"]


def test_an_empty_queue_has_nothing_to_take() -> None:
    queue: FairQueue[int, str] = FairQueue(2)
    with pytest.raises(IndexError):
        queue.take()
    with pytest.raises(IndexError):
        queue.peek()


def test_a_table_loses_what_its_largest_partition_used_longest_ago() -> None:
    table: FairTable[int, int] = FairTable(4)
    for number in range(3):
        table.put(b"flood", number, number)
    table.put(b"other", 0, 0)
    assert table.get(b"flood", 0) == 0
    assert table.put(b"flood", 3, 3) == [1]
    assert table.get(b"other", 0) == 0


def test_an_item_that_is_put_again_is_the_one_used_last() -> None:
    table: FairTable[int, str] = FairTable(2)
    table.put(b"a", 1, "first")
    table.put(b"a", 2, "second")
    table.put(b"a", 1, "first again")
    assert table.put(b"a", 3, "third") == ["second"]


def test_a_table_without_places_keeps_nothing() -> None:
    table: FairTable[int, int] = FairTable(0)
    table.put(b"a", 1, 1)
    assert table.get(b"a", 1) is None


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def test_a_put_into_a_full_queue_of_many_partitions_takes_no_walk_over_them() -> None:
    def overflow(partitions: int) -> Callable[[], None]:
        queue: FairQueue[int, int] = FairQueue(partitions)
        names = [number.to_bytes(4, "big") for number in range(partitions)]
        for name in names:
            queue.put(name, 0, 0)

        def work() -> None:
            for number in range(1, 2001):
                queue.put(names[number], number, number)

        return work

    # Sixteen times the partitions: a walk over them would take sixteen times as long.
    few = min(seconds(overflow(2_001)) for _ in range(3))
    many = min(seconds(overflow(32_016)) for _ in range(3))
    assert many < 6 * few
