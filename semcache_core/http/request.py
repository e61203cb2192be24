"""A request at the cache, without I/O: whether it is for the cache, and what it asks.

    request = recognise(context, route, head, body, now=now)   # CacheableRequest, Bypass, None: not this protocol; or
    request = await request.read_off_loop()                    # Unread: it takes long to read

What a request asks is remembered by a digest of its bytes, so that a repeat is answered without reading it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar, cast

import msgspec

from semcache_core.engine.decide import Directives
from semcache_core.engine.offload import LONG, Busy
from semcache_core.http import directives, status
from semcache_core.http.coding import CannotDecode, decoded
from semcache_core.http.context import DriverContext
from semcache_core.http.loopback import began_here
from semcache_core.http.profile import KnownRequest, RequestProfile, is_short
from semcache_core.http.route import Route
from semcache_core.keys.http import HttpKeys, Target
from semcache_core.types import Address, Bypass, Entity, Headers, Key, Query, Request

T = TypeVar("T")

_DIRECTING = frozenset({b"cache-control", b"pragma", b"semcache-control"})
_NO_DIRECTIVES = Directives()
_UNREADABLE = Bypass(reason="request-coding")
BUSY = Bypass(reason="reader-busy")
"""Too many long bodies wait to be read, and this caller has most of them."""
_PLAIN = status.Disclosure()
_HEAD_TOO_LARGE = Bypass(reason="head-too-large")
_MOST_FIELDS = 256
_LONGEST_HEAD = 32 * 1024
"""Bytes of the place and the headers that count. To classify what is more would take over 5 ms, for each request."""
_HASHED_AT_ONCE = 512 * 1024
"""Bytes whose digest takes 2 ms at most: that of a longer body is computed off the loop."""


class RequestHead(msgspec.Struct, frozen=True):
    """A request's head as a driver has it. ``path`` and ``query`` raw; ``headers`` in order, names in lower case."""

    method: str
    scheme: str
    mount: str
    path: bytes
    query: bytes
    headers: Headers
    who: str | None = None
    """The caller's name where the application says it (``Deployment.by_application``)."""
    http_version: str = "1.1"

    __repr__ = object.__repr__  # Headers hold credentials: never in a log.


class CacheableRequest(Entity):
    """A request that the cache may answer: what it asks, and the request itself for when it goes upstream."""

    context: DriverContext
    head: RequestHead
    body: bytes
    """As it was sent: it may be compressed."""
    route: Route
    """Who reads the request, and what holds for it."""
    profile: RequestProfile
    known: KnownRequest
    key: Key | None = None
    """None until ``read``, where the request was known by its bytes."""
    query: Query | None = None
    """Likewise."""

    def read(self) -> Query:
        """Read a request that was known by its bytes, and return its query. Raises what the extractor does."""
        key = _extract(self.profile, self.head, self.body)
        if not isinstance(key, Key):
            raise TypeError(f"the {self.route.protocol} extractor read one request in two ways")
        query = self.context.keys.query(key, self.profile.caller, policy=self.route.policy)
        self.key, self.query = key, query
        return query

    async def queried(self) -> Query:
        """Return the query; a long body is read off the loop. Raises what the extractor does, and Busy."""
        if self.query is not None:
            return self.query
        if not _takes_long(self.profile, self.body):
            return self.read()
        return await self.off_loop(self._read_whole)

    async def off_loop(self, work: Callable[[], T]) -> T:
        """Run pure work that takes long, in the caller's turn. Raises Busy."""
        return await self.context.engine.offload.run(self.known.address.partition, work)

    def _read_whole(self) -> Query:
        query = self.read()
        query.nearby  # noqa: B018  computed at its first use, which must not be on the loop
        return query

    def credential(self) -> bytes:
        """Return a digest of every header that looks like a credential."""
        return self.context.keys.credential(self.head.headers, traits=self.route.traits)

    def proof(self) -> bytes:
        """Return what upstream proves by accepting the credential: that it is good for this place.

        Elsewhere the same credential may be refused, or not be looked at.
        """
        return self.known.address.partition + self.credential()

    def handle(self, entry_id: bytes | None) -> bytes:
        """Return the text of ``Semcache-Entry`` for this caller; None names the request's own entry."""
        known = self.known
        if entry_id is not None and entry_id != known.address.entry_id:
            return self.context.digests.handle(known.address.partition, entry_id).encode()
        if not known.handle:
            known.handle = self.context.digests.handle(known.address.partition, known.address.entry_id).encode()
        return known.handle


class Unread(Entity):
    """A request whose body takes too long to read on the loop."""

    context: DriverContext
    head: RequestHead
    body: bytes
    profile: RequestProfile
    canonical_head: bytes
    alias: bytes | None
    """The digest of its bytes, under which nothing is known; None: not computed yet."""
    now: float

    async def read_off_loop(self) -> CacheableRequest | Bypass | None:
        """Return what the request asks: see ``recognise``. Raises whatever a broken extractor raises."""
        run, caller = self.context.engine.offload.run, self.profile.caller.partition
        try:
            if self.alias is None:
                self.alias = await run(caller, self._hashed)
                known = self.context.aliases.get(self.alias)
                request = _remembered(known, self.context, self.head, self.body, now=self.now)
                if request is not None:
                    return request
            return await run(caller, self.read)
        except Busy:
            return BUSY

    def read(self) -> CacheableRequest | Bypass | None:
        """Do the same at once, in this thread."""
        if self.alias is None:
            self.alias = self._hashed()
        request = _first_read(self.context, self.profile, self.head, self.body, alias=self.alias)
        if isinstance(request, CacheableRequest) and request.query is not None:
            request.query.nearby  # noqa: B018  computed at its first use, which must not be on the loop
        return request

    def _hashed(self) -> bytes:
        return self.context.digests.alias(self.canonical_head, self.body)


def identify(
    context: DriverContext, route: Route, head: RequestHead, body: bytes, *, now: float
) -> CacheableRequest | Bypass | None:
    """Return what ``recognise`` does, however long it takes to read."""
    request = recognise(context, route, head, body, now=now)
    return request.read() if isinstance(request, Unread) else request


def recognise(
    context: DriverContext, route: Route, head: RequestHead, body: bytes, *, now: float
) -> CacheableRequest | Bypass | Unread | None:
    """Return what the request asks, why it is not for the cache, or None: it is not this protocol after all.

    ``Unread`` where its body takes long to read. ``body`` is whole and as it was sent. Raises whatever a broken
    extractor raises.
    """
    keys, elsewhere = context.keys, None
    if context.deployment.anonymous and not began_here(head.headers, http_version=head.http_version):
        # The fields that say so are ignored otherwise, so they have to count here.
        keys, elsewhere = context.keys_elsewhere, b"elsewhere"
    place = (route.protocol, head.method, head.scheme, head.mount, head.path, head.query, head.who, elsewhere)
    canonical_head = context.keys.canonical_head(place, head.headers, traits=route.traits)
    if len(canonical_head) > _LONGEST_HEAD or len(head.headers) > _MOST_FIELDS:
        return _HEAD_TOO_LARGE
    alias = None
    if len(body) <= _HASHED_AT_ONCE:
        alias = context.digests.alias(canonical_head, body)
        known = _remembered(context.aliases.get(alias), context, head, body, now=now)
        if known is not None:
            return known
    digest = context.digests.head(canonical_head)
    known_profile = context.profiles.get(digest)
    if known_profile is None or known_profile.ends <= now:
        found = _profile(context, keys, route, head, digest, now=now)
        if isinstance(found, Bypass):
            return found
        known_profile = found
    if alias is None or _takes_long(known_profile, body):
        return Unread(context, head, body, known_profile, canonical_head, alias, now)
    return _first_read(context, known_profile, head, body, alias=alias)


def _remembered(
    known: KnownRequest | Bypass | None, context: DriverContext, head: RequestHead, body: bytes, *, now: float
) -> CacheableRequest | Bypass | None:
    """Return the request that is known by its bytes; None: it is not, or its credentials have expired."""
    if type(known) is not KnownRequest:
        return cast("Bypass | None", known)
    profile = known.profile
    return CacheableRequest(context, head, body, profile.route, profile, known) if profile.ends > now else None


def _takes_long(profile: RequestProfile, body: bytes) -> bool:
    """Say whether the body may take over 5 ms to read: it is long, or it may unfold to something long."""
    return len(body) > LONG or profile.coded


def _profile(
    context: DriverContext, keys: HttpKeys, route: Route, head: RequestHead, digest: bytes, *, now: float
) -> RequestProfile | Bypass:
    """Return what the request's head says, remembered by its digest, or why it keeps the request away."""
    # Only to see which names are there: most requests have none that matters.
    names = dict(head.headers)
    asked = _NO_DIRECTIVES
    if not _DIRECTING.isdisjoint(names):
        said = directives.of_request(
            head.headers, policy=route.policy, traits=route.traits, allow=context.allow, shared=context.shared
        )
        if isinstance(said, Bypass):
            return said
        asked = said
        if asked.semantic and route.comparing is not None:
            route = route.comparing
    target = _target(context, route, head, asked.namespace or context.namespace)
    caller = keys.admit(target, head.headers, now=now, who=head.who)
    if isinstance(caller, Bypass):
        return caller
    profile = RequestProfile(
        route,
        caller,
        asked,
        _disclosure(context, head.headers),
        coded=b"content-encoding" in names,
        short=is_short(caller, asked),
        joins=asked.joins,
        ends=math.inf if caller.ends is None else caller.ends,
    )
    if profile.short:
        context.profiles.put(digest, profile)
    return profile


def _first_read(
    context: DriverContext, profile: RequestProfile, head: RequestHead, body: bytes, *, alias: bytes
) -> CacheableRequest | Bypass | None:
    """Read a request whose bytes are not known, and remember by ``alias`` what it asks."""
    route = profile.route
    try:
        key = _extract(profile, head, body)
    except CannotDecode:
        return _UNREADABLE
    if not isinstance(key, Key):
        if key is not None:
            context.aliases.put(alias, key)
        return key
    query = context.keys.query(key, profile.caller, policy=route.policy)
    known = KnownRequest(Address(query.namespace, query.partition, query.exact, query.entry_id), profile, key.mode)
    if profile.short:
        context.aliases.put(alias, known)
    return CacheableRequest(context, head, body, route, profile, known, key, query)


def _disclosure(context: DriverContext, headers: Headers) -> status.Disclosure:
    if not context.shared and context.debug_token is None:
        return _PLAIN
    return status.Disclosure(of_others=not context.shared, matched=status.may_debug(headers, context.debug_token))


def _extract(profile: RequestProfile, head: RequestHead, body: bytes) -> Key | Bypass | None:
    """Return what the extractor makes of the request. Raises CannotDecode."""
    route = profile.route
    if profile.coded:
        body = decoded(head.headers, body, limit=route.policy.max_body)
    return route.extractor.extract(
        Request(method=head.method, path=head.path, query=head.query, headers=head.headers, body=body)
    )


def _target(context: DriverContext, route: Route, head: RequestHead, namespace: str) -> Target:
    return Target(
        namespace=namespace,
        protocol=route.protocol,
        method=head.method,
        scheme=head.scheme,
        mount=head.mount,
        path=head.path,
        query=head.query,
        upstream=context.deployment.upstream,
        traits=route.traits,
    )
