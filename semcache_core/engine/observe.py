"""Statistics in process, and events for every implementation of ``semcache_observe``."""

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
_FIELDS_WATCHED = 4096
"""Bytes of the largest fields that are watched: a request of a real client has a quarter of that."""
_NAMES_COUNTED = 256
_OTHERS = "others"
"""Counts what came when all names were taken."""
_TOLD_AGAIN = 60.0
"""Seconds before the operator's log reports another failure of the same stage, or the same notice."""
_NOTICES_KEPT = 10
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
    notices: dict[str, int] = {}
    """What the operator was told, the last ten messages, newest last: how often."""

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
        """Return the counters with ``count`` more misses of a reason that is counted nowhere else."""
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


class Tally(Counter[str]):
    """Counts by name, for a bounded number of names: a plugin may make up reasons, one a request."""

    def add(self, name: str) -> None:
        """Count one more."""
        self[name if name in self or len(self) < _NAMES_COUNTED else _OTHERS] += 1


class Splits:
    """Finds the member that splits keys: equal text, different scope, and the members that differ.

    It keeps a bounded number of text digests and names; only misses are noted. Callers choose the names of members:
    one that differs often outlives any number of names that are made up once.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        """By name. Where names were dropped, a count is too small by the same number for each."""
        self._seen: OrderedDict[int, bytes] = OrderedDict()

    def watch(self, query: Query) -> None:
        """Note the query's text and members."""
        nearby = query.nearby
        fields = nearby.fields
        if not fields or len(fields) > _FIELDS_WATCHED:
            return
        text = hash((query.partition, nearby.text))
        before = self._seen.pop(text, None)
        self._seen[text] = fields
        if before is None:
            if len(self._seen) > _TEXTS_WATCHED:
                self._seen.popitem(last=False)
        elif before != fields:
            for name in {name for name, _ in set(members_of(before)) ^ set(members_of(fields))}:
                self._count(name if name.isprintable() else ascii(name))

    def _count(self, name: str) -> None:
        """Count a name. If all places are taken, every name loses one instead (Misra and Gries, 1982)."""
        counts = self.counts
        if name in counts or len(counts) < _NAMES_COUNTED:
            counts[name] += 1
        else:
            self.counts = Counter({other: count - 1 for other, count in counts.items() if count > 1})


class Observatory:
    """Counts every event and passes it on. An observer's exception never reaches a request."""

    def __init__(self, observers: Sequence[Callable[[Event], object]], *, clock: Callable[[], float]) -> None:
        self._observers = tuple(observers)
        self.is_heard = bool(self._observers)
        """Whether there are observers: without any, no event is created."""
        self._clock = clock
        self._silent_until: dict[str, float] = {}
        self._told: dict[str, float] = {}
        """When a component's notice was reported."""
        self._notices: dict[str, int] = {}
        self.splits = Splits()
        self.reset()

    def reset(self) -> None:
        """Reset the counters."""
        self._hits: dict[str, int] = {"exact": 0, "semantic": 0}
        self._reasons = Tally()
        self._bypasses = Tally()
        self._unstored = Tally()
        self._errors = Tally()
        self._stale = self._tokens = self._observer_errors = 0
        self._seconds = 0.0
        self._similarities = [0] * 101

    def conclude(
        self, found: Found, address: Address, *, policy: Policy, started: float, observed: bool = False
    ) -> None:
        """Count and report the decision for one request, which arrived at ``started`` by the cache's clock."""
        elapsed = self._clock() - started
        record, source = found.record, found.source
        if record is None or source is None:
            (self._reasons if found.outcome == "miss" else self._bypasses).add(found.reason)
            if isinstance(address, Query):
                self.splits.watch(address)
        else:
            self._hits[source] += 1
        if found.similarity is not None and source != "exact":
            # In hundredths. A similarity is a float32, so 0.93 may be stored as slightly less.
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
        """Count and report a request that an extractor claimed but that bypasses the cache."""
        self._bypasses.add(reason)
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
        self._unstored.add(reason)

    def fault(self, stage: str, error: BaseException) -> None:
        """Count and report a failure behind the cache by the name of its type: its text could contain a prompt."""
        self._errors.add(stage)
        now = self._clock()
        if now >= self._silent_until.get(stage, now):
            self._silent_until[stage] = now + _TOLD_AGAIN
            _log.warning("%s failed with %s; the requests are answered all the same", stage, type(error).__name__)
        if self.is_heard:
            self.tell(Fault(stage=stage, error=type(error).__name__, at=now))

    def notice(self, code: str, message: str) -> None:
        """Report a notice, on which no request depends, to observers and the operator's log."""
        _log.warning("%s", message)
        self._notices[message] = self._notices.pop(message, 0) + 1
        if len(self._notices) > _NOTICES_KEPT:
            del self._notices[next(iter(self._notices))]
        self.tell(Notice(code=code, message=message))

    def told_by(self, component: SupportsNotices) -> None:
        """Report a component's notices. What both stores of one file say is reported once."""
        now = self._clock()
        self._told = {message: at for message, at in self._told.items() if now < at + _TOLD_AGAIN}
        for message in component.notices():
            if message not in self._told:
                self._told[message] = now
                self.notice(type(component).__name__, message)

    def tell(self, event: Event) -> None:
        """Pass an event to every observer."""
        for observer in self._observers:
            try:
                observer(event)
            except Exception:  # noqa: BLE001  an observer's bug must not reach a request
                self._observer_errors += 1

    def stats(self) -> Stats:
        """Return a snapshot of the counters."""
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
            notices=dict(self._notices),
        )


def _in_buckets(hundredths: Sequence[int]) -> dict[str, int]:
    """Sum the counts per hundredth into buckets, without the empty ones."""
    ends = [*_COARSE, *range(80, 101), 101]
    counts = {f"{start / 100:.2f}": sum(hundredths[start:end]) for start, end in pairwise(ends)}
    return {start: count for start, count in counts.items() if count}
