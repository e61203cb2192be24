"""Single-flight: equal requests that arrive together share one upstream call.

A flight (``flight``) is that call; one request leads it, and the others wait. The rules:

* if the leader fails, the next waiter leads once; if that fails too, each waiter calls upstream alone;
* a waiter that sees no item within its patience calls upstream alone;
* a complete answer that may not be stored marks its key *hit-for-miss*: for a while equal requests do not wait;
* after an invalidation, flights that began before it cannot be joined;
* a call that would wait for itself, directly or through other calls, calls upstream alone;
* when the answer is too large to keep, a waiter that falls too far behind is cut off: the leader and the others go on.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

from semcache_core.engine.fair import FairTable
from semcache_core.engine.flight import Flight

T = TypeVar("T")

_MARKS_KEPT = 10_000
_PARTITION = 16
"""Bytes of a partition, with which each key begins."""
_SHARE_OF_REFRESHES = 4
"""One partition may have this part of the refreshes under way: a quarter."""
_ORPHANS_KEPT = 10.0
"""Seconds for which an orphaned flight is kept for the waiters of a failed one: they rejoin at once, or never."""


class Flights(Generic[T]):
    """All open flights by key. A key begins with the partition that asks."""

    def __init__(self, *, clock: Callable[[], float], hit_for_miss: float, refreshes: int = 64) -> None:
        self._clock = clock
        self._hit_for_miss = hit_for_miss
        self._most_refreshes = refreshes
        self._refreshing: Counter[bytes] = Counter()
        """How many refreshes of each partition are under way."""
        self._flying: dict[bytes, dict[bytes, Flight[T]]] = {}
        """By partition and key."""
        self._marks: FairTable[bytes, float] = FairTable(_MARKS_KEPT)
        self._orphaned: OrderedDict[bytes, float] = OrderedDict()

    def join(self, key: bytes) -> tuple[Flight[T], bool]:
        """Return the flight of ``key`` and whether the caller leads it; a caller that does not lead reads ``items``."""
        if self._marks.lines and self._is_hit_for_miss(key):
            return self.alone_flight(), True
        flight = self._flight(key)
        if flight is None:
            flight = self._add(Flight(self, key))
        is_leader = not flight.has_leader
        flight.has_leader = True
        return flight, is_leader

    def refresh(self, key: bytes) -> Flight[T] | None:
        """Return a flight that refreshes a stale answer.

        None if one is under way, the answer may not be stored, or too many refreshes are under way: their callers do
        not wait for them, so nothing else bounds their number.
        """
        if self._marks.lines and self._is_hit_for_miss(key):
            return None
        partition, most = key[:_PARTITION], self._most_refreshes
        if self._refreshing.total() >= most or self._refreshing[partition] >= -(-most // _SHARE_OF_REFRESHES):
            return None
        flight, is_leader = self.join(key)
        if not is_leader:
            return None
        flight.is_refresh = True
        self._refreshing[partition] += 1
        return flight

    def refresh_ended(self, key: bytes) -> None:
        """Note that a refresh is over."""
        partition = key[:_PARTITION]
        self._refreshing[partition] -= 1
        if not self._refreshing[partition]:
            del self._refreshing[partition]

    def alone_flight(self) -> Flight[T]:
        """Return a flight that cannot be joined."""
        flight: Flight[T] = Flight(None, b"", has_leader=True)
        flight.stop_joining()
        return flight

    def detach(self, partition: bytes) -> None:
        """Make the open flights of one partition unjoinable: some of its answers were invalidated."""
        for flight in tuple(self._flying.get(partition, {}).values()):
            flight.stop_joining()

    def detach_all(self) -> None:
        """Make every open flight unjoinable: something was invalidated."""
        for partition in tuple(self._flying):
            self.detach(partition)

    def reopen(self, key: bytes, *, failures: int) -> None:
        """Add a flight without a leader: the first waiter of the failed one that rejoins leads it."""
        now = self._clock()
        self._clear_orphaned(now)
        self._add(Flight(self, key, failures=failures))
        self._orphaned.pop(key, None)
        self._orphaned[key] = now + _ORPHANS_KEPT

    def _clear_orphaned(self, now: float) -> None:
        """Remove orphaned flights whose waiters left, or found an answer elsewhere, instead of rejoining."""
        while self._orphaned:
            key, until = next(iter(self._orphaned.items()))
            if until > now:
                return
            del self._orphaned[key]
            flight = self._flight(key)
            if flight is not None and not flight.has_leader:
                self.forget(key, flight)

    def _flight(self, key: bytes) -> Flight[T] | None:
        flights = self._flying.get(key[:_PARTITION])
        return None if flights is None else flights.get(key)

    def _add(self, flight: Flight[T]) -> Flight[T]:
        self._flying.setdefault(flight.key[:_PARTITION], {})[flight.key] = flight
        return flight

    def forget(self, key: bytes, flight: Flight[T]) -> None:
        """Remove a flight, if it is still the one under ``key``."""
        partition = key[:_PARTITION]
        flights = self._flying.get(partition)
        if flights is not None and flights.get(key) is flight:
            del flights[key]
            if not flights:
                del self._flying[partition]

    def mark_hit_for_miss(self, key: bytes) -> None:
        """For a while, let equal requests pass without waiting."""
        self._marks.put(key[:_PARTITION], key, self._clock() + self._hit_for_miss)

    def _is_hit_for_miss(self, key: bytes) -> bool:
        partition = key[:_PARTITION]
        until = self._marks.get(partition, key)
        if until is None:
            return False
        if until > self._clock():
            return True
        self._marks.discard(partition, key)
        return False

    def __len__(self) -> int:
        return sum(len(flights) for flights in self._flying.values())
