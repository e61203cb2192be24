"""What was invalidated lately in this process: an answer requested before is outdated when it arrives."""

from __future__ import annotations

from collections.abc import Sequence

from semcache_core.keys.fifo import FifoCache
from semcache_core.types import Query, Record

MOST_NOTED = 10_000


class RecentInvalidations:
    """The times of recent invalidations: of tags, of withdrawn partitions, of single entries. Pure."""

    def __init__(self) -> None:
        self._of_tags: FifoCache[float] = FifoCache(MOST_NOTED)
        self._of_entries: FifoCache[float] = FifoCache(MOST_NOTED)
        # A table of its own: anybody can make up credentials, and these displace only each other.
        self._withdrawals: FifoCache[float] = FifoCache(MOST_NOTED)

    def note_tags(self, tags: Sequence[bytes], at: float) -> None:
        """Note that the entries with one of ``tags`` were invalidated."""
        for tag in tags:
            _note(self._of_tags, tag, at)

    def note_entry(self, entry_id: bytes, at: float) -> None:
        """Note that an entry was deleted, or that a newer answer was requested in its place."""
        _note(self._of_entries, entry_id, at)

    def note_withdrawal(self, tag: bytes, at: float) -> None:
        """Note that the partition of ``tag`` was withdrawn."""
        _note(self._withdrawals, tag, at)

    def outdate(self, query: Query, record: Record, tags: Sequence[bytes]) -> bool:
        """Say whether the entry or one of its tags was invalidated or refreshed after this answer was requested."""
        born_at = record.born_at
        for times in (self._of_tags, self._withdrawals):
            for tag in tags:
                at = times.get(tag)
                if at is not None and born_at <= at:
                    return True
        at = self._of_entries.get(query.entry_id)
        return at is not None and born_at < at


def _note(times: FifoCache[float], id: bytes, at: float) -> None:
    known = times.get(id)
    times.put(id, at if known is None else max(at, known))
