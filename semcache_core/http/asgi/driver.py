"""The pure-ASGI driver: answers from the cache before the application is asked, and records what it answers.

    app = SemanticCacheASGI(app, cache=cache)

It stands between the server and any ASGI application. What no extractor claims goes through with the very same
``receive`` and ``send``. Put it inside whatever authenticates: a hit is answered before anything that it wraps.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from urllib.parse import quote

import msgspec

from semcache_core.http.asgi.crossing import Crossing
from semcache_core.http.asgi.lifespan import run_lifespan
from semcache_core.http.asgi.messages import App, Receive, Scope, Send
from semcache_core.http.context import DriverContext
from semcache_core.http.responder import respond
from semcache_core.http.route import Deployment
from semcache_core.library.cache import SemanticCache

_log = logging.getLogger("semcache.http")

_ANYWHERE = Deployment()
# What RFC 3986 lets stand in a path, and "%": what is encoded already is not encoded again.
_PATH_SAFE = "/:@!$&'()*+,;=-._~%"

Identify = Callable[[Scope], str | None]


class SemanticCacheASGI:
    """ASGI middleware. ``cache`` is opened at the server's start-up, or at the first request where no start-up comes,
    then on a loop of its own. While something that it needs is down, requests pass uncached; a wrong configuration
    stops the start.

    ``place`` says where it stands (a proxy names its upstream). ``identity`` returns the caller's name from the ASGI
    scope, None for nobody; no header then tells callers apart. A cache that is entered already is closed where it was
    entered.
    """

    def __init__(
        self, app: App, *, cache: SemanticCache, place: Deployment = _ANYWHERE, identity: Identify | None = None
    ) -> None:
        self.app = app
        self.cache = cache
        self._place = place if identity is None else msgspec.structs.replace(place, by_application=True)
        self._identify = identity
        self._context: DriverContext | None = None
        self._lifecycle = cache.lifecycle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request from the cache or the application; take part in the server's start-up and shut-down."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await run_lifespan(self.app, self._lifecycle, scope, receive, send)
            else:
                await self.app(scope, receive, send)
            return
        runtime, home = self._lifecycle.here(), None
        if runtime is None:
            home = await self._lifecycle.reach()
            if home is None:
                await self.app(scope, receive, send)
                return
            runtime = home.runtime
        context = self._context
        if context is None or context.runtime is not runtime:
            context = self._context = DriverContext(runtime, self._place)
        # A server need not tell the raw path; then what it decoded is encoded again.
        path: bytes = scope.get("raw_path") or quote(scope["path"], safe=_PATH_SAFE).encode("ascii")
        route = context.resolve(scope["method"], path)
        if route is None:
            await self.app(scope, receive, send)
            return
        who = None if self._identify is None else _named(self._identify, scope)
        if home is None or home.is_here:
            await respond(self.app, context, route, scope, receive, send, path=path, who=who)
        else:
            there = Crossing(self.app, receive, send)
            await home.run(respond(there.app, context, route, scope, there.receive, there.send, path=path, who=who))


def _named(identify: Identify, scope: Scope) -> str | None:
    try:
        who = identify(scope)
    except Exception as error:  # noqa: BLE001  the edge to the application's code
        # A caller who cannot be told from others is nobody: the request bypasses the cache.
        _log.warning("identity() raised %s: the request bypasses the cache", type(error).__name__)
        return None
    if who is None or isinstance(who, str):
        return who
    # A number that an ORM gave, or the coroutine of an async function.
    _log.warning("identity() returned %s, not str or None: the request bypasses the cache", type(who).__name__)
    return None
