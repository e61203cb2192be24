"""One thread with one connection, for all work that may wait for the disk or another process.

Queued writes are committed together. The result of a job is applied on the event loop, in the order in which the
thread ran the jobs, even if its caller was cancelled.

A fork waits for the running job. SQLite keeps a process's locks in memory: a child that inherits those of a transaction
could never write to the file (https://www.sqlite.org/howtocorrupt.html, 2.6).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar
from weakref import WeakSet

from semcache_core.authoring.worker import RunEachAlone, Worker

T = TypeVar("T")


class ConnectionWorker:
    """The thread. Only jobs set and use ``connection``. It starts immediately."""

    def __init__(self, name: str, *, after_writes: Callable[[], None]) -> None:
        self._after_writes = after_writes
        self._connection: sqlite3.Connection | None = None
        self._dropping = False
        self.busy = threading.Lock()
        """Held while a job runs."""
        _ALL.add(self)
        self._worker = Worker(name, run_together=self._commit)

    @property
    def connection(self) -> sqlite3.Connection:
        """The thread's connection. Raises sqlite3.ProgrammingError before there is one."""
        if self._connection is None:
            raise sqlite3.ProgrammingError("no connection")
        return self._connection

    def use(self, connection: sqlite3.Connection) -> None:
        """Replace the connection; called by a job."""
        self.drop()
        self._connection = connection

    def drop(self) -> None:
        """Close the connection; called by a job."""
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def submit(
        self, work: Callable[[], T], *, writes: bool = False, then: Callable[[T], None] | None = None
    ) -> asyncio.Future[T]:
        """Submit a job; ``writes`` runs it in a transaction, together with adjacent writes."""
        return self._worker.submit(work if writes else partial(self._alone, work), batched=writes, then=then)

    async def stop(self) -> None:
        """Let the thread finish the submitted jobs, close its connection and end."""
        if not self._dropping:
            self._dropping = True
            self._worker.submit(partial(self._alone, self.drop))
        await self._worker.stop()

    def _alone(self, work: Callable[[], T]) -> T:
        with self.busy:
            return work()

    def _commit(self, works: Sequence[Callable[[], Any]]) -> Sequence[Any]:
        with self.busy:
            try:
                results = self._in_a_transaction(works)
            except Exception as error:
                if _is_own_fault(error):
                    raise RunEachAlone from error
                raise
            # Housekeeping: retried after the next write.
            with contextlib.suppress(Exception):
                self._after_writes()
            return results

    def _in_a_transaction(self, works: Sequence[Callable[[], Any]]) -> list[Any]:
        connection = self.connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            results = [work() for work in works]
            connection.execute("COMMIT")
        finally:
            # After some errors, for example a full disk, SQLite has already rolled back.
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        return results


def _is_own_fault(error: Exception) -> bool:
    """Say whether one job of a batch is at fault, for example an oversized value, and not the shared file."""
    return isinstance(error, sqlite3.DataError | sqlite3.InterfaceError) or not isinstance(error, sqlite3.Error)


_ALL: WeakSet[ConnectionWorker] = WeakSet()
_waited_for: list[ConnectionWorker] = []


def _before_fork() -> None:
    for worker in tuple(_ALL):
        worker.busy.acquire()
        _waited_for.append(worker)


def _after_fork() -> None:
    while _waited_for:
        _waited_for.pop().busy.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
