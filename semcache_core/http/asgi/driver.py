"""The pure-ASGI driver: answers from the cache before the application is asked, and records what it answers.

    app = SemanticCacheASGI(app, cache=cache)

It stands between the server and any ASGI application. What no extractor claims goes through with the very same
``receive`` and ``send``. Put it inside whatever authenticates: a hit is answered before anything that it wraps.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import aclosing, suppress
from typing import Any
from urllib.parse import quote

import msgspec

from semcache_core.errors import CacheUnavailable
from semcache_core.http.asgi.crossing import Crossing
from semcache_core.http.asgi.forwarding import Behind, Marking, forward, send_replay
from semcache_core.http.asgi.lifespan import run_lifespan
from semcache_core.http.asgi.messages import App, Incoming, Receive, Scope, Send, discard, replayed_request
from semcache_core.http.asgi.pages import OwnPages
from semcache_core.http.callers import caller_name
from semcache_core.http.context import DriverContext
from semcache_core.http.exchange import Exchange
from semcache_core.http.pages import PREFIX, Pages
from semcache_core.http.request import RequestHead
from semcache_core.http.route import Deployment
from semcache_core.http.steps import Follow, Forward, Pass, Serve, Step, Wait
from semcache_core.library.cache import SemanticCache
from semcache_core.runtime.opening import Runtime
from semcache_core.types import Headers

_ANYWHERE = Deployment()
# What RFC 3986 lets stand in a path, and "%": what is encoded already is not encoded again.
_PATH_SAFE = "/:@!$&'()*+,;=-._~%"

Identify = Callable[[Scope], str | None]


class SemanticCacheASGI:
    """ASGI middleware. ``cache`` is opened at the server's start-up, or at the first request where no start-up comes,
    then on a loop of its own. While something that it needs is down, requests pass uncached; a wrong configuration
    stops the start.

    ``deployment`` says where it stands (a proxy names its upstream). ``identity`` returns the caller's name from the
    ASGI scope, None for nobody; no header then tells callers apart. ``pages``: also answer the cache's own pages, under
    ``/.semcache/`` or the prefix given. A cache that is entered already is closed where it was entered.
    """

    def __init__(
        self,
        app: App,
        *,
        cache: SemanticCache,
        deployment: Deployment = _ANYWHERE,
        identity: Identify | None = None,
        pages: bool | str = False,
    ) -> None:
        self.app = app
        self._inner = Behind(app)
        self.cache = cache
        by_application = identity is not None
        self._deployment = msgspec.structs.replace(deployment, by_application=True) if by_application else deployment
        self._identify = identity
        self._context: DriverContext | None = None
        self._lifecycle = cache.lifecycle
        self._pages: OwnPages | None = None
        if pages:
            prefix = PREFIX if pages is True else pages
            # A proxy knows where it listens; an application does not.
            loopback = deployment.anonymous if deployment.upstream else None
            self._pages = OwnPages(Pages(cache, prefix=prefix, loopback=loopback))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request from the cache or the application; take part in the server's start-up and shut-down."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await run_lifespan(self._begin, self._lifecycle, scope, receive, send)
            else:
                await self._inner(scope, receive, send)
            return
        runtime, home = self._lifecycle.here(), None
        if runtime is None:
            if self._pages is not None and self._pages.claims(scope):
                await self._pages.send(scope, send)
                return
            home = await self._lifecycle.reach()
            if home is None:
                await self._inner(scope, receive, send)
                return
            runtime = home.runtime
        context = self._context
        if context is None or context.runtime is not runtime:
            context = self._made_for(runtime)
        # A server need not tell the raw path; then what it decoded is encoded again.
        path: bytes = scope.get("raw_path") or quote(scope["path"], safe=_PATH_SAFE).encode("ascii")
        route = context.resolve(scope["method"], path)
        if route is None:
            if self._pages is not None and self._pages.claims(scope):
                await self._pages.send(scope, send)
            else:
                await self._inner(scope, receive, send)
            return
        who = None if self._identify is None else caller_name(self._identify, scope)
        head = RequestHead(
            scope["method"],
            scope.get("scheme", "http"),
            scope.get("root_path", ""),
            path,
            scope.get("query_string", b""),
            _fields(scope),
            who,
            scope.get("http_version", "1.1"),
        )
        exchange = Exchange(context, route, head, context.engine.clock())
        if home is None or home.is_here:
            await _respond(self._inner, exchange, scope, receive, send)
        else:
            there = Crossing(self._inner, receive, send)
            try:
                await home.run(_respond(there.app, exchange, scope, there.receive, there.send))
            except CacheUnavailable:
                if there.has_begun:
                    raise
                # It was closed since: the request passes uncached.
                await self._inner(scope, receive, send)

    async def _begin(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application's lifespan. The cache is open by now, so its notices come before the first request."""
        runtime = self._lifecycle.here()
        if runtime is not None:
            self._made_for(runtime)
        await self.app(scope, receive, send)

    def _made_for(self, runtime: Runtime) -> DriverContext:
        self._context = context = DriverContext(runtime, self._deployment)
        return context


def _fields(scope: Scope) -> Headers:
    """Return the request's fields, and the client's certificate if the server tells it (ASGI's TLS extension).

    No header of a client can have such a name.
    """
    headers = tuple(scope["headers"])
    tls = (scope.get("extensions") or {}).get("tls")
    if not tls:
        return headers
    told = (*(tls.get("client_cert_chain") or ()), tls.get("client_cert_name") or "")
    return (*headers, (b":client-cert", told[0].encode())) if told[0] else headers


async def _respond(app: App, exchange: Exchange, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one claimed request: from the cache, from an equal request's flight, or from the application."""
    first = await receive()
    incoming = Incoming(receive, [first])
    if first["type"] == "http.request" and not first.get("more_body", False):
        body: bytes | None = first.get("body", b"")
    else:
        body = await incoming.rest(most=exchange.route.policy.max_body, announced=_announced(scope["headers"]))
    step: Step | None = await exchange.open(body)
    while isinstance(step, Wait):
        step = await _while_connected(incoming, _shared(exchange, step, send))
    if isinstance(step, Serve):
        await send_replay(send, step.replay)
        if step.stale is not None:
            await _refresh(app, exchange, step, scope)
    elif isinstance(step, Forward):
        await forward(app, step, scope, incoming, send)
    elif isinstance(step, Pass):
        if step.fields is None:
            await app(scope, incoming.receive, send)
        else:
            await app(scope, incoming.receive, Marking(send, step.fields).send)
    else:
        # The caller has its answer, or has left; it may have left in the moment in which it was to lead.
        exchange.close()


async def _refresh(app: App, exchange: Exchange, step: Serve, scope: Scope) -> None:
    """Ask the application for a new answer in place of a stale one, in the background and without a client."""
    again = await exchange.refresh(step)
    if again is not None:
        incoming = replayed_request(again.answer.missed.request.body)
        exchange.context.engine.spawn(forward(app, again, dict(scope), incoming, discard))


async def _shared(exchange: Exchange, step: Wait, send: Send) -> Step | None:
    """Send the answer that an equal request shares; return what to do instead where there is none to share."""
    followed = await exchange.wait(step)
    if not isinstance(followed, Follow):
        return followed
    async with aclosing(followed.pieces) as pieces:
        await send({"type": "http.response.start", "status": followed.status, "headers": followed.headers})
        async for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
    return None


async def _while_connected(incoming: Incoming, work: Coroutine[Any, Any, Step | None]) -> Step | None:
    """Return what ``work`` does, None if the client leaves before it: such a caller must not keep the flight alive."""
    leaving = asyncio.ensure_future(incoming.left())
    try:
        async with asyncio.timeout(None) as deadline:
            leaving.add_done_callback(lambda _: None if leaving.cancelled() else _expire(deadline))
            return await work
    except TimeoutError:
        if not deadline.expired():
            raise
        return None
    finally:
        leaving.cancel()


def _expire(deadline: asyncio.Timeout) -> None:
    # The client may disconnect just as the answer completes; the timeout is then already closed.
    with suppress(RuntimeError):
        deadline.reschedule(asyncio.get_running_loop().time())


def _announced(headers: Sequence[tuple[bytes, bytes]]) -> int | None:
    for name, value in headers:
        if name == b"content-length":
            # No length has more than 20 digits, and Python refuses to read thousands of them.
            return int(value) if value.isdigit() and len(value) <= 20 else None
    return None
