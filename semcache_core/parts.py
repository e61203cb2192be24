"""What an open cache is made of: the components, opened and checked, as the engine uses them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from .deadlines import Dependency
from .protocols import (
    Embedder,
    ResponseStore,
    SupportsNotices,
    SupportsPeek,
    SupportsPoke,
    SupportsScopes,
    SupportsStamps,
    SupportsSweep,
    VectorStore,
    Verifier,
)
from .settings import LimitOptions
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
    poke: SupportsPoke | None
    scopes: SupportsScopes | None
    sweepers: Sequence[SupportsSweep]
    tellers: Sequence[SupportsNotices]
    """Stores that may have something to tell while they run, too."""
    verifiers: Sequence[Verifier] = ()
    vetoes: Sequence[Callable[[Query, Record], object]] = field(default=())
    """Implementations of ``semcache_may_store``."""

    @classmethod
    def of(
        cls,
        *,
        embedder: Embedder | None,
        vectors: VectorStore,
        responses: ResponseStore,
        verifiers: Sequence[Verifier] = (),
        vetoes: Sequence[Callable[[Query, Record], object]] = (),
    ) -> Parts:
        """Look for the extra powers of opened components and return them all."""
        stamped = responses if isinstance(responses, SupportsStamps) else StampedByEntries(responses)
        return cls(
            embedder=embedder,
            vectors=vectors,
            responses=stamped,
            stamps=stamped,
            peek=stamped if isinstance(stamped, SupportsPeek) else None,
            poke=stamped if isinstance(stamped, SupportsPoke) else None,
            scopes=vectors if isinstance(vectors, SupportsScopes) else None,
            sweepers=tuple(store for store in (vectors, responses) if isinstance(store, SupportsSweep)),
            tellers=tuple(store for store in (vectors, responses) if isinstance(store, SupportsNotices)),
            verifiers=verifiers,
            vetoes=vetoes,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependencies:
    """Deadline and breaker of all that is behind the cache. Writes have their own: a full disk stops no reads."""

    responses: Dependency
    vectors: Dependency
    embed: Dependency
    judges: Dependency
    write_responses: Dependency
    write_vectors: Dependency

    @classmethod
    def of(
        cls, limits: LimitOptions, *, clock: Callable[[], float], on_fault: Callable[[str, BaseException], None]
    ) -> Dependencies:
        """Return one for each stage, as ``limits`` says."""
        deadlines = {
            "responses": limits.response_deadline,
            "vectors": limits.vector_deadline,
            "embed": limits.embed_deadline,
            "judges": limits.judge_deadline,
            "write_responses": limits.response_deadline,
            "write_vectors": limits.vector_deadline,
        }
        return cls(
            **{
                stage: Dependency(
                    stage, deadline=deadline, open_for=limits.breaker_open, clock=clock, on_fault=on_fault
                )
                for stage, deadline in deadlines.items()
            }
        )
