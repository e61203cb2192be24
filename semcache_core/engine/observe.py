"""What happened, counted and told: statistics in process, and events to whoever implements ``semcache_observe``."""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Self

import msgspec

from semcache_core.engine.decide import Found
from semcache_core.keys.digests import members_of
from semcache_core.protocols import SupportsNotices
from semcache_core.reasons import Code
from semcache_core.settings import Policy
from semcache_core.types import Address, Decision, Event, Fault, Notice, Query

_COARSE = (0, 50, 60, 70)
_TEXTS_WATCHED = 4096
_TOLD_AGAIN = 60.0
"""Seconds before the operator's log is told of another failure of the same stage."""
_log = logging.getLogger("semcache")


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot of the counters since the cache was opened."""

    hits: dict[str, int]
    """By source: ``exact``, ``semantic``; stale ones included."""
    stale: int
    """Hits that an expired entry answered."""
    misses: int
    """Requests that were looked up and not answered."""
    miss_reasons: dict[str, int]
    """By reason code."""
    bypasses: dict[str, int]
    """By reason code."""
    unstored: dict[str, int]
    """Answers from upstream that were not stored, by reason code."""
    errors: dict[str, int]
    """By stage."""
    observer_errors: int
    """Exceptions that observers raised."""
    tokens_saved: int
    """Tokens that upstream would have counted."""
    milliseconds_saved: float
    """Time that upstream took for the answers, less that of the look-ups."""
    similarities: dict[str, int]
    """How near the nearest entry was where the cache searched, hits and misses: how often, by the lower end of the
    bucket, nearest last. Steps of 0.01 from 0.80 on, where thresholds are; coarse ones below.
    """
    splits: dict[str, int]
    """The header or body member that most often gave equal texts different scopes, most frequent first."""

    @classmethod
    def nothing(cls) -> Self:
        """Return the counters of a cache that has seen no request."""
        return cls(
            hits={"exact": 0, "semantic": 0},
            stale=0,
            misses=0,
            miss_reasons={},
            bypasses={},
            unstored={},
            errors={},
            observer_errors=0,
            tokens_saved=0,
            milliseconds_saved=0.0,
            similarities={},
            splits={},
        )

    def with_misses(self, reason: str, count: int) -> Self:
        """Return the counters with ``count`` more misses of a reason that nothing else counts."""
        if not count:
            return self
        reasons = {**self.miss_reasons, reason: count}
        return msgspec.structs.replace(self, misses=self.misses + count, miss_reasons=reasons)

    @property
    def requests(self) -> int:
        """All requests that were claimed."""
        return sum(self.hits.values()) + self.misses + sum(self.bypasses.values())

    @property
    def hit_rate(self) -> float:
        """Hits over requests, 0 to 1."""
        return sum(self.hits.values()) / self.requests if self.requests else 0.0


class Splits:
    """Finds out which member splits keys: equal text, another scope, and the members that differ.

    It remembers a bounded number of texts by digest; it is asked on misses only.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._seen: OrderedDict[int, bytes] = OrderedDict()

    def watch(self, query: Query) -> None:
        """Note that the query's text was asked with the query's members."""
        nearby = query.nearby
        fields = nearby.fields
        if not fields:
            return
        text = hash((query.partition, nearby.text))
        before = self._seen.pop(text, None)
        self._seen[text] = fields
        if before is None:
            if len(self._seen) > _TEXTS_WATCHED:
                self._seen.popitem(last=False)
        elif before != fields:
            self.counts.update({name for name, _ in set(members_of(before)) ^ set(members_of(fields))})


class Observatory:
    """Counts every event and passes it on. Observers never block and never raise upward."""

    def __init__(self, observers: Sequence[Callable[[Event], object]], *, clock: Callable[[], float]) -> None:
        self._observers = tuple(observers)
        self.is_heard = bool(self._observers)
        """Whether anybody listens: otherwise an event need not be made."""
        self._clock = clock
        self._silent_until: dict[str, float] = {}
        self.splits = Splits()
        self.reset()

    def reset(self) -> None:
        """Start counting anew."""
        self._hits: dict[str, int] = {"exact": 0, "semantic": 0}
        self._reasons: Counter[str] = Counter()
        self._bypasses: Counter[str] = Counter()
        self._unstored: Counter[str] = Counter()
        self._errors: Counter[str] = Counter()
        self._stale = self._tokens = self._observer_errors = 0
        self._seconds = 0.0
        self._similarities = [0] * 101

    def conclude(
        self, found: Found, address: Address, *, policy: Policy, started: float, observed: bool = False
    ) -> None:
        """Count and tell the decision of one request. ``started`` is when it came in, by the cache's clock."""
        elapsed = self._clock() - started
        record, source = found.record, found.source
        if record is None or source is None:
            (self._reasons if found.outcome == "miss" else self._bypasses)[found.reason] += 1
            if isinstance(address, Query):
                self.splits.watch(address)
        else:
            self._hits[source] += 1
        if found.similarity is not None and source != "exact":
            # In hundredths. A similarity is a float32, so 0.93 may have come out a little lower.
            self._similarities[min(100, int(found.similarity * 100 + 1e-4))] += 1
        if record is not None:
            if found.outcome == "stale":
                self._stale += 1
            if record.tokens:
                self._tokens += record.tokens
            if record.cost > elapsed:
                self._seconds += record.cost - elapsed
        if self.is_heard:
            self.tell(
                Decision(
                    outcome=found.outcome,
                    reason=found.reason,
                    namespace=address.namespace,
                    route=policy.route,
                    source=source,
                    similarity=found.similarity,
                    entry_id=None if found.entry_id is None else found.entry_id.hex(),
                    at=started + elapsed,
                    elapsed=elapsed,
                    saved_tokens=0 if record is None else record.tokens,
                    saved_seconds=0.0 if record is None else max(0.0, record.cost - elapsed),
                    observed=observed,
                )
            )

    def bypassed(self, reason: Code, *, policy: Policy, started: float, namespace: str) -> None:
        """Count and tell that a request was recognised and refused."""
        self._bypasses[reason] += 1
        if self.is_heard:
            now = self._clock()
            self.tell(
                Decision(
                    outcome="bypass",
                    reason=reason,
                    namespace=namespace,
                    route=policy.route,
                    at=now,
                    elapsed=now - started,
                )
            )

    def count_unstored(self, reason: Code) -> None:
        """Count an answer that may not be stored."""
        self._unstored[reason] += 1

    def fault(self, stage: str, error: BaseException) -> None:
        """Count and tell a failure behind the cache, by its type's name: its text could hold a prompt."""
        self._errors[stage] += 1
        now = self._clock()
        if now >= self._silent_until.get(stage, now):
            self._silent_until[stage] = now + _TOLD_AGAIN
            _log.warning("%s failed with %s; the requests are answered all the same", stage, type(error).__name__)
        if self.is_heard:
            self.tell(Fault(stage=stage, error=type(error).__name__, at=now))

    def notice(self, code: str, message: str) -> None:
        """Tell observers and the operator's log what nobody's request depends on."""
        _log.warning("%s", message)
        self.tell(Notice(code=code, message=message))

    def told_by(self, component: SupportsNotices) -> None:
        """Pass on what a component has to tell the operator."""
        for message in component.notices():
            self.notice(type(component).__name__, message)

    def tell(self, event: Event) -> None:
        """Pass an event to every observer."""
        for observer in self._observers:
            try:
                observer(event)
            except Exception:  # noqa: BLE001  an observer's bug must not reach a request
                self._observer_errors += 1

    def stats(self) -> Stats:
        """Return the counters as they stand."""
        return Stats(
            hits=dict(self._hits),
            stale=self._stale,
            misses=sum(self._reasons.values()),
            miss_reasons=dict(self._reasons.most_common()),
            bypasses=dict(self._bypasses.most_common()),
            unstored=dict(self._unstored.most_common()),
            errors=dict(self._errors),
            observer_errors=self._observer_errors,
            tokens_saved=self._tokens,
            milliseconds_saved=self._seconds * 1000,
            similarities=_in_buckets(self._similarities),
            splits=dict(self.splits.counts.most_common(10)),
        )


def _in_buckets(hundredths: Sequence[int]) -> dict[str, int]:
    """Sum up what was counted for each hundredth, without the empty buckets."""
    ends = [*_COARSE, *range(80, 101), 101]
    counts = {f"{start / 100:.2f}": sum(hundredths[start:end]) for start, end in pairwise(ends)}
    return {start: count for start, count in counts.items() if count}
