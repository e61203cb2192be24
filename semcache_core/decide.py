"""The decision, drawn as a value: what an entry is to a request. Pure: no clock, no I/O.

The order is fixed: directives, exact, veto, embedding, search, threshold, verifiers, veto, freshness, serve. The engine
walks it and asks this module at each step; every step that ends it names a reason code.
"""

from __future__ import annotations

import msgspec

from .settings import Duration
from .types import Outcome, Record, Source, Struct, Vector


class Directives(Struct):
    """What the caller asked for besides the request itself. The default asks for nothing."""

    lookup: bool = True
    """False (no-cache): go upstream and refresh the entry."""
    store: bool = True
    """False (no-store)."""
    off: bool = False
    """mode=off: the cache is not consulted, nothing is stored."""
    exact_only: bool = False
    threshold: float | None = None
    """May only tighten the route's."""
    ttl: Duration | msgspec.UnsetType = msgspec.UNSET
    max_age: float | None = None
    """Oldest acceptable age, seconds."""
    max_stale: float = 0.0
    """Accepted staleness, seconds, within the operator's window."""
    only_if_cached: bool = False
    tags: tuple[str, ...] = ()
    namespace: str | None = None

    @property
    def joins(self) -> bool:
        """Whether the request may share a flight with others."""
        return self.lookup and self.store and not self.off


class Found(Struct):
    """What the engine found for a query, and why."""

    outcome: Outcome
    """hit, stale (serve, but a refresh is due), or miss."""
    reason: str
    source: Source | None = None
    similarity: float | None = None
    entry_id: bytes | None = None
    record: Record | None = None
    age: float = 0.0
    lives: float | None = None
    """Seconds until (negative: since) expiry; None: never expires."""
    vector: Vector | None = None
    """The query's own embedding where it was computed, so that a miss embeds once."""
    fallback: Record | None = None
    """On a miss: an expired entry that may still replace a failing upstream (stale-if-error)."""
