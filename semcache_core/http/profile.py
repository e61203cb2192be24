"""What is remembered of requests by a digest of their bytes: who asks and how, and what is asked. No text."""

from __future__ import annotations

import msgspec

from semcache_core.engine.decide import Directives
from semcache_core.http.route import Route
from semcache_core.http.status import Disclosure
from semcache_core.keys.http import ResolvedCaller
from semcache_core.types import Address, Entity, Mode, Quiet

_LONGEST = 1024
"""Bytes of a head that is remembered: callers choose headers and tags, and may make each request another."""
_PER_FIELD = 32
"""What a field counts besides its bytes: hundreds of small fields would fit, each of them 100 bytes of objects."""


class RequestProfile(Quiet, msgspec.Struct, frozen=True):
    """What a request's head says: who asks, and what is asked for besides the body."""

    route: Route
    """Who reads the request, under which policy."""
    caller: ResolvedCaller
    directives: Directives
    disclosure: Disclosure
    coded: bool
    """The body comes in a content coding."""
    short: bool
    """It may be remembered, and requests with it."""
    joins: bool
    """The request may share one call of upstream with equal ones."""
    ends: float
    """When the first of the caller's credentials expires: seconds since the epoch, infinity where none does."""


def is_short(caller: ResolvedCaller, directives: Directives) -> bool:
    """Say whether a head may be remembered, and requests with it."""
    size = sum([len(name) + len(value) + _PER_FIELD for name, value in caller.keyed]) + sum(map(len, directives.tags))
    return size <= _LONGEST


class KnownRequest(Entity):
    """What a request is known to ask: digests and mode, no text."""

    address: Address
    profile: RequestProfile
    mode: Mode
    handle: bytes = b""
    """``Semcache-Entry`` of its own entry, filled at its first hit."""
