"""Single-flight: equal requests that arrive together share one upstream call.

A flight is a log of items. Its leader publishes them; each waiter reads them from the first one at its own pace, so a
late waiter misses nothing and a slow one delays no other. The rules:

* if the leader fails, the next waiter leads once; if that fails too, each waiter calls upstream alone;
* a waiter that sees no item within its patience calls upstream alone;
* a complete answer that may not be stored marks its key *hit-for-miss*: for a while equal requests do not wait;
* after an invalidation, flights that began before it cannot be joined;
* a call that would wait for itself, directly or through other calls, calls upstream alone;
* when the answer is too large to keep, a waiter that falls too far behind is cut off: the leader and the others go on.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter, OrderedDict
from collections.abc import AsyncGenerator, Callable
from typing import Generic, TypeVar

import msgspec

from semcache_core.engine.call_chain import Link, waiting, waits_for_itself
from semcache_core.engine.fair import FairTable
from semcache_core.types import Entity

T = TypeVar("T")

_FIRST_FAILURE = 1
_MARKS_KEPT = 10_000
_PARTITION = 16
"""Bytes of a partition, with which each key begins."""
_TURNS, _LATE_TURNS, _LATE_TURN = 20, 10, 0.01
"""A waiter's first turns are one round of the event loop each, its late ones take so many seconds."""
_SHARE_OF_REFRESHES = 4
"""One partition may have this part of the refreshes under way: a quarter."""
_ORPHANS_KEPT = 10.0
"""Seconds for which an orphaned flight is kept for the waiters of a failed one: they rejoin at once, or never."""


class FlightFailed(Exception):
    """The flight ended without an answer. ``alone``: do not rejoin, call upstream directly."""

    def __init__(self, *, alone: bool) -> None:
        super().__init__("go alone" if alone else "join again")
        self.alone = alone


class _Waiter(Entity):
    """How far one waiter has read."""

    at: int = 0
    turns: int = _TURNS
    """How often the leader may still wait a moment until it has read all."""
    cut_off: bool = False


class Flight(Entity, Generic[T]):
    """One upstream call and its waiters."""

    _flights: Flights[T] | None
    key: bytes
    failures: int = 0
    has_leader: bool = False
    is_refresh: bool = False
    """It refreshes a stale answer that its caller already has."""
    waiting: int = 0
    """How many waiters it has."""
    open: bool = True
    """More waiters may join."""
    most: int = sys.maxsize
    """The total size of the items that are held for slow waiters."""
    _items: list[tuple[T, int]] = []
    """Each with its size."""
    _dropped: int = 0
    """How many items came before them: every waiter has read these."""
    _held: int = 0
    """The total size of the items."""
    _waiters: set[_Waiter] = set()
    _news: asyncio.Future[None] | None = None
    _alone: asyncio.Future[None] | None = None
    _joined: asyncio.Future[None] | None = None
    _joinable: bool = True
    _ended: bool = False
    link: Link = msgspec.field(default_factory=Link)
    """Its place in the chain of calls."""
    _failure: FlightFailed | None = None

    # -- the leader's side ----------------------------------------------------------------------------------------

    def publish(self, item: T, *, size: int = 0) -> None:
        """Give an item to every waiter, present and future."""
        if self._joinable or self.waiting:
            self._items.append((item, size))
            self._held += size
            if self._news is not None:
                self._wake()
        else:
            self._dropped += 1

    def stop_joining(self) -> None:
        """Accept no more waiters: the answer is too large to keep, or is private to its caller."""
        self._joinable = self.open = False
        self._leave_table()
        if not self.waiting:
            self._drop(len(self._items))

    @property
    def is_crowded(self) -> bool:
        """Whether the items are more than may be held for slow waiters: then call ``make_room``."""
        return self._held > self.most and not self._joinable and self.waiting > 0

    async def make_room(self) -> None:
        """Drop what every waiter has read, and cut off waiters that are too slow.

        A waiter that has not read all gets a few turns for that, and no more: the leader hardly waits for it.
        """
        while self.is_crowded:
            slowest = min(waiter.at for waiter in self._waiters)
            self._drop(slowest - self._dropped)
            if self._held <= self.most:
                return
            behind = [waiter for waiter in self._waiters if waiter.at < self._dropped + len(self._items)]
            turns = max(waiter.turns for waiter in behind if waiter.at == slowest)
            for waiter in behind:
                waiter.turns -= 1
                if turns <= 0 and waiter.at == slowest:
                    waiter.cut_off = True
                    self._depart(waiter)
            if turns > 0:
                await asyncio.sleep(0 if turns > _LATE_TURNS else _LATE_TURN)

    def _drop(self, count: int) -> None:
        self._held -= sum(size for _, size in self._items[:count])
        self._dropped += count
        del self._items[:count]

    def complete(self, *, refused: bool = False) -> None:
        """End with a complete answer. ``refused``: it may not be stored, so equal requests need not wait."""
        if self._ended:
            return
        self._end()
        self._leave_table()
        if refused and self._flights is not None:
            self._flights.mark_hit_for_miss(self.key)
        if self._news is not None:
            self._wake()

    def fail(self, *, alone: bool = False) -> None:
        """End without an answer; no effect after ``complete``. ``alone``: waiters should not rejoin."""
        if self._ended:
            return
        self._end()
        again = not alone and self.failures < _FIRST_FAILURE and self._joinable
        self._failure = FlightFailed(alone=not again)
        if self._flights is not None:
            self._leave_table()
            if again and self.waiting:
                self._flights.reopen(self.key, failures=self.failures + 1)
        self._wake()

    def joined(self) -> asyncio.Future[None]:
        """Return a future that is done once there is a waiter. Must not be cancelled."""
        if self._joined is None:
            self._joined = asyncio.get_running_loop().create_future()
            if self.waiting:
                self._joined.set_result(None)
        return self._joined

    async def alone(self) -> None:
        """Return once there are no waiters."""
        while self.waiting:
            if self._alone is None:
                self._alone = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._alone)
            # Another waiter may have joined in the same loop iteration in which the last one left.
            await asyncio.sleep(0)

    # -- a waiter's side ------------------------------------------------------------------------------------------

    async def items(self, *, patience: float) -> AsyncGenerator[T, None]:
        """Yield every item from the first one, as it is published.

        Raises FlightFailed if the leader failed, or if no first item came within ``patience`` seconds. A waiter that
        has part of the answer cannot request it again, so it waits as long as the leader does.
        """
        if self._dropped:
            raise FlightFailed(alone=True)  # Too late: the beginning of the answer is gone.
        waiter = _Waiter()
        self._waiters.add(waiter)
        self.waiting += 1
        if self._joined is not None:
            if not self._joined.done():
                self._joined.set_result(None)
            self._joined = None
        try:
            if self._failure is not None:
                # A waiter that has nothing yet can still rejoin; with the first half of an answer it could not.
                raise self._failure
            while True:
                while waiter.at < self._dropped + len(self._items) and not waiter.cut_off:
                    item, _ = self._items[waiter.at - self._dropped]
                    waiter.at += 1
                    yield item
                if waiter.cut_off:
                    raise FlightFailed(alone=True)
                if self._failure is not None:
                    raise self._failure
                if self._ended:
                    return
                waiter.turns = _TURNS
                if waiter.at == 0 and waits_for_itself(self.link):
                    raise FlightFailed(alone=True)
                await self._wait_for_news(patience if waiter.at == 0 else None)
        finally:
            if not waiter.cut_off:
                self._depart(waiter)

    async def _wait_for_news(self, patience: float | None) -> None:
        if self._news is None:
            self._news = asyncio.get_running_loop().create_future()
        with waiting(self.link):
            done, _ = await asyncio.wait((self._news,), timeout=patience)
        if not done:
            raise FlightFailed(alone=True)

    def _depart(self, waiter: _Waiter) -> None:
        self._waiters.remove(waiter)
        self.waiting -= 1
        if not self.waiting:
            if not self._joinable:
                self._drop(len(self._items))
            if self._alone is not None and not self._alone.done():
                self._alone.set_result(None)
            self._alone = None

    def _wake(self) -> None:
        if self._news is not None:
            if not self._news.done():
                self._news.set_result(None)
            self._news = None

    def _end(self) -> None:
        self._ended, self.open = True, False
        self.link.has_ended = True
        if self.is_refresh and self._flights is not None:
            self._flights.refresh_ended(self.key)

    def _leave_table(self) -> None:
        if self._flights is not None:
            self._flights.forget(self.key, self)


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
