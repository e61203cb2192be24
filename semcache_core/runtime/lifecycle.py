"""The life cycle: one owner of a cache's open state, whoever uses the cache from wherever.

A cache has one home loop, on which its components live. ``open`` makes the running loop the home; any other first use
starts a home loop in a daemon thread, which ends with the interpreter. What is down when the cache opens is tried again
after a pause; until then the cache is not open, which is a miss for every caller and an error for none.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import threading
from asyncio import get_running_loop
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import AsyncExitStack
from typing import Any, TypeVar
from weakref import WeakSet

import msgspec

from semcache_core.errors import CacheUnavailable, ConfigError, PluginError
from semcache_core.runtime.home import Home, LoopThread, blocks_itself, running_loop
from semcache_core.runtime.opening import Runtime
from semcache_core.runtime.outage import Outage

T = TypeVar("T")

_RETRY_PATIENCE = 1.0
"""Seconds for which the caller that tries again waits; no other caller does."""

Opener = Callable[[AsyncExitStack], Awaitable[Runtime]]
"""Opens the components on the stack."""


class Lifecycle:
    """Opens and closes one cache, and knows the way to it. Drivers and the library use nothing else to reach it."""

    def __init__(self, opener: Opener) -> None:
        self._opener = opener
        self.not_open = 0
        """How many questions found the cache not open."""
        self._outage = Outage()
        self._closing = 0
        """How many closes are under way: until they are over the same components are not opened again."""
        self._inherited: list[object] = []
        # Reentrant: a future that is done already calls back at once.
        self._lock = threading.RLock()
        self._reset()
        _ALL.add(self)

    def _reset(self) -> None:
        self._home: Home | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        """The home loop: chosen before the cache is open, and kept while what the cache needs is down."""
        self._thread: LoopThread | None = None
        """What runs the home loop, where that is the cache's own."""
        self._owned = False
        """Whether the cache was entered, so that it will be closed there."""
        self._opening: Future[Home | None] | None = None
        self._task: asyncio.Task[Home | None] | None = None
        self._outage.end_pause()
        self._era = object()
        """Another one after each close: an opening of an earlier era has come too late."""

    # -- where it is ----------------------------------------------------------------------------------------------

    def here(self) -> Runtime | None:
        """Return the open runtime if the running loop is its home. Cheap: drivers call it for every request."""
        home = self._home
        return home.runtime if home is not None and home.loop is get_running_loop() else None

    def home_here(self) -> Home | None:
        """Return the open cache if the running loop is its home."""
        home = self._home
        return home if home is not None and home.loop is get_running_loop() else None

    @property
    def home(self) -> Home | None:
        """The open cache, whichever loop it lives on; None while it is not open."""
        home = self._home
        return home if home is not None and home.is_alive else None

    @property
    def is_open(self) -> bool:
        """Whether the cache is open, on whichever loop."""
        return self.home is not None

    async def reach(self) -> Home | None:
        """Return the open cache for a request, from any loop; opened first if it is not. None while it is down: a
        miss, which is counted. Raises ConfigError, PluginError.
        """
        home = await self._reached()
        if home is None:
            self._count_miss()
        return home

    def reach_blocking(self) -> Home | None:
        """Do what ``reach`` does from a thread; on another event loop it blocks that loop. Raises WrongLoopError on
        the home loop, ConfigError, PluginError.
        """
        home = self._reached_blocking()
        if home is None:
            self._count_miss()
        return home

    async def _reached(self) -> Home | None:
        home = self.home
        if home is not None:
            return home
        opening, patience = self._begin_opening()
        return None if opening is None else await _opened_within(opening, patience)

    def _reached_blocking(self) -> Home | None:
        if self._loop is not None and running_loop() is self._loop:
            raise blocks_itself()
        home = self.home
        if home is not None:
            return home
        opening, patience = self._begin_opening()
        try:
            return None if opening is None else opening.result(patience)
        except (CancelledError, TimeoutError):
            return None

    def _count_miss(self) -> None:
        with self._lock:
            self.not_open += 1

    async def run(
        self,
        coroutine: Coroutine[Any, Any, T],
        *,
        otherwise: T | msgspec.UnsetType = msgspec.UNSET,
        asks: bool = False,
        abandon: Callable[[T], object] | None = None,
    ) -> T:
        """Await ``coroutine`` on the home loop; see ``Home.run``. While the cache is down return ``otherwise``, or
        raise CacheUnavailable where there is none; if the coroutine ``asks`` for an answer, that is counted as a miss.
        Raises ConfigError, PluginError.
        """
        try:
            home = await (self.reach() if asks else self._reached())
        except BaseException:
            coroutine.close()
            raise
        try:
            if home is not None:
                return await home.run(coroutine, abandon=abandon)
        except CacheUnavailable:
            if otherwise is msgspec.UNSET:
                raise
        return _instead(coroutine, otherwise)

    def run_blocking(
        self,
        coroutine: Coroutine[Any, Any, T],
        *,
        otherwise: T | msgspec.UnsetType = msgspec.UNSET,
        asks: bool = False,
        abandon: Callable[[T], object] | None = None,
    ) -> T:
        """Do what ``run`` does from a thread. Raises WrongLoopError on the home loop, too."""
        try:
            home = self.reach_blocking() if asks else self._reached_blocking()
        except BaseException:
            coroutine.close()
            raise
        try:
            if home is not None:
                return home.run_blocking(coroutine, abandon=abandon)
        except CacheUnavailable:
            if otherwise is msgspec.UNSET:
                raise
        return _instead(coroutine, otherwise)

    # -- opening --------------------------------------------------------------------------------------------------

    async def open(self) -> bool:
        """Open the cache with the running loop as its home; return whether the caller is the one to close it: False if
        it is entered already.

        What the cache needs may be down: it then opens at a later use. Raises ConfigError, PluginError.
        """
        idle = None
        with self._lock:
            self._drop_what_ended()
            if self._owned:
                return False
            if self._home is None and self._opening is None:
                # A thread that was to be the home, while what the cache needs was down, has nothing on it yet.
                idle = self._thread
                self._reset()
                self._loop = get_running_loop()
            self._owned = True
        try:
            if idle is not None:
                atexit.unregister(self.close_blocking)
                await asyncio.to_thread(idle.stop)
            opening, _ = self._begin_opening()
            if opening is not None:
                await _opened_within(opening, None)
        except BaseException:
            await self.close()
            raise
        return True

    def _begin_opening(self) -> tuple[Future[Home | None] | None, float | None]:
        """Return the opening that is under way, begun here if there is none, and for how long its caller may wait
        for it. None: the caller is not to wait, or the pause is not over.
        """
        with self._lock:
            self._drop_what_ended()
            if self._home is not None:
                opened: Future[Home | None] = Future()
                opened.set_result(self._home)
                return opened, None
            if self._opening is not None:
                # One caller waits for a new try: a store that is still down must not make all of them wait.
                return None if self._outage.is_on else self._opening, None
            if self._closing or self._outage.pauses:
                return None, None
            patience = _RETRY_PATIENCE if self._outage.is_on else None
            try:
                loop = self._home_loop()
            except RuntimeError as error:  # The system has no thread to give, or the interpreter is about to end.
                self._outage.began(error)
                return None, None
            opening = self._opening = asyncio.run_coroutine_threadsafe(self._open_here(self._era), loop)
            opening.add_done_callback(self._opening_over)
            return opening, patience

    def _home_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            thread = LoopThread()
            thread.start()
            self._thread, self._loop = thread, thread.loop
            atexit.register(self.close_blocking)
        return self._loop

    def _drop_what_ended(self) -> None:
        """Forget a home loop of somebody else's that has ended without closing the cache."""
        if self._loop is not None and self._thread is None and not self._loop.is_running():
            self._reset()

    async def _open_here(self, era: object) -> Home | None:
        with self._lock:
            if self._era is not era:
                return None
            self._task = asyncio.current_task()
        try:
            async with AsyncExitStack() as stack:
                runtime = await self._opener(stack)
                home = Home(runtime, get_running_loop(), stack.pop_all())
        except (ConfigError, PluginError):
            raise
        except Exception as error:  # noqa: BLE001  the edge to plugin code, which may raise anything as it opens
            self._outage.began(error)
            return None
        with self._lock:
            if self._era is era:
                self._home = home
        if self._home is not home:
            await home.close()
            return None
        self._outage.ended()
        return home

    def _opening_over(self, opening: Future[Home | None]) -> None:
        with self._lock:
            if self._opening is opening:
                self._opening = self._task = None

    # -- closing --------------------------------------------------------------------------------------------------

    async def close(self) -> None:
        """Write what waits and close every component, from any loop. Harmless twice; a later use opens anew."""
        with self._let_go() as left:
            if left.loop is get_running_loop():
                await left.close()
            elif left.loop is not None:
                await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(left.close(), left.loop))
            if left.thread is not None:
                await asyncio.to_thread(left.thread.stop)

    def close_blocking(self) -> None:
        """Do what ``close`` does from a thread. Raises WrongLoopError on the home loop."""
        if self._loop is not None and running_loop() is self._loop:
            raise blocks_itself()
        with self._let_go() as left:
            if left.loop is not None:
                asyncio.run_coroutine_threadsafe(left.close(), left.loop).result()
            if left.thread is not None:
                left.thread.stop()

    @contextlib.contextmanager
    def _let_go(self) -> Iterator[_Left]:
        with self._lock:
            self._drop_what_ended()
            left = _Left(self._home, self._loop, self._thread, self._opening, self._task)
            self._reset()
            self._closing += 1
        if left.thread is not None:
            atexit.unregister(self.close_blocking)
        try:
            yield left
        finally:
            with self._lock:
                self._closing -= 1

    def forget_inherited(self) -> None:
        """Begin anew in a forked process: the threads, connections and locks of the parent are of no use here."""
        # Kept, not closed: the parent still uses what is behind them, a selector or a file that both processes share.
        self._inherited.append((self._home, self._loop, self._thread, self._opening, self._task))
        self._lock = threading.RLock()
        self._closing = 0
        self._reset()


class _Left(msgspec.Struct):
    """What a cache that is let go of leaves to be closed."""

    home: Home | None
    loop: asyncio.AbstractEventLoop | None
    thread: LoopThread | None
    opening: Future[Home | None] | None
    task: asyncio.Task[Home | None] | None

    async def close(self) -> None:
        """Close on the home loop, which this has to run on."""
        if self.opening is not None:
            # Otherwise the cache would finish opening after its close, and leak.
            self.opening.cancel()
        if self.task is not None:
            self.task.cancel()
            await asyncio.wait((self.task,))
        if self.home is not None:
            await self.home.close()


_ALL: WeakSet[Lifecycle] = WeakSet()


def _forget_inherited() -> None:
    for lifecycle in tuple(_ALL):
        lifecycle.forget_inherited()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_inherited)


async def _opened_within(opening: Future[Home | None], patience: float | None) -> Home | None:
    """Wait for an opening that others may wait for as well: it goes on if this caller is cancelled."""
    loop, is_over = get_running_loop(), asyncio.Event()

    def tell(_: object) -> None:
        with contextlib.suppress(RuntimeError):  # The caller's loop has ended since.
            loop.call_soon_threadsafe(is_over.set)

    opening.add_done_callback(tell)
    try:
        async with asyncio.timeout(patience):
            await is_over.wait()
        return opening.result()
    except (CancelledError, TimeoutError):
        return None


def _instead(coroutine: Coroutine[Any, Any, T], otherwise: T | msgspec.UnsetType) -> T:
    coroutine.close()
    if isinstance(otherwise, msgspec.UnsetType):
        raise not_open()
    return otherwise


def not_open() -> CacheUnavailable:
    """Return the error for a call that has nothing to return while the cache is down."""
    return CacheUnavailable("the cache is not open: something that it needs was down when it was opened last")
