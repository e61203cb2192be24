"""The plainest right stores: dictionaries. Small methods, so that a wrong store is made by replacing one of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np

from semcache_core.errors import DimensionMismatch, NotOpenError
from semcache_core.types import Match, Point, Space, Stored, Vector


class Opened:
    """Opened and closed, and nothing else."""

    def __init__(self) -> None:
        self.is_open = False

    async def __aenter__(self) -> Self:
        self.is_open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> bool | None:
        self.is_open = False
        return None

    def check_open(self) -> None:
        if not self.is_open:
            raise NotOpenError("not open")


class DictVectors(Opened):
    """Points by space and id. ``place`` is what several of them share."""

    def __init__(self, place: dict[Any, dict[bytes, Point]]) -> None:
        super().__init__()
        self.place = place
        self.space = Space(fingerprint="", dimensions=0)

    @property
    def points(self) -> dict[bytes, Point]:
        self.check_open()
        return self.place.setdefault(self.key(), {})

    def key(self) -> object:
        return (self.space.fingerprint, self.space.dimensions)

    async def prepare(self, space: Space) -> None:
        self.space = space

    async def upsert(self, points: Sequence[Point]) -> None:
        self.check_open()
        await asyncio.sleep(0)
        for point in points:
            self.check_length(point.vector)
        for point in points:
            self.put(point)

    def put(self, point: Point) -> None:
        copy = Point(id=point.id, scope=point.scope, vector=point.vector.copy(), keep_until=point.keep_until)
        self.points[point.id] = copy

    async def search(self, vector: Vector, *, scope: bytes, limit: int, floor: float, now: float) -> list[Match]:
        self.check_open()
        await asyncio.sleep(0)
        self.check_query(vector)
        living = [point for point in self.in_scope(scope, vector) if self.remaining(point, now)]
        found = [Match(id=point.id, similarity=self.similarity(vector, point)) for point in living]
        near = [match for match in found if self.reaches(match.similarity, floor)]
        return self.best(near, limit)

    def check_query(self, vector: Vector) -> None:
        self.check_length(vector)

    def check_length(self, vector: Vector) -> None:
        if vector.shape != (self.space.dimensions,):
            raise DimensionMismatch("wrong length")

    def in_scope(self, scope: bytes, vector: Vector) -> list[Point]:
        return [point for point in self.points.values() if point.scope == scope]

    def remaining(self, point: Point, now: float) -> bool:
        return point.keep_until is None or point.keep_until > now

    def similarity(self, vector: Vector, point: Point) -> float:
        return max(0.0, float(np.dot(vector, point.vector)))

    def reaches(self, similarity: float, floor: float) -> bool:
        return similarity >= floor

    def best(self, near: list[Match], limit: int) -> list[Match]:
        return sorted(near, key=lambda match: -match.similarity)[:limit]

    async def delete(self, ids: Sequence[bytes]) -> None:
        self.check_open()
        for id in ids:
            self.points.pop(id, None)

    async def count(self) -> int:
        return len(self.points)

    def has_scope(self, scope: bytes) -> bool:
        return any(point.scope == scope for point in self.points.values())

    async def sweep(self, *, now: float) -> int:
        dead = [point.id for point in self.points.values() if not self.remaining(point, now)]
        await self.delete(dead)
        return len(dead)


class Shelf:
    """What several DictResponses share."""

    def __init__(self) -> None:
        self.entries: dict[bytes, tuple[bytes, float | None, tuple[bytes, ...]]] = {}
        self.stamps: dict[bytes, float] = {}
        self.secret = bytes(range(32))


class DictResponses(Opened):
    """Entries by id, with every power there is."""

    def __init__(self, place: Shelf) -> None:
        super().__init__()
        self.place = place

    @property
    def entries(self) -> dict[bytes, tuple[bytes, float | None, tuple[bytes, ...]]]:
        self.check_open()
        return self.place.entries

    async def get(self, ids: Sequence[bytes], *, now: float) -> list[Stored | None]:
        self.check_open()
        await asyncio.sleep(0)
        return [self.found(id, now) for id in ids]

    def found(self, id: bytes, now: float) -> Stored | None:
        entry = self.entries.get(id)
        if entry is None or not self.remaining(entry[1], now):
            return None
        return Stored(data=entry[0], invalidated_at=self.newest(entry[2]))

    def remaining(self, keep_until: float | None, now: float) -> bool:
        return keep_until is None or keep_until > now

    def newest(self, tags: tuple[bytes, ...]) -> float | None:
        return max((self.place.stamps[tag] for tag in tags if tag in self.place.stamps), default=None)

    async def set(self, id: bytes, data: bytes, *, keep_until: float | None, tags: Sequence[bytes]) -> None:
        self.check_open()
        await asyncio.sleep(0)
        self.put(id, data, keep_until, tuple(tags))

    def put(self, id: bytes, data: bytes, keep_until: float | None, tags: tuple[bytes, ...]) -> None:
        self.entries[id] = (data, keep_until, tags)

    async def delete(self, ids: Sequence[bytes]) -> None:
        self.check_open()
        for id in ids:
            self.entries.pop(id, None)

    async def invalidate(self, tags: Sequence[bytes], *, before: float) -> None:
        self.check_open()
        for tag in tags:
            self.place.stamps[tag] = max(before, self.place.stamps.get(tag, before))

    async def scan(self, *, after: bytes = b"", limit: int = 1000) -> list[tuple[bytes, Stored]]:
        return [(id, self.scanned(id)) for id in sorted(id for id in self.entries if id > after)[:limit]]

    def scanned(self, id: bytes) -> Stored:
        data, _, tags = self.entries[id]
        return Stored(data=data, invalidated_at=self.newest(tags), tags=tags)

    def get_nowait(self, id: bytes, *, now: float) -> Stored | None:
        self.check_open()
        return self.found(id, now)

    def set_nowait(self, id: bytes, data: bytes, *, keep_until: float | None, tags: Sequence[bytes]) -> None:
        self.check_open()
        self.put(id, data, keep_until, tuple(tags))

    async def count(self) -> int:
        return len(self.entries)

    async def sweep(self, *, now: float) -> int:
        dead = [id for id, entry in self.entries.items() if not self.remaining(entry[1], now)]
        await self.delete(dead)
        return len(dead)

    def identity_secret(self) -> bytes:
        self.check_open()
        return self.place.secret
