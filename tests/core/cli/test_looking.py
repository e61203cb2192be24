"""Commands that look change nothing, whatever they find, and say in one line what is wrong."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from semcache_core import SemanticCache
from semcache_core.cli.group import program

CONFIG = """
[semcache]
match = "exact"
[response_store]
use = "sqlite"
path = "store/cache.db"
[vector_store]
use = "sqlite"
path = "store/cache.db"
"""
PROMPT = "What does a command change?"
LOOKS = {
    "stats": ("stats", "--config", "my.toml"),
    "explain": ("explain", "--config", "my.toml", "--prompt", PROMPT),
    "check": ("check", "my.toml"),
    "check --open": ("check", "my.toml", "--open"),
    "plugins": ("plugins", "--config", "my.toml"),
    "purge": ("purge", "--config", "my.toml", "--everything"),
}
OPENS = ("stats", "explain", "check --open", "purge")

each_command = pytest.mark.parametrize("command", LOOKS.values(), ids=LOOKS)
each_that_opens = pytest.mark.parametrize("command", [LOOKS[name] for name in OPENS], ids=OPENS)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("my.toml").write_text(CONFIG)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(program, arguments)


def made() -> SemanticCache:
    return SemanticCache.from_toml("my.toml")


def store() -> None:
    cache = made()
    assert cache.sync.store(PROMPT, "nothing", tags=["t"])
    cache.sync.close()


def snapshot() -> dict[str, tuple[bytes, int]]:
    """Return the contents and the inode of every file. The index of a log in use is memory, not contents."""
    return {
        str(path): (b"" if path.name.endswith("-shm") else path.read_bytes(), path.stat().st_ino)
        for path in sorted(Path().rglob("*"))
        if path.is_file()
    }


def change(statement: str) -> None:
    connection = sqlite3.connect("store/cache.db", isolation_level=None)
    connection.execute(statement)
    connection.close()


def of_another_version() -> None:
    store()
    change("PRAGMA user_version = 99")


def foreign() -> None:
    Path("store").mkdir()
    change("CREATE TABLE accounts (name)")


def no_database() -> None:
    Path("store").mkdir()
    Path("store/cache.db").write_bytes(b"no database at all" * 100)


def damaged() -> None:
    store()
    content = bytearray(Path("store/cache.db").read_bytes())
    content[4096:] = os.urandom(len(content) - 4096)
    Path("store/cache.db").write_bytes(content)


def marked_as_damaged() -> None:
    store()
    Path("store/cache.db.damaged").touch()


def a_folder() -> None:
    Path("store/cache.db").mkdir(parents=True)


def a_log_without_its_index() -> None:
    cache = made()
    cache.sync.store(PROMPT, "nothing")
    shutil.copytree("store", "copy")
    cache.sync.close()
    shutil.rmtree("store")
    Path("copy").rename("store")
    Path("store/cache.db-shm").unlink()


BROKEN = [of_another_version, foreign, no_database, damaged, marked_as_damaged, a_folder, a_log_without_its_index]


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
@each_that_opens
def test_a_file_that_cannot_be_used_is_told_in_one_line_and_left_as_it_is(
    command: tuple[str, ...], broken: Callable[[], None]
) -> None:
    broken()
    before = snapshot()

    result = run(*command)

    assert snapshot() == before
    assert result.exit_code in (1, 2), result.output
    assert "cache.db" in result.stderr
    assert "Traceback" not in result.output
    if command[0] != "check":
        assert len(result.stderr.splitlines()) == 1, result.stderr


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
def test_purge_that_would_delete_leaves_what_it_cannot_read(broken: Callable[[], None]) -> None:
    broken()
    before = snapshot()

    result = run("purge", "--config", "my.toml", "--everything", "--yes")

    assert snapshot() == before
    assert result.exit_code in (1, 2)
    assert len(result.stderr.splitlines()) == 1, result.stderr


@each_command
def test_a_missing_file_is_not_made(command: tuple[str, ...]) -> None:
    before = snapshot()

    assert run(*command).exit_code == 0

    assert (snapshot(), Path("store").exists()) == (before, False)


@each_command
def test_an_empty_file_stays_empty(command: tuple[str, ...]) -> None:
    Path("store").mkdir()
    Path("store/cache.db").touch()
    before = snapshot()

    assert run(*command).exit_code == 0

    assert snapshot() == before


@each_command
def test_a_file_that_no_process_has_open_is_read_and_stays_as_it_is(command: tuple[str, ...]) -> None:
    store()
    before = snapshot()

    result = run(*command)

    assert result.exit_code == 0, result.output
    assert snapshot() == before


@pytest.fixture
def server() -> Iterator[subprocess.Popen[str]]:
    """Another process that has the file open, and that has just written to it."""
    code = f"""
from semcache_core import SemanticCache
cache = SemanticCache.from_toml("my.toml")
assert cache.sync.store({PROMPT!r}, "nothing", tags=["t"])
print("stored", flush=True)
input()
print(cache.sync.lookup({PROMPT!r}).value, cache.sync.store("more", "x"), flush=True)
cache.sync.close()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "stored\n"
    yield process
    process.kill()
    process.wait()


@each_command
def test_the_file_of_a_running_server_is_read_up_to_its_last_write_and_stays_as_it_is(
    command: tuple[str, ...], server: subprocess.Popen[str]
) -> None:
    before = snapshot()

    result = run(*command)

    assert result.exit_code == 0, result.output
    assert snapshot() == before
    told = {"stats": "entries", "explain": "exact", "purge": "would forget 1 of 1 entries"}
    assert told.get(command[0], "") in result.output
    assert server.communicate("go on\n")[0] == "nothing True\n"


@each_command
def test_what_a_stopped_process_left_in_its_log_is_read(command: tuple[str, ...]) -> None:
    cache = made()
    assert cache.sync.store(PROMPT, "nothing")
    shutil.copytree("store", "copy")
    cache.sync.close()
    shutil.rmtree("store")
    Path("copy").rename("store")
    before = snapshot()

    result = run(*command)

    assert result.exit_code == 0, result.output
    assert snapshot() == before
    if command[0] == "purge":
        assert "would forget 1 of 1 entries" in result.output


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
@each_command
def test_a_folder_that_cannot_be_written_can_be_read(command: tuple[str, ...]) -> None:
    store()
    Path("store").chmod(0o500)
    try:
        assert run(*command).exit_code == 0
    finally:
        Path("store").chmod(0o700)


# -- what is no text --------------------------------------------------------------------------------------------------

NO_TEXT = os.fsdecode(b"a\xffb")


@pytest.mark.parametrize(
    "arguments",
    [
        ("purge", "--tag", NO_TEXT),
        ("purge", "--tag", NO_TEXT, "--yes"),
        ("purge", "--namespace", NO_TEXT),
        ("purge", "--before", NO_TEXT),
        ("purge", "--config", NO_TEXT),
        ("explain", NO_TEXT),
        ("explain", "--prompt", NO_TEXT),
        ("explain", "--prompt", "x", "--context", NO_TEXT),
        ("explain", "--prompt", "x", "--upstream", NO_TEXT),
        ("stats", "--url", NO_TEXT),
        ("stats", "--config", NO_TEXT),
        ("check", NO_TEXT),
        ("plugins", "--config", NO_TEXT),
        (NO_TEXT,),
        ("stats", NO_TEXT),
    ],
    ids=ascii,
)
def test_an_argument_with_a_byte_that_is_not_utf_8_is_one_line(arguments: tuple[str, ...]) -> None:
    result = run(*arguments)

    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert "has a byte that is not UTF-8" in result.stderr


def test_such_an_argument_is_one_line_for_the_installed_program() -> None:
    semcache = Path(sys.executable).with_name("semcache")

    done = subprocess.run([semcache, "purge", "--tag", b"\xff"], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)


@pytest.mark.parametrize(
    "variable", ["SEMCACHE_SEMCACHE__NAMESPACE", "SEMCACHE_CONFIG", "SEMCACHE_RESPONSE_STORE__PATH"]
)
@pytest.mark.parametrize("command", [("stats",), ("check",), ("purge", "--everything"), ("explain", "--prompt", "x")])
def test_a_variable_with_a_byte_that_is_not_utf_8_is_one_line(
    variable: str, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, NO_TEXT)
    monkeypatch.setenv("SEMCACHE_RESPONSE_STORE__USE", "sqlite")

    result = run(*command)

    assert result.exit_code in (1, 2)
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert "byte that is not UTF-8" in result.stderr
    assert variable in result.stderr or variable == "SEMCACHE_CONFIG"


@pytest.mark.parametrize(
    "context",
    ['"\\ud800"', '{"\\udfff": 1}', "[" * 100_000, "NaN", "1" * 5000],
    ids=["value", "name", "deep", "nan", "long"],
)
def test_a_context_that_cannot_be_a_key_is_one_line(context: str) -> None:
    result = run("explain", "--config", "my.toml", "--prompt", "x", "--context", context)

    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1, result.stderr


@pytest.mark.parametrize(
    "url", ["http://exa mple", "http://[", "http://h:99999", "http://127.0.0.1:1", "ftp://x", "http://"]
)
def test_an_address_that_gives_no_statistics_is_one_line(url: str) -> None:
    result = run("stats", "--url", url)

    assert result.exit_code in (1, 2)
    assert "Traceback" not in result.output
    assert isinstance(result.exception, SystemExit)
