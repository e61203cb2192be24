"""Slots: the bookkeeping of both memory stores, in columns instead of one object per entry.

In a cache of 100,000 entries, bookkeeping would dominate unless it is small. An entry costs about 40 bytes here: 8 to
16 in a hash table, and one item in each of three columns: id, expiry, last use. A dict alone would take twice that. A
store adds its own columns with the same slot numbers.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from itertools import count

import numpy as np

NEVER = float("inf")
MISSING = -1
_FREE = 2**63 - 1
_EMPTY = -1
_FIRST_SIZE = 64


class Slots:
    """Assigns each id a small number, and finds the least recently used slot and the expired ones.

    The hash table uses open addressing with linear probing and is half full at most; probing never wraps, because the
    table is longer than its mask by the length of its last cluster. Python hashes the ids with a seed unknown to
    callers.
    """

    def __init__(self) -> None:
        self.ids: list[bytes] = []
        self.keep_until = array("d")
        self.used = array("q")
        self.tick = count(1).__next__
        """Returns the next number of a use."""
        self._free: list[int] = []
        self._queue: list[tuple[int, int]] = []
        self._table = array("i", [_EMPTY]) * (_FIRST_SIZE + 1)
        self._mask = _FIRST_SIZE - 1

    def __len__(self) -> int:
        return len(self.ids) - len(self._free)

    def __iter__(self) -> Iterator[int]:
        return (slot for slot, tick in enumerate(self.used) if tick != _FREE)

    def find(self, id: bytes) -> int:
        """Return the slot of ``id``, or MISSING."""
        table, ids = self._table, self.ids
        place = hash(id) & self._mask
        while (slot := table[place]) >= 0:
            if ids[slot] == id:
                return slot
            place += 1
        return MISSING

    def add(self, id: bytes, *, keep_until: float | None) -> int:
        """Return the slot of ``id``, a new one if it has none; mark it most recently used and set its expiry.

        A new slot number is a free one, or one past the last: then the columns have grown, as the store's must too.
        """
        table, ids = self._table, self.ids
        place = hash(id) & self._mask
        while (slot := table[place]) >= 0:
            if ids[slot] == id:
                break
            place += 1
        else:
            if self._free:
                slot = self._free.pop()
                ids[slot] = id
            else:
                slot = len(ids)
                ids.append(id)
                self.keep_until.append(NEVER)
                self.used.append(_FREE)
            table[place] = slot
            if place == len(table) - 1:
                table.append(_EMPTY)
        self.keep_until[slot] = NEVER if keep_until is None else keep_until
        self.used[slot] = self.tick()
        if 2 * (len(ids) - len(self._free)) > self._mask:
            self._rebuild()
        return slot

    def touch(self, slot: int) -> None:
        """Make ``slot`` the most recently used."""
        self.used[slot] = self.tick()

    def remove(self, slot: int) -> None:
        """Remove the slot's id and free the slot."""
        self._leave(slot)
        self.ids[slot] = b""
        self.keep_until[slot] = NEVER
        self.used[slot] = _FREE
        self._free.append(slot)

    def oldest(self) -> int:
        """Return the least recently used slot; there must be one.

        Amortised O(1): one pass over the column picks the oldest sixteenth; slots touched since then are skipped.
        """
        while True:
            while self._queue:
                tick, slot = self._queue[-1]
                if self.used[slot] == tick:
                    return slot
                self._queue.pop()
            used = np.frombuffer(self.used, dtype=np.int64)
            batch = min(len(self), 64 + len(self) // 16)
            slots = np.argpartition(used, batch - 1)[:batch]
            self._queue = sorted(zip(used[slots].tolist(), slots.tolist(), strict=True), reverse=True)

    def expired(self, now: float) -> list[int]:
        """Return the slots whose ``keep_until`` is at or before ``now``."""
        slots: list[int] = np.flatnonzero(np.frombuffer(self.keep_until, dtype=np.float64) <= now).tolist()
        return slots

    def _leave(self, slot: int) -> None:
        """Remove the slot from the table, and move later items of its cluster closer to their home positions."""
        table, ids, mask = self._table, self.ids, self._mask
        hole = hash(ids[slot]) & mask
        while table[hole] != slot:
            hole += 1
        place = hole + 1
        while (follower := table[place]) >= 0:
            if hash(ids[follower]) & mask <= hole:
                table[hole] = follower
                hole = place
            place += 1
        table[hole] = _EMPTY

    def _rebuild(self) -> None:
        """Double the table. Ids are inserted sorted by home: each is at its home or next to its predecessor."""
        self._mask = 2 * self._mask + 1
        slots = np.flatnonzero(np.frombuffer(self.used, dtype=np.int64) != _FREE)
        homes = np.fromiter((hash(self.ids[slot]) for slot in slots.tolist()), np.int64, len(slots)) & self._mask
        order = np.argsort(homes, kind="stable")
        steps = np.arange(len(slots))
        places = np.maximum.accumulate(homes[order] - steps) + steps
        table = np.full(max(self._mask, int(places[-1])) + 2, _EMPTY, np.int32)
        table[places] = slots[order]
        self._table = array("i", table.tobytes())
