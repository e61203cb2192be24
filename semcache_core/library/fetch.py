"""One caller's fetch: everything between a lookup and the storage of the new answer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypedDict, TypeVar

import msgspec

from semcache_core.engine.call_chain import leading
from semcache_core.engine.decide import Found
from semcache_core.engine.flight import Flight, FlightFailed
from semcache_core.engine.payloads import NOT_JSON, DoNotCache, NotStorable, unpack
from semcache_core.errors import CacheUnavailable
from semcache_core.keys.python import FunctionIdentity
from semcache_core.library.calls import caught, caught_async, value_of
from semcache_core.library.records import record_of
from semcache_core.protocols import Refused
from semcache_core.runtime.home import Home
from semcache_core.runtime.outcome import outcome_of
from semcache_core.settings import Duration, Policy
from semcache_core.types import Query, Record

T = TypeVar("T")


class CallOptions(TypedDict, total=False):
    """The options of ``get_or_call``."""

    refresh: bool
    """Ask anew, and replace what is stored."""
    context: object
    """Any JSON. Answers are shared between equal contexts only."""
    namespace: str | None
    """Another namespace than the configured one."""
    threshold: float | None
    """A higher similarity than the configured one; a lower one changes nothing."""
    ttl: str | Duration | msgspec.UnsetType
    """Seconds, ``"7d"``, ``"never"``, or 0, which stores nothing; by default the configured one."""
    tags: Sequence[str]
    """Names by which ``invalidate(tag=...)`` finds the answer."""


class FetchOptions(CallOptions, total=False):
    """The options of ``SemanticCache._begin``."""

    function: FunctionIdentity | None
    on_unstorable: Callable[[object], None] | None
    """Called with an answer whose type cannot be stored."""


class Fetch:
    """One caller's question: it has an answer (``value``), or this caller must fetch one (``is_leader``).

    It is created on the home loop; ``join``, ``complete`` and ``fail`` run there as well. ``run`` and ``run_blocking``
    call upstream on the caller's loop or thread and use the home loop for the rest.
    """

    __slots__ = (
        "_born_at",
        "_engine",
        "_flight",
        "_found",
        "_home",
        "_on_unstorable",
        "_policy",
        "_query",
        "_tags",
        "is_leader",
        "is_stale",
        "value",
    )

    def __init__(
        self,
        home: Home,
        query: Query | None,
        policy: Policy,
        found: Found,
        *,
        tags: Sequence[str] = (),
        on_unstorable: Callable[[object], None] | None = None,
    ) -> None:
        self._home, self._engine, self._on_unstorable = home, home.runtime.engine, on_unstorable
        self._policy, self._tags, self._found = policy, tags, found
        self._query = query
        """None: the question has no key, so its answer is not stored."""
        self._born_at = self._engine.clock()
        self.is_leader = found.record is None or policy.mode == "observe"
        self.is_stale = found.outcome == "stale" and not self.is_leader
        """The answer is stale and due for a refresh."""
        self.value: Any = None
        self._flight: Flight[tuple[str, bytes]]
        """Set for a leader only."""
        if self.is_leader:
            self._flight = self._engine.flights.alone_flight()
        elif found.record is not None:
            self.value = unpack(found.record.kind, found.record.payload)

    def __del__(self) -> None:
        # Ctrl-C comes between any two steps of a caller's thread. A leader that is gone must not leave its flight open.
        if getattr(self, "is_leader", False) and not self._flight.link.has_ended:
            with contextlib.suppress(RuntimeError):  # The loop has ended already.
                self._home.loop.call_soon_threadsafe(self._flight.fail)

    # -- on the home loop -----------------------------------------------------------------------------------------

    async def join(self) -> None:
        """Join the flight that already fetches this answer, or become its leader."""
        engine, query = self._engine, self._query
        while query is not None:
            flight, is_leader = engine.flights.join(query.nearby.flight)
            if is_leader:
                self._flight = flight
                break
            try:
                async for kind, payload in flight.items(patience=engine.limits.waiter_patience):
                    self.value, self.is_leader = unpack(kind, payload), False
                    return
            except FlightFailed as failed:
                if not failed.alone:
                    continue
            # It failed twice, its answer may not be shared, it took too long, or it waits for this call: call alone.
            break
        self._born_at = engine.clock()

    async def complete(self, answer: Any) -> None:
        """Share the answer with the waiters and store it."""
        if isinstance(answer, DoNotCache):
            self._engine.observatory.count_unstored("do-not-cache")
            self._flight.complete(refused=True)
            return
        try:
            kept = self._kept(answer)
            if isinstance(kept, Record):
                self._flight.publish((kept.kind, kept.payload))
            self._flight.complete(refused=isinstance(kept, Refused) and kept.complete)
        finally:
            self._flight.fail()

    async def fail(self, error: BaseException) -> Record | None:
        """End the flight with the failure of the call; return the record that may replace the answer, if any."""
        self._flight.fail()
        query, policy = self._query, self._policy
        hopeless = self._found.fallback is None or policy.mode == "observe" or not isinstance(error, Exception)
        # During the call the earlier record may have been invalidated.
        return None if hopeless or query is None else await self._engine.fallback(query, policy=policy)

    def abandon(self) -> None:
        """End the fetch of a caller that left: a waiter becomes the leader."""
        if self.is_leader:
            self._flight.fail()

    async def _takes_over(self) -> bool:
        """Lead the refresh of a stale answer, unless one is under way."""
        flight = None if self._query is None else self._engine.flights.refresh(self._query.flight)
        if flight is None:
            return False
        self._flight, self._born_at = flight, self._engine.clock()
        return True

    async def _begin_refresh(self, call: Callable[[], Any]) -> None:
        self._engine.spawn(self._refresh(call))

    # -- on the caller's loop or thread ---------------------------------------------------------------------------

    async def run(self, call: Callable[[], Any]) -> Any:
        """Return the cached answer, or the result of ``call``.

        ``call`` runs on the caller's loop, or in a thread if it is a plain function.
        """
        if self.is_stale:
            self._home.spawn(self._refresh(call))
        if not self.is_leader:
            return self.value
        answering = asyncio.ensure_future(outcome_of(self._answer(call)))
        try:
            outcome = await asyncio.shield(answering)
        except asyncio.CancelledError:
            # Other callers may wait for this call: it outlives the caller that began it, but not the last waiter.
            if self._flight.waiting:
                self._home.keep(answering)
                self._home.keep(asyncio.ensure_future(self._while_wanted(answering)))
            else:
                self._call_off(answering)
            raise
        return outcome.unwrap()

    def run_blocking(self, call: Callable[[], Any]) -> Any:
        """Like ``run``, with ``call`` in the caller's thread."""
        if self.is_stale:
            self._settle_blocking(self._begin_refresh(call))
        if not self.is_leader:
            return self.value
        try:
            with leading(self._flight.link):
                answer = caught(call)
        except BaseException as error:
            record = self._settle_blocking(self.fail(error))
            if record is None:
                raise
            return unpack(record.kind, record.payload)
        self._settle_blocking(self.complete(answer))
        return value_of(answer)

    async def _answer(self, call: Callable[[], Any]) -> Any:
        try:
            with leading(self._flight.link):
                answer = await caught_async(call)
        except GeneratorExit:
            # The caller's loop is gone, or the call raised it: a coroutine that is closed cannot await.
            self._home.call(self.abandon)
            raise
        except BaseException as error:
            record = await self._settle(self.fail(error))
            if record is None:
                raise
            return unpack(record.kind, record.payload)
        await self._settle(self.complete(answer))
        return value_of(answer)

    async def _refresh(self, call: Callable[[], Any]) -> None:
        if await self._settle(self._takes_over()):
            await self._answer(call)

    async def _while_wanted(self, answering: asyncio.Future[Any]) -> None:
        await self._settle(self._flight.alone())
        self._call_off(answering)

    def _call_off(self, answering: asyncio.Future[Any]) -> None:
        """Cancel a call without waiters. No effect once it has ended."""
        self._home.call(self._flight.stop_joining)
        answering.cancel()

    async def _settle(self, work: Coroutine[Any, Any, T]) -> T | None:
        """Run ``work`` on the home loop; None if the cache has been closed: the caller gets its answer anyway."""
        try:
            return await self._home.run(work)
        except CacheUnavailable:
            return None

    def _settle_blocking(self, work: Coroutine[Any, Any, T]) -> T | None:
        try:
            return self._home.run_blocking(work)
        except CacheUnavailable:
            return None
        except BaseException:
            # Ctrl-C while this waits: otherwise the leader could be gone, and its flight never end.
            self._home.call(self.abandon)
            raise

    # -- storing --------------------------------------------------------------------------------------------------

    def _kept(self, answer: Any) -> Record | Refused | None:
        """Store the answer and return its record, or why it may not be stored; None: it has no key."""
        engine, query, policy = self._engine, self._query, self._policy
        if query is None:
            return None
        try:
            record = record_of(query, answer, policy, born_at=self._born_at, cost=engine.clock() - self._born_at)
        except NotStorable as error:
            engine.observatory.count_unstored(error.reason)
            if self._on_unstorable is not None and error.reason == NOT_JSON:
                self._on_unstorable(answer)
            return Refused(error.reason)
        found = self._found
        refused = engine.keep(
            query, record, policy=policy, tags=self._tags, found=found, refreshes=found.reason == "no-cache"
        )
        return record if refused is None else refused


def abandon(fetch: Fetch | None) -> None:
    """End a fetch whose caller has been cancelled."""
    if fetch is not None:
        fetch.abandon()
