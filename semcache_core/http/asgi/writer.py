"""What goes to a caller whose answer others wait for, or may yet: its slow or broken connection is its own affair."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine, Iterable
from types import CoroutineType
from typing import Any

import msgspec

from semcache_core.engine.breakers import Resumed
from semcache_core.engine.single_flight import Flight
from semcache_core.http.asgi.messages import Message, Send, discard
from semcache_core.types import Entity

Sending = Coroutine[Any, Any, None]


class ResponseWriter(Entity):
    """Sends messages in order, without a task of its own until somebody waits for the answer while a send does."""

    _send: Send
    _flight: Flight[Any]
    _limit: int
    """Bytes that may wait here before ``put`` waits in any case."""
    task: asyncio.Task[None] | None = None
    """What sends the rest, while there is something that has yet to be sent; or what failed to, until that is told."""
    _waiting: deque[Message] = msgspec.field(default_factory=deque)
    _bytes: int = 0

    async def put(self, message: Message) -> None:
        """Send ``message`` after those before it. While others wait for the answer this returns at once."""
        flight = self._flight
        begun: Resumed | None = None
        if self.task is None and not flight.waiting:
            sending = self._send(message)
            if not flight.open or not isinstance(sending, CoroutineType):
                await sending
                return
            try:
                # Most sends only write to a buffer: those are over after their first step.
                yielded = sending.send(None)
            except StopIteration:
                return
            begun = await self._sent_alone(sending, yielded)
            if begun is None:
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
            await self.finish()
        elif self._bytes > self._limit:
            await asyncio.shield(task)

    async def finish(self) -> None:
        """Return when everything was sent. Raises what a send did since it was last asked for."""
        task = self.task
        if task is not None:
            try:
                await task
            finally:
                if task.done():
                    self.task = None

    def close(self) -> None:
        """Send no more: the request is over."""
        task, self.task = self.task, None
        if task is not None and not task.cancel() and not task.cancelled():
            # Nobody is left to be told.
            task.exception()

    async def _sent_alone(self, sending: Sending, yielded: Any) -> Resumed | None:
        """Send on in the task that began to, which is who has to leave what the send entered: a time limit, a context.

        Return what is left of it once somebody waits for the answer; None: it is sent.
        """
        joined = self._flight.joined()
        try:
            while True:
                try:
                    if await _comes_first(yielded, joined):
                        break
                except BaseException as error:  # noqa: BLE001  whatever is thrown in is the send's to see
                    yielded = sending.throw(error)
                else:
                    yielded = sending.send(None)
        except StopIteration:
            return None
        except OSError:
            self._send = discard
            if not self._flight.waiting:
                raise
            return None
        return Resumed(sending, yielded)

    async def _drain(self, begun: Resumed | None) -> None:
        try:
            if begun is not None:
                await begun
            while self._waiting:
                message = self._waiting.popleft()
                await self._send(message)
                self._bytes -= len(message.get("body", b""))
        except OSError:
            # The client is gone, as ASGI 2.4 servers say it. If others wait, the application need not know.
            self._send = discard
            if not self._flight.waiting:
                raise
        finally:
            self._waiting.clear()
            self._bytes = 0
        self.task = None


async def _comes_first(awaited: Any, joined: asyncio.Future[None]) -> bool:
    """Wait for what a coroutine yielded, as its task would; return whether ``joined`` is done before it."""
    if awaited is None:
        await asyncio.sleep(0)
        return False
    watched: Iterable[asyncio.Future[Any]] = (awaited, joined)
    while not awaited.done():
        try:
            await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError as error:
            # To cancel who waits for a future cancels the future; the send then sees what has come of that.
            awaited.cancel(*error.args)
            watched = (awaited,)
            continue
        if joined.done() and not awaited.done():
            return True
    return False
