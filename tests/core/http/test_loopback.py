"""Which requests began on this machine: only those get the identity of its user without naming one."""

from __future__ import annotations

import pytest

from semcache_core.http import loopback
from semcache_core.types import Headers

HOST = (b"host", b"127.0.0.1:8080")


def began_here(headers: Headers) -> bool:
    return loopback.began_here(headers, http_version="1.1")


@pytest.mark.parametrize(
    "host",
    [
        b"localhost",
        b"LOCALHOST:80",
        b"localhost.",
        b"127.0.0.1",
        b"127.8.9.1:1",
        b"[::1]",
        b"[::1]:8080",
        b"[::ffff:127.0.0.1]",
    ],
)
def test_a_loopback_host_began_here(host: bytes) -> None:
    assert began_here(((b"host", host),))


@pytest.mark.parametrize(
    "host",
    [
        b"",
        b"rebound.example",
        b"localhost.evil.example",
        b"evil.localhost.example:80",
        b"127.0.0.1.nip.io",
        b"127.0.0.1@evil.example",
        b"127.0.0.1:80:90",
        b"127.0.0.1:http",
        b"[::1].evil.example",
        b"[::1",
        b"::1",
        b"[::]",
        b"127.1",
        b"0.0.0.0:8080",
        b"2130706433",
        b"0x7f000001",
        b"0177.0.0.1",
        b"10.0.0.1",
        b"192.168.0.2:8080",
        b"local\xffhost",
    ],
)
def test_any_other_host_did_not(host: bytes) -> None:
    assert not began_here(((b"host", host),))


def test_a_request_without_a_host_or_with_two_did_not() -> None:
    assert not began_here(())
    assert not began_here((HOST, HOST))


@pytest.mark.parametrize(
    "name",
    b"""
    forwarded via x-forwarded-for x-forwarded-host x-forwarded-proto x-forwarded-anything x-forwarded x-real-ip
    x-client-ip true-client-ip x-cluster-client-ip cf-connecting-ip cf-connecting-ipv6 cf-ray cf-ipcountry cf-visitor
    cdn-loop cloudfront-viewer-address x-amz-cf-id x-envoy-external-address x-original-host x-original-forwarded-for
    x-original-uri tailscale-user-login tailscale-user-name ngrok-skip-browser-warning ngrok-trace-id fly-client-ip
    x-railway-edge x-arr-log-id x-azure-clientip x-azure-ref x-appgw-trace-id x-vercel-id rndr-id x-kong-request-id
    client-ip x-client-port fastly-client-ip x-nf-client-connection-ip do-connecting-ip x-request-start x-scheme
    x-auth-request-user x-amzn-oidc-identity x-ms-client-principal-id cf-access-jwt-assertion
    x-varnish surrogate-capability front-end-https x-url-scheme x-vcap-request-id incap-client-ip wl-proxy-client-ip
    http-client-ip x-sucuri-clientip x-remote-ip x-remote-addr x-originating-ip x-http-forwarded-for
    """.split(),
)
def test_what_a_proxy_or_tunnel_adds_says_that_it_did_not(name: bytes) -> None:
    assert not began_here((HOST, (name, b"1")))
    assert not began_here((HOST, (b"connection", b"keep-alive, " + name.title())))


@pytest.mark.parametrize(
    "name", b"traceparent x-request-id x-b3-traceid x-stainless-os cf-aig-authorization user-agent".split()
)
def test_what_clients_send_themselves_says_nothing(name: bytes) -> None:
    assert began_here((HOST, (name, b"1"), (b"connection", b"keep-alive")))


@pytest.mark.parametrize(
    "origin", [b"https://evil.example", b"http://localhost.evil.example", b"null", b"", b"HTTPS://x"]
)
def test_a_page_of_another_site_did_not(origin: bytes) -> None:
    assert not began_here((HOST, (b"origin", origin)))
    assert not began_here((HOST, (b"sec-fetch-site", b"cross-site")))


@pytest.mark.parametrize("origin", [b"http://localhost:3000", b"http://127.0.0.1", b"http://[::1]:3", b"app://notes"])
def test_a_page_of_this_machine_did(origin: bytes) -> None:
    assert began_here((HOST, (b"origin", origin), (b"sec-fetch-site", b"same-site")))


def test_what_nginx_passes_on_by_default_did_not() -> None:
    assert not loopback.began_here((HOST, (b"connection", b"close")), http_version="1.0")
    assert loopback.began_here((HOST, (b"connection", b"close")), http_version="2")
