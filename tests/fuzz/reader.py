"""Reads choices, numbers and texts from the bytes of a fuzzer, equally with and without one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Reader:
    """Takes from the front of ``data``; at its end come zeros and empty texts."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def number(self, most: int) -> int:
        """Return a number from 0 to ``most``, at most 65,535."""
        size = 1 if most < 256 else 2
        return int.from_bytes(self.take(size).ljust(size, b"\0"), "big") % (most + 1)

    def pick(self, choices: Sequence[T]) -> T:
        """Return one of ``choices``."""
        return choices[self.number(len(choices) - 1)]

    def take(self, size: int) -> bytes:
        """Return the next bytes, fewer at the end."""
        taken = self._data[self._at : self._at + size]
        self._at += len(taken)
        return taken

    def rest(self) -> bytes:
        """Return all that is left."""
        return self.take(len(self._data))

    @property
    def ended(self) -> bool:
        """Whether everything has been read."""
        return self._at >= len(self._data)


def pieces(data: bytes, sizes: bytes) -> list[bytes]:
    """Cut ``data`` into pieces of the given sizes, over and over; a size of 0 is an empty piece."""
    cut: list[bytes] = []
    at, turn = 0, 0
    while at < len(data):
        size = sizes[turn % len(sizes)] if sizes else len(data)
        # No end is reached by empty pieces alone.
        size = size or (turn // max(1, len(sizes))) % 2
        cut.append(data[at : at + size])
        at, turn = at + size, turn + 1
    return cut
