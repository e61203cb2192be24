"""A request at the cache, without I/O: whether it is for the cache, and what it asks.

    asking = ask(desk, route, call, body, now=now)      # Asking, Bypass, or None: not this protocol after all
    replay = replayed(asking, found, ...)               # ``replay``: a found entry as this caller's answer
    recording = Recording(asking, born_at=now)          # ``recording``: what of upstream's answer is stored

Drivers (ASGI, WSGI, an HTTP client) move the bytes and ask the engine in between.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import cast

import msgspec

from semcache_core.decide import Directives
from semcache_core.http import directives as said
from semcache_core.http import status
from semcache_core.http.coding import CannotDecode, decoded
from semcache_core.http.site import Desk, Route
from semcache_core.keys.http import ADMITTED, Known, Target
from semcache_core.types import Bypass, Headers, Key, Query, Request

STRIPPED = frozenset({b"semcache-control", b"semcache-debug"})
"""Request fields that are meant for the cache and go no further."""
ANSWER_STRIPPED = frozenset({b"semcache-control"})
"""The same of answers."""

_DIRECTING = frozenset({b"cache-control", b"pragma", b"semcache-control"})
_NO_DIRECTIVES = Directives()
_UNREADABLE = Bypass(reason="request-coding")
_PLAIN = status.Shown()


class Call(msgspec.Struct, frozen=True):
    """A request's head as a driver has it. ``path`` and ``query`` raw; ``headers`` in order, names in lower case."""

    method: str
    scheme: str
    mount: str
    path: bytes
    query: bytes
    headers: Headers
    names: Mapping[bytes, bytes]
    """``dict(headers)``: only to see which names are there, because most requests have none that matters."""
    who: str | None = None
    """The caller's name where the application says it (``Place.by_application``)."""


class Asking:
    """A request the cache may answer: its query, and what its caller wants."""

    __slots__ = ("_known", "_unread", "desk", "directives", "needs", "query", "route", "shown", "streamed")

    query: Query
    streamed: bool
    needs: frozenset[str]

    def __init__(self, unread: Unread, directives: Directives) -> None:
        desk = unread.desk
        self.desk, self.route, self.directives = desk, unread.route, directives
        self._unread = unread
        self.shown = _PLAIN
        if desk.shared or desk.debug_token is not None:
            matched = status.may_debug(unread.call.headers, desk.debug_token)
            self.shown = status.Shown(times=not desk.shared, matched=matched)

    def take(self, known: Known, query: Query) -> Asking:
        """Take over what the request is known to be."""
        self._known, self.streamed, self.needs = known, known.streamed, known.needs
        self.query = query
        return self

    @property
    def call(self) -> Call:
        """The request's head."""
        return self._unread.call

    @property
    def headers(self) -> Headers:
        """The request's headers."""
        return self._unread.call.headers

    @property
    def body(self) -> bytes:
        """The request's body as it was sent: it may be compressed."""
        return self._unread.body

    @property
    def key(self) -> Key:
        """The request's key."""
        unread = self._unread
        if unread.key is None:
            unread.read(self._known)
        return cast("Key", unread.key)

    def handle(self, entry_id: bytes | None) -> bytes:
        """Return the text of ``Semcache-Entry`` for this caller; None names the request's own entry."""
        if entry_id is not None and entry_id != self.query.entry_id:
            return self.desk.keys.handle(self.query, entry_id).encode()
        known = self._known
        if not known.handle:
            known.handle = self.desk.keys.handle(self.query, self.query.entry_id).encode()
        return known.handle

    @property
    def credential(self) -> bytes:
        """A digest of whatever in the headers looks like a credential."""
        return self.desk.keys.credential(self._unread.call.headers, generic=self.route.generic)


class Unread:
    """A request as it came. One that is known by its bytes is read only if it has to go upstream after all.

    It knows nothing of its query, which may ask it for more: a cycle would leave every hit to the garbage collector.
    """

    __slots__ = ("body", "call", "desk", "key", "route")

    def __init__(self, desk: Desk, route: Route, call: Call, body: bytes) -> None:
        self.desk, self.route, self.call, self.body = desk, route, call, body
        self.key: Key | None = None

    def extract(self) -> Key | Bypass | None:
        """Return what the extractor makes of it. Raises CannotDecode."""
        call, body = self.call, self.body
        if b"content-encoding" in call.names:
            body = decoded(call.headers, body, limit=self.route.policy.max_body)
        made = self.route.extractor.extract(
            Request(method=call.method, path=call.path, query=call.query, headers=call.headers, body=body)
        )
        if isinstance(made, Key):
            self.key = made
        return made

    def target(self, namespace: str) -> Target:
        """Return where it goes."""
        call = self.call
        return Target(
            namespace=namespace,
            protocol=self.route.protocol,
            method=call.method,
            scheme=call.scheme,
            mount=call.mount,
            path=call.path,
            query=call.query,
            upstream=self.desk.place.upstream,
            generic=self.route.generic,
        )

    def read(self, known: Known) -> Query:
        """Return the whole query of a request that is known."""
        desk, route, call = self.desk, self.route, self.call
        target = self.target(known.namespace)
        # No credential of it ends in between.
        caller = desk.keys.admit(target, call.headers, now=ADMITTED, who=call.who)
        key = self.extract()
        if isinstance(caller, Bypass) or not isinstance(key, Key):
            raise TypeError(f"the {route.protocol} extractor read one request in two ways")
        return desk.keys.query(key, target, caller, policy=route.policy, partition=known.partition)


def ask(desk: Desk, route: Route, call: Call, body: bytes, *, now: float) -> Asking | Bypass | None:
    """Return what the request asks, why it is not for the cache, or None: it is not this protocol after all.

    ``body`` is whole and as it was sent. Raises whatever a broken extractor raises; the driver turns it into a bypass.
    """
    directives = _NO_DIRECTIVES
    if not _DIRECTING.isdisjoint(call.names):
        read = said.of_request(call.headers, policy=route.policy, allow=desk.allow, shared=desk.shared)
        if isinstance(read, Bypass):
            return read
        directives = read
        if directives.semantic:
            route = route.loosened()
    namespace = directives.namespace or desk.namespace
    place = (namespace, route.protocol, call.method, call.scheme, call.mount, call.path, call.query, call.who)
    alias = desk.keys.alias(place, call.headers, body, generic=route.generic)
    known = desk.aliases.get(alias)
    if isinstance(known, Bypass):
        return known
    unread = Unread(desk, route, call, body)
    if known is not None and (known.ends is None or known.ends > now):
        return Asking(unread, directives).take(known, known.query(partial(unread.read, known)))
    target = unread.target(namespace)
    caller = desk.keys.admit(target, call.headers, now=now, who=call.who)
    if isinstance(caller, Bypass):
        return caller
    try:
        key = unread.extract()
    except CannotDecode:
        return _UNREADABLE
    if not isinstance(key, Key):
        if key is not None:
            desk.aliases.put(alias, key)
        return key
    query = desk.keys.query(key, target, caller, policy=route.policy)
    known = desk.keys.known_as(key, query, caller)
    desk.aliases.put(alias, known)
    return Asking(unread, directives).take(known, query)
