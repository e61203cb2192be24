"""The engine: finds, writes and invalidates answers. It knows queries and records, not HTTP or Python values.

It follows the fixed order of ``decide`` and fails open: a failing component is a miss with a reason code. What must
fail closed (a record of another partition, an undecodable record, a verifier that raises) is a miss as well.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, cast

import msgspec

from semcache_core.engine import record_codec
from semcache_core.engine.admission import Admission, tags_of
from semcache_core.engine.breakers import within
from semcache_core.engine.components import Guards, OpenComponents
from semcache_core.engine.decide import Directives, Found, serves
from semcache_core.engine.embeddings import Embeddings
from semcache_core.engine.maintenance import Maintenance
from semcache_core.engine.observe import Observatory
from semcache_core.engine.offload import Offload
from semcache_core.engine.recent_invalidations import RecentInvalidations
from semcache_core.engine.semantic import Asked, Considered, SemanticSearch
from semcache_core.engine.single_flight import Flights
from semcache_core.engine.withdrawals import Withdrawals
from semcache_core.engine.writes import Writes
from semcache_core.errors import DependencyError
from semcache_core.keys.digests import veto_id
from semcache_core.keys.text import EXACT_MODE
from semcache_core.protocols import Refused
from semcache_core.reasons import Code
from semcache_core.settings import LimitOptions, Policy
from semcache_core.types import Address, Query, Record, Stored

_PLAIN = Directives()
_EXACT = Directives(exact_only=True)
_OFF = Found(outcome="bypass", reason="off")
_NO_CACHE = Found(outcome="miss", reason="no-cache")
_ABSENT = Found(outcome="miss", reason="absent")
_MISMATCH = Found(outcome="miss", reason="mismatch")
_UNAVAILABLE = Found(outcome="miss", reason="store-unavailable")
_UNREAD = Found(outcome="miss", reason="unread")
_VETO = b"\x00veto"
_VETO_TTL = 365 * 86400.0


class Engine:
    """One open cache. Belongs to the event loop that opened it."""

    def __init__(
        self,
        parts: OpenComponents,
        *,
        limits: LimitOptions,
        observatory: Observatory,
        clock: Callable[[], float],
    ) -> None:
        self.parts, self.limits, self.observatory, self.clock = parts, limits, observatory, clock
        self.flights: Flights[Any] = Flights(clock=clock, hit_for_miss=limits.hit_for_miss, refreshes=limits.refreshes)
        self._get_nowait = None if parts.get_nowait is None else parts.get_nowait.get_nowait
        self._behind = behind = Guards.of(limits, clock=clock, on_fault=observatory.fault)
        self._embeddings = (
            None
            if parts.embedder is None
            else Embeddings(parts.embedder, behind.embed, limits=limits, on_fault=observatory.fault)
        )
        self._writes = Writes(parts, behind, self._embeddings, limits=limits, on_fault=observatory.fault)
        self._queued = self._writes.queued
        self.maintenance = Maintenance(parts, behind, self._writes, observatory)
        self._semantic = (
            None
            if self._embeddings is None
            else SemanticSearch(parts, behind, self._embeddings, self._writes, self.maintenance)
        )
        self.offload = Offload(most=limits.body_queue, patience=limits.lookup_deadline)
        self._invalidations = RecentInvalidations()
        self._admission = Admission(parts, self._embeddings, self.maintenance, self._invalidations, observatory)
        self._withdrawals = Withdrawals(
            parts,
            behind,
            self._writes,
            self.maintenance,
            self._invalidations,
            clock=clock,
            on_fault=observatory.fault,
        )

    async def close(self) -> None:
        """Write the queued answers, within the drain time, and end every task."""
        await self._writes.drain(self.limits.drain)
        await self.maintenance.close()
        await self.offload.close()
        if self._embeddings is not None:
            await self._embeddings.close()

    # -- lookup ---------------------------------------------------------------------------------------------------

    def find_nowait(self, address: Address, *, policy: Policy, directives: Directives = _PLAIN, now: float) -> Found:
        """Return the exact answer if it can be read without waiting.

        Otherwise return a bypass, or a miss from which ``find`` continues; the miss is ``unread`` if the store must be
        awaited. A failing component never raises here.
        """
        if policy.mode == "off" or directives.off:
            return _OFF
        if not directives.lookup:
            return _NO_CACHE
        job = self._queued(address.entry_id)
        if job is not None:
            return serves(
                job.record, now=now, invalidated_at=None, policy=policy, directives=directives, source="exact"
            )
        if self._get_nowait is None:
            return _UNREAD
        try:
            stored = self._get_nowait(address.entry_id, now=now)
            return _ABSENT if stored is None else self._weighed(address, stored, now, policy, directives)
        except Exception as error:  # noqa: BLE001  the edge to plugin code: an entry that cannot be read is a miss
            self.observatory.fault("responses", error)
            return _UNAVAILABLE

    async def _read(self, address: Address, *, policy: Policy, directives: Directives = _PLAIN) -> Found:
        """Read the store after the miss ``unread``: the result of ``find_nowait``, with waiting."""
        now = self.clock()
        try:
            (stored,) = await self._behind.responses.call(self.parts.responses.get((address.entry_id,), now=now))
            return _ABSENT if stored is None else self._weighed(address, stored, now, policy, directives)
        except DependencyError:
            return _UNAVAILABLE
        except Exception as error:  # noqa: BLE001  the edge to plugin code: a nonsensical result is a failed read
            self.observatory.fault("responses", error)
            return _UNAVAILABLE

    async def find(
        self,
        address: Address,
        read: Callable[[], Awaitable[Query]] | None = None,
        *,
        policy: Policy,
        directives: Directives = _PLAIN,
        known: Found | None = None,
        trail: list[Considered] | None = None,
    ) -> Found:
        """Return the answer to a request: the exact one, or one to the same question in other words.

        ``read`` reads the whole query, if ``address`` is not one already: only a miss needs it. ``known``: the result
        of ``find_nowait``. ``trail`` receives each entry that the search considers, in order. A failing component never
        raises here; exceptions of ``read`` propagate.
        """
        found = known or self.find_nowait(address, policy=policy, directives=directives, now=self.clock())
        spent = 0.0
        if found.reason == "unread":
            began = time.monotonic()
            found = await self._read(address, policy=policy, directives=directives)
            spent = time.monotonic() - began
        if found.outcome != "miss":
            return found
        asked = cast("Query", address) if read is None else await read()
        if found.reason == "no-cache":
            return found
        why_not = self._why_not_near(asked, policy, directives)
        if why_not is None:
            return await self._search(asked, found, policy=policy, directives=directives, spent=spent, trail=trail)
        if why_not == EXACT_MODE or found.reason != "absent":
            return found
        return msgspec.structs.replace(found, reason=why_not)

    async def _search(
        self,
        query: Query,
        missed: Found,
        *,
        policy: Policy,
        directives: Directives,
        spent: float,
        trail: list[Considered] | None,
    ) -> Found:
        """Look for an answer to the same question in other words; ``missed`` is the miss of the exact lookup.

        ``spent``: seconds that the lookup took so far; the deadline covers the whole lookup.
        """
        semantic = cast("SemanticSearch", self._semantic)
        try:
            asked = Asked(query=query, policy=policy, directives=directives, now=self.clock(), trail=trail)
            found = await within(semantic.find(asked), max(0.0, self.limits.lookup_deadline - spent))
        except TimeoutError as error:
            self.observatory.fault("lookup", error)
            found = Found(outcome="miss", reason="lookup-deadline")
        except Exception as error:  # noqa: BLE001  the edge to plugin code: a store that answers nonsense is a miss
            self.observatory.fault("lookup", error)
            found = Found(outcome="miss", reason="store-unavailable")
        if found.outcome == "miss" and missed.fallback is not None:
            return msgspec.structs.replace(found, reason=missed.reason, fallback=missed.fallback, now=missed.now)
        return found

    async def fallback(self, query: Query, *, policy: Policy) -> Record | None:
        """Return the query's exact answer if it may replace a failing upstream now; an invalidated one may not."""
        found = await self.find(query, policy=policy, directives=_EXACT)
        return found.record or found.fallback

    def _weighed(self, address: Address, stored: Stored, now: float, policy: Policy, directives: Directives) -> Found:
        """Say whether the entry stored under the address's id is its answer and may still be served."""
        try:
            record = record_codec.decode(stored.data)
        except (record_codec.NewerVersion, record_codec.Undecodable) as error:
            return Found(outcome="miss", reason=self.maintenance.unreadable(address.entry_id, error))
        if record.exact != address.exact or record.partition != address.partition:
            return _MISMATCH
        return serves(
            record, now=now, invalidated_at=stored.invalidated_at, policy=policy, directives=directives, source="exact"
        )

    def _why_not_near(self, query: Query, policy: Policy, directives: Directives) -> Code | None:
        if self._semantic is None or policy.match == "exact" or directives.exact_only:
            return EXACT_MODE
        nearby = query.nearby
        if nearby.exact_only is not None:
            return nearby.exact_only
        return "empty-scope" if self._is_empty(nearby.store_scope) else None

    def _is_empty(self, store_scope: bytes) -> bool:
        if self.parts.scopes is None:
            return False
        try:
            return not self.parts.scopes.has_scope(store_scope) and not self._writes.has_queued_in(store_scope)
        except Exception as error:  # noqa: BLE001  the edge to plugin code: if the store cannot say, search
            self.observatory.fault("vectors", error)
            return False

    # -- writing --------------------------------------------------------------------------------------------------

    def keep(
        self,
        query: Query,
        record: Record,
        *,
        policy: Policy,
        tags: Sequence[str] = (),
        found: Found = _ABSENT,
        refreshes: bool = False,
    ) -> Refused | None:
        """Store ``record`` as the answer to ``query`` in the background; return why it may not be stored, or None.

        ``found`` and ``refreshes``: see ``Admission.job_of``.
        """
        job = self._admission.job_of(query, record, policy=policy, tags=tags, found=found, refreshes=refreshes)
        if isinstance(job, Refused):
            return job
        self._writes.queue(job)
        return None

    async def keep_now(self, query: Query, record: Record, *, policy: Policy, tags: Sequence[str] = ()) -> bool:
        """Store ``record`` as the answer to ``query``; return False if it may not be stored or that failed."""
        job = self._admission.job_of(query, record, policy=policy, tags=tags, found=_ABSENT)
        return not isinstance(job, Refused) and await self._writes.write_now(job)

    # -- invalidation ---------------------------------------------------------------------------------------------

    async def forget(self, entry_id: bytes, *, partition: bytes | None = None) -> None:
        """Delete one entry; an answer requested before now does not take its place. Raises DependencyError.

        ``partition``: the one that the entry belongs to, if that is known.
        """
        if partition is None:
            self.flights.detach_all()
        else:
            self.flights.detach(partition)
        self._invalidations.note_entry(entry_id, self.clock())
        await self.maintenance.forget(entry_id)

    async def reject(self, query: Query, entry_id: bytes) -> None:
        """Make the entry never answer this text again. Raises DependencyError.

        An entry made for this very text is deleted: its answer is wrong for every caller it could serve. So is one
        whose text differs only in white space: an equal request would get it without verification.
        """
        if entry_id == query.entry_id or await self._is_of_this_text(query, entry_id):
            await self.forget(entry_id, partition=query.partition)
            return
        self.flights.detach(query.partition)
        until = self.clock() + _VETO_TTL
        await self._behind.write_responses.call(
            self.parts.responses.set(veto_id(query, entry_id), _VETO, keep_until=until, tags=tags_of(query, ()))
        )

    async def _is_of_this_text(self, query: Query, entry_id: bytes) -> bool:
        job = self._queued(entry_id)
        if job is not None:
            return job.record.text == query.text
        (stored,) = await self._behind.responses.call(self.parts.responses.get((entry_id,), now=self.clock()))
        try:
            return stored is not None and record_codec.decode(stored.data).text == query.text
        except (record_codec.NewerVersion, record_codec.Undecodable):
            return False

    async def invalidate(self, tags: Sequence[bytes], *, before: float | None = None) -> None:
        """Invalidate every entry with one of ``tags`` that was born at or before ``before`` (default: now).

        Raises DependencyError.
        """
        at = self.clock() if before is None else before
        self.flights.detach_all()
        self._invalidations.note_tags(tags, at)
        self._writes.forget_invalidated(frozenset(tags), at)
        await self._behind.write_responses.call(self.parts.invalidation.invalidate(tags, before=at))

    def withdraw(self, partition: bytes) -> None:
        """Invalidate a whole partition, in the background: the upstream rejected its credential."""
        self.flights.detach(partition)
        self._withdrawals.add(partition)

    def spawn(self, work: Coroutine[Any, Any, object]) -> None:
        """Run ``work`` in the background."""
        self.maintenance.spawn(work)

    def adopt(self, task: asyncio.Future[Any]) -> None:
        """Keep a reference to a task that outlives the request that started it."""
        self.maintenance.adopt(task)
