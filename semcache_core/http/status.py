"""The fields that say what the cache did: Cache-Status (RFC 9211), X-Cache, Age and Semcache-Entry. Pure."""

from __future__ import annotations

import hmac
import re
from functools import lru_cache
from math import floor
from urllib.parse import quote

import msgspec

from semcache_core.engine.decide import Found
from semcache_core.reasons import Code
from semcache_core.types import Headers

PRIVATE = (b"cache-control", b"private, no-store")
"""What an LLM answer that did not come from upstream for this very caller says to caches behind us."""

_NAME = b"cache-status"
_TOKEN = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
_BYPASS_MARK = (b"x-cache", b"BYPASS")
_MISS_MARK = (b"x-cache", b"MISS")
_HIT_MARK = (b"x-cache", b"HIT")
_STALE_MARK = (b"x-cache", b"STALE")
_BARE_MISS: Headers = ((_NAME, b"semcache; fwd=miss"), _MISS_MARK)
_COLLAPSED: Headers = ((_NAME, b"semcache; fwd=miss; collapsed"), _MISS_MARK)
_OBSERVED: Headers = ((_NAME, b"semcache; fwd=miss; detail=observe"), _MISS_MARK)


class Disclosure(msgspec.Struct, frozen=True):
    """What a caller may be told. In shared partitions neither age, ttl nor why it is a miss: they tell what others
    asked, and when.
    """

    of_others: bool = True
    """False in shared partitions."""
    matched: bool = False
    """Similarity and matched text: an oracle for other callers' prompts, so only with the debug right."""


def missed(found: Found, *, shown: Disclosure) -> Headers:
    """Return the fields of an answer that came from upstream after a look-up that found nothing to serve.

    With the debug right they say how near the nearest entry was, too.
    """
    fields = _miss(found.reason) if shown.of_others else _BARE_MISS
    return (*fields, *_searched(found)) if shown.matched else fields


def collapsed() -> Headers:
    """Return the fields of an answer that somebody else's equal request brought."""
    return _COLLAPSED


def observed(found: Found, *, shown: Disclosure) -> Headers:
    """Return the fields of an answer that the cache could have given, under ``mode = "observe"``."""
    return (*_OBSERVED, *_searched(found)) if shown.matched else _OBSERVED


def bypassed(reason: str) -> Headers:
    """Return the fields of a request that the cache recognised and left alone."""
    return ((_NAME, b"semcache; fwd=bypass; detail=" + reason.encode()), _BYPASS_MARK)


def stale_on_error(status: int | None, found_age: float, *, shown: Disclosure) -> Headers:
    """Return the fields of an old answer that stands in for a failing upstream.

    ``status`` is what upstream said; None: it gave no answer at all (RFC 9211, 2.3: then there is no ``fwd-status``).
    """
    said = b"" if status is None else b"; fwd-status=%d" % status
    told = b"semcache; fwd=stale%b; detail=stale-if-error" % said
    return ((_NAME, told), _STALE_MARK, *_age(found_age, shown))


def hit(found: Found, *, handle: bytes, shown: Disclosure) -> list[tuple[bytes, bytes]]:
    """Return the fields of an answer from the cache, ``found.outcome`` being hit or stale.

    ``handle`` names the entry to callers of its partition.
    """
    record, now = found.record, found.now
    told = b"semcache; hit"
    mark = _STALE_MARK if found.outcome == "stale" else _HIT_MARK
    entry = (b"semcache-entry", handle)
    if record is None or not shown.of_others:
        fields = [mark, entry]
    else:
        if record.expires_at is not None:
            # 0.4 s past expiry is -1, not 0: a stale answer never looks fresh.
            told = b"semcache; hit; ttl=%d" % floor(record.expires_at - now)
        fields = [mark, (b"age", b"%d" % int(record.age(now))), entry]
    told += b"; detail=semantic" if found.source == "semantic" else b"; detail=exact"
    if shown.matched:
        fields += _matched(found)
    return [(_NAME, told), *fields]


def may_debug(headers: Headers, token: str | None) -> bool:
    """Say whether the request carries the debug token, compared in constant time."""
    if not token:
        return False
    said = b"".join(value for name, value in headers if name == b"semcache-debug")
    return hmac.compare_digest(said, token.encode())


def _age(age: float, shown: Disclosure) -> Headers:
    return ((b"age", b"%d" % int(age)),) if shown.of_others else ()


def _matched(found: Found) -> Headers:
    fields = _searched(found)
    if found.record is not None and found.record.text:
        # Percent-encoded: a header value holds no line feeds and no non-ASCII text.
        fields += ((b"semcache-matched", _quoted(found.record.text)),)
    return fields


def _searched(found: Found) -> Headers:
    reason = (b"semcache-reason", found.reason.encode())
    return (reason,) if found.similarity is None else (reason, (b"semcache-similarity", b"%.4f" % found.similarity))


@lru_cache(maxsize=256)
def _miss(reason: Code) -> Headers:
    # A verifier may say anything; what is no token does not go into a header.
    if not _TOKEN.fullmatch(reason):
        return _BARE_MISS
    return ((_NAME, b"semcache; fwd=miss; detail=" + reason.encode()), _MISS_MARK)


def _quoted(text: str) -> bytes:
    return quote(text[:512], safe=" ,.;:?!'()/").encode()
