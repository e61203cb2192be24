"""The ASGI life cycle: the cache opens at start-up and closes at shut-down, application or not."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from semcache_core.errors import SemcacheError
from semcache_core.http.messages import App, Message, Receive, Scope, Send

if TYPE_CHECKING:
    from semcache_core.cache import SemanticCache

_log = logging.getLogger("semcache.http")


async def live(app: App, cache: SemanticCache, scope: Scope, receive: Receive, send: Send) -> None:
    """Run one lifespan. A cache that is open already is neither opened nor closed here."""
    startup = await receive()
    if cache.is_open:
        await _Shared(app, None, receive, send).run(scope, startup)
        return
    try:
        await cache.__aenter__()
    except SemcacheError as error:
        # The server prints the message and stops: what is misconfigured is told now, not at the first request.
        await send({"type": "lifespan.startup.failed", "message": f"semcache: {error}"})
        return
    try:
        await _Shared(app, cache, receive, send).run(scope, startup)
    finally:
        await cache.__aexit__(None, None, None)


class _Shared:
    """One lifespan with the application inside: its answers are passed on, and given for it where it gives none."""

    def __init__(self, app: App, cache: SemanticCache | None, receive: Receive, send: Send) -> None:
        self._app, self._cache, self._receive, self._send = app, cache, receive, send
        self._startup: Message | None = None
        self._answered = False

    async def run(self, scope: Scope, startup: Message) -> None:
        self._startup = startup
        try:
            await self._app(scope, self.receive, self.send)
        except Exception:
            if self._answered:
                raise
            # An application that knows no lifespan says so by raising; a broken one has to be told from it by its log.
            _log.debug("the application refused the lifespan", exc_info=True)
        if not self._answered:
            await self._answer_for_it()

    async def receive(self) -> Message:
        if self._startup is not None:
            startup, self._startup = self._startup, None
            return startup
        return await self._receive()

    async def send(self, message: Message) -> None:
        self._answered = True
        if message["type"].startswith("lifespan.shutdown") and self._cache is not None:
            # Before the server is told: it may end the process as soon as it hears.
            await self._cache.__aexit__(None, None, None)
        await self._send(message)

    async def _answer_for_it(self) -> None:
        await self._send({"type": "lifespan.startup.complete"})
        while (await self._receive())["type"] != "lifespan.shutdown":
            pass
        await self.send({"type": "lifespan.shutdown.complete"})
