"""What an open cache holds, apart from the cache itself, and how it is closed when nobody closes the cache."""

from __future__ import annotations

import _thread
import asyncio
import contextlib
from concurrent.futures import CancelledError, Future
from typing import Any

from semcache_core.runtime.home import Home, LoopThread
from semcache_core.runtime.outcome import Outcome

Opening = Future[Outcome[Home | None]]
"""An opening under way, which its callers share. None: a component is down."""


class Held:
    """What an open cache holds, apart from the cache itself: it is closed also if the cache is dropped."""

    __slots__ = ("home", "loop", "opening", "task", "thread")

    def __init__(self) -> None:
        self.home: Home | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        """The home loop: chosen before the cache is open, and kept while a component is down."""
        self.thread: LoopThread | None = None
        """The thread of the home loop, if the cache started one."""
        self.opening: Opening | None = None
        self.task: asyncio.Task[Any] | None = None
        """The task of the opening."""

    def taken(self) -> Held:
        """Return what is held, and hold nothing any more."""
        left = Held()
        for name in self.__slots__:
            setattr(left, name, getattr(self, name))
            setattr(self, name, None)
        return left

    async def close(self) -> None:
        """Close everything; runs on the home loop."""
        if self.opening is not None:
            # Otherwise the cache would finish opening after its close, and leak.
            self.opening.cancel()
        if self.task is not None:
            self.task.cancel()
            await asyncio.wait((self.task,))
        if self.home is not None:
            await self.home.close()


def close_dropped(held: Held) -> None:
    """Close what a dropped cache held. Runs wherever the garbage collector does."""
    close_unattended(held.taken())


def close_unattended(left: Held) -> None:
    """Close what is left of a cache without waiting for it."""
    if left.thread is not None:
        left.thread.stop_after(left.close)
    elif left.loop is not None and left.loop.is_running():
        asyncio.run_coroutine_threadsafe(left.close(), left.loop)
    elif left.home is not None:
        # Its loop has ended. Not ``threading``: its lock may be held where the garbage collector runs.
        with contextlib.suppress(RuntimeError):  # The system has no thread to give.
            _thread.start_new_thread(_close_without_loop, (left.home,))


def _close_without_loop(home: Home) -> None:
    with contextlib.suppress(RuntimeError):  # The system has no thread to give.
        thread = LoopThread()
        thread.start()
        thread.stop_after(home.close)


async def opened_within(opening: Opening, patience: float | None) -> Home | None:
    """Wait for an opening that other callers may share: it continues if this caller is cancelled."""
    loop, is_over = asyncio.get_running_loop(), asyncio.Event()

    def tell(_: object) -> None:
        with contextlib.suppress(RuntimeError):  # The caller's loop has ended.
            loop.call_soon_threadsafe(is_over.set)

    opening.add_done_callback(tell)
    try:
        async with asyncio.timeout(patience):
            await is_over.wait()
        return opening.result().unwrap()
    except (CancelledError, TimeoutError):
        return None
