"""What is meant for the cache goes no further, whatever becomes of the request."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from semcache_core import SemanticCache
from semcache_core.http.asgi import SemanticCacheASGI
from semcache_core.http.headers import for_application
from semcache_core.http.wsgi import SemanticCacheWSGI

from .asgi_client import configured

BODY = b'{"q": "x"}'
SECRETS = {
    "Semcache-Debug": "debug-t0ken",
    "Semcache-Control": "mode=exact",
    "Semcache-Key": "caller-t0ken",
    "Semcache-Later": "not-known-yet",
}
CONFIG = configured(
    semcache={"match": "exact", "max_body": 1024, "jitter": 0.0},
    http={"identity_secret": "0123456789abcdef0123456789abcdef", "debug_token": "debug-t0ken"},
    route=[{"path": "/ask"}, {"path": "/off", "mode": "off"}, {"path": "/watched", "mode": "observe"}],
)
REQUESTS = {
    "unclaimed": ("/v1/models", BODY, {}),
    "off": ("/off", BODY, {}),
    "a miss": ("/ask", BODY, {}),
    "observed": ("/watched", BODY, {}),
    "no identity": ("/ask", BODY, {"authorization": ""}),
    "a wrong directive": ("/ask", BODY, {"semcache-control": "mode=every"}),
    "off by the caller": ("/ask", BODY, {"semcache-control": "mode=off"}),
    "too large": ("/ask", b"x" * 2000, {}),
    "no JSON": ("/ask", b"\xff", {}),
    "a broken coding": ("/ask", BODY, {"content-encoding": "gzip"}),
}
every_request = pytest.mark.parametrize(("path", "body", "more"), REQUESTS.values(), ids=REQUESTS)


class Application:
    """Notes the header names that it is asked with."""

    def __init__(self) -> None:
        self.seen: list[set[str]] = []

    async def asgi(self, scope: Any, receive: Any, send: Any) -> None:
        self.seen.append({name.decode().lower() for name, _ in scope["headers"]})
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.close"})
            return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": b"{}", "more_body": False})

    def wsgi(self, environ: Any, start_response: Any) -> list[bytes]:
        self.seen.append({name[5:].lower().replace("_", "-") for name in environ if name.startswith("HTTP_")})
        start_response("200 OK", [("content-type", "application/json")])
        return [b"{}"]

    def saw(self, what: str) -> bool:
        (names,) = self.seen
        return any(name.startswith(what) for name in names)


def fields(more: dict[str, str]) -> dict[str, str]:
    given = {"authorization": "Bearer alice", "x-own": "1"}
    return {**given, **{name.lower(): value for name, value in SECRETS.items()}, **more}


@every_request
def test_no_field_for_the_cache_reaches_an_asgi_application(path: str, body: bytes, more: dict[str, str]) -> None:
    application = Application()
    client = TestClient(SemanticCacheASGI(application.asgi, cache=SemanticCache(CONFIG)))
    client.post(path, content=body, headers=fields(more))
    assert application.saw("x-own")
    assert not application.saw("semcache")


def test_no_field_for_the_cache_reaches_a_websocket() -> None:
    application = Application()
    client = TestClient(SemanticCacheASGI(application.asgi, cache=SemanticCache(CONFIG)))
    with client.websocket_connect("/talk", headers=fields({})):
        pass
    assert application.saw("x-own")
    assert not application.saw("semcache")


def test_no_field_for_the_cache_reaches_the_application_while_the_cache_is_down() -> None:
    application = Application()
    config = {**CONFIG, "response_store": {"use": "sqlite", "path": "/dev/null/nowhere.db"}}
    client = TestClient(SemanticCacheASGI(application.asgi, cache=SemanticCache(config)))
    client.post("/ask", content=BODY, headers=fields({}))
    assert application.saw("x-own")
    assert not application.saw("semcache")


@every_request
def test_no_field_for_the_cache_reaches_a_wsgi_application(path: str, body: bytes, more: dict[str, str]) -> None:
    application = Application()
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in fields(more).items()},
    }
    cache = SemanticCache(CONFIG)
    try:
        b"".join(SemanticCacheWSGI(application.wsgi, cache=cache)(environ, lambda *_: print))
    finally:
        cache.sync.close()
    assert application.saw("x-own")
    assert not application.saw("semcache")


def test_a_credential_that_an_answer_varies_on_is_not_stored(tmp_path: Path) -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        head = [(b"content-type", b"application/json"), (b"vary", b"Cookie, Authorization")]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": b'"the answer"', "more_body": False})

    config = {**CONFIG, "response_store": {"use": "sqlite", "path": str(tmp_path / "cache.db")}}
    with TestClient(SemanticCacheASGI(application, cache=SemanticCache(config))) as client:
        asked = [
            client.post("/ask", content=BODY, headers={"authorization": "Bearer s3cret", "cookie": "sid=pr1vate"})
            for _ in range(2)
        ]
    assert [answer.headers["x-cache"] for answer in asked] == ["MISS", "HIT"]
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"the answer" in stored
    assert b"s3cret" not in stored
    assert b"pr1vate" not in stored


@pytest.mark.parametrize("name", [b"semcache-debug", b"Semcache-Control", b"SEMCACHE-KEY", b"semcache_debug"])
def test_a_field_for_the_cache_is_one_in_any_spelling(name: bytes) -> None:
    assert for_application([(b"a", b"1"), (name, b"2"), (b"a", b"3")]) == [(b"a", b"1"), (b"a", b"3")]


def test_a_head_without_such_a_field_stays_the_same_object() -> None:
    head = [(b"semcaches", b"1"), (b"x-semcache-debug", b"2")]
    assert for_application(head) is head
