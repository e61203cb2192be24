"""What is remembered of requests, so that a repeat of the same bytes is answered without reading it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

from semcache_core.types import Address, Bypass

if TYPE_CHECKING:
    from semcache_core.decide import Directives
    from semcache_core.http.site import Route
    from semcache_core.http.status import Shown


class Known(Address, frozen=True):
    """What a request is known to ask: digests, mode and directives, no text."""

    route: Route
    """Who reads it, under which policy."""
    directives: Directives
    shown: Shown
    addressed: bool
    """Some of its fields are meant for the cache alone."""
    streamed: bool
    needs: frozenset[str]
    ends: float | None
    """When the caller's credential ends, and this with it: seconds since the epoch; None: nobody knows of an end."""
    handle: bytes = b""
    """``Semcache-Entry`` of its own entry, from its first hit on."""


class Aliases:
    """Remembers what raw requests came to, the oldest forgotten first once ``capacity`` is reached."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        # Not a plain dict: finding its first key means passing over all that were deleted before it.
        self._known: OrderedDict[bytes, Known | Bypass] = OrderedDict()
        self.get: Callable[[bytes], Known | Bypass | None] = self._known.get
        """Return what is known of an alias, or None."""

    def put(self, alias: bytes, known: Known | Bypass) -> None:
        """Remember what a request came to."""
        if self._capacity <= 0:
            return
        while len(self._known) >= self._capacity:
            self._known.popitem(last=False)
        self._known[alias] = known

    def __len__(self) -> int:
        return len(self._known)
