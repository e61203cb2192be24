"""Every way in which a program reaches its cache. Each is a function that asks one question and returns what came back.

Programs that tests run in processes of their own import this, so it holds nothing of pytest.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from semcache_core import SemanticCache, cached
from semcache_core.http.asgi import SemanticCacheASGI

Ask = Callable[[SemanticCache, str], str]


def made(path: str) -> SemanticCache:
    """Return a cache that keeps its entries in a file."""
    at = {"use": "sqlite", "path": path}
    tables = {"vector_store": at, "response_store": at, "semcache": {"match": "exact"}}
    return SemanticCache(tables)


def sync(cache: SemanticCache, prompt: str) -> str:
    if found := cache.sync.lookup(prompt):
        return f"hit {found.value}"
    return cache.sync.get_or_call(prompt, lambda: "fresh")


def plain_function(cache: SemanticCache, prompt: str) -> str:
    calls = []

    @cached(cache, version="plain")
    def answer(prompt: str) -> str:
        calls.append(prompt)
        return "fresh"

    text = answer(prompt)
    return text if calls else f"hit {text}"


def async_function(cache: SemanticCache, prompt: str) -> str:
    calls = []

    @cached(cache, version="async")
    async def answer(prompt: str) -> str:
        calls.append(prompt)
        return "fresh"

    text = asyncio.run(answer(prompt))
    return text if calls else f"hit {text}"


def awaited(cache: SemanticCache, prompt: str) -> str:
    async def main() -> str:
        if found := await cache.lookup(prompt):
            return f"hit {found.value}"

        async def call() -> str:
            return "fresh"

        return await cache.get_or_call(prompt, call)

    return asyncio.run(main())


def entered(cache: SemanticCache, prompt: str) -> str:
    async def main() -> str:
        async with cache:
            if found := await cache.lookup(prompt):
                return f"hit {found.value}"
            return await cache.get_or_call(prompt, lambda: "fresh")

    return asyncio.run(main())


def thread(cache: SemanticCache, prompt: str) -> str:
    answers: list[str] = []
    other = threading.Thread(target=lambda: answers.append(sync(cache, prompt)))
    other.start()
    other.join(20)
    return answers[0]


async def upstream(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    body = (
        b'{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"finish_reason":"stop",'
        b'"message":{"role":"assistant","content":"fresh"}}]}'
    )
    await send({"type": "http.response.body", "body": body})


def asgi(cache: SemanticCache, prompt: str) -> str:
    """Ask through the driver, without a lifespan; each time on an event loop of its own."""
    return asyncio.run(_asked(SemanticCacheASGI(upstream, cache=cache), prompt))


def asgi_lifespan(cache: SemanticCache, prompt: str) -> str:
    """Ask through the driver, after the start-up of its server and before the shut-down."""
    app = SemanticCacheASGI(upstream, cache=cache)

    async def main() -> str:
        inbox: asyncio.Queue[Any] = asyncio.Queue()
        outbox: asyncio.Queue[Any] = asyncio.Queue()

        async def refuse(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "lifespan":
                raise NotImplementedError
            await upstream(scope, receive, send)

        app.app = refuse
        living = asyncio.create_task(app({"type": "lifespan"}, inbox.get, outbox.put))
        await inbox.put({"type": "lifespan.startup"})
        assert (await outbox.get())["type"] == "lifespan.startup.complete"
        answer = await _asked(app, prompt)
        await inbox.put({"type": "lifespan.shutdown"})
        await living
        return answer

    return asyncio.run(main())


async def _asked(app: SemanticCacheASGI, prompt: str) -> str:
    body = b'{"model":"m","messages":[{"role":"user","content":"%s"}]}' % prompt.encode()
    requests: list[Any] = [{"type": "http.request", "body": body}]
    sent: list[Any] = []

    async def receive() -> Any:
        return requests.pop() if requests else await asyncio.get_running_loop().create_future()

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"authorization", b"Bearer alice"), (b"content-type", b"application/json")]
    scope = {
        "type": "http",
        "method": "POST",
        "scheme": "http",
        "path": "/v1/chat/completions",
        "query_string": b"",
        "headers": headers,
    }
    await app(scope, receive, send)
    fields = dict(sent[0]["headers"])
    return "hit fresh" if fields.get(b"x-cache") == b"HIT" else "fresh"


ENTRANCES: dict[str, Ask] = {
    each.__name__: each
    for each in (sync, plain_function, async_function, awaited, entered, thread, asgi, asgi_lifespan)
}
