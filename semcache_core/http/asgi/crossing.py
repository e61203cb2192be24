"""A request on another event loop than the cache's home: decided there, while the application stays where it is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from semcache_core.http.asgi.messages import App, Message, Receive, Scope, Send
from semcache_core.runtime.outcome import Outcome, outcome_of

T = TypeVar("T")


class Crossing:
    """One request's application, ``receive`` and ``send``, as the home loop calls them. Made on the server's loop."""

    def __init__(self, app: App, receive: Receive, send: Send) -> None:
        self._app, self._receive, self._send = app, receive, send
        self._loop = asyncio.get_running_loop()
        self.has_begun = False
        """Whether the home loop has taken the request up."""

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application on the server's loop; what it receives and sends comes from the home loop."""
        home = asyncio.get_running_loop()

        async def receive_there() -> Message:
            return await _on(home, receive)

        async def send_there(message: Message) -> None:
            await _on(home, send, message)

        await _on(self._loop, self._app, scope, receive_there, send_there)

    async def receive(self) -> Message:
        """Receive on the server's loop."""
        self.has_begun = True
        return await _on(self._loop, self._receive)

    async def send(self, message: Message) -> None:
        """Send on the server's loop."""
        await _on(self._loop, self._send, message)


async def _on(loop: asyncio.AbstractEventLoop, function: Callable[..., Awaitable[T]], *arguments: Any) -> T:
    async def call() -> Outcome[T]:
        return await outcome_of(function(*arguments))

    calling = call()
    try:
        future = asyncio.run_coroutine_threadsafe(calling, loop)
    except RuntimeError:  # That loop has ended.
        calling.close()
        raise
    return (await asyncio.wrap_future(future)).unwrap()
