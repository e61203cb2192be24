"""The outermost layer: removes hop-by-hop fields, turns failures into HTTP errors."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Sequence
from pathlib import Path

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from semcache_core.errors import AnswerAborted
from semcache_core.http.headers import ANSWER_STRIPPED, without

from .errors import Unanswered, UpstreamAborted, UpstreamFailed
from .headers import named_by_connection
from .redact import redacted

_log = logging.getLogger("semcache.proxy")

_MISTAKE = UpstreamFailed("the proxy failed; its log says where", status=500, code="proxy_error")


class Edge:
    """Wraps the cache and the forwarder. It is outside the cache, so its own errors have no Cache-Status."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass a lifespan on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        query = scope.get("query_string", b"")
        if query:
            # The server writes its access log from this very object, and a query may hold a key.
            scope["query_string"] = redacted(query)
        if scope["type"] == "websocket":
            # Closing before accepting makes the server answer 403: this proxy cannot forward a WebSocket.
            await send({"type": "websocket.close", "code": 1000})
            return
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            if message["type"] == "http.response.start":
                # The cache has read them where it reads the answer; elsewhere they are not the client's either.
                message = {**message, "headers": without(message["headers"], ANSWER_STRIPPED)}
            await send(message)

        try:
            await self._app({**scope, "query_string": query, "headers": _onward(scope["headers"])}, receive, watched)
        except Unanswered as failure:
            if failure.status >= 500:
                _log.warning("%s", failure)
            # If a stale answer has replaced it already, only log the failure.
            if not begun:
                await _send_error(send, failure)
        except (UpstreamAborted, AnswerAborted) as aborted:
            # Returning without a last piece makes the server close the connection, so that the client sees that the
            # answer is incomplete: after a clean end it would look complete.
            _log.warning("%s", aborted)
        except Exception as error:  # noqa: BLE001  the edge to the server, which would log what the exception says
            if begun and isinstance(error, OSError):
                return  # The client has left: ASGI 2.4 servers say so when something is sent.
            _log.error("%s: a mistake in the proxy, please report it", _place_of(error))
            if not begun:
                await _send_error(send, _MISTAKE)


def _onward(headers: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return the fields without those that ``Connection`` names, which are not forwarded.

    In a key they would store the answer to a request without them as the answer to a request with them.
    """
    named = named_by_connection(headers)
    return [field for field in headers if field[0] not in named]


def _place_of(error: Exception) -> str:
    """Return what kind of exception it is and where it was raised. Its text may quote a request."""
    frames = traceback.extract_tb(error.__traceback__)
    places = ", ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames[-3:])
    return f"{type(error).__name__} at {places}"


async def _send_error(send: Send, failure: Unanswered) -> None:
    body = failure.body()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode("ascii")),
        (b"cache-control", b"no-store"),
        *failure.headers,
    ]
    start: Message = {"type": "http.response.start", "status": failure.status, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": body})
