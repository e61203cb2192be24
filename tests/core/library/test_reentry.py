"""A call that asks the cache, directly or further down, what it was called to answer."""

from __future__ import annotations

import asyncio
import contextvars
import io
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from semcache_core import DoNotCache, SemanticCache, cached
from semcache_core.http.asgi import SemanticCacheASGI
from semcache_core.http.wsgi import SemanticCacheWSGI

CONFIG: dict[str, Any] = {
    "semcache": {"match": "exact"},
    "vector_store": {"use": "memory"},
    "response_store": {"use": "memory"},
    "verifiers": {"use": []},
    "limits": {"waiter_patience": 30},
}
ASKED = "what is asked within its own call"
OTHER = "what else is asked"


def test_an_async_call_that_asks_its_own_question_goes_on_at_once() -> None:
    async def inner() -> str:
        return "inner"

    async def main() -> None:
        async with SemanticCache(CONFIG) as cache:

            async def outer() -> str:
                return await cache.get_or_call(ASKED, inner) + ", outer"

            async with asyncio.timeout(5):
                assert await cache.get_or_call(ASKED, outer) == "inner, outer"

    asyncio.run(main())


def test_a_plain_call_that_asks_its_own_question_goes_on_at_once() -> None:
    cache = SemanticCache(CONFIG)

    async def main() -> None:
        def outer() -> str:
            return cache.sync.get_or_call(ASKED, lambda: "inner") + ", outer"

        async with asyncio.timeout(5):
            assert await asyncio.to_thread(cache.sync.get_or_call, ASKED, outer) == "inner, outer"

    try:
        asyncio.run(main())
    finally:
        cache.sync.close()


@pytest.mark.parametrize("times", [2, 5])
def test_calls_side_by_side_still_share_one(times: int) -> None:
    calls = 0

    async def main() -> None:
        async with SemanticCache(CONFIG) as cache:

            async def call() -> str:
                nonlocal calls
                calls += 1
                await asyncio.sleep(0.05)
                return "answer"

            asked = [cache.get_or_call(ASKED, call) for _ in range(times)]
            assert await asyncio.gather(*asked) == ["answer"] * times

    asyncio.run(main())
    assert calls == 1


# -- through others ---------------------------------------------------------------------------------------------------

A, B, C = "what does a ask", "what does b ask", "what does c ask"


def test_a_call_below_another_one_finds_its_own_question_further_up() -> None:
    async def main() -> None:
        async with SemanticCache(CONFIG) as cache:

            async def ask_a() -> str:
                return "a" + await cache.get_or_call(B, ask_b)

            async def ask_b() -> str:
                return "b" + await cache.get_or_call(A, end)

            async def end() -> str:
                return "."

            async with asyncio.timeout(5):
                assert await cache.get_or_call(A, ask_a) == "ab."

    asyncio.run(main())


@pytest.mark.parametrize("questions", [(A, B), (A, B, C)], ids=len)
def test_calls_that_wait_for_each_other_in_a_ring_go_on_at_once(questions: tuple[str, ...]) -> None:
    async def main() -> None:
        async with SemanticCache(CONFIG) as cache:
            all_lead = asyncio.Barrier(len(questions))

            def asks(place: int) -> Any:
                async def call() -> str:
                    await all_lead.wait()
                    return await cache.get_or_call(questions[(place + 1) % len(questions)], end)

                return call

            async def end() -> str:
                return "."

            async with asyncio.timeout(5):
                asked = [cache.get_or_call(question, asks(place)) for place, question in enumerate(questions)]
                assert await asyncio.gather(*asked) == ["."] * len(questions)

    asyncio.run(main())


def test_plain_calls_in_threads_that_wait_for_each_other_go_on_at_once() -> None:
    cache = SemanticCache(CONFIG)
    both_lead = threading.Barrier(2)

    def asks(other: str) -> Any:
        def call() -> str:
            both_lead.wait(5)
            return cache.sync.get_or_call(other, lambda: ".")

        return call

    try:
        with ThreadPoolExecutor(2) as pool:
            asked = [pool.submit(cache.sync.get_or_call, A, asks(B)), pool.submit(cache.sync.get_or_call, B, asks(A))]
            assert [each.result(5) for each in asked] == [".", "."]
    finally:
        cache.sync.close()


@pytest.mark.parametrize("way", ["gather", "task", "to_thread", "copied context", "its own loop"])
def test_what_a_call_begins_belongs_to_it(way: str) -> None:
    cache = SemanticCache(CONFIG)

    async def again() -> str:
        return await cache.get_or_call(ASKED, lambda: "inner")

    def in_a_thread_with_the_context() -> str:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(contextvars.copy_context().run, cache.sync.get_or_call, ASKED, lambda: "inner").result()

    async def outer() -> str:
        match way:
            case "gather":
                return (await asyncio.gather(again(), again()))[0]
            case "task":
                return await asyncio.create_task(again())
            case "to_thread":
                return await asyncio.to_thread(cache.sync.get_or_call, ASKED, lambda: "inner")
            case "copied context":
                return await asyncio.to_thread(in_a_thread_with_the_context)
            case _:
                return await asyncio.to_thread(asyncio.run, again())

    async def main() -> None:
        async with asyncio.timeout(5):
            assert await cache.get_or_call(ASKED, outer) == "inner"

    try:
        asyncio.run(main())
    finally:
        cache.sync.close()


def test_a_function_that_calls_itself_goes_on_at_every_level() -> None:
    cache = SemanticCache(CONFIG)
    depth = 0

    @cached(cache, version=1)
    def ask(prompt: str) -> str:
        nonlocal depth
        depth += 1
        return ask(prompt) if depth < 5 else "deep"

    try:
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(ask, ASKED).result(5) == "deep"
    finally:
        cache.sync.close()


def test_a_task_that_outlives_its_call_shares_calls_like_any_other() -> None:
    calls = 0

    async def main() -> None:
        async with SemanticCache(CONFIG) as cache:
            later: list[asyncio.Task[list[str]]] = []
            over = asyncio.Event()

            async def slow() -> str:
                nonlocal calls
                calls += 1
                await asyncio.sleep(0.05)
                return "shared"

            async def afterwards() -> list[str]:
                await over.wait()
                return await asyncio.gather(*(cache.get_or_call(ASKED, slow) for _ in range(3)))

            async def first() -> object:
                later.append(asyncio.create_task(afterwards()))
                return DoNotCache("first")

            async with asyncio.timeout(5):
                assert await cache.get_or_call(OTHER, first) == "first"
                over.set()
                assert await later[0] == ["shared"] * 3

    asyncio.run(main())
    assert calls == 1


# -- over HTTP --------------------------------------------------------------------------------------------------------

CLAIMED = CONFIG | {"key_extractors": {"use": ["json"]}, "route": [{"path": "/ask"}]}
BODY = b'{"question": "What do I ask myself?"}'


@pytest.mark.parametrize("entered", [True, False], ids=["on its loop", "on another loop"])
def test_an_asgi_application_that_asks_its_own_path_goes_on_at_once(entered: bool) -> None:
    cache = SemanticCache(CLAIMED)
    depth = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal depth
        depth += 1
        answer = await ask() if depth == 1 else b'"inner"'
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": answer})

    async def ask() -> bytes:
        got: list[bytes] = []
        body = {"type": "http.request", "body": BODY, "more_body": False}

        async def receive() -> Any:
            return body

        async def send(message: Any) -> None:
            got.append(message.get("body", b""))

        headers = [(b"authorization", b"Bearer me"), (b"host", b"h"), (b"content-type", b"application/json")]
        scope = {"type": "http", "method": "POST", "path": "/ask", "headers": headers, "query_string": b""}
        await served(scope, receive, send)
        return b"".join(got)

    served = SemanticCacheASGI(app, cache=cache)

    async def main() -> bytes:
        async with asyncio.timeout(5):
            if not entered:
                return await ask()
            async with cache:
                return await ask()

    try:
        assert asyncio.run(main()) == b'"inner"'
    finally:
        cache.sync.close()


@pytest.mark.parametrize("lazily", [True, False], ids=["as it is read", "as it is called"])
def test_a_wsgi_application_that_asks_its_own_path_goes_on_at_once(lazily: bool) -> None:
    cache = SemanticCache(CLAIMED)
    depth = 0

    def answer() -> bytes:
        nonlocal depth
        depth += 1
        return ask() if depth == 1 else b'"inner"'

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("content-type", "application/json")])
        return (answer() for _ in range(1)) if lazily else [answer()]

    served = SemanticCacheWSGI(app, cache=cache)

    def ask() -> bytes:
        environ = {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": "/ask",
            "SCRIPT_NAME": "",
            "QUERY_STRING": "",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "HTTP_HOST": "h",
            "HTTP_AUTHORIZATION": "Bearer me",
            "CONTENT_TYPE": "application/json",
            "CONTENT_LENGTH": str(len(BODY)),
            "wsgi.input": io.BytesIO(BODY),
            "wsgi.url_scheme": "http",
        }
        return b"".join(served(environ, lambda *_: lambda _: None))

    try:
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(ask).result(5) == b'"inner"'
    finally:
        cache.sync.close()
