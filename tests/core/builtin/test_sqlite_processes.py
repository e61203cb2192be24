"""The SQLite stores between processes: what one does the others see within a second, and none can break the file."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest

from semcache_core.builtin.sqlite import SqliteResponseStore

PROGRAM = str(Path(__file__).with_name("sqlite_process.py"))


class Process:
    """A process with both stores open."""

    def __init__(self, path: Path, *options: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, PROGRAM, "serve", str(path), *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._answer() == "ready"

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *exc: object) -> None:
        try:
            self._process.communicate(timeout=20)
            assert self._process.returncode == 0
        finally:
            self._process.kill()
            self._process.wait()

    def __call__(self, do: str, **more: Any) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **more}) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the process ended"
        return json.loads(line)


def within_a_second(see: Callable[[], bool]) -> bool:
    return soon(see, seconds=1.0)


def soon(see: Callable[[], bool], *, seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while not see():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "semcache.db"


@pytest.fixture
def pair(path: Path) -> Iterator[tuple[Process, Process]]:
    """Two processes on one file."""
    with Process(path) as one, Process(path) as other:
        yield one, other


# -- seen by the others within a second -------------------------------------------------------------------------------


def test_a_new_answer_and_its_vector(pair: tuple[Process, Process]) -> None:
    one, other = pair
    assert other("search", seed=1) == []
    one("set", id="a", data="x")
    one("upsert", id="a", seed=1)
    assert within_a_second(lambda: other("get", id="a") == ["x", None])
    assert within_a_second(lambda: other("has_scope") is True)
    assert within_a_second(lambda: other("search", seed=1) == ["a"])


def test_an_overwrite_of_answer_and_vector(pair: tuple[Process, Process]) -> None:
    one, other = pair
    one("set", id="a", data="old")
    one("upsert", id="a", seed=1)
    assert within_a_second(lambda: other("search", seed=1) == ["a"] and other("get", id="a") == ["old", None])
    one("set", id="a", data="new")
    one("upsert", id="a", seed=2)
    assert within_a_second(lambda: other("get", id="a") == ["new", None])
    assert within_a_second(lambda: other("search", seed=2) == ["a"])
    assert other("search", seed=1) == []


def test_a_deletion(pair: tuple[Process, Process]) -> None:
    one, other = pair
    one("set", id="a", data="x")
    one("upsert", id="a", seed=1)
    assert within_a_second(lambda: other("search", seed=1) == ["a"])
    one("delete", id="a")
    assert within_a_second(lambda: other("search", seed=1) == [])
    assert within_a_second(lambda: other("get", id="a") is None)


def test_a_deletion_and_a_new_beginning(pair: tuple[Process, Process]) -> None:
    one, other = pair
    one("upsert", id="a", seed=1)
    assert within_a_second(lambda: other("search", seed=1) == ["a"])
    one("delete", id="a")
    one("upsert", id="a", seed=2)
    assert within_a_second(lambda: other("search", seed=2) == ["a"])
    assert other("search", seed=1) == []


def test_a_stamp(pair: tuple[Process, Process]) -> None:
    one, other = pair
    one("set", id="a", data="x", tags=["red", "green"])
    assert within_a_second(lambda: other("get", id="a") == ["x", None])
    one("invalidate", tag="green", at=5.0)
    assert within_a_second(lambda: other("get", id="a") == ["x", 5.0])
    other("invalidate", tag="red", at=4.0)
    assert one("get", id="a") == ["x", 5.0], "the newest of its tags"


def test_an_eviction(path: Path) -> None:
    with Process(path, str(2**20)) as one, Process(path, str(2**20)) as other:
        one("set", id="a", data="x")
        one("upsert", id="a", seed=1)
        assert within_a_second(lambda: other("search", seed=1) == ["a"])
        for n in range(250):
            one("set", id=f"{n}", data="x", times=5000)
        assert one("get", id="a") is None
        assert within_a_second(lambda: other("get", id="a") is None)
        assert within_a_second(lambda: other("search", seed=1) == [])
        assert path.stat().st_size < 1.2 * 2**20


def test_a_file_set_aside_by_one_is_left_by_all(path: Path) -> None:
    with Process(path) as one:
        one("set", id="a", data="old")
        secret = one("secret")
        with closing(sqlite3.connect(path, isolation_level=None)) as door:
            door.execute("PRAGMA user_version = 99")
        with Process(path) as other:
            assert other("get", id="a") is None
            assert other("secret") == secret
            other("set", id="b", data="new")
            assert soon(lambda: one("get", id="b") == ["new", None])
            one("set", id="c", data="new too")
            assert other("get", id="c") == ["new too", None]
    assert len(list(path.parent.glob("*.aside-?"))) == 1


# -- many at once -----------------------------------------------------------------------------------------------------


def test_processes_that_start_together_share_one_file(path: Path) -> None:
    with ExitStack() as stack:
        starting = [
            subprocess.Popen(
                [sys.executable, PROGRAM, "serve", str(path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(4)
        ]
        for process in starting:
            stack.callback(process.kill)
        secrets = {process.communicate('{"do": "secret"}\n', timeout=30)[0] for process in starting}
        assert [process.returncode for process in starting] == [0] * 4
        assert len(secrets) == 1
    assert not list(path.parent.glob("*aside*"))


def test_entries_of_processes_writing_at_once_all_land(path: Path) -> None:
    with ExitStack() as stack:
        writers = [stack.enter_context(Process(path)) for _ in range(3)]
        for n in range(100):
            for name, writer in zip("abc", writers, strict=True):
                writer("set", id=f"{name}{n}", data=name)
        assert all(
            other("get", id=f"{name}{n}") == [name, None] for other in writers for name in "abc" for n in range(100)
        )


# -- sudden ends ------------------------------------------------------------------------------------------------------


async def held(path: Path) -> dict[bytes, bytes]:
    """Return every entry of the file, read through a store."""
    entries: dict[bytes, bytes] = {}
    async with SqliteResponseStore(SqliteResponseStore.Options(path=str(path))) as store:
        assert not store.notices()
        after = b""
        while page := await store.scan(after=after):
            entries.update((id, stored.data) for id, stored in page)
            after = page[-1][0]
    return entries


@pytest.mark.slow
def test_after_each_of_20_kills_every_acknowledged_entry_is_there_whole(path: Path) -> None:
    chance, acknowledged = random.Random(1), set[str]()
    for _ in range(20):
        writer = subprocess.Popen([sys.executable, PROGRAM, "write", str(path)], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        acknowledged.update(json.loads(writer.stdout.readline()))
        time.sleep(chance.random() * 0.15)
        writer.send_signal(signal.SIGKILL)
        # What was said before the end was acknowledged; the last line may be cut off.
        for line in writer.communicate()[0].splitlines(keepends=True):
            if line.endswith("\n"):
                acknowledged.update(json.loads(line))
        entries = asyncio.run(held(path))
        assert all(data == blake2b(id).digest() * 500 for id, data in entries.items()), "none is torn"
        assert acknowledged <= {id.decode() for id in entries}, "none is lost"
    with closing(sqlite3.connect(path)) as door:
        assert door.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert len(acknowledged) > 20 * 8


def test_a_full_disk_is_unavailable_reads_go_on_and_writes_return_with_the_room(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, PROGRAM, "fill", str(path), "400000"], capture_output=True, text=True, timeout=60, check=True
    )
    outcome = json.loads(done.stdout)
    assert outcome.pop("refused") > 50
    assert outcome == {"read": True, "written again": True}


def test_a_store_that_nobody_closed_does_not_keep_the_interpreter_alive(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", PROGRAM, "forget", str(path)],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert json.loads(done.stdout) == "written"
    assert set(asyncio.run(held(path))) == {b"a"}
