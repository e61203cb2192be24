"""The blocking facade: the same calls for code that is not async.

A call runs on the cache's home loop while the calling thread waits. Inside another running event loop it works too, but
blocks that loop; on the home loop itself it would deadlock, so it raises.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Sequence
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar, Unpack

import msgspec

from semcache_core.engine.observe import Stats
from semcache_core.library.arguments import (
    check_call,
    check_context,
    check_invalidation,
    check_question,
    check_rejection,
    check_storing,
)
from semcache_core.library.calls import uncached_blocking
from semcache_core.library.fetch import CallOptions, Fetch, FetchOptions, abandon
from semcache_core.library.lookup import NOT_OPEN, Lookup
from semcache_core.runtime.lifecycle import Lifecycle
from semcache_core.settings import Duration

T = TypeVar("T")


class AsyncCalls(Protocol):
    """The calls of the cache that the facade uses."""

    lifecycle: Lifecycle

    def lookup(
        self, prompt: str, *, context: object, namespace: str | None, threshold: float | None
    ) -> Coroutine[Any, Any, Lookup]: ...

    def store(
        self,
        prompt: str,
        value: object,
        *,
        context: object,
        namespace: str | None,
        ttl: str | Duration | msgspec.UnsetType,
        tags: Sequence[str],
    ) -> Coroutine[Any, Any, bool]: ...

    def invalidate(
        self, *, tag: str | None, entry_id: str | None, namespace: str | None, before: float | None
    ) -> Coroutine[Any, Any, None]: ...

    def reject(self, lookup: Lookup) -> Coroutine[Any, Any, None]: ...

    def stats(self) -> Stats: ...

    def _begin(self, prompt: str, **options: Unpack[FetchOptions]) -> Coroutine[Any, Any, Fetch | None]: ...


class BlockingCache:
    """``cache.sync``: every call of ``SemanticCache``, blocking. Thread-safe.

    Opens at first use and closes with the cache, or earlier by ``with cache.sync:`` or ``close()``.
    """

    def __init__(self, cache: AsyncCalls) -> None:
        self._cache = cache
        self._lifecycle = cache.lifecycle

    def __enter__(self) -> Self:
        self._lifecycle.reach_blocking()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def lookup(
        self, prompt: str, *, context: object = None, namespace: str | None = None, threshold: float | None = None
    ) -> Lookup:
        """See ``SemanticCache.lookup``."""
        check_question(prompt, context=context, namespace=namespace, threshold=threshold)
        lookup = self._cache.lookup(prompt, context=context, namespace=namespace, threshold=threshold)
        return self._lifecycle.run_blocking(lookup, otherwise=NOT_OPEN, asks=True)

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
        check_question(prompt, context=context, namespace=namespace, threshold=None)
        check_storing(ttl=ttl, tags=tags)
        store = self._cache.store(prompt, value, context=context, namespace=namespace, ttl=ttl, tags=tags)
        return self._lifecycle.run_blocking(store, otherwise=False)

    def get_or_call(self, prompt: str, call: Callable[[], T], **options: Unpack[CallOptions]) -> T:
        """See ``SemanticCache.get_or_call``; ``call`` is a plain function and runs in the thread that calls this."""
        if inspect.iscoroutinefunction(call):
            raise TypeError("cache.sync.get_or_call takes a plain function; await cache.get_or_call for an async one")
        check_call(prompt, call, options)
        check_context(options.get("context"))
        answer: T = self._fetched(prompt, call, **options)
        return answer

    def _fetched(self, prompt: str, call: Callable[[], Any], **options: Unpack[FetchOptions]) -> Any:
        begin = self._cache._begin(prompt, **options)
        fetch = self._lifecycle.run_blocking(begin, otherwise=None, asks=True, abandon=abandon)
        return uncached_blocking(call) if fetch is None else fetch.run_blocking(call)

    def invalidate(
        self,
        *,
        tag: str | None = None,
        entry_id: str | None = None,
        namespace: str | None = None,
        before: float | None = None,
    ) -> None:
        """See ``SemanticCache.invalidate``."""
        check_invalidation(tag=tag, entry_id=entry_id, namespace=namespace, before=before)
        self._lifecycle.run_blocking(
            self._cache.invalidate(tag=tag, entry_id=entry_id, namespace=namespace, before=before)
        )

    def reject(self, lookup: Lookup) -> None:
        """See ``SemanticCache.reject``."""
        check_rejection(lookup)
        self._lifecycle.run_blocking(self._cache.reject(lookup))

    def stats(self) -> Stats:
        """See ``SemanticCache.stats``."""
        return self._cache.stats()

    def close(self) -> None:
        """Write the queued answers and close the cache. May be called twice; a later call opens it again."""
        self._lifecycle.close_blocking()
