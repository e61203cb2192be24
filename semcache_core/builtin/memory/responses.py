"""The ``memory`` response store: entries by id, least recently used ones evicted."""

from __future__ import annotations

import asyncio
import heapq
import secrets
from collections.abc import Sequence
from types import TracebackType
from typing import Annotated, Self

import msgspec
from msgspec import Meta

from semcache_core.builtin.memory.slots import MISSING, Slots
from semcache_core.errors import NotOpenError
from semcache_core.protocols import Options
from semcache_core.settings import Bytes
from semcache_core.types import Stored

ENTRY_BYTES = 300
"""Bytes of an entry besides its data: the id, object headers and its items in the columns."""
LARGEST_PART = 4
"""One entry may take this part of the store: a quarter."""
SWEEP_BATCH = 1000
"""Entries deleted before a sweep yields to the event loop: about 1 ms."""
STAMPS_KEPT = 10_000
"""Above this many invalidation times, a sweep drops those of tags that no entry has; above twice as many, the oldest
of these go at once. Anybody can cause one: a credential that upstream refuses invalidates its own partition.
"""
STAMP_GRACE = 3600.0
"""Seconds an invalidation is kept although no entry has its tag: an earlier flight may still store its answer."""


class MemoryResponseOptions(Options, frozen=True):
    """``[response_store] use = "memory"``."""

    max_bytes: Annotated[
        Bytes, Meta(ge=1, description="Memory that answers may take; least recently used go first.")
    ] = 512 * 1024 * 1024


class _Tags:
    """One set of tags and how many entries share it: most entries of a caller have the same tags."""

    __slots__ = ("entries", "tags")

    def __init__(self, tags: tuple[bytes, ...]) -> None:
        self.tags = tags
        self.entries = 0


class MemoryResponseStore:
    """Answers in this process's memory. No method suspends, except ``sweep`` between batches."""

    Options = MemoryResponseOptions

    def __init__(self, options: MemoryResponseOptions) -> None:
        self._max_bytes = options.max_bytes
        self._opened = False
        self._secret = b""
        self._clear()

    def _clear(self) -> None:
        self._slots = Slots()
        self._data: list[bytes] = []
        self._tags: list[_Tags | None] = []
        self._shared: dict[tuple[bytes, ...], _Tags] = {}
        self._stamps: dict[bytes, float] = {}
        self._stamps_until = 2 * STAMPS_KEPT
        """How many make it forget the oldest."""
        self._bytes = 0
        """Bytes of data, without the other costs of an entry."""

    async def __aenter__(self) -> Self:
        self._secret = secrets.token_bytes(32)
        self._opened = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self._opened = False
        self._clear()

    def get_nowait(self, id: bytes, *, now: float) -> Stored | None:
        if not self._opened:
            raise _not_open()
        slots = self._slots
        slot = slots.find(id)
        if slot == MISSING or slots.keep_until[slot] <= now:
            return None
        slots.used[slot] = slots.tick()  # ``touch``, inlined: this is the hottest path.
        return self._stored(slot) if self._stamps else Stored(data=self._data[slot])

    async def get(self, ids: Sequence[bytes], *, now: float) -> Sequence[Stored | None]:
        return [self.get_nowait(id, now=now) for id in ids]

    async def set(self, id: bytes, data: bytes, *, keep_until: float | None, tags: Sequence[bytes]) -> None:
        self.set_nowait(id, data, keep_until=keep_until, tags=tags)

    def set_nowait(self, id: bytes, data: bytes, *, keep_until: float | None, tags: Sequence[bytes]) -> None:
        if not self._opened:
            raise _not_open()
        # A copy: an encoder's bytes keep the memory of its buffer, a third more than their length.
        data = bytes(memoryview(data))
        if len(data) > self.largest():
            # It would evict much of the rest. The entry it replaces is outdated all the same.
            self._discard(id)
            return
        slots = self._slots
        slot = slots.add(id, keep_until=keep_until)
        if slot == len(self._data):
            self._data.append(b"")
            self._tags.append(None)
        self._bytes += len(data) - len(self._data[slot])
        self._data[slot] = data
        self._retag(slot, tuple(tags))
        while self._bytes + ENTRY_BYTES * len(slots) > self._max_bytes:
            self._remove(slots.oldest())

    async def delete(self, ids: Sequence[bytes]) -> None:
        if not self._opened:
            raise _not_open()
        for id in ids:
            self._discard(id)

    async def invalidate(self, tags: Sequence[bytes], *, before: float) -> None:
        if not self._opened:
            raise _not_open()
        for tag in tags:
            self._stamps[tag] = max(before, self._stamps.get(tag, before))
        if len(self._stamps) > self._stamps_until:
            self._forget_oldest_stamps()

    def largest(self) -> int:
        return self._max_bytes // LARGEST_PART - ENTRY_BYTES

    async def scan(self, *, after: bytes = b"", limit: int = 1000) -> Sequence[tuple[bytes, Stored]]:
        if not self._opened:
            raise _not_open()
        ids = self._slots.ids
        slots = heapq.nsmallest(limit, (slot for slot in self._slots if ids[slot] > after), key=ids.__getitem__)
        return [(ids[slot], msgspec.structs.replace(self._stored(slot), tags=self._tags_of(slot))) for slot in slots]

    async def count(self) -> int:
        if not self._opened:
            raise _not_open()
        return len(self._slots)

    async def sweep(self, *, now: float) -> int:
        if not self._opened:
            raise _not_open()
        expired, swept = self._slots.expired(now), 0
        slots = self._slots
        for start in range(0, len(expired), SWEEP_BATCH):
            for slot in expired[start : start + SWEEP_BATCH]:
                # Meanwhile the slot may have been freed or its expiry moved: then it is infinite or in the future.
                if slots is self._slots and slots.keep_until[slot] <= now:
                    self._remove(slot)
                    swept += 1
            if start + SWEEP_BATCH < len(expired):
                await asyncio.sleep(0)
        if len(self._stamps) > STAMPS_KEPT:
            self._forget_stamps(before=now - STAMP_GRACE)
        return swept

    def identity_secret(self) -> bytes:
        if not self._opened:
            raise _not_open()
        return self._secret

    def _stored(self, slot: int) -> Stored:
        shared = self._tags[slot]
        stamps = self._stamps
        if stamps and shared is not None:
            return Stored(
                data=self._data[slot],
                invalidated_at=max((stamps[tag] for tag in shared.tags if tag in stamps), default=None),
            )
        return Stored(data=self._data[slot])

    def _discard(self, id: bytes) -> None:
        slot = self._slots.find(id)
        if slot != MISSING:
            self._remove(slot)

    def _remove(self, slot: int) -> None:
        self._bytes -= len(self._data[slot])
        self._data[slot] = b""
        self._retag(slot, ())
        self._slots.remove(slot)

    def _tags_of(self, slot: int) -> tuple[bytes, ...]:
        shared = self._tags[slot]
        return () if shared is None else shared.tags

    def _retag(self, slot: int, tags: tuple[bytes, ...]) -> None:
        """Bind the slot to the shared copy of its tags, and drop a copy that no entry shares any more."""
        old = self._tags[slot]
        new = None
        if tags:
            new = self._shared.get(tags)
            if new is None:
                new = self._shared[tags] = _Tags(tags)
            new.entries += 1
        self._tags[slot] = new
        if old is not None:
            old.entries -= 1
            if not old.entries:
                del self._shared[old.tags]

    def _carried(self) -> frozenset[bytes]:
        return frozenset(tag for shared in self._shared.values() for tag in shared.tags)

    def _forget_stamps(self, *, before: float) -> None:
        carried = self._carried()
        self._stamps = {tag: at for tag, at in self._stamps.items() if at > before or tag in carried}

    def _forget_oldest_stamps(self) -> None:
        """Keep the stamps of tags that entries have, and the newest of the others."""
        carried, stamps = self._carried(), self._stamps
        kept = {tag for tag in stamps if tag in carried}
        kept.update(heapq.nlargest(STAMPS_KEPT, (tag for tag in stamps if tag not in kept), key=stamps.__getitem__))
        self._stamps = {tag: at for tag, at in stamps.items() if tag in kept}
        self._stamps_until = len(kept) + STAMPS_KEPT


def _not_open() -> NotOpenError:
    return NotOpenError("response store 'memory' is not open: use it inside `async with`")
