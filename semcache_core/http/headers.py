"""Header rules: which fields of an answer are kept with an entry, and what a later request must match. Pure.

Names are lower case, as ASGI has them. By the protocol's traits an answer keeps its content type and language and what
the operator adds, or all but the fields that belong to one connection, one request or one caller.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from semcache_core.keys.digests import Digests
from semcache_core.types import Headers, Traits

_ALWAYS_KEPT = frozenset({b"content-type", b"content-language"})

HOP_BY_HOP = frozenset(
    b"""
    connection keep-alive proxy-connection te trailer transfer-encoding upgrade http2-settings
    proxy-authenticate proxy-authentication-info proxy-authorization
    """.split()
)
"""Fields of one connection, not of the message (RFC 9110, 7.6.1 and 11.7): neither stored nor forwarded, as is whatever
else ``Connection`` names. Trailers are not forwarded, so ``trailer`` is not either.
"""

ANSWER_STRIPPED = frozenset({b"semcache-control"})
"""Fields of an answer that are meant for the cache: they are not forwarded."""
_FOR_CACHE = frozenset({b"semcache-", b"semcache_"})
# "_" too: a CGI-like server behind this one reads both forms as the same name.

# Fields that tell about one caller or one exchange: wrong, or a leak, in anybody else's answer.
_ONE_EXCHANGE = frozenset(
    {
        b"age",
        b"alt-svc",
        b"authentication-info",
        b"cache-status",
        b"clear-site-data",
        b"content-encoding",
        b"content-length",
        b"content-range",
        b"date",
        b"nel",
        b"openai-organization",
        b"openai-project",
        b"openai-processing-ms",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        b"report-to",
        b"retry-after",
        b"semcache-control",
        b"semcache-entry",
        b"semcache-reason",
        b"semcache-similarity",
        b"semcache-matched",
        b"server",
        b"server-timing",
        b"set-cookie",
        b"set-cookie2",
        b"traceparent",
        b"tracestate",
        b"via",
        b"www-authenticate",
        b"x-cache",
        b"x-cache-hits",
        b"x-envoy-upstream-service-time",
        b"x-process-time",
        b"x-runtime",
        b"x-served-by",
        b"x-timer",
    }
)
_ONE_EXCHANGE_PARTS = re.compile(
    rb"request-?id|correlation-?id|trace-?id|trace-context|rate-?limit|organi[sz]ation|processing|^x-b3-|^cf-|^x-amz|"
    rb"^x-amzn-|^sentry-|^x-datadog-|(^|-)(duration|elapsed|response-time)(-|$)|newrelic|dynatrace|^x-instana-|"
    rb"^(fly|fastly|akamai|x-akamai|x-azure|x-arr|x-railway|x-nf|x-kong|x-varnish|x-vercel-(id|cache)|rndr-id)(-|$)"
)


def first(headers: Sequence[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    """Return the first value of ``name``, or None."""
    for field, value in headers:
        if field == name:
            return value
    return None


def joined(headers: Sequence[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    """Return all values of ``name`` as one comma-separated list, or None where there is none."""
    values = [value for field, value in headers if field == name]
    return b", ".join(values) if values else None


def without(headers: Sequence[tuple[bytes, bytes]], names: Collection[bytes]) -> list[tuple[bytes, bytes]]:
    """Return the fields, in order and with duplicates, less those called one of ``names`` (in any case)."""
    return [field for field in headers if _octets(field[0]).lower() not in names]


def is_for_cache(name: bytes | str) -> bool:
    """Say whether a request field is meant for the cache, as ``semcache-control`` and ``semcache-debug`` are."""
    return _octets(name[:9]).lower() in _FOR_CACHE


def for_application(headers: Sequence[tuple[bytes, bytes]]) -> Sequence[tuple[bytes, bytes]]:
    """Return a request's fields without those meant for the cache; the same object if there is none.

    They may hold its secrets, so they are never forwarded.
    """
    if not [name for name, _ in headers if is_for_cache(name)]:
        return headers
    return [field for field in headers if not is_for_cache(field[0])]


def lowered(headers: Sequence[tuple[bytes, bytes]]) -> Headers:
    """Return the fields as bytes with names in lower case: applications and old servers do not all keep to it."""
    return tuple(
        [
            (name.lower(), value) if type(name) is type(value) is bytes else (_octets(name).lower(), _octets(value))
            for name, value in headers
        ]
    )


def _octets(text: bytes | bytearray | memoryview | str) -> bytes:
    """Return what a server writes of a name or value: some take more than ASGI's bytes, h11 even str."""
    if type(text) is bytes:
        return text
    return text.encode("latin-1") if isinstance(text, str) else bytes(text)


def kept(headers: Headers, *, traits: Traits, keep: frozenset[bytes] = frozenset()) -> Headers:
    """Return the fields of an answer that are stored with it. ``keep``: the operator's additions where few are kept."""
    if not traits.keeps_headers:
        wanted = _ALWAYS_KEPT | (keep - _ONE_EXCHANGE - HOP_BY_HOP) if keep else _ALWAYS_KEPT
        return tuple([field for field in headers if field[0] in wanted])
    named = _named_by_connection(headers)
    fields: list[tuple[bytes, bytes]] = []
    for name, value in headers:
        if name in named or _is_of_one_exchange(name, value):
            continue
        fields.append((name, weakened(value)) if name == b"etag" else (name, value))
    return tuple(fields)


def weakened(etag: bytes) -> bytes:
    """Return the entity tag as a weak one: the stored body is decoded, so it is not byte for byte what was tagged."""
    return etag if etag.startswith(b"W/") else b"W/" + etag


def varies_on(headers: Headers) -> tuple[bytes, ...] | None:
    """Return the request fields an answer depends on, sorted; None for ``Vary: *``.

    An ``Access-Control-Allow-Origin`` that names one origin was made for that origin, whether or not ``Vary`` says so.
    ``Accept-Encoding`` is left out: bodies are stored decoded.
    """
    names = {name.strip().lower() for name in (joined(headers, b"vary") or b"").split(b",")} - {b"", b"accept-encoding"}
    if b"*" in names:
        return None
    if (first(headers, b"access-control-allow-origin") or b"*").strip() != b"*":
        names.add(b"origin")
    return tuple(sorted(names))


def values_of(names: Sequence[bytes], request: Headers, *, digests: Digests) -> Headers:
    """Return each name with a digest of the request's value: what ``Answer.vary`` holds.

    A missing field is not an empty one. Many answers vary on ``Cookie``: no store holds a credential.
    """
    return tuple((name, _marked(name, joined(request, name), digests)) for name in names)


def matches(vary: Headers, request: Headers, *, digests: Digests) -> bool:
    """Say whether ``request`` has the values that an answer was made for."""
    return all(_marked(name, joined(request, name), digests) == value for name, value in vary)


def _marked(name: bytes, value: bytes | None, digests: Digests) -> bytes:
    return b"-" if value is None else digests.field(name, value.strip())


def _named_by_connection(headers: Headers) -> frozenset[bytes]:
    names = joined(headers, b"connection") or b""
    return frozenset(name.strip().lower() for name in names.split(b","))


def _is_of_one_exchange(name: bytes, value: bytes) -> bool:
    if name in HOP_BY_HOP or name in _ONE_EXCHANGE or _ONE_EXCHANGE_PARTS.search(name):
        return True
    # A nonce is good for one page view; replayed, it would allow what it was meant to forbid.
    return name.startswith(b"content-security-policy") and b"'nonce-" in value
