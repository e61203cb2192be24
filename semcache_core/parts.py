"""What an open cache is made of: the components, opened and checked, as the engine uses them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from .protocols import (
    Embedder,
    ResponseStore,
    SupportsPeek,
    SupportsScopes,
    SupportsStamps,
    SupportsSweep,
    VectorStore,
    Verifier,
)
from .stamps import StampedByEntries
from .types import Query, Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The opened components of one cache; the extra powers of each were looked for once, when this was made."""

    embedder: Embedder | None
    vectors: VectorStore
    responses: ResponseStore
    stamps: SupportsStamps
    peek: SupportsPeek | None
    scopes: SupportsScopes | None
    sweepers: Sequence[SupportsSweep]
    verifiers: Sequence[Verifier] = ()
    vetoes: Sequence[Callable[[Query, Record], bool | None]] = field(default=())
    """Implementations of ``semcache_may_store``."""

    @classmethod
    def of(
        cls,
        *,
        embedder: Embedder | None,
        vectors: VectorStore,
        responses: ResponseStore,
        verifiers: Sequence[Verifier] = (),
        vetoes: Sequence[Callable[[Query, Record], bool | None]] = (),
    ) -> Parts:
        """Look for the extra powers of opened components and return them all."""
        stamped: ResponseStore = responses
        if not isinstance(responses, SupportsStamps):
            stamped = stamps = StampedByEntries(responses)
        else:
            stamps = responses
        return cls(
            embedder=embedder,
            vectors=vectors,
            responses=stamped,
            stamps=stamps,
            peek=stamped if isinstance(stamped, SupportsPeek) else None,
            scopes=vectors if isinstance(vectors, SupportsScopes) else None,
            sweepers=tuple(store for store in (vectors, responses) if isinstance(store, SupportsSweep)),
            verifiers=verifiers,
            vetoes=vetoes,
        )
