"""Keys of HTTP requests: target, headers and an extractor's ``Key`` in, a ``Query`` out.

keys = HttpKeys(Digests(secret), options=settings.http)
alias = keys.alias(place, headers, body, generic=...)  # a repeat of the same bytes is known by this
caller = keys.admit(target, headers, now=now)          # Caller, or Bypass: forward and say why
key = extractor.extract(request)                       # Key, Bypass, None
query = keys.query(key, target, caller, policy=policy)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from semcache_core.settings import HttpOptions, Policy
from semcache_core.types import Address, Bypass, Key, Nearby, Query

from .canonical import HASHED, HOLE
from .digests import Digests, store_scope
from .identity import Caller, Header, IdentityRule, Target, doubtful_path
from .jwt import ADMITTED
from .text import exact_only_reason, fold, split_after

__all__ = ["ADMITTED", "Caller", "HttpKeys", "Target"]


class _Rest(msgspec.Struct, frozen=True):
    """What works out the second half of a query, if it is ever asked for."""

    digests: Digests
    partition: bytes
    exact: bytes
    keyed: tuple[Header, ...]
    key: Key
    policy: Policy

    def __call__(self) -> Nearby:
        key, digests, partition = self.key, self.digests, self.partition
        before, raw = split_after(key.hole, self.policy.hole_after)
        text = fold(raw)
        scope = digests.scope(partition, self.keyed, key.template, key.audience, len(key.hole), before)
        return Nearby(
            scope=scope,
            store_scope=store_scope(partition, scope),
            flight=digests.flight(partition, self.exact, key.flight, key.audience),
            text=text,
            exact_only=key.exact_only or exact_only_reason(text, self.policy),
        )


class _Fields(msgspec.Struct, frozen=True):
    """Names the headers and members of a request, with short digests of their values."""

    digests: Digests
    keyed: tuple[Header, ...]
    key: Key

    def __call__(self) -> tuple[tuple[str, bytes], ...]:
        key = self.key
        found: list[tuple[str, bytes | msgspec.Raw]] = [
            (f"header {name.decode('latin-1')}", value) for name, value in self.keyed
        ]
        if key.audience:
            found.append(("end user", key.audience))
        if key.aside:
            found.append(("earlier turns", key.aside))
        found += _members(key.template).items()
        return self.digests.members(found)


_MARK = bytes(HOLE)
_members_of = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def _members(template: bytes) -> dict[str, msgspec.Raw]:
    """Return the members of a template that ends in a JSON object; the out-of-band marks in it are no JSON."""
    plain = template[template.find(b"{") :].replace(_MARK, b"null")
    try:
        return _members_of(plain.replace(HASHED, b"") if HASHED in plain else plain)
    except msgspec.MsgspecError:
        return {}


class HttpKeys:
    """Makes partitions, queries and handles of HTTP requests under one configuration.

    ``anonymous``: a request without identity may use the cache (a proxy that listens on loopback only).
    ``by_application``: the application says who asks, through ``who``; headers say nothing about it.
    Raises ConfigError for an identity that nobody could have.
    """

    def __init__(
        self, digests: Digests, *, options: HttpOptions, anonymous: bool = False, by_application: bool = False
    ) -> None:
        self.digests = digests
        self._rule = IdentityRule(options, anonymous=anonymous, by_application=by_application)
        self._everybody = IdentityRule(HttpOptions(), anonymous=True)

    def notices(self) -> Sequence[str]:
        """Return what an operator should know about how callers are told apart."""
        return self._rule.notices()

    def admit(
        self, target: Target, headers: Iterable[Header], *, now: float, who: str | bytes | None = None
    ) -> Caller | Bypass:
        """Return who asks and which headers belong to the request, or why it is not for the cache.

        Headers with lower-case names, in order. ``now``: seconds since the epoch, by which a credential may have ended.
        """
        return doubtful_path(target.path) or self._rule.sift(headers, generic=target.generic, now=now, who=who)

    def alias(
        self, place: tuple[str | bytes | None, ...], headers: Iterable[Header], body: bytes, *, generic: bool
    ) -> bytes:
        """Return the digest by which a repeat of the very same request is known without reading it: 16 bytes.

        ``place`` is where it goes: whatever of it makes the target. Headers that are ignored do not count; the others
        do as they stand, in their order, those that say how to use the cache among them.
        """
        return self.digests.alias(place, self._rule.telling(headers, generic=generic), body)

    def ends(self, caller: Caller) -> float | None:
        """Return when the caller's credential ends, as far as it says so: seconds since the epoch; None: no end."""
        return self._rule.ends(caller)

    def partition(self, target: Target, caller: Caller) -> bytes:
        """Return who asks and where: 16 bytes."""
        return self.digests.partition("http", target, caller.authority, caller.identity)

    def query(
        self, key: Key, target: Target, caller: Caller, *, policy: Policy, partition: bytes | None = None
    ) -> Query:
        """Return the query of an extracted key. ``partition``: what ``partition`` returned, where it is at hand."""
        if partition is None:
            partition = self.partition(target, caller)
        digest = self.digests.request(partition, caller.keyed, key.template, key.aside, key.hole)
        exact = digest[16:]
        return Query(
            target.namespace,
            partition,
            exact,
            digest[:16],
            _Rest(self.digests, partition, exact, caller.keyed, key, policy),
            _Fields(self.digests, caller.keyed, key),
        )

    def credential(self, headers: Sequence[Header], *, generic: bool = True) -> bytes:
        """Return a digest of whatever in the headers looks like a credential, also where it tells nobody apart.

        Under ``identity = "shared"`` a credential is answered only while the upstream is known to accept it.
        ``generic``: as in ``Target``; LLM protocols take cookies for a credential only where nothing better is there.
        """
        caller = self._everybody.sift(headers, generic=generic, now=ADMITTED)
        return self.digests.partition("credential", caller.identity if isinstance(caller, Caller) else list(headers))

    def handle(self, address: Address, entry_id: bytes) -> bytes:
        """Return the text of ``Semcache-Entry``: it names the entry to callers of the address's partition only."""
        return self.digests.handle(address.partition, entry_id).encode()
