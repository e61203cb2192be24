"""Partitions whose credential upstream refused: what they were answered before is invalidated."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from semcache_core.engine.components import Guards, OpenComponents
from semcache_core.engine.maintenance import Maintenance
from semcache_core.engine.recent_invalidations import MOST_NOTED, RecentInvalidations
from semcache_core.engine.writes import Writes
from semcache_core.errors import DependencyError
from semcache_core.keys.digests import partition_tag

_TOGETHER = 500
"""Partitions that one write invalidates."""


class Withdrawals:
    """Invalidates partitions in the background, those that come while the store is busy in one write.

    Anybody can make up credentials that upstream refuses: they must cost the others neither flights nor writes.
    """

    def __init__(
        self,
        parts: OpenComponents,
        guards: Guards,
        writes: Writes,
        maintenance: Maintenance,
        invalidations: RecentInvalidations,
        *,
        clock: Callable[[], float],
        on_fault: Callable[[str, BaseException], None],
    ) -> None:
        self._parts, self._guards, self._writes, self._maintenance = parts, guards, writes, maintenance
        self._invalidations, self._clock, self._on_fault = invalidations, clock, on_fault
        self._unwritten: dict[bytes, float] = {}
        self._is_writing = False

    def add(self, partition: bytes) -> None:
        """Invalidate what the partition was answered until now."""
        tag, now = partition_tag(partition), self._clock()
        self._invalidations.note_withdrawal(tag, now)
        if len(self._unwritten) >= MOST_NOTED:
            self._on_fault("write-queue", asyncio.QueueFull())
            return
        self._unwritten[tag] = now
        if not self._is_writing:
            self._is_writing = True
            self._maintenance.spawn(self._write())

    async def _write(self) -> None:
        try:
            while self._unwritten:
                tags = list(self._unwritten)[:_TOGETHER]
                before = max(self._unwritten.pop(tag) for tag in tags)
                self._writes.forget_invalidated(frozenset(tags), before)
                try:
                    await self._guards.write_responses.call(self._parts.invalidation.invalidate(tags, before=before))
                except DependencyError:
                    continue  # Counted where it was raised.
        finally:
            self._is_writing = False
