"""The home loop: the event loop of an open cache, and calls to it from other loops and threads."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import threading
from asyncio import get_running_loop
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import CancelledError, Future
from contextlib import AsyncExitStack
from typing import Any, Generic, TypeVar

from semcache_core.errors import CacheUnavailable, WrongLoopError
from semcache_core.runtime.opening import Runtime
from semcache_core.runtime.outcome import Outcome, is_being_cancelled, outcome_of

_log = logging.getLogger("semcache")

T = TypeVar("T")

_THREAD = "semcache-home"


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the loop that runs in this thread, or None."""
    try:
        return get_running_loop()
    except RuntimeError:
        return None


class Home:
    """An open cache and the event loop of its components."""

    __slots__ = ("_closed", "_lock", "_stack", "_tasks", "loop", "runtime")

    def __init__(self, runtime: Runtime, loop: asyncio.AbstractEventLoop, stack: AsyncExitStack) -> None:
        self.runtime, self.loop, self._stack = runtime, loop, stack
        self._lock = threading.Lock()
        self._closed = False
        self._tasks: set[asyncio.Future[Any]] = set()

    @property
    def is_here(self) -> bool:
        """Whether the loop that runs in this thread is the home loop."""
        return running_loop() is self.loop

    @property
    def is_alive(self) -> bool:
        """Whether calls can still reach it: False once the loop has ended, even if the cache was not closed."""
        return not self._closed and self.loop.is_running()

    async def run(self, coroutine: Coroutine[Any, Any, T], *, abandon: Callable[[T], object] | None = None) -> T:
        """Await ``coroutine`` on the home loop: directly on that loop, otherwise by ``run_coroutine_threadsafe``.

        Cancelling the caller cancels the coroutine. ``abandon`` is called on the home loop with a result that arrives
        after the cancellation. Raises CacheUnavailable if the cache is closed meanwhile.
        """
        if get_running_loop() is self.loop:
            return await coroutine
        errand = _Errand(coroutine, abandon)
        running = self._submit(errand)
        try:
            outcome = await asyncio.wrap_future(running)
        except asyncio.CancelledError:
            if running.cancelled() and not is_being_cancelled():
                raise _closed_meanwhile() from None
            self._call_off(errand)
            raise
        return outcome.unwrap()

    def run_blocking(self, coroutine: Coroutine[Any, Any, T], *, abandon: Callable[[T], object] | None = None) -> T:
        """Run ``coroutine`` on the home loop and wait for it in this thread; ``abandon`` as in ``run``.

        Raises WrongLoopError on the home loop itself, where it would deadlock; CacheUnavailable if the cache is closed
        meanwhile.
        """
        if self.is_here:
            coroutine.close()
            raise blocks_itself()
        errand = _Errand(coroutine, abandon)
        running = self._submit(errand)
        try:
            outcome = running.result()
        except CancelledError:
            raise _closed_meanwhile() from None
        except BaseException:
            # Ctrl-C while this waits: otherwise the coroutine could become a leader with no caller to run the call.
            running.cancel()
            self._call_off(errand)
            raise
        return outcome.unwrap()

    def call(self, function: Callable[[], object]) -> None:
        """Call a plain function on the home loop, immediately if on it. No effect once the loop has ended."""
        if self.is_here:
            function()
            return
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(function)

    def spawn(self, work: Coroutine[Any, Any, object]) -> None:
        """Run ``work`` in the background of the running loop, which need not be the home loop."""
        maintenance = self.runtime.engine.maintenance
        self.keep(maintenance.task_of(work))

    def keep(self, task: asyncio.Future[Any]) -> None:
        """Keep a reference to a task of the running loop that outlives the call that started it."""
        if self.is_here:
            self.runtime.engine.adopt(task)
            return
        # Closing the cache does not cancel it: its own calls to the home loop then fail.
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Close every component. Only on the home loop."""
        with self._lock:
            self._closed = True
        await self._stack.aclose()

    def _submit(self, errand: _Errand[T]) -> Future[Outcome[T]]:
        # Under the lock: a coroutine submitted after ``close`` would never run, and its caller would wait for ever.
        with self._lock:
            running = errand.run()
            work = outcome_of(running)
            try:
                if self._closed:
                    raise RuntimeError("closed")
                return asyncio.run_coroutine_threadsafe(work, self.loop)
            except RuntimeError as error:
                work.close()
                running.close()
                errand.coroutine.close()
                raise _closed_meanwhile() from error

    def _call_off(self, errand: _Errand[Any]) -> None:
        if errand.abandon is not None:
            self.call(errand.call_off)


class _Errand(Generic[T]):
    """A coroutine that another thread submitted to the home loop, and its result."""

    __slots__ = ("_done", "abandon", "coroutine")

    def __init__(self, coroutine: Coroutine[Any, Any, T], abandon: Callable[[T], object] | None) -> None:
        self.coroutine, self.abandon = coroutine, abandon
        self._done: list[T] = []

    async def run(self) -> T:
        result = await self.coroutine
        self._done.append(result)
        return result

    def call_off(self) -> None:
        """Abandon a result that came before the cancellation. Runs on the home loop, after the cancellation."""
        while self._done and self.abandon is not None:
            self.abandon(self._done.pop())


class LoopThread:
    """A daemon thread that runs one event loop."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._main, name=_THREAD, daemon=True)
        self._stopping = False

    def start(self) -> None:
        """Start the thread. Raises RuntimeError if the system cannot start one."""
        try:
            self._thread.start()
        except RuntimeError:
            self.loop.close()
            raise

    def stop(self) -> None:
        """Cancel the remaining tasks, close the loop and wait for the thread to end."""
        self.loop.call_soon_threadsafe(self._end)
        self._thread.join()

    def stop_after(self, closing: Callable[[], Awaitable[object]]) -> None:
        """Run ``closing`` on the loop, then stop, without waiting; the interpreter's exit does wait for it."""
        atexit.register(self._thread.join)
        with contextlib.suppress(RuntimeError):  # The loop has ended already.
            self.loop.call_soon_threadsafe(self._close, closing)

    # -- on the thread ------------------------------------------------------------------------------------------------

    def _close(self, closing: Callable[[], Awaitable[object]]) -> None:
        task = asyncio.ensure_future(outcome_of(closing()))
        task.add_done_callback(lambda _: self._end())

    def _end(self) -> None:
        self._stopping = True
        self.loop.stop()

    def _main(self) -> None:
        loop = self.loop
        asyncio.set_event_loop(loop)
        try:
            while not self._stopping:
                self._run()
            # The last submissions of other threads become tasks first; cancelling them then reaches their callers.
            loop.run_until_complete(asyncio.sleep(0))
            tasks = asyncio.all_tasks(loop)
            for task in tasks:
                task.cancel()
            if tasks:
                loop.run_until_complete(asyncio.wait(tasks))
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()
            atexit.unregister(self._thread.join)

    def _run(self) -> None:
        try:
            self.loop.run_forever()
        except (KeyboardInterrupt, SystemExit) as signal:
            # Of a task that a component started: it ends that task, not the loop of everybody else.
            _log.error("a task on the event loop of the cache raised %s; the cache goes on", type(signal).__name__)


def blocks_itself() -> WrongLoopError:
    """Return the error for a blocking call on the home loop."""
    return WrongLoopError(
        "a blocking call (cache.sync, or a plain function under @cached) on the event loop on which this cache lives "
        "would wait for itself: await the cache's own calls here, or make the blocking call in another thread "
        "(asyncio.to_thread)"
    )


def _closed_meanwhile() -> CacheUnavailable:
    return CacheUnavailable("the cache was closed while a call was on its way to it")
