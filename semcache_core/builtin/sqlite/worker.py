"""One thread with one connection, for all work that may wait for the disk or another process.

Queued writes are committed together. The result of a job is applied on the event loop, in the order in which the
thread ran the jobs, even if its caller was cancelled.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from semcache_core.authoring.worker import RunEachAlone, Worker

T = TypeVar("T")


class ConnectionWorker:
    """The thread. Only jobs set and use ``connection``. It starts immediately."""

    def __init__(self, name: str, *, after_writes: Callable[[], None]) -> None:
        self._after_writes = after_writes
        self._connection: sqlite3.Connection | None = None
        self._dropping = False
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
        return self._worker.submit(work, batched=writes, then=then)

    async def stop(self) -> None:
        """Let the thread finish the submitted jobs, close its connection and end."""
        if not self._dropping:
            self._dropping = True
            self._worker.submit(self.drop)
        await self._worker.stop()

    def _commit(self, works: Sequence[Callable[[], Any]]) -> Sequence[Any]:
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
