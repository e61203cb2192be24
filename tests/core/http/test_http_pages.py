"""The cache's own pages, from the middleware: who may read them, and what they say while something is down."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from typing import Any

import pytest

from semcache_core import SemanticCache
from semcache_core.builtin.memory import MemoryResponseStore, MemoryVectorStore
from semcache_core.config import load
from semcache_core.engine.readiness import Readiness
from semcache_core.errors import ConfigError, StoreUnavailable
from semcache_core.http.asgi import SemanticCacheASGI
from semcache_core.http.pages import worker_id
from semcache_core.testing import CountingEmbedder, FlakyStore, FrozenClock

MEMORY: dict[str, Any] = {"vector_store": {"use": "memory"}, "response_store": {"use": "memory"}}
TOKEN = MEMORY | {"http": {"debug_token": "let-me-see"}}
HERE = [(b"host", b"127.0.0.1:8000")]


async def application(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 418, "headers": []})
    await send({"type": "http.response.body", "body": b"the application"})


async def get(
    driver: Any,
    path: str,
    *,
    headers: list[tuple[bytes, bytes]] | None = None,
    client: str | None = "127.0.0.1",
    method: str = "GET",
    mount: str = "",
) -> tuple[int, Any]:
    sent: list[Any] = []
    scope = {
        "type": "http",
        "method": method,
        "path": mount + path,
        "raw_path": (mount + path).encode(),
        "root_path": mount,
        "query_string": b"",
        "headers": HERE if headers is None else headers,
        "client": None if client is None else (client, 50000),
    }

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.append(message)

    await driver(scope, receive, send)
    body = sent[1]["body"]
    return sent[0]["status"], json.loads(body) if body[:1] == b"{" else body


def within_a_cache(body: Callable[[Any, SemanticCache], Any], config: Any = MEMORY, **components: Any) -> None:
    pages = components.pop("pages", True)

    async def main() -> None:
        components.setdefault("embedder", CountingEmbedder())
        async with SemanticCache(load(config), **components) as cache:
            await body(SemanticCacheASGI(application, cache=cache, pages=pages), cache)

    asyncio.run(main())


def test_without_pages_the_application_gets_the_path() -> None:
    async def body(driver: Any, cache: Any) -> None:
        assert await get(driver, "/.semcache/health") == (418, b"the application")

    within_a_cache(body, pages=False)


def test_the_pages_stand_under_their_prefix_and_everything_else_is_the_applications() -> None:
    async def body(driver: Any, cache: Any) -> None:
        assert await get(driver, "/ops/health") == (200, {"status": "ok", "cache": "open"})
        assert (await get(driver, "/ops/other"))[0] == 404
        assert (await get(driver, "/ops/health", method="POST"))[0] == 405
        assert await get(driver, "/ops/health", method="HEAD") == (200, b"")
        assert await get(driver, "/opshealth") == (418, b"the application")
        assert await get(driver, "/.semcache/health") == (418, b"the application")

    within_a_cache(body, pages="/ops")


def test_a_mounted_application_has_them_below_its_mount() -> None:
    async def body(driver: Any, cache: Any) -> None:
        assert (await get(driver, "/.semcache/health", mount="/api"))[0] == 200

    within_a_cache(body)


@pytest.mark.parametrize("prefix", ["ops", "/", "//"])
def test_a_prefix_that_is_none_is_refused(prefix: str) -> None:
    with pytest.raises(ConfigError, match="pages= takes True or a path prefix"):
        SemanticCacheASGI(application, cache=SemanticCache.from_config(MEMORY), pages=prefix)


# -- who may read the statistics --------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", [b"127.0.0.1", b"localhost:8000", b"[::1]:8000", b"LOCALHOST"])
def test_the_statistics_are_open_to_this_machine(host: bytes) -> None:
    async def body(driver: Any, cache: Any) -> None:
        await cache.lookup("How do I reset my password?")
        status, said = await get(driver, "/.semcache/stats", headers=[(b"host", host)])
        assert (status, said["misses"], said["requests"]) == (200, 1, 1)
        assert said["worker"] == worker_id()
        assert said["worker"].startswith(f"{os.getpid()}-")

    within_a_cache(body, TOKEN)


@pytest.mark.parametrize(
    ("headers", "client"),
    [
        (HERE, "192.0.2.7"),
        (HERE, None),
        ([(b"host", b"app.example")], "127.0.0.1"),
        ([], "127.0.0.1"),
        ([*HERE, (b"host", b"localhost")], "127.0.0.1"),
        ([*HERE, (b"x-forwarded-for", b"192.0.2.7")], "127.0.0.1"),
        ([*HERE, (b"x-forwarded-proto", b"https")], "127.0.0.1"),
        ([*HERE, (b"forwarded", b"for=192.0.2.7")], "127.0.0.1"),
        ([*HERE, (b"via", b"1.1 cdn")], "127.0.0.1"),
    ],
)
def test_from_elsewhere_they_want_the_debug_token(headers: Any, client: str | None) -> None:
    async def body(driver: Any, cache: Any) -> None:
        path = "/.semcache/stats"
        assert (await get(driver, path, headers=headers, client=client))[0] == 403
        wrong = [*headers, (b"semcache-debug", b"guess")]
        assert (await get(driver, path, headers=wrong, client=client))[0] == 403
        right = [*headers, (b"semcache-debug", b"let-me-see")]
        assert (await get(driver, path, headers=right, client=client))[0] == 200

    within_a_cache(body, TOKEN)


def test_without_a_configured_token_no_token_opens_them_elsewhere() -> None:
    async def body(driver: Any, cache: Any) -> None:
        headers = [(b"host", b"app.example"), (b"semcache-debug", b"")]
        assert (await get(driver, "/.semcache/stats", headers=headers))[0] == 403

    within_a_cache(body)


# -- ready ------------------------------------------------------------------------------------------------------------


def test_it_is_ready_where_everything_can_be_reached() -> None:
    async def body(driver: Any, cache: Any) -> None:
        ready = {"embedder": "ok", "vector_store": "ok", "response_store": "ok"}
        assert await get(driver, "/.semcache/ready") == (200, {"status": "ready", "cache": "open", **ready})

    within_a_cache(body)


@pytest.mark.parametrize(
    ("store", "method", "named"),
    [("response_store", "get", "response_store"), ("vector_store", "search", "vector_store")],
)
def test_a_store_that_cannot_be_reached_is_named_without_what_it_says(store: str, method: str, named: str) -> None:
    kinds = {"response_store": MemoryResponseStore, "vector_store": MemoryVectorStore}
    flaky = FlakyStore(kinds[store](kinds[store].Options()))

    async def body(driver: Any, cache: Any) -> None:
        flaky.fail(method, error=StoreUnavailable("postgres://user:hunter2@db"))
        status, said = await get(driver, "/.semcache/ready")
        assert (status, said[named]) == (503, "StoreUnavailable")
        assert "hunter2" not in str(said)
        assert (await get(driver, "/.semcache/health"))[0] == 200, "the process is well"

    within_a_cache(body, **{store: flaky})


def test_a_store_that_hangs_is_given_its_deadline() -> None:
    flaky = FlakyStore(MemoryResponseStore(MemoryResponseStore.Options()))

    async def body(driver: Any, cache: Any) -> None:
        flaky.hang("get")
        async with asyncio.timeout(5):
            assert (await get(driver, "/.semcache/ready"))[1]["response_store"] == "TimeoutError"

    within_a_cache(body, MEMORY | {"limits": {"response_deadline": 0.05}}, response_store=flaky)


class Loading(CountingEmbedder):
    """An embedder that says itself whether it is ready."""

    loaded = False

    async def ready(self) -> None:
        if not self.loaded:
            raise StoreUnavailable("still loading")


def test_a_component_that_knows_is_asked_itself() -> None:
    embedder, clock = Loading(), FrozenClock()

    async def body(driver: Any, cache: Any) -> None:
        assert (await get(driver, "/.semcache/ready"))[1]["embedder"] == "StoreUnavailable"
        embedder.loaded = True
        clock.advance(2)
        assert (await get(driver, "/.semcache/ready"))[0] == 200

    within_a_cache(body, embedder=embedder, clock=clock)


def test_asking_often_asks_the_stores_once_a_second() -> None:
    flaky, clock = FlakyStore(MemoryResponseStore(MemoryResponseStore.Options())), FrozenClock()

    async def body(driver: Any, cache: Any) -> None:
        for _ in range(3):
            await get(driver, "/.semcache/ready")
        assert flaky.calls["get"] == 1
        clock.advance(1.5)
        await get(driver, "/.semcache/ready")
        assert flaky.calls["get"] == 2

    within_a_cache(body, response_store=flaky, clock=clock)


def test_an_exact_only_cache_needs_its_response_store_alone() -> None:
    async def main() -> None:
        async with SemanticCache(load(MEMORY | {"semcache": {"match": "exact"}})) as cache:
            readiness: Readiness = cache.lifecycle.here().readiness
            assert await readiness.states() == {"response_store": "ok"}

    asyncio.run(main())


# -- before the cache is open -----------------------------------------------------------------------------------------


def test_health_answers_before_the_cache_is_open_and_opens_nothing() -> None:
    async def main() -> None:
        cache = SemanticCache(load(MEMORY), embedder=CountingEmbedder())
        driver = SemanticCacheASGI(application, cache=cache, pages=True)
        assert await get(driver, "/.semcache/health") == (200, {"status": "ok", "cache": "not open yet"})
        assert (await get(driver, "/.semcache/stats"))[0] == 503
        assert not cache.lifecycle.is_open
        assert (await get(driver, "/.semcache/ready"))[0] == 200, "without a start-up, whoever asks first opens it"
        await cache.__aexit__(None, None, None)

    asyncio.run(main())


def test_a_cache_that_cannot_be_opened_is_not_ready() -> None:
    class Down(MemoryResponseStore):
        async def __aenter__(self) -> Any:
            raise StoreUnavailable("down")

    async def main() -> None:
        store = Down(MemoryResponseStore.Options())
        cache = SemanticCache(load(MEMORY), embedder=CountingEmbedder(), response_store=store)
        driver = SemanticCacheASGI(application, cache=cache, pages=True)
        assert await get(driver, "/.semcache/ready") == (503, {"status": "not ready", "cache": "not open yet"})
        assert (await get(driver, "/.semcache/health"))[0] == 200

    asyncio.run(main())
