"""Half an answer from a real socket: never stored, and never whole to another caller who waits for it."""

from __future__ import annotations

import gzip
import json
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import sleep
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp

from semcache_proxy import create_app

from .raw_http import Listening, read_head

PATH = "/v1/chat/completions"
BODY = {"model": "m", "messages": [{"role": "user", "content": "How do I reset my password?"}]}
EXACT: dict[str, Any] = {
    "semcache": {"match": "exact"},
    "vector_store": {"use": "memory"},
    "response_store": {"use": "memory"},
}
MESSAGE = {"role": "assistant", "content": "Open Settings, then choose Security."}
WHOLE = json.dumps({"id": "1", "choices": [{"index": 0, "message": MESSAGE, "finish_reason": "stop"}]}).encode()
HALF = WHOLE[: len(WHOLE) // 2]
CHUNK = {"id": "1", "choices": [{"index": 0, "delta": MESSAGE, "finish_reason": None}]}
EVENT = b"data: " + json.dumps(CHUNK).encode() + b"\n\n"
JSON = b"content-type: application/json\r\n"
STREAM = b"content-type: text/event-stream\r\n"


def answer(*fields: bytes, body: bytes, version: bytes = b"1.1") -> bytes:
    return b"HTTP/" + version + b" 200 OK\r\n" + b"".join(fields) + b"\r\n" + body


CHUNKED = b"transfer-encoding: chunked\r\n"
CLOSE = b"connection: close\r\n"
HALVES = {
    "chunks without an end": answer(JSON, CHUNKED, body=b"%x\r\n%b\r\n" % (len(HALF), HALF)),
    "shorter than announced": answer(JSON, b"content-length: %d\r\n" % len(WHOLE), body=HALF),
    "ended by the connection": answer(JSON, CLOSE, body=HALF),
    "HTTP/1.0": answer(JSON, body=HALF, version=b"1.0"),
    "gzip": answer(JSON, CLOSE, b"content-encoding: gzip\r\n", body=gzip.compress(WHOLE)[:-9]),
    "a stream in its middle": answer(STREAM, CLOSE, body=EVENT),
    "a stream inside an event": answer(STREAM, CLOSE, body=EVENT + EVENT[:20]),
}


@pytest.mark.parametrize("half", HALVES.values(), ids=HALVES)
def test_half_an_answer_is_not_stored_and_no_whole_answer_to_who_waits(
    half: bytes, raw_upstream: Listening, served: Callable[[ASGIApp], str]
) -> None:
    gate, calls = threading.Event(), []

    def talk(connection: socket.socket) -> None:
        read_head(connection)
        calls.append(1)
        gate.wait(10)
        connection.sendall(half)

    url = served(create_app(raw_upstream(talk), config=EXACT, loopback=True)) + PATH

    def ask() -> httpx.Response | httpx.RemoteProtocolError:
        try:
            return httpx.post(url, json=BODY, headers={"authorization": "Bearer alice"}, timeout=20)
        except httpx.RemoteProtocolError as error:
            return error

    with ThreadPoolExecutor(2) as pool:
        leading = pool.submit(ask)
        while not calls:
            sleep(0.01)
        waiting = pool.submit(ask)
        sleep(0.2)
        gate.set()
        leading.result()
        assert isinstance(waiting.result(), httpx.RemoteProtocolError) or len(calls) == 2
    asked = len(calls)
    ask()
    assert len(calls) == asked + 1
