"""``Lookup``: what a look-up found."""

from __future__ import annotations

from typing import Any

import msgspec

from semcache_core.engine.decide import Found
from semcache_core.types import Query, Source


class Lookup(msgspec.Struct, frozen=True):
    """What a lookup found. Truthy on a hit; ``value`` is then the answer, a copy of the caller's own."""

    value: Any
    """The answer; None on a miss."""
    found: Found
    """The decision as the engine made it; the properties below are the public view of it."""
    query: Query | None
    """What was asked, for ``reject``; None where the question cannot be put into a key."""

    @property
    def hit(self) -> bool:
        """Whether there is an answer."""
        return self.found.record is not None

    @property
    def similarity(self) -> float | None:
        """Cosine to the text of the entry, 1.0 for an exact hit; on a miss that of the nearest candidate, if there
        was one.
        """
        return self.found.similarity

    @property
    def source(self) -> Source | None:
        """``exact`` or ``semantic``; None on a miss."""
        return self.found.source

    @property
    def reason(self) -> str:
        """A reason code that says why it is a hit, or why it is none."""
        return self.found.reason

    @property
    def entry_id(self) -> str | None:
        """Names the entry, for ``invalidate``; None on a miss."""
        if self.found.record is None or self.query is None:
            return None
        return (self.found.entry_id or self.query.entry_id).hex()

    @property
    def age(self) -> float | None:
        """Seconds since the answer was born; None on a miss."""
        return self.found.age if self.hit else None

    def __bool__(self) -> bool:
        return self.found.record is not None

    def __repr__(self) -> str:
        return f"<Lookup {self.reason} hit={self.hit} similarity={self.similarity} entry_id={self.entry_id}>"


NOT_OPEN = Lookup(None, Found(outcome="miss", reason="not-open"), None)
"""What every look-up finds while the cache is not open."""
