"""Settings of the right type that no request could match: refused at start, because nothing else would show it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from semcache_core.config.problems import Problem
from semcache_core.settings import CacheOptions, HttpOptions, RouteOptions

_REQUEST_NAME = re.compile(r"[!#$%&'*+.^`|~0-9A-Za-z-]+")
"""A field name (RFC 9110) without "_": two servers read it as two different headers, so such requests bypass."""
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VISIBLE = re.compile(r"[!-~]+")
_FIELD_VALUE = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_PATH = re.compile(r"/(?:[A-Za-z0-9._~!$&'()+,;=:@/-]|%[0-9A-Fa-f]{2})*")
_NEVER_LOOKED_UP = re.compile(r"//|/\.\.?(?:/|$)|%2[Ff]|%5[Cc]")


def unreachable(cache: CacheOptions, http: HttpOptions, routes: Sequence[RouteOptions]) -> Iterator[Problem]:
    """Yield each setting that nothing could match, with the remedy."""
    yield from _headers(http)
    if http.debug_token is not None and not _FIELD_VALUE.fullmatch(http.debug_token.reveal()):
        yield (
            "http.debug_token",
            "no header can hold it: ASCII without a space at either end, for example `openssl rand -hex 32`",
        )
    if http.callers is not None and not all(map(_VISIBLE.fullmatch, http.caller_tokens or ("",))):
        yield (
            "http.callers",
            "expected one or more tokens of visible ASCII, separated by commas; `openssl rand -hex 32` makes one",
        )
    for place, phrase in enumerate(cache.volatile):
        if not phrase.strip():
            yield f"semcache.volatile[{place}]", "is empty; take it out, or write a word"
    for place, route in enumerate(routes):
        wrong = _wrong_path(route.path)
        if wrong is not None:
            yield f"route[{place}].path", wrong


def _headers(http: HttpOptions) -> Iterator[Problem]:
    named = {"identity": () if isinstance(http.identity, str) else http.identity, "identity_add": http.identity_add}
    for key, names in named.items():
        for place, name in enumerate(names):
            yield from _request_header(f"http.{key}[{place}]", name)
    for place, name in enumerate(http.ignore_headers):
        # The prefix "*" is every header.
        yield from _request_header(f"http.ignore_headers[{place}]", "every" if name == "*" else name.removesuffix("*"))
    for place, name in enumerate(http.keep_headers):
        if not _TOKEN.fullmatch(name):
            yield f"http.keep_headers[{place}]", f"{name!r} is no header name: ASCII without spaces or colons"
    for place, name in enumerate(http.cookies):
        if not _TOKEN.fullmatch(name):
            yield f"http.cookies[{place}]", f"{name!r} is no cookie's name: ASCII without spaces, '=' or ';'"
    if http.jwt is not None:
        yield from _request_header("http.jwt.header", http.jwt.header)


def _request_header(path: str, name: str) -> Iterator[Problem]:
    if not _REQUEST_NAME.fullmatch(name.strip()):
        yield path, f"{name!r} cannot be a header name here: ASCII without '_', spaces or colons; write '-' for '_'"


def _wrong_path(path: str) -> str | None:
    if not _PATH.fullmatch(path):
        return (
            f"{path!r} is compared with the end of a request's path as it is sent, so it has no query, no pattern and "
            "no space; percent-encode what is not ASCII"
        )
    if _NEVER_LOOKED_UP.search(path):
        return f"{path!r} matches nothing: requests with '//', dot segments or encoded slashes are never looked up"
    return None
