"""A dedicated thread for a blocking library: calls run one after another, results return to the loop.

``loop.run_in_executor`` does the same; this takes half its time (0.1 to 0.25 ms less a call, most of it locks taken
while the loop waits for the interpreter), which is much compared with the 4 ms of an embedding.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

__all__ = ["RunEachAlone", "Worker"]

T = TypeVar("T")

_LARGEST_BATCH = 256


class RunEachAlone(Exception):
    """Raised by ``run_together``: one call of a batch failed, and no effect of the batch was kept.

    The worker then runs each call in a separate batch, so that only the faulty one fails.
    """


class _Job(Generic[T]):
    """One call, and the delivery of its result on the caller's loop."""

    __slots__ = ("batched", "done", "skippable", "then", "work")

    def __init__(
        self,
        work: Callable[[], T],
        done: asyncio.Future[T],
        *,
        batched: bool = False,
        skippable: bool = False,
        then: Callable[[T], None] | None = None,
    ) -> None:
        self.work, self.done, self.batched, self.skippable, self.then = work, done, batched, skippable, then

    def deliver(self, result: T) -> None:
        """Apply the result and wake the caller. A cancelled caller does not undo the call."""
        if self.then is not None:
            try:
                self.then(result)
            except BaseException as error:  # noqa: BLE001  the other results must still arrive; the caller gets it
                self.fail(error)
        if not self.done.done():
            self.done.set_result(result)

    def fail(self, error: BaseException) -> None:
        """Raise ``error`` in the caller that awaits the result."""
        if self.done.done():
            return
        if isinstance(error, StopIteration):  # A future refuses it, and its caller would wait for ever.
            error = RuntimeError(f"the call raised {error!r}")
        self.done.set_exception(error)
        # Marks it as retrieved: a submitted call need not be awaited, so its failure is not an unhandled error.
        self.done.exception()


class Worker:
    """One thread that runs calls in the order of their submission. It starts immediately.

    Any event loop may submit calls: each result returns to the submitting loop. ``run_together`` receives queued calls
    submitted with ``batched=True``, runs all of them, and returns their results in order: one commit for many writes.
    ``join_at_exit``: the interpreter's exit waits for the running call, for libraries that abort the process if
    interrupted; otherwise an exit ends the thread at once.
    """

    def __init__(
        self,
        name: str,
        *,
        run_together: Callable[[Sequence[Callable[[], Any]]], Sequence[Any]] | None = None,
        join_at_exit: bool = False,
    ) -> None:
        self._queue: SimpleQueue[_Job[Any] | None] = SimpleQueue()
        self._run_together = run_together
        self._ended: asyncio.Future[None] | None = None
        self._ending = self._exiting = False
        # A daemon: a worker that was never stopped must not keep the interpreter alive.
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)
        self._thread.start()
        self._join_at_exit = join_at_exit
        if join_at_exit:
            atexit.register(self._end_at_exit)

    async def run(self, work: Callable[[], T]) -> T:
        """Run ``work()`` on the thread and return its result or raise its exception.

        A call that is cancelled before it starts never runs.
        """
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue.put(_Job(work, done, skippable=True))
        return await done

    def submit(
        self, work: Callable[[], T], *, batched: bool = False, then: Callable[[T], None] | None = None
    ) -> asyncio.Future[T]:
        """Give the thread a call that runs even if its result is not awaited; return the future of its result.

        ``then`` receives the result on the loop, in the order in which the thread ran the calls. ``batched``: the call
        may run together with adjacent batched calls.
        """
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue.put(_Job(work, done, batched=batched, then=then))
        return done

    def end(self) -> None:
        """Let the thread end after the submitted calls; does not wait. No call may follow."""
        if not self._ending:
            self._ending = True
            self._queue.put(None)

    async def stop(self) -> None:
        """Let the thread end after the submitted calls, and wait for it. May be called twice."""
        if self._ended is None:
            self._ended = asyncio.get_running_loop().create_future()
            self.end()
        await asyncio.shield(self._ended)

    # -- on the thread ------------------------------------------------------------------------------------------------

    def _main(self) -> None:
        waiting: deque[_Job[Any] | None] = deque()
        while (job := self._next(waiting)) is not None:
            if self._exiting or (job.skippable and job.done.cancelled()):
                continue
            if job.batched and self._run_together is not None:
                self._do_together(self._batch(job, waiting), self._run_together)
            else:
                self._do(job)
            # A finished job may hold much memory: release it before waiting for the next one.
            del job
        if self._ended is not None:
            _on_loop(self._ended, partial(_settle, self._ended))
        if self._join_at_exit and not self._exiting:
            atexit.unregister(self._end_at_exit)

    def _next(self, waiting: deque[_Job[Any] | None]) -> _Job[Any] | None:
        return waiting.popleft() if waiting else self._queue.get()

    def _batch(self, first: _Job[Any], waiting: deque[_Job[Any] | None]) -> list[_Job[Any]]:
        """Return ``first`` and the batched calls of the same loop that directly follow it."""
        with contextlib.suppress(Empty):
            while len(waiting) < _LARGEST_BATCH:
                waiting.append(self._queue.get_nowait())
        batch = [first]
        loop = first.done.get_loop()
        while len(batch) < _LARGEST_BATCH and waiting and (after := waiting[0]) is not None and after.batched:
            if after.done.get_loop() is not loop:
                break
            waiting.popleft()
            batch.append(after)
        return batch

    def _do(self, job: _Job[Any]) -> None:
        try:
            settled = partial(job.deliver, job.work())
        except BaseException as error:  # noqa: BLE001  it belongs to the caller, which waits on another thread
            settled = partial(job.fail, error)
        try:
            _on_loop(job.done, settled)
        finally:
            # An error's traceback refers to this frame: without this they would form a reference cycle.
            del settled

    def _do_together(
        self, batch: Sequence[_Job[Any]], run_together: Callable[[Sequence[Callable[[], Any]]], Sequence[Any]]
    ) -> None:
        try:
            results = run_together([job.work for job in batch])
        except RunEachAlone as fault:
            if len(batch) > 1:
                for job in batch:
                    self._do_together([job], run_together)
                return
            _on_loop(batch[0].done, partial(_fail, batch, fault.__cause__ or fault))
        except BaseException as error:  # noqa: BLE001  the thread outlives every call; its callers get the error
            _on_loop(batch[0].done, partial(_fail, batch, error))
        else:
            _on_loop(batch[0].done, partial(_deliver, batch, results))

    def _end_at_exit(self) -> None:
        self._exiting = True
        self._queue.put(None)
        self._thread.join()


def _on_loop(done: asyncio.Future[Any], call: Callable[[], None]) -> None:
    # The loop may have been closed meanwhile; then there is no waiter.
    with contextlib.suppress(RuntimeError):
        done.get_loop().call_soon_threadsafe(call)


def _settle(done: asyncio.Future[None]) -> None:
    if not done.done():
        done.set_result(None)


def _deliver(batch: Sequence[_Job[Any]], results: Sequence[Any]) -> None:
    for job, result in zip(batch, results, strict=True):
        job.deliver(result)


def _fail(batch: Sequence[_Job[Any]], error: BaseException) -> None:
    for job in batch:
        job.fail(error)
