"""The ASGI life cycle: with a lifespan, with an application that refuses it, without one, and across loops."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any, Self

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from semcache_core import SemanticCache
from semcache_core.builtin.memory import MemoryResponseStore
from semcache_core.config import load
from semcache_core.errors import ConfigError, EmbedderUnavailable, PluginError, StoreUnavailable
from semcache_core.http import decoders
from semcache_core.http.asgi import SemanticCacheASGI

from .asgi_client import Client, Upstream, chat, completion, configured


class Server:
    """The lifespan half of an ASGI server."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self._in: asyncio.Queue[Any] = asyncio.Queue()
        self._out: asyncio.Queue[Any] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> Any:
        self._task = asyncio.create_task(
            self.app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, self._in.get, self._out.put)
        )
        return await self.tell("lifespan.startup")

    async def stop(self) -> Any:
        told = await self.tell("lifespan.shutdown")
        assert self._task is not None
        await asyncio.wait_for(self._task, 5)
        return told

    async def tell(self, kind: str) -> Any:
        await self._in.put({"type": kind})
        return await asyncio.wait_for(self._out.get(), 5)


def cached(app: Any, **tables: Any) -> SemanticCacheASGI:
    """Return an application behind a cache that nobody has opened."""
    return SemanticCacheASGI(app, cache=SemanticCache.from_config(configured(**tables)))


def fastapi_app(**options: Any) -> FastAPI:
    """Return a FastAPI application that counts its calls."""
    app = FastAPI(**options)
    app.state.calls = 0

    @app.post("/v1/chat/completions")
    def complete() -> dict[str, Any]:
        app.state.calls += 1
        return completion()

    return app


def asked(client: TestClient) -> str | None:
    """Ask the chat question and return X-Cache."""
    response = client.post("/v1/chat/completions", json=chat(), headers={"authorization": "Bearer alice"})
    assert response.json() == completion()
    return response.headers.get("x-cache")


def test_an_application_that_refuses_the_lifespan_is_answered_for() -> None:
    async def main() -> None:
        app = cached(Upstream())
        server = Server(app)
        assert (await server.start())["type"] == "lifespan.startup.complete"
        assert app.cache.lifecycle.is_open
        client = Client(app)
        assert [(await client.chat()).cache for _ in range(2)] == ["MISS", "HIT"]
        assert (await server.stop())["type"] == "lifespan.shutdown.complete"
        assert not app.cache.lifecycle.is_open

    asyncio.run(main())


def test_an_application_with_a_lifespan_of_its_own_keeps_it() -> None:
    async def main() -> None:
        heard: list[str] = []

        async def own(scope: Any, receive: Any, send: Any) -> None:
            for _ in range(2):
                message = await receive()
                heard.append(message["type"])
                heard.append("open" if app.cache.lifecycle.is_open else "closed")
                await send({"type": message["type"] + ".complete"})

        app = cached(own)
        server = Server(app)
        assert (await server.start())["type"] == "lifespan.startup.complete"
        assert (await server.stop())["type"] == "lifespan.shutdown.complete"
        assert heard == ["lifespan.startup", "open", "lifespan.shutdown", "open"]
        assert not app.cache.lifecycle.is_open

    asyncio.run(main())


def test_an_application_that_fails_to_start_says_so_and_the_cache_is_closed() -> None:
    async def main() -> None:
        async def fails(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await send({"type": "lifespan.startup.failed", "message": "no database"})

        app = cached(fails)
        assert (await Server(app).start())["message"] == "no database"
        await asyncio.sleep(0.01)
        assert not app.cache.lifecycle.is_open

    asyncio.run(main())


def test_a_cache_that_cannot_open_stops_the_start_and_says_why() -> None:
    async def main() -> None:
        app = cached(Upstream(), semcache={"match": "semantic"}, embedder={"use": "no-such-embedder"})
        told = await Server(app).start()
        assert told["type"] == "lifespan.startup.failed"
        assert "no-such-embedder" in told["message"]

    asyncio.run(main())


class Flaky(MemoryResponseStore):
    """Cannot be opened while ``down`` says why."""

    down: Exception | None = None

    async def __aenter__(self) -> Self:
        if self.down is not None:
            raise self.down
        return await super().__aenter__()


def flaky(error: Exception) -> tuple[SemanticCacheASGI, Flaky]:
    store = Flaky(Flaky.Options())
    store.down = error
    return SemanticCacheASGI(Upstream(), cache=SemanticCache(load(configured()), response_store=store)), store


@pytest.mark.parametrize("error", [StoreUnavailable("down"), EmbedderUnavailable("down"), OSError("no route to host")])
def test_what_is_down_at_the_start_stops_nothing_and_is_told_once(
    error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("semcache_core.runtime.outage._PAUSE", 0.0)

    async def main() -> None:
        app, _ = flaky(error)
        server = Server(app)
        assert (await server.start())["type"] == "lifespan.startup.complete"
        answers = [await Client(app).chat() for _ in range(3)]
        assert [(answer.status, answer.cache) for answer in answers] == [(200, None)] * 3
        assert (await server.stop())["type"] == "lifespan.shutdown.complete"

    asyncio.run(main())
    assert [record.levelname for record in caplog.records if record.name == "semcache"] == ["WARNING"]
    assert type(error).__name__ in caplog.text


def test_what_was_down_at_the_start_is_not_tried_at_every_request() -> None:
    async def main() -> None:
        app, store = flaky(StoreUnavailable("down"))
        server = Server(app)
        await server.start()
        store.down = None
        assert [(await Client(app).chat()).cache for _ in range(2)] == [None, None]
        await server.stop()

    asyncio.run(main())


def test_a_cache_that_opens_after_the_start_lives_on_the_servers_loop_and_closes_with_the_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("semcache_core.runtime.lifecycle._RETRY_PATIENCE", 30.0)
    monkeypatch.setattr("semcache_core.runtime.outage._PAUSE", 0.0)

    async def main() -> None:
        app, store = flaky(StoreUnavailable("down"))
        server = Server(app)
        await server.start()
        client = Client(app)
        assert (await client.chat()).cache is None
        store.down = None
        assert [(await client.chat()).cache for _ in range(2)] == ["MISS", "HIT"]
        assert app.cache.lifecycle.here() is not None
        await server.stop()
        assert not app.cache.lifecycle.is_open

    asyncio.run(main())


def test_a_server_that_stops_while_the_cache_opens_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("semcache_core.runtime.outage._PAUSE", 0.0)

    class Slow(Flaky):
        async def __aenter__(self) -> Self:
            await super().__aenter__()
            opening.set()
            await asyncio.sleep(60)
            return self

    opening = asyncio.Event()

    async def main() -> None:
        store = Slow(Slow.Options())
        store.down = StoreUnavailable("down")
        app = SemanticCacheASGI(Upstream(), cache=SemanticCache(load(configured()), response_store=store))
        server = Server(app)
        await server.start()
        store.down = None
        asked = asyncio.create_task(Client(app).chat())
        await asyncio.wait_for(opening.wait(), 5)
        await server.stop()
        answer = await asyncio.wait_for(asked, 5)
        assert (answer.status, answer.cache) == (200, None)
        assert not app.cache.lifecycle.is_open
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


def test_a_plugin_that_breaks_the_protocol_stops_the_start() -> None:
    async def main() -> None:
        app, _ = flaky(PluginError("tests: no such power"))
        assert (await Server(app).start())["message"] == "semcache: tests: no such power"

    asyncio.run(main())


def test_a_cache_that_is_open_already_is_left_to_who_opened_it() -> None:
    async def main() -> None:
        app = cached(Upstream())
        async with app.cache:
            server = Server(app)
            await server.start()
            await server.stop()
            assert app.cache.lifecycle.is_open

    asyncio.run(main())


def test_a_bare_application_without_any_lifespan_is_cached_and_nothing_outlives_a_request() -> None:
    async def main() -> None:
        app = cached(Upstream())
        client = Client(app)
        before = asyncio.all_tasks()
        assert [(await client.chat()).cache for _ in range(3)] == ["MISS", "HIT", "HIT"]
        assert asyncio.all_tasks() == before
        await app.cache.__aexit__(None, None, None)

    asyncio.run(main())


@pytest.mark.parametrize("error", [StoreUnavailable("down"), OSError("no route to host")])
def test_without_a_lifespan_a_cache_that_cannot_open_fails_no_request(error: Exception) -> None:
    class Down(MemoryResponseStore):
        async def __aenter__(self) -> Self:
            raise error

    async def main() -> None:
        cache = SemanticCache(load(configured()), response_store=Down(Down.Options()))
        answers = [await Client(SemanticCacheASGI(Upstream(), cache=cache)).chat() for _ in range(2)]
        assert [(answer.status, answer.cache) for answer in answers] == [(200, None), (200, None)]

    asyncio.run(main())


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (StoreUnavailable("/srv/x.db: is read-only"), "StoreUnavailable: /srv/x.db: is read-only"),
        (OSError("hunter2"), f"OSError while opening the response store {__name__}.Flaky"),
    ],
)
def test_why_a_cache_cannot_open_is_told_or_where_a_library_said_it_whose_call_it_was(
    error: Exception, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        app, _ = flaky(error)
        await Client(app).chat()

    asyncio.run(main())
    assert caplog.messages == [f"the cache cannot be opened ({told}): requests pass uncached until it can be"]


def test_first_requests_that_come_together_open_one_cache() -> None:
    async def main() -> None:
        app = cached(Upstream())
        client = Client(app)
        answers = await asyncio.gather(*[client.chat(f"question number {number} of ten") for number in range(10)])
        assert [answer.cache for answer in answers] == ["MISS"] * 10
        assert (await client.chat("question number 3 of ten")).cache == "HIT"
        await app.cache.__aexit__(None, None, None)

    asyncio.run(main())


def test_test_client_inside_with() -> None:
    app = fastapi_app()
    with TestClient(cached(app)) as client:
        assert [asked(client) for _ in range(2)] == ["MISS", "HIT"]
    assert app.state.calls == 1


@pytest.mark.parametrize("store", ["memory", "sqlite"])
def test_test_client_without_with(store: str, tmp_path: Path) -> None:
    """Each request then runs in an event loop of its own."""
    tables: dict[str, Any] = {}
    if store == "sqlite":
        at = {"use": "sqlite", "path": str(tmp_path / "cache.db")}
        tables = {"vector_store": at, "response_store": at}
    app = fastapi_app()
    driver = cached(app, **tables)
    client = TestClient(driver)
    assert [asked(client) for _ in range(3)] == ["MISS", "HIT", "HIT"]
    assert app.state.calls == 1
    asyncio.run(driver.cache.__aexit__(None, None, None))


def test_a_mounted_application_is_cached() -> None:
    inner = fastapi_app()
    driver = cached(inner)
    outer = FastAPI()
    outer.mount("/sub", driver)
    with TestClient(outer) as client:
        for expected in ("MISS", "HIT"):
            response = client.post("/sub/v1/chat/completions", json=chat(), headers={"authorization": "Bearer alice"})
            assert response.json() == completion()
            assert response.headers["x-cache"] == expected
    asyncio.run(driver.cache.__aexit__(None, None, None))


def test_requests_of_another_loop_than_the_one_that_opened_the_cache_are_cached() -> None:
    app = cached(Upstream())
    opened, done = threading.Event(), threading.Event()

    async def owner() -> None:
        async with app.cache:
            opened.set()
            while not done.is_set():
                await asyncio.sleep(0.01)

    thread = threading.Thread(target=asyncio.run, args=(owner(),))
    thread.start()
    try:
        assert opened.wait(5)
        answers = [asyncio.run(Client(app).chat()) for _ in range(2)]
        assert [(answer.status, answer.cache) for answer in answers] == [(200, "MISS"), (200, "HIT")]
    finally:
        done.set()
        thread.join()


def test_a_cache_that_is_closed_while_a_request_is_on_its_way_to_it_fails_no_request() -> None:
    upstream = Upstream()
    cache = SemanticCache.from_config(configured())

    def identity(scope: Any) -> str:
        cache.sync.close()
        return "alice"

    async def main() -> None:
        client = Client(SemanticCacheASGI(upstream, cache=cache, identity=identity))
        for _ in range(2):
            answer = await asyncio.wait_for(client.chat(), 5)
            assert (answer.status, answer.cache) == (200, None)

    asyncio.run(main())
    assert len(upstream.calls) == 2


def test_test_client_raises_what_is_wrong_with_the_configuration() -> None:
    client = TestClient(cached(fastapi_app(), embedder={"use": "nonesuch"}))
    with pytest.raises(ConfigError, match="nonesuch"), client:
        pytest.fail("the application was started")


def test_what_an_operator_should_know_is_told_at_the_start(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delitem(decoders._DECODERS, b"br")

    async def main() -> None:
        http = {"identity_secret": "0123456789abcdef0123456789abcdef", "callers": "token-of-a"}
        server = Server(cached(fastapi_app(), http=http))
        assert (await server.start())["type"] == "lifespan.startup.complete"
        told = caplog.text
        await server.stop()
        assert "answers coded in br are not stored: pip install 'brotli>=1.2'" in told
        assert "http.callers has no effect here" in told

    asyncio.run(main())
