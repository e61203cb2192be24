"""The pure-WSGI driver (PEP 3333): answers from the cache before the application is asked, and records what it answers.

    app = SemanticCacheWSGI(app, cache=cache)

The cache lives on a home loop in a thread of its own; a worker thread crosses over to it for each step. Put it inside
whatever authenticates: a hit is answered before anything that it wraps.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator, Iterable
from contextlib import suppress
from typing import Any

import msgspec

from semcache_core.errors import CacheUnavailable
from semcache_core.http import headers as rules
from semcache_core.http.callers import caller_name
from semcache_core.http.context import DriverContext
from semcache_core.http.exchange import Exchange
from semcache_core.http.route import Deployment
from semcache_core.http.steps import Follow, Forward, Pass, Serve, Step, Wait
from semcache_core.http.wsgi.environ import (
    Environ,
    for_application,
    head_of,
    raw_path,
    read_body,
    with_acceptable_codings,
    without_body,
)
from semcache_core.http.wsgi.forwarding import App, Forwarding, StartResponse, Write, encoded, sent_fields, status_line
from semcache_core.library.cache import SemanticCache
from semcache_core.runtime.home import Home
from semcache_core.types import Headers

_ANYWHERE = Deployment()

Identify = Callable[[Environ], str | None]


class SemanticCacheWSGI:
    """WSGI middleware. The cache opens at the first request, so a server may fork its workers before; while something
    that it needs is down, requests pass uncached.

    ``deployment`` says where it stands. ``identity`` returns the caller's name from the environ, None for nobody; no
    header then tells callers apart. Raises ConfigError, PluginError: a wrong configuration stops the start.
    """

    def __init__(
        self,
        app: App,
        *,
        cache: SemanticCache,
        deployment: Deployment = _ANYWHERE,
        identity: Identify | None = None,
    ) -> None:
        cache.check()
        self.app = app
        self.cache = cache
        by_application = identity is not None
        self._deployment = msgspec.structs.replace(deployment, by_application=True) if by_application else deployment
        self._identify = identity
        self._context: DriverContext | None = None

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request from the cache or the application."""
        home = self.cache.lifecycle.reach_blocking()
        if home is None:
            return self._inner(environ, start_response)
        context = self._context
        if context is None or context.runtime is not home.runtime:
            context = self._context = DriverContext(home.runtime, self._deployment)
        path = raw_path(environ)
        route = context.resolve(environ["REQUEST_METHOD"], path)
        if route is None:
            return self._inner(environ, start_response)
        who = None if self._identify is None else caller_name(self._identify, environ)
        head = head_of(environ, path, who)
        if head is None:
            return self._inner(environ, start_response)
        exchange = Exchange(context, route, head, context.engine.clock())
        body, environ = read_body(environ, most=route.policy.max_body)
        try:
            step: Step = home.run_blocking(exchange.open(body), abandon=exchange.abandon)
            while isinstance(step, Wait):
                step = home.run_blocking(exchange.wait(step), abandon=exchange.abandon)
        except CacheUnavailable:  # It was closed since.
            return self._inner(environ, start_response)
        return self._answered(step, exchange, home, environ, start_response)

    def _inner(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Call the application: on no path does it get the fields that are meant for the cache."""
        return self.app(for_application(environ), start_response)

    def _recorded(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        return self._inner(with_acceptable_codings(environ), start_response)

    def _answered(
        self, step: Step, exchange: Exchange, home: Home, environ: Environ, start_response: StartResponse
    ) -> Iterable[bytes]:
        if isinstance(step, Serve):
            start_response(status_line(step.replay.status), encoded(step.replay.headers))
            if step.stale is not None:
                self._refresh(step, exchange, home, environ)
            return step.replay.chunks
        if isinstance(step, Follow):
            start_response(status_line(step.status), encoded(step.headers))
            return _followed(step.pieces, home)
        if isinstance(step, Forward):
            return Forwarding(self._recorded, environ, start_response, home, step.answer)
        assert isinstance(step, Pass)  # noqa: S101
        if step.fields is None:
            return self._inner(environ, start_response)
        return self._inner(environ, _marking(start_response, step.fields))

    def _refresh(self, step: Serve, exchange: Exchange, home: Home, environ: Environ) -> None:
        """Ask the application for a new answer in place of a stale one, in a thread and without a client."""
        try:
            again = home.run_blocking(exchange.refresh(step), abandon=exchange.abandon)
        except CacheUnavailable:  # It was closed since.
            return
        if again is not None:
            environ = without_body(environ, again.answer.missed.request.body)
            Forwarding(self._recorded, environ, _discard, home, again.answer).drain()


def _followed(pieces: AsyncGenerator[bytes, None], home: Home) -> Generator[bytes, None, None]:
    """Yield the pieces of an answer that an equal request shares. Raises AnswerAborted where it breaks off."""
    try:
        while (piece := home.run_blocking(_next(pieces))) is not None:
            yield piece
    finally:
        with suppress(CacheUnavailable):
            home.run_blocking(pieces.aclose())


async def _next(pieces: AsyncGenerator[bytes, None]) -> bytes | None:
    return await anext(pieces, None)


def _marking(start_response: StartResponse, fields: Headers) -> StartResponse:
    """Return a ``start_response`` that adds fields to the answer's head and removes what was for the cache."""

    def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Write:
        kept = rules.without(sent_fields(headers), rules.ANSWER_STRIPPED)
        return start_response(status, encoded([*kept, *fields]), exc_info)

    return start


def _discard(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Write:
    """The ``start_response`` of a request without a client."""
    return lambda _: None
