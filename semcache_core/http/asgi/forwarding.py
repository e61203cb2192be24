"""The application's answer on its way to the caller: each message is recorded, then sent at once."""

from __future__ import annotations

from collections.abc import Awaitable

from semcache_core.http import headers as rules
from semcache_core.http.answer import Replace, UpstreamAnswer
from semcache_core.http.asgi.messages import App, Incoming, Message, Scope, Send, discard
from semcache_core.http.asgi.writer import ResponseWriter
from semcache_core.http.replay import Replay
from semcache_core.types import Entity, Headers


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
        """Call the application. What it raises is raised here, after every waiter was told."""
        answer, writer, incoming = self.answer, self.writer, self.incoming
        # The client may leave: the application hears of it once nobody else waits for its answer.
        incoming.held = answer.unshared
        try:
            await self.app(self.scope, incoming.receive, self._on_message)
            if writer.task is not None:
                await writer.finish()
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
            # The answer is over: whoever still listens for the client hears of it at once.
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


def without_directives(scope: Scope) -> Scope:
    """Return the scope for the application, without the fields that are meant for the cache."""
    headers = scope["headers"]
    if rules.REQUEST_STRIPPED.isdisjoint([name for name, _ in headers]):
        return scope
    return {**scope, "headers": rules.without(headers, rules.REQUEST_STRIPPED)}
