"""A thread of its own for a library that blocks: calls run there one after another, results come back to the loop.

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
    """Raised by ``run_together``: one call of a batch is at fault, and nothing of the batch was kept.

    The worker then runs each call in a batch of its own, so that only the faulty one fails.
    """


class _Job(Generic[T]):
    """One call, and what becomes of its result on the loop that asked."""

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
        """Apply the result and wake the caller. A caller that was cancelled does not undo what was done."""
        if self.then is not None:
            try:
                self.then(result)
            except Exception as error:  # noqa: BLE001  the results of its neighbours must arrive; the caller gets it
                self.fail(error)
        if not self.done.done():
            self.done.set_result(result)

    def fail(self, error: BaseException) -> None:
        """Raise ``error`` where the result is awaited."""
        if self.done.done():
            return
        if isinstance(error, StopIteration):  # A future refuses it, and its caller would wait for ever.
            error = RuntimeError(f"the call raised {error!r}")
        self.done.set_exception(error)
        # Marks it as seen: nobody has to wait for a submitted call, so its failure is no unhandled error.
        self.done.exception()


class Worker:
    """One thread that runs calls in the order in which they were given. It starts at once.

    Any event loop may give calls: each result goes back to the loop that asked. ``run_together`` takes calls that were
    submitted with ``batched=True`` and wait together, runs all of them, and returns their results in order: one commit
    for many writes. ``join_at_exit``: the interpreter's exit waits for the call that is running, for libraries that
    abort the process where they are taken down in the midst of work; otherwise an exit ends the thread at once.
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
        # A daemon: what nobody closed must not keep the interpreter alive.
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)
        self._thread.start()
        self._join_at_exit = join_at_exit
        if join_at_exit:
            atexit.register(self._end_at_exit)

    async def run(self, work: Callable[[], T]) -> T:
        """Return what ``work()`` returns on the thread, or raise what it raises.

        A call that is cancelled before the thread comes to it never runs.
        """
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue.put(_Job(work, done, skippable=True))
        return await done

    def submit(
        self, work: Callable[[], T], *, batched: bool = False, then: Callable[[T], None] | None = None
    ) -> asyncio.Future[T]:
        """Give the thread a call that runs even if its result is not awaited; return the future of its result.

        ``then`` gets the result on the loop, in the order in which the thread ran the calls. ``batched``: the call may
        run together with the batched calls next to it.
        """
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue.put(_Job(work, done, batched=batched, then=then))
        return done

    def end(self) -> None:
        """Let the thread end after the calls it was given; does not wait. No call may follow."""
        if not self._ending:
            self._ending = True
            self._queue.put(None)

    async def stop(self) -> None:
        """Let the thread end after the calls it was given, and wait for that. Stopping twice is harmless."""
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
            # A finished job may hold much: not until the next one comes.
            del job
        if self._ended is not None:
            _on_loop(self._ended, partial(_settle, self._ended))
        if self._join_at_exit and not self._exiting:
            atexit.unregister(self._end_at_exit)

    def _next(self, waiting: deque[_Job[Any] | None]) -> _Job[Any] | None:
        return waiting.popleft() if waiting else self._queue.get()

    def _batch(self, first: _Job[Any], waiting: deque[_Job[Any] | None]) -> list[_Job[Any]]:
        """Return ``first`` and the batched calls of the same loop that come right after it."""
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
        except BaseException as error:  # noqa: BLE001  it belongs to the caller, who waits on another thread
            settled = partial(job.fail, error)
        try:
            _on_loop(job.done, settled)
        finally:
            # An error's traceback holds this frame: without this the two would keep each other.
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
        except Exception as error:  # noqa: BLE001  the thread outlives every call; its callers get the error
            _on_loop(batch[0].done, partial(_fail, batch, error))
        else:
            _on_loop(batch[0].done, partial(_deliver, batch, results))

    def _end_at_exit(self) -> None:
        self._exiting = True
        self._queue.put(None)
        self._thread.join()


def _on_loop(done: asyncio.Future[Any], call: Callable[[], None]) -> None:
    # The loop may have been closed meanwhile; then nobody waits.
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
