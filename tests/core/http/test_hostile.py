"""One caller's hostile bodies hold up nobody else: real servers, ASGI and WSGI."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import pytest
import uvicorn
import waitress.server
import waitress.wasyncore

from semcache_core import SemanticCache
from semcache_core.http.asgi import SemanticCacheASGI
from semcache_core.http.wsgi import SemanticCacheWSGI

from .asgi_client import completion, configured

zstandard = pytest.importorskip("zstandard")

PATH = "/v1/chat/completions"
ANSWER = json.dumps(completion()).encode()


def chat(text: str, **members: Any) -> bytes:
    body = {"model": "m", "messages": [{"role": "user", "content": text}], **members}
    return json.dumps(body, ensure_ascii=False).encode()


BRACKETS = b'{"model":"m","messages":[{"role":"user","content":"a question"}],"x":[%s[]]}'
MARKS = "\u0301" * 30_000 + "\u0316" * 30_000
ZSTD_BOMB = b"\x28\xb5\x2f\xfd\x00\x38" + b"\x02\x00\x10\x00" * 400_000

BODIES = {
    "empty gzip members in gzip": ("gzip, gzip", gzip.compress(gzip.compress(b"") * 200_000)),
    "zstd blocks in gzip": ("zstd, gzip", gzip.compress(ZSTD_BOMB)),
    "combining marks": (None, chat("what is a" + MARKS)),
    "combining marks in gzip": ("gzip", gzip.compress(chat("what is a" + MARKS))),
    "4 MB of brackets": (None, BRACKETS % ((b"[" * 60 + b"]" * 60 + b",") * 33_000)),
}
"""The Content-Encoding and the bytes of requests that would hold up everybody for seconds."""


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        raise RuntimeError("this application knows http only")
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": ANSWER})


def wsgi(environ: Any, start_response: Any) -> Any:
    environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [ANSWER]


@dataclass
class Server:
    port: int

    def ask(self, body: bytes, *, caller: str, coding: str | None = None) -> str | None:
        """Return the Cache-Status of a request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        head = {"authorization": f"Bearer {caller}", "content-type": "application/json", "connection": "close"}
        connection.request("POST", PATH, body, head | ({"content-encoding": coding} if coding else {}))
        with connection.getresponse() as response:
            assert response.read() == ANSWER
            assert response.status == 200
            return response.headers["cache-status"]

    def longest_hit_while(self, running: threading.Event, body: bytes) -> float:
        """Return the seconds of the slowest exact hit of Alice until ``running`` is cleared."""
        slowest = 0.0
        while running.is_set():
            began = time.perf_counter()
            assert "hit" in (self.ask(body, caller="alice") or "")
            slowest = max(slowest, time.perf_counter() - began)
        return slowest


def cache() -> SemanticCache:
    return SemanticCache.from_config(configured(semcache={"match": "exact"}))


@contextmanager
def under_uvicorn() -> Iterator[Server]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(
            uvicorn.Config(SemanticCacheASGI(asgi, cache=cache()), lifespan="on", log_level="error")
        )
        thread = threading.Thread(target=asyncio.run, args=(server.serve(sockets=[listener]),))
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive()
                time.sleep(0.005)
            yield Server(listener.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join(20)


@contextmanager
def under_waitress() -> Iterator[Server]:
    opened = cache()
    server = waitress.server.create_server(
        SemanticCacheWSGI(wsgi, cache=opened), host="127.0.0.1", port=0, threads=48, max_request_body_size=1 << 30
    )

    def serve() -> None:
        with suppress(OSError):  # It is closed while it waits for the next request.
            server.run()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield Server(server.effective_port)
    finally:
        server.close()
        server.task_dispatcher.shutdown()
        thread.join(20)
        waitress.wasyncore.close_all(server._map, ignore_all=True)
        opened.sync.close()


@pytest.fixture(scope="module", params=[under_uvicorn, under_waitress], ids=["asgi", "wsgi"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with request.param() as running:
        yield running


@pytest.mark.parametrize("case", BODIES)
def test_an_exact_hit_does_not_wait_for_a_hostile_body(case: str, server: Server) -> None:
    coding, body = BODIES[case]
    asked = chat("what is the refund window")
    server.ask(asked, caller="alice")
    running = threading.Event()
    running.set()
    with ThreadPoolExecutor() as pool:
        longest = pool.submit(server.longest_hit_while, running, asked)
        for number in range(3):
            server.ask(body, caller=f"mallory-{number}", coding=coding)
        running.clear()
        assert longest.result() < 1.0
