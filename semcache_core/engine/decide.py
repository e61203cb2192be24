"""The decision as a value: whether an entry may answer a request. Pure: no clock, no I/O.

The order is fixed: directives, exact, veto, embedding, search, threshold, verifiers, veto, freshness, serve. The engine
follows it and asks this module at each step; every step that ends the lookup gives a reason code.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

from semcache_core.reasons import Code, OwnCode
from semcache_core.settings import Duration, Policy
from semcache_core.types import Accept, Outcome, Penalty, Quiet, Record, Reject, Source, Struct, Vector, Verdict

AFTER_REJECT = 0.02
"""After a reject, the next candidate must exceed the threshold by this much."""
JUDGED_ABOVE = 0.03
"""Costly verifiers run from the threshold up to this much above it."""


class Directives(Quiet, Struct, frozen=True, kw_only=True):
    """What the caller asked for besides the request itself. The default asks for nothing."""

    lookup: bool = True
    """False (no-cache): go upstream and refresh the entry."""
    store: bool = True
    """False (no-store)."""
    off: bool = False
    """mode=off: the cache is not consulted, nothing is stored."""
    exact_only: bool = False
    semantic: bool = False
    """mode=semantic: similar texts may answer although the route says ``match = "exact"``; the operator allowed it."""
    threshold: float | None = None
    """May only tighten the route's."""
    ttl: Duration | msgspec.UnsetType = msgspec.UNSET
    max_age: float | None = None
    """Oldest acceptable age, seconds."""
    max_stale: float = 0.0
    """Accepted staleness, seconds, within the operator's window."""
    only_if_cached: bool = False
    tags: tuple[str, ...] = ()
    namespace: str | None = None

    @property
    def joins(self) -> bool:
        """Whether the request may share a flight with others."""
        return self.lookup and self.store and not self.off


def check_threshold(threshold: float) -> None:
    """Raise ValueError for a threshold that no similarity, or every similarity, could reach."""
    if not 0.0 <= threshold <= 1.0:
        raise ValueError(f"threshold is a similarity from 0 to 1, not {threshold!r}")


LATE = frozenset({"embedder-busy", "lookup-deadline"})
"""Reasons of a look-up that found no time to embed the text: it is not embedded for its answer either."""


class Found(Quiet, Struct, frozen=True, kw_only=True):
    """What the engine found for a query, and why."""

    _shows: ClassVar[frozenset[str]] = frozenset({"outcome", "reason", "source"})

    outcome: Outcome
    """hit, stale (serve, but a refresh is due), or miss."""
    reason: Code
    source: Source | None = None
    similarity: float | None = None
    entry_id: bytes | None = None
    record: Record | None = None
    now: float = 0.0
    vector: Vector | None = None
    """The query's embedding if it was computed, so that a miss embeds once."""
    fallback: Record | None = None
    """On a miss: an expired entry that may still replace a failing upstream (stale-if-error)."""

    @property
    def age(self) -> float:
        """Seconds since the record was born; 0 without one."""
        record = self.record or self.fallback
        return record.age(self.now) if record is not None else 0.0

    @property
    def remaining(self) -> float | None:
        """Seconds until (negative: since) the record's expiry; None: it never expires."""
        record = self.record or self.fallback
        return None if record is None or record.expires_at is None else record.expires_at - self.now


class CandidateBar:
    """The similarity that the next candidate must reach, and why the last one was rejected.

    After a reject the next candidate must be clearly nearer than the threshold: where one neighbour was wrong, the
    next one is suspect. A certain reject does not raise the bar: in templated traffic the right entry is one of dozens
    that differ only in a number, and each of those is known to be another question.
    """

    __slots__ = ("_bar", "_threshold", "reason")

    def __init__(self, threshold: float) -> None:
        self._threshold = self._bar = threshold
        self.reason: Code = "below-threshold"

    def reaches(self, similarity: float) -> bool:
        """Say whether a candidate this near may be considered."""
        return similarity >= self._bar

    def is_doubtful(self, similarity: float) -> bool:
        """Say whether a costly verifier should run."""
        return similarity < self._threshold + JUDGED_ABOVE

    def turned_down(self, reason: Code) -> None:
        """Note that a candidate was rejected."""
        self.reason = reason
        self._bar = self._threshold + AFTER_REJECT

    def passed_over(self, reason: Code) -> None:
        """Note that a candidate may not be served, which says nothing about the next one."""
        self.reason = reason

    def weigh(self, verdict: Verdict, similarity: float) -> float:
        """Return the similarity after ``verdict``; below 0 means rejected."""
        if isinstance(verdict, Accept):
            return similarity
        if isinstance(verdict, Penalty):
            similarity -= verdict.amount
            if self.reaches(similarity):
                return similarity
        if isinstance(verdict, Reject) and verdict.certain:
            self.passed_over(OwnCode(verdict.reason))
            return -1.0
        # Any other value rejects too: a verifier that returns None has not accepted.
        self.turned_down(OwnCode(verdict.reason) if isinstance(verdict, (Penalty, Reject)) else "verifier-error")
        return -1.0


def is_dead(record: Record, *, invalidated_at: float | None) -> bool:
    """Say whether the record was invalidated; ``invalidated_at`` is the latest invalidation of its tags."""
    return invalidated_at is not None and record.born_at <= invalidated_at


def serves(
    record: Record, *, now: float, invalidated_at: float | None, policy: Policy, directives: Directives, source: Source
) -> Found:
    """Say whether ``record``, which matches the request, may still be served: a hit, a stale hit, or a miss and why.

    It is fresh until ``expires_at`` and stale for a window after that, in which a caller that accepts staleness gets
    it, unless the answer itself forbids that. A record invalidated at or after its birth (``invalidated_at``: the
    latest invalidation of its tags) is dead: it is never served again, not even stale.
    """
    if invalidated_at is not None and is_dead(record, invalidated_at=invalidated_at):
        return Found(outcome="miss", reason="invalidated")
    outcome: Outcome = "hit"
    expires_at, max_age = record.expires_at, directives.max_age
    if expires_at is None or now < expires_at:
        if max_age is not None and record.age(now) > max_age:
            return Found(outcome="miss", reason="max-age")
    else:
        late = now - expires_at
        if record.must_revalidate or late >= policy.stale_window:
            return Found(outcome="miss", reason="expired")
        if max_age is not None and not directives.max_stale:
            return Found(outcome="miss", reason="max-age")
        if late < policy.stale_while_revalidate:
            outcome = "stale"
        elif late > directives.max_stale:
            fallback = record if late < policy.stale_if_error else None
            return Found(outcome="miss", reason="expired", fallback=fallback, now=now)
    similarity = 1.0 if source == "exact" else None
    return Found(outcome=outcome, reason=source, source=source, similarity=similarity, record=record, now=now)
