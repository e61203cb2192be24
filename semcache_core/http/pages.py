"""The cache's own pages, free of any transport: health, ready and statistics, under a prefix that no service uses."""

from __future__ import annotations

import os
import secrets
from typing import Any

import msgspec

from semcache_core.engine.readiness import OK
from semcache_core.errors import CacheUnavailable, ConfigError
from semcache_core.http.loopback import began_here, is_loopback
from semcache_core.http.status import may_debug
from semcache_core.library.cache import SemanticCache
from semcache_core.types import Headers, Quiet

PREFIX = "/.semcache/"

_METHODS = frozenset({"GET", "HEAD"})
_NOT_READY = {"status": "not ready", "cache": "not open yet"}
_worker: dict[int, str] = {}


class Page(Quiet, msgspec.Struct, frozen=True):
    """One answer: JSON that nobody keeps."""

    status: int
    body: bytes

    @property
    def headers(self) -> Headers:
        """The fields of its head."""
        return (
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(self.body)),
            (b"cache-control", b"no-store"),
        )


class Pages:
    """Answers the own pages of one cache.

    ``loopback``: whether only this machine can reach the server; None: the address that asks says so. Raises
    ConfigError for a prefix that is none.
    """

    def __init__(
        self,
        cache: SemanticCache,
        *,
        prefix: str = PREFIX,
        loopback: bool | None = None,
    ) -> None:
        if not prefix.startswith("/") or not prefix.strip("/"):
            raise ConfigError(f'pages= takes True or a path prefix such as "{PREFIX}", not {prefix!r}')
        self.prefix = f"/{prefix.strip('/')}/"
        self._lifecycle, self._cache, self._loopback = cache.lifecycle, cache, loopback

    async def answer(self, method: str, path: str, headers: Headers, *, client: str | None, http_version: str) -> Page:
        """Return the page at ``path``, which begins with the prefix. ``client`` is the address that asks."""
        if method not in _METHODS:
            return _refused(405, "own pages are only read", code="method_not_allowed")
        match path.removeprefix(self.prefix):
            case "health":
                return self._health()
            case "ready":
                return await self._ready()
            case "stats":
                is_here = is_loopback(client) if self._loopback is None else self._loopback
                return self._stats(is_here and began_here(headers, http_version=http_version), headers)
        return _refused(404, f"own pages: {self.prefix}health, ready, stats", code="not_found")

    def _health(self) -> Page:
        # Where no start-up opened the cache, or its store is down, a request opens it: the process is well either way.
        return _json(200, {"status": "ok", "cache": "open" if self._lifecycle.is_open else "not open yet"})

    async def _ready(self) -> Page:
        home = await self._lifecycle.reach()
        if home is None:
            return _json(503, _NOT_READY)
        try:
            states = await home.run(home.runtime.readiness.states())
        except CacheUnavailable:  # It was closed since.
            return _json(503, _NOT_READY)
        is_ready = all(state == OK for state in states.values())
        told = {"status": "ready" if is_ready else "not ready", "cache": "open", **states}
        return _json(200 if is_ready else 503, told)

    def _stats(self, is_here: bool, headers: Headers) -> Page:
        home = self._lifecycle.home
        if home is None:
            return _refused(503, "the cache has not been opened yet", code="not_open")
        token = home.runtime.config.http.debug_token
        if not is_here and not may_debug(headers, None if token is None else token.reveal()):
            told = "statistics want the debug token (http.debug_token) in Semcache-Debug"
            return _refused(403, told, code="forbidden")
        counted = self._cache.stats()
        more = {"requests": counted.requests, "hit_rate": counted.hit_rate, "worker": worker_id()}
        return _json(200, msgspec.to_builtins(counted) | more)


def worker_id() -> str:
    """Return what names this process among a server's workers: its number and a random text, new after a fork."""
    process = os.getpid()
    if process not in _worker:
        _worker.clear()
        _worker[process] = f"{process}-{secrets.token_hex(4)}"
    return _worker[process]


def _refused(status: int, message: str, *, code: str) -> Page:
    return _json(status, {"error": {"message": message, "type": "semcache", "param": None, "code": code}})


def _json(status: int, value: Any) -> Page:
    return Page(status, msgspec.json.encode(value))
