"""Each entrance in a process of its own: a store that is down, a fork, loop after loop, an interrupt, gunicorn."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .entrances import ENTRANCES

HERE = Path(__file__).parent
BEGIN = """
import asyncio, logging, os, signal, sys, threading, time, warnings
from entrances import ENTRANCES, made
ask = ENTRANCES[sys.argv[1]]
cache = made("folder/cache.db")
"""

everywhere = pytest.mark.parametrize("entrance", ENTRANCES)


def run(program: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run ``program`` to its end; every warning that Python has is an error."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", BEGIN + program, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(HERE)},
    )


def lines(ended: subprocess.CompletedProcess[str]) -> list[str]:
    """Return what a program printed. It has to have ended well, and to have complained of nothing."""
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout.splitlines()


@everywhere
def test_a_store_that_is_down_is_a_miss_and_is_told_once_and_tried_again(entrance: str, tmp_path: Path) -> None:
    program = """
import semcache_core.runtime.outage as outage
outage._PAUSE = 0.5
logging.basicConfig(stream=sys.stdout, format="log: %(message)s")
logging.getLogger("semcache").setLevel("INFO")
open("folder", "w").close()  # Where the folder of the cache is to be.
print(ask(cache, "one?"), ask(cache, "one?"))
os.remove("folder")
print(ask(cache, "one?"))
time.sleep(0.6)
print(ask(cache, "one?"), ask(cache, "one?"))
"""
    told = lines(run(program, entrance, cwd=tmp_path))
    # ``async with`` and a start-up try at once, whatever was tried before.
    patient = entrance not in ("entered", "asgi_lifespan")
    found = [line for line in told if not line.startswith("log: ")]
    assert found == ["fresh fresh", "fresh", "fresh hit fresh" if patient else "hit fresh hit fresh"]
    messages = [line.removeprefix("log: the cache ") for line in told if line.startswith("log: the cache ")]
    assert [message.partition(" (")[0] for message in messages] == ["cannot be opened", "is open"]


@everywhere
def test_a_fork_after_use_leaves_parent_and_child_with_a_working_cache(entrance: str, tmp_path: Path) -> None:
    program = """
print(ask(cache, "one?"), flush=True)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Python 3.12 and later: a fork with threads; that is what is tested.
    child = os.fork()
if child == 0:
    signal.alarm(30)
    print(ask(cache, "one?"), ask(cache, "two?"), flush=True)
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
print(ask(cache, "two?"), ask(cache, "three?"), ask(cache, "three?"))
"""
    told = lines(run(program, entrance, cwd=tmp_path))
    assert told == ["fresh", "hit fresh fresh", "hit fresh fresh hit fresh"]


@everywhere
def test_one_event_loop_after_the_other_uses_one_cache(entrance: str, tmp_path: Path) -> None:
    program = """
print(ask(cache, "one?"))
for other in ENTRANCES.values():
    asyncio.run(asyncio.sleep(0))
    print(other(cache, "one?") in ("fresh", "hit fresh"), ask(cache, "one?"))
"""
    told = lines(run(program, entrance, cwd=tmp_path))
    assert told == ["fresh", *["True hit fresh"] * len(ENTRANCES)]


@pytest.mark.parametrize("entrance", ["sync", "awaited", "entered"])
def test_a_loop_that_ended_without_closing_the_cache_is_left_behind(entrance: str, tmp_path: Path) -> None:
    program = """
async def opens_and_leaves():
    await cache.__aenter__()
    assert await cache.store("left?", "x")
asyncio.run(opens_and_leaves())
print(cache.lifecycle.is_open, ask(cache, "one?"), ask(cache, "one?"), cache.sync.lookup("left?").value)
"""
    ended = run(program, entrance, cwd=tmp_path)
    assert ended.stdout == "False fresh hit fresh x\n", ended.stderr
    assert ended.returncode == 0


@everywhere
def test_ctrl_c_while_a_call_is_made_leaves_the_cache_usable(entrance: str, tmp_path: Path) -> None:
    program = """
def interrupted(name):
    started = threading.Event()
    threading.Thread(target=lambda: (started.wait(), time.sleep(0.3), os.kill(os.getpid(), signal.SIGINT))).start()
    async def slow():
        started.set()
        await asyncio.sleep(30)
    def slow_sync():
        started.set()
        time.sleep(30)
    try:
        if name in ("awaited", "async_function", "entered", "asgi", "asgi_lifespan"):
            async def main():
                if name == "entered":
                    async with cache:
                        await cache.get_or_call("one?", slow)
                else:
                    await cache.get_or_call("one?", slow)
            asyncio.run(main())
        else:
            cache.sync.get_or_call("one?", slow_sync)
    except KeyboardInterrupt:
        return "interrupted"
print(interrupted(sys.argv[1]), ask(cache, "one?"), ask(cache, "one?"))
"""
    assert lines(run(program, entrance, cwd=tmp_path)) == ["interrupted fresh hit fresh"]


@pytest.mark.parametrize("entrance", ["sync", "awaited"])
def test_ctrl_c_while_the_cache_opens_leaves_it_usable(entrance: str, tmp_path: Path) -> None:
    program = """
from semcache_core import SemanticCache
from semcache_core.builtin.memory import MemoryResponseStore
class Slow(MemoryResponseStore):
    async def __aenter__(self):
        opening.set()
        await asyncio.sleep(1)
        return await super().__aenter__()
opening = threading.Event()
tables = {"vector_store": {"use": "memory"}, "semcache": {"match": "exact"}}
cache = SemanticCache(tables, response_store=Slow(Slow.Options()))
threading.Thread(target=lambda: (opening.wait(), time.sleep(0.1), os.kill(os.getpid(), signal.SIGINT))).start()
try:
    ask(cache, "one?")
except KeyboardInterrupt:
    print("interrupted", ask(cache, "one?"), ask(cache, "one?"))
"""
    assert lines(run(program, entrance, cwd=tmp_path)) == ["interrupted fresh hit fresh"]


WSGI = """
import os, sys
from urllib.parse import unquote
from entrances import ENTRANCES, made

cache = made("folder/cache.db")
print("preloaded", ENTRANCES["sync"](cache, "before"), flush=True)

def app(environ, start_response):
    entrance, _, prompt = environ["PATH_INFO"].strip("/").partition("/")
    body = f"{os.getpid()} {ENTRANCES[entrance](cache, unquote(prompt))}".encode()
    start_response("200 OK", [("content-length", str(len(body)))])
    return [body]
"""


@pytest.mark.parametrize("worker", ["sync", "gthread"])
def test_gunicorn_with_preload_serves_from_every_worker(worker: str, tmp_path: Path) -> None:
    pytest.importorskip("gunicorn")
    import httpx

    (tmp_path / "service.py").write_text(WSGI)
    arguments = [
        "--preload",
        "--worker-class",
        worker,
        "--workers",
        "2",
        "--threads",
        "4" if worker == "gthread" else "1",
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "service:app", "--bind", "127.0.0.1:0", "--no-control-socket", *arguments],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{HERE}:{tmp_path}"},
    )
    try:
        assert process.stderr is not None
        told = ""
        while (at := re.search(r"http://127\.0\.0\.1:\d+", told)) is None:
            line = process.stderr.readline()
            assert line, told
            told += line
        workers, answers = set(), []
        deadline = time.monotonic() + 30
        while len(workers) < 2 and time.monotonic() < deadline:
            for path in ("sync/before", "plain_function/one", "awaited/two", "asgi/three"):
                pid, _, answer = httpx.get(f"{at[0]}/{path}", timeout=20).text.partition(" ")
                workers.add(pid)
                answers.append(answer)
        assert len(workers) == 2
        assert answers[:4] == ["hit fresh", "fresh", "fresh", "fresh"]
        assert set(answers[4:]) <= {"hit fresh"}
    finally:
        process.send_signal(signal.SIGTERM)
        rest = process.communicate(timeout=20)[1]
    assert process.returncode == 0
    assert "Traceback" not in told + rest
