"""Which header fields pass through a reverse proxy: RFC 9110, 7.6. Pure functions over lists of (name, value) bytes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence

from semcache_core.http.headers import HOP_BY_HOP
from semcache_core.types import Headers

_NOT_FOR_CONNECTION_TO_NAME = frozenset({b"content-length", b"host", b"via"})
"""Framing and routing: a ``Connection: content-length`` would let a client desynchronise the upstream connection, and
a ``Connection: via`` send a request in circles.
"""

_OPTIONS = frozenset({b"", b"close"})
"""Values of ``Connection`` that are not field names."""

_OWN_ENTRY = re.compile(rb"(?:HTTP/)?[\d.]+\s+semcache(?:\s*\(([^()]*)\))?", re.IGNORECASE)

_REPLACED = frozenset({b"host", b"expect"})
"""``host`` becomes the upstream's; the ASGI server has already answered ``expect: 100-continue``."""


class Via:
    """The proxy's own entry in ``Via``. It differs between upstreams, so that two proxies may stand in a row."""

    def __init__(self, upstream: str) -> None:
        self._mark = hashlib.sha256(upstream.encode()).hexdigest()[:8].encode("ascii")
        self.entry = b"1.1 semcache (%s)" % self._mark

    def is_in(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        """Say whether a request has been through this proxy. Names are in lower case.

        A proxy between may have left the comment out (RFC 9110, 7.6.3).
        """
        entries = [entry for name, value in headers if name == b"via" for entry in value.split(b",")]
        found = [match[1] for entry in entries if (match := _OWN_ENTRY.fullmatch(entry.strip()))]
        return any(mark in (None, self._mark) for mark in found)


def end_to_end(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return the fields for the next hop, names in lower case, order and duplicates kept."""
    lowered = [(name.lower(), value) for name, value in headers]
    gone = HOP_BY_HOP | named_by_connection(lowered)
    return [field for field in lowered if field[0] not in gone]


def named_by_connection(headers: Iterable[tuple[bytes, bytes]]) -> frozenset[bytes]:
    """Return the fields that ``Connection`` limits to this hop; names are in lower case."""
    values = [value for name, value in headers if name == b"connection"]
    named = {token.strip().lower() for value in values for token in value.split(b",")}
    return frozenset(named - HOP_BY_HOP - _NOT_FOR_CONNECTION_TO_NAME - _OPTIONS)


def for_upstream(
    headers: Headers | Sequence[tuple[bytes, bytes]],
    *,
    host: bytes,
    forwarded: Headers,
    injected: Headers,
    via: bytes = b"1.1 semcache",
) -> list[tuple[bytes, bytes]]:
    """Return the request header for the upstream.

    ``forwarded`` are (name, value) pairs appended to existing fields (``x-forwarded-for``); ``injected`` ones replace
    the client's. A chunked body stays chunked; one with a length keeps it.
    """
    replaced = _REPLACED.union(name for name, _ in injected) if injected else _REPLACED
    chunked = is_chunked(headers)
    if chunked:
        # With both, the length is invalid (RFC 9112, 6.3): the ASGI server has read the chunks.
        replaced |= {b"content-length"}
    fields = [(b"host", host)]
    fields += [field for field in end_to_end(headers) if field[0] not in replaced]
    if chunked:
        fields.append((b"transfer-encoding", b"chunked"))
    fields += injected
    for name, value in (*forwarded, (b"via", via)):
        append(fields, name, value)
    return fields


def append(fields: list[tuple[bytes, bytes]], name: bytes, value: bytes) -> None:
    """Append ``value`` to the list-valued field ``name``, as one line."""
    earlier = [had for had_name, had in fields if had_name == name]
    if earlier:
        fields[:] = [field for field in fields if field[0] != name]
        value = b", ".join((*earlier, value))
    fields.append((name, value))


def is_chunked(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Say whether a body comes in chunks; names are in lower case."""
    return any(name == b"transfer-encoding" for name, _ in headers)


def content_length(headers: Iterable[tuple[bytes, bytes]]) -> int | None:
    """Return the announced length of the body, or None if it is missing or invalid."""
    for name, value in headers:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return None
