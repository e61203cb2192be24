"""ASGI's own types, and a request's messages: read once for the key, then handed to the application as they came."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from semcache_core.types import Entity

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_GONE = "http.disconnect"
_MOST_APART = 256
"""Messages of one body that are kept as they came."""


class Incoming(Entity):
    """A request's body. The application receives the messages that were sent, then waits for the disconnect.

    They are the very same ones, unless there are hundreds: then some come joined.
    """

    _receive: Receive
    _messages: list[Message]
    """What was received and not yet handed on; the first one to begin with."""
    _at: int = 0
    gone: bool = False
    """Whether the client is known to have left."""
    held: Callable[[], Awaitable[None]] | None = None
    """Awaited before the application hears that the client left: others may wait for its answer."""

    async def rest(self, *, most: int, announced: int | None) -> bytes | None:
        """Return the whole body; None if it is larger than ``most`` bytes, or the client left before its end.

        ``announced`` is the Content-Length. What was read is kept for the application either way.
        """
        if announced is not None and announced > most:
            return None
        body = bytearray()
        apart = 1
        message = self._messages[0]
        while message["type"] == "http.request":
            body += message.get("body", b"")
            if len(body) > most:
                return None
            if not message.get("more_body", False):
                return bytes(body)
            if apart >= _MOST_APART:
                self._join(apart)
                apart = 0
            message = await self._receive()
            self._messages.append(message)
            apart += 1
        return None

    def _join(self, count: int) -> None:
        """Make one message of the last ones: a client may send a body byte by byte, and each would be an object."""
        joined = b"".join([message.get("body", b"") for message in self._messages[-count:]])
        self._messages[-count:] = [{"type": "http.request", "body": joined, "more_body": True}]

    async def receive(self) -> Message:
        """The application's ``receive``."""
        if self._at < len(self._messages):
            message = self._messages[self._at]
            # Each is handed out once; what is no longer needed must not be kept while a long answer streams.
            self._messages[self._at] = {}
            self._at += 1
            return message
        if not self.gone:
            message = await self._receive()
            if message["type"] != _GONE:
                return message
            self.gone = True
        if self.held is not None:
            await self.held()
        return {"type": _GONE}

    async def left(self) -> None:
        """Return when the client has left. Only after the body was read."""
        while not self.gone:
            message = await self._receive()
            self.gone = message["type"] == _GONE


def replayed_request(body: bytes) -> Incoming:
    """Return the same request once more, without a client: for a refresh."""
    return Incoming(_nobody, [{"type": "http.request", "body": body, "more_body": False}])


async def _nobody() -> Message:
    """The ``receive`` of a request without a client: no disconnect ever comes."""
    message: Message = await asyncio.get_running_loop().create_future()
    return message


async def discard(message: Message) -> None:
    """The ``send`` of a request without a client."""
