"""``SemanticCache``: the entry point of the Python API."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from os import PathLike
from types import CodeType, TracebackType
from typing import Any, Self, TypeVar, Unpack, overload

import msgspec

from semcache_core.config import Config, load
from semcache_core.engine.decide import Directives, Found
from semcache_core.engine.engine import Engine
from semcache_core.engine.observe import Stats
from semcache_core.engine.payloads import NotStorable, unpack
from semcache_core.errors import NotOpenError
from semcache_core.keys.digests import namespace_tag, tag_digest
from semcache_core.keys.python import FunctionIdentity
from semcache_core.library.arguments import (
    check_call,
    check_components,
    check_context,
    check_invalidation,
    check_question,
    check_rejection,
    check_storing,
    entry_id_bytes,
)
from semcache_core.library.blocking import BlockingCache
from semcache_core.library.calls import uncached
from semcache_core.library.fetch import CallOptions, Fetch, FetchOptions, abandon
from semcache_core.library.lookup import NOT_OPEN, Lookup
from semcache_core.library.records import record_of, with_ttl
from semcache_core.protocols import Embedder, ResponseStore, VectorStore, Verifier
from semcache_core.runtime.assembly import assemble
from semcache_core.runtime.lifecycle import Lifecycle, not_open
from semcache_core.runtime.opening import Runtime, open_cache
from semcache_core.runtime.registry import Registry
from semcache_core.settings import Duration, Policy
from semcache_core.types import Bypass

T = TypeVar("T")

_PLAIN = Directives()
_REFRESH = Directives(lookup=False)


class SemanticCache:
    """A semantic cache: reuses an earlier answer to the same question in other words.

    It opens at first use and closes when it is no longer referenced, or with the interpreter; ``async with`` opens and
    closes it on the running event loop, where its calls are fastest. Every call works from any event loop,
    ``cache.sync`` from any thread. While a component is down at opening, every lookup is a miss with the reason
    ``not-open``.

    Python callers count as one caller: what distinguishes two users or two settings belongs in ``context``, and
    answers are shared only between equal contexts.
    """

    def __init__(
        self,
        config: str | PathLike[str] | Mapping[str, Any] | Config | None = None,
        *,
        embedder: Embedder | None = None,
        vector_store: VectorStore | None = None,
        response_store: ResponseStore | None = None,
        verifiers: Sequence[Verifier] | None = None,
        registry: Registry | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Create a cache from the path of a TOML file, a mapping of that form, or a ``Config``.

        By default the configuration is ``semcache.toml`` and the environment. Raises ConfigError.

        Components passed here replace the configured ones; the cache opens and closes them.
        """
        self._config = _configured(config)
        check_components(embedder, vector_store, response_store, verifiers, registry=registry, clock=clock)
        given = {
            "embedder": embedder,
            "vector_store": vector_store,
            "response_store": response_store,
            "verifiers": verifiers,
        }
        instances = {name: component for name, component in given.items() if component is not None}
        self._registry = registry
        # Without a reference to this object: a cache that is dropped is closed, whatever is under way.
        self.lifecycle = Lifecycle(partial(_open, self._config, registry=registry, clock=clock, instances=instances))
        """For drivers: whether the cache is open, its home loop, and access from other event loops and threads."""
        self._decorated: dict[FunctionIdentity, CodeType] = {}

    @classmethod
    def from_toml(cls, path: str | PathLike[str]) -> Self:
        """Return a cache configured by a TOML file, overridden by the environment. Raises ConfigError."""
        return cls(load(path))

    @classmethod
    def from_config(cls, mapping: Mapping[str, Any]) -> Self:
        """Return a cache configured by a mapping of the file's form, without the environment. Raises ConfigError."""
        return cls(load(mapping))

    @property
    def config(self) -> Config:
        """The configuration, as it was read: frozen."""
        return self._config

    @property
    def sync(self) -> BlockingCache:
        """The same calls, blocking: for code without an event loop, from any thread."""
        return BlockingCache(self)

    # -- life cycle -----------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Open every component on the running loop.

        Raises ConfigError, PluginError, and NotOpenError if the cache has been entered already.
        """
        if not await self.lifecycle.open():
            raise NotOpenError("this cache is open already; share it instead of opening it again")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write the queued answers and close every component. May be called twice."""
        await self.lifecycle.close()

    def check(self) -> None:
        """Make every component without opening any, so that a mistake shows before first use.

        Raises ConfigError, PluginError.
        """
        assemble(self._config, self._registry or Registry.installed())

    def _namespace(self, given: str | None) -> str:
        return self._config.cache.namespace if given is None else given

    # -- lookup and storage ---------------------------------------------------------------------------------------

    async def lookup(
        self, prompt: str, *, context: object = None, namespace: str | None = None, threshold: float | None = None
    ) -> Lookup:
        """Look ``prompt`` up among the answers stored with an equal ``context`` in the same namespace.

        ``context`` is any JSON. ``threshold`` can only raise the configured one. Under ``mode = "observe"`` a hit
        becomes a miss with the reason ``observe`` and the similarity. A failing component is a miss with a reason,
        never an exception. Raises TypeError for a context that is not JSON.
        """
        check_question(prompt, context=None, namespace=namespace, threshold=threshold)
        runtime = self.lifecycle.here()
        if runtime is None:
            # On the home loop the key is made of it, which checks it as well.
            check_context(context)
            again = self.lookup(prompt, context=context, namespace=namespace, threshold=threshold)
            return await self.lifecycle.run(again, otherwise=NOT_OPEN, asks=True)
        engine = runtime.engine
        started = engine.clock()
        query = runtime.keys.of(prompt, context, namespace=namespace)
        if isinstance(query, Bypass):
            found = self._bypassed(engine, query, runtime.policy, started=started, namespace=namespace)
            return Lookup(None, found, None)
        directives = _PLAIN if threshold is None else _raising(threshold)
        found = engine.find_nowait(query, policy=runtime.policy, directives=directives, now=started)
        if found.record is None:
            found = await engine.find(query, policy=runtime.policy, directives=directives, known=found)
        record = found.record
        observed = record is not None and runtime.policy.mode == "observe"
        engine.observatory.conclude(found, query, policy=runtime.policy, started=started, observed=observed)
        if observed:
            found = msgspec.structs.replace(found, outcome="miss", reason="observe", source=None, record=None)
            return Lookup(None, found, query)
        return Lookup(None if record is None else unpack(record.kind, record.payload), found, query)

    async def store(
        self,
        prompt: str,
        value: object,
        *,
        context: object = None,
        namespace: str | None = None,
        ttl: str | Duration | msgspec.UnsetType = msgspec.UNSET,
        tags: Sequence[str] = (),
    ) -> bool:
        """Store ``value`` as the answer to ``prompt``; return True once it is written, visible to every process.

        ``value`` is str, bytes, or JSON that decodes to an equal value; others are not stored. ``ttl`` is seconds,
        ``"7d"``, ``"never"``, or 0, which stores nothing.
        """
        check_question(prompt, context=None, namespace=namespace, threshold=None)
        check_storing(ttl=ttl, tags=tags)
        runtime = self.lifecycle.here()
        if runtime is None:
            check_context(context)
            again = self.store(prompt, value, context=context, namespace=namespace, ttl=ttl, tags=tags)
            return await self.lifecycle.run(again, otherwise=False)
        query = runtime.keys.of(prompt, context, namespace=namespace)
        if isinstance(query, Bypass):
            return False
        policy = with_ttl(runtime.policy, ttl)
        engine = runtime.engine
        try:
            record = record_of(query, value, policy, born_at=engine.clock())
        except NotStorable as error:
            engine.observatory.count_unstored(error.reason)
            return False
        return await engine.keep_now(query, record, policy=policy, tags=tags)

    # Two overloads: an async function also matches ``Callable[[], T]``, with T its coroutine.
    @overload
    async def get_or_call(self, prompt: str, call: Callable[[], Awaitable[T]], **options: Unpack[CallOptions]) -> T: ...
    @overload
    async def get_or_call(self, prompt: str, call: Callable[[], T], **options: Unpack[CallOptions]) -> T: ...
    async def get_or_call(self, prompt: str, call: Callable[[], Any], **options: Unpack[CallOptions]) -> Any:
        """Return the cached answer to ``prompt``, or call ``call()``, store its result and return it.

        ``call`` is async and runs on this event loop, or a plain function, which runs in a thread. Equal questions wait
        for the same call. ``refresh=True`` calls even if there is an answer. The other options are those of ``lookup``
        and ``store``. An exception of ``call`` propagates and is never stored.
        """
        check_call(prompt, call, options)
        if self.lifecycle.here() is None:
            check_context(options.get("context"))
        return await self._fetched(prompt, call, **options)

    async def _fetched(self, prompt: str, call: Callable[[], Any], **options: Unpack[FetchOptions]) -> Any:
        beginning = self._begin(prompt, **options)
        if self.lifecycle.here() is not None:
            fetch = await beginning
        else:
            fetch = await self.lifecycle.run(beginning, otherwise=None, asks=True, abandon=abandon)
        return await (uncached(call) if fetch is None else fetch.run(call))

    async def _begin(
        self,
        prompt: str,
        *,
        refresh: bool = False,
        context: object = None,
        namespace: str | None = None,
        threshold: float | None = None,
        function: FunctionIdentity | None = None,
        on_unstorable: Callable[[object], None] | None = None,
        ttl: str | Duration | msgspec.UnsetType = msgspec.UNSET,
        tags: Sequence[str] = (),
    ) -> Fetch | None:
        """Return a fetch that has the answer to ``prompt``, or whose caller must call upstream (``is_leader``).

        None if the cache was closed meanwhile. Only on the home loop. It is the first half of ``get_or_call``; a leader
        must end with ``complete`` or ``fail``, because equal questions wait for it.
        """
        home = self.lifecycle.home_here()
        if home is None:
            return None
        runtime = home.runtime
        engine = runtime.engine
        started = engine.clock()
        policy = with_ttl(runtime.policy, ttl)
        keys = runtime.keys
        if function is not None:
            keys = runtime.keys_of(function)
            if function.threshold is not None:
                policy = msgspec.structs.replace(policy, threshold=function.threshold)
        query = keys.of(prompt, context, namespace=namespace)
        if isinstance(query, Bypass):
            found = self._bypassed(engine, query, policy, started=started, namespace=namespace)
            return Fetch(home, None, policy, found)
        directives = _REFRESH if refresh else _PLAIN if threshold is None else _raising(threshold)
        found = engine.find_nowait(query, policy=policy, directives=directives, now=started)
        if found.record is None:
            found = await engine.find(query, policy=policy, directives=directives, known=found)
        observed = found.record is not None and policy.mode == "observe"
        engine.observatory.conclude(found, query, policy=policy, started=started, observed=observed)
        fetch = Fetch(home, query, policy, found, tags=tags, on_unstorable=on_unstorable)
        if fetch.is_leader and not refresh and policy.mode not in ("observe", "off") and policy.ttl != 0:
            await fetch.join()
        return fetch

    def _bypassed(
        self, engine: Engine, bypass: Bypass, policy: Policy, *, started: float, namespace: str | None
    ) -> Found:
        """Count a question without a key, and return that as what was found."""
        named = self._namespace(namespace)
        engine.observatory.bypassed(bypass.reason, policy=policy, started=started, namespace=named)
        return Found(outcome="bypass", reason=bypass.reason)

    # -- invalidation ---------------------------------------------------------------------------------------------

    async def invalidate(
        self,
        *,
        tag: str | None = None,
        entry_id: str | None = None,
        namespace: str | None = None,
        before: float | None = None,
    ) -> None:
        """Invalidate the entries with ``tag``, the one with ``entry_id``, or all of a namespace: never served again.

        Tags belong to a namespace, the configured one unless ``namespace`` names another. Raises ValueError if
        nothing is named or ``entry_id`` is none, TypeError for a tag or a time that is none, DependencyError if the
        store cannot be written, or the cache is not open: then entries may still be served.
        """
        check_invalidation(tag=tag, entry_id=entry_id, namespace=namespace, before=before)
        if entry_id is not None:
            id = entry_id_bytes(entry_id)
            await self._change(lambda runtime: runtime.engine.forget(id))
            return
        own = self._namespace(namespace)
        tags = (namespace_tag(own) if tag is None else tag_digest(own, tag),)
        await self._change(lambda runtime: runtime.engine.invalidate(tags, before=before))

    async def reject(self, lookup: Lookup) -> None:
        """Make the entry never answer this text again.

        Raises ValueError for a miss, DependencyError if the store cannot be written or the cache is not open.
        """
        query, id = check_rejection(lookup)
        await self._change(lambda runtime: runtime.engine.reject(query, id))

    async def _change(self, change: Callable[[Runtime], Coroutine[Any, Any, None]]) -> None:
        """Make a change on the home loop. Raises CacheUnavailable, so that the caller knows that nothing changed."""
        await self.lifecycle.run(self._changed(change))

    async def _changed(self, change: Callable[[Runtime], Coroutine[Any, Any, None]]) -> None:
        runtime = self.lifecycle.here()
        if runtime is None:
            raise not_open()
        await change(runtime)

    def stats(self) -> Stats:
        """Return the counters since the cache was opened. May be called from any thread."""
        home = self.lifecycle.home
        counted = Stats.nothing() if home is None else home.runtime.engine.observatory.stats()
        return counted.with_misses("not-open", self.lifecycle.not_open)


async def _open(
    config: Config,
    stack: AsyncExitStack,
    *,
    registry: Registry | None,
    clock: Callable[[], float],
    instances: Mapping[str, Any],
) -> Runtime:
    return await open_cache(stack, config, registry=registry or Registry.installed(), clock=clock, instances=instances)


def _configured(config: str | PathLike[str] | Mapping[str, Any] | Config | None) -> Config:
    if isinstance(config, Config):
        return config
    if config is None or isinstance(config, str | PathLike | Mapping):
        return load(config)
    raise TypeError(
        f"SemanticCache takes the path of a TOML file, a mapping or a Config, not {type(config).__name__}; "
        "components are given by name: SemanticCache(embedder=..., vector_store=..., response_store=...)"
    )


def _raising(threshold: float) -> Directives:
    return Directives(threshold=threshold)
