"""A reverse proxy without a cache: forwards bodies in both directions piece by piece, as bytes, without delay."""

from __future__ import annotations

import asyncio
import functools
import importlib.util
import ssl
import urllib.request
from collections.abc import AsyncIterator
from typing import Any

import httpx
from starlette.types import Receive, Scope, Send

from semcache_core.errors import ConfigError
from semcache_core.remedies import pip_install

from .errors import Unforwardable, UpstreamAborted
from .failures import Failures
from .headers import Via, content_length, end_to_end, for_upstream, is_chunked
from .upstream import ForwardOptions, Upstream


class ClientLeft(Exception):
    """The client disconnected: the answer is no longer needed."""


class Forward:
    """An ASGI app that forwards every request to one upstream, and the answer back.

    Raises UpstreamFailed if there is no answer and UpstreamAborted if one broke off: the wrapping app decides what the
    client sees. If the client disconnects, its upstream request is cancelled. The constructor raises ConfigError if an
    option needs a package that is not installed.
    """

    def __init__(self, upstream: Upstream, *, options: ForwardOptions | None = None) -> None:
        self._upstream = upstream
        self._options = options or ForwardOptions()
        if self._options.http2 and importlib.util.find_spec("h2") is None:
            raise ConfigError(f"HTTP/2 towards the upstream needs a package: {pip_install('semcache-proxy[http2]')}")
        self._url = httpx.URL(upstream.origin)
        self._via = Via(upstream.url)
        named = _environment_proxy(upstream)
        self._proxy = _proxy(named, upstream) if named is not None and self._options.trust_env else None
        through = None if self._proxy is None else self._proxy.url.netloc.decode("ascii")
        ignored = None if named is None or self._options.trust_env else _variable(upstream)
        self._failures = Failures(upstream, self._options, through=through, ignored=ignored)
        self._timeout = {
            "connect": self._options.connect_timeout,
            "read": self._options.read_timeout,
            "write": self._options.write_timeout,
            "pool": self._options.pool_timeout,
        }
        self._kept: httpx.AsyncHTTPTransport | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward one HTTP request, or close the connections when a lifespan ends."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        request_body = RequestBody(
            receive, empty=content_length(scope["headers"]) is None and not is_chunked(scope["headers"])
        )
        request = self._request(scope, request_body)
        # A cancel scope: when the client disconnects, the watcher makes it expire and the upstream request ends.
        client_is_there = asyncio.timeout(None)
        try:
            async with client_is_there:
                watcher = asyncio.create_task(_watch(request_body, client_is_there))
                try:
                    await self._exchange(request, send, request_body)
                finally:
                    watcher.cancel()
        except (TimeoutError, ClientLeft):
            if not request_body.client_left:
                raise

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            transport = self._transport()
        except OSError as error:
            # Otherwise every request would fail.
            message = f"semcache: SSL_CERT_FILE or SSL_CERT_DIR, which --trust-env makes count, is wrong: {error}"
            await send({"type": "lifespan.startup.failed", "message": message})
            return
        async with transport as self._kept:
            await send({"type": "lifespan.startup.complete"})
            await receive()
        self._kept = None
        await send({"type": "lifespan.shutdown.complete"})

    async def _exchange(self, request: httpx.Request, send: Send, request_body: RequestBody) -> None:
        if self._kept is not None:
            await self._exchange_on(self._kept, request, send, request_body)
            return
        # Without lifespan events a pool would never be closed: use one connection for this request.
        async with self._transport() as transport:
            await self._exchange_on(transport, request, send, request_body)

    async def _exchange_on(
        self, transport: httpx.AsyncHTTPTransport, request: httpx.Request, send: Send, request_body: RequestBody
    ) -> None:
        try:
            response = await transport.handle_async_request(request)
        except httpx.TransportError as error:
            raise self._failures.unanswered(error) from error
        # An upstream may answer before it has read the whole body; the rest of the upload is then drained.
        request_body.finished.set()
        try:
            await _send_answer(response, send, request_body)
        except httpx.TransportError as error:
            raise UpstreamAborted(self._failures.aborted(error)) from error
        finally:
            await response.aclose()

    def _request(self, scope: Scope, request_body: RequestBody) -> httpx.Request:
        options = self._options
        headers = for_upstream(
            scope["headers"],
            host=self._upstream.host,
            forwarded=_forwarded(scope) if options.forwarded_headers else (),
            injected=options.injected,
            via=self._via.entry,
        )
        url = self._url
        extensions: dict[str, Any] = {"timeout": self._timeout}
        if self._proxy is None:
            # The raw path: httpx.URL would normalise it.
            extensions["target"] = self._target(scope)
        else:
            # With an HTTP proxy, httpcore would put ``target`` into its CONNECT as well.
            try:
                url = url.copy_with(raw_path=self._target(scope))
            except (httpx.InvalidURL, UnicodeDecodeError):
                raise Unforwardable("the request target holds a character that no URL has") from None
        return httpx.Request(scope["method"], url, headers=headers, stream=request_body, extensions=extensions)

    def _target(self, scope: Scope) -> bytes:
        path: bytes = scope.get("raw_path") or scope["path"].encode("utf-8")
        mount = scope.get("root_path", "").encode("utf-8")
        if mount and path.startswith(mount):
            path = path[len(mount) :]
        if not path.startswith(b"/"):
            raise Unforwardable("the request target must begin with '/': this is a reverse proxy, not a forward proxy")
        query: bytes = scope["query_string"]
        return self._upstream.prefix + path + (b"?" + query if query else b"")

    @functools.cached_property
    def _ssl(self) -> ssl.SSLContext:
        # Once: it reads every trusted certificate.
        return httpx.create_ssl_context(trust_env=self._options.trust_env)

    def _transport(self) -> httpx.AsyncHTTPTransport:
        options = self._options
        return httpx.AsyncHTTPTransport(
            verify=self._ssl,
            http2=options.http2,
            proxy=self._proxy,
            limits=httpx.Limits(
                max_connections=options.max_connections,
                max_keepalive_connections=options.keepalive_connections,
                keepalive_expiry=options.keepalive_expiry,
            ),
        )


class RequestBody(httpx.AsyncByteStream):
    """The client's request body as it arrives; afterwards, the client's disconnect."""

    def __init__(self, receive: Receive, *, empty: bool) -> None:
        self._receive = receive
        self._empty = empty
        self.finished = asyncio.Event()
        """Set when the upstream reads no more of the body: only then may another task call ``receive``."""
        self.client_left = False
        self.answered = False
        """Set just before the last piece of the answer is sent. From then on, servers report "disconnect"."""
        if empty:
            self.finished.set()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        more = not self._empty
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self.client_left = True
                raise ClientLeft
            if body := message.get("body", b""):
                yield body
            more = message.get("more_body", False)
        self.finished.set()

    async def wait_for_leaving(self) -> None:
        """Return when the client has disconnected."""
        await self.finished.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.client_left = True


async def _watch(request_body: RequestBody, client_is_there: asyncio.Timeout) -> None:
    await request_body.wait_for_leaving()
    # The wrapping app may still work on the complete answer, for example store it: that must not be cancelled.
    if not request_body.answered:
        client_is_there.reschedule(asyncio.get_running_loop().time())


async def _send_answer(response: httpx.Response, send: Send, request_body: RequestBody) -> None:
    """Forward an answer; each piece is sent before the next one is read."""
    headers = end_to_end(response.headers.raw)
    if is_chunked((name.lower(), value) for name, value in response.headers.raw):
        # With both, the length is invalid (RFC 9112, 6.3): the HTTP client has read the chunks.
        headers = [field for field in headers if field[0] != b"content-length"]
    await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
    expected = content_length(headers)
    passed = 0
    async for piece in response.stream:  # type: ignore[union-attr]  # an async transport answers with an async stream
        passed += len(piece)
        # If the length is known, mark the last piece: one send less, and the client need not wait for the end.
        request_body.answered = passed == expected
        await send({"type": "http.response.body", "body": piece, "more_body": passed != expected})
    if passed != expected or not passed:
        request_body.answered = True
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _forwarded(scope: Scope) -> tuple[tuple[bytes, bytes], ...]:
    """Return the X-Forwarded fields. An outer proxy's scheme and host are kept."""
    names = {name for name, _ in scope["headers"]}
    fields = []
    if scope.get("client"):
        fields.append((b"x-forwarded-for", scope["client"][0].encode("ascii")))
    if b"x-forwarded-proto" not in names:
        fields.append((b"x-forwarded-proto", scope.get("scheme", "http").encode("ascii")))
    if b"x-forwarded-host" not in names:
        fields += [(b"x-forwarded-host", value) for name, value in scope["headers"] if name == b"host"]
    return tuple(fields)


def _environment_proxy(upstream: Upstream) -> str | None:
    """Return the URL of the proxy that the environment names for the upstream."""
    host = upstream.host.decode("ascii")
    return None if urllib.request.proxy_bypass(host) else urllib.request.getproxies().get(upstream.scheme)


def _variable(upstream: Upstream) -> str:
    return f"{upstream.scheme.upper()}_PROXY"


def _proxy(text: str, upstream: Upstream) -> httpx.Proxy:
    try:
        proxy = httpx.Proxy(text if "://" in text else f"http://{text}")
    except (ValueError, httpx.InvalidURL):
        # Without the cause: it quotes the URL, which may hold a password.
        raise ConfigError(
            f"{_variable(upstream)}, which --trust-env makes count, is wrong: "
            "expected a URL such as http://proxy.example:3128"
        ) from None
    if proxy.url.scheme.startswith("socks") and importlib.util.find_spec("socksio") is None:
        raise ConfigError(f"a SOCKS proxy, which --trust-env found, needs a package: {pip_install('httpx[socks]')}")
    return proxy
