"""One question on its way to an answer: what happens between a miss and the answer's storage."""

from __future__ import annotations

import asyncio
import inspect
import random
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from semcache_core.engine.decide import Found
from semcache_core.engine.engine import Engine
from semcache_core.engine.freshness import expiry, parse_duration
from semcache_core.engine.payloads import DoNotCache, NotStorable, pack, unpack
from semcache_core.engine.single_flight import Flight, FlightFailed
from semcache_core.protocols import Refused
from semcache_core.settings import Duration, Policy
from semcache_core.types import Query, Record


class Fetch:
    """One caller's question: it has an answer (``value``), or this caller has to fetch one (``is_leader``)."""

    __slots__ = (
        "_born_at",
        "_engine",
        "_flight",
        "_found",
        "_policy",
        "_query",
        "_tags",
        "is_leader",
        "is_stale",
        "value",
    )

    def __init__(self, engine: Engine, query: Query | None, policy: Policy, tags: Sequence[str], found: Found) -> None:
        self._engine, self._policy, self._tags, self._found = engine, policy, tags, found
        self._query = query
        """None: the question cannot be put into a key, so its answer is not stored."""
        self._born_at = engine.clock()
        self._flight: Flight[tuple[str, bytes]] = engine.flights.alone_flight()
        self.is_leader = found.record is None or policy.mode == "observe"
        self.is_stale = found.outcome == "stale" and not self.is_leader
        """There is an answer, and it is time for a new one."""
        self.value: Any = None
        if found.record is not None and not self.is_leader:
            self.value = unpack(found.record.kind, found.record.payload)

    async def join(self) -> None:
        """Join the flight that fetches this answer already, or become the one who does."""
        engine, query = self._engine, self._query
        while query is not None:
            flight, is_leader = engine.flights.join(query.flight)
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
            # It failed twice, brought nothing that may be shared, or took too long: ask upstream alone.
            break
        self._born_at = engine.clock()

    async def run(self, call: Callable[[], Any]) -> Any:
        """Return the answer: the one there is, or what ``call`` returns."""
        if self.is_stale:
            self._engine.spawn(self._refresh(call))
        if not self.is_leader:
            return self.value
        answering = asyncio.ensure_future(self._answer(call))
        try:
            return await asyncio.shield(answering)
        except asyncio.CancelledError:
            # Others may wait for this call: it then outlives the one who began it, but not the last of them.
            if self._flight.waiting:
                self._engine.adopt(answering)
                self._engine.adopt(asyncio.ensure_future(self._while_wanted(answering)))
            else:
                self._abandon(answering)
            raise

    async def _while_wanted(self, answering: asyncio.Future[Any]) -> None:
        await self._flight.alone()
        self._abandon(answering)

    def _abandon(self, answering: asyncio.Future[Any]) -> None:
        """End a call that nobody waits for any more. Harmless once it has ended."""
        self._flight.stop_joining()
        answering.cancel()

    async def answered(self, answer: Any) -> Any:
        """Take the answer: share it, store it, and return it to the caller."""
        if isinstance(answer, DoNotCache):
            self._engine.observatory.count_unstored("do-not-cache")
            self._flight.complete(refused=True)
            return answer.value
        try:
            kept = await self._kept(answer)
            if isinstance(kept, Record):
                self._flight.publish((kept.kind, kept.payload))
            self._flight.complete(refused=isinstance(kept, Refused) and kept.complete)
        finally:
            self._flight.fail()
        return answer

    async def failed(self, error: BaseException) -> Any:
        """Take the failure of the call: raise it, or return what stands in for an answer."""
        if isinstance(error, DoNotCache):
            return await self.answered(error)
        self._flight.fail()
        query, policy = self._query, self._policy
        hopeless = self._found.fallback is None or policy.mode == "observe" or not isinstance(error, Exception)
        # The call took its time: what was found before may have been invalidated since.
        record = None if hopeless or query is None else await self._engine.fallback(query, policy=policy)
        if record is None:
            raise error
        return unpack(record.kind, record.payload)

    async def _refresh(self, call: Callable[[], Any]) -> None:
        """Fetch a new answer in place of a stale one, unless somebody does already."""
        flight = None if self._query is None else self._engine.flights.refresh(self._query.flight)
        if flight is not None:
            self._flight, self._born_at = flight, self._engine.clock()
            await self._answer(call)

    async def _answer(self, call: Callable[[], Any]) -> Any:
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

    async def _kept(self, answer: Any) -> Record | Refused | None:
        """Store the answer and return its record, or why it may not be stored; None: it has no key."""
        engine, query, policy = self._engine, self._query, self._policy
        if query is None:
            return None
        try:
            record = record_of(query, answer, policy, born_at=self._born_at, cost=engine.clock() - self._born_at)
        except NotStorable as error:
            engine.observatory.count_unstored(error.reason)
            return Refused(error.reason)
        found = self._found
        refused = await engine.keep(
            query, record, policy=policy, tags=self._tags, vector=found.vector, refreshes=found.reason == "no-cache"
        )
        return record if refused is None else refused


def record_of(query: Query, value: object, policy: Policy, *, born_at: float, cost: float = 0.0) -> Record:
    """Return ``value`` as the record of ``query``. Raises NotStorable."""
    if policy.mode == "off":
        raise NotStorable("off")
    if policy.ttl == 0:
        raise NotStorable("ttl")
    kind, payload = pack(value)
    nearby = query.nearby
    return Record(
        partition=query.partition,
        scope=nearby.scope,
        exact=query.exact,
        text=nearby.text if nearby.exact_only is None else "",
        kind=kind,
        payload=payload,
        born_at=born_at,
        expires_at=expiry(born_at, policy.ttl, jitter=policy.jitter, draw=random.random()),  # noqa: S311  no secret
        exact_only=nearby.exact_only is not None,
        cost=cost,
        fields=nearby.fields,
    )


def with_ttl(policy: Policy, ttl: str | Duration | msgspec.UnsetType) -> Policy:
    """Return the policy with a ttl of the caller's own, if there is one. Raises ValueError."""
    if isinstance(ttl, msgspec.UnsetType):
        return policy
    return msgspec.structs.replace(policy, ttl=None if ttl is None else parse_duration(ttl))
