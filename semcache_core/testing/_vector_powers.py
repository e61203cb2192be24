"""The optional protocols of a vector store, and the helpers of all its promises."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar, final

import pytest

from semcache_core.protocols import SupportsScopes, SupportsSweep, VectorStore
from semcache_core.testing._contract import GuardedContract, promise
from semcache_core.testing._samples import POWERS, START, ident, scope_of, towards
from semcache_core.types import Match, Point, Space, Vector

SCOPE = scope_of("scope")


class VectorStorePowers(GuardedContract[VectorStore]):
    """The part of ``VectorStoreContract`` about the ``Supports...`` protocols."""

    shared: ClassVar[bool] = False
    """True: the components of one test share their contents, and the contents outlive a component."""
    half_precision: ClassVar[bool] = False
    """True: vectors are stored as 16-bit floats, and similarities are accurate to 0.005 instead of 0.001."""
    promises: ClassVar[tuple[type, ...]] = ()
    """The ``Supports...`` protocols that the store has."""
    dimensions: ClassVar[int] = 32

    @asynccontextmanager
    async def opened(self, *, fingerprint: str = "kit/1", dimensions: int | None = None) -> AsyncIterator[VectorStore]:
        """Open a store and prepare it, as the engine does."""
        async with self.make() as store:
            await store.prepare(Space(fingerprint=fingerprint, dimensions=dimensions or self.dimensions))
            yield store

    @final
    async def use(self, component: VectorStore) -> None:
        """Search: the engine's most frequent call."""
        await self.near(component)

    @final
    def point(
        self,
        name: str,
        similarity: float = 1.0,
        *,
        scope: bytes = SCOPE,
        keep_until: float | None = None,
        axis: int = 1,
    ) -> Point:
        """Return a point whose cosine with the usual query is ``similarity``."""
        vector = towards(similarity, dimensions=self.dimensions, axis=axis)
        return Point(id=ident(name), scope=scope, vector=vector, keep_until=keep_until)

    @final
    async def near(
        self,
        store: VectorStore,
        vector: Vector | None = None,
        *,
        scope: bytes = SCOPE,
        limit: int = 5,
        floor: float = 0.0,
        now: float = START,
    ) -> list[Match]:
        """Search, by default with the usual query: the first axis."""
        query = towards(1.0, dimensions=self.dimensions) if vector is None else vector
        return list(await store.search(query, scope=scope, limit=limit, floor=floor, now=now))

    @promise
    async def test_its_powers_are_the_promised_ones(self, store: VectorStore) -> None:
        has = {power.__name__ for power in POWERS if isinstance(store, power)}
        assert has == {power.__name__ for power in self.promises}, "list the protocols it has in `promises`"

    @promise
    async def test_a_scope_that_holds_a_point_is_never_called_empty(self, store: VectorStore) -> None:
        if not isinstance(store, SupportsScopes):
            pytest.skip("does not promise SupportsScopes")
        assert not store.has_scope(SCOPE), "a scope that was never written to should be known to be empty"
        await store.upsert([self.point("a"), self.point("b")])
        await store.delete([ident("b")])
        assert store.has_scope(SCOPE)

    @promise
    async def test_a_sweep_deletes_what_has_expired_and_nothing_else(self, store: VectorStore) -> None:
        if not isinstance(store, SupportsSweep):
            pytest.skip("does not promise SupportsSweep")
        await store.upsert([self.point("gone", keep_until=START), self.point("alive", keep_until=START + 1)])
        await store.upsert([self.point("for ever")])
        assert await store.sweep(now=START) == 1
        assert await store.count() == 2
        assert await store.sweep(now=START) == 0

    @property
    def _tolerance(self) -> float:
        return 0.005 if self.half_precision else 0.001

    def _needs_sharing(self) -> None:
        if not self.shared:
            pytest.skip("its contents live and die with one component (shared = False)")
