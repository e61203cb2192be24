"""A bounded first-in, first-out cache of computed values."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class FifoCache(Generic[T]):
    """Keeps values by digest; at ``capacity`` the oldest one is dropped. A value that is put again is the newest."""

    __slots__ = ("_capacity", "_known", "get")

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        # Not a plain dict: finding its first key skips over every key deleted before it.
        self._known: OrderedDict[bytes, T] = OrderedDict()
        self.get: Callable[[bytes], T | None] = self._known.get
        """Return the value of a digest, or None."""

    def put(self, digest: bytes, value: T) -> None:
        """Keep a value."""
        if self._capacity <= 0:
            return
        known = self._known
        known.pop(digest, None)
        while len(known) >= self._capacity:
            known.popitem(last=False)
        known[digest] = value

    def __len__(self) -> int:
        return len(self._known)
