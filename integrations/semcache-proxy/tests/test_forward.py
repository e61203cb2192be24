"""What a client and an upstream see of the forwarder, on real sockets."""

from __future__ import annotations

import gzip
import socket
import threading
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from semcache_core.errors import ConfigError
from semcache_proxy.forward import Forward
from semcache_proxy.headers import Via, for_upstream
from semcache_proxy.upstream import ForwardOptions, Upstream

from .raw_http import OK, Listening, Serving, ask, connect, fields, read_head, recording


def test_the_target_is_forwarded_byte_for_byte(raw_upstream: Listening, forwarding: Serving) -> None:
    seen: list[bytes] = []
    proxy = forwarding(raw_upstream(recording(seen)) + "/base")
    target = b"/v1/a%2Fb/%E4%BD%A0//x/../y;p=1?q=a%20b&r=%2f+&&z"
    ask(proxy, b"GET " + target + b" HTTP/1.1\r\nhost: p\r\nconnection: close\r\n\r\n")
    assert seen[0].split(b" ")[1] == b"/base" + target


def test_the_host_is_the_upstreams_and_the_way_is_told(raw_upstream: Listening, forwarding: Serving) -> None:
    seen: list[bytes] = []
    upstream = raw_upstream(recording(seen))
    ask(
        forwarding(upstream),
        b"GET / HTTP/1.1\r\nhost: proxy.example\r\nvia: 1.0 edge\r\nx-forwarded-for: 10.1.2.3\r\n"
        b"x-forwarded-proto: https\r\nconnection: close\r\n\r\n",
    )
    got = fields(seen[0])
    assert got[0] == (b"host", urlsplit(upstream).netloc.encode())
    assert (b"via", b"1.0 edge, " + Via(upstream).entry) in got
    assert (b"x-forwarded-for", b"10.1.2.3, 127.0.0.1") in got
    assert (b"x-forwarded-proto", b"https") in got
    assert (b"x-forwarded-host", b"proxy.example") in got


def test_fields_of_one_connection_stay_on_it(raw_upstream: Listening, forwarding: Serving) -> None:
    seen: list[bytes] = []
    answer = (
        b"HTTP/1.1 200 OK\r\nconnection: x-hop\r\nx-hop: 1\r\nkeep-alive: timeout=5\r\nproxy-connection: keep-alive\r\n"
        b"proxy-authenticate: Basic\r\nproxy-authentication-info: x\r\nupgrade: h2c\r\n"
        b"trailer: x-sum\r\nx-end: 1\r\ncontent-length: 2\r\n\r\nok"
    )
    got = ask(
        forwarding(raw_upstream(recording(seen, answer))),
        b"GET / HTTP/1.1\r\nhost: p\r\nconnection: close, X-Private\r\nx-private: 1\r\nte: trailers\r\n"
        b"proxy-authorization: Basic s3cret\r\nproxy-connection: close\r\nhttp2-settings: x\r\n"
        b"keep-alive: 5\r\nexpect: 100-continue\r\nx-public: 1\r\n\r\n",
    )
    up = {name for name, _ in fields(seen[0])}
    down = {name for name, _ in fields(got.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n"))}
    assert up == {b"host", b"x-public", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"via"}
    assert down - {b"connection"} == {b"x-end", b"content-length"}


def test_nothing_is_added_that_the_client_did_not_send(raw_upstream: Listening, forwarding: Serving) -> None:
    seen: list[bytes] = []
    ask(
        forwarding(raw_upstream(recording(seen)), forwarded_headers=False),
        b"GET / HTTP/1.1\r\nhost: p\r\nconnection: close\r\n\r\n",
    )
    assert {name for name, _ in fields(seen[0])} == {b"host", b"via"}


def test_an_injected_header_replaces_the_clients(raw_upstream: Listening, forwarding: Serving) -> None:
    seen: list[bytes] = []
    proxy = forwarding(raw_upstream(recording(seen)), injected=((b"authorization", b"Bearer ours"),))
    ask(proxy, b"GET / HTTP/1.1\r\nhost: p\r\nauthorization: Bearer theirs\r\nconnection: close\r\n\r\n")
    assert [value for name, value in fields(seen[0]) if name == b"authorization"] == [b"Bearer ours"]


def test_of_a_length_and_chunks_only_the_chunks_are_forwarded() -> None:
    both = ((b"content-length", b"5"), (b"transfer-encoding", b"chunked"))
    sent = for_upstream(both, host=b"llm.example", forwarded=(), injected=())
    assert sent == [(b"host", b"llm.example"), (b"transfer-encoding", b"chunked"), (b"via", b"1.1 semcache")]


@pytest.mark.parametrize("length", [b"2", b"9", b"999"])
def test_an_answer_with_a_length_and_chunks_is_read_by_its_chunks(
    length: bytes, raw_upstream: Listening, forwarding: Serving
) -> None:
    answer = (
        b"HTTP/1.1 200 OK\r\ncontent-length: "
        + length
        + b"\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    )
    got = ask(
        forwarding(raw_upstream(recording([], answer))), b"GET / HTTP/1.1\r\nhost: p\r\nconnection: close\r\n\r\n"
    )
    assert b"content-length" not in got
    assert got.endswith(b"5\r\nhello\r\n0\r\n\r\n")


def test_duplicate_set_cookie_fields_all_arrive(raw_upstream: Listening, forwarding: Serving) -> None:
    answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2; Path=/\r\ncontent-length: 0\r\n\r\n"
    got = ask(
        forwarding(raw_upstream(recording([], answer))), b"GET / HTTP/1.1\r\nhost: p\r\nconnection: close\r\n\r\n"
    )
    assert [value for name, value in fields(got) if name == b"set-cookie"] == [b"a=1", b"b=2; Path=/"]


def test_a_compressed_answer_passes_as_it_is(raw_upstream: Listening, forwarding: Serving) -> None:
    packed = gzip.compress(b"hello " * 100)
    head = f"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {len(packed)}\r\n\r\n".encode()
    seen: list[bytes] = []
    got = ask(
        forwarding(raw_upstream(recording(seen, head + packed))),
        b"GET / HTTP/1.1\r\nhost: p\r\naccept-encoding: gzip;q=0.5\r\nconnection: close\r\n\r\n",
    )
    assert got.partition(b"\r\n\r\n")[2] == packed
    assert (b"content-encoding", b"gzip") in fields(got)
    assert (b"accept-encoding", b"gzip;q=0.5") in fields(seen[0])


def test_a_redirect_is_the_clients_to_follow(raw_upstream: Listening, forwarding: Serving) -> None:
    answer = b"HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n"
    seen: list[bytes] = []
    got = ask(
        forwarding(raw_upstream(recording(seen, answer))), b"GET / HTTP/1.1\r\nhost: p\r\nconnection: close\r\n\r\n"
    )
    assert got.startswith(b"HTTP/1.1 302")
    assert len(seen) == 1


def test_a_proxy_in_the_environment_is_not_used(
    raw_upstream: Listening, forwarding: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    got = ask(forwarding(raw_upstream(recording([]))), b"GET / HTTP/1.1\r\nhost: p\r\nconnection: close\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 200")


def test_a_proxy_in_the_environment_is_used_where_that_is_asked_for(
    raw_upstream: Listening, forwarding: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bytes] = []
    monkeypatch.setenv("http_proxy", raw_upstream(recording(seen)))
    monkeypatch.setenv("no_proxy", "")
    proxy = forwarding("http://llm.example", trust_env=True)
    got = ask(proxy, b"GET /v1/a%2Fb?q=%20 HTTP/1.1\r\nhost: p\r\nconnection: close\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 200")
    assert seen[0].startswith(b"GET http://llm.example/v1/a%2Fb?q=%20 HTTP/1.1\r\n")


def test_a_tunnel_is_opened_through_a_proxy_in_the_environment(
    raw_upstream: Listening, forwarding: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bytes] = []
    refusal = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n"
    monkeypatch.setenv("https_proxy", raw_upstream(recording(seen, refusal)))
    monkeypatch.setenv("no_proxy", "")
    proxy = forwarding("https://llm.example", trust_env=True)
    got = ask(proxy, b"GET /v1 HTTP/1.1\r\nhost: p\r\nconnection: close\r\n\r\n")
    assert seen[0].startswith(b"CONNECT llm.example:443 HTTP/1.1\r\n")
    assert got.startswith(b"HTTP/1.1 502")


def test_http2_without_its_package_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"semcache-proxy\[http2\]"):
        Forward(Upstream.parse("https://llm.example"), options=ForwardOptions(http2=True))


@pytest.mark.parametrize(
    ("method", "answer", "status"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n", 200),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n", 204),
        ("GET", b"HTTP/1.1 304 Not Modified\r\netag: x\r\n\r\n", 304),
        ("GET", b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" + OK, 200),
    ],
)
def test_answers_without_a_body_end_and_leave_the_connection_usable(
    raw_upstream: Listening, forwarding: Serving, method: str, answer: bytes, status: int
) -> None:
    parts = urlsplit(forwarding(raw_upstream(recording([], answer))))
    client = HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    for _ in range(2):
        client.request(method, "/")
        response = client.getresponse()
        response.read()
        assert response.status == status
    client.close()


def test_connections_to_the_upstream_are_kept(raw_upstream: Listening, forwarding: Serving) -> None:
    connections: list[socket.socket] = []
    seen: list[bytes] = []

    def talk(connection: socket.socket) -> None:
        connections.append(connection)
        recording(seen)(connection)

    proxy = forwarding(raw_upstream(talk))
    for _ in range(3):
        ask(proxy, b"GET / HTTP/1.1\r\nhost: p\r\nconnection: close\r\n\r\n")
    assert (len(connections), len(seen)) == (1, 3)


def test_each_piece_of_a_stream_arrives_before_the_next_is_made(raw_upstream: Listening, forwarding: Serving) -> None:
    received = threading.Semaphore(0)

    def talk(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        for word in (b"one", b"two", b"six"):
            connection.sendall(b"3\r\n" + word + b"\r\n")
            assert received.acquire(timeout=10)
        connection.sendall(b"0\r\n\r\n")

    parts = urlsplit(forwarding(raw_upstream(talk)))
    client = HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    client.request("GET", "/")
    response = client.getresponse()
    words = []
    for _ in range(3):
        words.append(response.read1(100))
        received.release()
    assert (words, response.read()) == ([b"one", b"two", b"six"], b"")
    client.close()


def test_a_request_body_is_passed_on_piece_by_piece(raw_upstream: Listening, forwarding: Serving) -> None:
    arrived: list[bytes] = []
    more = threading.Semaphore(0)

    def talk(connection: socket.socket) -> None:
        data = read_head(connection).partition(b"\r\n\r\n")[2]
        while not data.endswith(b"0\r\n\r\n"):
            if data.endswith(b"\r\n"):
                arrived.append(data)
                more.release()
                data = b""
            data += connection.recv(65536)
        connection.sendall(OK)

    with connect(forwarding(raw_upstream(talk))) as client:
        client.sendall(b"POST / HTTP/1.1\r\nhost: p\r\ntransfer-encoding: chunked\r\n\r\n")
        for word in (b"one", b"two"):
            client.sendall(b"3\r\n" + word + b"\r\n")
            assert more.acquire(timeout=10)
        client.sendall(b"0\r\n\r\n")
        assert read_head(client).startswith(b"HTTP/1.1 200")
    assert arrived == [b"3\r\none\r\n", b"3\r\ntwo\r\n"]


def test_a_body_with_a_length_keeps_it(raw_upstream: Listening, forwarding: Serving) -> None:
    seen: list[bytes] = []
    ask(
        forwarding(raw_upstream(recording(seen))),
        b"POST / HTTP/1.1\r\nhost: p\r\ncontent-length: 4\r\nconnection: close, content-length\r\n\r\nbody",
    )
    assert (b"content-length", b"4") in fields(seen[0])
    assert b"transfer-encoding" not in {name for name, _ in fields(seen[0])}


def test_a_websocket_is_declined(forwarding: Serving, raw_upstream: Listening) -> None:
    seen: list[bytes] = []
    got = ask(
        forwarding(raw_upstream(recording(seen))),
        b"GET / HTTP/1.1\r\nhost: p\r\nupgrade: websocket\r\nconnection: upgrade, close\r\n"
        b"sec-websocket-key: x\r\nsec-websocket-version: 13\r\n\r\n",
    )
    # Without a WebSocket library uvicorn passes the request on as plain HTTP, which is as good: no upgrade either way.
    assert not got.startswith(b"HTTP/1.1 101")
    assert all(b"upgrade" not in {name for name, _ in fields(head)} for head in seen)
