"""The SQLite stores: what they promise beyond the contract of every store, within one process."""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import stat
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semcache_core.builtin.sqlite import SqliteResponseStore, SqliteVectorStore, file, news, responses, schema
from semcache_core.builtin.sqlite.worker import Worker
from semcache_core.errors import NotOpenError, StoreUnavailable
from semcache_core.types import Point, Space, Stored, Vector

D = 16
SPACE = Space(fingerprint="m", dimensions=D)
MIB = 1024 * 1024
NOBODY = 65534


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "semcache.db"


def answers(path: Path, **options: Any) -> SqliteResponseStore:
    return SqliteResponseStore(SqliteResponseStore.Options(path=str(path), **options))


def vectors(path: Path, **options: Any) -> SqliteVectorStore:
    return SqliteVectorStore(SqliteVectorStore.Options(path=str(path), **options))


def unit(seed: int) -> Vector:
    vector = np.random.default_rng(seed).standard_normal(D).astype(np.float32)
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def point(name: str, *, scope: bytes = b"s", seed: int = 0, keep_until: float | None = None) -> Point:
    return Point(id=name.encode(), scope=scope, vector=unit(seed), keep_until=keep_until)


async def put(store: SqliteResponseStore, name: str, data: bytes = b"data", **more: Any) -> None:
    await store.set(name.encode(), data, **({"keep_until": None, "tags": ()} | more))


async def data(store: SqliteResponseStore, name: str) -> bytes | None:
    (found,) = await store.get([name.encode()], now=0.0)
    return None if found is None else found.data


async def found(store: SqliteVectorStore, seed: int, *, scope: bytes = b"s") -> list[bytes]:
    return [match.id for match in await store.search(unit(seed), scope=scope, limit=5, floor=0.99, now=0.0)]


async def within_a_second(true: Callable[[], Awaitable[bool]]) -> bool:
    return await soon(true, seconds=1.0)


async def soon(true: Callable[[], Awaitable[bool]], *, seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while not await true():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.02)
    return True


def rows(path: Path, statement: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as door:
        return door.execute(statement).fetchall()


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as door:
        for statement in statements:
            door.execute(statement)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def filled(path: Path) -> Path:
    """Return a file that holds 200 answers and as many vectors."""

    async def body() -> None:
        async with answers(path) as store, vectors(path) as index:
            await index.prepare(SPACE)
            for n in range(200):
                await put(store, f"{n}", b"%d" % n * 300)
            await index.upsert([point(f"{n}", seed=n) for n in range(200)])

    asyncio.run(body())
    return path


# -- the file ---------------------------------------------------------------------------------------------------------


def test_folder_and_files_are_closed_to_others_and_out_of_version_control(path: Path) -> None:
    async def body() -> None:
        async with answers(path) as store, vectors(path):
            await put(store, "a")
            assert mode(path.parent) == 0o700
            modes = {each.name: mode(each) for each in path.parent.glob("semcache.db*")}
            assert set(modes) >= {"semcache.db", "semcache.db-wal", "semcache.db-shm"}
            assert set(modes.values()) == {0o600}
            assert (path.parent / ".gitignore").read_text() == "*\n"

    asyncio.run(body())


def test_a_folder_that_was_there_is_left_as_it_is(path: Path) -> None:
    path.parent.mkdir(mode=0o755)

    async def body() -> None:
        async with answers(path):
            assert not (path.parent / ".gitignore").exists()

    asyncio.run(body())
    assert mode(path.parent) == 0o755


def test_both_stores_leave_one_file_behind(filled: Path) -> None:
    assert {each.name for each in filled.parent.glob("semcache.db*")} == {"semcache.db", "semcache.db.lock"}


def test_the_secret_stays_with_the_file(path: Path) -> None:
    async def secret() -> bytes:
        async with answers(path) as store:
            return store.identity_secret()

    first = asyncio.run(secret())
    assert len(first) == 32
    assert asyncio.run(secret()) == first


async def set_aside_and_rebuilt(path: Path) -> str:
    """Open both stores, see that they are empty and work, and return the only notice."""
    async with answers(path) as store, vectors(path) as index:
        await index.prepare(SPACE)
        notices = [*store.notices(), *index.notices()]
        assert await store.count() == await index.count() == 0
        await put(store, "new")
        assert await data(store, "new") == b"data"
        assert not store.notices(), "each once"
    (notice,) = notices
    return notice


def test_a_file_of_another_version_is_set_aside_whole_and_a_new_one_begun(filled: Path) -> None:
    secret = rows(filled, "SELECT value FROM meta WHERE key = 'secret'")
    change(filled, f"PRAGMA user_version = {schema.VERSION + 1}")
    notice = asyncio.run(set_aside_and_rebuilt(filled))
    assert "another version" in notice
    assert "semcache.db.aside-1" in notice
    aside = filled.with_name("semcache.db.aside-1")
    assert rows(aside, "SELECT count(*) FROM responses") == [(200,)]
    assert rows(filled, "SELECT value FROM meta WHERE key = 'secret'") == secret, "callers keep their partitions"


def test_files_set_aside_never_overwrite_each_other(filled: Path) -> None:
    for _ in range(3):
        change(filled, "PRAGMA user_version = 99")
        asyncio.run(set_aside_and_rebuilt(filled))
    assert len(list(filled.parent.glob("semcache.db.aside-?"))) == 3


def test_a_file_that_is_no_database_is_set_aside(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"these are somebody's notes\n" * 1000)
    assert "not a database" in asyncio.run(set_aside_and_rebuilt(path))
    assert path.with_name("semcache.db.aside-1").read_bytes().startswith(b"these are somebody's notes")


@pytest.mark.parametrize("keep", [0.9, 0.5, 0.01], ids=["nine tenths", "half", "one per cent"])
def test_a_truncated_file_is_set_aside(filled: Path, keep: float) -> None:
    os.truncate(filled, int(filled.stat().st_size * keep))
    assert "damaged" in asyncio.run(set_aside_and_rebuilt(filled))


def test_an_empty_file_is_simply_filled(path: Path) -> None:
    path.parent.mkdir()
    path.touch()

    async def body() -> None:
        async with answers(path) as store:
            await put(store, "a")
            assert not store.notices()

    asyncio.run(body())


def test_a_file_found_damaged_in_use_is_unavailable_first_and_soon_begun_anew(filled: Path) -> None:
    async def body() -> None:
        async with answers(filled) as store:
            size = filled.stat().st_size
            with filled.open("r+b") as raw:
                raw.seek(size // 4)
                raw.write(os.urandom(size // 2))
            ids = [b"%d" % n for n in range(200)]
            with pytest.raises(StoreUnavailable, match="malformed"):
                await store.get(ids, now=0.0)

            async def works() -> bool:
                try:
                    await put(store, "new")
                except StoreUnavailable:
                    return False
                return await data(store, "new") == b"data"

            told: list[str] = []

            async def has_told() -> bool:
                told.extend(store.notices())
                return bool(told)

            assert await soon(has_told)
            assert "damaged" in told[0]
            assert await soon(works)

    asyncio.run(body())
    assert filled.with_name("semcache.db.aside-1").exists()


def test_a_file_truncated_in_use_raises_nothing_but_unavailable_and_works_again(filled: Path) -> None:
    async def body() -> None:
        async with answers(filled) as store, vectors(filled) as index:
            await index.prepare(SPACE)
            os.truncate(filled, 5000)
            for n in range(200):
                for call in (data(store, f"{n}"), put(store, f"{n}"), found(index, n), index.upsert([point("x")])):
                    try:
                        await call
                    except StoreUnavailable as error:
                        assert str(filled) in str(error)  # noqa: PT017  not every call has to fail

            async def works() -> bool:
                try:
                    await put(store, "new")
                    await index.upsert([point("new", seed=7)])
                    return await data(store, "new") == b"data" and b"new" in await found(index, 7)
                except StoreUnavailable:
                    return False

            assert await soon(works)

    asyncio.run(body())


def test_a_file_deleted_in_use_is_made_anew(path: Path) -> None:
    async def body() -> None:
        async with answers(path) as store, vectors(path) as index:
            await index.prepare(SPACE)
            await put(store, "a")
            await index.upsert([point("a")])
            for each in path.parent.glob("semcache.db*"):
                each.unlink()

            async def is_empty() -> bool:
                try:
                    return await data(store, "a") is None and not index.has_scope(b"s")
                except StoreUnavailable:
                    return False

            assert await soon(is_empty)
            await put(store, "b")
            assert rows(path, "SELECT id FROM responses") == [(b"b",)]

    asyncio.run(body())


def test_a_file_of_another_version_begun_meanwhile_stays_and_asks_for_a_restart(path: Path) -> None:
    async def body() -> None:
        async with answers(path) as store:
            for each in path.parent.glob("semcache.db*"):
                each.rename(path.parent / f"moved-{each.name}")
            change(path, "CREATE TABLE newer (x)", "PRAGMA user_version = 2")

            async def asks() -> bool:
                try:
                    await put(store, "a")
                except StoreUnavailable as error:
                    return "restart" in str(error)
                return False

            assert await soon(asks)
            await asyncio.sleep(0.6)
            assert await asks()
            assert rows(path, "SELECT name FROM sqlite_master") == [("newer",)]
            assert not list(path.parent.glob("*aside*"))

    asyncio.run(body())


# -- out of reach -----------------------------------------------------------------------------------------------------


@contextmanager
def unprivileged() -> Iterator[None]:
    """Run as nobody where the tests run as root, whom no file mode stops."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@contextmanager
def everybodys_folder() -> Iterator[Path]:
    """Make a folder that a user without privileges can reach; pytest's own are closed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "cache"
        os.chmod(name, 0o755)
        folder.mkdir()
        if os.geteuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
        yield folder


@pytest.mark.parametrize("folder_mode", [0o700, 0o500], ids=["in a writable folder", "in a read-only folder"])
def test_a_read_only_file_is_unavailable_for_writing_and_nothing_else(folder_mode: int) -> None:
    async def fill(path: Path) -> None:
        async with answers(path) as store, vectors(path) as index:
            await index.prepare(SPACE)
            await put(store, "a")

    async def use(path: Path) -> None:
        async with AsyncExitStack() as stack:
            try:
                store = await stack.enter_async_context(answers(path))
                assert await data(store, "a") == b"data"
            except StoreUnavailable as error:
                assert "writable" in str(error)  # noqa: PT017
                return
            for call in (put(store, "b"), store.delete([b"a"]), store.stamp([b"t"], at=1.0), store.sweep(now=1.0)):
                with pytest.raises(StoreUnavailable, match="writable"):
                    await call
            assert await data(store, "a") == b"data"
            index = await stack.enter_async_context(vectors(path))
            with pytest.raises(StoreUnavailable):
                await index.prepare(SPACE)

    with everybodys_folder() as folder, unprivileged():
        path = folder / "semcache.db"
        asyncio.run(fill(path))
        path.chmod(0o400)
        folder.chmod(folder_mode)
        try:
            asyncio.run(use(path))
        finally:
            folder.chmod(0o700)


def test_a_folder_that_cannot_be_made_is_unavailable_and_leaves_no_thread() -> None:
    async def body(path: Path) -> None:
        for store in (answers(path), vectors(path)):
            with pytest.raises(StoreUnavailable, match="writable"):
                await store.__aenter__()
            with pytest.raises(NotOpenError):
                await store.count()

    with everybodys_folder() as folder, unprivileged():
        folder.chmod(0o500)
        asyncio.run(body(folder / "inner" / "semcache.db"))
        folder.chmod(0o700)
    assert not semcache_threads()


def test_a_locked_file_fails_writes_after_a_while_and_reads_go_on(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file, "WRITE_PATIENCE", 0.1)

    async def body() -> None:
        async with answers(path) as store, vectors(path) as index:
            await index.prepare(SPACE)
            await put(store, "a")
            with closing(sqlite3.connect(path, isolation_level=None)) as other:
                other.execute("BEGIN EXCLUSIVE")
                with pytest.raises(StoreUnavailable, match="locked"):
                    await put(store, "b")
                with pytest.raises(StoreUnavailable, match="locked"):
                    await index.upsert([point("b")])
                assert await data(store, "a") == b"data"
                other.execute("ROLLBACK")
            await put(store, "b")
            await index.upsert([point("b")])
            assert await found(index, 0) == [b"b"]

    asyncio.run(body())


def test_a_file_locked_even_for_readers_is_unavailable_at_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file, "WRITE_PATIENCE", 0.1)

    async def body() -> None:
        async with answers(path) as store:
            await put(store, "a")
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("PRAGMA locking_mode = EXCLUSIVE")
            other.execute("INSERT INTO stamps VALUES ('t', 1)")
            with pytest.raises(StoreUnavailable, match="locked"):
                await answers(path).__aenter__()
        async with answers(path) as store:
            assert await data(store, "a") == b"data"

    asyncio.run(body())


def test_a_full_file_is_unavailable_and_usable_again_when_there_is_room(path: Path) -> None:
    async def body() -> None:
        async with answers(path) as store:
            await put(store, "a")

            def allow(pages: int) -> Callable[[sqlite3.Connection], None]:
                return lambda connection: connection.execute(f"PRAGMA max_page_count = {pages}").close()

            await store._file.run(allow(1))  # SQLite raises this to the pages in use.
            with pytest.raises(StoreUnavailable, match="full"):
                await put(store, "large", bytes(MIB))
            assert await data(store, "a") == b"data"
            await store._file.run(allow(2**30))
            await put(store, "large", bytes(MIB))
            assert await data(store, "large") == bytes(MIB)

    asyncio.run(body())


# -- bounds -----------------------------------------------------------------------------------------------------------


def test_the_file_stays_within_its_bound_and_the_newest_answers_stay(path: Path) -> None:
    async def body() -> None:
        async with answers(path, max_bytes=2 * MIB) as store:
            for n in range(3000):
                await put(store, f"{n}", os.urandom(3000))
            assert path.stat().st_size <= 2.1 * MIB
            assert await data(store, "2999") is not None
            assert await data(store, "0") is None
            assert await store.count() > 300

    asyncio.run(body())


def test_answers_in_use_outlive_others_that_are_younger(path: Path) -> None:
    async def body() -> None:
        async with answers(path, max_bytes=MIB) as store:
            for n in range(100):
                await put(store, f"{n}", bytes(5000))
            for n in range(100, 400):
                assert await data(store, "3") is not None
                await put(store, f"{n}", bytes(5000))
                if n % 20 == 0:
                    await asyncio.sleep(0.3)
            assert await data(store, "4") is None

    asyncio.run(body())


def test_an_answer_evicted_takes_its_vector_along_and_searches_see_it_within_a_second(path: Path) -> None:
    async def body() -> None:
        async with answers(path, max_bytes=MIB) as store, vectors(path, max_bytes=MIB) as index:
            await index.prepare(SPACE)
            await put(store, "a")
            await index.upsert([point("a", seed=1)])
            assert await found(index, 1) == [b"a"]
            for n in range(300):
                await put(store, f"{n}", bytes(5000))

            async def is_gone() -> bool:
                return await found(index, 1) == []

            assert await data(store, "a") is None
            assert await within_a_second(is_gone)
            assert await index.count() == 0

    asyncio.run(body())


def test_vectors_whose_answers_live_elsewhere_are_bounded_too_oldest_first(path: Path) -> None:
    async def body() -> None:
        async with vectors(path, max_bytes=MIB) as index:
            await index.prepare(Space(fingerprint="m", dimensions=384))
            wide = np.ones(384, np.float32)
            for begin in range(0, 2000, 50):
                await index.upsert(
                    [Point(id=b"%d" % n, scope=b"s", vector=wide, keep_until=None) for n in range(begin, begin + 50)]
                )
            assert path.stat().st_size <= 1.3 * MIB
            kept = {id for (id,) in rows(path, "SELECT id FROM vectors")}
            assert b"1999" in kept
            assert b"0" not in kept

            async def agrees() -> bool:
                return await index.count() == len(index._index or ())

            assert await within_a_second(agrees)

    asyncio.run(body())


def test_vectors_of_an_embedder_no_longer_used_go_first(path: Path) -> None:
    async def body() -> None:
        async with vectors(path) as index:
            await index.prepare(SPACE)
            await index.upsert([point(f"{n}", seed=n) for n in range(2000)])
        async with answers(path, max_bytes=MIB) as store, vectors(path, max_bytes=MIB) as index:
            await index.prepare(Space(fingerprint="newer", dimensions=D))
            await index.upsert([point("kept", seed=1)])
            await put(store, "kept")
            await put(store, "another", bytes(900_000))
            assert await data(store, "kept") is not None
            assert rows(path, "SELECT count(*) FROM vectors WHERE id != x'6b657074'")[0][0] < 2000

    asyncio.run(body())


def test_memory_for_vectors_is_bounded_and_scopes_that_left_it_are_found_again(path: Path) -> None:
    async def body() -> None:
        async with vectors(path, max_memory=40_000) as index:
            await index.prepare(SPACE)
            for n in range(100):
                await index.upsert([point(f"{n}", scope=b"%d" % n, seed=n)])
            assert index._index is not None
            assert index._index.size <= 40_000
            for n in range(100):
                assert await found(index, n, scope=b"%d" % n) == [b"%d" % n]
                assert index.has_scope(b"%d" % n)
            assert index._index.size <= 40_000

    asyncio.run(body())


def test_a_scope_larger_than_memory_allows_is_still_found_whole(path: Path) -> None:
    async def body() -> None:
        async with vectors(path, max_memory=1) as index:
            await index.prepare(SPACE)
            await index.upsert([point(f"{n}", seed=n) for n in range(1500)])
        async with vectors(path, max_memory=1) as index:
            await index.prepare(SPACE)
            for n in (0, 700, 1499):
                assert await found(index, n) == [b"%d" % n]

    asyncio.run(body())


def test_tombstones_are_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(news, "TOMBSTONES_KEPT", 10)

    async def body() -> None:
        async with vectors(path) as index:
            await index.prepare(SPACE)
            await index.upsert([point(f"{n}") for n in range(100)])
            await index.delete([b"%d" % n for n in range(100)])
            await index.sweep(now=0.0)
            assert rows(path, "SELECT count(*) FROM gone") == [(10,)]

    asyncio.run(body())


def test_one_who_missed_deletions_that_are_no_longer_told_reads_anew(path: Path) -> None:
    async def body() -> None:
        async with vectors(path) as index:
            await index.prepare(SPACE)
            await index.upsert([point(f"{n}", seed=n) for n in range(20)])
            assert await found(index, 3) == [b"3"]
            change(path, "DELETE FROM vectors WHERE id = x'33'", "DELETE FROM gone")

            async def is_gone() -> bool:
                return await found(index, 3) == []

            assert await within_a_second(is_gone)
            assert await found(index, 4) == [b"4"]

    asyncio.run(body())


# -- hits, sweeps, stamps ---------------------------------------------------------------------------------------------


def test_a_hit_writes_nothing_in_the_foreground_and_its_use_is_known_within_a_second(path: Path) -> None:
    async def body() -> None:
        async with answers(path) as store:
            for n in range(50):
                await put(store, f"{n}")
            before = rows(path, "SELECT used FROM responses WHERE id = x'30'")
            assert await data(store, "0") == b"data"
            assert rows(path, "SELECT used FROM responses WHERE id = x'30'") == before

            async def is_known() -> bool:
                return rows(path, "SELECT used FROM responses WHERE id = x'30'") > before

            assert await within_a_second(is_known)

    asyncio.run(body())


def test_a_sweep_of_many_deletes_in_batches_and_counts_them(path: Path) -> None:
    async def body() -> None:
        async with answers(path) as store, vectors(path) as index:
            await index.prepare(SPACE)
            await asyncio.gather(*(put(store, f"{n}", keep_until=1.0) for n in range(responses.BATCH + 10)))
            await index.upsert([point(f"{n}", keep_until=1.0) for n in range(responses.BATCH + 10)])
            await index.upsert([point("stays", scope=b"t", seed=5)])
            assert await store.sweep(now=2.0) == responses.BATCH + 10
            assert await index.sweep(now=2.0) == responses.BATCH + 10
            assert not index.has_scope(b"s")
            assert await found(index, 5, scope=b"t") == [b"stays"]

    asyncio.run(body())


def test_old_stamps_that_nothing_carries_are_forgotten_and_the_others_stay(path: Path) -> None:
    async def body() -> None:
        async with answers(path) as store:
            await put(store, "a", tags=[b"carried"])
            await put(store, "b")
            await store.stamp([b"carried"], at=1.0)
            await store.stamp([b"%d" % n for n in range(20_000)], at=1.0)
            await store.stamp([b"recent"], at=9_000.0)
            await store.sweep(now=10_000.0)
            kept = {bytes.fromhex(tag) for (tag,) in rows(path, "SELECT tag FROM stamps")}
            assert kept == {b"carried", b"recent"}
            assert await store.get([b"a"], now=0.0) == [Stored(data=b"data", stamp=1.0)]

    asyncio.run(body())


# -- scopes in memory -------------------------------------------------------------------------------------------------


def test_a_search_of_a_scope_in_memory_never_suspends(filled: Path) -> None:
    async def body() -> None:
        async with vectors(filled) as index:
            await index.prepare(SPACE)
            await found(index, 1)
            with pytest.raises(StopIteration) as ended:
                index.search(unit(2), scope=b"s", limit=5, floor=0.99, now=0.0).send(None)
            assert [match.id for match in ended.value.value] == [b"2"]

    asyncio.run(body())


def test_fifty_searches_of_a_scope_read_it_once(filled: Path) -> None:
    async def body() -> None:
        async with vectors(filled) as index:
            await index.prepare(SPACE)
            results = await asyncio.gather(*(found(index, n) for n in range(50)))
            assert results == [[b"%d" % n] for n in range(50)]
            assert not index._loading

    asyncio.run(body())


def test_one_who_gives_up_does_not_stop_the_reading_for_others(filled: Path) -> None:
    async def body() -> None:
        async with vectors(filled) as index:
            await index.prepare(SPACE)
            impatient, patient = asyncio.create_task(found(index, 1)), asyncio.create_task(found(index, 2))
            await asyncio.sleep(0)
            impatient.cancel()
            assert await patient == [b"2"]

    asyncio.run(body())


def test_writes_while_a_scope_is_being_read_are_in_it(path: Path) -> None:
    async def body() -> None:
        async with vectors(path) as index:
            await index.prepare(SPACE)
            await index.upsert([point(f"{n}", seed=n) for n in range(3000)])
        async with vectors(path) as index:
            await index.prepare(SPACE)
            reading = asyncio.create_task(found(index, 2999))
            await asyncio.sleep(0)
            await asyncio.gather(index.delete([b"0"]), index.upsert([point("late", seed=9000)]))
            assert await reading == [b"2999"]
            assert await found(index, 0) == []
            assert await found(index, 9000) == [b"late"]
            assert index._index is not None
            assert len(index._index) == await index.count() == 3000

    asyncio.run(body())


@pytest.mark.parametrize("seed", range(3))
def test_handles_that_change_the_same_points_agree_within_a_second(path: Path, seed: int) -> None:
    scopes = [b"0", b"1", b"2"]

    async def change_things(index: SqliteVectorStore, chance: random.Random) -> None:
        for _ in range(150):
            name, scope = f"{chance.randrange(30)}", chance.choice(scopes)
            if chance.random() < 0.4:
                await index.delete([name.encode()])
            elif chance.random() < 0.7:
                await index.upsert([point(name, scope=scope, seed=chance.randrange(1000))])
            else:
                await found(index, 0, scope=scope)
            await asyncio.sleep(chance.random() * 0.01)

    async def seen(index: SqliteVectorStore) -> set[tuple[bytes, bytes, bytes]]:
        for scope in scopes:
            await found(index, 0, scope=scope)
        held = index._index
        assert held is not None
        return {
            (scope, held.slots.ids[slot], group.place(row)[0][group.place(row)[1]].tobytes())
            for scope, group in held._scopes.items()
            for row, slot in enumerate(group.slots)
        }

    async def body() -> None:
        # One of them keeps hardly anything in memory, so that scopes come and go while they change.
        async with vectors(path) as one, vectors(path) as two, vectors(path, max_memory=1) as small:
            handles = (one, two, small)
            for index in handles:
                await index.prepare(SPACE)
            await asyncio.gather(
                *(change_things(index, random.Random(seed * 10 + n)) for n, index in enumerate(handles))
            )

            async def agree() -> bool:
                truth = set(rows(path, "SELECT scope, id, vector FROM vectors"))
                return await seen(one) == await seen(two) == truth and await seen(small) <= truth

            assert await within_a_second(agree)

    asyncio.run(body())


def test_a_cancelled_upsert_that_landed_is_found(path: Path) -> None:
    async def body() -> None:
        async with vectors(path) as index:
            await index.prepare(SPACE)
            writing = asyncio.create_task(index.upsert([point("a")]))
            await asyncio.sleep(0)
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
            await index.upsert([point("b", seed=1)])
            assert await found(index, 0) == ([b"a"] if await index.count() == 2 else [])

    asyncio.run(body())


# -- the thread -------------------------------------------------------------------------------------------------------


def semcache_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("semcache")]


def test_one_bad_write_does_not_take_its_neighbours_with_it(path: Path) -> None:
    async def body() -> None:
        async with answers(path) as store:

            def bad(connection: sqlite3.Connection) -> None:
                raise OverflowError("BLOB longer than INT_MAX bytes")

            calls: list[Any] = [put(store, f"{n}") for n in range(40)]
            calls.insert(20, store._file.run(bad, writes=True))
            outcomes: list[object] = [*await asyncio.gather(*calls, return_exceptions=True)]
            assert [type(outcome) for outcome in outcomes if outcome is not None] == [StoreUnavailable]
            assert await store.count() == 40

    asyncio.run(body())


def test_writes_that_wait_together_are_committed_together() -> None:
    async def body() -> None:
        commits: list[int] = []
        worker = Worker("semcache-test", after_writes=lambda: commits.append(1))
        worker.start()
        gate = threading.Event()
        await worker.submit(lambda: worker.use(sqlite3.connect(":memory:", isolation_level=None)))
        worker.submit(gate.wait)
        waiting = [worker.submit(lambda: None, writes=True) for _ in range(100)]
        gate.set()
        await asyncio.gather(*waiting)
        await worker.stop()
        assert len(commits) == 1

    asyncio.run(body())


def test_closing_leaves_no_thread_and_no_task(path: Path) -> None:
    async def body() -> None:
        async with answers(path) as store, vectors(path) as index:
            await index.prepare(SPACE)
            await put(store, "a")
            await data(store, "a")
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(body())
    deadline = time.monotonic() + 1
    while semcache_threads() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not semcache_threads()


def test_a_store_can_be_opened_again(path: Path) -> None:
    async def body() -> None:
        store, index = answers(path), vectors(path)
        for _ in range(3):
            async with store, index:
                await index.prepare(SPACE)
                await put(store, "a")
                await index.upsert([point("a")])
            for unusable in (data(store, "a"), index.count(), found(index, 0)):
                with pytest.raises(NotOpenError):
                    await unusable
        await store.__aexit__(None, None, None)

    asyncio.run(body())


def test_a_forked_process_is_told_to_open_its_own(path: Path) -> None:
    async def body() -> None:
        async with answers(path) as store:
            child = os.fork()
            if child == 0:
                try:
                    store.peek(b"a", now=0.0)
                except NotOpenError as error:
                    os._exit(0 if "after the fork" in str(error) else 2)
                os._exit(1)
            _, status = os.waitpid(child, 0)
            assert os.waitstatus_to_exitcode(status) == 0
            await put(store, "a")

    asyncio.run(body())
