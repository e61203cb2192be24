"""Each way in which an upstream gives no answer is a line of its own, with what to do about it."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx
import pytest

from semcache_core.errors import ConfigError
from semcache_proxy.edge import Edge
from semcache_proxy.forward import Forward
from semcache_proxy.loopback import Served
from semcache_proxy.upstream import ForwardOptions, Upstream

from .certificates import Authority
from .raw_http import OK, Listening, Serving, Talk, ask, read_head, recording

SECRET = {"authorization": "Bearer s3cret"}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def trusted(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Authority:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return authority


@pytest.fixture
def told(forwarding: Serving, caplog: pytest.LogCaptureFixture) -> Callable[..., str]:
    """Ask through the proxy; return what the caller is told, which is what the log says, too."""

    def ask(upstream: str, *, status: int = 502, code: str = "upstream_unreachable", **options: object) -> str:
        url = forwarding(upstream, **options) + "/v1?key=s3cret"
        answer = httpx.get(url, headers=SECRET, timeout=30, trust_env=False)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (status, code)
        message = str(error["message"])
        assert [record.getMessage() for record in caplog.records if record.name == "semcache.proxy"] == [message]
        assert "s3cret" not in message
        assert "\n" not in message
        return message

    return ask


def over_tls(context: ssl.SSLContext) -> Talk:
    def talk(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as wrapped:
            read_head(wrapped)
            wrapped.sendall(OK)

    return talk


def as_https(url: str) -> str:
    return url.replace("http://", "https://")


Told = Callable[..., str]


def test_a_name_that_is_not_known(told: Told) -> None:
    assert told("http://no-such-name.invalid").startswith(
        "the name of http://no-such-name.invalid could not be looked up: "
    )


def test_a_port_where_nothing_listens(told: Told) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nowhere = f"http://127.0.0.1:{closed.getsockname()[1]}"
    assert told(nowhere) == f"{nowhere} refused the connection: is it running, and is its port right?"


def test_an_address_without_a_route(told: Told) -> None:
    # 240.0.0.0/4 is reserved: the kernel has no route for it.
    assert "http://255.255.255.255" in told("http://255.255.255.255", connect_timeout=2.0)


def test_a_certificate_that_is_trusted_and_right_is_no_failure(
    trusted: Authority, raw_upstream: Listening, forwarding: Serving
) -> None:
    url = as_https(raw_upstream(over_tls(trusted.server())))
    assert httpx.get(forwarding(url, trust_env=True) + "/").text == "ok"


def test_a_certificate_that_has_expired(told: Told, trusted: Authority, raw_upstream: Listening) -> None:
    url = as_https(raw_upstream(over_tls(trusted.server(days=(-2, -1)))))
    assert f"the certificate of {url} has expired" in told(url, trust_env=True)


def test_a_certificate_that_is_not_valid_yet(told: Told, trusted: Authority, raw_upstream: Listening) -> None:
    url = as_https(raw_upstream(over_tls(trusted.server(days=(1, 2)))))
    assert f"the certificate of {url} is not valid yet" in told(url, trust_env=True)


def test_a_certificate_for_another_host(told: Told, trusted: Authority, raw_upstream: Listening) -> None:
    url = as_https(raw_upstream(over_tls(trusted.server(address="192.0.2.7"))))
    assert f"the certificate of {url} is for another host: name the one" in told(url, trust_env=True)


def test_a_certificate_of_an_unknown_authority(told: Told, authority: Authority, raw_upstream: Listening) -> None:
    url = as_https(raw_upstream(over_tls(authority.server())))
    message = told(url)
    assert f"the certificate of {url} is not trusted" in message
    assert "set SSL_CERT_FILE and add --trust-env" in message


def test_a_plain_http_service_behind_https(told: Told, raw_upstream: Listening) -> None:
    answer = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"

    def talk(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(answer)

    url = as_https(raw_upstream(talk))
    assert told(url) == f"{url} does not speak TLS: if it is a plain HTTP service, write http://"


@pytest.mark.parametrize("alert", [b"\x15\x03\x01\x00\x02\x02\x46", b"\x15\x03\x03\x00\x02\x02\x0a"])
def test_a_tls_service_behind_http_that_sends_an_alert(told: Told, raw_upstream: Listening, alert: bytes) -> None:
    def talk(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(alert)

    url = raw_upstream(talk)
    assert told(url) == f"{url} answers in binary, as TLS does: write https://"


def test_a_tls_service_behind_http_that_hangs_up(told: Told, authority: Authority, raw_upstream: Listening) -> None:
    assert "write https://" in told(raw_upstream(over_tls(authority.server())))


def test_a_service_that_closes_without_an_answer(told: Told, authority: Authority, raw_upstream: Listening) -> None:
    url = raw_upstream(lambda connection: read_head(connection) and None)
    assert f"{url} closed the connection without an answer" in told(url)


def test_a_service_that_does_not_speak_http(told: Told, raw_upstream: Listening) -> None:
    url = raw_upstream(recording([], b"220 smtp ready\r\n\r\n"))
    assert told(url) == f"what answers at {url} does not speak HTTP/1.1: is the port right?"


def test_a_service_that_does_not_accept_in_time(told: Told, crowded: str) -> None:
    message = told(crowded, status=504, code="upstream_timeout", connect_timeout=0.3)
    assert f"{crowded} did not accept a connection within 0.3 s (--connect-timeout)" in message


def test_a_service_that_does_not_answer_in_time(told: Told, raw_upstream: Listening) -> None:
    def talk(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.recv(65536)

    url = raw_upstream(talk)
    message = told(url, status=504, code="upstream_timeout", read_timeout=0.1)
    assert message == f"{url} did not answer within 0.1 s: raise --read-timeout if it needs longer"


@pytest.fixture
def crowded() -> Iterator[str]:
    """A server that accepts nobody, and whose queue is full."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


# -- through a proxy of the environment -------------------------------------------------------------------------------


@pytest.fixture
def by_way_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    def use(proxy: str) -> None:
        for name in ("http_proxy", "https_proxy"):
            monkeypatch.setenv(name, proxy.replace("://", "://me:s3cret@"))
        monkeypatch.setenv("no_proxy", "")

    return use


def test_a_proxy_of_the_environment_that_does_not_answer(told: Told, by_way_of: Callable[[str], None]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nowhere = f"127.0.0.1:{closed.getsockname()[1]}"
    by_way_of(f"http://{nowhere}")
    message = told("http://llm.example", trust_env=True)
    assert message.startswith(f"the proxy {nowhere} (from the environment, --trust-env) refused the connection")


def test_a_proxy_of_the_environment_that_refuses(
    told: Told, by_way_of: Callable[[str], None], raw_upstream: Listening
) -> None:
    by_way_of(raw_upstream(recording([], b"HTTP/1.1 407 Who are you?\r\ncontent-length: 0\r\n\r\n")))
    message = told("https://llm.example", trust_env=True)
    assert "refused to connect to https://llm.example (407 Who are you?)" in message


def test_a_proxy_of_the_environment_that_is_not_used_is_named_where_it_may_be_the_way_out(
    told: Told, by_way_of: Callable[[str], None]
) -> None:
    by_way_of("http://127.0.0.1:9")
    message = told("https://no-such-name.invalid")
    assert message.endswith(" (HTTPS_PROXY is set and would count with --trust-env)")


@pytest.mark.parametrize("proxy", ["nonsense://me:s3cret@proxy.example", "http://proxy.example:port", "socks9://h"])
def test_a_proxy_of_the_environment_that_is_none_is_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("http_proxy", proxy)
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(ConfigError, match="which --trust-env makes count, is wrong") as refused:
        Forward(Upstream.parse("http://llm.example"), options=ForwardOptions(trust_env=True))
    assert "s3cret" not in str(refused.value)


def test_a_socks_proxy_without_its_package_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "socks5://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(ConfigError, match=r"httpx\[socks\]"):
        Forward(Upstream.parse("http://llm.example"), options=ForwardOptions(trust_env=True))


@pytest.mark.parametrize("trust_env", [False, True])
def test_a_target_that_no_url_has_is_the_clients_mistake(
    by_way_of: Callable[[str], None], raw_upstream: Listening, trust_env: bool
) -> None:
    pytest.importorskip("httptools")
    seen: list[bytes] = []
    by_way_of(raw_upstream(recording(seen)))
    app = Edge(Forward(Upstream.parse(raw_upstream(recording(seen))), options=ForwardOptions(trust_env=trust_env)))
    with Served(app, http="httptools") as server:
        got = ask(server.url, b"GET /caf\xe9?q=\xff HTTP/1.1\r\nhost: p\r\nconnection: close\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 400")
    # The variable holds for the whole process: a thread of another test may use that proxy, too.
    assert not [head for head in seen if b"/caf" in head]
