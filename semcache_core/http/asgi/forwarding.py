"""The application's answer on its way to the caller: each message is recorded, then sent at once.

A caller whose answer others wait for may be slow, or gone: ``ResponseWriter`` keeps that from the others.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Coroutine, Iterable
from types import CoroutineType
from typing import Any

import msgspec

from semcache_core.engine.breakers import Resumed
from semcache_core.engine.call_chain import leading
from semcache_core.engine.flight import Flight
from semcache_core.errors import AnswerAborted
from semcache_core.http import headers as rules
from semcache_core.http.answer import Replace, UpstreamAnswer
from semcache_core.http.asgi.messages import App, Incoming, Message, Receive, Scope, Send, discard
from semcache_core.http.decoders import acceptable
from semcache_core.http.replay import Replay
from semcache_core.http.steps import Forward
from semcache_core.types import Entity, Headers

Sending = Coroutine[Any, Any, None]
_LATE, _MOST_LATE = 0.1, 20
"""Seconds in which a client whose buffer is full has to read some of it, if others wait for the same answer; and how
often they wait for that.
"""


def forward(app: App, step: Forward, scope: Scope, incoming: Incoming, send: Send) -> Sending:
    """Ask the application, and send what it answers. What it raises is raised here, after the waiters were let go."""
    answer = step.answer
    scope = {**scope, "headers": _acceptable(scope["headers"])}
    writer = ResponseWriter(send, answer.flight, answer.missed.request.route.policy.max_body)
    return Forwarding(app, scope, incoming, send, answer, writer).run()


def _acceptable(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [(name, acceptable(value)) if name == b"accept-encoding" else (name, value) for name, value in headers]


class Forwarding(Entity):
    """One call of the application, which answers one request."""

    app: App
    scope: Scope
    incoming: Incoming
    send: Send
    answer: UpstreamAnswer
    writer: ResponseWriter
    _replaced: bool = False
    """A stale answer was sent instead: what the application still says is dropped."""

    async def run(self) -> None:
        """Call the application. What it raises is raised here, after the waiters were let go."""
        answer, writer, incoming = self.answer, self.writer, self.incoming
        # The client may leave: the application gets the disconnect once no other request waits for its answer.
        incoming.held = answer.unshared
        try:
            with leading(answer.flight.link):
                await self.app(self.scope, incoming.receive, self._on_message)
            if writer.task is not None:
                await writer.finish()
            if writer.cut_off:
                raise AnswerAborted("the client read too slowly while equal requests waited for the same answer")
        except Exception:
            # Without a stale answer nothing is sent: the server makes its own answer of the exception, as ever.
            replay = await answer.fail()
            if replay is not None:
                self._replaced = True
                await send_replay(self.send, replay)
            raise
        finally:
            answer.close()
            if writer.task is not None:
                writer.close()
            # The answer is over: a disconnect is passed on at once.
            incoming.held = None

    def _on_message(self, message: Message) -> Awaitable[None]:
        """The application's ``send``."""
        kind = message["type"]
        if self._replaced:
            return discard(message)
        if kind == "http.response.body":
            return self._on_body(message)
        if kind == "http.response.start":
            return self._on_start(message)
        if kind != "http.response.debug":
            # Trailers, a file handed over by path: parts of the answer that never pass through here.
            self.answer.decline("not-recordable")
        return self.writer.put(message)

    async def _on_start(self, message: Message) -> None:
        # ASGI allows any iterable of headers, also one that can be walked once.
        sent = await self.answer.head(
            message["status"], message.get("headers") or (), trailers=bool(message.get("trailers"))
        )
        if isinstance(sent, Replace):
            self._replaced = True
            await send_replay(self.send, sent.replay)
        else:
            await self.writer.put({**message, "headers": sent})

    async def _on_body(self, message: Message) -> None:
        more = message.get("more_body", False)
        await self.answer.feed(bytes(message.get("body", b"")), more=more)
        await self.writer.put(message)
        if not more:
            await self.answer.end()


class Marking(Entity):
    """A ``send`` for a request that passes by: adds fields to the answer's head, removes what was for the cache."""

    _send: Send
    _fields: Headers

    async def send(self, message: Message) -> None:
        """Send one message of the application."""
        if message["type"] == "http.response.start":
            kept = rules.without(list(message.get("headers") or ()), rules.ANSWER_STRIPPED)
            message = {**message, "headers": [*kept, *self._fields]}
        await self._send(message)


async def send_replay(send: Send, replay: Replay) -> None:
    """Send an answer from the cache."""
    await send({"type": "http.response.start", "status": replay.status, "headers": replay.headers})
    chunks = replay.chunks
    for chunk in chunks[:-1]:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": chunks[-1], "more_body": False})


class Behind(Entity):
    """The application as the cache calls it: on no path does it get the fields that are meant for the cache."""

    _app: App

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Call the application, with the very same scope if there is nothing to remove."""
        had = scope.get("headers", ())
        headers = rules.for_application(had)
        return self._app(scope if headers is had else {**scope, "headers": headers}, receive, send)


class ResponseWriter(Entity):
    """Sends messages in order, without a task of its own until somebody waits for the answer while a send does."""

    _send: Send
    _flight: Flight[Any]
    _limit: int
    """Bytes that may wait here: beyond, ``put`` waits, or the client is cut off if others wait for the answer."""
    cut_off: bool = False
    """The client was too slow for those who wait for the same answer, and gets no more of it."""
    task: asyncio.Task[None] | None = None
    """What sends the rest, while something waits to be sent; or its failure, until ``finish`` raises it."""
    _waiting: deque[Message] = msgspec.field(default_factory=deque)
    _bytes: int = 0
    _turns: int = _MOST_LATE

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
            if flight.waiting and self._turns:
                self._turns -= 1
                await asyncio.wait((task,), timeout=_LATE)
            if not flight.waiting:
                await asyncio.shield(task)
            elif self._bytes > self._limit and not task.done():
                self.cut_off, self._send = True, discard
                self.close()

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
            # Read, so that asyncio does not log it: the request is over.
            task.exception()

    async def _sent_alone(self, sending: Sending, yielded: Any) -> Resumed | None:
        """Go on in the task that began the send, which has to leave what the send entered: a time limit, a context.

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
            # Cancelling a task cancels the future it waits for; the send then sees the outcome.
            awaited.cancel(*error.args)
            watched = (awaited,)
            continue
        if joined.done() and not awaited.done():
            return True
    return False
