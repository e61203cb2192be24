"""The proxy as a whole: what is its own, who may use the cache, and where its settings come from."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from semcache_core.errors import ConfigError
from semcache_core.library.cache import SemanticCache
from semcache_proxy import create_app
from semcache_proxy.loopback import Served
from semcache_proxy.upstream import ForwardOptions, Upstream, inject_headers

Serving = Callable[[ASGIApp], str]

PATH = "/v1/chat/completions"
BODY = {"model": "m", "messages": [{"role": "user", "content": "How do I reset my password?"}]}
ALICE = {"authorization": "Bearer alice"}
EXACT: dict[str, Any] = {
    "semcache": {"match": "exact"},
    "vector_store": {"use": "memory"},
    "response_store": {"use": "memory"},
    "http": {"debug_token": "let-me-see"},
}


class Chat:
    """An upstream that counts its calls and says who called."""

    def __init__(self) -> None:
        self.callers: list[str | None] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return
        request = Request(scope, receive)
        self.callers.append(request.headers.get("authorization"))
        message = {"role": "assistant", "content": f"answer {len(self.callers)}"}
        body = {"id": "1", "object": "chat.completion", "created": 1, "model": "m"}
        choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        await JSONResponse(body | {"choices": choices, "usage": usage})(scope, receive, send)


@pytest.fixture
def chat() -> Chat:
    return Chat()


@pytest.fixture
def upstream(served: Serving, chat: Chat) -> str:
    return served(chat)


def ask(url: str, headers: dict[str, str] | None = None) -> str:
    return str(httpx.post(url + PATH, json=BODY, headers=headers or {}).headers.get("cache-status", "none"))


def test_a_repeated_request_hits(upstream: str, served: Serving) -> None:
    proxy = served(create_app(upstream, config=EXACT))
    assert ask(proxy, ALICE) == "semcache; fwd=miss; detail=absent"
    assert ask(proxy, ALICE).startswith("semcache; hit; ttl=")


def test_on_loopback_a_caller_without_identity_uses_the_cache(upstream: str, served: Serving) -> None:
    proxy = served(create_app(upstream, config=EXACT, loopback=True))
    assert ask(proxy) == "semcache; fwd=miss; detail=absent"
    assert ask(proxy).startswith("semcache; hit")


@pytest.mark.parametrize(
    "headers",
    [
        {"x-forwarded-for": "192.0.2.7"},
        {"forwarded": "for=192.0.2.7"},
        {"via": "1.1 edge"},
        {"host": "rebound.example"},
        {"x-real-ip": "192.0.2.7"},
        {"cf-connecting-ip": "192.0.2.7"},
        {"tailscale-user-login": "ann@example.com"},
        {"origin": "https://evil.example"},
        {"x-forwarded-for": "192.0.2.7", "connection": "x-forwarded-for"},
    ],
    ids=lambda headers: " ".join(headers),
)
def test_what_reaches_loopback_from_elsewhere_bypasses_the_cache_without_identity(
    upstream: str, served: Serving, headers: dict[str, str]
) -> None:
    proxy = served(create_app(upstream, config=EXACT, loopback=True))
    assert ask(proxy) == "semcache; fwd=miss; detail=absent"
    assert [ask(proxy, headers) for _ in range(2)] == ["semcache; fwd=bypass; detail=no-identity"] * 2
    assert ask(proxy, ALICE | headers) == "semcache; fwd=miss; detail=absent"
    assert ask(proxy).startswith("semcache; hit")


def test_what_nginx_passes_on_by_default_bypasses_the_cache_without_identity(upstream: str, served: Serving) -> None:
    proxy = served(create_app(upstream, config=EXACT, loopback=True))
    port = int(proxy.rpartition(":")[2])
    head = f"Host: 127.0.0.1:{port}\r\nConnection: close\r\nContent-Type: application/json\r\n"
    body = json.dumps(BODY).encode()
    for version, told in (("1.1", "fwd=miss"), ("1.0", "detail=no-identity"), ("1.1", "hit")):
        asked = f"POST {PATH} HTTP/{version}\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(asked)
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        assert told.encode() in answer.partition(b"\r\n\r\n")[0]


def test_elsewhere_a_caller_without_identity_bypasses_it(upstream: str, served: Serving) -> None:
    proxy = served(create_app(upstream, config=EXACT))
    assert [ask(proxy), ask(proxy)] == ["semcache; fwd=bypass; detail=no-identity"] * 2


def test_a_header_that_the_proxy_injects_is_nobodys_identity(upstream: str, served: Serving, chat: Chat) -> None:
    forward = ForwardOptions(injected=inject_headers({"Authorization": "Bearer ours"}))
    config = EXACT | {"http": {"open_relay": True}}
    proxy = served(create_app(upstream, config=config, forward=forward))
    assert ask(proxy) == "semcache; fwd=bypass; detail=no-identity"
    assert ask(proxy, ALICE) == "semcache; fwd=miss; detail=absent"
    assert ask(proxy, {"authorization": "Bearer bob"}) == "semcache; fwd=miss; detail=absent"
    assert chat.callers == ["Bearer ours"] * 3


def test_a_field_that_connection_names_makes_no_key_because_the_upstream_does_not_get_it(
    upstream: str, served: Serving
) -> None:
    proxy = served(create_app(upstream, config=EXACT, loopback=True))
    assert ask(proxy, {"x-tenant": "b", "connection": "keep-alive, X-Tenant"}) == "semcache; fwd=miss; detail=absent"
    assert ask(proxy, {"x-tenant": "b"}) == "semcache; fwd=miss; detail=absent"
    assert ask(proxy).startswith("semcache; hit")


def test_two_upstreams_never_share_an_answer(upstream: str, served: Serving) -> None:
    first = Upstream.parse(upstream)
    second = Upstream.parse(upstream + "/other/")
    assert (first.url, second.url) == (upstream, upstream + "/other")


def test_health_is_answered_without_the_upstream(served: Serving) -> None:
    proxy = served(create_app("http://127.0.0.1:9", config=EXACT))
    assert httpx.get(proxy + "/.semcache/health").json() == {"status": "ok", "cache": "open"}


def test_statistics_are_open_on_loopback(upstream: str, served: Serving) -> None:
    proxy = served(create_app(upstream, config=EXACT, loopback=True))
    ask(proxy, ALICE)
    ask(proxy, ALICE)
    stats = httpx.get(proxy + "/.semcache/stats").json()
    assert (stats["hits"]["exact"], stats["misses"], stats["requests"], stats["hit_rate"]) == (1, 1, 2, 0.5)
    assert stats["tokens_saved"] == 2


def test_ready_says_whether_the_stores_can_be_reached(served: Serving) -> None:
    proxy = served(create_app("http://127.0.0.1:9", config=EXACT))
    answer = httpx.get(proxy + "/.semcache/ready")
    assert (answer.status_code, answer.json()["response_store"]) == (200, "ok")


def test_statistics_are_not_open_to_what_another_proxy_passes_on(upstream: str, served: Serving) -> None:
    stats = served(create_app(upstream, config=EXACT, loopback=True)) + "/.semcache/stats"
    assert httpx.get(stats, headers={"x-forwarded-for": "192.0.2.7"}).status_code == 403
    assert httpx.get(stats, headers={"host": "rebound.example"}).status_code == 403
    assert httpx.get(stats, headers={"x-real-ip": "192.0.2.7"}).status_code == 403
    assert httpx.get(stats, headers={"origin": "https://evil.example"}).status_code == 403


def test_statistics_want_the_debug_token_elsewhere(upstream: str, served: Serving) -> None:
    stats = served(create_app(upstream, config=EXACT)) + "/.semcache/stats"
    assert httpx.get(stats).status_code == 403
    assert httpx.get(stats, headers={"semcache-debug": "guess"}).status_code == 403
    assert httpx.get(stats, headers={"semcache-debug": "let-me-see"}).status_code == 200


def test_the_debug_token_does_not_reach_the_upstream(
    served: Serving, upstream: str, chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, str]] = []

    async def look(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            seen.append(dict(Request(scope).headers))
        await chat(scope, receive, send)

    proxy = served(create_app(served(look), config=EXACT))
    answer = httpx.post(proxy + PATH, json=BODY, headers=ALICE | {"semcache-debug": "let-me-see"})
    assert answer.headers["semcache-reason"]
    assert "semcache-debug" not in seen[0]


def test_it_serves_an_event_loop_a_request(upstream: str, chat: Chat) -> None:
    # A TestClient without `with` runs no start-up and gives every request a loop of its own.
    client = TestClient(create_app(upstream, config=EXACT))
    marks = [client.post(PATH, json=BODY, headers=ALICE).headers["x-cache"] for _ in range(2)]
    other = BODY | {"model": "another"}
    marks.append(client.post(PATH, json=other, headers=ALICE).headers["x-cache"])
    assert marks == ["MISS", "HIT", "MISS"]
    assert len(chat.callers) == 2


def test_a_server_without_start_up_stores_what_it_forwards(upstream: str, stack: ExitStack) -> None:
    proxy = stack.enter_context(Served(create_app(upstream, config=EXACT), lifespan="off")).url
    assert ask(proxy, ALICE) == "semcache; fwd=miss; detail=absent"
    assert ask(proxy, ALICE).startswith("semcache; hit")
    assert httpx.get(proxy + "/.semcache/health").json()["cache"] == "open"


def test_a_config_and_a_cache_together_are_refused(upstream: str) -> None:
    with pytest.raises(ConfigError, match="not both"):
        create_app(upstream, config=EXACT, cache=SemanticCache.from_config(EXACT))


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("llm.example", "must begin with http"),
        ("ftp://llm.example", "must begin with http"),
        ("https://", "name a host"),
        ("https://user:pw@llm.example", "--set-header"),
        ("https://llm.example/v1?key=1", "query"),
    ],
)
def test_an_upstream_that_is_none_is_refused_with_the_remedy(url: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as refused:
        create_app(url, config=EXACT)
    assert "pw" not in str(refused.value)


def test_what_cannot_be_a_header_is_refused_without_its_value() -> None:
    with pytest.raises(ConfigError) as refused:
        inject_headers({"authorization": "s3cret\r\nx: y"})
    assert "s3cret" not in str(refused.value)
