"""A request at the cache, without I/O: whether it is for the cache, and what it asks.

    asking = ask(desk, route, call, body, now=now)      # Asking, Bypass, or None: not this protocol after all
    replay = replayed(asking, found, ...)               # ``replay``: a found entry as this caller's answer
    recording = Recording(asking, born_at=now)          # ``recording``: what of upstream's answer is stored

Drivers (ASGI, WSGI, an HTTP client) move the bytes and ask the engine in between.
"""

from __future__ import annotations

import msgspec

from semcache_core.engine.decide import Directives
from semcache_core.http import directives as spoken
from semcache_core.http import status
from semcache_core.http.coding import CannotDecode, decoded
from semcache_core.http.context import DriverContext
from semcache_core.http.known import KnownRequest, RequestProfile, is_short
from semcache_core.http.route import Route
from semcache_core.keys.http import Target
from semcache_core.types import Bypass, Entity, Headers, Key, Query, Request

STRIPPED = frozenset({b"semcache-control", b"semcache-debug"})
"""Request fields that are meant for the cache and go no further."""
ANSWER_STRIPPED = frozenset({b"semcache-control"})
"""The same of answers."""

_DIRECTING = frozenset({b"cache-control", b"pragma", b"semcache-control"})
_NO_DIRECTIVES = Directives()
_UNREADABLE = Bypass(reason="request-coding")
_PLAIN = status.Disclosure()


class RequestHead(msgspec.Struct, frozen=True):
    """A request's head as a driver has it. ``path`` and ``query`` raw; ``headers`` in order, names in lower case."""

    method: str
    scheme: str
    mount: str
    path: bytes
    query: bytes
    headers: Headers
    who: str | None = None
    """The caller's name where the application says it (``Place.by_application``)."""

    __repr__ = object.__repr__  # Headers hold credentials: never in a log.


class CacheableRequest(Entity):
    """A request the cache may answer: what it is known to ask, and the request itself for when it goes upstream."""

    context: DriverContext
    call: RequestHead
    body: bytes
    """As it was sent: it may be compressed."""
    known: KnownRequest
    _key: Key | None = None
    _query: Query | None = None

    @property
    def route(self) -> Route:
        """Who reads the request, and what holds for it."""
        return self.known.head.route

    @property
    def directives(self) -> Directives:
        """What its caller asked for besides."""
        return self.known.head.directives

    @property
    def query(self) -> Query:
        """The request's query. One that was known by its bytes is read only now."""
        query = self._query
        return self._read()[1] if query is None else query

    @property
    def key(self) -> Key:
        """The request's key."""
        key = self._key
        return self._read()[0] if key is None else key

    @property
    def credential(self) -> bytes:
        """A digest of whatever in the headers looks like a credential."""
        return self.context.keys.credential(self.call.headers, generic=self.route.generic)

    @property
    def proof(self) -> bytes:
        """What upstream proves by taking the credential, or by asking for none: that it is good for this place.
        Elsewhere it may be refused, or never looked at.
        """
        return self.known.partition + self.credential

    def handle(self, entry_id: bytes | None) -> bytes:
        """Return the text of ``Semcache-Entry`` for this caller; None names the request's own entry."""
        known = self.known
        if entry_id is not None and entry_id != known.entry_id:
            return self.context.keys.handle(known, entry_id)
        if not known.handle:
            msgspec.structs.force_setattr(known, "handle", self.context.keys.handle(known, known.entry_id))
        return known.handle

    def _read(self) -> tuple[Key, Query]:
        head = self.known.head
        key = _extract(head, self.call, self.body)
        if not isinstance(key, Key):
            raise TypeError(f"the {head.route.protocol} extractor read one request in two ways")
        query = self.context.keys.query(key, head.admitted, policy=head.route.policy)
        self._key, self._query = key, query
        return key, query


def ask(
    context: DriverContext, route: Route, call: RequestHead, body: bytes, *, now: float
) -> CacheableRequest | Bypass | None:
    """Return what the request asks, why it is not for the cache, or None: it is not this protocol after all.

    ``body`` is whole and as it was sent. Raises whatever a broken extractor raises; the driver turns it into a bypass.
    """
    place = (route.protocol, call.method, call.scheme, call.mount, call.path, call.query, call.who)
    canonical_head = context.keys.canonical_head(place, call.headers, generic=route.generic)
    alias = context.keys.alias(canonical_head, body)
    known = context.aliases.get(alias)
    if type(known) is KnownRequest and known.head.is_valid(now):
        return CacheableRequest(context, call, body, known)
    if isinstance(known, Bypass):
        return known
    head = _headed(context, route, call, canonical_head, now=now)
    return head if isinstance(head, Bypass) else _first_asked(context, head, call, body, alias=alias)


def _headed(
    context: DriverContext, route: Route, call: RequestHead, canonical_head: bytes, *, now: float
) -> RequestProfile | Bypass:
    """Return what the request's head says, or why it keeps the request away."""
    digest = context.keys.head(canonical_head)
    head = context.heads.get(digest)
    if head is not None and head.is_valid(now):
        return head
    # Only to see which names are there: most requests have none that matters.
    names = dict(call.headers)
    directives = _NO_DIRECTIVES
    if not _DIRECTING.isdisjoint(names):
        said = spoken.of_request(call.headers, policy=route.policy, allow=context.allow, shared=context.shared)
        if isinstance(said, Bypass):
            return said
        directives = said
        if directives.semantic and route.comparing is not None:
            route = route.comparing
    target = _target(context, route, call, directives.namespace or context.namespace)
    admitted = context.keys.admit(target, call.headers, now=now, who=call.who)
    if isinstance(admitted, Bypass):
        return admitted
    head = RequestProfile(
        route,
        admitted,
        directives,
        _shown(context, call.headers),
        addressed=not STRIPPED.isdisjoint(names),
        coded=b"content-encoding" in names,
        short=is_short(admitted, directives),
    )
    if head.short:
        context.heads.put(digest, head)
    return head


def _first_asked(
    context: DriverContext, head: RequestProfile, call: RequestHead, body: bytes, *, alias: bytes
) -> CacheableRequest | Bypass | None:
    """Read a request whose bytes are not known, and remember by ``alias`` what it asks."""
    route = head.route
    try:
        key = _extract(head, call, body)
    except CannotDecode:
        return _UNREADABLE
    if not isinstance(key, Key):
        if key is not None:
            context.aliases.put(alias, key)
        return key
    query = context.keys.query(key, head.admitted, policy=route.policy)
    known = KnownRequest(
        query.namespace, query.partition, query.exact, query.entry_id, head, key.streamed, key.required
    )
    if head.short:
        context.aliases.put(alias, known)
    return CacheableRequest(context, call, body, known, key, query)


def _shown(context: DriverContext, headers: Headers) -> status.Disclosure:
    if not context.shared and context.debug_token is None:
        return _PLAIN
    return status.Disclosure(of_others=not context.shared, matched=status.may_debug(headers, context.debug_token))


def _extract(head: RequestProfile, call: RequestHead, body: bytes) -> Key | Bypass | None:
    """Return what the extractor makes of the request. Raises CannotDecode."""
    route = head.route
    if head.coded:
        body = decoded(call.headers, body, limit=route.policy.max_body)
    return route.extractor.extract(
        Request(method=call.method, path=call.path, query=call.query, headers=call.headers, body=body)
    )


def _target(context: DriverContext, route: Route, call: RequestHead, namespace: str) -> Target:
    return Target(
        namespace=namespace,
        protocol=route.protocol,
        method=call.method,
        scheme=call.scheme,
        mount=call.mount,
        path=call.path,
        query=call.query,
        upstream=context.place.upstream,
        generic=route.generic,
    )
