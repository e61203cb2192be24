"""One thread with one connection, for everything that may wait for the disk or for another process.

Writes that wait together are committed together. What a job brings back is applied on the event loop in the order in
which the thread did the jobs, also when whoever asked has gone away.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

T = TypeVar("T")

_GROUP = 256
"""Writes in one commit at most."""


class Job(Generic[T]):
    """Work for the thread, and what to do with its result on the loop."""

    __slots__ = ("done", "then", "work", "writes")

    def __init__(
        self,
        work: Callable[[], T],
        *,
        done: asyncio.Future[T],
        writes: bool = False,
        then: Callable[[T], None] | None = None,
    ) -> None:
        self.work, self.done, self.writes, self.then = work, done, writes, then

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop that asked."""
        return self.done.get_loop()

    def deliver(self, result: T) -> None:
        """Apply the result and wake who waits. A caller that was cancelled does not undo what was done."""
        try:
            if self.then is not None:
                self.then(result)
        except Exception as error:  # noqa: BLE001  its neighbours' results must arrive; the error goes to who asked
            self.fail(error)
        if not self.done.done():
            self.done.set_result(result)

    def fail(self, error: Exception) -> None:
        """Raise ``error`` where the result is awaited."""
        if not self.done.done():
            self.done.set_exception(error)
            # Nobody may be waiting: housekeeping that fails is tried again, and is no unhandled error.
            self.done.exception()


class Worker:
    """The thread. ``connection`` is its own: jobs set and use it, nobody else."""

    def __init__(self, name: str, *, after_writes: Callable[[], None]) -> None:
        self._name = name
        self._after_writes = after_writes
        self._jobs: SimpleQueue[Job[Any] | None] = SimpleQueue()
        self._ended: asyncio.Future[None] | None = None
        self._connection: sqlite3.Connection | None = None

    @property
    def connection(self) -> sqlite3.Connection:
        """The thread's connection. Raises sqlite3.ProgrammingError before there is one."""
        if self._connection is None:
            raise sqlite3.ProgrammingError("no connection")
        return self._connection

    def use(self, connection: sqlite3.Connection) -> None:
        """Take ``connection`` in place of the one before; called by a job."""
        self.drop()
        self._connection = connection

    def drop(self) -> None:
        """Close the connection; called by a job."""
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def start(self) -> None:
        """Start the thread; each result comes back to the loop that asked."""
        # A daemon: a cache that nobody closed must not keep the interpreter alive, and SQLite survives a sudden end.
        threading.Thread(target=self._main, name=self._name, daemon=True).start()

    def submit(
        self, work: Callable[[], T], *, writes: bool = False, then: Callable[[T], None] | None = None
    ) -> asyncio.Future[T]:
        """Give the thread a job; ``writes`` puts it into a transaction, together with the writes beside it."""
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._jobs.put(Job(work, done=done, writes=writes, then=then))
        return done

    async def stop(self) -> None:
        """Let the thread finish what it was given, close its connection and end."""
        # Stopping twice asks for the end only once.
        if self._ended is None:
            self._ended = asyncio.get_running_loop().create_future()
            self._jobs.put(None)
        await asyncio.shield(self._ended)

    def _main(self) -> None:
        waiting: deque[Job[Any] | None] = deque()
        while True:
            if not waiting:
                waiting.append(self._jobs.get())
            with contextlib.suppress(Empty):
                while len(waiting) < _GROUP:
                    waiting.append(self._jobs.get_nowait())
            job = waiting.popleft()
            if job is None:
                break
            group = [job]
            while job.writes and waiting and (after := waiting[0]) is not None and after.writes:
                if after.loop is not job.loop:
                    break
                waiting.popleft()
                group.append(after)
            self._do(group)
        self.drop()
        if self._ended is not None:
            _on_loop(self._ended.get_loop(), self._end)

    def _do(self, group: Sequence[Job[Any]]) -> None:
        try:
            results = self._commit(group) if group[0].writes else [group[0].work()]
        except Exception as error:  # noqa: BLE001  the thread outlives every job; the error goes to who asked
            if len(group) == 1 or not _is_own_fault(error):
                _on_loop(group[0].loop, _fail, group, error)
                return
            for job in group:
                self._do([job])
            return
        if group[0].writes:
            try:
                self._after_writes()
            except Exception:  # noqa: BLE001, S110  housekeeping: it is tried again after the next write
                pass
        _on_loop(group[0].loop, _deliver, group, results)

    def _commit(self, group: Sequence[Job[Any]]) -> list[Any]:
        connection = self.connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            results = [job.work() for job in group]
            connection.execute("COMMIT")
        finally:
            # After some errors, a full disk for one, SQLite has rolled back already.
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        return results

    def _end(self) -> None:
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)


def _on_loop(loop: asyncio.AbstractEventLoop, call: Callable[..., None], *arguments: object) -> None:
    # The loop may have been closed under a cache that nobody closed.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(call, *arguments)


def _is_own_fault(error: Exception) -> bool:
    """Say whether one job of a group is to blame, an oversized value for one, and not the file they share."""
    return isinstance(error, sqlite3.DataError | sqlite3.InterfaceError) or not isinstance(error, sqlite3.Error)


def _deliver(group: Sequence[Job[Any]], results: Sequence[Any]) -> None:
    for job, result in zip(group, results, strict=True):
        job.deliver(result)


def _fail(group: Sequence[Job[Any]], error: Exception) -> None:
    for job in group:
        job.fail(error)
