"""The proxy as one ASGI app: the cache with its own pages around a forwarder, errors rendered outside both."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any

from starlette.types import Receive, Scope, Send

from semcache_core.errors import ConfigError
from semcache_core.http.asgi import SemanticCacheASGI
from semcache_core.http.route import Deployment
from semcache_core.library.cache import SemanticCache

from .edge import Edge
from .forward import Forward
from .gate import Gate
from .headers import Via
from .upstream import ForwardOptions, Upstream


class Proxy:
    """An ASGI app; ``cache`` is its cache, opened and closed with the server."""

    def __init__(self, upstream: Upstream, *, cache: SemanticCache, loopback: bool, forward: ForwardOptions) -> None:
        self.cache = cache
        place = Deployment(upstream=upstream.url, anonymous=loopback)
        cached = SemanticCacheASGI(Forward(upstream, options=forward), cache=cache, deployment=place, pages=True)
        via = Via(upstream.url)
        gate = Gate(cached, cache.config.http, injected=forward.injected, loopback=loopback, via=via)
        self._edge = Edge(gate)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request: with an own page, from the cache, or by forwarding it."""
        await self._edge(scope, receive, send)


def create_app(
    upstream: str,
    *,
    config: str | PathLike[str] | Mapping[str, Any] | None = None,
    cache: SemanticCache | None = None,
    loopback: bool = False,
    forward: ForwardOptions | None = None,
) -> Proxy:
    """Return the proxy in front of ``upstream`` (a URL) for an ASGI server to run.

    ``config`` is a TOML file or a mapping; without it and without ``cache``, the configuration is found as by
    ``SemanticCache()``. ``loopback=True`` means that only this machine can reach the server: then callers without a
    credential may use the cache, and the statistics are open. Raises ConfigError, PluginError.
    """
    if cache is not None and config is not None:
        raise ConfigError("create_app() takes a config or a cache, not both: a cache has its configuration already")
    return Proxy(
        Upstream.parse(upstream),
        cache=cache or SemanticCache(config),
        loopback=loopback,
        forward=forward or ForwardOptions(),
    )
