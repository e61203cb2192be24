"""What waits to be written: answers, and texts of written answers without a vector."""

from __future__ import annotations

from collections.abc import Sequence

from semcache_core.engine.freshness import keep_until
from semcache_core.types import Entity, Record, Vector


class Job(Entity):
    """One answer to be written."""

    entry_id: bytes
    partition: bytes
    store_scope: bytes
    text: str
    record: Record
    data: bytes
    stale_window: float
    """Seconds after its expiry for which the entry may still be served."""
    tags: Sequence[bytes]
    semantic: bool
    vector: Vector | None = None

    @property
    def keep_until(self) -> float | None:
        """When a store may drop the entry."""
        return keep_until(self.record.expires_at, stale_window=self.stale_window)


class Unindexed(Entity):
    """A written answer whose text is not in the vector store yet."""

    entry_id: bytes
    partition: bytes
    store_scope: bytes
    text: str
    born_at: float
    expires_at: float | None
    stale_window: float
    tags: Sequence[bytes]
    vector: Vector | None = None

    @property
    def keep_until(self) -> float | None:
        """When a store may drop the entry."""
        return keep_until(self.expires_at, stale_window=self.stale_window)
