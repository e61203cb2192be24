"""The outermost layer: removes hop-by-hop fields, turns upstream failures into HTTP errors, refuses other protocols."""

from __future__ import annotations

import logging

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from semcache_core.errors import AnswerAborted

from .errors import UpstreamAborted, UpstreamFailed
from .headers import named_by_connection

_log = logging.getLogger("semcache.proxy")


class Edge:
    """Wraps the cache and the forwarder. It is outside the cache, so its own errors have no Cache-Status."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass a lifespan on."""
        if scope["type"] == "websocket":
            # Closing before accepting makes the server answer 403: this proxy cannot forward a WebSocket.
            await send({"type": "websocket.close", "code": 1000})
            return
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(_onward(scope), receive, watched)
        except UpstreamFailed as failure:
            if failure.status >= 500:
                _log.warning("%s", failure)
            # If a stale answer has replaced it already, only log the failure.
            if not begun:
                await _send_error(send, failure)
        except (UpstreamAborted, AnswerAborted) as aborted:
            # Returning without a last piece makes the server close the connection, so that the client sees that the
            # answer is incomplete: after a clean end it would look complete.
            _log.warning("%s", aborted)


def _onward(scope: Scope) -> Scope:
    """Return the scope without the fields that ``Connection`` names, which are not forwarded.

    In a key they would store the answer to a request without them as the answer to a request with them.
    """
    named = named_by_connection(scope["headers"])
    if not named:
        return scope
    return {**scope, "headers": [field for field in scope["headers"] if field[0] not in named]}


async def _send_error(send: Send, failure: UpstreamFailed) -> None:
    body = failure.body()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode("ascii")),
        (b"cache-control", b"no-store"),
    ]
    start: Message = {"type": "http.response.start", "status": failure.status, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": body})
