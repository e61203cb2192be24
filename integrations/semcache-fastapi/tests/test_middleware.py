"""The middleware in FastAPI and Starlette applications, and its life cycle in every way an application is run."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from semcache_core.errors import ConfigError
from semcache_core.library.cache import SemanticCache
from semcache_fastapi import SemanticCacheMiddleware

ALICE = {"authorization": "Bearer alice"}
IN_MEMORY: dict[str, Any] = {
    "semcache": {"match": "exact"},
    "vector_store": {"use": "memory"},
    "response_store": {"use": "memory"},
}


class Counting:
    """A handler that counts its calls and echoes the question."""

    def __init__(self) -> None:
        self.calls = 0

    async def __call__(self, request: Any) -> JSONResponse:
        self.calls += 1
        return JSONResponse({"answer": self.calls, "to": (await request.json())["question"]})


def starlette_app(handler: Counting, **options: Any) -> Starlette:
    options.setdefault("config", IN_MEMORY)
    return Starlette(
        routes=[Route("/ask", handler.__call__, methods=["POST"])],
        middleware=[Middleware(SemanticCacheMiddleware, paths=["/ask"], **options)],
    )


def ask(client: Any, question: str = "How do I reset my password?", **headers: str) -> tuple[int, str]:
    answer = client.post("/ask", json={"question": question}, headers=headers or ALICE)
    return answer.json()["answer"], answer.headers.get("x-cache", "none")


@contextlib.contextmanager
def running(app: ASGIApp, **options: Any) -> Iterator[str]:
    """Serve under a real uvicorn on a free loopback port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", **options))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        deadline = time.monotonic() + 30
        while not server.started:
            assert thread.is_alive()
            assert time.monotonic() < deadline
            time.sleep(0.005)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join(15)


# -- what it does -----------------------------------------------------------------------------------------------------


def test_a_repeated_request_is_answered_without_the_application() -> None:
    handler = Counting()
    with TestClient(starlette_app(handler)) as client:
        assert ask(client) == (1, "MISS")
        assert ask(client) == (1, "HIT")
    assert handler.calls == 1


def test_at_the_first_request_the_log_says_which_longer_paths_are_claimed(caplog: pytest.LogCaptureFixture) -> None:
    with TestClient(starlette_app(Counting())) as client:
        ask(client)
        ask(client)
    assert [record.getMessage() for record in caplog.records if "paths=" in record.getMessage()] == [
        "paths= names endings: whatever ends in '/ask' is looked up, also a longer path such as '/api/ask'"
    ]


def test_the_own_pages_come_with_one_argument() -> None:
    with TestClient(
        starlette_app(Counting(), pages=True), base_url="http://127.0.0.1", client=("127.0.0.1", 1)
    ) as client:
        ask(client)
        assert client.get("/.semcache/health").json() == {"status": "ok", "cache": "open"}
        assert client.get("/.semcache/ready").json()["response_store"] == "ok"
        assert client.get("/.semcache/stats").json()["misses"] == 1
    with TestClient(starlette_app(Counting())) as client:
        assert client.get("/.semcache/health").status_code == 404


def test_it_serves_a_fastapi_application_added_in_one_line() -> None:
    app = FastAPI()
    calls = []

    @app.post("/ask")
    async def answer(question: dict[str, str]) -> dict[str, int]:
        calls.append(question)
        return {"answer": len(calls)}

    app.add_middleware(SemanticCacheMiddleware, config=IN_MEMORY, paths=["/ask"])
    with TestClient(app) as client:
        assert [ask(client), ask(client)] == [(1, "MISS"), (1, "HIT")]


def test_the_same_question_in_other_words_is_answered(tmp_path: Path) -> None:
    handler = Counting()
    config = {"vector_store": {"use": "memory"}, "response_store": {"use": "memory"}, "embedder": {"use": "onnx"}}
    with TestClient(starlette_app(handler, config=config)) as client:
        ask(client)
        assert ask(client, "I need to reset my password, how do I do that?") == (1, "HIT")


def test_two_callers_never_share_an_answer() -> None:
    with TestClient(starlette_app(Counting())) as client:
        assert ask(client)[0] == 1
        assert ask(client, authorization="Bearer bob") == (2, "MISS")


def test_a_caller_without_identity_bypasses_the_cache() -> None:
    handler = Counting()
    with TestClient(starlette_app(handler)) as client:
        answers = [client.post("/ask", json={"question": "What is it?"}) for _ in range(2)]
    assert [answer.headers["cache-status"] for answer in answers] == ["semcache; fwd=bypass; detail=no-identity"] * 2
    assert handler.calls == 2


def test_the_application_may_name_the_caller() -> None:
    handler = Counting()
    app = Starlette(
        routes=[Route("/ask", handler.__call__, methods=["POST"])],
        middleware=[
            Middleware(
                SemanticCacheMiddleware,
                config=IN_MEMORY,
                paths=["/ask"],
                identity=lambda request: request.headers["who"],
            ),
        ],
    )
    with TestClient(app) as client:
        assert ask(client, who="alice", authorization="Bearer 1") == (1, "MISS")
        assert ask(client, who="alice", authorization="Bearer 2") == (1, "HIT")
        assert ask(client, who="bob", authorization="Bearer 1") == (2, "MISS")


def test_a_caller_the_application_does_not_know_bypasses_the_cache() -> None:
    with TestClient(starlette_app(Counting(), identity=lambda request: None)) as client:
        assert ask(client)[1] == "BYPASS"
        assert ask(client) == (2, "BYPASS")


def test_an_identity_that_fails_bypasses_the_cache() -> None:
    def broken(request: Request) -> str:
        raise KeyError("user")

    with TestClient(starlette_app(Counting(), identity=broken)) as client:
        assert [ask(client)[0], ask(client)[0]] == [1, 2]


def test_what_no_path_names_is_left_untouched() -> None:
    app = starlette_app(Counting())
    app.router.routes.append(Route("/other", lambda request: JSONResponse({}), methods=["POST"]))
    with TestClient(app) as client:
        assert "x-cache" not in client.post("/other", json={"question": "?"}, headers=ALICE).headers


def test_methods_say_which_requests_are_cached() -> None:
    handler = Counting()
    app = Starlette(
        routes=[Route("/ask", handler.__call__, methods=["POST", "PUT"])],
        middleware=[Middleware(SemanticCacheMiddleware, config=IN_MEMORY, paths=["/ask"], methods=["put"])],
    )
    with TestClient(app) as client:
        put = [client.put("/ask", json={"question": "What is it?"}, headers=ALICE) for _ in range(2)]
        assert put[1].headers["x-cache"] == "HIT"
        assert ask(client) == (2, "none")


def test_a_stream_of_the_application_arrives_piece_by_piece() -> None:
    received = threading.Semaphore(0)

    async def pieces() -> AsyncIterator[bytes]:
        for word in (b'{"answer":', b" 1}"):
            yield word
            await asyncio.to_thread(received.acquire, timeout=10)

    async def answer(request: Any) -> StreamingResponse:
        return StreamingResponse(pieces(), media_type="application/json")

    app = Starlette(
        routes=[Route("/ask", answer, methods=["POST"])],
        middleware=[Middleware(SemanticCacheMiddleware, config=IN_MEMORY, paths=["/ask"])],
    )
    got = []
    with (
        running(app) as url,
        httpx.stream("POST", url + "/ask", json={"question": "Is it?"}, headers=ALICE) as response,
    ):
        for piece in response.iter_raw():
            got.append(piece)
            received.release()
    assert got == [b'{"answer":', b" 1}"]


def test_a_cache_and_a_config_together_are_refused() -> None:
    assert "not both" in refusal(cache=SemanticCache.from_config(IN_MEMORY), config=IN_MEMORY)


def test_a_path_that_is_no_list_is_refused() -> None:
    assert "are lists" in refusal(paths="/ask")


def test_a_path_without_its_slash_is_refused() -> None:
    assert "paths: 'ask' does not begin with '/'; write '/ask'" in refusal(paths=["ask"])


def test_an_identity_that_is_no_function_is_refused() -> None:
    assert "identity is a function of the request" in refusal(identity=["x-user-id"])


def test_a_config_of_another_type_is_refused() -> None:
    assert "int" in refusal(config=7)


def refusal(**options: Any) -> str:
    """Return what a server is told that starts an application with such a middleware."""
    sent: list[Any] = []

    async def scenario() -> None:
        app = Starlette()
        app.add_middleware(SemanticCacheMiddleware, **{"config": IN_MEMORY, **options})

        async def receive() -> dict[str, str]:
            return {"type": "lifespan.startup"}

        async def send(message: Any) -> None:
            sent.append(message)

        await app({"type": "lifespan"}, receive, send)

    asyncio.run(scenario())
    (message,) = sent
    assert message["type"] == "lifespan.startup.failed"
    return str(message["message"])


# -- life cycle -------------------------------------------------------------------------------------------------------


def test_under_a_server_the_cache_lives_as_long_as_the_server() -> None:
    cache = SemanticCache.from_config(IN_MEMORY)
    with running(starlette_app(Counting(), cache=cache, config=None)) as url, httpx.Client(base_url=url) as client:
        assert cache.lifecycle.is_open
        assert [ask(client), ask(client)] == [(1, "MISS"), (1, "HIT")]
    assert not cache.lifecycle.is_open


def test_a_wrong_configuration_stops_the_start_of_the_server(capsys: pytest.CaptureFixture[str]) -> None:
    app = starlette_app(Counting(), config={"semcache": {"preset": "save"}})
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
        with contextlib.suppress(SystemExit):  # Some versions of uvicorn exit, others return.
            server.run(sockets=[listener])
    assert not server.started
    assert "semcache: configuration: semcache.preset: expected" in capsys.readouterr().err


def test_where_nobody_starts_the_application_a_wrong_configuration_is_told_at_a_request(tmp_path: Path) -> None:
    client = TestClient(starlette_app(Counting(), config=tmp_path / "missing.toml"))
    with pytest.raises(ConfigError, match="there is no such file"):
        ask(client)


def test_without_lifespan_a_server_is_served_all_the_same() -> None:
    with running(starlette_app(Counting()), lifespan="off") as url, httpx.Client(base_url=url) as client:
        assert [ask(client), ask(client)] == [(1, "MISS"), (1, "HIT")]


def test_a_bare_asgi_application_that_refuses_lifespan_is_served() -> None:
    calls = 0

    async def bare(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal calls
        assert scope["type"] == "http"
        calls += 1
        await JSONResponse({"answer": calls})(scope, receive, send)

    cache = SemanticCache.from_config(IN_MEMORY)
    with (
        running(SemanticCacheMiddleware(bare, cache=cache, paths=["/ask"])) as url,
        httpx.Client(base_url=url) as client,
    ):
        assert cache.lifecycle.is_open
        assert [ask(client), ask(client)] == [(1, "MISS"), (1, "HIT")]
    assert not cache.lifecycle.is_open


def test_a_mounted_application_is_served_without_a_start_up_of_its_own() -> None:
    inner = starlette_app(Counting())
    with running(Starlette(routes=[Mount("/inner", inner)])) as url, httpx.Client(base_url=f"{url}/inner") as client:
        assert [ask(client), ask(client)] == [(1, "MISS"), (1, "HIT")]


def test_the_test_client_without_with_is_served() -> None:
    # Every request then has an event loop of its own.
    client = TestClient(starlette_app(Counting()))
    assert [ask(client), ask(client)] == [(1, "MISS"), (1, "HIT")]


def test_the_test_client_without_with_keeps_answers_in_a_file(tmp_path: Path) -> None:
    store = {"use": "sqlite", "path": str(tmp_path / "cache.db")}
    config = {"semcache": {"match": "exact"}, "vector_store": store, "response_store": store}
    client = TestClient(starlette_app(Counting(), config=config))
    assert [ask(client), ask(client)] == [(1, "MISS"), (1, "HIT")]


def test_a_cache_that_is_open_already_is_left_open() -> None:
    cache = SemanticCache.from_config(IN_MEMORY)
    app = starlette_app(Counting(), cache=cache, config=None)

    async def run() -> list[str]:
        async with cache:
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                answers = [await client.post("/ask", json={"question": "Is it?"}, headers=ALICE) for _ in range(2)]
            assert cache.lifecycle.is_open
            return [answer.headers["x-cache"] for answer in answers]

    assert asyncio.run(run()) == ["MISS", "HIT"]


@pytest.mark.parametrize("path", ["/ask", "/other"])
def test_no_field_for_the_cache_reaches_a_route_whether_it_is_cached_or_not(path: str) -> None:
    seen: list[str] = []

    async def endpoint(request: Any) -> JSONResponse:
        seen.extend(request.headers)
        return JSONResponse({})

    routes = [Route(path, endpoint, methods=["POST"])]
    wrapped = Middleware(SemanticCacheMiddleware, paths=["/ask"], config=IN_MEMORY)
    with TestClient(Starlette(routes=routes, middleware=[wrapped])) as client:
        client.post(path, json={}, headers=ALICE | {"semcache-debug": "t0ken", "Semcache-Control": "mode=exact"})
    assert "authorization" in seen
    assert not [name for name in seen if name.startswith("semcache")]
