"""The proxy's own pages, under a prefix that no LLM service uses: health and statistics."""

from __future__ import annotations

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from semcache_core.http.status import may_debug
from semcache_core.library.cache import SemanticCache

from .errors import error_body

PREFIX = "/.semcache/"


def own_pages(cache: SemanticCache, *, open_to_all: bool) -> Starlette:
    """Return the pages. Without ``open_to_all`` the statistics want the debug token in ``Semcache-Debug``."""

    async def health(_: Request) -> Response:
        # Where no start-up opened the cache, or its store is down, a request does: no reason to send nobody here.
        return _json({"status": "ok", "cache": "open" if cache.lifecycle.is_open else "not open yet"})

    async def stats(request: Request) -> Response:
        home = cache.lifecycle.home
        if home is None:
            return _refused(503, "the cache is not open yet", code="not_open")
        token = home.runtime.config.http.debug_token
        if not open_to_all and not may_debug(tuple(request.headers.raw), None if token is None else token.reveal()):
            return _refused(
                403, "statistics want the debug token (http.debug_token) in Semcache-Debug", code="forbidden"
            )
        counted = cache.stats()
        return _json(msgspec.to_builtins(counted) | {"requests": counted.requests, "hit_rate": counted.hit_rate})

    return Starlette(routes=[Route(PREFIX + "health", health), Route(PREFIX + "stats", stats)])


def _refused(status: int, message: str, *, code: str) -> Response:
    return _json_bytes(error_body(message, kind="proxy_error", code=code), status=status)


def _json(value: object) -> Response:
    return _json_bytes(msgspec.json.encode(value), status=200)


def _json_bytes(body: bytes, *, status: int) -> Response:
    return Response(body, status, {"cache-control": "no-store"}, media_type="application/json")
