"""The ASGI life cycle: the cache opens at start-up and closes at shut-down, application or not."""

from __future__ import annotations

import logging
import time

from semcache_core.errors import ConfigError, PluginError, SemcacheError
from semcache_core.http.asgi.messages import App, Message, Receive, Scope, Send
from semcache_core.library.cache import SemanticCache
from semcache_core.runtime.opening import OPENING, Runtime

_log = logging.getLogger("semcache.http")

_PAUSE = 10.0
"""Seconds without a new try after the cache could not be opened."""


class CacheLifecycle:
    """Opens one cache for a driver, and tries again later where something behind it is down.

    Only what is misconfigured is an error to the application: it would be wrong at the next try as well.
    """

    def __init__(self, cache: SemanticCache) -> None:
        self.cache = cache
        self._not_before = 0.0
        self._told = False
        self._closes = False

    async def start(self) -> None:
        """Open the cache at the server's start-up; whatever it needs may be down. Raises ConfigError, PluginError."""
        # Also a cache that opens later may then work in the background: a shut-down is going to close it.
        self._closes = True
        try:
            await self.cache.__aenter__()
        except (ConfigError, PluginError):
            raise
        except Exception as error:  # noqa: BLE001  the edge to plugin code, which may raise anything as it opens
            self._is_down(error)

    async def stop(self) -> None:
        """Close the cache at the server's shut-down, however it was opened. Harmless twice."""
        self._closes = False
        await self.cache.__aexit__(None, None, None)

    async def runtime(self) -> Runtime | None:
        """Return the HTTP side of a cache that is not open here yet; None where it cannot serve and nothing is ours.

        Raises ConfigError, PluginError.
        """
        if time.monotonic() < self._not_before:
            return None
        try:
            runtime = await self.cache.attach(background=self._closes)
        except (ConfigError, PluginError):
            raise
        except Exception as error:  # noqa: BLE001  the edge to plugin code, which may raise anything as it opens
            self._is_down(error)
            return None
        if self._told and runtime is not None:
            self._told = False
            _log.info("the cache is open")
        return runtime

    def _is_down(self, error: Exception) -> None:
        # Whatever the cache needs is down: that must not cost every request a try, nor every try a warning.
        self._not_before = time.monotonic() + _PAUSE
        if not self._told:
            self._told = True
            # What a library says of its own may hold a password; what a component says on purpose names the remedy.
            told = f": {error}" if isinstance(error, SemcacheError) else _noted(error)
            why = type(error).__name__ + told
            _log.warning("the cache cannot be opened (%s): requests pass uncached until it can be", why)


def _noted(error: Exception) -> str:
    """Return which component was being opened, as ``open_cache`` has noted. Other notes are a library's own text."""
    return next((f" {note}" for note in getattr(error, "__notes__", ()) if note.startswith(OPENING)), "")


async def live(app: App, keeper: CacheLifecycle, scope: Scope, receive: Receive, send: Send) -> None:
    """Run one lifespan. A cache that is open already is neither opened nor closed here."""
    startup = await receive()
    if keeper.cache.is_open:
        await _Shared(app, None, receive, send).run(scope, startup)
        return
    try:
        await keeper.start()
    except (ConfigError, PluginError) as error:
        # The server prints the message and stops: what is misconfigured is told now, not at the first request.
        await send({"type": "lifespan.startup.failed", "message": f"semcache: {error}"})
        return
    try:
        await _Shared(app, keeper, receive, send).run(scope, startup)
    finally:
        await keeper.stop()


class _Shared:
    """One lifespan with the application inside: its answers are passed on, and given for it where it gives none."""

    def __init__(self, app: App, keeper: CacheLifecycle | None, receive: Receive, send: Send) -> None:
        self._app, self._lifecycle, self._receive, self._send = app, keeper, receive, send
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
        if message["type"].startswith("lifespan.shutdown") and self._lifecycle is not None:
            # Before the server is told: it may end the process as soon as it hears.
            await self._lifecycle.stop()
        await self._send(message)

    async def _answer_for_it(self) -> None:
        await self._send({"type": "lifespan.startup.complete"})
        while (await self._receive())["type"] != "lifespan.shutdown":
            pass
        await self.send({"type": "lifespan.shutdown.complete"})
