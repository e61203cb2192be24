"""One flight: an upstream call as a log of items that its leader publishes and its waiters read.

Each waiter reads from the first item at its own pace, so a late one misses nothing and a slow one delays no other. When
the answer is too large to keep, a waiter that falls too far behind is cut off: the leader and the others go on.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from semcache_core.engine.call_chain import Link, waiting, waits_for_itself
from semcache_core.types import Entity

T = TypeVar("T")

_FIRST_FAILURE = 1
_TURNS, _LATE_TURNS, _LATE_TURN, _MOST_LATE_TURNS = 20, 10, 0.01, 200
"""A waiter's first turns are one round of the event loop each, its late ones take so many seconds."""


class FlightTable(Protocol):
    """What a flight tells the table in which others find it."""

    def forget(self, key: bytes, flight: Flight[Any]) -> None:
        """Remove a flight, if it is still the one under ``key``."""

    def reopen(self, key: bytes, *, failures: int) -> None:
        """Add a flight without a leader: the first waiter of the failed one that rejoins leads it."""

    def mark_hit_for_miss(self, key: bytes) -> None:
        """For a while, let equal requests pass without waiting."""

    def refresh_ended(self, key: bytes) -> None:
        """Note that a refresh is over."""


class FlightFailed(Exception):
    """The flight ended without an answer. ``alone``: do not rejoin, call upstream directly."""

    def __init__(self, *, alone: bool) -> None:
        super().__init__("go alone" if alone else "join again")
        self.alone = alone


class _Waiter(Entity):
    """How far one waiter has read."""

    at: int = 0
    seen: int = 0
    """How far it had read at its last turn."""
    turns: int = _TURNS
    """How often the leader waits a moment for it until it reads something."""
    late_turns: int = _MOST_LATE_TURNS
    """How often in all."""
    cut_off: bool = False

    def take_turn(self) -> None:
        """Note that the leader waits a moment for it, or that it is too slow for that."""
        self.turns = self.turns - 1 if self.at == self.seen else _TURNS
        self.seen = self.at
        if self.turns < _LATE_TURNS:
            self.late_turns -= 1
        if self.turns <= 0 or self.late_turns <= 0:
            self.turns, self.cut_off = 0, True


class Flight(Entity, Generic[T]):
    """One upstream call and its waiters."""

    _table: FlightTable | None
    """None: it cannot be joined."""
    key: bytes
    failures: int = 0
    has_leader: bool = False
    is_refresh: bool = False
    """It refreshes a stale answer that its caller already has."""
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

    @property
    def waiting(self) -> int:
        """How many waiters it has."""
        return len(self._waiters)

    # -- the leader's side ----------------------------------------------------------------------------------------

    def publish(self, item: T, *, size: int = 0) -> None:
        """Give an item to every waiter, present and future."""
        if self._joinable or self.waiting:
            self._items.append((item, size))
            self._held += size
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
        return self._held > self.most and not self._joinable and bool(self._waiters)

    async def make_room(self) -> None:
        """Drop what every waiter has read, and cut off waiters that are too slow.

        The leader waits a tenth of a second for a waiter that reads nothing, and two seconds in all for one that reads.
        """
        while self.is_crowded:
            slowest = min(waiter.at for waiter in self._waiters)
            self._drop(slowest - self._dropped)
            if self._held <= self.most:
                return
            late = [waiter for waiter in self._waiters if waiter.at == slowest]
            for waiter in late:
                waiter.take_turn()
                if waiter.cut_off:
                    self._depart(waiter)
            turns = max(waiter.turns for waiter in late)
            if turns > 0:
                await asyncio.sleep(0 if turns >= _LATE_TURNS else _LATE_TURN)

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
        if refused and self._table is not None:
            self._table.mark_hit_for_miss(self.key)
        self._wake()

    def fail(self, *, alone: bool = False) -> None:
        """End without an answer; no effect after ``complete``. ``alone``: waiters should not rejoin."""
        if self._ended:
            return
        self._end()
        again = not alone and self.failures < _FIRST_FAILURE and self._joinable
        self._failure = FlightFailed(alone=not again)
        if self._table is not None:
            self._leave_table()
            if again and self.waiting:
                self._table.reopen(self.key, failures=self.failures + 1)
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
        if not self._waiters:
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
        if self.is_refresh and self._table is not None:
            self._table.refresh_ended(self.key)

    def _leave_table(self) -> None:
        if self._table is not None:
            self._table.forget(self.key, self)
