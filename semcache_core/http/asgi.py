"""The pure-ASGI driver: answers from the cache before the application is asked, and records what it answers.

    app = SemanticCacheASGI(app, cache=cache)

It stands between the server and any ASGI application. What no extractor claims goes through with the very same
``receive`` and ``send``. Put it inside whatever authenticates: a hit is answered before anything that it wraps.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from semcache_core.errors import NotOpenError, WrongLoopError
from semcache_core.http.lifespan import Keeper, live
from semcache_core.http.messages import App, Receive, Scope, Send
from semcache_core.http.responder import respond
from semcache_core.http.site import Desk, Place, Site

if TYPE_CHECKING:
    from semcache_core.cache import SemanticCache

_log = logging.getLogger("semcache.http")

_ANYWHERE = Place()
# What RFC 3986 lets stand in a path, and "%": what is encoded already is not encoded again.
_PATH_SAFE = "/:@!$&'()*+,;=-._~%"

Identify = Callable[[Scope], str | None]


class SemanticCacheASGI:
    """ASGI middleware. ``cache`` is opened at the server's start-up, or at the first request where no start-up comes.
    While something that it needs is down, requests pass uncached; a wrong configuration stops the start.

    ``place`` says where it stands (a proxy names its upstream). ``identity`` returns the caller's name from the ASGI
    scope, None for nobody; no header then tells callers apart. A cache that is open already is left to who opened it.
    """

    def __init__(
        self, app: App, *, cache: SemanticCache, place: Place = _ANYWHERE, identity: Identify | None = None
    ) -> None:
        self.app = app
        self.cache = cache
        self._place = place if identity is None else msgspec.structs.replace(place, by_application=True)
        self._identify = identity
        self._desk: Desk | None = None
        self._keeper = Keeper(cache)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request from the cache or the application; take part in the server's start-up and shut-down."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await live(self.app, self._keeper, scope, receive, send)
            else:
                await self.app(scope, receive, send)
            return
        try:
            site: Site | None = self.cache.http
        except (NotOpenError, WrongLoopError):
            site = await self._keeper.site()
        if site is None:
            await self.app(scope, receive, send)
            return
        desk = self._desk
        if desk is None or desk.site is not site:
            desk = self._desk = site.desk(self._place)
        # A server need not tell the raw path; then what it decoded is encoded again.
        path: bytes = scope.get("raw_path") or quote(scope["path"], safe=_PATH_SAFE).encode("ascii")
        route = desk.resolve(scope["method"], path)
        if route is None:
            await self.app(scope, receive, send)
            return
        who = None if self._identify is None else _named(self._identify, scope)
        await respond(self.app, desk, route, scope, receive, send, path=path, who=who)


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
