"""Work that would hold up the event loop, in one thread beside it: callers take turns, and few may wait.

One thread, not several: all of it is Python, so a second one would only take the interpreter from the loop.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import TypeVar

from semcache_core.authoring.worker import Worker

T = TypeVar("T")

LONG = 16 * 1024
"""Bytes that take up to 5 ms to read in the worst case: what is longer is read in the thread."""


class Busy(Exception):
    """Too much waits for the thread already, and this caller has most of it."""


class Offload:
    """Runs pure functions in one worker thread, which starts at the first. Belongs to one event loop.

    ``most`` calls may wait for their turn; beyond that, the caller with most of them loses its newest.
    """

    def __init__(self, *, most: int) -> None:
        self._most = most
        self._waiting = 0
        self._lines: OrderedDict[bytes, deque[asyncio.Future[None]]] = OrderedDict()
        """The calls that wait, by caller: the first line is the next to have its turn."""
        self._is_running = self._is_closed = False
        self._worker: Worker | None = None

    async def run(self, caller: bytes, work: Callable[[], T]) -> T:
        """Return what ``work()`` returns, or raise what it raises. Raises Busy.

        A caller that is cancelled meanwhile gives up its turn.
        """
        if self._is_running and not self._is_closed:
            await self._turn(caller)
        if self._is_closed:
            raise Busy
        self._is_running = True
        try:
            if self._worker is None:
                self._worker = Worker("semcache-long")
            return await self._worker.run(work)
        finally:
            self._pass_on()

    async def close(self) -> None:
        """Refuse what waits, and end the thread after the call that it runs."""
        self._is_closed = True
        for line in self._lines.values():
            for turn in line:
                _refuse(turn)
        self._lines.clear()
        self._waiting = 0
        if self._worker is not None:
            await self._worker.stop()

    async def _turn(self, caller: bytes) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._lines.setdefault(caller, deque()).append(turn)
        self._waiting += 1
        if self._waiting > self._most:
            # Of those that have as many, the last to come: where all have their share, a newcomer gets no more.
            longest = max(reversed(self._lines), key=lambda each: len(self._lines[each]))
            _refuse(self._taken(longest, newest=True))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._leave(caller, turn)
            elif turn.exception() is None:
                self._pass_on()  # It had its turn already.
            raise

    def _leave(self, caller: bytes, turn: asyncio.Future[None]) -> None:
        line = self._lines.get(caller)
        if line is not None and turn in line:
            line.remove(turn)
            self._waiting -= 1
            if not line:
                del self._lines[caller]

    def _pass_on(self) -> None:
        """Give the next caller its turn; the one that had it goes to the end."""
        while self._lines:
            caller = next(iter(self._lines))
            self._lines.move_to_end(caller)
            turn = self._taken(caller, newest=False)
            if not turn.done():
                turn.set_result(None)
                return
        self._is_running = False

    def _taken(self, caller: bytes, *, newest: bool) -> asyncio.Future[None]:
        line = self._lines[caller]
        turn = line.pop() if newest else line.popleft()
        self._waiting -= 1
        if not line:
            del self._lines[caller]
        return turn


def _refuse(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_exception(Busy())
