"""Upstream's answer to one request, whatever carries it: recorded, shared with the waiters, stored at its end.

    sent = await answer.head(status, headers)      # the fields that the caller gets, or Replace
    await answer.feed(chunk, more=True)            # record, publish to the waiters
    await answer.end()                             # store, or count why not
    replay = await answer.fail()                   # upstream raised: what may stand in for its answer
    answer.close()                                 # in any case, at the end

A driver calls these in this order, on the cache's home loop, and forwards at once what upstream says. Whatever goes
wrong in here, the caller gets the answer as it comes.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from functools import partial
from typing import Any

import msgspec

from semcache_core.engine.decide import Found
from semcache_core.engine.engine import Engine
from semcache_core.engine.flight import Flight
from semcache_core.engine.offload import LONG, Busy
from semcache_core.http import headers as rules
from semcache_core.http import status
from semcache_core.http.coding import CannotDecode
from semcache_core.http.missed import Missed
from semcache_core.http.recording import Kept, Recording
from semcache_core.http.replay import Replay, framed
from semcache_core.http.request import BUSY
from semcache_core.protocols import AnswerHead, Refused
from semcache_core.reasons import Code
from semcache_core.types import Entity, Quiet

SentHeaders = list[tuple[Any, Any]]
"""Header fields as the driver has them: what the cache does not read stays as it is."""


class Replace(Quiet, msgspec.Struct, frozen=True):
    """Send ``replay`` instead of upstream's answer, and drop what upstream still says."""

    replay: Replay


class UpstreamAnswer(Entity):
    """The answer that one request fetches, as the leader of ``flight``."""

    missed: Missed
    flight: Flight[Any]
    _engine: Engine
    _recording: Recording | None
    _begun: bool = False
    """Its head has come: nothing can stand in for it any more."""
    _shares: bool = False
    """Waiters get it too."""
    _ended: bool = False

    @classmethod
    def led(cls, missed: Missed, flight: Flight[Any]) -> UpstreamAnswer:
        """Return the answer that is about to be fetched; without a stale one to stand in, the decision is made."""
        engine = missed.context.engine
        flight.most = missed.request.route.policy.max_body
        if missed.found.fallback is None:
            missed.conclude()
        recording = None if missed.is_withheld else Recording(missed.request, missed.key, missed.query, engine.clock())
        return cls(missed, flight, engine, recording)

    @property
    def is_shared(self) -> bool:
        """Whether another request waits for this answer."""
        return self.flight.waiting > 0

    async def unshared(self) -> None:
        """Return once no other request waits for this answer."""
        await self.flight.alone()

    # -- what a driver tells ----------------------------------------------------------------------------------------

    async def head(
        self, code: int, headers: Iterable[tuple[Any, Any]], *, trailers: bool = False
    ) -> SentHeaders | Replace:
        """Take the head of upstream's answer; return the fields that the caller gets, or what replaces the answer.

        ``trailers``: fields follow the body, which makes the answer one that cannot be recorded.
        """
        if code >= 500 or code == 429:
            replay = await self._stand_in(code)
            if replay is not None:
                self._ended = True
                self.flight.fail()
                return Replace(replay)
        self._begun = True
        self.missed.conclude()
        sent = list(headers)
        try:
            self._note_status(code)
            answer = AnswerHead(code, rules.lowered(sent))
            if not rules.ANSWER_STRIPPED.isdisjoint(dict(answer.headers)):
                sent = rules.without(sent, rules.ANSWER_STRIPPED)
            recording = self._recording
            if recording is not None:
                shared = recording.begin(answer, now=self._engine.clock())
                if trailers:
                    recording.refuse("trailers")
                elif shared is not None:
                    self._shares = True
                    self.flight.publish(shared)
                if not self._shares:
                    # A good answer for its own caller only: the waiters need not wait for another such one.
                    self.flight.fail(alone=code == 200)
        except Exception as error:  # noqa: BLE001  the edge of our own work: a fault of ours never reaches the caller
            self._give_up(error)
        missed = self.missed
        sent += (
            status.observed(missed.found, shown=missed.request.profile.disclosure)
            if missed.is_withheld
            else status.missed(missed.found, shown=missed.request.profile.disclosure)
        )
        return sent

    async def feed(self, chunk: bytes, *, more: bool) -> None:
        """Take the next piece of the body, before it goes out; ``more``: others follow.

        The answer is stored before its caller has the last piece where others wait for it, and where the protocol marks
        its own end: many clients hang up there, and the answer would be lost.
        """
        recording = self._recording
        if recording is None:
            is_whole = False
        elif len(chunk) <= LONG and not recording.is_coded:
            is_whole = self._record(recording, chunk)
        else:
            is_whole = await self._record_in_parts(recording, chunk)
        if is_whole or (not more and self.flight.waiting):
            await self.end()
        elif self.flight.waiting and self.flight.is_crowded:
            await self.flight.make_room()

    async def end(self) -> None:
        """The answer is whole: store it or count why not, and let the waiters go. Harmless twice."""
        if self._ended:
            return
        self._ended = True
        recording = self._recording
        try:
            if recording is not None and recording.takes_long:
                # The caller may leave as soon as it has everything: the answer is stored all the same.
                storing = asyncio.ensure_future(self._store(recording))
                self._engine.adopt(storing)
                await asyncio.shield(storing)
            elif recording is not None:
                await self._store(recording)
        finally:
            self.flight.complete()

    async def _store(self, recording: Recording) -> None:
        try:
            await self._keep(await self._finished(recording))
        except Exception as error:  # noqa: BLE001  see ``head``
            self._give_up(error)

    async def _finished(self, recording: Recording) -> Kept | Refused:
        finish = partial(recording.finish, now=self._engine.clock(), draw=random.random())  # noqa: S311  jitter
        if not recording.takes_long:
            return finish()
        try:
            return await self.missed.request.off_loop(finish)
        except Busy:
            return Refused(BUSY.reason, complete=False)

    async def _keep(self, outcome: Kept | Refused) -> None:
        missed, request = self.missed, self.missed.request
        if isinstance(outcome, Refused):
            if outcome.cut_off:
                self.flight.fail(alone=True)
            self._unstored(outcome.reason)
            is_refused = outcome.complete
        elif await self._would_replace_others():
            self._unstored("live-entry")
            return
        else:
            self._recording = None
            not_kept = self._engine.keep(
                missed.query,
                outcome.record,
                policy=request.route.policy,
                tags=outcome.tags,
                found=missed.found,
                refreshes=not request.profile.directives.lookup,
            )
            is_refused = not_kept is not None and not_kept.complete
        if is_refused and request.profile.joins:
            self._engine.flights.mark_hit_for_miss(missed.flight_key)

    async def _would_replace_others(self) -> bool:
        """Say whether the entry is everybody's, lives, and is not this caller's to replace."""
        missed = self.missed
        if not missed.context.shared or missed.may_replace:
            return False
        return await self._engine.fallback(missed.query, policy=missed.request.route.policy) is not None

    def decline(self, reason: Code) -> None:
        """Part of the answer comes in a way that cannot be recorded: keep nothing, share nothing."""
        if self._recording is not None:
            self._recording.refuse(reason)
            self.flight.fail(alone=True)

    async def fail(self) -> Replay | None:
        """Upstream raised. Return the stale answer that may stand in for it; None: there is none, or it is too late."""
        if self._begun or self._ended:
            return None
        self._begun = True
        return await self._stand_in(None)

    async def leave(self) -> bool:
        """The client has left: close, unless other requests wait for the answer; return whether it is closed."""
        if self.is_shared:
            return False
        self.close()
        return True

    def close(self) -> None:
        """The request is over: let the waiters of an unfinished answer go, and count it. Harmless twice."""
        if not self._ended:
            self._ended = True
            self.flight.fail()
            self._unstored("aborted")
        self.missed.conclude()

    # -- what becomes of it -----------------------------------------------------------------------------------------

    def _note_status(self, code: int) -> None:
        """Under a shared identity, note whether upstream accepts the credential; a refusal withdraws its answers."""
        if code in (401, 403):
            self._withdraw()
        elif self.missed.context.shared and 200 <= code < 300:
            self.missed.context.proofs.note(self.missed.request.proof(), now=self._engine.clock())

    async def _record_in_parts(self, recording: Recording, chunk: bytes) -> bool:
        """Record a long or coded piece part by part; other requests have their turn in between."""
        contents: list[bytes] = []
        since = 0
        try:
            for part in recording.parts(chunk):
                contents.append(recording.feed(part))
                if recording.refused is not None and not self.flight.waiting:
                    break
                since += len(part)
                if since >= LONG:
                    since = 0
                    await asyncio.sleep(0)
            self._publish(recording, b"".join(contents))
        except CannotDecode:
            # The waiters cannot have the rest: half an answer must not look whole.
            self._recording = None
            self.flight.fail(alone=True)
        except Exception as error:  # noqa: BLE001  see ``head``
            self._give_up(error)
            return False
        return recording.is_whole

    def _record(self, recording: Recording, chunk: bytes) -> bool:
        """Record one piece and publish it; return whether the answer has come to the protocol's own end."""
        try:
            self._publish(recording, recording.feed(chunk))
        except Exception as error:  # noqa: BLE001  see ``head``
            self._give_up(error)
            return False
        return recording.is_whole

    def _publish(self, recording: Recording, content: bytes) -> None:
        """Give the waiters what came, and note if the answer is refused by now."""
        flight, refused = self.flight, recording.refused
        if content:
            flight.publish(content, size=len(content))
        if refused is not None:
            if self._shares:
                # The waiters still get all of it; no other request can join what is not kept.
                self._shares = False
                flight.stop_joining()
            if not (refused.complete or flight.waiting):
                self._unstored(refused.reason)

    def _unstored(self, reason: Code) -> None:
        """Record no more, and count why nothing is stored: what was found first, else ``reason``."""
        recording, self._recording = self._recording, None
        if recording is not None:
            refused = recording.refused
            self._engine.observatory.count_unstored(reason if refused is None else refused.reason)

    def _withdraw(self) -> None:
        """Upstream refused the credential: what it was answered before, it gets no more."""
        context, request = self.missed.context, self.missed.request
        if context.shared:
            # One caller's wrong credential must not empty everybody's cache.
            context.proofs.withdraw(request.proof())
        else:
            self._engine.withdraw(request.known.address.partition)

    async def _stand_in(self, code: int | None) -> Replay | None:
        """Return the stale answer that may replace a failing upstream's.

        ``code``: the status that upstream answered with; None: it raised.
        """
        missed, request, engine = self.missed, self.missed.request, self._engine
        policy = request.route.policy
        if missed.found.fallback is None or policy.mode == "observe":
            return None
        # Upstream took its time: what was found before may have been invalidated since.
        record = await engine.fallback(missed.query, policy=policy)
        if record is None:
            return None
        now = engine.clock()
        found = Found(outcome="stale", reason="stale-if-error", source="exact", similarity=1.0, record=record, now=now)
        replay = await framed(request, found, now=now, stands_in=True, upstream_status=code)
        if not isinstance(replay, Replay):
            return None
        missed.conclude(found)
        return replay

    def _give_up(self, error: Exception) -> None:
        self._recording = None
        self._engine.observatory.fault("record", error)
        self.flight.fail(alone=True)
