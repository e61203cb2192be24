"""What is accepted at start works at run time: upstream URLs, header fields to set, limits."""

from __future__ import annotations

import math
import ssl

import h11
import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from semcache_core.errors import ConfigError
from semcache_core.http.headers import HOP_BY_HOP
from semcache_proxy.headers import for_upstream
from semcache_proxy.upstream import ForwardOptions, Upstream, inject_headers

TLS = ssl.create_default_context()
HOSTS = st.one_of(
    st.sampled_from(
        [
            "llm.example",
            "LLM.example",
            "my_service",
            "xn--bcher-kva.de",
            "bücher.de",
            "a.",
            "a..b",
            ".a",
            "-a",
            "1.2.3.4",
        ]
    ),
    st.sampled_from(["127.1", "0x7f.1", "1.2.3.999", "[::1]", "[::1%25lo]", "[::g]", "::1", "☃.net", "ß.de", "a" * 64]),
    st.text(st.sampled_from("ab1.-_:[]@%xn ü\\\t"), max_size=12),
    st.text(max_size=8),
)
PORTS = st.one_of(st.just(""), st.integers(-1, 70_000).map(":{}".format), st.text("0123456789a:٣ ", max_size=6))
PATHS = st.one_of(
    st.sampled_from(["", "/", "/openai", "/a%20b/", "/a b", "/ü", "//x", "/../y", "/%zz", "/?", "/#", "/a;b=c"]),
    st.text(st.sampled_from("/ab%2f?#\\ é\x00\r\n"), max_size=8),
)
URLS = st.builds("{}://{}{}{}".format, st.sampled_from(["http", "https", "HTTP", "ftp", ""]), HOSTS, PORTS, PATHS)


@settings(max_examples=150, deadline=None)
@given(st.one_of(URLS, st.text(max_size=20)))
@example("http://xn--a.com")
@example("https://xn--a.com")
def test_an_upstream_that_is_accepted_can_be_connected_to(text: str) -> None:
    try:
        upstream = Upstream.parse(text)
    except ConfigError:
        return
    url = httpx.URL(upstream.origin)
    request = httpx.Request("POST", url, headers=[(b"host", upstream.host)])
    host = request.url.raw_host.decode("ascii")
    assert len(host.encode("idna")) < 255
    assert 0 < (url.port or 1) < 65536
    if upstream.scheme == "https":
        tls = TLS.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=host)
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
    target = upstream.prefix + b"/v1"
    sent = h11.Connection(h11.CLIENT).send(h11.Request(method=b"POST", target=target, headers=request.headers.raw))
    assert sent is not None
    assert sent.startswith(b"POST " + target + b" HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://h:99999", "from 1 to 65535"),
        ("http://h:0", "from 1 to 65535"),
        ("http://h:", "from 1 to 65535"),
        ("http://h:8o80", "from 1 to 65535"),
        ("http://exa mple", "its host"),
        ("http://a..b", "its host"),
        ("http://1.2.3.999", "its host"),
        ("http://127.1", "its host"),
        ("http://☃.net", "its host"),
        ("http://" + "a" * 64, "its host"),
        ("http://h\\x", "its host"),
        ("http://[::g]", "not an IPv6 address"),
        ("http://[fe80::1%25eth0]", "not an IPv6 address"),
        ("http://2001:db8::7", "in brackets"),
        ("https://llm.example.", "leave the dot out"),
        ("http://h/a b", "as %20"),
        ("http://h/ü", "as %20"),
        ("http://h/a?", "no query"),
        ("http://h#", "no fragment"),
        ("ftp://h", "http:// or https://"),
        ("http:/h", "http:// or https://"),
        ("http://", "name a host"),
        ("http:///v1", "name a host"),
        ("http://@h", "--set-header"),
    ],
)
def test_an_upstream_that_cannot_work_is_refused_with_the_remedy(url: str, told: str) -> None:
    with pytest.raises(ConfigError, match="--upstream") as refused:
        Upstream.parse(url)
    assert told in str(refused.value)


@pytest.mark.parametrize(
    ("url", "origin", "host"),
    [
        ("HTTPS://LLM.example:443/", "https://llm.example", b"llm.example"),
        ("http://[::1]:8000/v1/", "http://[::1]:8000", b"[::1]:8000"),
        ("http://bücher.example", "http://xn--bcher-kva.example", b"xn--bcher-kva.example"),
        ("http://my_service:8000", "http://my_service:8000", b"my_service:8000"),
        ("http://svc.cluster.local.", "http://svc.cluster.local.", b"svc.cluster.local."),
    ],
)
def test_an_upstream_has_one_form(url: str, origin: str, host: bytes) -> None:
    upstream = Upstream.parse(url)
    assert (upstream.origin, upstream.host) == (origin, host)


NAMES = st.one_of(
    st.sampled_from(["Authorization", "x-a_b", "x!", "Host", "TE", "x:", "", " ", "é", "Semcache-Key", "a" * 300]),
    st.text(max_size=6),
)
VALUES = st.one_of(
    st.sampled_from(["Bearer x", "", "a\tb", "a\r\nb: c", "\x00", "é", " x ", "\x7f"]), st.text(max_size=8)
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(NAMES, VALUES, max_size=3))
def test_header_fields_that_are_accepted_are_sent_as_they_are(fields: dict[str, str]) -> None:
    try:
        injected = inject_headers(fields)
    except ConfigError:
        return
    had = [(b"content-length", b"2"), (b"authorization", b"theirs")]
    headers = for_upstream(had, host=b"llm.example", forwarded=(), injected=injected)
    client, server = h11.Connection(h11.CLIENT), h11.Connection(h11.SERVER)
    sent = client.send(h11.Request(method=b"POST", target=b"/", headers=headers))
    assert sent is not None
    server.receive_data(sent)
    got = server.next_event()
    assert isinstance(got, h11.Request)
    assert set(injected) <= set(got.headers)
    assert [value for name, value in got.headers if name in (b"host", b"content-length")] == [b"llm.example", b"2"]


@pytest.mark.parametrize(
    "name",
    [
        *sorted(name.decode() for name in HOP_BY_HOP),
        *("Content-Length", "Host", "Transfer-Encoding", "Content-Encoding", "Expect", "Via"),
        *("Semcache-Control", "semcache-debug", "Semcache-Key", "semcache_key", "content_length", "transfer_encoding"),
    ],
)
def test_a_header_that_is_not_the_operators_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"(?i)--set-header '{name}': .*leave it out"):
        inject_headers({name: "1"})
    with pytest.raises(ConfigError, match="leave it out"):
        ForwardOptions(injected=((name.lower().encode(), b"1"),))


@pytest.mark.parametrize("name", ["", " ", "a b", "a:", "é", "x\r\ny", "x\x00"])
def test_what_is_no_header_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="not the name of a header"):
        inject_headers({name: "1"})


@pytest.mark.parametrize("value", ["", " ", "s3cret\r\nx: y", "s3\ncret", "s3cret\x00", "s3cret é", "s3cret\x7f"])
def test_what_no_header_can_carry_is_refused_without_being_quoted(value: str) -> None:
    with pytest.raises(ConfigError, match=r"its value|no value") as refused:
        inject_headers({"authorization": value})
    assert "s3" not in str(refused.value)


def test_a_header_set_twice_in_two_spellings_is_refused() -> None:
    with pytest.raises(ConfigError, match="set twice"):
        inject_headers({"Authorization": "a", "authorization": "b"})


@pytest.mark.parametrize(
    "name", ["connect_timeout", "read_timeout", "write_timeout", "pool_timeout", "keepalive_expiry"]
)
@pytest.mark.parametrize("seconds", [0, -1, math.nan, math.inf, 1e300])
def test_a_time_that_cannot_be_waited_for_is_refused(name: str, seconds: float) -> None:
    with pytest.raises(ConfigError, match=name):
        ForwardOptions(**{name: seconds})  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "count"), [("max_connections", 0), ("keepalive_connections", -1)])
def test_a_number_of_connections_that_forwards_nothing_is_refused(name: str, count: int) -> None:
    with pytest.raises(ConfigError, match=name):
        ForwardOptions(**{name: count})  # type: ignore[arg-type]
