"""The life cycle: the one owner of a cache's open state, for every loop and thread that uses the cache.

The components of a cache run on one home loop. ``open`` makes the running loop the home; any other first use starts a
home loop in a daemon thread, which ends with the interpreter. If a component is down, opening is retried after a
pause; until then the cache is not open: a miss for every caller, never an error.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import threading
import weakref
from asyncio import get_running_loop
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, TypeVar

import msgspec

from semcache_core.errors import CacheUnavailable, ConfigError, PluginError
from semcache_core.runtime.forks import forgets_in_child
from semcache_core.runtime.held import Held, Opening, close_dropped, close_unattended, opened_within
from semcache_core.runtime.home import Home, LoopThread, blocks_itself, running_loop
from semcache_core.runtime.opening import Runtime
from semcache_core.runtime.outage import Outage
from semcache_core.runtime.outcome import Outcome, outcome_of

T = TypeVar("T")

_RETRY_PATIENCE = 1.0
"""Seconds for which the caller that starts a retry waits; other callers do not wait."""

Opener = Callable[[AsyncExitStack], Awaitable[Runtime]]
"""Opens the components on the stack."""


class Lifecycle:
    """Opens and closes one cache and gives access to it. Drivers and the library reach the cache only through this."""

    def __init__(self, opener: Opener) -> None:
        self._opener = opener
        self.not_open = 0
        """How many lookups found the cache not open."""
        self._outage = Outage()
        self._closing = 0
        """How many closes are under way: the components are not opened again until they have ended."""
        # Reentrant: a future that is already done calls back immediately.
        self._lock = threading.RLock()
        self._owned = False
        """Whether the cache was entered, so that its owner will close it."""
        self._era = object()
        """Replaced at each close: an opening that began in an earlier era is discarded."""
        self._held = Held()
        # Holds no reference to this object, which can be dropped like any other.
        self._at_exit = partial(_close_at_exit, weakref.ref(self))
        weakref.finalize(self, close_dropped, self._held).atexit = False
        forgets_in_child(self)

    def _reset(self) -> Held:
        """Forget what is held, and return it."""
        left = self._held.taken()
        self._owned = False
        self._outage.end_pause()
        self._era = object()
        return left

    # -- access ---------------------------------------------------------------------------------------------------

    def here(self) -> Runtime | None:
        """Return the open runtime if the running loop is its home. Cheap: drivers call it for every request."""
        home = self._held.home
        return home.runtime if home is not None and home.loop is get_running_loop() else None

    def home_here(self) -> Home | None:
        """Return the open cache if the running loop is its home."""
        home = self._held.home
        return home if home is not None and home.loop is get_running_loop() else None

    @property
    def home(self) -> Home | None:
        """The open cache on any loop; None while it is not open."""
        home = self._held.home
        return home if home is not None and home.is_alive else None

    @property
    def is_open(self) -> bool:
        """Whether the cache is open, on any loop."""
        return self.home is not None

    async def reach(self) -> Home | None:
        """Return the cache for a request, from any loop; open it first if needed.

        None while it is down, which counts as a miss. Raises ConfigError, PluginError.
        """
        home = await self._reached()
        if home is None:
            self._count_miss()
        return home

    def reach_blocking(self) -> Home | None:
        """Like ``reach``, from a thread; on another event loop it blocks that loop.

        Raises WrongLoopError on the home loop, ConfigError, PluginError.
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
        return None if opening is None else await opened_within(opening, patience)

    def _reached_blocking(self) -> Home | None:
        if self._held.loop is not None and running_loop() is self._held.loop:
            raise blocks_itself()
        home = self.home
        if home is not None:
            return home
        opening, patience = self._begin_opening()
        try:
            return None if opening is None else opening.result(patience).unwrap()
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
        """Await ``coroutine`` on the home loop; see ``Home.run``.

        While the cache is down, return ``otherwise``, or raise CacheUnavailable without one; if the coroutine ``asks``
        for an answer, count a miss. Raises ConfigError, PluginError.
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
        """Like ``run``, from a thread. Also raises WrongLoopError on the home loop."""
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
        """Open the cache with the running loop as its home; return whether the caller must close it.

        False if the cache has been entered already. If a component is down, the cache opens at a later use. Raises
        ConfigError, PluginError.
        """
        idle = None
        with self._lock:
            self._drop_what_ended()
            if self._owned:
                return False
            if self._held.home is None and self._held.opening is None:
                # A home thread that was started while a component was down has nothing open on it yet.
                idle = self._reset().thread
                self._held.loop = get_running_loop()
            self._owned = True
        try:
            if idle is not None:
                atexit.unregister(self._at_exit)
                await asyncio.to_thread(idle.stop)
            opening, _ = self._begin_opening()
            if opening is not None:
                await opened_within(opening, None)
        except BaseException:
            await self.close()
            raise
        return True

    def _begin_opening(self) -> tuple[Opening | None, float | None]:
        """Return the opening under way, started if there is none, and how long the caller may wait for it.

        None: the caller must not wait, or the pause is not over.
        """
        with self._lock:
            self._drop_what_ended()
            if self._held.home is not None:
                opened: Opening = Future()
                opened.set_result(Outcome(self._held.home))
                return opened, None
            if self._held.opening is not None:
                # Only one caller waits for a retry: a store that is still down must not delay all of them.
                return None if self._outage.is_on else self._held.opening, None
            if self._closing or self._outage.pauses:
                return None, None
            patience = _RETRY_PATIENCE if self._outage.is_on else None
            try:
                loop = self._home_loop()
            except RuntimeError as error:  # The system cannot start a thread, or the interpreter is exiting.
                self._outage.began(error)
                return None, None
            # Weak: an opening that takes for ever does not keep a cache that its program has dropped.
            attempt = _Attempt(weakref.ref(self), self._era)
            opening = asyncio.run_coroutine_threadsafe(outcome_of(attempt.run(self._opener, self._outage)), loop)
            self._held.opening = opening
            opening.add_done_callback(attempt.over)
            return opening, patience

    def _home_loop(self) -> asyncio.AbstractEventLoop:
        if self._held.loop is None:
            thread = LoopThread()
            thread.start()
            self._held.thread, self._held.loop = thread, thread.loop
            atexit.register(self._at_exit)
        return self._held.loop

    def _drop_what_ended(self) -> None:
        """Leave a foreign home loop that ended without closing the cache."""
        if self._held.loop is not None and self._held.thread is None and not self._held.loop.is_running():
            close_unattended(self._reset())

    def _takes(self, home: Home, era: object) -> bool:
        """Take an opened cache; False if this one was closed since its opening began."""
        with self._lock:
            if self._era is not era:
                return False
            self._held.home = home
            if self._held.thread is not None:
                # Last registered, first run: at exit the cache closes before the threads that its components need.
                atexit.unregister(self._at_exit)
                atexit.register(self._at_exit)
            return True

    def _began(self, task: asyncio.Task[Any] | None, era: object) -> bool:
        with self._lock:
            if self._era is not era:
                return False
            self._held.task = task
            return True

    def _opening_over(self, opening: Opening) -> None:
        with self._lock:
            if self._held.opening is opening:
                self._held.opening = self._held.task = None

    # -- closing --------------------------------------------------------------------------------------------------

    async def close(self) -> None:
        """Write the queued answers and close every component, from any loop. May be repeated; a later use reopens."""
        with self._let_go() as left:
            if left.loop is get_running_loop():
                await left.close()
            elif left.loop is not None:
                await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(left.close(), left.loop))
            if left.thread is not None:
                await asyncio.to_thread(left.thread.stop)

    def close_blocking(self) -> None:
        """Like ``close``, from a thread. Raises WrongLoopError on the home loop."""
        if self._held.loop is not None and running_loop() is self._held.loop:
            raise blocks_itself()
        with self._let_go() as left:
            if left.loop is not None:
                asyncio.run_coroutine_threadsafe(left.close(), left.loop).result()
            if left.thread is not None:
                left.thread.stop()

    @contextlib.contextmanager
    def _let_go(self) -> Iterator[Held]:
        with self._lock:
            self._drop_what_ended()
            left = self._reset()
            self._closing += 1
        if left.thread is not None:
            atexit.unregister(self._at_exit)
        try:
            yield left
        finally:
            with self._lock:
                self._closing -= 1

    def forget_inherited(self) -> Held:
        """Reset in a forked process, and return what the parent still uses."""
        self._lock = threading.RLock()
        self._closing = 0
        return self._reset()


class _Attempt:
    """One opening, on the home loop. It keeps what it opens, not the cache for which it opens it."""

    __slots__ = ("_era", "_lifecycle")

    def __init__(self, lifecycle: weakref.ref[Lifecycle], era: object) -> None:
        self._lifecycle, self._era = lifecycle, era

    async def run(self, opener: Opener, outage: Outage) -> Home | None:
        lifecycle = self._lifecycle()
        if lifecycle is None or not lifecycle._began(asyncio.current_task(), self._era):
            return None
        del lifecycle
        try:
            async with AsyncExitStack() as stack:
                runtime = await opener(stack)
                home = Home(runtime, get_running_loop(), stack.pop_all())
        except (ConfigError, PluginError):
            raise
        except Exception as error:  # noqa: BLE001  the edge to plugin code: opening may raise anything
            outage.began(error)
            return None
        lifecycle = self._lifecycle()
        if lifecycle is None or not lifecycle._takes(home, self._era):
            await home.close()
            return None
        outage.ended()
        return home

    def over(self, opening: Opening) -> None:
        lifecycle = self._lifecycle()
        if lifecycle is not None:
            lifecycle._opening_over(opening)


def _close_at_exit(lifecycle: weakref.ref[Lifecycle]) -> None:
    alive = lifecycle()
    if alive is not None:
        alive.close_blocking()


def _instead(coroutine: Coroutine[Any, Any, T], otherwise: T | msgspec.UnsetType) -> T:
    coroutine.close()
    if isinstance(otherwise, msgspec.UnsetType):
        raise not_open()
    return otherwise


def not_open() -> CacheUnavailable:
    """Return the error for a call that has no result while the cache is down."""
    return CacheUnavailable("the cache is not open: something that it needs was down when it was opened last")
