"""No credential in a query reaches a log."""

from __future__ import annotations

import asyncio
import logging
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semcache_proxy.edge import Edge
from semcache_proxy.forward import Forward
from semcache_proxy.loopback import Served
from semcache_proxy.redact import redacted
from semcache_proxy.upstream import Upstream

from .raw_http import Listening, recording

NAMES = [
    *("key", "api_key", "api-key", "apiKey", "API%5FKEY", "api%255Fkey", "token", "access_token", "sig", "signature"),
    *("code", "client_secret", "password", "X-Amz-Signature", "X-Amz-Credential", "auth", "jwt", "sessionid", "passwd"),
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("form", ["{}={}", "a=1&{}={}", "a=1;{}={}&b=2", "&&{}={}", "{}=x={}"])
def test_the_value_of_a_credential_is_not_shown(name: str, form: str) -> None:
    shown = redacted(form.format(name, "s3cret").encode())
    assert b"s3cret" not in shown
    assert name.encode() in shown


def test_a_value_without_a_name_is_not_shown() -> None:
    assert redacted(b"s3cret") == b"***"
    assert redacted(b"beta=true&s3cret") == b"beta=true&***"


def test_everything_else_is_shown_as_it_is() -> None:
    query = b"api-version=2024-10-21&limit=20&q=a%20b&order=desc&filter[]=x"
    assert redacted(query) == query.replace(b"[]", b"%5B%5D")


@given(st.binary(max_size=40), st.sampled_from(NAMES), st.binary(max_size=20))
def test_a_log_gets_ascii_without_line_breaks_and_without_the_value(before: bytes, name: str, after: bytes) -> None:
    shown = redacted(before + b"&" + quote(name).encode() + b"=s3cret&" + after)
    assert b"s3cret" not in shown
    assert shown.isascii()
    assert b"\n" not in shown


@pytest.mark.parametrize("http", ["h11", "httptools"])
def test_the_servers_access_log_shows_no_credential_and_the_upstream_gets_it(
    raw_upstream: Listening, caplog: pytest.LogCaptureFixture, http: str
) -> None:
    pytest.importorskip(http)
    seen: list[bytes] = []
    app = Edge(Forward(Upstream.parse(raw_upstream(recording(seen)))))
    with Served(app, log_level="info", http=http, access_log=True) as server:
        caplog.set_level(logging.INFO)
        logging.getLogger("uvicorn.access").addHandler(caplog.handler)
        httpx.get(server.url + "/v1/models?api_key=s3cret&n=1")
    logging.getLogger("uvicorn.access").removeHandler(caplog.handler)
    assert seen[0].startswith(b"GET /v1/models?api_key=s3cret&n=1 ")
    told = [record.getMessage() for record in caplog.records if record.name == "uvicorn.access"]
    assert len(told) == 1
    assert "GET /v1/models?api_key=***&n=1" in told[0]


def test_the_query_of_a_websocket_is_not_logged_either() -> None:
    sent: list[Any] = []

    async def unreached(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError

    async def receive() -> Any:
        raise AssertionError

    async def send(message: Any) -> None:
        sent.append(message["type"])

    scope = {"type": "websocket", "path": "/v1/realtime", "query_string": b"api_key=s3cret&model=m", "headers": []}
    asyncio.run(Edge(unreached)(scope, receive, send))
    assert sent == ["websocket.close"]
    assert scope["query_string"] == b"api_key=***&model=m"
