"""Keys of HTTP requests: target, headers and an extractor's ``Key`` in, a ``Query`` out.

digests = Digests(secret)
keys = HttpKeys(digests, options=settings.http)
canonical_head = keys.canonical_head(place, headers, traits=...)  # the place and the counted headers, as bytes
alias = digests.alias(canonical_head, body)     # identifies a repeat of the same bytes
admitted = keys.admit(target, headers, now=now)  # ResolvedCaller, or Bypass with its reason
key = extractor.extract(request)               # Key, Bypass, None
query = keys.query(key, admitted, policy=policy)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from semcache_core.authoring.json_form import HASHED, SLOT
from semcache_core.keys.digests import Digests, pack, store_scope
from semcache_core.keys.fifo import FifoCache
from semcache_core.keys.identity import Caller, Header, IdentityRule, Target
from semcache_core.keys.jwt import ADMITTED
from semcache_core.keys.paths import doubtful_path
from semcache_core.keys.text import compared, split_after
from semcache_core.settings import HttpOptions, Policy
from semcache_core.types import API, Bypass, Key, Nearby, Query, Quiet, Traits

__all__ = ["HttpKeys", "ResolvedCaller", "Target"]

_SCOPES_KEPT = 1024
_LONGEST_FLIGHT = 128
"""Bytes of the longest flight key that is kept without a digest: callers choose its end-user fields."""


class ResolvedCaller(msgspec.Struct, frozen=True):
    """A caller at a target: the common part of all requests with one head, as digests."""

    namespace: str
    partition: bytes
    """The caller and the place: 16 bytes over every field that distinguishes two of them."""
    keyed: tuple[Header, ...]
    """The headers that are part of the request, by name."""
    ends: float | None
    """When the first of the caller's credentials expires: seconds since the epoch; None: no known expiry."""
    prefix: bytes
    """The packed prefix of the digests of all these requests."""

    __repr__ = object.__repr__  # Kept headers may contain secrets: never in a log.


class _Scope(Quiet, msgspec.Struct, frozen=True):
    """The common part of all requests of one scope."""

    store_scope: bytes
    fields: bytes


class _Rest(msgspec.Struct, frozen=True):
    """Computes the second half of a query on demand."""

    keys: HttpKeys
    admitted: ResolvedCaller
    exact: bytes
    key: Key
    policy: Policy

    __repr__ = object.__repr__  # The key contains the prompt: never in a log.

    def __call__(self) -> Nearby:
        key, admitted, policy = self.key, self.admitted, self.policy
        before, raw = split_after(key.slot, policy.compare_after)
        text, exact_only = compared(raw, policy)
        if key.exact_only is not None:
            exact_only = key.exact_only
        digests = self.keys.digests
        scope = digests.scope(admitted.partition, admitted.keyed, key.template, key.end_user, len(key.slot), before)
        common = self.keys.scopes.get(scope) or self.keys.common(scope, admitted, key)
        flight = admitted.partition + self.exact + pack((key.mode.flight, key.end_user))
        return Nearby(
            scope=scope,
            store_scope=common.store_scope,
            flight=flight if len(flight) <= _LONGEST_FLIGHT else admitted.partition + digests.flight(flight),
            text=text,
            exact_only=exact_only,
            fields=digests.members([("earlier turns", key.exact_only_members)], after=common.fields)
            if key.exact_only_members
            else common.fields,
        )


_MARK = bytes(SLOT)
_members_of = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def _members(template: bytes) -> dict[str, msgspec.Raw]:
    """Return the members of a template that ends in a JSON object; its out-of-band marks are not JSON."""
    plain = template[template.find(b"{") :].replace(_MARK, b"null")
    try:
        return _members_of(plain.replace(HASHED, b"") if HASHED in plain else plain)
    except msgspec.MsgspecError:
        return {}


class HttpKeys:
    """Makes partitions, queries and handles of HTTP requests under one configuration.

    ``anonymous``: a request without identity may use the cache (a proxy that listens on loopback only).
    ``by_application``: the application names the caller through ``who``; headers do not.
    Raises ConfigError for an identity that no request could have.
    """

    def __init__(
        self, digests: Digests, *, options: HttpOptions, anonymous: bool = False, by_application: bool = False
    ) -> None:
        self.digests = digests
        self._rule = IdentityRule(options, anonymous=anonymous, by_application=by_application)
        self.canonical_head = self._rule.canonical_head
        self._everybody = IdentityRule(HttpOptions(), anonymous=True)
        self.scopes: FifoCache[_Scope] = FifoCache(_SCOPES_KEPT)

    def notices(self) -> Sequence[str]:
        """Return notices for the operator about how callers are distinguished."""
        return self._rule.notices()

    def admit(
        self, target: Target, headers: Iterable[Header], *, now: float, who: str | bytes | None = None
    ) -> ResolvedCaller | Bypass:
        """Return the caller at its place, or why the request bypasses the cache.

        Headers have lower-case names, in order. ``now``: seconds since the epoch, to find expired credentials.
        """
        caller = doubtful_path(target.path) or self._rule.classify(headers, traits=target.traits, now=now, who=who)
        if isinstance(caller, Bypass):
            return caller
        partition = self.digests.partition("http", target, caller.authority, caller.identity)
        prefix = pack(partition) + pack(caller.keyed)
        return ResolvedCaller(target.namespace, partition, caller.keyed, self._rule.ends(caller), prefix)

    def query(self, key: Key, admitted: ResolvedCaller, *, policy: Policy) -> Query:
        """Return the query of an extracted key."""
        digest = self.digests.request(admitted.prefix + pack((key.template, key.exact_only_members, key.slot)))
        exact = digest[16:]
        return Query(
            admitted.namespace, admitted.partition, exact, digest[:16], _Rest(self, admitted, exact, key, policy)
        )

    def common(self, scope: bytes, admitted: ResolvedCaller, key: Key) -> _Scope:
        """Compute the common part of all requests of a scope and keep it; ``key`` is that of one of them."""
        common = _Scope(store_scope(admitted.partition, scope), self.digests.members(_named(admitted.keyed, key)))
        self.scopes.put(scope, common)
        return common

    def credential(self, headers: Sequence[Header], *, traits: Traits = API) -> bytes:
        """Return a digest of every header that looks like a credential, even if it does not distinguish callers.

        Under ``identity = "shared"`` a caller gets a hit only while the upstream is known to accept the credential.
        ``traits``: as in ``Target``; they say whether cookies are a credential in addition to a better one.
        """
        caller = self._everybody.classify(headers, traits=traits, now=ADMITTED)
        return self.digests.partition("credential", caller.identity if isinstance(caller, Caller) else list(headers))


def _named(keyed: Sequence[Header], key: Key) -> list[tuple[str, bytes | msgspec.Raw]]:
    """Name the headers and members of a request that its scope depends on."""
    found: list[tuple[str, bytes | msgspec.Raw]] = [
        (f"header {name.decode('latin-1')}", value) for name, value in keyed
    ]
    if key.end_user:
        found.append(("end user", key.end_user))
    found += _members(key.template).items()
    return found
