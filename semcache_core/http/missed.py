"""``Missed``: a request that upstream has to answer, and its one decision."""

from __future__ import annotations

import msgspec

from semcache_core.engine.decide import Found
from semcache_core.http.context import DriverContext
from semcache_core.http.request import CacheableRequest
from semcache_core.types import Entity, Key, Query


class Missed(Entity):
    """A request that upstream has to answer: what its look-up found, and its one decision, counted once."""

    context: DriverContext
    request: CacheableRequest
    key: Key
    query: Query
    found: Found
    flight_key: bytes
    """What single-flight shares."""
    started: float
    """When the request came in, by the cache's clock."""
    is_withheld: bool = False
    """There is an answer, which ``mode = "observe"`` keeps back."""
    concluded: bool = False

    @property
    def may_replace(self) -> bool:
        """Whether the answer may take the place of an entry in a shared partition: the caller is proven, its look-up
        brought nothing that it could have, and it chose neither life nor tags of the entry.
        """
        asked = self.request.profile.directives
        chosen = asked.ttl is not msgspec.UNSET or bool(asked.tags)
        return asked.joins and not chosen and self.found.reason != "unproven-credential"

    def conclude(self, found: Found | None = None) -> None:
        """Count and report the decision; ``found`` if it differs from what the look-up brought. Harmless twice."""
        if self.concluded:
            return
        self.concluded = True
        self.context.engine.observatory.conclude(
            self.found if found is None else found,
            self.query,
            policy=self.request.route.policy,
            started=self.started,
            observed=self.is_withheld,
        )
