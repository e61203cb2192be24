"""A WSGI request as the cache reads it (PEP 3333), and as the application gets it afterwards."""

from __future__ import annotations

import io
from collections.abc import MutableMapping
from typing import Any
from urllib.parse import quote, urlsplit

from semcache_core.http.decoders import acceptable
from semcache_core.http.request import RequestHead

Environ = MutableMapping[str, Any]

# What RFC 3986 lets stand in a path, and "%": what is encoded already is not encoded again.
_PATH_SAFE = "/:@!$&'()*+,;=-._~%"
_RAW_TARGETS = ("RAW_URI", "REQUEST_URI")
"""Where servers keep the request target as it was sent: gunicorn, then uWSGI, waitress and mod_wsgi."""
_FOR_CACHE = "HTTP_SEMCACHE_"
_WITHOUT_PREFIX = ("CONTENT_TYPE", "CONTENT_LENGTH")
_OF_CONNECTION = {
    "REMOTE_USER": ":remote-user",
    "SSL_CLIENT_CERT": ":client-cert",
    "SSL_CLIENT_S_DN": ":client-cert-dn",
}
"""Who asks, as the server or what is around the cache found out. No header of a client can have such a name."""


def head_of(environ: Environ, path: bytes, who: str | None) -> RequestHead | None:
    """Return the request's head. A server has joined equal fields, and made one of ``-`` and ``_`` in their names.

    None: there is text in it that no bytes of a request can have become, so two requests might look alike.
    """
    fields = [(name[5:], value) for name, value in environ.items() if name.startswith("HTTP_")]
    fields += [(name, environ[name]) for name in _WITHOUT_PREFIX if environ.get(name)]
    fields += [(name, environ[key]) for key, name in _OF_CONNECTION.items() if environ.get(key)]
    try:
        headers = [
            (name.replace("_", "-").lower().encode("latin-1"), value.encode("latin-1")) for name, value in fields
        ]
        query = environ.get("QUERY_STRING", "").encode("latin-1")
    except UnicodeEncodeError:
        return None
    scheme, mount = environ.get("wsgi.url_scheme", "http"), environ.get("SCRIPT_NAME", "")
    version = environ.get("SERVER_PROTOCOL", "HTTP/1.1").removeprefix("HTTP/")
    return RequestHead(environ["REQUEST_METHOD"], scheme, mount, path, query, tuple(headers), who, version)


def raw_path(environ: Environ) -> bytes:
    """Return the path as it was sent, the mount included; where no server tells it, the decoded one encoded again.

    It is empty, which is no route's, where it cannot be read.
    """
    target = next((environ[name] for name in _RAW_TARGETS if environ.get(name)), None)
    try:
        if target is not None:
            path = target.partition("?")[0]
            # The target of a request to a proxy is a whole URL.
            return (path if path.startswith("/") else urlsplit(path).path or "/").encode("latin-1")
        decoded = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        return quote(decoded.encode("latin-1"), safe=_PATH_SAFE).encode("ascii")
    except ValueError:
        return b""


def read_body(environ: Environ, *, most: int) -> tuple[bytes | None, Environ]:
    """Return the body, and the environ in which the application reads the same bytes again.

    None instead of the body: it is longer than ``most`` bytes, of unknown length, or the client left before its end.
    """
    stream, length = environ["wsgi.input"], environ.get("CONTENT_LENGTH")
    if length:
        # No length has more than 20 digits, and Python refuses to read thousands of them.
        announced = int(length) if length.isdecimal() and len(length) <= 20 else most + 1
        if announced > most:
            return None, environ
        body = _read(stream, announced)
        return (body if len(body) == announced else None), _with_input(environ, io.BytesIO(body))
    if not environ.get("wsgi.input_terminated"):
        # PEP 3333: without a length there is no body, and a read may block for ever. A chunked one may be there.
        return (None if environ.get("HTTP_TRANSFER_ENCODING") else b""), environ
    body = _read(stream, most + 1)
    if len(body) > most:
        return None, _with_input(environ, io.BufferedReader(_Joined(body, stream)))
    return body, _with_input(environ, io.BytesIO(body))


def without_body(environ: Environ, body: bytes) -> Environ:
    """Return the environ of the same request once more, for a refresh: it ends with the request that it comes from."""
    return {**environ, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}


def for_application(environ: Environ) -> Environ:
    """Return the environ without the header fields meant for the cache; the same object if there is none."""
    if not [name for name in environ if name.startswith(_FOR_CACHE)]:
        return environ
    return {name: value for name, value in environ.items() if not name.startswith(_FOR_CACHE)}


def with_acceptable_codings(environ: Environ) -> Environ:
    """Return the environ for an answer that is recorded: it accepts no coding that cannot be decoded."""
    accepts = environ.get("HTTP_ACCEPT_ENCODING")
    if not accepts:
        return environ
    return {**environ, "HTTP_ACCEPT_ENCODING": acceptable(accepts.encode("latin-1")).decode("latin-1")}


def _with_input(environ: Environ, stream: Any) -> Environ:
    return {**environ, "wsgi.input": stream}


def _read(stream: Any, most: int) -> bytes:
    """Read up to ``most`` bytes: one call of a socket's ``read`` may bring fewer."""
    pieces: list[bytes] = []
    while most > 0:
        piece = stream.read(most)
        if not piece:
            break
        pieces.append(piece)
        most -= len(piece)
    return b"".join(pieces)


class _Joined(io.RawIOBase):
    """What was read of a body that is too large for the cache, then the rest as it comes."""

    def __init__(self, read: bytes, rest: Any) -> None:
        self._read, self._rest = io.BytesIO(read), rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._read.read(len(buffer)) or self._rest.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)
