"""The home loop: the one event loop on which an open cache lives, and the way there from other loops and threads."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from asyncio import get_running_loop
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from contextlib import AsyncExitStack
from typing import Any, Generic, TypeVar

from semcache_core.errors import CacheUnavailable, WrongLoopError
from semcache_core.runtime.opening import Runtime

T = TypeVar("T")

_THREAD = "semcache-home"


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the loop that runs in this thread, None outside of one."""
    try:
        return get_running_loop()
    except RuntimeError:
        return None


class Home:
    """An open cache and the event loop on which its components live."""

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
        """Whether calls can still reach it: False once the loop has ended, also if the cache was not closed."""
        return not self._closed and self.loop.is_running()

    async def run(self, coroutine: Coroutine[Any, Any, T], *, abandon: Callable[[T], object] | None = None) -> T:
        """Await ``coroutine`` on the home loop: directly if this is it, otherwise by crossing over to it.

        Cancelling the caller cancels the coroutine. ``abandon`` is called on the home loop with a result that the
        cancelled caller can no longer take. Raises CacheUnavailable if the cache is closed meanwhile.
        """
        if get_running_loop() is self.loop:
            return await coroutine
        errand = _Errand(coroutine, abandon)
        running = self._submit(errand)
        try:
            return await asyncio.wrap_future(running)
        except asyncio.CancelledError:
            if running.cancelled() and not is_being_cancelled():
                raise _closed_meanwhile() from None
            self._call_off(errand)
            raise

    def run_blocking(self, coroutine: Coroutine[Any, Any, T], *, abandon: Callable[[T], object] | None = None) -> T:
        """Run ``coroutine`` on the home loop and wait for it in this thread; ``abandon`` as in ``run``.

        Raises WrongLoopError on the home loop itself, which would wait for itself; CacheUnavailable if the cache is
        closed meanwhile.
        """
        if self.is_here:
            coroutine.close()
            raise blocks_itself()
        errand = _Errand(coroutine, abandon)
        running = self._submit(errand)
        try:
            return running.result()
        except CancelledError:
            raise _closed_meanwhile() from None
        except BaseException:
            # Ctrl-C while this waits: otherwise the coroutine could become a leader with no caller to run the call.
            running.cancel()
            self._call_off(errand)
            raise

    def call(self, function: Callable[[], object]) -> None:
        """Call a plain function on the home loop, at once if this is it. Nothing happens once the loop has ended."""
        if self.is_here:
            function()
            return
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(function)

    def spawn(self, work: Coroutine[Any, Any, object]) -> None:
        """Run ``work`` in the background of the running loop, which may be another one."""
        maintenance = self.runtime.engine.maintenance
        self.keep(maintenance.task_of(work))

    def keep(self, task: asyncio.Future[Any]) -> None:
        """Keep hold of a task that outlives the call it began in; it belongs to the running loop."""
        if self.is_here:
            self.runtime.engine.adopt(task)
            return
        # Closing the cache does not cancel it: it crosses over by itself, and finds the cache closed.
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Close every component. Only on the home loop."""
        with self._lock:
            self._closed = True
        await self._stack.aclose()

    def _submit(self, errand: _Errand[T]) -> Future[T]:
        # Under the lock: what is submitted after ``close`` would never be run, and its caller would wait for ever.
        with self._lock:
            work = errand.run()
            try:
                if self._closed:
                    raise RuntimeError("closed")
                return asyncio.run_coroutine_threadsafe(work, self.loop)
            except RuntimeError as error:
                work.close()
                errand.coroutine.close()
                raise _closed_meanwhile() from error

    def _call_off(self, errand: _Errand[Any]) -> None:
        if errand.abandon is not None:
            self.call(errand.call_off)


class _Errand(Generic[T]):
    """A coroutine that another thread sent to the home loop, and what it came to."""

    __slots__ = ("_done", "abandon", "coroutine")

    def __init__(self, coroutine: Coroutine[Any, Any, T], abandon: Callable[[T], object] | None) -> None:
        self.coroutine, self.abandon = coroutine, abandon
        self._done: list[T] = []

    async def run(self) -> T:
        result = await self.coroutine
        self._done.append(result)
        return result

    def call_off(self) -> None:
        """Undo what was done before the cancellation arrived. Runs on the home loop, after the cancellation."""
        while self._done and self.abandon is not None:
            self.abandon(self._done.pop())


class LoopThread:
    """A daemon thread that runs one event loop."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._main, name=_THREAD, daemon=True)

    def start(self) -> None:
        """Start the thread. Raises RuntimeError where the system has no thread to give."""
        try:
            self._thread.start()
        except RuntimeError:
            self.loop.close()
            raise

    def stop(self) -> None:
        """Cancel what still runs on the loop, close it and wait for the thread to end."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()

    def _main(self) -> None:
        loop = self.loop
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
            # What other threads submitted last becomes a task first; then its caller hears of the cancellation.
            loop.run_until_complete(asyncio.sleep(0))
            tasks = asyncio.all_tasks(loop)
            for task in tasks:
                task.cancel()
            if tasks:
                loop.run_until_complete(asyncio.wait(tasks))
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()


def is_being_cancelled() -> bool:
    """Say whether a CancelledError in the running task was meant for this task."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def blocks_itself() -> WrongLoopError:
    """Return the error for a blocking call on the home loop."""
    return WrongLoopError(
        "a blocking call (cache.sync, or a plain function under @cached) on the event loop on which this cache lives "
        "would wait for itself: await the cache's own calls here, or make the blocking call in another thread "
        "(asyncio.to_thread)"
    )


def _closed_meanwhile() -> CacheUnavailable:
    return CacheUnavailable("the cache was closed while a call was on its way to it")
