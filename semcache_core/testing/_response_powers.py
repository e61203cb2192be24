"""The optional protocols of a response store, and the helpers of all its promises."""

from __future__ import annotations

from typing import ClassVar, final

import pytest

from semcache_core.errors import NotOpenError
from semcache_core.protocols import (
    ResponseStore,
    SupportsGetNowait,
    SupportsInvalidation,
    SupportsScan,
    SupportsSecret,
    SupportsSetNowait,
)
from semcache_core.testing._contract import GuardedContract, promise
from semcache_core.testing._samples import POWERS, START, ident
from semcache_core.types import Stored


class ResponseStorePowers(GuardedContract[ResponseStore]):
    """The part of ``ResponseStoreContract`` about the ``Supports...`` protocols."""

    shared: ClassVar[bool] = False
    """True: the components of one test share their contents, and the contents outlive a component."""
    promises: ClassVar[tuple[type, ...]] = ()
    """The ``Supports...`` protocols that the store has."""

    @final
    async def use(self, component: ResponseStore) -> None:
        """Read an entry: the engine's most frequent call."""
        await component.get([ident("a")], now=START)

    @final
    async def put(
        self,
        store: ResponseStore,
        name: str,
        data: bytes = b"data",
        *,
        keep_until: float | None = None,
        tags: tuple[str, ...] = (),
    ) -> None:
        """Store ``data`` under the id of ``name``."""
        await store.set(ident(name), data, keep_until=keep_until, tags=[ident(tag) for tag in tags])

    @final
    async def got(self, store: ResponseStore, name: str, *, now: float = START) -> Stored | None:
        """Return the entry under the id of ``name``."""
        (found,) = await store.get([ident(name)], now=now)
        return found

    @final
    async def data(self, store: ResponseStore, name: str, *, now: float = START) -> bytes | None:
        """Return the bytes under the id of ``name``."""
        found = await self.got(store, name, now=now)
        return None if found is None else found.data

    @promise
    async def test_its_powers_are_the_promised_ones(self, store: ResponseStore) -> None:
        has = {power.__name__ for power in POWERS if isinstance(store, power)}
        assert has == {power.__name__ for power in self.promises}, "list the protocols it has in `promises`"

    @promise
    async def test_get_brings_the_newest_stamp_of_any_tag(self, store: ResponseStore) -> None:
        stamps = self._stamps(store)
        await stamps.invalidate([ident("red")], before=START + 5)
        await self.put(store, "a", tags=("red", "green", "blue"))
        assert await self.got(store, "a") == Stored(data=b"data", invalidated_at=START + 5)
        await stamps.invalidate([ident("blue"), ident("yellow")], before=START + 9)
        assert await self.got(store, "a") == Stored(data=b"data", invalidated_at=START + 9)

    @promise
    async def test_a_stamp_never_goes_back(self, store: ResponseStore) -> None:
        stamps = self._stamps(store)
        await stamps.invalidate([ident("red")], before=START + 9)
        await stamps.invalidate([ident("red")], before=START + 5)
        await self.put(store, "a", tags=("red",))
        assert await self.got(store, "a") == Stored(data=b"data", invalidated_at=START + 9)

    @promise
    async def test_a_stamp_binds_only_what_carries_its_tag(self, store: ResponseStore) -> None:
        stamps = self._stamps(store)
        await self.put(store, "red", tags=("red",))
        await self.put(store, "green", tags=("green",))
        await self.put(store, "plain")
        await stamps.invalidate([ident("red")], before=START)
        found = await store.get([ident(name) for name in ("red", "green", "plain")], now=START)
        assert [stored and stored.invalidated_at for stored in found] == [START, None, None]

    @promise
    async def test_a_set_replaces_the_tags(self, store: ResponseStore) -> None:
        stamps = self._stamps(store)
        await self.put(store, "a", tags=("red",))
        await self.put(store, "a", tags=("green",))
        await stamps.invalidate([ident("red")], before=START)
        assert await self.got(store, "a") == Stored(data=b"data")

    @promise
    async def test_a_scan_walks_every_entry_once_by_id(self, store: ResponseStore) -> None:
        if not isinstance(store, SupportsScan):
            pytest.skip("does not promise SupportsScan")
        names = {ident(f"{n}"): f"{n}".encode() for n in range(25)}
        for n in range(25):
            await self.put(store, f"{n}", f"{n}".encode())
        walked: list[tuple[bytes, bytes]] = []
        page = await store.scan(limit=10)
        while page:
            assert len(page) <= 10
            walked += [(id, stored.data) for id, stored in page]
            page = await store.scan(after=page[-1][0], limit=10)
        assert walked == sorted(names.items())
        assert await store.count() == 25

    @promise
    async def test_a_scan_tells_the_tags_of_each_entry(self, store: ResponseStore) -> None:
        if not isinstance(store, SupportsScan):
            pytest.skip("does not promise SupportsScan")
        await self.put(store, "a", tags=("red", "green"))
        await self.put(store, "b")
        tags = {id: sorted(stored.tags) for id, stored in await store.scan()}
        assert tags == {ident("a"): sorted((ident("red"), ident("green"))), ident("b"): []}

    @promise
    async def test_a_peek_tells_what_get_would(self, store: ResponseStore) -> None:
        if not isinstance(store, SupportsGetNowait):
            pytest.skip("does not promise SupportsGetNowait")
        await self.put(store, "a", tags=("red",), keep_until=START + 10)
        if isinstance(store, SupportsInvalidation):
            await store.invalidate([ident("red")], before=START)
        for name, now in (("a", START + 9), ("a", START + 10), ("missing", START)):
            assert store.get_nowait(ident(name), now=now) == await self.got(store, name, now=now)
        await self.put(store, "a", b"new")
        assert store.get_nowait(ident("a"), now=START) == await self.got(store, "a")

    def test_a_peek_outside_the_block_raises_not_open(self) -> None:
        async def body() -> None:
            async with self.opened() as store:
                if not isinstance(store, SupportsGetNowait):
                    pytest.skip("does not promise SupportsGetNowait")
            for unusable in (store, self.make()):
                assert isinstance(unusable, SupportsGetNowait)
                with pytest.raises(NotOpenError):
                    unusable.get_nowait(ident("a"), now=START)

        self.run(body)

    @promise
    async def test_a_poke_does_what_set_would(self, store: ResponseStore) -> None:
        if not isinstance(store, SupportsSetNowait):
            pytest.skip("does not promise SupportsSetNowait")
        for name in ("poked", "set"):
            await self.put(store, name, b"old", keep_until=START + 1, tags=("green",))
        await self.put(store, "set", b"new", keep_until=START + 10, tags=("red",))
        store.set_nowait(ident("poked"), b"new", keep_until=START + 10, tags=[ident("red")])
        if isinstance(store, SupportsInvalidation):
            await store.invalidate([ident("red")], before=START)
            await store.invalidate([ident("green")], before=START + 5)
        for now in (START, START + 9, START + 10):
            assert await self.got(store, "poked", now=now) == await self.got(store, "set", now=now)

    def test_a_poke_outside_the_block_raises_not_open(self) -> None:
        async def body() -> None:
            async with self.opened() as store:
                if not isinstance(store, SupportsSetNowait):
                    pytest.skip("does not promise SupportsSetNowait")
            for unusable in (store, self.make()):
                assert isinstance(unusable, SupportsSetNowait)
                with pytest.raises(NotOpenError):
                    unusable.set_nowait(ident("a"), b"data", keep_until=None, tags=())

        self.run(body)

    @promise
    async def test_its_secret_is_long_and_stays_the_same(self, store: ResponseStore) -> None:
        if not isinstance(store, SupportsSecret):
            pytest.skip("does not promise SupportsSecret")
        secret = store.identity_secret()
        assert len(secret) >= 32
        assert store.identity_secret() == secret
        if self.shared:
            async with self.opened() as other:
                assert isinstance(other, SupportsSecret)
                assert other.identity_secret() == secret

    def _needs_sharing(self) -> None:
        if not self.shared:
            pytest.skip("its contents live and die with one component (shared = False)")

    @staticmethod
    def _stamps(store: ResponseStore) -> SupportsInvalidation:
        if not isinstance(store, SupportsInvalidation):
            pytest.skip("does not promise SupportsInvalidation")
        return store
