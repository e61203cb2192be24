"""A store's access to the shared file: a reader on the event loop, a worker thread, a watch on other processes."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from semcache_core.builtin.sqlite.file import identity, is_damage, mark_damaged, open_file, open_reader, unavailable
from semcache_core.builtin.sqlite.looking import connect_to_look, open_to_look, unreadable
from semcache_core.builtin.sqlite.options import FileOptions
from semcache_core.builtin.sqlite.room import make_room
from semcache_core.builtin.sqlite.worker import ConnectionWorker
from semcache_core.errors import NotOpenError, StoreUnavailable

T = TypeVar("T")

TICK = 0.25
"""Seconds between two checks for other processes' changes."""


class SharedFile:
    """Opens, watches and closes the file for one store. Failures are StoreUnavailable; when closed, NotOpenError."""

    def __init__(self, options: FileOptions, *, owner: str, looks: bool) -> None:
        self._options = options
        self._owner = owner
        self.looks = looks
        """Whether it only reads: nothing is created, renamed or written, and other processes are not followed."""
        self._path = Path(options.path)
        self._process = 0
        self._worker: ConnectionWorker | None = None
        self._reader: sqlite3.Connection | None = None
        self._watching: asyncio.Task[None] | None = None
        self._identity: tuple[int, int] | None = None
        self._damaged = False
        self._unusable: StoreUnavailable | None = None
        self._notices: list[str] = []
        self._told_last = ""
        self._refusing = ""
        """Why writes currently fail: reported once."""
        self._made_room = False
        self.secret = b""
        self.after_writes: Callable[[sqlite3.Connection], None] = _nothing
        """Called in the thread after the file is opened and after each commit."""

    async def open(
        self, *, each_tick: Callable[[], Awaitable[None]], replaced: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """Open the file. ``each_tick`` runs four times a second, ``replaced`` once another file is at the path."""
        self._path = Path(os.path.abspath(os.path.expanduser(self._options.path)))  # noqa: ASYNC240  no I/O in it
        self._process = os.getpid()
        self._identity, self._unusable, self.secret = None, None, b""
        worker = ConnectionWorker(f"semcache-{self._owner}", after_writes=self._after_writes)
        self._worker = worker
        try:
            await self._connect()
        except BaseException:
            self._worker = None
            await worker.stop()
            raise
        if self.looks:
            return
        self._watching = asyncio.create_task(self._watch(each_tick, replaced), name=f"semcache-{self._owner}-watch")

    async def close(self) -> None:
        """Finish the queued writes, stop the watch and the thread. May be called twice."""
        watching, worker, reader = self._watching, self._worker, self._reader
        self._watching = self._worker = self._reader = None
        # On a loop that has ended, it ended as well.
        if watching is not None and watching.get_loop() is asyncio.get_running_loop():
            watching.cancel()
            await asyncio.wait((watching,))
        if reader is not None:
            reader.close()
        if worker is not None:
            await worker.stop()

    def exists(self) -> bool:
        """Say whether there is anything in the file: opening creates it and its folder. A dangling link counts as
        existing. Raises StoreUnavailable if its folder cannot be read.
        """
        path = Path(os.path.expanduser(self._path))
        try:
            status = path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise unavailable(path, error, wants="readable") from error
        return status.st_size > 0 or not stat.S_ISREG(status.st_mode)

    @property
    def is_open(self) -> bool:
        """Whether the file is open in this process: an open store does not survive a fork."""
        return self._worker is not None and self._process == os.getpid()

    def check_open(self) -> None:
        """Raise NotOpenError unless the file is open."""
        if not self.is_open:
            raise self._closed()

    def take_notices(self) -> Sequence[str]:
        """Return the notices for the operator, each once."""
        told, self._notices = self._notices, []
        return told

    def take_made_room(self) -> bool:
        """Say whether the thread has evicted anything since the last call."""
        made, self._made_room = self._made_room, False
        return made

    def read(self, statement: str, parameters: Sequence[object]) -> Any:
        """Return one row or None without waiting, on the loop. Raises NotOpenError, StoreUnavailable (also if busy)."""
        reader = self._reader
        if self._process != os.getpid() or reader is None:
            raise self._closed()
        try:
            return reader.execute(statement, parameters).fetchone()
        except sqlite3.Error as error:
            raise self._failed(error) from error

    async def run(
        self,
        work: Callable[[sqlite3.Connection], T],
        *,
        writes: bool = False,
        then: Callable[[T], None] | None = None,
    ) -> T:
        """Run ``work`` in the thread, ``then`` on the loop; ``writes``: in a transaction, committed on return."""
        try:
            done = await self._submit(work, writes=writes, then=then)
        except (sqlite3.Error, OverflowError) as error:
            failure = self._failed(error)
            if writes and isinstance(error, sqlite3.OperationalError):
                self._refuses(str(failure))
            raise failure from error
        if writes:
            self._refusing = self._told_last = ""
        return done

    def run_later(self, work: Callable[[sqlite3.Connection], None]) -> None:
        """Write ``work`` in the background; a failure is not reported, because a later write repeats it."""
        self._submit(work, writes=True, then=None)

    def _submit(
        self, work: Callable[[sqlite3.Connection], T], *, writes: bool, then: Callable[[T], None] | None
    ) -> asyncio.Future[T]:
        worker = self._worker
        if worker is None or self._reader is None or not self.is_open:
            raise self._closed()
        return worker.submit(lambda: work(worker.connection), writes=writes, then=then)

    async def _connect(self) -> None:
        """Open the file now at the path, in the thread; then the reader."""
        worker = self._worker
        if worker is None:
            raise self._closed()
        if self._reader is not None:
            self._reader.close()
            self._reader = None
            self._unusable = StoreUnavailable(f"{self._path}: is being opened again")

        def connect() -> None:
            worker.drop()
            opened = (
                open_to_look(self._path)
                if self.looks
                else open_file(self._path, secret=self.secret or None, again=self._identity is not None)
            )
            worker.use(opened.connection)
            self.after_writes(opened.connection)
            self._identity, self._damaged = opened.identity, False
            self.secret = self.secret or opened.secret
            self._notices.extend(opened.notices)

        try:
            await worker.submit(connect)
            self._reader = connect_to_look(self._path) if self.looks else open_reader(self._path)
        except sqlite3.Error as error:
            self._unusable = self._failed(error)
            raise self._unusable from error
        except StoreUnavailable as error:
            self._unusable = error
            raise

    async def _watch(
        self, each_tick: Callable[[], Awaitable[None]], replaced: Callable[[], Awaitable[None]] | None
    ) -> None:
        new = False
        while True:
            await asyncio.sleep(TICK)
            try:
                if self._damaged or self._reader is None or identity(self._path) != self._identity:
                    await self._connect_again()
                    new = True
                if new and replaced is not None:
                    await replaced()
                new = False
                await each_tick()
            except StoreUnavailable:
                # Retried at the next tick. A request that needs the file gets its own error.
                continue

    async def _connect_again(self) -> None:
        """Open what is at the path now, and tell the operator: a process that keeps the old inode no longer shares."""
        if not self._damaged and identity(self._path) != self._identity:
            # One wording: the store that looks first makes the new file that the other one finds.
            self._tell(
                f"{self._path} was removed or replaced while this process used it: what it held is no longer answered, "
                "and the file that is there now is used; stop the process before its file is moved"
            )
        try:
            await self._connect()
        except StoreUnavailable as error:
            self._refuses(str(error))
            raise

    def _after_writes(self) -> None:
        worker = self._worker
        if worker is None:
            return
        self.after_writes(worker.connection)
        if make_room(worker.connection, max_bytes=self._options.max_bytes):
            self._made_room = True

    def _refuses(self, why: str) -> None:
        """Note for the operator why writes fail, for example a full disk: the cache reports only the error's type."""
        if why != self._refusing:
            self._tell(why)
        self._refusing = why

    def _tell(self, message: str) -> None:
        if message != self._told_last:
            self._notices.append(message)
        self._told_last = message

    def _failed(self, error: Exception) -> StoreUnavailable:
        # Not if there is another file at the path now: that is the cause, and the new file is valid.
        if self.looks:
            return unreadable(self._path, error)
        if is_damage(error) and identity(self._path) == self._identity:
            mark_damaged(self._path)
            self._damaged = True
        return unavailable(self._path, error)

    def _closed(self) -> NotOpenError | StoreUnavailable:
        """Return why there is no connection: the store is not open, or the file could not be reopened."""
        if self.is_open and self._unusable is not None:
            return StoreUnavailable(str(self._unusable))
        where = "" if self._process in (0, os.getpid()) else " in this process: open it after the fork, not before"
        return NotOpenError(f"{self._owner} 'sqlite' is not open{where}; use it inside `async with`")


class OnSharedFile:
    """The common base of both stores."""

    def __init__(self, options: FileOptions, *, owner: str, looks: bool) -> None:
        self._file = SharedFile(options, owner=owner, looks=looks)

    def exists(self) -> bool:
        """Say whether the file exists."""
        return self._file.exists()

    def notices(self) -> Sequence[str]:
        """Return the notices about the file, each once."""
        return self._file.take_notices()


def executed(statement: str, rows: Sequence[tuple[object, ...]]) -> Callable[[sqlite3.Connection], None]:
    """Return work that runs ``statement`` once with each row."""

    def work(connection: sqlite3.Connection) -> None:
        connection.executemany(statement, rows)

    return work


def _nothing(connection: sqlite3.Connection) -> None:
    """The default of ``after_writes``."""
