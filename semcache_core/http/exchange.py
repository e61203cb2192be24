"""One request at the cache, without I/O: what it asks, and how a found entry answers it.

    asking = ask(desk, route, call, body)      # Asking, Bypass, or None: not this protocol after all
    replay = replayed(asking, found, ...)      # Replay, or the reason why this entry does not fit this caller

Drivers (ASGI, WSGI, an HTTP client) move the bytes and ask the engine in between; ``recording`` takes what upstream
says.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import msgspec

from semcache_core.decide import Directives, Found
from semcache_core.http import directives as said
from semcache_core.http import headers as rules
from semcache_core.http import status
from semcache_core.http.coding import CannotDecode, decoded
from semcache_core.http.site import Desk, Route
from semcache_core.keys.http import Caller, Target, known_as
from semcache_core.protocols import Answer, Framing
from semcache_core.types import Bypass, Headers, Key, Query, Request

STRIPPED = frozenset({b"semcache-control", b"semcache-debug"})
"""Request fields that are meant for the cache and go no further."""

_PIECE = 16 * 1024
_UNREADABLE = Bypass(reason="request-coding")
_decode_answer = msgspec.msgpack.Decoder(Answer).decode
_PRIVATE = (b"cache-control", b"private, no-store")
_PLAIN = status.Shown()


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A request's head as a driver has it. ``path`` and ``query`` raw; ``headers`` in order, names in lower case."""

    method: str
    scheme: str
    mount: str
    path: bytes
    query: bytes
    headers: Sequence[tuple[bytes, bytes]]
    who: str | None = None
    """The caller's name where the application says it (``Place.by_application``)."""


class Asking:
    """A request the cache may answer: its query, and what its caller wants."""

    __slots__ = ("_extracted", "desk", "directives", "headers", "needs", "query", "route", "shown", "streamed")

    def __init__(
        self, desk: Desk, route: Route, directives: Directives, headers: Headers, extracted: Extracted, query: Query
    ) -> None:
        self.desk, self.route, self.directives, self.headers = desk, route, directives, headers
        self._extracted = extracted
        self.query = query
        self.streamed = False
        self.needs: frozenset[str] = frozenset()
        self.shown = _PLAIN

    @property
    def body(self) -> bytes:
        """The request's body as it was sent."""
        return self._extracted.body

    @property
    def key(self) -> Key:
        """The request's key; a repeat of known bytes is parsed only here, when it has to go upstream after all."""
        return self._extracted.key()

    @property
    def credential(self) -> bytes:
        """A digest of whatever in the headers looks like a credential."""
        return self.desk.keys.credential(self.headers, generic=self.route.generic)


class Extracted:
    """The key of one request, worked out when it is first needed."""

    __slots__ = ("_key", "_request", "_route")

    def __init__(self, route: Route, request: Request, key: Key | None = None) -> None:
        """``request`` holds the body as it was sent; ``key`` is given where it is known already."""
        self._route, self._request, self._key = route, request, key

    @property
    def body(self) -> bytes:
        """The body as it was sent."""
        return self._request.body

    def key(self) -> Key:
        """Return the key. The request was extracted before, so it has one."""
        if self._key is None:
            request = self._request
            content = decoded(request.headers, request.body, limit=self._route.policy.max_body)
            key = self._route.extractor.extract(msgspec.structs.replace(request, body=content))
            if not isinstance(key, Key):
                raise TypeError(f"{self._route.protocol} gave two different keys for one request")
            self._key = key
        return self._key


def ask(desk: Desk, route: Route, call: Call, body: bytes, *, now: float) -> Asking | Bypass | None:
    """Return what the request asks, why it is not for the cache, or None: it is not this protocol after all.

    ``body`` is whole and as it was sent. Raises whatever a broken extractor raises; the driver turns it into a bypass.
    """
    headers = tuple(call.headers)
    directives = said.of_request(headers, policy=route.policy, allow=desk.allow, shared=desk.shared)
    if isinstance(directives, Bypass):
        return directives
    target = Target(
        namespace=directives.namespace or desk.namespace,
        protocol=route.protocol,
        method=call.method,
        scheme=call.scheme,
        mount=call.mount,
        path=call.path,
        query=call.query,
        upstream=desk.place.upstream,
        generic=route.generic,
    )
    caller = desk.keys.admit(target, headers, now=now, who=call.who)
    if isinstance(caller, Bypass):
        return caller
    request = Request(method=call.method, path=call.path, query=call.query, headers=headers, body=body)
    alias = desk.keys.alias(target, caller, body)
    known = desk.aliases.get(alias)
    if isinstance(known, Bypass):
        return known
    if known is None:
        return _ask_anew(desk, route, directives, request, (target, caller, alias))
    extracted = Extracted(route, request)
    query = known.query(partial(_query, desk, route, extracted, target, caller))
    asking = Asking(desk, route, directives, headers, extracted, query)
    asking.streamed, asking.needs = known.streamed, known.needs
    return _shown(asking)


def _ask_anew(
    desk: Desk, route: Route, directives: Directives, request: Request, keyed: tuple[Target, Caller, bytes]
) -> Asking | Bypass | None:
    target, caller, alias = keyed
    try:
        content = decoded(request.headers, request.body, limit=route.policy.max_body)
    except CannotDecode:
        return _UNREADABLE
    readable = request if content is request.body else msgspec.structs.replace(request, body=content)
    key = route.extractor.extract(readable)
    if not isinstance(key, Key):
        if key is not None:
            desk.aliases.put(alias, key)
        return key
    query = desk.keys.query(key, target, caller, policy=route.policy)
    desk.aliases.put(alias, known_as(key, query))
    asking = Asking(desk, route, directives, request.headers, Extracted(route, request, key), query)
    asking.streamed, asking.needs = key.streamed, key.needs
    return _shown(asking)


def _query(desk: Desk, route: Route, extracted: Extracted, target: Target, caller: Caller) -> Query:
    return desk.keys.query(extracted.key(), target, caller, policy=route.policy)


def _shown(asking: Asking) -> Asking:
    desk = asking.desk
    if desk.shared or desk.debug_token is not None:
        asking.shown = status.Shown(times=not desk.shared, matched=status.may_debug(asking.headers, desk.debug_token))
    return asking


# -- an entry as the answer -------------------------------------------------------------------------------------------


class Replay(msgspec.Struct, frozen=True):
    """An answer from the cache, ready to be sent: ``chunks`` are never empty."""

    status: int
    headers: list[tuple[bytes, bytes]]
    chunks: Sequence[bytes]


def replayed(
    asking: Asking, found: Found, *, now: float, fresh_id: str, upstream_status: int | None = None
) -> Replay | str:
    """Return the found entry framed for this caller, or a reason code why it does not fit.

    ``upstream_status``: the failure that the entry stands in for (stale-if-error). ``fresh_id``: random text.
    """
    record, route = found.record, asking.route
    if record is None or record.kind != "http":
        return "mismatch"
    try:
        answer = _decode_answer(record.payload)
    except msgspec.MsgspecError:
        return "undecodable"
    if answer.vary and not rules.matches(answer.vary, asking.headers):
        return "vary"
    framing = Framing(
        streamed=asking.streamed,
        needs=asking.needs,
        exact=found.source == "exact",
        fresh_id=fresh_id,
        now=now,
        zero_usage=route.policy.usage_on_hit == "zero",
    )
    reply = route.answers.reply(answer, framing)
    if reply is None:
        return "mode-missing"
    if upstream_status is None:
        told = status.hit(
            found,
            handle=asking.desk.keys.handle(asking.query, found.entry_id or asking.query.entry_id),
            shown=asking.shown,
        )
    else:
        told = status.stale_on_error(upstream_status, found.age, shown=asking.shown)
    chunks = reply.chunks if len(reply.chunks) == 1 else _in_pieces(reply.chunks)
    headers = _headers(answer.headers, reply.content_type, told)
    if len(chunks) == 1:
        headers.append((b"content-length", b"%d" % len(chunks[0])))
    if not route.generic:
        headers.append(_PRIVATE)
    return Replay(answer.status, headers, chunks)


def _headers(stored: Headers, content_type: bytes, told: Headers) -> list[tuple[bytes, bytes]]:
    """Return the stored fields with the reply's content type, and after them what the cache says of itself."""
    fields = list(stored)
    if content_type:
        kind = content_type.partition(b";")[0]
        if not any(name == b"content-type" and value.startswith(kind) for name, value in stored):
            fields = [(b"content-type", content_type), *(field for field in stored if field[0] != b"content-type")]
    fields.extend(told)
    return fields


def _in_pieces(chunks: Sequence[bytes]) -> list[bytes]:
    """Join small chunks: one send for each word of a long answer would cost more than the answer."""
    pieces: list[bytes] = []
    waiting: list[bytes] = []
    size = 0
    for chunk in chunks:
        waiting.append(chunk)
        size += len(chunk)
        if size >= _PIECE:
            pieces.append(b"".join(waiting))
            waiting, size = [], 0
    if waiting or not pieces:
        pieces.append(b"".join(waiting))
    return pieces
