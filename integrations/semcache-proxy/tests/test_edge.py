"""The proxy's outermost layer: what is meant for the cache stays here, and a mistake says nothing of the request."""

from __future__ import annotations

import logging
from collections.abc import Callable

import httpx
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from semcache_proxy import create_app
from semcache_proxy.edge import Edge

from .raw_http import Listening, ask, fields, recording
from .test_app import ALICE, BODY, EXACT, PATH

Serving = Callable[[ASGIApp], str]

SECRETS = {
    "semcache-debug": "let-me-see",
    "semcache-control": "mode=exact",
    "semcache-key": "s3cret",
    "semcache-later": "s3cret",
    "proxy-authorization": "Basic s3cret",
}


@pytest.mark.parametrize("path", [PATH, "/v1/models", "/v1/embeddings", "/off/chat/completions"])
def test_no_field_for_the_cache_or_for_this_hop_reaches_the_upstream_on_any_path(
    raw_upstream: Listening, served: Serving, path: str
) -> None:
    seen: list[bytes] = []
    config = EXACT | {"route": [{"path": "/off/chat/completions", "mode": "off"}]}
    proxy = served(create_app(raw_upstream(recording(seen)), config=config))
    assert httpx.post(proxy + path, json=BODY, headers=ALICE | SECRETS).status_code == 200
    names = {name for name, _ in fields(seen[0])}
    assert b"authorization" in names
    assert not [name for name in names if name.startswith((b"semcache", b"proxy-"))]


@pytest.mark.parametrize("path", [PATH, "/v1/models"])
def test_what_the_upstream_tells_the_cache_does_not_reach_the_client(
    raw_upstream: Listening, served: Serving, path: str
) -> None:
    answer = b"HTTP/1.1 200 OK\r\nSemcache-Control: tags=s3cret\r\nx-own: 1\r\ncontent-length: 2\r\n\r\nok"
    proxy = served(create_app(raw_upstream(recording([], answer)), config=EXACT))
    got = httpx.post(proxy + path, json=BODY, headers=ALICE)
    assert "x-own" in got.headers
    assert "semcache-control" not in got.headers


def test_a_mistake_in_the_proxy_is_logged_by_its_place_alone(served: Serving, caplog: pytest.LogCaptureFixture) -> None:
    async def mistaken(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            raise RuntimeError(scope["query_string"])

    caplog.set_level(logging.INFO)
    got = ask(served(Edge(mistaken)), b"GET /?key=s3cret HTTP/1.1\r\nhost: p\r\nconnection: close\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 500")
    assert b'"code":"proxy_error"' in got
    told = [record.getMessage() for record in caplog.records if record.name == "semcache.proxy"]
    assert len(told) == 1
    assert told[0].startswith("RuntimeError at ")
    assert "s3cret" not in caplog.text
    assert b"s3cret" not in got
