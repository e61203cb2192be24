"""Each wrong response store breaks one rule, and is caught by the tests that are named for it and by no others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar

import pytest

from semcache_core.errors import StoreUnavailable
from semcache_core.protocols import (
    ResponseStore,
    SupportsGetNowait,
    SupportsInvalidation,
    SupportsScan,
    SupportsSecret,
    SupportsSetNowait,
    SupportsSweep,
)
from semcache_core.testing import ResponseStoreContract
from semcache_core.types import Stored

from .right import DictResponses, Shelf
from .runner import broken, promises, skipped

WRONG: dict[type[DictResponses], set[str]] = {}


def caught_by(*names: str) -> Any:
    """Note by which tests a wrong store is to be caught."""

    def note(store: type[DictResponses]) -> type[DictResponses]:
        WRONG[store] = set(names)
        return store

    return note


class TestRight(ResponseStoreContract):
    shared = True
    promises = (SupportsGetNowait, SupportsSetNowait, SupportsInvalidation, SupportsScan, SupportsSweep, SupportsSecret)
    store: ClassVar[type[DictResponses]] = DictResponses

    @cached_property
    def place(self) -> Shelf:
        return Shelf()

    def make(self) -> ResponseStore:
        return self.store(self.place)

    async def read_raw(self, store: ResponseStore, id: bytes) -> bytes | None:
        entry = self.place.entries.get(id)
        return None if entry is None else entry[0]

    async def write_raw(self, store: ResponseStore, id: bytes, data: bytes, *, keep_until: float | None) -> None:
        self.place.entries[id] = (data, keep_until, ())


@caught_by("test_set_writes_what_the_back_door_reads", "test_get_reads_what_the_back_door_wrote")
class MirrorsItsOwnMistake(DictResponses):
    """What it writes it reads back, and nobody else can read either."""

    def put(self, id: bytes, data: bytes, *rest: Any) -> None:
        super().put(id, data.replace(b"\x00", b"\xff\xfe0") if data == bytes(range(256)) else data, *rest)

    def found(self, id: bytes, now: float) -> Stored | None:
        stored = super().found(id, now)
        if stored is None or stored.data[:1] not in (b"\xff", b"\x00") or len(stored.data) not in (256, 258):
            return stored
        return Stored(data=stored.data.replace(b"\xff\xfe0", b"\x00") if len(stored.data) == 258 else b"?")


@caught_by(
    "test_set_writes_what_the_back_door_reads", "test_every_byte_value_comes_back", "test_ten_mebibytes_come_back"
)
class ReplacesBytesThatAreNoText(DictResponses):
    def put(self, id: bytes, data: bytes, *rest: Any) -> None:
        super().put(id, data.decode("utf-8", "replace").encode() if len(data) > 1 else data, *rest)


@caught_by("test_every_byte_value_comes_back")
class GivesAView(DictResponses):
    def found(self, id: bytes, now: float) -> Stored | None:
        stored = super().found(id, now)
        return Stored(data=bytearray(stored.data)) if stored and len(stored.data) == 256 else stored


@caught_by("test_an_id_may_hold_any_byte")
class EndsIdsAtNul(DictResponses):
    def put(self, id: bytes, *rest: Any) -> None:
        if not id.strip(b"\x00"):
            raise StoreUnavailable("invalid byte sequence: 0x00")
        super().put(id, *rest)


@caught_by("test_an_empty_answer_comes_back")
class TakesNothingForMissing(DictResponses):
    def found(self, id: bytes, now: float) -> Stored | None:
        stored = super().found(id, now)
        return stored if stored and stored.data else None


@caught_by("test_ten_mebibytes_come_back")
class DropsLargeAnswers(DictResponses):
    def put(self, id: bytes, data: bytes, *rest: Any) -> None:
        if len(data) < 2**20:
            super().put(id, data, *rest)


@caught_by("test_a_set_replaces")
class KeepsTheFirstExpiry(DictResponses):
    def put(self, id: bytes, data: bytes, keep_until: float | None, tags: tuple[bytes, ...]) -> None:
        old = self.entries.get(id)
        super().put(id, data, old[1] if old else keep_until, tags)


@caught_by("test_answers_come_in_the_order_of_the_ids_with_none_for_the_missing")
class LeavesMissingOnesOut(DictResponses):
    async def get(self, ids: Sequence[bytes], *, now: float) -> list[Stored | None]:
        found = await super().get(ids, now=now)
        return [each for each in found if each is not None] if len(ids) == 5 else found


@caught_by("test_a_deleted_entry_is_gone")
class OnlyHidesWhatIsDeleted(DictResponses):
    hidden: ClassVar[set[bytes]] = set()

    async def delete(self, ids: Sequence[bytes]) -> None:
        self.check_open()
        self.hidden.update(ids)

    async def sweep(self, *, now: float) -> int:
        dead = [id for id, entry in self.entries.items() if not self.remaining(entry[1], now)]
        await super().delete(dead)
        return len(dead)

    def put(self, id: bytes, *rest: Any) -> None:
        self.hidden.discard(id)
        super().put(id, *rest)

    def found(self, id: bytes, now: float) -> Stored | None:
        return None if id in self.hidden else super().found(id, now)


@caught_by("test_deleting_what_is_not_there_is_harmless")
class RaisesOnUnknownIds(DictResponses):
    async def delete(self, ids: Sequence[bytes]) -> None:
        for id in ids:
            del self.entries[id]


@caught_by("test_empty_batches_are_harmless")
class RaisesOnEmptyBatches(DictResponses):
    async def get(self, ids: Sequence[bytes], *, now: float) -> list[Stored | None]:
        if not ids:
            raise StoreUnavailable("wrong number of arguments for 'mget'")
        return await super().get(ids, now=now)


@caught_by(
    "test_an_entry_expires_by_the_given_now",
    "test_a_read_never_changes_an_expiry",
    "test_entries_outlive_the_component",
)
class ExpiresByItsOwnClock(DictResponses):
    def found(self, id: bytes, now: float) -> Stored | None:
        return super().found(id, time.time())


@caught_by(
    "test_an_entry_expires_by_the_given_now",
    "test_entries_outlive_the_component",
    "test_a_sweep_deletes_what_has_expired_and_nothing_else",
)
class ExpiresTooLate(DictResponses):
    def remaining(self, keep_until: float | None, now: float) -> bool:
        return keep_until is None or keep_until >= now


@caught_by("test_a_read_never_changes_an_expiry", "test_an_entry_expires_by_the_given_now")
class LivesLongerWhenRead(DictResponses):
    def found(self, id: bytes, now: float) -> Stored | None:
        stored = super().found(id, now)
        entry = self.entries.get(id)
        if stored and entry and entry[1] is not None and entry[1] - now < 5:
            self.entries[id] = (entry[0], now + 5, entry[2])
        return stored


@caught_by("test_a_read_never_changes_an_expiry")
class LosesItsEndWhenReadOften(DictResponses):
    """The trap: an entry is written back with its count of hits, and without its expiry."""

    reads = 0

    def found(self, id: bytes, now: float) -> Stored | None:
        stored = super().found(id, now)
        self.reads += 1
        if stored and self.reads > 5 and len(self.entries) == 1:
            self.entries[id] = (stored.data, None, self.entries[id][2])
        return stored


@caught_by("test_an_entry_without_an_end_never_expires")
class TakesNoEndForAYear(DictResponses):
    def remaining(self, keep_until: float | None, now: float) -> bool:
        return super().remaining(keep_until, now) and now < 4_102_444_800.0 + 365 * 86400


@caught_by("test_entries_outlive_the_component")
class ForgetsAtClose(DictResponses):
    async def __aexit__(self, *error: Any) -> bool | None:
        self.place.entries.clear()
        return await super().__aexit__(*error)


@caught_by("test_another_handle_sees_an_overwrite_within_a_second")
class CachesWhatItRead(DictResponses):
    def __init__(self, place: Shelf) -> None:
        super().__init__(place)
        self.seen: dict[bytes, Stored] = {}

    def put(self, id: bytes, *rest: Any) -> None:
        self.seen.pop(id, None)
        super().put(id, *rest)

    def found(self, id: bytes, now: float) -> Stored | None:
        stored = super().found(id, now)
        return self.seen.setdefault(id, stored) if stored and stored.data in (b"old", b"new") else stored


@caught_by("test_50_concurrent_writes_all_land")
class LosesConcurrentWrites(DictResponses):
    async def set(self, id: bytes, *rest: Any, **options: Any) -> None:
        before = dict(self.entries)
        await super().set(id, *rest, **options)
        before[id] = self.entries[id]
        self.place.entries = before


@caught_by("test_cancellation_leaves_it_usable")
class StaysBrokenAfterCancellation(DictResponses):
    was_cancelled = False

    async def get(self, ids: Sequence[bytes], *, now: float) -> list[Stored | None]:
        if self.was_cancelled:
            raise StoreUnavailable("another operation is in progress")
        try:
            return await super().get(ids, now=now)
        except asyncio.CancelledError:
            self.was_cancelled = True
            raise


@caught_by("test_its_powers_are_the_promised_ones")
class HasAPowerThatNobodyPromised(DictResponses):
    def notices(self) -> Sequence[str]:
        return ()


@caught_by("test_get_brings_the_newest_stamp_of_any_tag")
class BringsTheStampOfTheFirstTag(DictResponses):
    def newest(self, tags: tuple[bytes, ...]) -> float | None:
        return super().newest(tags[:1])


@caught_by("test_a_stamp_never_goes_back")
class LetsStampsGoBack(DictResponses):
    async def invalidate(self, tags: Sequence[bytes], *, before: float) -> None:
        self.place.stamps.update(dict.fromkeys(tags, before))


@caught_by("test_a_stamp_binds_only_what_carries_its_tag", "test_a_set_replaces_the_tags")
class StampsEverything(DictResponses):
    def newest(self, tags: tuple[bytes, ...]) -> float | None:
        return max(self.place.stamps.values(), default=None)


@caught_by("test_a_set_replaces_the_tags")
class KeepsTheOldTags(DictResponses):
    def put(self, id: bytes, data: bytes, keep_until: float | None, tags: tuple[bytes, ...]) -> None:
        old = self.entries.get(id)
        super().put(id, data, keep_until, tags + (old[2] if old else ()))


@caught_by("test_a_scan_walks_every_entry_once_by_id")
class ScansInTheOrderOfWriting(DictResponses):
    async def scan(self, *, after: bytes = b"", limit: int = 1000) -> list[tuple[bytes, Stored]]:
        return [(id, self.scanned(id)) for id in self.entries if id > after][:limit]


@caught_by("test_a_scan_tells_the_tags_of_each_entry")
class ScansWithoutTags(DictResponses):
    def scanned(self, id: bytes) -> Stored:
        return Stored(data=self.entries[id][0])


@caught_by("test_a_peek_tells_what_get_would")
class PeeksAtExpiredEntries(DictResponses):
    def get_nowait(self, id: bytes, *, now: float) -> Stored | None:
        return super().get_nowait(id, now=now - 5)


@caught_by("test_a_peek_outside_the_block_raises_not_open")
class PeeksAfterItWasClosed(DictResponses):
    def get_nowait(self, id: bytes, *, now: float) -> Stored | None:
        return super().get_nowait(id, now=now) if self.is_open else None


@caught_by("test_a_poke_does_what_set_would")
class PokesWithoutAnEnd(DictResponses):
    def set_nowait(self, id: bytes, data: bytes, *, keep_until: float | None, tags: Sequence[bytes]) -> None:
        super().set_nowait(id, data, keep_until=None, tags=tags)


@caught_by("test_a_poke_does_what_set_would")
class PokesBesideTheOldTags(DictResponses):
    def set_nowait(self, id: bytes, data: bytes, *, keep_until: float | None, tags: Sequence[bytes]) -> None:
        old = self.entries.get(id)
        super().set_nowait(id, data, keep_until=keep_until, tags=[*tags, *(old[2] if old else ())])


@caught_by("test_a_poke_outside_the_block_raises_not_open")
class PokesAfterItWasClosed(DictResponses):
    def set_nowait(self, id: bytes, data: bytes, *, keep_until: float | None, tags: Sequence[bytes]) -> None:
        if self.is_open:
            super().set_nowait(id, data, keep_until=keep_until, tags=tags)


@caught_by("test_a_sweep_deletes_what_has_expired_and_nothing_else")
class SweepsWhatNeverExpires(DictResponses):
    async def sweep(self, *, now: float) -> int:
        swept = await super().sweep(now=now)
        await self.delete([id for id, entry in self.entries.items() if entry[1] is None])
        return swept


@caught_by("test_its_secret_is_long_and_stays_the_same")
class MakesASecretForEachHandle(DictResponses):
    def identity_secret(self) -> bytes:
        return repr(self).encode() * 2


@caught_by(
    "test_use_before_open_raises_not_open",
    "test_a_peek_outside_the_block_raises_not_open",
    "test_a_poke_outside_the_block_raises_not_open",
)
class WorksWithoutBeingOpened(DictResponses):
    def __init__(self, place: Shelf) -> None:
        super().__init__(place)
        self.is_open = True


@caught_by(
    "test_use_after_close_raises_not_open",
    "test_a_peek_outside_the_block_raises_not_open",
    "test_a_poke_outside_the_block_raises_not_open",
)
class WorksAfterItWasClosed(DictResponses):
    async def __aexit__(self, *error: Any) -> bool | None:
        return None


@caught_by("test_closing_twice_is_harmless")
class RaisesWhenClosedTwice(DictResponses):
    async def __aexit__(self, *error: Any) -> bool | None:
        self.check_open()
        return await super().__aexit__(*error)


@caught_by("test_closing_leaves_no_task_behind")
class LeavesATaskBehind(DictResponses):
    async def __aenter__(self) -> Any:
        self.task = asyncio.create_task(asyncio.sleep(3600))
        return await super().__aenter__()


@caught_by("test_an_error_in_the_block_is_not_swallowed")
class SwallowsErrors(DictResponses):
    async def __aexit__(self, *error: Any) -> bool | None:
        await super().__aexit__(*error)
        return True


@pytest.mark.parametrize("store", WRONG, ids=lambda store: store.__name__)
def test_a_wrong_store_is_caught_by_the_tests_named_for_its_fault(store: type[DictResponses]) -> None:
    contract = type("Wrong", (TestRight,), {"store": store})
    assert broken(contract) == WRONG[store]


def test_every_promise_has_a_store_that_breaks_it() -> None:
    assert set().union(*WRONG.values()) == set(promises(TestRight))


def test_a_store_without_powers_skips_what_it_does_not_promise() -> None:
    class Plain(DictResponses):
        get_nowait = None
        set_nowait = None
        invalidate = None
        scan = None
        sweep = None
        identity_secret = None

    class Contract(TestRight):
        shared = False
        promises = ()
        store = Plain

    assert broken(Contract) == set()
    assert skipped(Contract) == {
        "test_a_peek_outside_the_block_raises_not_open",
        "test_a_peek_tells_what_get_would",
        "test_a_poke_does_what_set_would",
        "test_a_poke_outside_the_block_raises_not_open",
        "test_a_scan_tells_the_tags_of_each_entry",
        "test_a_scan_walks_every_entry_once_by_id",
        "test_a_set_replaces_the_tags",
        "test_a_stamp_binds_only_what_carries_its_tag",
        "test_a_stamp_never_goes_back",
        "test_a_sweep_deletes_what_has_expired_and_nothing_else",
        "test_another_handle_sees_an_overwrite_within_a_second",
        "test_entries_outlive_the_component",
        "test_get_brings_the_newest_stamp_of_any_tag",
        "test_its_secret_is_long_and_stays_the_same",
    }
