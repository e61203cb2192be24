"""What ends a program or a coroutine, raised by a call: it reaches its caller unchanged, and ends nothing else."""

from __future__ import annotations

import asyncio
import io
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import FrameType
from typing import Any

import pytest

from semcache_core import SemanticCache, cached
from semcache_core.http.asgi import SemanticCacheASGI
from semcache_core.http.wsgi import SemanticCacheWSGI
from semcache_core.testing import CountingEmbedder

MEMORY: dict[str, Any] = {
    "semcache": {"match": "exact"},
    "vector_store": {"use": "memory"},
    "response_store": {"use": "memory"},
    "limits": {"waiter_patience": 5},
}
ASKED = "What does the call raise?"


class Stop(BaseException):
    """A library's own."""


SIGNALS = [
    KeyboardInterrupt("Ctrl-C"),
    SystemExit(3),
    GeneratorExit("closed"),
    StopAsyncIteration("end"),
    asyncio.CancelledError("cancelled by the call"),
    BaseExceptionGroup("several", [KeyboardInterrupt(), ValueError()]),
    Stop("own"),
]
each = pytest.mark.parametrize("signal", SIGNALS, ids=lambda signal: type(signal).__name__)


@pytest.fixture
def cache() -> Iterator[SemanticCache]:
    made = SemanticCache(MEMORY)
    yield made
    made.sync.close()


def caught(call: Callable[[], Any]) -> BaseException | None:
    """Return what ``call`` raises."""
    try:
        call()
    except BaseException as error:  # noqa: BLE001
        return error
    return None


async def caught_async(work: Awaitable[Any]) -> BaseException | None:
    try:
        await work
    except BaseException as error:  # noqa: BLE001
        return error
    return None


def raising(signal: BaseException) -> Callable[[], str]:
    def call() -> str:
        raise signal

    return call


def raising_async(signal: BaseException) -> Callable[[], Awaitable[str]]:
    async def call() -> str:
        await asyncio.sleep(0)
        raise signal

    return call


def lives(cache: SemanticCache) -> bool:
    """Say whether the cache still answers, from every side."""

    async def ask() -> str:
        async with asyncio.timeout(3):
            return await cache.get_or_call(ASKED, lambda: "x")

    with ThreadPoolExecutor(1) as pool:
        answers = [
            pool.submit(cache.sync.get_or_call, ASKED, lambda: "x").result(3),
            asyncio.run(ask()),
        ]
    return answers == ["x", "x"] and cache.sync.lookup(ASKED).hit


class Interrupt:
    """Raises KeyboardInterrupt in this thread at one step of the package: around a call, as CPython does."""

    def __init__(self, at: int) -> None:
        self._left = at

    def __enter__(self) -> None:
        sys.setprofile(self._step)

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _step(self, frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        # In __del__ an exception is lost, so Ctrl-C there reaches nobody.
        if event in ("call", "c_return") and "semcache_core" in code.co_filename and code.co_name != "__del__":
            self._left -= 1
            if self._left < 0:
                sys.setprofile(None)
                raise KeyboardInterrupt


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
def test_whenever_ctrl_c_comes_the_same_question_is_answered_at_once(cache: SemanticCache) -> None:
    cache.sync.get_or_call("open", lambda: "opened")
    step, was_interrupted = 0, True
    while was_interrupted:
        asked = f"asked at step {step}"

        def interrupted(prompt: str = asked, at: int = step) -> None:
            with Interrupt(at):
                cache.sync.get_or_call(prompt, lambda: "first")

        was_interrupted = isinstance(caught(interrupted), KeyboardInterrupt)
        began = time.monotonic()
        assert cache.sync.get_or_call(asked, lambda: "second") in ("first", "second")
        assert time.monotonic() - began < 1, f"waited for a call that was interrupted at step {step}"
        step += 1
    assert step > 20


@each
def test_it_reaches_the_caller_of_a_blocking_call(cache: SemanticCache, signal: BaseException) -> None:
    @cached(cache, version=1)
    def ask(prompt: str) -> str:
        raise signal

    assert caught(lambda: cache.sync.get_or_call(ASKED, raising(signal))) is signal
    assert caught(lambda: ask(ASKED)) is signal
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(caught, lambda: ask(ASKED)).result(5) is signal
    assert lives(cache)


def test_stop_iteration_reaches_the_caller_of_a_blocking_call_and_ends_no_other(cache: SemanticCache) -> None:
    signal = StopIteration("nothing")
    assert caught(lambda: cache.sync.get_or_call(ASKED, raising(signal))) is signal
    for call in (raising(signal), raising_async(signal)):
        # What Python makes of it in any coroutine (PEP 479).
        error = asyncio.run(caught_async(cache.get_or_call(ASKED, call)))
        assert isinstance(error, RuntimeError)
        assert signal in (error.__cause__, error.__cause__ and error.__cause__.__cause__)
    assert lives(cache)


@each
@pytest.mark.parametrize("entered", [True, False], ids=["on its own loop", "from another loop"])
@pytest.mark.parametrize("call", [raising, raising_async], ids=["plain", "async"])
def test_it_reaches_who_awaits_the_call(
    cache: SemanticCache, signal: BaseException, call: Callable[[BaseException], Any], entered: bool
) -> None:
    @cached(cache, version=1)
    async def ask(prompt: str) -> str:
        return str(await raising_async(signal)())

    async def main() -> list[BaseException | None]:
        if entered:
            await cache.__aenter__()
        try:
            return [
                await caught_async(cache.get_or_call(ASKED, call(signal))),
                await caught_async(ask(ASKED)),
            ]
        finally:
            if entered:
                assert await cache.get_or_call("another", lambda: "x") == "x"
                await cache.__aexit__(None, None, None)

    assert asyncio.run(main()) == [signal, signal]
    assert lives(cache)


@each
def test_who_waits_for_the_same_answer_asks_next(cache: SemanticCache, signal: BaseException) -> None:
    async def main() -> tuple[BaseException | None, str]:
        asked, go_on = asyncio.Event(), asyncio.Event()

        async def leading() -> str:
            asked.set()
            await go_on.wait()
            raise signal

        first = asyncio.create_task(caught_async(cache.get_or_call(ASKED, leading)))
        await asked.wait()
        second = asyncio.create_task(cache.get_or_call(ASKED, lambda: "x"))
        await asyncio.sleep(0.05)
        go_on.set()
        async with asyncio.timeout(3):
            return await first, await second

    assert asyncio.run(main()) == (signal, "x")
    assert lives(cache)


@each
@pytest.mark.parametrize("blocking", [True, False], ids=["blocking", "async"])
def test_in_the_background_it_is_a_fault_and_the_stale_answer_stays(signal: BaseException, blocking: bool) -> None:
    now = [1_000.0]
    config = {**MEMORY, "semcache": {"match": "exact", "ttl": 10, "stale_while_revalidate": 100, "jitter": 0}}
    cache = SemanticCache(config, clock=lambda: now[0])
    assert cache.sync.get_or_call(ASKED, lambda: "old") == "old"
    now[0] += 20
    called = threading.Event()

    def refreshing() -> str:
        called.set()
        raise signal

    async def awaited() -> str:
        answer: str = await cache.get_or_call(ASKED, refreshing)
        await asyncio.to_thread(called.wait, 3)
        await asyncio.sleep(0.1)
        return answer

    try:
        assert (cache.sync.get_or_call(ASKED, refreshing) if blocking else asyncio.run(awaited())) == "old"
        assert called.wait(3)
        time.sleep(0.1)
        assert cache.sync.lookup(ASKED).value == "old"
        assert cache.sync.get_or_call("another", lambda: "x") == "x"
    finally:
        cache.sync.close()


@pytest.mark.parametrize("signal", [KeyboardInterrupt(), SystemExit(1)], ids=lambda signal: type(signal).__name__)
def test_what_the_programs_own_clock_raises_ends_nothing_else(signal: BaseException) -> None:
    stopped = False

    def clock() -> float:
        if stopped:
            raise signal
        return time.time()

    cache = SemanticCache(MEMORY, clock=clock)
    assert not cache.sync.lookup(ASKED)
    stopped = True
    assert caught(lambda: cache.sync.lookup(ASKED)) is signal
    assert caught(lambda: asyncio.run(cache.get_or_call(ASKED, lambda: "x"))) is signal
    stopped = False
    assert lives(cache)
    cache.sync.close()


def test_a_task_of_a_component_cannot_end_the_loop_of_the_cache(
    cache: SemanticCache, caplog: pytest.LogCaptureFixture
) -> None:
    assert cache.sync.get_or_call("another", lambda: "x") == "x"
    home = cache.lifecycle.home
    assert home is not None

    def exits() -> None:
        raise SystemExit(1)

    home.loop.call_soon_threadsafe(exits)
    assert lives(cache)
    assert "SystemExit" in caplog.text


# -- over HTTP ----------------------------------------------------------------------------------------------------

CLAIMED = {**MEMORY, "key_extractors": {"use": ["json"]}, "route": [{"path": "/ask"}]}
WHO = (b"authorization", b"Bearer someone")


@each
def test_an_asgi_application_on_another_loop_raises_it_to_its_server(signal: BaseException) -> None:
    cache = SemanticCache(CLAIMED)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        raise signal

    async def receive() -> Any:
        return {"type": "http.request", "body": b'{"question": "What?"}', "more_body": False}

    async def send(message: Any) -> None:
        raise AssertionError(message)

    scope = {"type": "http", "method": "POST", "path": "/ask", "headers": [WHO, (b"host", b"h")], "query_string": b""}
    try:
        served = SemanticCacheASGI(app, cache=cache)
        assert asyncio.run(caught_async(served(scope, receive, send))) is signal
        assert lives(cache)
    finally:
        cache.sync.close()


@each
def test_a_wsgi_application_raises_it_to_its_server(signal: BaseException) -> None:

    cache = SemanticCache(CLAIMED)

    def app(environ: Any, start_response: Any) -> Any:
        raise signal

    body = b'{"question": "What?"}'

    def ask() -> None:
        environ = {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": "/ask",
            "SCRIPT_NAME": "",
            "QUERY_STRING": "",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "HTTP_HOST": "h",
            "HTTP_AUTHORIZATION": "Bearer someone",
            "CONTENT_TYPE": "application/json",
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": io.BytesIO(body),
            "wsgi.url_scheme": "http",
        }
        b"".join(SemanticCacheWSGI(app, cache=cache)(environ, lambda *_: lambda _: None))

    try:
        assert caught(ask) is signal
        assert lives(cache)
    finally:
        cache.sync.close()


def test_a_component_that_exits_is_a_fault_of_that_component() -> None:
    class Exiting(CountingEmbedder):
        async def embed(self, texts: Any) -> Any:
            raise SystemExit(1)

    config = {key: MEMORY[key] for key in ("vector_store", "response_store")}
    cache = SemanticCache(config, embedder=Exiting())
    for number in range(3):
        assert cache.sync.get_or_call(f"{ASKED} {number}", lambda: "x") == "x"
    assert asyncio.run(cache.get_or_call(f"{ASKED} again", lambda: "y")) == "y"
    assert not cache.sync.lookup("Which component has ended the process of everybody?")
    cache.sync.close()
