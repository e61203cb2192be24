"""Whether the components of a cache can be reached right now."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import numpy as np

from semcache_core.engine.breakers import within
from semcache_core.engine.components import OpenComponents
from semcache_core.protocols import Embedder, SupportsReady, VectorStore
from semcache_core.settings import LimitOptions

OK = "ok"
_KEPT = 1.0
"""Seconds for which a result is reused: an open health page must not put load on the stores."""
_NOWHERE = b"\x00semcache-ready"

Probe = Callable[[], Coroutine[Any, Any, object]]


class Readiness:
    """Asks each component whether it is ready. A store without a readiness check is read once, for a missing id.

    An embedder without one is ready once it is open: embedding could cost money.
    """

    def __init__(self, parts: OpenComponents, *, limits: LimitOptions, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = asyncio.Lock()
        self._asked_at = float("-inf")
        self._states: Mapping[str, str] = {}
        self._probes: dict[str, tuple[Probe, float]] = {}
        if parts.embedder is not None:
            self._probes["embedder"] = (_probe(parts.embedder) or _nothing, limits.embed_deadline)
            search = _probe(parts.vectors) or _search(parts.vectors, parts.embedder, clock)
            self._probes["vector_store"] = (search, limits.vector_deadline)
        read = _probe(parts.responses) or (lambda: parts.responses.get((_NOWHERE,), now=clock()))
        self._probes["response_store"] = (read, limits.response_deadline)

    async def states(self) -> Mapping[str, str]:
        """Return ``ok``, or the type of the failure, for each component. Never raises for a component's failure."""
        async with self._lock:
            now = self._clock()
            if not self._asked_at <= now < self._asked_at + _KEPT:
                said = await asyncio.gather(*(_state(*probe) for probe in self._probes.values()))
                self._states, self._asked_at = dict(zip(self._probes, said, strict=True)), now
            return self._states


async def _state(probe: Probe, deadline: float) -> str:
    try:
        await within(probe(), deadline)
    except Exception as error:  # noqa: BLE001  the edge to plugin code; the message could contain a password
        return type(error).__name__
    return OK


def _probe(component: object) -> Probe | None:
    return component.ready if isinstance(component, SupportsReady) else None


def _search(vectors: VectorStore, embedder: Embedder, clock: Callable[[], float]) -> Probe:
    vector = np.zeros(embedder.dimensions, np.float32)
    vector[0] = 1.0
    return lambda: vectors.search(vector, scope=_NOWHERE, limit=1, floor=1.0, now=clock())


async def _nothing() -> None:
    """Do nothing: the probe of a component that is ready once it is open."""
