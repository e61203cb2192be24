"""Builds the record of a query from a Python value."""

from __future__ import annotations

import random

import msgspec

from semcache_core.engine.freshness import expiry, parse_duration
from semcache_core.engine.payloads import NotStorable, pack
from semcache_core.settings import Duration, Policy
from semcache_core.types import Query, Record


def record_of(query: Query, value: object, policy: Policy, *, born_at: float, cost: float = 0.0) -> Record:
    """Return ``value`` as the record of ``query``. Raises NotStorable."""
    if policy.mode == "off":
        raise NotStorable("off")
    if policy.ttl == 0:
        raise NotStorable("ttl")
    kind, payload = pack(value)
    nearby = query.nearby
    return Record(
        partition=query.partition,
        scope=nearby.scope,
        exact=query.exact,
        text=nearby.text if nearby.exact_only is None else "",
        kind=kind,
        payload=payload,
        born_at=born_at,
        expires_at=expiry(born_at, policy.ttl, jitter=policy.jitter, draw=random.random()),  # noqa: S311  no secret
        exact_only=nearby.exact_only is not None,
        cost=cost,
        fields=nearby.fields,
    )


def with_ttl(policy: Policy, ttl: str | Duration | msgspec.UnsetType) -> Policy:
    """Return the policy with the caller's ttl, if given. Raises ValueError."""
    if isinstance(ttl, msgspec.UnsetType):
        return policy
    return msgspec.structs.replace(policy, ttl=None if ttl is None else parse_duration(ttl))
