"""Who may pass the proxy: callers that show a token of its own, requests that began here, and no request twice."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from semcache_core.errors import ConfigError
from semcache_proxy import create_app
from semcache_proxy.headers import Via
from semcache_proxy.upstream import ForwardOptions, inject_headers

from .raw_http import Listening, ask, fields, recording
from .test_app import BODY, EXACT, PATH

Serving = Callable[[ASGIApp], str]

OURS = ForwardOptions(injected=inject_headers({"authorization": "Bearer ours"}))
ANSWER = (
    b'{"id":"1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":'
    b'{"role":"assistant","content":"Paris."},"finish_reason":"stop"}]}'
)
CHAT = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(ANSWER), ANSWER)


def config(**http: Any) -> dict[str, Any]:
    return EXACT | {"http": http}


@pytest.fixture
def seen() -> list[bytes]:
    return []


@pytest.fixture
def upstream(raw_upstream: Listening, seen: list[bytes]) -> str:
    return raw_upstream(recording(seen, CHAT))


def post(url: str, path: str = PATH, **headers: str) -> httpx.Response:
    return httpx.post(url + path, json=BODY, headers={name.replace("_", "-"): value for name, value in headers.items()})


# -- an open relay ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Authorization", "x-api-key", "api-key", "Cookie", "x-auth", "X-Amz-Security-Token"])
def test_a_credential_for_whoever_comes_is_refused_at_the_start(name: str) -> None:
    forward = ForwardOptions(injected=inject_headers({name: "s3cret"}))
    with pytest.raises(ConfigError, match=rf"(?i)--set-header '{name}'.*http\.callers.*http\.open_relay") as refused:
        create_app("http://127.0.0.1:9", config=config(), forward=forward)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("http", [{"open_relay": True}, {"callers": "token-of-a"}])
def test_a_credential_is_added_where_callers_show_a_token_or_the_operator_wants_a_relay(
    upstream: str, served: Serving, seen: list[bytes], http: dict[str, Any]
) -> None:
    proxy = served(create_app(upstream, config=config(**http), forward=OURS))
    assert post(proxy, semcache_key="token-of-a").status_code == 200
    assert (b"authorization", b"Bearer ours") in fields(seen[0])


@pytest.mark.parametrize("value", ["Bearer s3cret", "basic s3cret", "sk-s3cret", "eyJs3cret"])
def test_a_credential_is_one_under_any_name(value: str) -> None:
    forward = ForwardOptions(injected=inject_headers({"x-upstream": value}))
    with pytest.raises(ConfigError, match="x-upstream") as refused:
        create_app("http://127.0.0.1:9", config=config(), forward=forward)
    assert "s3cret" not in str(refused.value) + repr(forward)


@pytest.mark.parametrize("method", ["TRACE", "CONNECT"])
def test_a_request_that_would_be_answered_with_the_proxys_credential_is_not_forwarded(
    upstream: str, served: Serving, seen: list[bytes], method: str
) -> None:
    proxy = served(create_app(upstream, config=config(open_relay=True), forward=OURS))
    got = ask(proxy, method.encode() + b" /v1/models HTTP/1.1\r\nhost: p\r\nconnection: close\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 405")
    assert not seen


def test_a_header_that_is_no_credential_makes_no_relay(upstream: str, served: Serving, seen: list[bytes]) -> None:
    forward = ForwardOptions(injected=inject_headers({"x-team": "search"}))
    proxy = served(create_app(upstream, config=config(), forward=forward))
    assert post(proxy).status_code == 200
    assert (b"x-team", b"search") in fields(seen[0])


@pytest.mark.parametrize(
    "headers",
    [{"x_forwarded_for": "192.0.2.7"}, {"via": "1.1 edge"}, {"host": "rebound.example"}],
    ids=lambda headers: next(iter(headers)),
)
def test_on_loopback_a_credential_is_added_to_requests_that_began_there_only(
    upstream: str, served: Serving, seen: list[bytes], headers: dict[str, str]
) -> None:
    proxy = served(create_app(upstream, config=config(), loopback=True, forward=OURS))
    refused = post(proxy, **headers)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "not_from_this_machine")
    assert not seen
    assert post(proxy).status_code == 200
    assert (b"authorization", b"Bearer ours") in fields(seen[0])


def test_a_caller_cannot_hide_with_connection_that_it_came_from_elsewhere(upstream: str, served: Serving) -> None:
    proxy = served(create_app(upstream, config=config(), loopback=True, forward=OURS))
    hidden = post(proxy, x_forwarded_for="192.0.2.7", connection="x-forwarded-for, keep-alive")
    assert hidden.status_code == 403


# -- tokens of the proxy's own ----------------------------------------------------------------------------------------

SHOWN = {
    "in Semcache-Key": {"semcache_key": "token-of-a"},
    "as a bearer token": {"authorization": "bearer token-of-a"},
    "as an API key": {"x_api_key": "token-of-a"},
    "as another API key": {"api_key": "token-of-a"},
}
REFUSED = {
    "none": {},
    "another": {"semcache_key": "token-of-c"},
    "a part": {"semcache_key": "token-of-"},
    "the whole list": {"semcache_key": "token-of-a,token-of-b"},
    "nothing": {"semcache_key": ""},
    "another beside a right one": {"semcache_key": "token-of-c", "authorization": "Bearer token-of-a"},
    "two": {"authorization": "Bearer token-of-a", "x_api_key": "token-of-b"},
    "another header": {"x_other": "token-of-a"},
}


@pytest.fixture
def guarded(upstream: str, served: Serving) -> str:
    return served(create_app(upstream, config=config(callers="token-of-a, token-of-b"), forward=OURS))


@pytest.mark.parametrize("shown", SHOWN.values(), ids=SHOWN)
@pytest.mark.parametrize("path", [PATH, "/v1/models"])
def test_a_callers_token_opens_and_goes_no_further(
    guarded: str, seen: list[bytes], shown: dict[str, str], path: str
) -> None:
    assert post(guarded, path, **shown).status_code == 200
    assert b"token-of" not in seen[0]
    assert (b"authorization", b"Bearer ours") in fields(seen[0])


@pytest.mark.parametrize("shown", REFUSED.values(), ids=REFUSED)
def test_a_caller_without_a_token_gets_401_in_the_form_sdks_read(
    guarded: str, seen: list[bytes], shown: dict[str, str]
) -> None:
    for path in (PATH, "/v1/models", "/.semcache/health/../../v1/models", "/.semcache/stats/v1/chat/completions"):
        refused = post(guarded, path, **shown)
        assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_api_key")
        assert refused.headers["www-authenticate"].startswith("Bearer")
        assert "token-of" not in refused.text
    assert not seen


def test_a_repeated_token_field_is_refused(guarded: str, seen: list[bytes]) -> None:
    got = ask(
        guarded,
        b"GET /v1/models HTTP/1.1\r\nhost: p\r\nsemcache-key: token-of-a\r\nsemcache-key: token-of-a\r\n"
        b"connection: close\r\n\r\n",
    )
    assert got.startswith(b"HTTP/1.1 401")
    assert not seen


def test_each_token_is_an_identity_wherever_it_is_shown(guarded: str) -> None:
    assert post(guarded, semcache_key="token-of-a").headers["x-cache"] == "MISS"
    assert post(guarded, authorization="Bearer token-of-a").headers["x-cache"] == "HIT"
    assert post(guarded, x_api_key="token-of-a").headers["x-cache"] == "HIT"
    assert post(guarded, semcache_key="token-of-b").headers["x-cache"] == "MISS"


def test_beside_a_token_the_callers_own_credential_is_the_upstreams(
    upstream: str, served: Serving, seen: list[bytes]
) -> None:
    proxy = served(create_app(upstream, config=config(callers="token-of-a")))
    assert post(proxy, semcache_key="token-of-a", authorization="Bearer alice").headers["x-cache"] == "MISS"
    assert (b"authorization", b"Bearer alice") in fields(seen[0])
    assert post(proxy, semcache_key="token-of-a", authorization="Bearer bob").headers["x-cache"] == "MISS"


def test_health_and_ready_need_no_token(guarded: str) -> None:
    assert httpx.get(guarded + "/.semcache/health").status_code == 200
    assert httpx.get(guarded + "/.semcache/ready").status_code == 200
    assert httpx.get(guarded + "/.semcache/stats").status_code == 403


@pytest.mark.parametrize("listed", [" ", ",", "ключ", "a\x00b"])
def test_tokens_that_no_caller_can_show_are_refused(listed: str) -> None:
    with pytest.raises(ConfigError, match=re.escape("http.callers")):
        create_app("http://127.0.0.1:9", config=config(callers=listed))


# -- loops ------------------------------------------------------------------------------------------------------------


def test_a_request_that_comes_back_is_508_and_told(served: Serving) -> None:
    apps: list[ASGIApp] = []

    async def front(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await apps[0](scope, receive, send)

    url = served(front)
    apps.append(create_app(url, config=config(), loopback=True))
    looped = post(url)
    assert (looped.status_code, looped.json()["error"]["code"]) == (508, "loop_detected")
    assert "--upstream" in looped.json()["error"]["message"]


def test_two_proxies_may_stand_in_a_row(upstream: str, served: Serving, seen: list[bytes]) -> None:
    inner = served(create_app(upstream, config=config(), loopback=True))
    outer = served(create_app(inner, config=config(), loopback=True))
    assert post(outer).status_code == 200
    assert (b"via", Via(inner).entry + b", " + Via(upstream).entry) in fields(seen[0])


@pytest.mark.parametrize(
    ("via", "is_in"),
    [
        ("1.1 semcache", True),
        ("HTTP/1.1 SEMCACHE", True),
        ("1.0 edge, 1.1 semcache, 2 cdn", True),
        ("1.1 semcache (00000000)", False),
        ("1.1 semcache.example", False),
        ("1.1 edge (semcache)", False),
        ("", False),
    ],
)
def test_the_proxy_knows_its_own_entry_in_via(via: str, is_in: bool) -> None:
    assert Via("https://llm.example").is_in([(b"via", via.encode())]) is is_in
