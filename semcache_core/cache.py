"""``SemanticCache``: what a Python program uses."""

from __future__ import annotations

import asyncio
import inspect
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from os import PathLike
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast, overload

import msgspec

from .config import Config, load
from .decide import Directives, Found
from .engine import Engine
from .errors import NotOpenError, WrongLoopError
from .flights import Flight, FlightFailed
from .freshness import expiry, parse_duration
from .functions import CachedFunction, DoNotCache
from .keys.digests import namespace_tag, tag_digest
from .observe import Stats
from .opening import Opened, open_cache
from .protocols import Embedder, ResponseStore, VectorStore, Verifier
from .registry import Registry
from .settings import Duration, Policy
from .sync import BlockingCache
from .types import Bypass, Query, Record, Source
from .values import NotStorable, pack, unpack

if TYPE_CHECKING:
    from .http.site import Site

T = TypeVar("T")

_PLAIN = Directives()
_REFRESH = Directives(lookup=False)


class Lookup(msgspec.Struct, frozen=True):
    """What a lookup found. Truthy on a hit; ``value`` is then the answer, a copy of the caller's own."""

    value: Any
    found: Found
    query: Query | None
    """What was asked, for ``reject``; None where the question cannot be put into a key."""

    @property
    def hit(self) -> bool:
        """Whether there is an answer."""
        return self.found.record is not None

    @property
    def similarity(self) -> float | None:
        """Cosine to the text of the entry, 1.0 for an exact hit; on a miss that of the nearest candidate, if there was one."""
        return self.found.similarity

    @property
    def source(self) -> Source | None:
        """``exact`` or ``semantic``; None on a miss."""
        return self.found.source

    @property
    def reason(self) -> str:
        """A reason code that says why it is a hit, or why it is none."""
        return self.found.reason

    @property
    def entry_id(self) -> str | None:
        """Names the entry, for ``invalidate``; None on a miss."""
        if self.found.record is None or self.query is None:
            return None
        return (self.found.entry_id or self.query.entry_id).hex()

    @property
    def age(self) -> float | None:
        """Seconds since the answer was born; None on a miss."""
        return self.found.age if self.hit else None

    def __bool__(self) -> bool:
        return self.found.record is not None

    def __repr__(self) -> str:
        return f"<Lookup {self.reason} hit={self.hit} similarity={self.similarity} entry_id={self.entry_id}>"


class SemanticCache:
    """A semantic cache: answers a question from an earlier answer to the same question in other words.

    Use it inside ``async with``; it then belongs to that event loop. ``cache.sync`` is the blocking form, which opens by
    itself. Python callers count as one caller: whatever tells two users or two settings apart goes into ``context``,
    and answers are shared only between equal contexts.
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
        given = {"embedder": embedder, "vector_store": vector_store, "response_store": response_store, "verifiers": verifiers}
        self._instances = {name: component for name, component in given.items() if component is not None}
        self._registry = registry
        self._clock = clock
        self._opened: Opened | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._attaching: asyncio.Task[Site] | None = None
        self._stack = AsyncExitStack()
        self.sync = BlockingCache(self)

    @classmethod
    def from_toml(cls, path: str | PathLike[str]) -> Self:
        """Return a cache configured by a TOML file, the environment over it. Raises ConfigError."""
        return cls(load(path))

    @classmethod
    def from_config(cls, mapping: Mapping[str, Any]) -> Self:
        """Return a cache configured by a mapping of the TOML file's form; the environment is ignored. Raises ConfigError."""
        return cls(load(mapping))

    # -- life cycle -----------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Open every component. Raises ConfigError, PluginError, DependencyError."""
        if self._opened is not None:
            raise NotOpenError("this cache is open already; share it instead of opening it again")
        await self._open_here(background=True)
        return self

    async def _open_here(self, *, background: bool) -> Site:
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
        return opened.site

    async def attach(self) -> Site | None:
        """Return the HTTP side for the running loop, opening the cache if nobody has: no start-up reached the driver.

        Nothing then outlives a request, so a loop that comes after a finished one takes the cache over. None: it belongs
        to another loop that still runs. Raises ConfigError, PluginError, DependencyError.
        """
        loop = asyncio.get_running_loop()
        opened = self._opened
        if opened is None:
            if self._attaching is None or self._attaching.get_loop() is not loop:
                self._attaching = loop.create_task(self._open_here(background=False))
                self._attaching.add_done_callback(self._attached)
            return await asyncio.shield(self._attaching)
        if self._loop is not loop:
            if opened.engine.background or (self._loop is not None and self._loop.is_running()):
                return None
            self._loop = loop
        return opened.site

    def _attached(self, _: object) -> None:
        self._attaching = None

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what waits and close every component. Harmless twice."""
        self._opened = self._loop = None
        await self._stack.aclose()

    @property
    def http(self) -> Site:
        """What the HTTP drivers use. Raises NotOpenError."""
        return self._open().site

    @property
    def is_open(self) -> bool:
        """Whether the cache is open."""
        return self._opened is not None

    def _open(self) -> Opened:
        opened = self._opened
        if opened is not None and asyncio.get_running_loop() is self._loop:
            return opened
        if opened is None:
            raise NotOpenError("the cache is not open: use it inside 'async with cache:', or call cache.sync")
        raise WrongLoopError(
            "this cache was opened by another event loop: open one cache a loop, or use cache.sync from other threads and "
            "never open it with 'async with'"
        )

    def _namespace(self, given: str | None) -> str:
        return self._config.cache.namespace if given is None else given

    # -- asking ---------------------------------------------------------------------------------------------------

    async def lookup(
        self, prompt: str, *, context: object = None, namespace: str | None = None, threshold: float | None = None
    ) -> Lookup:
        """Return what answers ``prompt`` among the answers stored with an equal ``context`` in the same namespace.

        ``context`` is any JSON. ``threshold`` can only raise the configured one. Never raises for anything that fails
        behind the cache: that is a miss with a reason. Raises NotOpenError, WrongLoopError, and TypeError for a context
        that is no JSON.
        """
        opened = self._open()
        engine = opened.engine
        started = engine.clock()
        query = opened.keys.of(prompt, context, namespace=namespace)
        if type(query) is Bypass:
            engine.bypassed(query.reason, policy=opened.policy, started=started, namespace=self._namespace(namespace))
            return Lookup(None, Found(outcome="bypass", reason=query.reason), None)
        directives = _PLAIN if threshold is None else Directives(threshold=threshold)
        found = await engine.find(query, policy=opened.policy, directives=directives)
        engine.conclude(found, query, policy=opened.policy, started=started)
        record = found.record
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

        ``value`` is str, bytes, or JSON that comes back equal; anything else is not stored. ``ttl`` is seconds, ``"7d"``,
        ``"never"``, or 0, which stores nothing.
        """
        opened = self._open()
        query = opened.keys.of(prompt, context, namespace=namespace)
        if isinstance(query, Bypass):
            return False
        policy = _with_ttl(opened.policy, ttl)
        record = _record(query, value, policy, born_at=opened.engine.clock(), cost=0.0, draw=random.random())
        return record is not None and await opened.engine.keep(query, record, policy=policy, tags=tags, wait=True)

    @overload
    async def get_or_call(self, prompt: str, call: Callable[[], Awaitable[T]], *, refresh: bool = False, **options: Any) -> T: ...

    @overload
    async def get_or_call(self, prompt: str, call: Callable[[], T], *, refresh: bool = False, **options: Any) -> T: ...

    async def get_or_call(self, prompt: str, call: Callable[[], Any], *, refresh: bool = False, **options: Any) -> Any:
        """Return the cached answer to ``prompt``, or what ``call()`` returns, stored for the next one.

        ``call`` is async, or a plain function, which runs in a thread. Equal questions asked meanwhile wait for the same
        call. ``refresh`` asks anew. ``options``: context, namespace, threshold, ttl, tags as in ``store`` and ``lookup``.
        What ``call`` raises is raised here and is never stored.
        """
        turn = await self.begin(prompt, refresh=refresh, **options)
        if turn.is_stale:
            turn.engine.spawn(turn.refresh(call))
            return turn.value
        if not turn.leads:
            return turn.value
        answering = asyncio.ensure_future(turn.answer(call))
        try:
            return await asyncio.shield(answering)
        except asyncio.CancelledError:
            # Others may wait for this call: it then outlives the one who began it.
            if not turn.flight.others:
                answering.cancel()
            else:
                turn.engine.adopt(answering)
            raise

    async def begin(
        self,
        prompt: str,
        *,
        refresh: bool = False,
        context: object = None,
        namespace: str | None = None,
        threshold: float | None = None,
        function: CachedFunction | None = None,
        ttl: str | Duration | msgspec.UnsetType = msgspec.UNSET,
        tags: Sequence[str] = (),
    ) -> Turn:
        """Return the answer to ``prompt``, or the turn of the one who has to fetch it (``leads``).

        The half of ``get_or_call`` before the call, for callers who cannot hand a function over. Whoever leads must end
        with ``answered`` or ``failed``: equal questions wait for it.
        """
        opened = self._open()
        engine = opened.engine
        started = engine.clock()
        policy = _with_ttl(opened.policy, ttl)
        keys = opened.keys
        if function is not None:
            keys = opened.keys_of(function)
            if function.threshold is not None:
                policy = msgspec.structs.replace(policy, threshold=function.threshold)
        query = keys.of(prompt, context, namespace=namespace)
        if isinstance(query, Bypass):
            engine.bypassed(query.reason, policy=policy, started=started, namespace=self._namespace(namespace))
            return Turn(opened, None, policy, (), Found(outcome="bypass", reason=query.reason))
        directives = _REFRESH if refresh else _PLAIN if threshold is None else Directives(threshold=threshold)
        found = await engine.find(query, policy=policy, directives=directives)
        observed = policy.mode == "observe"
        engine.conclude(found, query, policy=policy, started=started, observed=observed and found.record is not None)
        turn = Turn(opened, query, policy, tags, found)
        if found.record is not None and not observed:
            turn.value = unpack(found.record.kind, found.record.payload)
            turn.leads = False
            turn.is_stale = found.outcome == "stale"
        elif policy.mode != "off" and not refresh and policy.ttl != 0:
            await turn.board()
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
        """Make entries dead: those with ``tag``, the one with ``entry_id``, or all of a namespace; ``before``: only those
        born at or before that time (seconds since the epoch). They are never served again, not even stale.

        Tags belong to a namespace, the configured one unless ``namespace`` names another. Raises ValueError if nothing is
        named, DependencyError if the store cannot be written: then nothing is known to be gone.
        """
        opened = self._open()
        if entry_id is not None:
            await opened.engine.forget(bytes.fromhex(entry_id))
            return
        own = self._namespace(namespace)
        if tag is None and namespace is None and before is None:
            raise ValueError("invalidate() needs tag=, entry_id=, namespace= or before=")
        await opened.engine.stamp((namespace_tag(own) if tag is None else tag_digest(own, tag),), at=before)

    async def reject(self, lookup: Lookup) -> None:
        """Never again answer this text with this entry. Raises ValueError for a miss, DependencyError if not written."""
        if not lookup.hit or lookup.query is None or lookup.entry_id is None:
            raise ValueError("reject() takes a Lookup that was a hit")
        await self._open().engine.reject(lookup.query, bytes.fromhex(lookup.entry_id))

    def stats(self) -> Stats:
        """Return what happened since the cache was opened. Callable from any thread."""
        if self._opened is None:
            raise NotOpenError("the cache is not open, so it has no statistics")
        return self._opened.engine.observatory.stats()


class Turn:
    """One question on its way to an answer: it has one (``value``), or it is this caller's turn to fetch it (``leads``)."""

    __slots__ = ("_born_at", "_found", "_opened", "_policy", "_query", "_tags", "flight", "is_stale", "leads", "value")

    def __init__(self, opened: Opened, query: Query | None, policy: Policy, tags: Sequence[str], found: Found) -> None:
        self._opened, self._policy, self._tags, self._found = opened, policy, tags, found
        self._query = query
        """None: the question cannot be put into a key, so its answer is not stored."""
        self._born_at = opened.engine.clock()
        self.flight: Flight[tuple[str, bytes]] = opened.engine.flights.solo()
        self.leads = True
        self.is_stale = False
        self.value: Any = None

    @property
    def engine(self) -> Engine:
        """The engine of the cache that was asked."""
        return self._opened.engine

    async def board(self) -> None:
        """Join the flight that fetches this answer already, or become the one who does."""
        if self._query is None:
            return
        engine = self._opened.engine
        while True:
            flight, leads = engine.flights.board(self._query.flight)
            if leads:
                self.flight = flight
                break
            try:
                async for kind, payload in flight.items(patience=engine.limits.waiter_patience):
                    self.value = unpack(kind, payload)
                    self.leads = False
                    return
            except FlightFailed as failed:
                if not failed.alone:
                    continue
            # It failed twice, brought nothing that may be shared, or took too long: ask upstream alone.
            break
        self._born_at = engine.clock()

    async def refresh(self, call: Callable[[], Any]) -> None:
        """Fetch a new answer in place of a stale one, unless somebody does already."""
        assert self._query is not None
        self.flight, leads = self._opened.engine.flights.board(self._query.flight)
        if leads:
            await self.answer(call)

    async def answer(self, call: Callable[[], Any]) -> Any:
        """Call, store what comes back and return it."""
        try:
            if inspect.iscoroutinefunction(call):
                answer = await call()
            else:
                answer = await asyncio.to_thread(call)
                if inspect.isawaitable(answer):
                    answer = await answer
        except BaseException as error:  # noqa: BLE001  raised again unless it is a signal or a stale answer stands in
            return await self.failed(error)
        return await self.answered(answer)

    async def answered(self, answer: Any) -> Any:
        """Take the answer: share it, store it, and return it to the caller."""
        if isinstance(answer, DoNotCache):
            self.flight.land(refused=True)
            return answer.value
        engine = self._opened.engine
        cost = engine.clock() - self._born_at
        try:
            record = self._record_of(answer, cost)
            kept = record is not None and await engine.keep(
                self._query, record, policy=self._policy, tags=self._tags, vector=self._found.vector
            )
            if record is not None and kept:
                self.flight.publish((record.kind, record.payload))
            self.flight.land(refused=not kept)
        finally:
            self.flight.fail()
        return answer

    def _record_of(self, answer: Any, cost: float) -> Record | None:
        if self._query is None:
            return None
        draw = random.random()
        return _record(self._query, answer, self._policy, born_at=self._born_at, cost=cost, draw=draw)

    async def failed(self, error: BaseException) -> Any:
        """Take the failure of the call: raise it, or return what stands in for an answer."""
        if isinstance(error, DoNotCache):
            return await self.answered(error)
        self.flight.fail()
        fallback = self._found.fallback
        if fallback is not None and isinstance(error, Exception):
            return unpack(fallback.kind, fallback.payload)
        raise error


def _record(query: Query, value: object, policy: Policy, *, born_at: float, cost: float, draw: float) -> Record | None:
    if policy.ttl == 0 or policy.mode == "off":
        return None
    try:
        kind, payload = pack(value)
    except NotStorable:
        return None
    return Record(
        partition=query.partition,
        scope=query.scope,
        exact=query.exact,
        text=query.text if query.exact_only is None else "",
        kind=kind,
        payload=payload,
        born_at=born_at,
        expires_at=expiry(born_at, policy.ttl, jitter=policy.jitter, draw=draw),
        exact_only=query.exact_only is not None,
        cost=cost,
    )


def _with_ttl(policy: Policy, ttl: str | Duration | msgspec.UnsetType) -> Policy:
    if ttl is msgspec.UNSET or ttl is ...:
        return policy
    return msgspec.structs.replace(policy, ttl=None if ttl is None else parse_duration(ttl))
