"""The middleware: a Starlette-style wrapper around the core's ASGI driver."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import Any

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from semcache_core.errors import ConfigError, PluginError
from semcache_core.http.asgi import SemanticCacheASGI
from semcache_core.http.route import Deployment
from semcache_core.library.cache import SemanticCache

Identity = Callable[[Request], str | None]


class SemanticCacheMiddleware:
    """Answers requests from the cache before they reach the application, and stores its answers.

    ``cache`` is a ``SemanticCache``, opened and closed with the application unless it is open already; ``config``
    configures one from a TOML file or a mapping. ``paths`` are path suffixes whose JSON requests with one of
    ``methods`` are cached; requests of the OpenAI chat protocol are recognised on any path. ``identity`` returns the
    caller, or None to bypass the cache; without it, credentials in the headers distinguish callers. ``pages=True`` adds
    the cache's own pages: ``/.semcache/health``, ``ready`` and ``stats``; a str sets their prefix.

    Invalid arguments and mistakes in ``config`` fail the application's start-up.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        cache: SemanticCache | None = None,
        config: str | PathLike[str] | Mapping[str, Any] | None = None,
        paths: Sequence[str] = (),
        methods: Sequence[str] = ("POST",),
        identity: Identity | None = None,
        pages: bool | str = False,
    ) -> None:
        self.app = app
        self._driver: ASGIApp
        try:
            _check(paths=paths, methods=methods, identity=identity)
            if cache is not None and config is not None:
                raise ConfigError(
                    "SemanticCacheMiddleware takes a cache or a config, not both: a cache has its own already"
                )
            self.cache = cache or SemanticCache(config)
            place = Deployment(paths=tuple(paths), methods=tuple(method.upper() for method in methods))
            self._driver = SemanticCacheASGI(
                app, cache=self.cache, deployment=place, identity=_by_scope(identity), pages=pages
            )
        except (ConfigError, PluginError, TypeError) as error:
            self._driver = _Refused(error)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or handle start-up and shutdown."""
        await self._driver(scope, receive, send)


class _Refused:
    """Replaces a cache that cannot be created, and fails the server's start-up with the reason.

    Starlette creates its middleware while the server starts. Servers treat an exception there as an application without
    lifespan support and continue; then every request gets a 500.
    """

    def __init__(self, error: ConfigError | PluginError | TypeError) -> None:
        self._error = error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            raise self._error.with_traceback(None)
        await receive()
        await send({"type": "lifespan.startup.failed", "message": f"semcache: {self._error}"})


def _check(*, paths: Sequence[str], methods: Sequence[str], identity: Identity | None) -> None:
    if isinstance(paths, str) or isinstance(methods, str):
        raise ConfigError('paths and methods are lists: paths=["/ask"], methods=["POST"]')
    for path in paths:
        if not path.startswith("/"):
            # As a suffix, "ask" would claim "/task" as well.
            raise ConfigError(f"paths: {path!r} does not begin with '/'; write {'/' + path!r}")
    if identity is not None and not callable(identity):
        raise ConfigError(
            "identity is a function of the request; header names stand in the configuration: http.identity"
        )


def _by_scope(identity: Identity | None) -> Callable[[Scope], str | None] | None:
    return None if identity is None else lambda scope: identity(Request(scope))
