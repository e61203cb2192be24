"""What goes to a caller whose answer others wait for, or may yet: its slow or broken connection is its own affair."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine
from types import CoroutineType
from typing import Any

import msgspec

from semcache_core.deadlines import Resumed
from semcache_core.flights import Flight
from semcache_core.http.messages import Message, Send, nowhere
from semcache_core.types import Entity


class Outbox(Entity):
    """Sends messages in order, without a task of its own until a send has to wait while somebody else could too."""

    _send: Send
    _flight: Flight[Any]
    _limit: int
    """Bytes that may wait here before ``put`` waits in any case."""
    task: asyncio.Task[None] | None = None
    """What sends the rest, while there is something that has yet to be sent."""
    _waiting: deque[Message] = msgspec.field(default_factory=deque)
    _bytes: int = 0

    async def put(self, message: Message) -> None:
        """Send ``message`` after those before it. While others wait for the answer this returns at once."""
        flight = self._flight
        begun: Coroutine[Any, Any, None] | None = None
        if self.task is None and not flight.waiting:
            sending = self._send(message)
            if not flight.open or not isinstance(sending, CoroutineType):
                await sending
                return
            try:
                # Most sends only write to a buffer: those are over after their first step, and need no task.
                begun = _rest(sending, sending.send(None))
            except StopIteration:
                return
        else:
            self._waiting.append(message)
            self._bytes += len(message.get("body", b""))
        if self.task is None:
            self.task = asyncio.create_task(self._drain(begun))
        task = self.task
        if not flight.waiting:
            # The caller's own pace is the application's, until somebody else comes.
            await asyncio.wait((task, flight.joined()), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                task.result()
        if self._bytes > self._limit:
            await asyncio.shield(task)

    async def finish(self) -> None:
        """Return when everything was sent, or the client turned out to be gone."""
        if self.task is not None:
            await self.task

    def close(self) -> None:
        """Send no more: the request is over."""
        if self.task is not None:
            self.task.cancel()

    async def _drain(self, begun: Coroutine[Any, Any, None] | None) -> None:
        try:
            if begun is not None:
                await begun
            while self._waiting:
                message = self._waiting.popleft()
                await self._send(message)
                self._bytes -= len(message.get("body", b""))
        except OSError:
            # The client is gone, as ASGI 2.4 servers say it. If others wait, the application need not know.
            self._send = nowhere
            self._waiting.clear()
            self._bytes = 0
            if not self._flight.waiting:
                raise
        finally:
            self.task = None


async def _rest(sending: Coroutine[Any, Any, None], yielded: Any) -> None:
    await Resumed(sending, yielded)
