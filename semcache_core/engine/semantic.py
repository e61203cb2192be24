"""The semantic half of a lookup: embed, search the scope, read the candidates, verify, choose."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

import msgspec

from semcache_core.engine import record_codec
from semcache_core.engine.components import Guards, OpenComponents
from semcache_core.engine.decide import CandidateBar, Directives, Found, is_dead, serves
from semcache_core.engine.embeddings import EmbedderBusy, Embeddings
from semcache_core.engine.jobs import Unindexed
from semcache_core.engine.maintenance import Maintenance
from semcache_core.engine.writes import Writes
from semcache_core.errors import DependencyError, TextTooLong, TextUnreadable
from semcache_core.keys.digests import veto_id
from semcache_core.reasons import Code
from semcache_core.settings import Policy
from semcache_core.types import Match, Query, Quiet, Record, Stored, Struct, Vector, Verdict

NEIGHBOURS = 5
"""How many candidates a search returns: a verifier may reject the first ones."""
FLOOR = 0.0
"""The lowest similarity that a search returns: below every threshold, so that a miss can report the nearest entry.
Entries below the threshold are neither read nor served.
"""
MOST_WAITING = 64
"""How many of a scope's queued writes are compared, newest first: more are queued only while a store fails."""

_similarity = attrgetter("similarity")
_LARGEST_COSINE = 1.01
"""A similarity above it is not a cosine, even of vectors stored in half precision."""


class Considered(Quiet, Struct, frozen=True, kw_only=True):
    """One entry that a search found, and whether it answers."""

    entry_id: bytes
    similarity: float
    reason: Code | None
    """Why it does not answer; None if it does."""
    verdicts: tuple[tuple[str, Verdict], ...] = ()
    """The verdict of each verifier that ran, with the verifier's name."""


class Asked(Quiet, Struct, frozen=True, kw_only=True):
    """One question to compare: the query, its rules, and the time."""

    query: Query
    policy: Policy
    directives: Directives
    now: float
    trail: list[Considered] | None = None
    """Receives each entry that the search considers, in order; None: not wanted."""

    @property
    def threshold(self) -> float:
        """The route's threshold, or the caller's where that is higher."""
        return max(self.policy.threshold, self.directives.threshold or 0.0)


class Candidate(Quiet, Struct, frozen=True, kw_only=True):
    """An entry near enough to be considered."""

    entry_id: bytes
    similarity: float
    record: Record
    invalidated_at: float | None
    vetoed: bool


class SemanticSearch:
    """Finds an entry for the same question in other words."""

    def __init__(
        self,
        parts: OpenComponents,
        guards: Guards,
        embeddings: Embeddings,
        writes: Writes,
        maintenance: Maintenance,
    ) -> None:
        self._parts, self._guards = parts, guards
        self._embeddings, self._writes, self._maintenance = embeddings, writes, maintenance

    async def find(self, asked: Asked) -> Found:
        """Return the nearest entry that may answer, or why none may. A failing component never raises here."""
        query = asked.query
        try:
            vector = await self._embeddings.of(query.partition, query.nearby.text)
        except TextTooLong:
            return Found(outcome="miss", reason="long-text")
        except TextUnreadable:
            return Found(outcome="miss", reason="unreadable-text")
        except EmbedderBusy:
            return Found(outcome="miss", reason="embedder-busy")
        except DependencyError:
            return Found(outcome="miss", reason="embedder-unavailable")
        try:
            ranked = await self._ranked(asked, vector)
            found = await self._best(asked, ranked)
        except DependencyError:
            return Found(outcome="miss", reason="store-unavailable", vector=vector)
        return msgspec.structs.replace(found, vector=vector) if found.outcome == "miss" else found

    async def _ranked(self, asked: Asked, vector: Vector) -> Sequence[Match]:
        """Search the store and the queued writes, which are visible in their own process."""
        scope = asked.query.nearby.store_scope
        found = await self._guards.vectors.call(
            self._parts.vectors.search(vector, scope=scope, limit=NEIGHBOURS, floor=FLOOR, now=asked.now),
            # A scope may be slow because it is large, or has to be loaded.
            sources=(asked.query.partition,),
        )
        waiting = self._writes.queued_in(scope) if self._writes.has_queued_in(scope) else ()
        if waiting:
            found = await self._among(waiting[-MOST_WAITING:], found, vector=vector)
        # If a store returns percentages or NaN, the search finds nothing instead of everything.
        cosines = [match for match in found if FLOOR <= match.similarity <= _LARGEST_COSINE]
        return sorted(cosines, key=_similarity, reverse=True)[:NEIGHBOURS] if len(cosines) > 1 else cosines

    async def _among(self, waiting: Sequence[Unindexed], found: Sequence[Match], *, vector: Vector) -> Sequence[Match]:
        """Merge the matches of the store with those of the queued writes; an entry may be in both."""
        matches = {match.id: match for match in found}
        for text in waiting:
            other = await self._writes.vector_of(text)
            if other is not None:
                similarity = max(0.0, float(vector @ other))
                matches[text.entry_id] = Match(id=text.entry_id, similarity=similarity)
        return tuple(matches.values())

    async def _best(self, asked: Asked, ranked: Sequence[Match]) -> Found:
        if not ranked:
            return Found(outcome="miss", reason="below-threshold")
        threshold = asked.threshold
        near = [match for match in ranked if match.similarity >= threshold]
        bar = CandidateBar(threshold)
        # All candidates are read in one trip if the store is remote; here one at a time, as the first mostly answers.
        trips = [near] if near and self._parts.get_nowait is None else [[match] for match in near]
        found = None
        for at, trip in enumerate(trips):
            if at and not bar.reaches(trip[0].similarity):
                break
            found = await self._first_fit(asked, await self._candidates(asked, trip), bar)
            if found is not None:
                break
        if asked.trail is not None:
            _note_rest(asked.trail, ranked)
        if found is not None:
            return found
        return Found(outcome="miss", reason=bar.reason, similarity=ranked[0].similarity, entry_id=ranked[0].id)

    async def _first_fit(self, asked: Asked, candidates: Sequence[Candidate], bar: CandidateBar) -> Found | None:
        for candidate in candidates:
            if not bar.reaches(candidate.similarity):
                break
            answer: Found | None = None
            verdicts: list[tuple[str, Verdict]] = []
            if candidate.vetoed:
                bar.turned_down("vetoed")
            else:
                found = serves(
                    candidate.record,
                    now=asked.now,
                    invalidated_at=candidate.invalidated_at,
                    policy=asked.policy,
                    directives=asked.directives,
                    source="semantic",
                )
                if found.record is None:
                    bar.passed_over(found.reason)
                elif await self._is_verified(asked.query, candidate, bar, verdicts):
                    answer = msgspec.structs.replace(
                        found, entry_id=candidate.entry_id, similarity=candidate.similarity
                    )
            if asked.trail is not None:
                asked.trail.append(_considered(candidate, None if answer is not None else bar.reason, verdicts))
            if answer is not None:
                return answer
        return None

    async def _candidates(self, asked: Asked, ranked: Sequence[Match]) -> list[Candidate]:
        """Read the candidates and this text's rejections of them in one trip; entries of another scope are left out."""
        query, ids = asked.query, [match.id for match in ranked]
        vetoes = [veto_id(query, id) for id in ids]
        # Before the read: a write that ends during it may be missing from both the result and the queue afterwards.
        waiting = [self._writes.queued(id) for id in ids]
        stored = await self._guards.responses.call(self._parts.responses.get((*ids, *vetoes), now=asked.now))
        candidates, orphans, dead = [], [], []
        for match, job, entry, veto in zip(ranked, waiting, stored[: len(ids)], stored[len(ids) :], strict=True):
            job = self._writes.queued(match.id) or job
            if job is None and entry is None:
                orphans.append(match.id)
                continue
            record = job.record if job is not None else self._decoded(match.id, entry)
            if (
                record is not None
                and not record.exact_only
                and record.partition == query.partition
                and record.scope == query.nearby.scope
            ):
                invalidated_at = entry.invalidated_at if job is None and entry is not None else None
                is_invalidated = invalidated_at is not None and is_dead(record, invalidated_at=invalidated_at)
                if is_invalidated and match.id != query.entry_id:
                    dead.append(match.id)  # The caller's own entry is replaced by the new answer.
                candidates.append(
                    Candidate(
                        entry_id=match.id,
                        similarity=match.similarity,
                        record=record,
                        invalidated_at=invalidated_at,
                        vetoed=veto is not None,
                    )
                )
        if orphans:
            self._maintenance.prune(orphans)
        if dead:
            self._maintenance.bury(dead, now=asked.now)
        return candidates

    def _decoded(self, entry_id: bytes, entry: Stored | None) -> Record | None:
        try:
            return None if entry is None else record_codec.decode(entry.data)
        except (record_codec.NewerVersion, record_codec.Undecodable) as error:
            self._maintenance.unreadable(entry_id, error)
            return None

    async def _is_verified(
        self, query: Query, candidate: Candidate, bar: CandidateBar, verdicts: list[tuple[str, Verdict]]
    ) -> bool:
        """Run the verifiers in order and note each verdict; one that fails or times out rejects."""
        similarity = candidate.similarity
        for verifier in self._parts.verifiers:
            if verifier.costly and not bar.is_doubtful(similarity):
                continue
            call = verifier.verify(query.nearby.text, candidate.record.text)
            if verifier.costly:
                call = self._guards.judges.call(call, sources=(query.partition,))
            try:
                verdict = await call
            except Exception as error:  # noqa: BLE001  the edge to plugin code: an error is a reject
                self._maintenance.fault("verify", error)
                bar.turned_down("verifier-error")
                return False
            verdicts.append((type(verifier).__name__, verdict))
            similarity = bar.weigh(verdict, similarity)
            if similarity < 0:
                return False
        return True


def _considered(candidate: Candidate, reason: Code | None, verdicts: Sequence[tuple[str, Verdict]]) -> Considered:
    return Considered(
        entry_id=candidate.entry_id, similarity=candidate.similarity, reason=reason, verdicts=tuple(verdicts)
    )


def _note_rest(trail: list[Considered], ranked: Sequence[Match]) -> None:
    """Note the matches that were not read or are of another scope: too far, or too far after a reject."""
    noted = {each.entry_id for each in trail}
    trail += [
        Considered(entry_id=match.id, similarity=match.similarity, reason="below-threshold")
        for match in ranked
        if match.id not in noted
    ]
