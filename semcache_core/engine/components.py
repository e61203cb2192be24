"""The components of an open cache, opened and checked, as the engine uses them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from semcache_core.engine.breakers import Guard
from semcache_core.engine.invalidation import InvalidationByEntries
from semcache_core.protocols import (
    Embedder,
    ResponseStore,
    SupportsGetNowait,
    SupportsInvalidation,
    SupportsLargest,
    SupportsNotices,
    SupportsScopes,
    SupportsSetNowait,
    SupportsSweep,
    VectorStore,
    Verifier,
)
from semcache_core.settings import LimitOptions
from semcache_core.types import EntryView, Query


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenComponents:
    """The opened components of one cache, with the optional protocols that each implements, looked up once."""

    embedder: Embedder | None
    vectors: VectorStore
    responses: ResponseStore
    invalidation: SupportsInvalidation
    get_nowait: SupportsGetNowait | None
    set_nowait: SupportsSetNowait | None
    largest: SupportsLargest | None
    scopes: SupportsScopes | None
    sweepers: Sequence[SupportsSweep]
    tellers: Sequence[SupportsNotices]
    """Components that may have notices for the operator."""
    verifiers: Sequence[Verifier] = ()
    vetoes: Sequence[Callable[[Query, EntryView], object]] = field(default=())
    """Implementations of ``semcache_may_store``."""

    @classmethod
    def of(
        cls,
        *,
        embedder: Embedder | None,
        vectors: VectorStore,
        responses: ResponseStore,
        verifiers: Sequence[Verifier] = (),
        vetoes: Sequence[Callable[[Query, EntryView], object]] = (),
    ) -> OpenComponents:
        """Return the components with the optional protocols that each implements."""
        stamped = responses if isinstance(responses, SupportsInvalidation) else InvalidationByEntries(responses)
        return cls(
            embedder=embedder,
            vectors=vectors,
            responses=stamped,
            invalidation=stamped,
            get_nowait=stamped if isinstance(stamped, SupportsGetNowait) else None,
            set_nowait=stamped if isinstance(stamped, SupportsSetNowait) else None,
            largest=responses if isinstance(responses, SupportsLargest) else None,
            scopes=vectors if isinstance(vectors, SupportsScopes) else None,
            sweepers=tuple(store for store in (vectors, responses) if isinstance(store, SupportsSweep)),
            tellers=tuple(store for store in (vectors, responses) if isinstance(store, SupportsNotices)),
            verifiers=verifiers,
            vetoes=vetoes,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Guards:
    """The guard of each dependency. Writes have separate guards: a full disk does not stop reads."""

    responses: Guard
    vectors: Guard
    embed: Guard
    judges: Guard
    write_responses: Guard
    write_vectors: Guard

    @classmethod
    def of(
        cls, limits: LimitOptions, *, clock: Callable[[], float], on_fault: Callable[[str, BaseException], None]
    ) -> Guards:
        """Return one guard for each stage, with the deadlines of ``limits``."""
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
                stage: Guard(stage, deadline=deadline, open_for=limits.breaker_open, clock=clock, on_fault=on_fault)
                for stage, deadline in deadlines.items()
            }
        )
