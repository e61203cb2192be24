"""Upstream's answer on its way to the caller: what of it may be stored, and what may be told to others who wait. Pure.

A recording watches. Whatever it refuses, the caller gets the answer as it came.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import cast

import msgspec

from semcache_core.engine.freshness import expiry
from semcache_core.engine.offload import LONG
from semcache_core.http import directives
from semcache_core.http import headers as rules
from semcache_core.http.coding import Bounded, CannotDecode, decoder_for
from semcache_core.http.request import CacheableRequest
from semcache_core.protocols import AnswerHead, Recorder, Refused, SupportsTerminal
from semcache_core.reasons import Code
from semcache_core.settings import Duration
from semcache_core.types import Entity, Headers, Key, Query, Quiet, Record

_LONG = 4 * LONG
_MOST_FIELDS = 256
_MOST_VARYING = 32
"""Request fields that an answer may depend on: each is looked for in every request that it may serve."""
_VARYING = frozenset({b"vary", b"access-control-allow-origin"})
_MARKED: dict[type, bool] = {}
_CUT_OFF = Refused("aborted", complete=False, cut_off=True)
_UNDECODABLE = Refused("undecodable", complete=False, cut_off=True)
_LONGEST = 20
"""No length has more digits, and Python refuses to read thousands of them."""
_encode = msgspec.msgpack.Encoder().encode


class Shared(Quiet, msgspec.Struct, frozen=True):
    """The head of an answer as others who wait get it: with stored-header rules, and its body decoded."""

    status: int
    headers: Headers
    vary: Headers


class Kept(Quiet, msgspec.Struct, frozen=True):
    """An answer to be stored."""

    record: Record
    tags: tuple[str, ...]


class Recording(Entity):
    """Watches one answer go by. ``begin``, then ``feed`` for each piece (of a long or coded one: for its parts), then
    ``finish``, which may run in another thread.
    """

    request: CacheableRequest
    key: Key
    query: Query
    born_at: float
    refused: Refused | None = None
    """Why nothing will be stored, as soon as that is known."""
    is_whole: bool = False
    """The protocol's own end of the answer has come, although the body goes on."""
    _open: bool = False
    """The head has come, and waiters may have the body."""
    _decoder: Bounded | None = None
    """None: the body comes without a content coding."""
    _size: int = 0
    _announced: frozenset[int] = frozenset()
    """The lengths that the answer's Content-Length fields say; empty: they say nothing."""
    _came: int = 0
    """Bytes of a coded body that came."""
    _recorder: Recorder | None = None
    _marked: SupportsTerminal | None = None
    _headers: Headers = ()
    _vary: Headers = ()
    _ttl: Duration = None
    _must_revalidate: bool = False
    _lain: int = 0
    _tags: tuple[str, ...] = ()

    def begin(self, head: AnswerHead, *, now: float) -> Shared | None:
        """Take the head; return what others who wait may be told, or None: this answer is its own caller's only."""
        self.refused = self._head_refusal(head, now)
        if self.refused is not None:
            return None
        self._open = True
        return Shared(head.status, self._headers, self._vary)

    @property
    def is_coded(self) -> bool:
        """Whether the body comes in a content coding: ``feed`` takes what ``parts`` makes of it."""
        return self._decoder is not None

    @property
    def takes_long(self) -> bool:
        """Whether ``finish`` may take over 5 ms."""
        return self._size > _LONG

    def parts(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the content of the next piece of the body as it came, in parts that take little time to record.

        Raises CannotDecode: there is no content that could be told.
        """
        self._came += len(chunk)
        for piece in (chunk,) if self._decoder is None else self._decoder.pieces(chunk):
            for at in range(0, len(piece), LONG):
                yield piece[at : at + LONG]

    def feed(self, content: bytes) -> bytes:
        """Take the next part of the content; return it for others who wait, however long it gets in all."""
        if not self._open:
            return b""
        self._size += len(content)
        if self._size > self.request.route.policy.max_body:
            self.refuse("too-large")
        elif content and self._recorder is not None:
            self._recorder.feed(content)
            self.is_whole = self._marked is not None and self._marked.done
        return content

    def refuse(self, reason: Code) -> None:
        """Stop recording: the answer is too large, or came in a way that cannot be recorded."""
        self.refused = Refused(reason, complete=False)
        self.is_whole = False
        self._recorder = None

    def finish(self, *, now: float, draw: float) -> Kept | Refused:
        """Return what is to be stored at the answer's end. ``draw`` in [0, 1): the chance that shortens its life."""
        broken = self._broken_off() if self._open and not self.is_whole else None
        if broken is not None:
            return broken
        if self.refused is not None:
            return self.refused
        if self._recorder is None:
            return Refused("no-answer", complete=False)
        answer = self._recorder.finish()
        if isinstance(answer, Refused):
            return answer
        if self._ttl == 0:
            return Refused("ttl", complete=False)
        query, nearby, policy = self.query, self.query.nearby, self.request.route.policy
        exact_only = answer.exact_only or nearby.exact_only is not None
        whole = msgspec.structs.replace(answer, headers=self._headers, vary=self._vary)
        record = Record(
            partition=query.partition,
            scope=nearby.scope,
            exact=query.exact,
            text="" if exact_only else nearby.text,
            kind="http",
            payload=_encode(whole),
            born_at=self.born_at,
            expires_at=expiry(self.born_at, self._ttl, jitter=policy.jitter, draw=draw),
            exact_only=exact_only,
            tokens=answer.tokens,
            cost=max(0.0, now - self.born_at),
            fields=nearby.fields,
            must_revalidate=self._must_revalidate,
            age_at_birth=self._lain,
        )
        return Kept(record, self._tags)

    def _broken_off(self) -> Refused | None:
        """Return why the body is not whole, by its length and its coding."""
        came = self._size if self._decoder is None else self._came
        if self._announced and self._announced != {came}:
            return _CUT_OFF
        try:
            if self._decoder is not None:
                self._decoder.end()
        except CannotDecode:
            return _UNDECODABLE
        return None

    def _head_refusal(self, head: AnswerHead, now: float) -> Refused | None:
        request, headers = self.request, head.headers
        route = request.route
        if head.status != 200:
            return Refused("status", complete=False)
        if len(headers) > _MOST_FIELDS:
            return Refused("not-recordable", complete=False)
        if not request.profile.directives.store:
            return Refused("no-store", complete=False)
        # Only to see which names are there: most answers have few, and none that says anything to a cache.
        names = dict(headers)
        if route.traits.http_caching and (b"set-cookie" in names or b"set-cookie2" in names):
            return Refused("set-cookie")
        refusal = self._lifetime_refusal(headers, names, now)
        if refusal is not None:
            return refusal
        if b"content-length" in names:
            self._announced = _lengths(headers)
        self._headers = rules.kept(headers, traits=route.traits, keep=request.context.keep)
        self._must_revalidate = route.traits.http_caching and route.obeys and directives.forbids_stale(headers)
        if route.traits.http_caching and b"age" in names:
            self._lain = directives.age(headers)
        if not names.keys().isdisjoint(_VARYING):
            varying = rules.varies_on(headers if route.traits.keeps_headers else self._headers)
            if varying is None or len(varying) > _MOST_VARYING:
                return Refused("vary")
            self._vary = rules.values_of(varying, request.head.headers, digests=request.context.digests)
        if b"content-encoding" in names:
            try:
                self._decoder = decoder_for(headers, limit=route.policy.max_body)
            except CannotDecode:
                return Refused("coding", complete=False)
        recorder = route.answers.recorder(self.key, head, policy=route.policy)
        if isinstance(recorder, Refused):
            return recorder
        self._recorder = recorder
        marks = _MARKED.get(type(recorder))
        if marks is None:
            # Asked once a class: an isinstance of a protocol takes microseconds.
            marks = _MARKED[type(recorder)] = isinstance(recorder, SupportsTerminal)
        self._marked = cast("SupportsTerminal", recorder) if marks else None
        return None

    def _lifetime_refusal(self, headers: Headers, names: Container[bytes], now: float) -> Refused | None:
        """Settle how long the answer may live, or say why not at all. The application's own word goes first."""
        route, asked = self.request.route, self.request.profile.directives
        own = directives.of_answer(headers) if b"semcache-control" in names else None
        self._tags = asked.tags if own is None else (*own.tags, *asked.tags)
        if own is not None and own.no_store:
            return Refused("no-store", complete=False)
        if own is not None and own.ttl is not msgspec.UNSET:
            self._ttl = own.ttl
        else:
            self._ttl = route.policy.ttl if asked.ttl is msgspec.UNSET else asked.ttl
            if route.obeys and (b"cache-control" in names or b"expires" in names):
                if directives.forbids_storing(headers, traits=route.traits):
                    return Refused("cache-control", complete=False)
                ceiling = directives.lifetime(headers, now=now) if route.traits.http_caching else None
                if ceiling is not None:
                    self._ttl = ceiling if self._ttl is None else min(self._ttl, ceiling)
        return Refused("ttl", complete=False) if self._ttl == 0 else None


def _lengths(headers: Headers) -> frozenset[int]:
    """Return every length that a head announces. What is no number says nothing."""
    said = [each.strip() for name, value in headers if name == b"content-length" for each in value.split(b",")]
    return frozenset(int(each) for each in said if each.isdigit() and len(each) <= _LONGEST)
