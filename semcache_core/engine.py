"""The engine: looks answers up, writes them, forgets them. It knows queries and records, not HTTP and not Python values.

It walks the decision in its fixed order and fails open: whatever breaks behind it ends as a miss with a reason code. What
must fail closed (a record of another partition, an undecodable one, a verifier that raises) ends as a miss as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import msgspec

from . import freshness, wire
from .deadlines import Dependency, within
from .decide import Directives, Found, Ladder, serves
from .embeddings import Embeddings
from .errors import DependencyError, TextTooLong
from .flights import Flights
from .keys.digests import namespace_tag, partition_tag, tag_digest, veto_id
from .observe import Observatory
from .parts import Parts
from .settings import LimitOptions, Policy
from .types import Decision, Match, Query, Record, Stored, Vector
from .writes import Job, Writes

NEIGHBOURS = 5
"""How many candidates a search returns: a verifier may turn the first ones down."""

_PLAIN = Directives()
_OFF = Found(outcome="bypass", reason="off")
_NO_CACHE = Found(outcome="miss", reason="no-cache")
_VETO = b"\x00veto"
_VETO_TTL = 365 * 86400.0
_STAMPS_REMEMBERED = 10_000
_SWEEP_EVERY = 60.0


class Engine:
    """One open cache. Belongs to the event loop that opened it."""

    def __init__(
        self, parts: Parts, *, limits: LimitOptions, observatory: Observatory, clock: Callable[[], float], background: bool = True
    ) -> None:
        self.clock = clock
        self.parts = parts
        self.observatory = observatory
        self.background = background
        """False where nothing may outlive a request: writes then run on the caller's path."""
        self.flights: Flights[Any] = Flights(clock=clock, hit_for_miss=limits.hit_for_miss)
        self.limits = limits
        self._peek = None if parts.peek is None else parts.peek.peek
        self._responses = self._dependency("responses", limits.response_deadline)
        self._vectors = self._dependency("vectors", limits.vector_deadline)
        # Writes have breakers of their own: a full disk must not stop the reads.
        self._embeddings = (
            None
            if parts.embedder is None
            else Embeddings(parts.embedder, self._dependency("embed", limits.embed_deadline), capacity=limits.embedding_cache)
        )
        self._writes = Writes(
            responses=parts.responses,
            vectors=parts.vectors,
            response_dependency=self._dependency("write-response", limits.response_deadline),
            vector_dependency=self._dependency("write-vector", limits.vector_deadline),
            embeddings=self._embeddings,
            on_fault=observatory.fault,
            most=limits.write_queue,
            most_bytes=limits.write_queue_bytes,
        )
        self._judges = self._dependency("verify", limits.judge_deadline)
        self._stamped: dict[bytes, float] = {}
        self._tasks: set[asyncio.Future[Any]] = set()

    def _dependency(self, stage: str, deadline: float) -> Dependency:
        return Dependency(
            stage, deadline=deadline, open_for=self.limits.breaker_open, clock=self.clock, on_fault=self.observatory.fault
        )

    async def close(self) -> None:
        """Write what waits, within the drain time, and end every task."""
        await self._writes.drain(self.limits.drain)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        if self._embeddings is not None:
            await self._embeddings.close()

    # -- looking up -----------------------------------------------------------------------------------------------

    async def find(self, query: Query, *, policy: Policy, directives: Directives = _PLAIN) -> Found:
        """Return what answers ``query``. Never raises for anything that fails behind the cache."""
        if policy.mode == "off" or directives.off:
            return _OFF
        if not directives.lookup:
            return _NO_CACHE
        now = self.clock()
        reason, record, stamp, fallback = "absent", None, None, None
        job = self._writes.peek(query.entry_id)
        if job is not None:
            record = job.record
        else:
            try:
                stored = await self._read(query.entry_id, now) if self._peek is None else self._peek(query.entry_id, now=now)
                if stored is not None:
                    record, stamp = wire.decode(stored.data), stored.stamp
            except Exception as error:  # noqa: BLE001  the edge to plugin code: what cannot be read is a miss
                reason = self._unreadable(query.entry_id, error)
        if record is not None:
            if record.partition == query.partition and record.exact == query.exact:
                found = serves(record, now=now, stamp=stamp, policy=policy, directives=directives, source="exact")
                if found.record is not None:
                    return found
                reason, fallback = found.reason, found.fallback
            else:
                reason = "mismatch"
        return await self._find_near(query, policy, directives, now, reason, fallback)

    async def _read(self, entry_id: bytes, now: float) -> Stored | None:
        (stored,) = await self._responses.call(self.parts.responses.get((entry_id,), now=now))
        return stored

    def _unreadable(self, entry_id: bytes, error: Exception) -> str:
        """Take note of an entry that could not be read and return the reason code."""
        if isinstance(error, wire.NewerVersion):
            return "newer-version"
        if isinstance(error, wire.Undecodable):
            self.observatory.fault("decode", error)
            self.spawn(self.forget(entry_id))
            return "undecodable"
        if self._peek is not None:
            self.observatory.fault("responses", error)  # Otherwise counted by its dependency.
        return "store-unavailable"

    async def _find_near(
        self, query: Query, policy: Policy, directives: Directives, now: float, reason: str, fallback: Record | None
    ) -> Found:
        why_not = self._why_not_near(query, policy, directives)
        if why_not is not None:
            said = why_not if reason == "absent" and why_not != "exact-mode" else reason
            return Found(outcome="miss", reason=said, fallback=fallback, now=now)
        try:
            found = await within(self._near(query, policy, directives, now), self.limits.lookup_deadline)
        except TimeoutError as error:
            self.observatory.fault("lookup", error)
            found = Found(outcome="miss", reason="lookup-deadline")
        if found.outcome == "miss" and fallback is not None:
            return msgspec.structs.replace(found, reason=reason, fallback=fallback, now=now)
        return found

    def _why_not_near(self, query: Query, policy: Policy, directives: Directives) -> str | None:
        if query.exact_only is not None:
            return query.exact_only
        if self._embeddings is None or policy.match == "exact" or directives.exact_only or not query.text:
            return "exact-mode"
        scopes = self.parts.scopes
        if scopes is not None and not scopes.has_scope(query.store_scope) and not self._writes.beside(query.store_scope):
            return "empty-scope"
        return None

    async def _near(self, query: Query, policy: Policy, directives: Directives, now: float) -> Found:
        assert self._embeddings is not None
        try:
            vector = await self._embeddings.of(query.partition, query.text)
        except TextTooLong:
            return Found(outcome="miss", reason="long-text")
        except DependencyError:
            return Found(outcome="miss", reason="embedder-unavailable")
        threshold = max(policy.threshold, directives.threshold or 0.0)
        matches: list[Match] = await self._near_waiting(query, vector, threshold)
        try:
            matches += await self._vectors.call(
                self.parts.vectors.search(vector, scope=query.store_scope, limit=NEIGHBOURS, floor=threshold, now=now)
            )
            found = await self._best(query, matches, threshold, policy, directives, now)
        except DependencyError:
            return Found(outcome="miss", reason="store-unavailable", vector=vector)
        return msgspec.structs.replace(found, vector=vector) if found.outcome == "miss" else found

    async def _near_waiting(self, query: Query, vector: Vector, floor: float) -> list[Match]:
        """Compare with the answers that wait to be written: they are visible at once in their own process."""
        matches = []
        for job in self._writes.beside(query.store_scope):
            other = await self._writes.vector_of(job)
            if other is not None and (similarity := max(0.0, float(vector @ other))) >= floor:
                matches.append(Match(id=job.query.entry_id, similarity=similarity))
        return matches

    async def _best(
        self, query: Query, matches: Sequence[Match], threshold: float, policy: Policy, directives: Directives, now: float
    ) -> Found:
        nearest = {match.id: match.similarity for match in sorted(matches, key=lambda m: m.similarity)}
        ranked = sorted(nearest.items(), key=lambda pair: -pair[1])[:NEIGHBOURS]
        if not ranked:
            return Found(outcome="miss", reason="below-threshold")
        held = await self._candidates(query, [id for id, _ in ranked], now)
        ladder = Ladder(threshold)
        for (entry_id, similarity), (record, stamp, vetoed) in zip(ranked, held, strict=True):
            if record is None or record.exact_only or record.partition != query.partition or record.scope != query.scope:
                continue
            if vetoed:
                ladder.turned_down("vetoed")
                continue
            if not ladder.reaches(similarity):
                break
            found = serves(record, now=now, stamp=stamp, policy=policy, directives=directives, source="semantic")
            if found.outcome == "miss":
                ladder.passed_over(found.reason)
                continue
            if await self._verified(query.text, record.text, similarity, ladder):
                return msgspec.structs.replace(found, entry_id=entry_id, similarity=similarity)
        return Found(outcome="miss", reason=ladder.reason, similarity=ranked[0][1], entry_id=ranked[0][0])

    async def _candidates(
        self, query: Query, ids: Sequence[bytes], now: float
    ) -> list[tuple[Record | None, float | None, bool]]:
        """Read the candidates and this text's vetoes of them, in one trip."""
        vetoes = [veto_id(query, id) for id in ids]
        stored = await self._responses.call(self.parts.responses.get((*ids, *vetoes), now=now))
        held: list[tuple[Record | None, float | None, bool]] = []
        orphans = []
        for id, entry, veto in zip(ids, stored[: len(ids)], stored[len(ids) :], strict=True):
            job = self._writes.peek(id)
            if job is not None:
                held.append((job.record, None, veto is not None))
            elif entry is None:
                orphans.append(id)
                held.append((None, None, False))
            else:
                held.append((self._decoded(id, entry), entry.stamp, veto is not None))
        if orphans:
            self.spawn(self._forget_vectors(orphans))
        return held

    async def _verified(self, asked: str, answered: str, similarity: float, ladder: Ladder) -> bool:
        """Ask every verifier in turn; a verifier that fails or takes too long rejects."""
        for verifier in self.parts.verifiers:
            if verifier.costly and not ladder.is_doubtful(similarity):
                continue
            call = verifier.verify(asked, answered)
            try:
                verdict = await (self._judges.call(call) if verifier.costly else call)
            except Exception as error:  # noqa: BLE001  the edge to plugin code: an error is a reject
                self.observatory.fault("verify", error)
                ladder.turned_down("verifier-error")
                return False
            similarity = ladder.weigh(verdict, similarity)
            if similarity < 0:
                return False
        return True

    def _decoded(self, entry_id: bytes, stored: Stored) -> Record | None:
        try:
            return wire.decode(stored.data)
        except (wire.NewerVersion, wire.Undecodable) as error:
            self._unreadable(entry_id, error)
            return None

    # -- writing --------------------------------------------------------------------------------------------------

    async def keep(
        self,
        query: Query,
        record: Record,
        *,
        policy: Policy,
        tags: Sequence[str] = (),
        vector: Vector | None = None,
        wait: bool = False,
    ) -> bool:
        """Store ``record`` as the answer of ``query``; return False if it was refused or, when waited for, not written.

        Off the caller's path unless ``wait`` is given or nothing may outlive the request.
        """
        all_tags = self._tags(query, tags)
        if any(record.born_at <= self._stamped.get(tag, float("-inf")) for tag in all_tags):
            return False
        if not self._may_store(query, record):
            return False
        semantic = self._embeddings is not None and bool(query.text) and query.exact_only is None and not record.exact_only
        job = Job(
            query=query,
            record=record,
            data=wire.encode(record),
            keep_until=freshness.keep_until(record.expires_at, stale_window=policy.stale_window),
            tags=all_tags,
            semantic=semantic and policy.match == "semantic",
            vector=vector,
        )
        if wait or not self.background:
            self._writes.forget(query.entry_id)
            return await self._writes.write((job,))
        self._writes.queue(job)
        return True

    def _tags(self, query: Query, tags: Sequence[str]) -> tuple[bytes, ...]:
        own = (namespace_tag(query.namespace), partition_tag(query.partition))
        return (*own, *(tag_digest(query.namespace, tag) for tag in tags)) if tags else own

    def _may_store(self, query: Query, record: Record) -> bool:
        for may_store in self.parts.vetoes:
            try:
                if may_store(query, record) is False:
                    return False
            except Exception as error:  # noqa: BLE001  the edge to plugin code: what nobody could judge is not stored
                self.observatory.fault("may-store", error)
                return False
        return True

    # -- forgetting -----------------------------------------------------------------------------------------------

    async def forget(self, entry_id: bytes) -> None:
        """Delete one entry: the vector first, then the response. Raises DependencyError."""
        self._writes.forget(entry_id)
        await self._forget_vectors((entry_id,))
        await self._responses.call(self.parts.responses.delete((entry_id,)))

    async def reject(self, query: Query, entry_id: bytes) -> None:
        """Let the entry never again answer this text. Raises DependencyError.

        An entry that was made for this very text is deleted: its answer is wrong for everybody it could serve.
        """
        self.flights.ground()
        if entry_id == query.entry_id:
            await self.forget(entry_id)
            return
        until = self.clock() + _VETO_TTL
        await self._responses.call(
            self.parts.responses.set(veto_id(query, entry_id), _VETO, keep_until=until, tags=self._tags(query, ()))
        )

    async def stamp(self, tags: Sequence[bytes], *, at: float | None = None) -> None:
        """Make everything dead that carries one of ``tags`` and was born at or before ``at`` (now). Raises DependencyError."""
        at = self.clock() if at is None else at
        self.flights.ground()
        for tag in tags:
            self._stamped[tag] = max(at, self._stamped.get(tag, at))
        while len(self._stamped) > _STAMPS_REMEMBERED:
            del self._stamped[next(iter(self._stamped))]
        self._writes.forget_stamped(frozenset(tags), at)
        await self._responses.call(self.parts.stamps.stamp(tags, at=at))

    async def stamp_partition(self, partition: bytes) -> None:
        """Make everything in a partition dead: the upstream turned its credential away. Never raises."""
        try:
            await self.stamp((partition_tag(partition),))
        except DependencyError:
            return

    async def _forget_vectors(self, ids: Sequence[bytes]) -> None:
        await self._vectors.call(self.parts.vectors.delete(ids))

    async def sweep(self) -> None:
        """Delete what has expired, once a minute, until cancelled."""
        while True:
            await asyncio.sleep(_SWEEP_EVERY)
            for store in self.parts.sweepers:
                try:
                    await store.sweep(now=self.clock())
                except Exception as error:  # noqa: BLE001  the edge to plugin code: a sweep that fails is tried again in a minute
                    self.observatory.fault("sweep", error)

    # -- house-keeping --------------------------------------------------------------------------------------------

    def spawn(self, work: Coroutine[Any, Any, object]) -> None:
        """Run ``work`` in the background if anything may outlive the request; what it raises is a fault, not a crash."""
        if not self.background:
            work.close()
            return
        task = asyncio.create_task(self._guarded(work))
        task.add_done_callback(lambda _: work.close())  # For a task that is cancelled before it begins.
        self.adopt(task)

    async def _guarded(self, work: Coroutine[Any, Any, object]) -> None:
        try:
            await work
        except DependencyError:
            return  # Counted where it was raised.
        except Exception as error:  # noqa: BLE001  the edge of the request: nobody waits for this task
            self.observatory.fault("background", error)

    def bypassed(self, reason: str, *, policy: Policy, started: float, namespace: str) -> None:
        """Count and tell that a request was recognised and refused."""
        self.observatory.count_unserved("bypass", reason)
        if self.observatory.is_heard:
            now = self.clock()
            self.observatory.tell(
                Decision(
                    outcome="bypass",
                    reason=reason,
                    namespace=namespace,
                    route=policy.route,
                    at=now,
                    elapsed=now - started,
                )
            )

    def adopt(self, task: asyncio.Future[Any]) -> None:
        """Keep hold of a task that outlives the request it began in."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def conclude(self, found: Found, query: Query, *, policy: Policy, started: float, observed: bool = False) -> None:
        """Count and tell the decision of one request. ``started`` is when it came in, by ``clock``."""
        elapsed = self.clock() - started
        record = found.record
        if record is not None:
            self.observatory.count_served(found, elapsed)
        else:
            self.observatory.count_unserved(found.outcome, found.reason)
            if query.fields:
                self.observatory.splits.watch(hash((query.partition, query.text)), query.fields)
        if self.observatory.is_heard:
            self.observatory.tell(
                Decision(
                    outcome=found.outcome,
                    reason=found.reason,
                    namespace=query.namespace,
                    route=policy.route,
                    source=found.source,
                    similarity=found.similarity,
                    entry_id=None if found.entry_id is None else found.entry_id.hex(),
                    at=started + elapsed,
                    elapsed=elapsed,
                    saved_tokens=0 if record is None else record.tokens,
                    saved_seconds=0.0 if record is None else max(0.0, record.cost - elapsed),
                    observed=observed,
                )
            )
