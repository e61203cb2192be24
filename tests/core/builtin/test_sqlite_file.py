"""The SQLite file: closed to others, set aside when it cannot be used, unavailable when it is out of reach."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, closing, contextmanager
from pathlib import Path

import pytest

from semcache_core import SemanticCache
from semcache_core.builtin.sqlite import SqliteResponseStore, file, schema
from semcache_core.builtin.sqlite.looking import open_to_look
from semcache_core.errors import ConfigError, NotOpenError, StoreUnavailable
from semcache_core.protocols import SupportsExists

from .sqlite_stores import (
    MIB,
    SPACE,
    answers,
    change,
    data,
    fill,
    found,
    point,
    put,
    rows,
    semcache_threads,
    soon,
    vectors,
)

NOBODY = 65534


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "semcache.db"


@pytest.fixture
def filled(path: Path) -> Path:
    """Return a file that holds 200 answers and as many vectors."""
    fill(path)
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


def test_of_the_files_set_aside_the_last_one_is_kept(filled: Path) -> None:
    notes = filled.with_name("semcache.db.aside-notes")
    notes.touch()
    for version in (97, 98, 99):
        change(filled, f"PRAGMA user_version = {version}")
        asyncio.run(set_aside_and_rebuilt(filled))
    asides = sorted(set(filled.parent.glob("semcache.db.aside-*")) - {notes})
    assert [each.name for each in asides] == ["semcache.db.aside-3"]
    assert rows(asides[0], "PRAGMA user_version") == [(99,)]
    assert notes.exists()


def test_a_file_that_is_no_database_by_its_name_either_is_refused_and_stays(tmp_path: Path) -> None:
    text = tmp_path / "semcache.toml"
    text.write_text("[semcache]\n# long enough to be read as a header\n" * 20)
    before = text.read_bytes()
    with pytest.raises(ConfigError, match=r"semcache\.toml is not a database and does not end in \.db"):
        fill(text)
    assert text.read_bytes() == before
    assert [each.name for each in tmp_path.glob("*aside*")] == []


def test_a_file_that_is_no_database_is_set_aside(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"these are somebody's notes\n" * 1000)
    assert "not a database" in asyncio.run(set_aside_and_rebuilt(path))
    assert path.with_name("semcache.db.aside-1").read_bytes().startswith(b"these are somebody's notes")


def test_a_folder_as_path_is_refused(path: Path) -> None:
    path.mkdir(parents=True)

    async def body() -> None:
        async with answers(path):
            pass

    with pytest.raises(ConfigError, match=r"semcache\.db is a folder: name a file in it"):
        asyncio.run(body())


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in the file system")
@pytest.mark.parametrize("open_it", [file.open_file, open_to_look])
def test_a_pipe_in_place_of_the_file_is_refused_and_not_waited_for(
    tmp_path: Path, open_it: Callable[[Path], file.OpenedFile]
) -> None:
    path = tmp_path / "semcache.db"
    os.mkfifo(path)
    with pytest.raises(ConfigError, match=r"semcache\.db is a pipe, a socket or a device: name a file"):
        open_it(path)
    assert path.is_fifo()


def test_the_database_of_another_program_is_refused_and_left_alone(path: Path) -> None:
    path.parent.mkdir()
    change(path, "CREATE TABLE customers (name)", "INSERT INTO customers VALUES ('me')")

    async def body() -> None:
        for store in (answers(path), vectors(path)):
            with pytest.raises(ConfigError, match=r"semcache\.db is another program's database.*path"):
                await store.__aenter__()

    asyncio.run(body())
    assert rows(path, "SELECT name FROM customers") == [("me",)]
    assert not list(path.parent.glob("*aside*"))
    assert not semcache_threads()


def test_a_database_of_another_program_put_in_its_place_is_unavailable_until_it_is_gone(path: Path) -> None:
    async def body() -> None:
        async with answers(path) as store:
            for each in path.parent.glob("semcache.db*"):
                each.rename(path.parent / f"moved-{each.name}")
            change(path, "CREATE TABLE customers (name)")

            async def says_so() -> bool:
                try:
                    await put(store, "a")
                except StoreUnavailable as error:
                    return "another program" in str(error)
                return False

            async def works() -> bool:
                try:
                    await put(store, "a")
                except StoreUnavailable:
                    return False
                return True

            assert await soon(says_so)
            path.unlink()
            assert await soon(works)

    asyncio.run(body())


def test_a_store_whose_file_became_unusable_is_closed_all_the_same(path: Path) -> None:
    async def body() -> None:
        async with answers(path) as store:
            for name in "abcdefghijklmnopqrstuvwxyz":
                await put(store, name)
            await asyncio.sleep(0.6)
            # A hit whose use is to be written down, and then a file to which nothing can be written any more.
            assert await data(store, "a") is not None
            for each in path.parent.glob("semcache.db*"):
                each.rename(path.parent / f"moved-{each.name}")
            path.mkdir()

            async def is_unusable() -> bool:
                try:
                    store.get_nowait(b"a", now=0.0)
                except StoreUnavailable:
                    return True
                return False

            assert await soon(is_unusable)

    asyncio.run(body())
    assert not semcache_threads()


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


def test_a_reader_never_makes_the_file(path: Path) -> None:
    path.parent.mkdir()
    with pytest.raises(sqlite3.OperationalError):
        file.open_reader(path)
    assert not path.exists()


def test_a_path_with_signs_that_mean_something_in_a_url_is_a_path(tmp_path: Path) -> None:
    async def body() -> None:
        async with answers(tmp_path / "100% #1?mode=ro" / "a&b.db") as store:
            await put(store, "a")
            assert await data(store, "a") == b"data"

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
            ours = f"PRAGMA application_id = {schema.APPLICATION_ID}"
            change(path, "CREATE TABLE newer (x)", ours, "PRAGMA user_version = 2")

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
            for call in (
                put(store, "b"),
                store.delete([b"a"]),
                store.invalidate([b"t"], before=1.0),
                store.sweep(now=1.0),
            ):
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


def test_why_a_file_takes_no_writes_is_told_once_until_it_takes_them_again(path: Path) -> None:
    def allow(pages: int) -> Callable[[sqlite3.Connection], None]:
        return lambda connection: connection.execute(f"PRAGMA max_page_count = {pages}").close()

    async def refused(store: SqliteResponseStore) -> list[str]:
        await store._file.run(allow(1))
        for _ in range(3):
            with pytest.raises(StoreUnavailable):
                await put(store, "large", bytes(MIB))
        return list(store.notices())

    async def body() -> None:
        async with answers(path) as store:
            why = f"{path}: database or disk is full; the file must be writable, on a local disk with free space"
            assert await refused(store) == [why]
            assert await refused(store) == []
            await store._file.run(allow(2**30))
            await put(store, "a")
            assert await refused(store) == [why]

    asyncio.run(body())


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


def test_a_store_says_whether_its_file_is_there_without_making_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "cache.db"
    store = SqliteResponseStore(SqliteResponseStore.Options(path=str(path)))
    assert isinstance(store, SupportsExists)
    assert not store.exists()
    assert not path.parent.exists()

    async def main() -> None:
        async with store:
            assert store.exists()

    asyncio.run(main())
    assert store.exists()


# -- under a running process ------------------------------------------------------------------------------------------


def moved_away(path: Path) -> None:
    for each in list(path.parent.glob("semcache.db*")):
        each.rename(each.with_name(f"old-{each.name}"))


def deleted_with_its_folder(path: Path) -> None:
    shutil.rmtree(path.parent)


def replaced(path: Path) -> None:
    """Put another file of ours in its place, as a restored backup is."""
    other = path.parent / "other" / "semcache.db"

    async def make() -> None:
        async with answers(other) as store:
            await put(store, "theirs")

    asyncio.run(make())
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    other.replace(path)


@pytest.mark.parametrize("happens", [moved_away, deleted_with_its_folder, replaced])
def test_a_file_that_goes_under_a_running_cache_is_told_once_and_the_cache_goes_on(
    happens: Callable[[Path], None], path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = "was removed or replaced while this process used it"
    monkeypatch.setattr("semcache_core.engine.maintenance._NOTICES_EVERY", 0.05)
    at = {"use": "sqlite", "path": str(path)}
    cache = SemanticCache({"semcache": {"match": "exact"}, "response_store": at, "vector_store": at})
    try:
        assert cache.sync.store("kept until now", "x")
        happens(path)
        deadline = time.monotonic() + 10
        while told not in caplog.text:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        time.sleep(0.7)
        lines = [record.getMessage() for record in caplog.records if told in record.getMessage()]
        assert len(lines) == 1
        assert str(path) in lines[0]
        assert cache.stats().notices == {lines[0]: 1}
        assert cache.sync.store("stored from now on", "y")
        assert cache.sync.lookup("stored from now on").value == "y"
        assert not cache.sync.lookup("kept until now")
        assert path.exists()
    finally:
        cache.sync.close()
