"""The contract of a response store: entries by id, from which the vector index can be rebuilt.

Reading and writing are each tested against direct access, so that a bug in ``get`` cannot hide the same bug in ``set``.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod

import pytest

from semcache_core.protocols import ResponseStore, SupportsSweep
from semcache_core.testing._contract import promise
from semcache_core.testing._response_powers import ResponseStorePowers
from semcache_core.testing._samples import START, cut_off, ident, within_a_second
from semcache_core.types import Stored

ALL_BYTES = bytes(range(256))
MIB = 1024 * 1024


class ResponseStoreContract(ResponseStorePowers):
    """What the engine relies on in a response store::

        class TestRedisResponses(ResponseStoreContract):
            shared = True
            promises = (SupportsInvalidation,)

            def make(self) -> ResponseStore:
                return RedisResponseStore(RedisOptions(url=URL, prefix=self.prefix))

            async def read_raw(self, store, id):
                return plain_client.hget(self.prefix + id, "data")

            async def write_raw(self, store, id, data, *, keep_until):
                plain_client.hset(self.prefix + id, mapping={"data": data, "keep_until": keep_until})

    Each test needs an empty store: create it in an autouse fixture of your class if necessary.
    """

    @abstractmethod
    async def read_raw(self, store: ResponseStore, id: bytes) -> bytes | None:
        """Return the data under ``id`` without ``store.get``; None if there is none."""

    @abstractmethod
    async def write_raw(self, store: ResponseStore, id: bytes, data: bytes, *, keep_until: float | None) -> None:
        """Write an entry without tags, without ``store.set``."""

    # -- reading and writing ------------------------------------------------------------------------------------------

    @promise
    async def test_set_writes_what_the_back_door_reads(self, store: ResponseStore) -> None:
        await self.put(store, "a", ALL_BYTES)
        assert await self.read_raw(store, ident("a")) == ALL_BYTES

    @promise
    async def test_get_reads_what_the_back_door_wrote(self, store: ResponseStore) -> None:
        await self.write_raw(store, ident("a"), ALL_BYTES, keep_until=START + 10)
        assert await self.got(store, "a") == Stored(data=ALL_BYTES)

    @promise
    async def test_every_byte_value_comes_back(self, store: ResponseStore) -> None:
        await self.put(store, "a", ALL_BYTES)
        found = await self.got(store, "a")
        assert found == Stored(data=ALL_BYTES)
        assert type(found.data) is bytes, "bytes, not a view of a buffer that lives elsewhere"

    @promise
    async def test_an_id_may_hold_any_byte(self, store: ResponseStore) -> None:
        ids = [bytes([value]) * 16 for value in range(256)]
        for id in ids:
            await store.set(id, id[:1], keep_until=None, tags=())
        found = await store.get(ids, now=START)
        assert [stored and stored.data for stored in found] == [id[:1] for id in ids]

    @promise
    async def test_an_empty_answer_comes_back(self, store: ResponseStore) -> None:
        await self.put(store, "a", b"")
        assert await self.data(store, "a") == b"", "no bytes is an answer; None is no entry"

    @promise
    async def test_ten_mebibytes_come_back(self, store: ResponseStore) -> None:
        large = ALL_BYTES * (10 * MIB // 256)
        await self.put(store, "a", large)
        assert await self.data(store, "a") == large

    @promise
    async def test_a_set_replaces(self, store: ResponseStore) -> None:
        await self.put(store, "a", b"a longer old answer", keep_until=START + 10)
        await self.put(store, "a", b"new", keep_until=START + 100)
        assert await self.data(store, "a", now=START + 50) == b"new"

    @promise
    async def test_answers_come_in_the_order_of_the_ids_with_none_for_the_missing(self, store: ResponseStore) -> None:
        for name in ("a", "b", "c"):
            await self.put(store, name, name.encode())
        found = await store.get([ident(name) for name in ("c", "missing", "a", "b", "a")], now=START)
        assert [stored and stored.data for stored in found] == [b"c", None, b"a", b"b", b"a"]

    @promise
    async def test_a_deleted_entry_is_gone(self, store: ResponseStore) -> None:
        await self.put(store, "a")
        await self.put(store, "b")
        await store.delete([ident("a")])
        assert await self.got(store, "a") is None
        assert await self.read_raw(store, ident("a")) is None
        assert await self.data(store, "b") == b"data"

    @promise
    async def test_deleting_what_is_not_there_is_harmless(self, store: ResponseStore) -> None:
        await self.put(store, "a")
        await store.delete([ident("never there")])
        assert await self.data(store, "a") == b"data"

    @promise
    async def test_empty_batches_are_harmless(self, store: ResponseStore) -> None:
        await store.delete([])
        assert list(await store.get([], now=START)) == []

    # -- time ---------------------------------------------------------------------------------------------------------

    @promise
    async def test_an_entry_expires_by_the_given_now(self, store: ResponseStore) -> None:
        await self.put(store, "a", keep_until=START + 10)
        assert await self.data(store, "a", now=START + 9) == b"data"
        assert await self.got(store, "a", now=START + 10) is None, "expired: keep_until <= now"

    @promise
    async def test_a_read_never_changes_an_expiry(self, store: ResponseStore) -> None:
        await self.put(store, "a", keep_until=START + 10)
        for second in range(10):
            assert await self.data(store, "a", now=START + second) == b"data"
        assert await self.got(store, "a", now=START + 11) is None, "a read made it live longer"

    @promise
    async def test_an_entry_without_an_end_never_expires(self, store: ResponseStore) -> None:
        await self.put(store, "a", keep_until=None)
        assert await self.data(store, "a", now=START + 1e9) == b"data"

    # -- sharing and misuse -------------------------------------------------------------------------------------------

    def test_entries_outlive_the_component(self) -> None:
        async def body() -> None:
            self._needs_sharing()
            async with self.opened() as store:
                await self.put(store, "a", keep_until=START + 10)
            async with self.opened() as store:
                assert await self.data(store, "a") == b"data"
                assert await self.data(store, "a", now=START + 10) is None

        self.run(body)

    @promise
    async def test_another_handle_sees_an_overwrite_within_a_second(self, store: ResponseStore) -> None:
        self._needs_sharing()
        async with self.opened() as other:
            await self.put(store, "a", b"old")
            await self.data(other, "a")
            await self.put(store, "a", b"new")

            async def sees_it() -> bool:
                return await self.data(other, "a") == b"new"

            assert await within_a_second(sees_it)

    @promise
    async def test_50_concurrent_writes_all_land(self, store: ResponseStore) -> None:
        await asyncio.gather(*(self.put(store, f"{n}", f"{n}".encode()) for n in range(50)))
        found = await store.get([ident(f"{n}") for n in range(50)], now=START)
        assert [stored and stored.data for stored in found] == [f"{n}".encode() for n in range(50)]

    @promise
    async def test_cancellation_leaves_it_usable(self, store: ResponseStore) -> None:
        await self.put(store, "a", b"old")
        for turns in range(6):
            await cut_off(self.put(store, "a", b"new" * 100_000), after=turns)
            await cut_off(self.got(store, "a"), after=turns)
        assert await self.data(store, "a") in (b"old", b"new" * 100_000), "an entry is whole or not there"
        await self.put(store, "a", b"after")
        assert await self.data(store, "a") == b"after"

    @promise
    async def test_a_sweep_deletes_what_has_expired_and_nothing_else(self, store: ResponseStore) -> None:
        if not isinstance(store, SupportsSweep):
            pytest.skip("does not promise SupportsSweep")
        await self.put(store, "gone", keep_until=START)
        await self.put(store, "alive", keep_until=START + 1)
        await self.put(store, "for ever")
        assert await store.sweep(now=START) == 1
        assert [await self.read_raw(store, ident(name)) for name in ("gone", "alive", "for ever")] == [
            None,
            b"data",
            b"data",
        ]
        assert await store.sweep(now=START) == 0
