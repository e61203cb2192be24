"""``SemanticCache``: what a Python program uses."""

from __future__ import annotations

import asyncio
import math
import time
from asyncio import get_running_loop
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from os import PathLike
from types import TracebackType
from typing import Any, Self, TypedDict, TypeVar, Unpack, overload

import msgspec

from semcache_core.config import Config, load
from semcache_core.engine.decide import Directives, Found, check_threshold
from semcache_core.engine.freshness import check_tags
from semcache_core.engine.observe import Stats
from semcache_core.engine.payloads import NotStorable, unpack
from semcache_core.errors import NotOpenError, WrongLoopError
from semcache_core.keys.digests import namespace_tag, tag_digest
from semcache_core.keys.python import FunctionIdentity
from semcache_core.library.blocking import BlockingCache
from semcache_core.library.fetch import Fetch, record_of, with_ttl
from semcache_core.library.lookup import Lookup
from semcache_core.protocols import Embedder, Refused, ResponseStore, VectorStore, Verifier
from semcache_core.runtime.opening import Runtime, open_cache
from semcache_core.runtime.registry import Registry
from semcache_core.settings import Duration
from semcache_core.types import Bypass

T = TypeVar("T")

_PLAIN = Directives()
_REFRESH = Directives(lookup=False)


class CallOptions(TypedDict, total=False):
    """What ``get_or_call`` takes besides the question and the call."""

    refresh: bool
    context: object
    namespace: str | None
    threshold: float | None
    ttl: str | Duration | msgspec.UnsetType
    tags: Sequence[str]


class SemanticCache:
    """A semantic cache: answers a question from an earlier answer to the same question in other words.

    Use it inside ``async with``; it then belongs to that event loop. ``cache.sync`` is the blocking form, which opens
    by itself. Python callers count as one caller: whatever tells two users or two settings apart goes into
    ``context``, and answers are shared only between equal contexts.
    """

    def __init__(
        self,
        config: Config | None = None,
        *,
        embedder: Embedder | None = None,
        vector_store: VectorStore | None = None,
        response_store: ResponseStore | None = None,
        verifiers: Sequence[Verifier] | None = None,
        registry: Registry | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take a configuration, by default that of ``semcache.toml`` and the environment. Raises ConfigError.

        Components given here replace those the configuration names; the cache opens and closes them.
        """
        self._config = config if config is not None else load()
        given = {
            "embedder": embedder,
            "vector_store": vector_store,
            "response_store": response_store,
            "verifiers": verifiers,
        }
        self._instances = {name: component for name, component in given.items() if component is not None}
        self._registry = registry
        self._clock = clock
        self._opened: Runtime | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._attaching: asyncio.Task[Runtime] | None = None
        self._stack = AsyncExitStack()
        self.sync = BlockingCache(self)

    @classmethod
    def from_toml(cls, path: str | PathLike[str]) -> Self:
        """Return a cache configured by a TOML file, the environment over it. Raises ConfigError."""
        return cls(load(path))

    @classmethod
    def from_config(cls, mapping: Mapping[str, Any]) -> Self:
        """Return a cache configured by a mapping of the TOML file's form; the environment is ignored. Raises
        ConfigError.
        """
        return cls(load(mapping))

    # -- life cycle -----------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Open every component. Raises ConfigError, PluginError, DependencyError."""
        if self._opened is not None:
            raise NotOpenError("this cache is open already; share it instead of opening it again")
        await self._open_here(background=True)
        return self

    async def _open_here(self, *, background: bool) -> Runtime:
        async with AsyncExitStack() as stack:
            self._opened = opened = await open_cache(
                stack,
                self._config,
                registry=self._registry or Registry.installed(),
                clock=self._clock,
                instances=self._instances,
                background=background,
            )
            self._stack = stack.pop_all()
        self._loop = asyncio.get_running_loop()
        return opened

    async def attach(self, *, background: bool = False) -> Runtime | None:
        """Return the HTTP side for the running loop, opening the cache if nobody has: no start-up opened it.

        Unless ``background``, nothing then outlives a request, so a loop that comes after a finished one takes the
        cache over; with it, whoever calls closes the cache. None: it belongs to another loop that still runs. Raises
        ConfigError, PluginError, DependencyError.
        """
        loop = asyncio.get_running_loop()
        opened = self._opened
        if opened is None:
            if self._attaching is None or self._attaching.get_loop() is not loop:
                self._attaching = loop.create_task(self._open_here(background=background))
                self._attaching.add_done_callback(self._attached)
            return await asyncio.shield(self._attaching)
        if self._loop is not loop:
            if opened.engine.background or (self._loop is not None and self._loop.is_running()):
                return None
            self._loop = loop
        return opened

    def _attached(self, _: object) -> None:
        self._attaching = None

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what waits and close every component. Harmless twice."""
        attaching = self._attaching
        if attaching is not None and attaching.get_loop() is asyncio.get_running_loop():
            # Else it would open, for nobody, what nobody closes.
            attaching.cancel()
            await asyncio.wait((attaching,))
        self._opened = self._loop = None
        await self._stack.aclose()

    @property
    def runtime(self) -> Runtime:
        """What the HTTP drivers use. Raises NotOpenError, WrongLoopError."""
        opened = self._opened
        # Asked for every request, so ``_open`` is called only to say what is wrong.
        return opened if opened is not None and get_running_loop() is self._loop else self._open()

    @property
    def is_open(self) -> bool:
        """Whether the cache is open."""
        return self._opened is not None

    def _open(self) -> Runtime:
        opened = self._opened
        if opened is not None and get_running_loop() is self._loop:
            return opened
        if opened is None:
            raise NotOpenError("the cache is not open: use it inside 'async with cache:', or call cache.sync")
        raise WrongLoopError(
            "this cache was opened by another event loop: open one cache a loop, or use cache.sync from other "
            "threads and never open it with 'async with'"
        )

    def _namespace(self, given: str | None) -> str:
        return self._config.cache.namespace if given is None else given

    # -- asking ---------------------------------------------------------------------------------------------------

    async def lookup(
        self, prompt: str, *, context: object = None, namespace: str | None = None, threshold: float | None = None
    ) -> Lookup:
        """Return what answers ``prompt`` among the answers stored with an equal ``context`` in the same namespace.

        ``context`` is any JSON. ``threshold`` can only raise the configured one. Under ``mode = "observe"`` nothing is
        answered: what would have been is a miss with the reason ``observe``, and its similarity. Never raises for
        anything that fails behind the cache: that is a miss with a reason. Raises NotOpenError, WrongLoopError, and
        TypeError for a context that is no JSON.
        """
        opened = self._opened
        # As in ``runtime``: this is the hottest call of the library.
        if opened is None or get_running_loop() is not self._loop:
            opened = self._open()
        engine = opened.engine
        started = engine.clock()
        query = opened.keys.of(prompt, context, namespace=namespace)
        if isinstance(query, Bypass):
            engine.observatory.bypassed(
                query.reason, policy=opened.policy, started=started, namespace=self._namespace(namespace)
            )
            return Lookup(None, Found(outcome="bypass", reason=query.reason), None)
        directives = _PLAIN if threshold is None else _raising(threshold)
        found = engine.find_nowait(query, policy=opened.policy, directives=directives, now=started)
        if found.record is None:
            found = await engine.find(query, policy=opened.policy, directives=directives, known=found)
        record = found.record
        observed = record is not None and opened.policy.mode == "observe"
        engine.observatory.conclude(found, query, policy=opened.policy, started=started, observed=observed)
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
        """Store ``value`` as the answer to ``prompt`` and return whether it is written; then every process can see it.

        ``value`` is str, bytes, or JSON that comes back equal; anything else is not stored. ``ttl`` is seconds,
        ``"7d"``, ``"never"``, or 0, which stores nothing.
        """
        opened = self._open()
        if tags:
            check_tags(tags)
        query = opened.keys.of(prompt, context, namespace=namespace)
        if isinstance(query, Bypass):
            return False
        policy = with_ttl(opened.policy, ttl)
        engine = opened.engine
        try:
            record = record_of(query, value, policy, born_at=engine.clock())
        except NotStorable as error:
            engine.observatory.count_unstored(error.reason)
            return False
        job = engine.job_of(query, record, policy=policy, tags=tags)
        return not isinstance(job, Refused) and await engine.write(job)

    # Two forms, because a type checker cannot tell whose T is meant: an async function also returns *something*.
    @overload
    async def get_or_call(self, prompt: str, call: Callable[[], Awaitable[T]], **options: Unpack[CallOptions]) -> T: ...
    @overload
    async def get_or_call(self, prompt: str, call: Callable[[], T], **options: Unpack[CallOptions]) -> T: ...
    async def get_or_call(
        self,
        prompt: str,
        call: Callable[[], Awaitable[T]] | Callable[[], T],
        *,
        refresh: bool = False,
        context: object = None,
        namespace: str | None = None,
        threshold: float | None = None,
        ttl: str | Duration | msgspec.UnsetType = msgspec.UNSET,
        tags: Sequence[str] = (),
    ) -> T:
        """Return the cached answer to ``prompt``, or what ``call()`` returns, stored for the next one.

        ``call`` is async, or a plain function, which runs in a thread. Equal questions asked meanwhile wait for the
        same call. ``refresh`` asks anew. The other options are those of ``lookup`` and ``store``. What ``call`` raises
        is raised here and is never stored.
        """
        turn = await self.begin(
            prompt, refresh=refresh, context=context, namespace=namespace, threshold=threshold, ttl=ttl, tags=tags
        )
        answer: T = await turn.run(call)
        return answer

    async def begin(
        self,
        prompt: str,
        *,
        refresh: bool = False,
        context: object = None,
        namespace: str | None = None,
        threshold: float | None = None,
        function: FunctionIdentity | None = None,
        ttl: str | Duration | msgspec.UnsetType = msgspec.UNSET,
        tags: Sequence[str] = (),
    ) -> Fetch:
        """Return the answer to ``prompt``, or the turn of the one who has to fetch it (``leads``).

        The half of ``get_or_call`` before the call, for callers who cannot hand a function over. Whoever leads must end
        with ``answered`` or ``failed``: equal questions wait for it.
        """
        opened = self._open()
        engine = opened.engine
        started = engine.clock()
        if tags:
            check_tags(tags)
        policy = with_ttl(opened.policy, ttl)
        keys = opened.keys
        if function is not None:
            keys = opened.keys_of(function)
            if function.threshold is not None:
                policy = msgspec.structs.replace(policy, threshold=function.threshold)
        query = keys.of(prompt, context, namespace=namespace)
        if isinstance(query, Bypass):
            engine.observatory.bypassed(
                query.reason, policy=policy, started=started, namespace=self._namespace(namespace)
            )
            return Fetch(engine, None, policy, (), Found(outcome="bypass", reason=query.reason))
        directives = _REFRESH if refresh else _PLAIN if threshold is None else _raising(threshold)
        found = engine.find_nowait(query, policy=policy, directives=directives, now=started)
        if found.record is None:
            found = await engine.find(query, policy=policy, directives=directives, known=found)
        observed = policy.mode == "observe"
        engine.observatory.conclude(
            found, query, policy=policy, started=started, observed=observed and found.record is not None
        )
        turn = Fetch(engine, query, policy, tags, found)
        if turn.is_leader and not observed and not refresh and policy.mode != "off" and policy.ttl != 0:
            await turn.join()
        return turn

    # -- forgetting -----------------------------------------------------------------------------------------------

    async def invalidate(
        self,
        *,
        tag: str | None = None,
        entry_id: str | None = None,
        namespace: str | None = None,
        before: float | None = None,
    ) -> None:
        """Make entries dead: those with ``tag``, the one with ``entry_id``, or all of a namespace; ``before``: only
        those born at or before that time (seconds since the epoch). They are never served again, not even stale.

        Tags belong to a namespace, the configured one unless ``namespace`` names another. Raises ValueError if
        nothing is named or ``entry_id`` is none, TypeError for a tag or a time that is none, DependencyError if the
        store cannot be written: then nothing is known to be gone.
        """
        opened = self._open()
        check_tags(() if tag is None else (tag,))
        if entry_id is not None:
            if (tag, namespace, before) != (None, None, None):
                raise ValueError("invalidate(entry_id=) names one entry; it goes with nothing else")
            await opened.engine.forget(_entry_id(entry_id))
            return
        own = self._namespace(namespace)
        if tag is None and namespace is None and before is None:
            raise ValueError("invalidate() needs tag=, entry_id=, namespace= or before=")
        if before is not None and not (isinstance(before, int | float) and math.isfinite(before)):
            # A stamp that cannot be compared would make a miss of every lookup in the namespace.
            raise TypeError(f"before is a time in seconds since the epoch, not {before!r}")
        await opened.engine.invalidate((namespace_tag(own) if tag is None else tag_digest(own, tag),), before=before)

    async def reject(self, lookup: Lookup) -> None:
        """Never again answer this text with this entry. Raises ValueError for a miss, DependencyError."""
        if not lookup.hit or lookup.query is None or lookup.entry_id is None:
            raise ValueError("reject() takes a Lookup that was a hit")
        await self._open().engine.reject(lookup.query, bytes.fromhex(lookup.entry_id))

    def stats(self) -> Stats:
        """Return what happened since the cache was opened. Callable from any thread."""
        if self._opened is None:
            raise NotOpenError("the cache is not open, so it has no statistics")
        return self._opened.engine.observatory.stats()


def _entry_id(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise ValueError(f"entry_id is what Lookup.entry_id says, hexadecimal digits, not {text!r}") from None


def _raising(threshold: float) -> Directives:
    check_threshold(threshold)
    return Directives(threshold=threshold)
