"""What the client gets when the upstream fails, and the upstream when the client leaves."""

from __future__ import annotations

import asyncio
import socket
import threading
from http.client import HTTPConnection, IncompleteRead
from urllib.parse import urlsplit

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from .raw_http import Listening, Serving, ask, connect, read_head, recording


def test_an_upstream_that_dies_in_a_chunked_answer_breaks_the_clients_connection(
    raw_upstream: Listening, forwarding: Serving
) -> None:
    def talk(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n")

    parts = urlsplit(forwarding(raw_upstream(talk)))
    client = HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    client.request("GET", "/")
    with pytest.raises(IncompleteRead):
        client.getresponse().read()
    client.close()


def test_an_upstream_that_dies_before_its_announced_length_breaks_the_clients_connection(
    raw_upstream: Listening, forwarding: Serving
) -> None:
    def talk(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")

    parts = urlsplit(forwarding(raw_upstream(talk)))
    client = HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    client.request("GET", "/")
    with pytest.raises(IncompleteRead):
        client.getresponse().read()
    client.close()


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n"])
def test_a_client_that_leaves_takes_its_upstream_request_with_it(
    raw_upstream: Listening, forwarding: Serving, head: bytes
) -> None:
    asked, gone = threading.Event(), threading.Event()

    def talk(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(head)
        asked.set()
        while connection.recv(65536):
            pass
        gone.set()

    with connect(forwarding(raw_upstream(talk))) as client:
        client.sendall(b"POST / HTTP/1.1\r\nhost: p\r\ncontent-length: 2\r\n\r\n{}")
        assert asked.wait(10)
        if head:
            client.recv(1)
    assert gone.wait(10)


def test_a_client_that_leaves_in_its_own_upload_ends_it_upstream(raw_upstream: Listening, forwarding: Serving) -> None:
    begun, gone = threading.Event(), threading.Event()

    def talk(connection: socket.socket) -> None:
        read_head(connection)
        begun.set()
        while connection.recv(65536):
            pass
        gone.set()

    with connect(forwarding(raw_upstream(talk))) as client:
        client.sendall(b"POST / HTTP/1.1\r\nhost: p\r\ncontent-length: 100\r\n\r\n{")
        assert begun.wait(10)
    assert gone.wait(10)


def test_no_upstream_is_502_in_the_form_sdks_read(forwarding: Serving) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nowhere = f"http://127.0.0.1:{closed.getsockname()[1]}"
    got = ask(
        forwarding(nowhere), b"GET / HTTP/1.1\r\nhost: p\r\nauthorization: Bearer s3cret\r\nconnection: close\r\n\r\n"
    )
    assert got.startswith(b"HTTP/1.1 502")
    assert b'"code":"upstream_unreachable"' in got
    assert b"s3cret" not in got
    assert b"cache-status" not in got.lower()


def test_a_failing_upstream_is_told_to_the_operator_by_its_origin_alone(
    forwarding: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nowhere = f"http://127.0.0.1:{closed.getsockname()[1]}"
    ask(forwarding(nowhere), b"GET /s3cret?q=s3cret HTTP/1.1\r\nhost: p\r\nconnection: close\r\n\r\n")
    told = [record.getMessage() for record in caplog.records if record.name == "semcache.proxy"]
    assert told == [f"{nowhere} refused the connection: is it running, and is its port right?"]


def test_an_upstream_that_talks_nonsense_is_502(raw_upstream: Listening, forwarding: Serving) -> None:
    got = ask(
        forwarding(raw_upstream(recording([], b"220 smtp ready\r\n\r\n"))),
        b"GET / HTTP/1.1\r\nhost: p\r\nconnection: close\r\n\r\n",
    )
    assert got.startswith(b"HTTP/1.1 502")


def test_a_silent_upstream_is_504(raw_upstream: Listening, forwarding: Serving) -> None:
    def talk(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.recv(65536)

    got = ask(
        forwarding(raw_upstream(talk), read_timeout=0.1), b"GET / HTTP/1.1\r\nhost: p\r\nconnection: close\r\n\r\n"
    )
    assert got.startswith(b"HTTP/1.1 504")
    assert b'"code":"upstream_timeout"' in got


def test_an_upstream_with_no_free_connection_is_503(raw_upstream: Listening, forwarding: Serving) -> None:
    asked = threading.Event()

    def talk(connection: socket.socket) -> None:
        connection.recv(65536)
        asked.set()
        connection.recv(65536)

    proxy = forwarding(raw_upstream(talk), max_connections=1, pool_timeout=0.1)
    request = b"GET / HTTP/1.1\r\nhost: p\r\nconnection: close\r\n\r\n"
    with connect(proxy) as first:
        first.sendall(request)
        assert asked.wait(10)
        assert ask(proxy, request).startswith(b"HTTP/1.1 503")


def test_the_answer_to_an_unfinished_upload_is_passed_on(raw_upstream: Listening, forwarding: Serving) -> None:
    def talk(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\nconnection: close\r\n\r\nbig")
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass

    with connect(forwarding(raw_upstream(talk))) as client:
        client.sendall(b"POST / HTTP/1.1\r\nhost: p\r\ncontent-length: 3000000\r\n\r\n" + b"x" * 3_000_000)
        assert read_head(client).startswith(b"HTTP/1.1 413")


def test_a_slow_reader_holds_the_upstream_back(served: Serving, forwarding: Serving) -> None:
    sent = 0

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal sent
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while sent < 200_000_000:
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
            sent += 65536
            await asyncio.sleep(0)

    app: ASGIApp = endless
    with connect(forwarding(served(app))) as client:
        client.sendall(b"GET / HTTP/1.1\r\nhost: p\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 200")
        settled = -1
        while settled != sent:
            settled = sent
            threading.Event().wait(0.3)
    assert sent < 100_000_000
