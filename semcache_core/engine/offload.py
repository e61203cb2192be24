"""Work that would hold up the event loop, in one thread beside it: callers take turns, and few may wait.

One thread, not several: all of it is Python, so a second one would only take the interpreter from the loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from semcache_core.authoring.worker import Worker
from semcache_core.engine.fair import FairQueue

T = TypeVar("T")

LONG = 16 * 1024
"""Bytes that take up to 5 ms to read in the worst case: what is longer is read in the thread."""


class Busy(Exception):
    """Too much waits for the thread already, and this caller has most of it; or its turn did not come in time."""


_Turn = asyncio.Future[None]


class Offload:
    """Runs pure functions in one worker thread, which starts at the first. Belongs to one event loop.

    ``most`` calls may wait for their turn, ``patience`` seconds each; beyond that, the caller with most of them loses
    its newest.
    """

    def __init__(self, *, most: int, patience: float) -> None:
        self._waiting: FairQueue[int, _Turn] = FairQueue(most)
        self._patience = patience
        self._is_running = self._is_closed = False
        self._worker: Worker | None = None

    async def run(self, caller: bytes, work: Callable[[], T]) -> T:
        """Return what ``work()`` returns, or raise what it raises. Raises Busy.

        A caller that is cancelled meanwhile gives up its turn.
        """
        if self._is_running and not self._is_closed:
            try:
                async with asyncio.timeout(self._patience):
                    await self._turn(caller)
            except TimeoutError:
                raise Busy from None
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
        for turn in self._waiting.drain():
            _refuse(turn)
        if self._worker is not None:
            await self._worker.stop()

    async def _turn(self, caller: bytes) -> None:
        turn: _Turn = asyncio.get_running_loop().create_future()
        for lost in self._waiting.put(caller, id(turn), turn):
            _refuse(lost)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._waiting.discard(caller, id(turn))
            elif turn.exception() is None:
                self._pass_on()  # It had its turn already.
            raise

    def _pass_on(self) -> None:
        """Let the next call run, if one waits."""
        while self._waiting.lines:
            turn = self._waiting.take()
            if not turn.done():
                turn.set_result(None)
                return
        self._is_running = False


def _refuse(turn: _Turn) -> None:
    if not turn.done():
        turn.set_exception(Busy())
