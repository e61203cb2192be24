"""What callers and applications say about caching: Cache-Control (RFC 9111) and Semcache-Control. Pure.

A caller may tighten what the operator set, and loosen only what ``allow_directives`` names. A malformed
``Semcache-Control`` is never guessed at: from a caller it bypasses the cache, from an application it stores nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.utils import parsedate_to_datetime

import msgspec

from semcache_core.engine.decide import Directives
from semcache_core.engine.freshness import parse_duration
from semcache_core.http.headers import first, joined
from semcache_core.settings import Duration, Policy
from semcache_core.types import Bypass, Headers, Quiet, Traits

_NONE = Directives()
# name, then "=" and a token or a quoted string; the rest of the value must be a comma or nothing.
_DIRECTIVE = re.compile(
    r"""\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+)))?\s*(?:,|\Z)"""
)
_LENIENT = re.compile(r"""([^,"=]+)(?:=("[^"]*"|[^,]*))?""")
_CALLER_SAYS = frozenset({"mode", "ttl", "threshold", "namespace", "tags"})
_APPLICATION_SAYS = frozenset({"no-store", "ttl", "tags"})
_NAME = re.compile(r"[\w.:/@+-]{1,128}\Z")


class Malformed(ValueError):
    """The field value is not a list of known directives with values of the right form."""


class Asked(Quiet, msgspec.Struct, frozen=True):
    """What an application or upstream says of its own answer in ``Semcache-Control``."""

    no_store: bool = False
    ttl: Duration | msgspec.UnsetType = msgspec.UNSET
    tags: tuple[str, ...] = ()


# -- the caller -------------------------------------------------------------------------------------------------------


def of_request(
    headers: Headers, *, policy: Policy, traits: Traits, allow: frozenset[str], shared: bool
) -> Directives | Bypass:
    """Return what the caller asked for, or why that bypasses the cache.

    ``shared``: the partition is not the caller's own, so it may neither aim (threshold, only-if-cached) nor overwrite
    (no-cache refreshes nobody's entry), nor find out how old an entry is (max-age counts as no-cache).
    """
    control = joined(headers, b"cache-control") or _pragma(headers)
    ours = joined(headers, b"semcache-control")
    if control is None and ours is None:
        return _NONE
    said = _cache_control(control) if control and policy.request_cache_control != "ignore" else _NONE
    if policy.request_cache_control == "honour" and not traits.http_caching and _wants_events(headers):
        # Clients of event streams say so by habit, to keep proxies from buffering; they mean no answer's age.
        said = msgspec.structs.replace(said, lookup=True, store=True)
    if shared:
        lookup = said.lookup and said.max_age is None
        said = msgspec.structs.replace(said, only_if_cached=False, lookup=lookup, store=said.store and lookup)
    if ours is None:
        return said
    try:
        return _with_ours(said, _parsed(ours, _CALLER_SAYS), policy=policy, allow=allow, shared=shared)
    except Malformed:
        return Bypass("malformed-directive")


def _pragma(headers: Headers) -> bytes | None:
    return b"no-cache" if b"no-cache" in (joined(headers, b"pragma") or b"").lower() else None


def _wants_events(headers: Headers) -> bool:
    return b"text/event-stream" in (joined(headers, b"accept") or b"").lower()


def _cache_control(value: bytes) -> Directives:
    said = dict(_lenient(value))
    if not said:
        return _NONE
    max_age = _seconds(said["max-age"]) if "max-age" in said else None
    max_stale = 0.0
    if "max-stale" in said:
        max_stale = _seconds(said["max-stale"]) if said["max-stale"] else float("inf")
    return Directives(
        lookup="no-cache" not in said,
        store="no-store" not in said,
        max_age=max_age,
        max_stale=max_stale,
        only_if_cached="only-if-cached" in said,
    )


def _with_ours(
    said: Directives, ours: dict[str, str], *, policy: Policy, allow: frozenset[str], shared: bool
) -> Directives | Bypass:
    refused = {"namespace", "tags"} & ours.keys() - allow
    mode = ours.get("mode")
    if mode not in (None, "exact", "off", "semantic"):
        raise Malformed("mode")
    if refused or (mode == "semantic" and "mode" not in allow):
        # To pass over a namespace or a tag in silence would share or keep what the caller wanted apart.
        return Bypass("directive-not-allowed")
    threshold = _similarity(ours["threshold"]) if "threshold" in ours and not shared else None
    if "threshold" in ours:
        _similarity(ours["threshold"])
    namespace = ours.get("namespace")
    if namespace is not None and not _NAME.match(namespace):
        raise Malformed("namespace")
    return msgspec.structs.replace(
        said,
        off=mode == "off",
        exact_only=mode == "exact",
        semantic=mode == "semantic",
        threshold=threshold,
        ttl=_shortened(ours["ttl"], policy, free="ttl" in allow) if "ttl" in ours else msgspec.UNSET,
        tags=_tags(ours.get("tags", "")),
        namespace=namespace,
    )


def _similarity(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise Malformed("threshold") from None
    if not 0.0 <= value <= 1.0:
        raise Malformed("threshold")
    return value


def _shortened(text: str, policy: Policy, *, free: bool) -> Duration | msgspec.UnsetType:
    asked = _duration(text)
    if free or policy.ttl is None:
        return asked
    return msgspec.UNSET if asked is None else min(asked, policy.ttl)


# -- the application --------------------------------------------------------------------------------------------------


def of_answer(headers: Headers) -> Asked | None:
    """Return what the answer's ``Semcache-Control`` says, None without one. What cannot be read means no-store."""
    value = joined(headers, b"semcache-control")
    if value is None:
        return None
    try:
        said = _parsed(value, _APPLICATION_SAYS)
        return Asked(
            no_store="no-store" in said,
            ttl=_duration(said["ttl"]) if "ttl" in said else msgspec.UNSET,
            tags=_tags(said.get("tags", "")),
        )
    except Malformed:
        return Asked(no_store=True)


def forbids_storing(headers: Headers, *, traits: Traits) -> bool:
    """Say whether the answer's own Cache-Control keeps it from being stored.

    ``no-cache`` counts only with ``http_caching``: LLM services send it on event streams, to stop proxies buffering.
    """
    value = joined(headers, b"cache-control")
    if value is None:
        return False
    said = {name for name, _ in _lenient(value)}
    return bool(said & ({"no-store", "private", "no-cache"} if traits.http_caching else {"no-store", "private"}))


def forbids_stale(headers: Headers) -> bool:
    """Say whether the answer itself forbids to be served stale (RFC 9111 5.2.2.2, 5.2.2.8, 5.2.2.10).

    ``s-maxage`` means so as well, unless the answer names a stale window of its own (RFC 5861).
    """
    value = joined(headers, b"cache-control")
    if value is None:
        return False
    said = {name for name, _ in _lenient(value)}
    if said & {"must-revalidate", "proxy-revalidate"}:
        return True
    return "s-maxage" in said and not said & {"stale-while-revalidate", "stale-if-error"}


def lifetime(headers: Headers, *, now: float) -> float | None:
    """Return how many seconds the answer says it may still live, never below 0; None where it says nothing.

    s-maxage before max-age before Expires, less Age (RFC 9111 4.2.1). What cannot be read counts as expired.
    """
    value = joined(headers, b"cache-control")
    said = dict(_lenient(value)) if value is not None else {}
    for name in ("s-maxage", "max-age"):
        if name in said:
            return max(0.0, _seconds(said[name]) - age(headers))
    expires = first(headers, b"expires")
    if expires is None:
        return None
    end = _date(expires)
    made = _date(first(headers, b"date") or b"")
    return 0.0 if end is None else max(0.0, end - (now if made is None else made))


def age(headers: Headers) -> int:
    """Return the seconds that an answer has lain in caches already; 0 where it says nothing that can be read."""
    return int(_seconds((first(headers, b"age") or b"0").decode("latin-1")))


# -- the grammar ------------------------------------------------------------------------------------------------------


def _lenient(value: bytes) -> Iterator[tuple[str, str]]:
    """Yield the directives of a Cache-Control value, passing over what cannot be read, as RFC 9111 5.2 asks."""
    for name, argument in _LENIENT.findall(value.decode("latin-1")):
        if name.strip():
            yield name.strip().lower(), argument.strip().strip('"')


def _parsed(value: bytes, known: frozenset[str]) -> dict[str, str]:
    text = value.decode("latin-1")
    said: dict[str, str] = {}
    at = 0
    while at < len(text):
        found = _DIRECTIVE.match(text, at)
        if found is None:
            raise Malformed("grammar")
        name = found[1].lower()
        if name not in known or name in said:
            raise Malformed("unknown or repeated directive")
        said[name] = found[2] if found[2] is not None else found[3] or ""
        at = found.end()
    if not said or any(not argument for name, argument in said.items() if name != "no-store"):
        raise Malformed("missing value")
    return said


def _seconds(text: str) -> float:
    # RFC 9111 4.2.1: a time that cannot be read is a time that has passed; 2**31 stands for anything longer.
    return float(min(int(text), 2**31)) if text.isascii() and text.isdigit() and len(text) < 20 else 0.0


def _duration(text: str) -> Duration:
    try:
        return parse_duration(float(text) if text.replace(".", "", 1).isdigit() else text)
    except ValueError:
        raise Malformed("ttl") from None


def _tags(text: str) -> tuple[str, ...]:
    tags = tuple(dict.fromkeys(text.split()))
    if len(tags) > 32 or not all(_NAME.match(tag) for tag in tags):
        raise Malformed("tags")
    return tags


def _date(value: bytes) -> float | None:
    try:
        return parsedate_to_datetime(value.decode("latin-1")).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
