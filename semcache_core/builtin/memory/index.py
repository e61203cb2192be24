"""Vectors grouped by scope, searched exactly: one matrix-vector product per chunk, within one scope only.

Chunks grow from 8 rows and are never copied. ``np.empty`` does not touch unwritten rows, so they cost no memory. The
scope's last row replaces a deleted one, so a search has no gaps to skip.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence

import numpy as np

from semcache_core.builtin.memory.slots import MISSING, Slots
from semcache_core.errors import DimensionMismatch
from semcache_core.types import Match, Point, Vector

CHUNK_ROWS = (8, 128, 2048, 8192)
"""Rows of a scope's chunks, in order; all further ones are like the last. Few chunks make large scopes fast, and BLAS
uses several threads for 2,048 rows of the usual 384 dimensions, but not for 1,024."""
SCOPE_BYTES = 4608
"""Bytes of a scope besides its rows: objects, and the unused part of its first chunk's page."""
POINT_BYTES = 200
"""Bytes of a point besides its vector: its id and its items in the columns."""
_MOST_PICKED = 20
"""Rows to pick one by one before sorting all of them at once."""
_TAKEN = float("-inf")


class _Scope:
    """The vectors of one scope: row numbers run through the chunks, without gaps."""

    __slots__ = ("chunks", "key", "rows", "slots")

    def __init__(self, key: bytes) -> None:
        self.key = key
        self.chunks: list[Vector] = []
        self.slots = array("i")
        """Row number to slot."""
        self.rows = 0
        """Rows allocated; the first ``len(slots)`` are in use."""

    def place(self, row: int) -> tuple[Vector, int]:
        """Return the chunk of ``row``, and the row's number in it."""
        for chunk in self.chunks:
            if row < len(chunk):
                return chunk, row
            row -= len(chunk)
        raise IndexError(row)

    def grow(self, dimensions: int) -> None:
        rows = CHUNK_ROWS[min(len(self.chunks), len(CHUNK_ROWS) - 1)]
        self.chunks.append(np.empty((rows, dimensions), np.float32))
        self.rows += rows

    def shrink(self) -> None:
        """Free the last chunk once the one before it has spare rows: adding and removing one row never reallocates."""
        while len(self.chunks) > 1:
            last, before = len(self.chunks[-1]), len(self.chunks[-2])
            if len(self.slots) > self.rows - last - before // 2:
                return
            self.chunks.pop()
            self.rows -= last

    def scores(self, vector: Vector, out: Vector) -> Vector:
        """Return the cosine of ``vector`` and each row, in ``out``."""
        end, start = len(self.slots), 0
        for chunk in self.chunks:
            if start >= end:
                break
            stop = min(start + len(chunk), end)
            # Not ``@``: it takes a sixth longer with an ``out``, and nearly as much without it, for the copy.
            chunk[: stop - start].dot(vector, out[start:stop])
            start = stop
        return out[:end]


class VectorIndex:
    """Exact nearest neighbours within a scope. No I/O, no locks: for one thread."""

    def __init__(self, dimensions: int) -> None:
        self.dimensions = dimensions
        self._shape = (dimensions,)
        self.slots = Slots()
        self._row_bytes = dimensions * 4 + POINT_BYTES
        self._scopes: dict[bytes, _Scope] = {}
        self.has_scope: Callable[[bytes], bool] = self._scopes.__contains__
        """Say whether a scope has a point."""
        self._scope_of: list[_Scope | None] = []
        self._row_of = array("i")
        self._scratch: Vector = np.empty(CHUNK_ROWS[-1], np.float32)

    def __len__(self) -> int:
        return len(self.slots)

    @property
    def size(self) -> int:
        """Bytes of memory that the index uses, within a few per cent."""
        return len(self.slots) * self._row_bytes + len(self._scopes) * SCOPE_BYTES

    def check(self, vector: Vector) -> Vector:
        """Return ``vector`` as one float32 row. Raises DimensionMismatch."""
        row: Vector = np.asarray(vector, np.float32)
        if row.shape != self._shape:
            raise DimensionMismatch(f"vector of shape {row.shape}; this space has {self.dimensions} dimensions")
        return row

    def put(self, point: Point) -> None:
        """Index the point, replacing the one of that id. Its vector must have passed ``check``."""
        slot = self.slots.find(point.id)
        if slot != MISSING:
            scope = self._scope_of[slot]
            if scope is not None and scope.key == point.scope:
                chunk, row = scope.place(self._row_of[slot])
                chunk[row] = point.vector
                self.slots.add(point.id, keep_until=point.keep_until)
                return
            self.remove(slot)
        self._append(point)

    def _append(self, point: Point) -> None:
        scope = self._scopes.get(point.scope)
        if scope is None:
            scope = self._scopes[point.scope] = _Scope(point.scope)
        slot = self.slots.add(point.id, keep_until=point.keep_until)
        row = len(scope.slots)
        if slot == len(self._row_of):
            self._scope_of.append(scope)
            self._row_of.append(row)
        else:
            self._scope_of[slot] = scope
            self._row_of[slot] = row
        if row == scope.rows:
            scope.grow(self.dimensions)
        chunk, place = scope.place(row)
        chunk[place] = point.vector
        scope.slots.append(slot)

    def remove(self, slot: int) -> None:
        """Remove the point in ``slot``; the last row of its scope moves to its row."""
        scope = self._scope_of[slot]
        if scope is None:
            return
        row, last = self._row_of[slot], len(scope.slots) - 1
        if row != last:
            chunk, place = scope.place(row)
            source, from_place = scope.place(last)
            chunk[place] = source[from_place]
            moved = scope.slots[last]
            scope.slots[row] = moved
            self._row_of[moved] = row
        scope.slots.pop()
        self._scope_of[slot] = None
        self.slots.remove(slot)
        if scope.slots:
            scope.shrink()
        else:
            del self._scopes[scope.key]

    def discard(self, id: bytes) -> None:
        """Remove the point of that id, if there is one."""
        slot = self.slots.find(id)
        if slot != MISSING:
            self.remove(slot)

    def drop_scope(self, key: bytes) -> None:
        """Remove every point of a scope."""
        scope = self._scopes.pop(key, None)
        for slot in scope.slots if scope else ():
            self._scope_of[slot] = None
            self.slots.remove(slot)

    def search(self, vector: Vector, *, scope: bytes, limit: int, floor: float, now: float) -> Sequence[Match]:
        """Return at most ``limit`` points of ``scope`` with similarity >= ``floor``, closest first, and touch them."""
        query = self.check(vector)
        group = self._scopes.get(scope)
        if group is None:
            return []
        if len(group.slots) > len(self._scratch):
            self._scratch = np.empty(group.rows, np.float32)
        scores = group.scores(query, self._scratch)
        # Few rows are near, so picking them one by one costs less than sorting all.
        near: list[tuple[float, int]] = []
        for _ in range(_MOST_PICKED):
            row = int(scores.argmax())
            score = scores.item(row)
            if score != score:  # NaN, not a valid vector: the comparison skips it.
                break
            if len(near) == limit or score == _TAKEN or _similarity(score) < floor:
                return self._matches(group, near)
            if self.slots.keep_until[group.slots[row]] > now:
                near.append((score, row))
            scores[row] = _TAKEN
        scores = group.scores(query, self._scratch)
        return self._matches(group, self._nearest(group, scores, limit=limit, floor=floor, now=now))

    def _nearest(
        self, scope: _Scope, scores: Vector, *, limit: int, floor: float, now: float
    ) -> list[tuple[float, int]]:
        """Return score and number of the nearest unexpired rows, even if many rows are near enough."""
        lives = np.frombuffer(self.slots.keep_until)[np.frombuffer(scope.slots, np.int32)] > now
        rows = ((scores >= (floor if floor > 0 else _TAKEN)) & lives).nonzero()[0]
        if len(rows) > limit:
            rows = rows[np.argpartition(scores[rows], -limit)[-limit:]]
        near = zip(scores[rows].tolist(), rows.tolist(), strict=True)
        # Check the floor again: in float32 it may be slightly lower than the caller's.
        return [(score, row) for score, row in near if _similarity(score) >= floor]

    def _matches(self, scope: _Scope, near: list[tuple[float, int]]) -> Sequence[Match]:
        """Return the matches, closest first, and mark them as used."""
        ids, found = self.slots.ids, [(score, scope.slots[row]) for score, row in sorted(near, reverse=True)]
        matches = [Match(id=ids[slot], similarity=_similarity(score)) for score, slot in found]
        for _, slot in found:
            self.slots.touch(slot)
        return matches


def _similarity(cosine: float) -> float:
    # An opposite vector counts as orthogonal; in float32 a vector's cosine with itself may exceed 1.
    return min(1.0, max(0.0, cosine))
