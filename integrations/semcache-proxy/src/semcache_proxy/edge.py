"""The outermost layer: failures of the upstream become HTTP errors, and what is not HTTP is declined."""

from __future__ import annotations

import logging

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .errors import UpstreamAborted, UpstreamFailed

_log = logging.getLogger("semcache.proxy")


class Edge:
    """Wraps the cache and the forwarder. It stands outside the cache, so its own errors carry no Cache-Status."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass a lifespan on."""
        if scope["type"] == "websocket":
            # Declining before accepting makes the server answer 403: a WebSocket cannot be passed on by this proxy.
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
            await self._app(scope, receive, watched)
        except UpstreamFailed as failure:
            # A stale answer may have stood in already; then the failure is only for the log.
            if begun:
                _log.warning("%s", failure)
            else:
                await _send_error(send, failure)
        except UpstreamAborted as aborted:
            # Returning without a last piece makes the server cut the connection, which tells the client that the answer
            # is not whole: a clean end would pass half an answer off as a whole one.
            _log.warning("%s", aborted)


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
