"""Single-flight: equal requests that arrive together share one upstream call.

A flight is a log of items that its leader publishes and its waiters read from the first one, each at its own pace, so a
late joiner misses nothing and a slow reader delays no other. The rules:

* a leader that fails fails alone: the next waiter leads once, and if that fails too, every waiter asks upstream itself;
* a waiter that sees nothing for its patience goes alone;
* a complete answer that could not be stored marks its key *hit-for-miss*: for a while equal requests pass at once;
* after an invalidation, flights begun before it are not joined any more.
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
"""Seconds for which a flight is kept for the waiters of a failed one: they join it at once, or never."""


class FlightFailed(Exception):
    """The flight brought no answer. ``alone``: do not join again, ask upstream yourself."""

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
    """The number of waiters."""
    open: bool = True
    """Another request can still join."""
    _items: list[T] = []
    _news: asyncio.Future[None] | None = None
    _alone: asyncio.Future[None] | None = None
    _joined: asyncio.Future[None] | None = None
    _joinable: bool = True
    _ended: bool = False
    _failure: FlightFailed | None = None

    # -- the leader's side ----------------------------------------------------------------------------------------

    def publish(self, item: T) -> None:
        """Hand an item to every waiter, now or later."""
        if self._joinable or self.waiting:
            self._items.append(item)
            if self._news is not None:
                self._wake()

    def stop_joining(self) -> None:
        """Take no more waiters: the answer grew too large to keep, or is for its own caller only."""
        self._joinable = self.open = False
        self._leave_table()
        if not self.waiting:
            self._items.clear()

    def complete(self, *, refused: bool = False) -> None:
        """End well. ``refused``: the answer was complete but may not be stored, so equal requests need not wait."""
        if self._ended:
            return
        self._ended, self.open = True, False
        self._leave_table()
        if refused and self._flights is not None:
            self._flights.mark_hit_for_miss(self._key)
        if self._news is not None:
            self._wake()

    def fail(self, *, alone: bool = False) -> None:
        """End without an answer. Harmless after ``complete``. ``alone``: no waiter should lead in its place."""
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
        """Return a future that is done once there is a waiter. Not to be cancelled."""
        if self._joined is None:
            self._joined = asyncio.get_running_loop().create_future()
            if self.waiting:
                self._joined.set_result(None)
        return self._joined

    async def alone(self) -> None:
        """Return once there is no waiter left."""
        while self.waiting:
            if self._alone is None:
                self._alone = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._alone)
            # The last waiter may leave in the moment in which another one joins.
            await asyncio.sleep(0)

    # -- a waiter's side ------------------------------------------------------------------------------------------

    async def items(self, *, patience: float) -> AsyncGenerator[T, None]:
        """Yield every item from the first one, as it comes.

        Raises FlightFailed if the leader failed, or if nothing came for ``patience`` seconds at first: a waiter
        that had a part of the answer cannot ask for it anew, so it waits as long as its leader does.
        """
        self.waiting += 1
        if self._joined is not None:
            if not self._joined.done():
                self._joined.set_result(None)
            self._joined = None
        try:
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
    """All flights in the air, by key."""

    def __init__(self, *, clock: Callable[[], float], hit_for_miss: float) -> None:
        self._clock = clock
        self._hit_for_miss = hit_for_miss
        self._flying: dict[bytes, Flight[T]] = {}
        self._marks: dict[bytes, float] = {}
        self._orphaned: dict[bytes, float] = {}

    def join(self, key: bytes) -> tuple[Flight[T], bool]:
        """Return the flight of ``key`` and whether the caller leads it; otherwise the caller reads its ``items``."""
        if self._marks and self._is_hit_for_miss(key):
            return self.alone_flight(), True
        flight = self._flying.get(key)
        if flight is None:
            flight = self._flying[key] = Flight(self, key)
        is_leader = not flight.has_leader
        flight.has_leader = True
        return flight, is_leader

    def refresh(self, key: bytes) -> Flight[T] | None:
        """Return a flight to lead in place of a stale answer; None where one is in the air, or none may be stored."""
        if self._marks and self._is_hit_for_miss(key):
            return None
        flight, is_leader = self.join(key)
        return flight if is_leader else None

    def alone_flight(self) -> Flight[T]:
        """Return a flight that no other request can join."""
        flight: Flight[T] = Flight(None, b"", has_leader=True)
        flight.stop_joining()
        return flight

    def detach_all(self) -> None:
        """Let no flight that is in the air be joined any more: something was invalidated."""
        for flight in tuple(self._flying.values()):
            flight.stop_joining()

    def reopen(self, key: bytes, *, failures: int) -> None:
        """Put up a flight without a leader: the first waiter of the failed one to join it leads."""
        now = self._clock()
        self._clear_orphaned(now)
        self._flying[key] = Flight(self, key, failures=failures)
        self._orphaned.pop(key, None)
        self._orphaned[key] = now + _ORPHANS_KEPT

    def _clear_orphaned(self, now: float) -> None:
        """Take those off the table whose waiters left, or found an answer elsewhere, instead of joining again."""
        while self._orphaned:
            key, until = next(iter(self._orphaned.items()))
            if until > now:
                return
            del self._orphaned[key]
            flight = self._flying.get(key)
            if flight is not None and not flight.has_leader:
                del self._flying[key]

    def forget(self, key: bytes, flight: Flight[T]) -> None:
        """Take a flight off the table, if it is still the one under this key."""
        if self._flying.get(key) is flight:
            del self._flying[key]

    def mark_hit_for_miss(self, key: bytes) -> None:
        """Let equal requests pass without waiting for a while."""
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
