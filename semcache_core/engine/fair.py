"""Bounded collections that are fair between partitions: one caller's load displaces and delays its own items. Pure.

An item takes one or more places. Where these run out, the partition that has most of them loses items; a partition that
is alone may use them all. No operation walks over items or partitions: its time grows with the item's places at most.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class _Line(Generic[K, T]):
    """The items of one partition, oldest first, each with the places that it takes."""

    __slots__ = ("items", "places")

    def __init__(self) -> None:
        # Not a plain dict: finding its first key skips over every key deleted before it.
        self.items: OrderedDict[K, tuple[T, int]] = OrderedDict()
        self.places = 0


class _Shares(Generic[K, T]):
    """Items by partition and key, within a number of places."""

    _loses_newest: bool
    """Which end of its line the partition with most places loses."""

    def __init__(self, places: int) -> None:
        self._free = self._places = places
        self.lines: OrderedDict[bytes, _Line[K, T]] = OrderedDict()
        """By partition; empty if there are no items."""
        self._by_places: dict[int, OrderedDict[bytes, None]] = {}
        """The partitions that have this many places."""
        self._most = 0
        """No partition has more places."""

    def __len__(self) -> int:
        """The places taken."""
        return self._places - self._free

    def get(self, partition: bytes, key: K) -> T | None:
        """Return an item, or None."""
        line = self.lines.get(partition)
        held = None if line is None else line.items.get(key)
        return None if held is None else held[0]

    def put(self, partition: bytes, key: K, item: T, *, places: int = 1) -> list[T]:
        """Add ``item``, in the position of the one with the same key if there is one.

        Return the items that lost their places, perhaps ``item`` itself.
        """
        line = self.lines.get(partition)
        if line is None:
            line = self.lines[partition] = _Line()
        replaced = line.items.get(key)
        line.items[key] = (item, places)
        self._resize(partition, line, places if replaced is None else places - replaced[1])
        lost = []
        while self._free < 0:
            lost.append(self._displaced())
        return lost

    def discard(self, partition: bytes, key: K) -> None:
        """Remove an item, if it is there."""
        line = self.lines.get(partition)
        if line is not None and key in line.items:
            line.items.move_to_end(key)
            self._removed(partition, newest=True)

    def _displaced(self) -> T:
        while self._most not in self._by_places:
            self._most -= 1
        # Of those that have as many, the last to get there: where all have their share, a newcomer gets no more.
        return self._removed(next(reversed(self._by_places[self._most])), newest=self._loses_newest)

    def _removed(self, partition: bytes, *, newest: bool) -> T:
        line = self.lines[partition]
        _, (item, places) = line.items.popitem(last=newest)
        self._resize(partition, line, -places)
        if not line.items:
            del self.lines[partition]
        return item

    def _resize(self, partition: bytes, line: _Line[K, T], change: int) -> None:
        before, line.places = line.places, line.places + change
        self._free -= change
        if before:
            equals = self._by_places[before]
            del equals[partition]
            if not equals:
                del self._by_places[before]
        if line.places:
            self._by_places.setdefault(line.places, OrderedDict())[partition] = None
            self._most = max(self._most, line.places)


class FairQueue(_Shares[K, T]):
    """A queue whose partitions take turns. Where places run out, the newest items are lost."""

    _loses_newest = True

    def peek(self) -> T:
        """Return the next item. Raises IndexError if there is none."""
        if not self.lines:
            raise IndexError("the queue is empty")
        line = next(iter(self.lines.values()))
        return next(iter(line.items.values()))[0]

    def take(self) -> T:
        """Remove and return the next item: the oldest of each partition in turn. Raises IndexError if there is none."""
        if not self.lines:
            raise IndexError("the queue is empty")
        partition = next(iter(self.lines))
        self.lines.move_to_end(partition)
        return self._removed(partition, newest=False)

    def drain(self) -> list[T]:
        """Remove and return every item, in turn."""
        items = []
        while self.lines:
            items.append(self.take())
        return items


class FairTable(_Shares[K, T]):
    """A table that keeps what was used last. Where places run out, the least recently used items are lost."""

    _loses_newest = False

    def get(self, partition: bytes, key: K) -> T | None:
        """Return an item, which becomes the last to be lost of its partition; or None."""
        line = self.lines.get(partition)
        held = None if line is None else line.items.get(key)
        if line is None or held is None:
            return None
        line.items.move_to_end(key)
        return held[0]

    def put(self, partition: bytes, key: K, item: T, *, places: int = 1) -> list[T]:
        """Add ``item`` as the one used last; return the items that lost their places."""
        self.discard(partition, key)
        return super().put(partition, key, item, places=places)
