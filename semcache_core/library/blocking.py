"""The blocking facade: the same calls for code that is not async.

One thread runs one event loop, and the cache is opened on it at first use. Blocking calls work anywhere, inside a
running loop too (they block it). The thread is a daemon and the cache is closed at exit, so the interpreter ends
cleanly.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Callable, Coroutine, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec

from semcache_core.engine.observe import Stats
from semcache_core.errors import WrongLoopError
from semcache_core.library.lookup import Lookup
from semcache_core.settings import Duration

T = TypeVar("T")


class BlockingCache:
    """``cache.sync``: every call of ``SemanticCache``, blocking. Thread-safe.

    Opens by itself at first use; ``with cache.sync:`` or ``close()`` closes it earlier than the interpreter's end.
    """

    def __init__(self, cache: Any) -> None:
        self._cache = cache
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._pid = 0

    def __enter__(self) -> Self:
        self._running_loop()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def lookup(
        self, prompt: str, *, context: object = None, namespace: str | None = None, threshold: float | None = None
    ) -> Lookup:
        """See ``SemanticCache.lookup``."""
        found: Lookup = self._run(self._cache.lookup(prompt, context=context, namespace=namespace, threshold=threshold))
        return found

    def store(
        self,
        prompt: str,
        value: object,
        *,
        context: object = None,
        namespace: str | None = None,
        ttl: str | Duration | msgspec.UnsetType = msgspec.UNSET,
        tags: Sequence[str] = (),
    ) -> bool:
        """See ``SemanticCache.store``."""
        written: bool = self._run(
            self._cache.store(prompt, value, context=context, namespace=namespace, ttl=ttl, tags=tags)
        )
        return written

    def get_or_call(self, prompt: str, call: Callable[[], T], *, refresh: bool = False, **options: Any) -> T:
        """See ``SemanticCache.get_or_call``; ``call`` is a plain function and runs in the thread that calls this."""
        turn = self._run(self._cache.begin(prompt, refresh=refresh, **options))
        if not turn.is_leader:
            return self._run(turn.run(call))  # type: ignore[no-any-return]
        try:
            answer = call()
        except BaseException as error:  # noqa: BLE001  raised again in the caller's thread, unless it is a signal
            return self._run(turn.failed(error))  # type: ignore[no-any-return]
        return self._run(turn.answered(answer))  # type: ignore[no-any-return]

    def invalidate(
        self,
        *,
        tag: str | None = None,
        entry_id: str | None = None,
        namespace: str | None = None,
        before: float | None = None,
    ) -> None:
        """See ``SemanticCache.invalidate``."""
        self._run(self._cache.invalidate(tag=tag, entry_id=entry_id, namespace=namespace, before=before))

    def reject(self, lookup: Lookup) -> None:
        """See ``SemanticCache.reject``."""
        self._run(self._cache.reject(lookup))

    def stats(self) -> Stats:
        """See ``SemanticCache.stats``."""
        self._running_loop()
        counted: Stats = self._cache.stats()
        return counted

    def close(self) -> None:
        """Write what waits, close the cache and end the thread. Harmless twice; a later call opens it again."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
            if loop is None or thread is None or self._pid != os.getpid():
                return
            atexit.unregister(self.close)
            asyncio.run_coroutine_threadsafe(self._cache.__aexit__(None, None, None), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            loop = self._running_loop()
        except BaseException:
            work.close()
            raise
        running = asyncio.run_coroutine_threadsafe(work, loop)
        try:
            return running.result()
        except BaseException:
            # Ctrl-C while this waits: left alone, it would come to lead a call that nobody makes.
            running.cancel()
            raise

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            # A forked child has the parent's loop object but not its thread.
            if self._loop is not None and self._pid == os.getpid():
                return self._loop
            if self._loop is not None:
                raise WrongLoopError(
                    "this cache was opened before this process was forked: make one in each worker, or use it for the "
                    "first time after the fork"
                )
            if self._cache.is_open:
                raise WrongLoopError(
                    "this cache was opened with 'async with' and belongs to that event loop: await its calls there, or "
                    "use cache.sync alone, which opens the cache on a loop of its own"
                )
            loop = asyncio.new_event_loop()
            thread = threading.Thread(target=_run_loop, args=(loop,), name="semcache-sync", daemon=True)
            thread.start()
            try:
                asyncio.run_coroutine_threadsafe(self._cache.__aenter__(), loop).result()
            except BaseException:
                loop.call_soon_threadsafe(loop.stop)
                thread.join()
                raise
            self._loop, self._thread, self._pid = loop, thread, os.getpid()
            atexit.register(self.close)
            return loop


def _run_loop(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
