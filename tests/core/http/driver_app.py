"""One scripted application as ASGI and as WSGI, behind a cache: what the tests of the drivers send requests to.

A request says in ``X-Script`` how it is answered, as JSON, and in ``X-Count`` under which name it is counted; the cache
ignores both. ``/count`` tells how often the application was asked, and ``/seen`` what it received last.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from semcache_core import SemanticCache
from semcache_core.http.asgi import SemanticCacheASGI
from semcache_core.http.wsgi import SemanticCacheWSGI

CONFIG: dict[str, Any] = {
    "semcache": {"jitter": 0.0, "match": "exact", "max_body": 100_000},
    "vector_store": {"use": "memory"},
    "response_store": {"use": "memory"},
    "key_extractors": {"use": ["openai-chat", "json"]},
    "verifiers": {"use": []},
    "http": {
        "identity_secret": "0123456789abcdef0123456789abcdef",
        "ignore_headers": ["x-script", "x-count"],
    },
    "limits": {"waiter_patience": 30},
    "route": [
        {"path": "/ask"},
        {"path": "/soon-stale", "ttl": 1, "stale_while_revalidate": 60},
        {"path": "/stands-in", "ttl": 1, "stale_if_error": 60},
        {"path": "/stands-in/chat/completions", "ttl": 1, "stale_if_error": 60},
    ],
}
COUNTS: Counter[str] = Counter()
SEEN: dict[str, Any] = {}


@dataclass
class Script:
    """How one request is answered."""

    status: int = 200
    delay: float = 0.0
    gap: float = 0.0
    pieces: list[str] = field(default_factory=lambda: ['{"answer": ', '"Paris"', "}"])
    content_type: str = "application/json"
    times: int = 1
    """How often each "Paris" is said: a header has no room for a long answer."""
    says: list[list[str]] = field(default_factory=list)
    fails_before: int = -1
    """The piece before which the application raises; 0: before its head."""

    @property
    def fields(self) -> list[tuple[str, str]]:
        return [("content-type", self.content_type), *((name, value) for name, value in self.says)]


def taken(path: str, headers: Mapping[str, str], body: bytes) -> Script | bytes:
    """Note a request; return its script, or the answer of the test's own pages."""
    if path == "/count":
        return json.dumps(COUNTS).encode()
    if path == "/seen":
        return json.dumps(SEEN).encode()
    COUNTS[headers.get("x-count", path)] += 1
    SEEN.update(headers=dict(headers), length=len(body))
    return Script(**json.loads(headers.get("x-script", "{}")))


async def answer(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        raise RuntimeError("this application knows http only")
    body = b""
    while (message := await receive())["type"] == "http.request":
        body += message["body"]
        if not message["more_body"]:
            break
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    script = taken(scope["path"], headers, body)
    if isinstance(script, bytes):
        script = Script(pieces=[script.decode()])
    await asyncio.sleep(script.delay)
    if script.fails_before == 0:
        raise RuntimeError("scripted")
    fields = [(name.encode(), value.encode()) for name, value in script.fields]
    await send({"type": "http.response.start", "status": script.status, "headers": fields})
    async for piece in _slowly(script):
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _slowly(script: Script) -> AsyncIterator[bytes]:
    for at, piece in enumerate(script.pieces):
        if at:
            await asyncio.sleep(script.gap)
        if at == script.fails_before:
            raise RuntimeError("scripted")
        yield piece.replace("Paris", "Paris" * script.times).encode()


def answer_wsgi(environ: Any, start_response: Any) -> Iterator[bytes]:
    headers = {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")}
    stream = environ["wsgi.input"]
    length = environ.get("CONTENT_LENGTH")
    body = stream.read(int(length)) if length else stream.read() if environ.get("wsgi.input_terminated") else b""
    script = taken(environ["PATH_INFO"], headers, body)
    if isinstance(script, bytes):
        script = Script(pieces=[script.decode()])
    time.sleep(script.delay)
    if script.fails_before == 0:
        raise RuntimeError("scripted")
    start_response(f"{script.status} Scripted", script.fields)
    return _slowly_wsgi(script)


def _slowly_wsgi(script: Script) -> Iterator[bytes]:
    for at, piece in enumerate(script.pieces):
        if at:
            time.sleep(script.gap)
        if at == script.fails_before:
            raise RuntimeError("scripted")
        yield piece.replace("Paris", "Paris" * script.times).encode()


asgi = SemanticCacheASGI(answer, cache=SemanticCache(CONFIG))
wsgi = SemanticCacheWSGI(answer_wsgi, cache=SemanticCache(CONFIG))
