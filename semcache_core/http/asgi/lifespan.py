"""The ASGI lifespan: the cache opens at start-up and closes at shut-down, whether the application takes part or not."""

from __future__ import annotations

import logging

from semcache_core.errors import ConfigError, PluginError
from semcache_core.http.asgi.messages import App, Message, Receive, Scope, Send
from semcache_core.runtime.lifecycle import Lifecycle

_log = logging.getLogger("semcache.http")


async def run_lifespan(app: App, lifecycle: Lifecycle, scope: Scope, receive: Receive, send: Send) -> None:
    """Run one lifespan. A cache that is entered already is neither opened nor closed here."""
    startup = await receive()
    try:
        is_ours = await lifecycle.open()
    except (ConfigError, PluginError) as error:
        # The server prints the message and stops: a wrong configuration shows now, not at the first request.
        await send({"type": "lifespan.startup.failed", "message": f"semcache: {error}"})
        # As frameworks do: a test client that saw the end of the lifespan alone would wait for it at its shut-down.
        raise
    if not is_ours:
        await _Shared(app, None, receive, send).run(scope, startup)
        return
    try:
        await _Shared(app, lifecycle, receive, send).run(scope, startup)
    finally:
        await lifecycle.close()


class _Shared:
    """One lifespan with the application inside: its answers are passed on, and given for it where it gives none."""

    def __init__(self, app: App, lifecycle: Lifecycle | None, receive: Receive, send: Send) -> None:
        self._app, self._lifecycle, self._receive, self._send = app, lifecycle, receive, send
        self._startup: Message | None = None
        self._answered = False

    async def run(self, scope: Scope, startup: Message) -> None:
        self._startup = startup
        try:
            await self._app(scope, self.receive, self.send)
        except Exception:
            if self._answered:
                raise
            # An application that knows no lifespan says so by raising; only its log tells a broken one apart.
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
            # Before the message goes out: the server may end the process as soon as it has it.
            await self._lifecycle.close()
        await self._send(message)

    async def _answer_for_it(self) -> None:
        await self._send({"type": "lifespan.startup.complete"})
        while (await self._receive())["type"] != "lifespan.shutdown":
            pass
        await self.send({"type": "lifespan.shutdown.complete"})
