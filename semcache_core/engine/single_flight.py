"""Single-flight: equal requests that arrive together share one upstream call.

A flight is a log of items. Its leader publishes them; each waiter reads them from the first one at its own pace, so a
late waiter misses nothing and a slow one delays no other. The rules:

* if the leader fails, the next waiter leads once; if that fails too, each waiter calls upstream alone;
* a waiter that sees no item within its patience calls upstream alone;
* a complete answer that may not be stored marks its key *hit-for-miss*: for a while equal requests do not wait;
* after an invalidation, flights that began before it cannot be joined.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Generic, TypeVar

from semcache_core.types import Entity

T = TypeVar("T")

_FIRST_FAILURE = 1
_MARKS_KEPT = 10_000
_ORPHANS_KEPT = 10.0
"""Seconds for which an orphaned flight is kept for the waiters of a failed one: they rejoin at once, or never."""


class FlightFailed(Exception):
    """The flight ended without an answer. ``alone``: do not rejoin, call upstream directly."""

    def __init__(self, *, alone: bool) -> None:
        super().__init__("go alone" if alone else "join again")
        self.alone = alone


class Flight(Entity, Generic[T]):
    """One upstream call and its waiters."""

    _flights: Flights[T] | None
    _key: bytes
    failures: int = 0
    has_leader: bool = False
    waiting: int = 0
    """How many waiters it has."""
    open: bool = True
    """More waiters may join."""
    _items: list[T] = []
    _news: asyncio.Future[None] | None = None
    _alone: asyncio.Future[None] | None = None
    _joined: asyncio.Future[None] | None = None
    _joinable: bool = True
    _ended: bool = False
    _failure: FlightFailed | None = None

    # -- the leader's side ----------------------------------------------------------------------------------------

    def publish(self, item: T) -> None:
        """Give an item to every waiter, present and future."""
        if self._joinable or self.waiting:
            self._items.append(item)
            if self._news is not None:
                self._wake()

    def stop_joining(self) -> None:
        """Accept no more waiters: the answer is too large to keep, or is private to its caller."""
        self._joinable = self.open = False
        self._leave_table()
        if not self.waiting:
            self._items.clear()

    def complete(self, *, refused: bool = False) -> None:
        """End with a complete answer. ``refused``: it may not be stored, so equal requests need not wait."""
        if self._ended:
            return
        self._ended, self.open = True, False
        self._leave_table()
        if refused and self._flights is not None:
            self._flights.mark_hit_for_miss(self._key)
        if self._news is not None:
            self._wake()

    def fail(self, *, alone: bool = False) -> None:
        """End without an answer; no effect after ``complete``. ``alone``: waiters should not rejoin."""
        if self._ended:
            return
        self._ended, self.open = True, False
        again = not alone and self.failures < _FIRST_FAILURE and self._joinable
        self._failure = FlightFailed(alone=not again)
        if self._flights is not None:
            self._leave_table()
            if again and self.waiting:
                self._flights.reopen(self._key, failures=self.failures + 1)
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
        self.waiting += 1
        if self._joined is not None:
            if not self._joined.done():
                self._joined.set_result(None)
            self._joined = None
        try:
            if self._failure is not None:
                # A waiter that has nothing yet can still rejoin; with the first half of an answer it could not.
                raise self._failure
            at = 0
            while True:
                while at < len(self._items):
                    yield self._items[at]
                    at += 1
                if self._failure is not None:
                    raise self._failure
                if self._ended:
                    return
                await self._wait_for_news(patience if at == 0 else None)
        finally:
            self._depart()

    async def _wait_for_news(self, patience: float | None) -> None:
        if self._news is None:
            self._news = asyncio.get_running_loop().create_future()
        done, _ = await asyncio.wait((self._news,), timeout=patience)
        if not done:
            raise FlightFailed(alone=True)

    def _depart(self) -> None:
        self.waiting -= 1
        if not self.waiting:
            if not self._joinable:
                self._items.clear()
            if self._alone is not None and not self._alone.done():
                self._alone.set_result(None)
            self._alone = None

    def _wake(self) -> None:
        if self._news is not None:
            if not self._news.done():
                self._news.set_result(None)
            self._news = None

    def _leave_table(self) -> None:
        if self._flights is not None:
            self._flights.forget(self._key, self)


class Flights(Generic[T]):
    """All open flights by key."""

    def __init__(self, *, clock: Callable[[], float], hit_for_miss: float) -> None:
        self._clock = clock
        self._hit_for_miss = hit_for_miss
        self._flying: dict[bytes, Flight[T]] = {}
        self._marks: dict[bytes, float] = {}
        self._orphaned: dict[bytes, float] = {}

    def join(self, key: bytes) -> tuple[Flight[T], bool]:
        """Return the flight of ``key`` and whether the caller leads it; a caller that does not lead reads ``items``."""
        if self._marks and self._is_hit_for_miss(key):
            return self.alone_flight(), True
        flight = self._flying.get(key)
        if flight is None:
            flight = self._flying[key] = Flight(self, key)
        is_leader = not flight.has_leader
        flight.has_leader = True
        return flight, is_leader

    def refresh(self, key: bytes) -> Flight[T] | None:
        """Return a flight that refreshes a stale answer; None if one is under way, or the answer may not be stored."""
        if self._marks and self._is_hit_for_miss(key):
            return None
        flight, is_leader = self.join(key)
        return flight if is_leader else None

    def alone_flight(self) -> Flight[T]:
        """Return a flight that cannot be joined."""
        flight: Flight[T] = Flight(None, b"", has_leader=True)
        flight.stop_joining()
        return flight

    def detach_all(self) -> None:
        """Make every open flight unjoinable: something was invalidated."""
        for flight in tuple(self._flying.values()):
            flight.stop_joining()

    def reopen(self, key: bytes, *, failures: int) -> None:
        """Add a flight without a leader: the first waiter of the failed one that rejoins leads it."""
        now = self._clock()
        self._clear_orphaned(now)
        self._flying[key] = Flight(self, key, failures=failures)
        self._orphaned.pop(key, None)
        self._orphaned[key] = now + _ORPHANS_KEPT

    def _clear_orphaned(self, now: float) -> None:
        """Remove orphaned flights whose waiters left, or found an answer elsewhere, instead of rejoining."""
        while self._orphaned:
            key, until = next(iter(self._orphaned.items()))
            if until > now:
                return
            del self._orphaned[key]
            flight = self._flying.get(key)
            if flight is not None and not flight.has_leader:
                del self._flying[key]

    def forget(self, key: bytes, flight: Flight[T]) -> None:
        """Remove a flight, if it is still the one under ``key``."""
        if self._flying.get(key) is flight:
            del self._flying[key]

    def mark_hit_for_miss(self, key: bytes) -> None:
        """For a while, let equal requests pass without waiting."""
        if len(self._marks) >= _MARKS_KEPT:
            del self._marks[next(iter(self._marks))]
        self._marks[key] = self._clock() + self._hit_for_miss

    def _is_hit_for_miss(self, key: bytes) -> bool:
        until = self._marks.get(key)
        if until is None:
            return False
        if until > self._clock():
            return True
        del self._marks[key]
        return False

    def __len__(self) -> int:
        return len(self._flying)
