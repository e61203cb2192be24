"""The driver under a real server: without a lifespan, and with clients that hang up."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from semcache_core import SemanticCache
from semcache_core.http.asgi import SemanticCacheASGI

from .asgi_client import chat, completion, configured, stream

HEAD = {"authorization": "Bearer alice", "content-type": "application/json", "connection": "close"}
PATH = "/v1/chat/completions"


class Streaming:
    """A FastAPI application whose stream goes on until it is told to end, and that notes when it is cancelled."""

    def __init__(self) -> None:
        self.app = FastAPI()
        self.calls = 0
        self.cancelled = threading.Event()
        self.go_on = threading.Event()

        @self.app.post(PATH)
        async def complete(body: dict[str, Any]) -> Any:
            self.calls += 1
            if body.get("stream"):
                return StreamingResponse(self.words(), media_type="text/event-stream")
            return completion()

    async def words(self) -> Any:
        pieces = stream("Paris", " is", " big")
        yield pieces[0]
        try:
            while not self.go_on.is_set():
                await asyncio.sleep(0.005)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        for piece in pieces[1:]:
            yield piece


@contextmanager
def running(app: Any, *, lifespan: Any = "on") -> Iterator[int]:
    """Run an application under uvicorn in a thread, and give its port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        driver = SemanticCacheASGI(app, cache=SemanticCache.from_config(configured()))
        server = uvicorn.Server(uvicorn.Config(driver, lifespan=lifespan, log_level="error"))

        async def serve() -> None:
            await server.serve(sockets=[listener])
            if driver.cache.lifecycle.is_open:
                await driver.cache.__aexit__(None, None, None)

        thread = threading.Thread(target=asyncio.run, args=(serve(),))
        thread.start()
        try:
            deadline = time.monotonic() + 10
            while not server.started:
                assert thread.is_alive()
                assert time.monotonic() < deadline
                time.sleep(0.005)
            yield port
        finally:
            server.should_exit = True
            thread.join(10)


def ask(port: int, **members: Any) -> http.client.HTTPResponse:
    """Send the chat question and return the response, its body unread."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("POST", PATH, json.dumps(chat(**members)), HEAD)
    return connection.getresponse()


def whole(port: int, **members: Any) -> tuple[str | None, bytes]:
    """Return X-Cache and the body of the answer."""
    with ask(port, **members) as response:
        return response.headers["x-cache"], response.read()


@pytest.mark.parametrize("lifespan", ["on", "off"])
def test_with_and_without_a_lifespan(lifespan: str) -> None:
    app = Streaming()
    with running(app.app, lifespan=lifespan) as port:
        answers = [whole(port) for _ in range(3)]
    assert [cache for cache, _ in answers] == ["MISS", "HIT", "HIT"]
    assert len({body for _, body in answers}) == 1
    assert app.calls == 1


def test_a_client_that_hangs_up_mid_stream_cancels_the_handler_and_leaves_no_entry() -> None:
    app = Streaming()
    with running(app.app) as port:
        response = ask(port, stream=True)
        assert response.read1().startswith(b"data: ")
        response.close()
        assert app.cancelled.wait(5)
        app.go_on.set()
        assert whole(port, stream=True)[0] == "MISS"
        assert whole(port, stream=True)[0] == "HIT"


def test_a_leader_that_hangs_up_goes_on_for_who_waits() -> None:
    app = Streaming()
    with running(app.app) as port:
        leader = ask(port, stream=True)
        leader.read1()
        waiter = ask(port, stream=True)
        waiter.read1()
        leader.close()
        assert not app.cancelled.wait(0.2)
        app.go_on.set()
        assert waiter.read().endswith(b"data: [DONE]\n\n")
        assert app.calls == 1
        waiter.close()


def test_the_server_goes_on_after_a_stream_whose_receive_blocks() -> None:
    """The trap of a replayed ``receive`` that never blocks: any streaming answer would freeze the server."""
    app = Streaming()
    app.go_on.set()
    with running(app.app) as port:
        for number in range(3):
            assert whole(port, text=f"stream number {number} please", stream=True)[1].endswith(b"data: [DONE]\n\n")
        assert whole(port)[0] == "MISS"


class Large:
    """An application whose answer is larger than every buffer on the way; its body comes once it may go on."""

    size = 24 * 1024 * 1024

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.calls = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise RuntimeError("this application knows http only")
        self.calls += 1
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        while not self.go_on.is_set():
            await asyncio.sleep(0.005)
        for _ in range(self.size // 65_536):
            await send({"type": "http.response.body", "body": b"x" * 65_536, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


@pytest.mark.parametrize("stuck", [0, 2])
def test_a_client_that_does_not_read_holds_up_nobody_who_asked_the_same(stuck: int) -> None:
    app = Large()
    with running(app) as port, ThreadPoolExecutor() as pool:
        responses = [ask(port) for _ in range(3)]
        reading = [pool.submit(response.read) for at, response in enumerate(responses) if at != stuck]
        app.go_on.set()
        assert [len(read.result(timeout=30)) for read in reading] == [app.size, app.size]
        assert app.calls == 1
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            responses[stuck].read()
        for response in responses:
            response.close()
