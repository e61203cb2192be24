"""The application's answer on its way to the caller: forwarded at once, recorded, shared with who waits."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Coroutine
from typing import Any

from semcache_core.engine.decide import Found
from semcache_core.engine.single_flight import Flight
from semcache_core.engine.writes import Job
from semcache_core.http import headers as rules
from semcache_core.http import status
from semcache_core.http.asgi.messages import Message, Scope, nowhere
from semcache_core.http.asgi.writer import ResponseWriter
from semcache_core.http.coding import CannotDecode
from semcache_core.http.exchange import ANSWER_STRIPPED, STRIPPED
from semcache_core.http.recording import Kept, Recording
from semcache_core.http.replay import Replay, replayed
from semcache_core.http.visit import Visit, send_replay
from semcache_core.protocols import AnswerHead, Refused
from semcache_core.reasons import Code
from semcache_core.types import Entity


def lead(visit: Visit, flight: Flight[Any]) -> Coroutine[Any, Any, None]:
    """Ask the application, as the leader of ``flight``.

    What the application raises is raised here, after everybody who waits was told.
    """
    return _Upstream(
        visit, flight, ResponseWriter(visit.send, flight, visit.asking.known.head.route.policy.max_body)
    ).run()


class _Upstream(Entity):
    """One call of the application. Whatever goes wrong with recording, the caller gets the answer as it comes."""

    _visit: Visit
    _flight: Flight[Any]
    _outbox: ResponseWriter
    _recording: Recording | None = None
    _shares: bool = False
    _started: bool = False
    _ended: bool = False
    _replaced: bool = False
    """A stale answer was sent instead: what the application still says goes nowhere."""

    async def run(self) -> None:
        visit = self._visit
        if visit.found.fallback is None:
            visit.conclude()
        if not (visit.observed and visit.found.record is not None):
            self._recording = Recording(visit.asking, visit.engine.clock())
        # The client may leave: the application hears of it once nobody else waits for its answer.
        visit.incoming.held = self._flight.alone
        try:
            scope = scope_without_directives(visit.scope) if visit.asking.known.head.addressed else visit.scope
            await visit.app(scope, visit.incoming.receive, self._on_message)
            if self._outbox.task is not None:
                await self._outbox.finish()
        except Exception:
            if not self._started:
                # Without a fallback nothing is sent: the server makes its own answer of the exception, as ever.
                self._started = self._replaced = await self._stand_in(None)
            raise
        finally:
            if not self._ended:
                self._flight.fail()
                self._unstored("aborted")
            if not visit.concluded:
                visit.conclude()
            if self._outbox.task is not None:
                self._outbox.close()
            # The answer is over: whoever still listens for the client hears of it at once.
            visit.incoming.held = None

    # -- what the application says --------------------------------------------------------------------------------

    def _on_message(self, message: Message) -> Awaitable[None]:
        """The application's ``send``."""
        kind = message["type"]
        if self._replaced:
            return nowhere(message)
        if kind == "http.response.body":
            return self._on_body(message)
        if kind == "http.response.start":
            return self._on_start(message)
        # Trailers, a file handed over by path: parts of the answer that never pass through here.
        if self._recording is not None and kind != "http.response.debug":
            self._recording.refuse("not-recordable")
            self._flight.fail(alone=True)
        return self._outbox.put(message)

    async def _on_start(self, message: Message) -> None:
        code: int = message["status"]
        if (code >= 500 or code == 429) and await self._stand_in(code):
            self._started = self._replaced = True
            self._flight.fail()
            self._ended = True
            return
        self._started = True
        visit = self._visit
        if not visit.concluded:
            visit.conclude()
        # ASGI allows any iterable, also one that can be walked once.
        sent = list(message.get("headers") or ())
        try:
            head = AnswerHead(code, rules.lowered(sent))
            if not ANSWER_STRIPPED.isdisjoint(dict(head.headers)):
                sent = rules.without(sent, ANSWER_STRIPPED)
            self._begin(head, trailers=bool(message.get("trailers")))
            if code in (401, 403):
                await self._turned_away()
        except Exception as error:  # noqa: BLE001  the edge of our own work: a fault of ours never reaches the caller
            self._gave_up(error)
        told = (
            status.observed(visit.found, shown=visit.asking.known.head.shown)
            if visit.observed and visit.found.record is not None
            else status.missed(visit.found, shown=visit.asking.known.head.shown)
        )
        sent += told
        await self._outbox.put({**message, "headers": sent})

    async def _on_body(self, message: Message) -> None:
        more = message.get("more_body", False)
        recording = self._recording
        if recording is not None:
            try:
                content = recording.feed(bytes(message.get("body", b"")))
                if content:
                    self._flight.publish(content)
                if recording.refused is not None and self._shares:
                    # Who waits already still gets all of it; nobody else can join what is not kept.
                    self._shares = False
                    self._flight.stop_joining()
                if recording.refused is not None and not (recording.refused.complete or self._flight.waiting):
                    self._unstored(recording.refused.reason)
            except CannotDecode:
                # Who waits cannot be told the rest: half an answer must not look whole.
                self._recording = None
                self._flight.fail(alone=True)
            except Exception as error:  # noqa: BLE001  see _on_start
                self._gave_up(error)
            else:
                if recording.done:
                    # Stored before the caller has this piece: many hang up on it, and an answer so left would be lost.
                    await self._end()
        if more or self._ended:
            await self._outbox.put(message)
        elif self._flight.waiting:
            await self._end()
            await self._outbox.put(message)
        else:
            await self._outbox.put(message)
            await self._end()

    # -- what becomes of it ---------------------------------------------------------------------------------------

    def _begin(self, head: AnswerHead, *, trailers: bool) -> None:
        visit = self._visit
        recording = self._recording
        context = visit.asking.context
        if context.shared and 200 <= head.status < 300:
            context.proofs.note(visit.asking.proof, now=visit.engine.clock())
        if recording is None:
            return
        shared = recording.begin(head, now=visit.engine.clock())
        if trailers:
            recording.refuse("trailers")
            shared = None
        if shared is not None:
            self._shares = True
            self._flight.publish(shared)
        elif head.status == 200:
            # A good answer for its own caller only: who waits need not wait for another such one.
            self._flight.fail(alone=True)
        else:
            self._flight.fail()

    async def _end(self) -> None:
        """The answer is whole: store it or say why not, and let everybody who waits go."""
        self._ended = True
        recording, flight, visit = self._recording, self._flight, self._visit
        if recording is None:
            flight.complete()
            return
        refused = False
        try:
            outcome = recording.finish(now=visit.engine.clock(), draw=random.random())  # noqa: S311  jitter
            if isinstance(outcome, Refused):
                refused = outcome.complete
                self._unstored(outcome.reason)
            else:
                self._recording = None
                job = self._job_of(outcome)
                if isinstance(job, Refused):
                    refused = job.complete
                elif visit.engine.background:
                    visit.engine.write_later(job)
                else:
                    await visit.engine.write(job)
        except Exception as error:  # noqa: BLE001  see _on_start
            self._gave_up(error)
        if refused and visit.asking.directives.joins:
            visit.engine.flights.mark_hit_for_miss(visit.flight)
        flight.complete()

    def _unstored(self, reason: Code) -> None:
        """Watch the answer no more, and count why it is not stored: what was found first, else ``reason``."""
        recording, self._recording = self._recording, None
        if recording is not None:
            refused = recording.refused
            self._visit.engine.observatory.count_unstored(reason if refused is None else refused.reason)

    def _job_of(self, kept: Kept) -> Job | Refused:
        visit = self._visit
        head = visit.asking.known.head
        return visit.engine.job_of(
            visit.asking.query,
            kept.record,
            policy=head.route.policy,
            tags=kept.tags,
            vector=visit.found.vector,
            refreshes=not head.directives.lookup,
        )

    async def _turned_away(self) -> None:
        """Upstream refused the credential: what it was answered before is no longer its to have."""
        visit = self._visit
        context, engine = visit.asking.context, visit.engine
        if context.shared:
            # One caller's wrong credential must not empty everybody's cache.
            context.proofs.withdraw(visit.asking.proof)
        elif engine.background:
            engine.spawn(engine.invalidate_partition(visit.asking.query.partition))
        else:
            await engine.invalidate_partition(visit.asking.query.partition)

    async def _stand_in(self, code: int | None) -> bool:
        """Send the stale answer that may replace a failing upstream; False where there is none that fits.

        ``code``: the status that upstream answered with; None: it raised.
        """
        visit = self._visit
        if visit.found.fallback is None or visit.observed:
            return False
        # Upstream took its time: what was found before may have been invalidated since.
        record = await visit.engine.fallback(visit.asking.query, policy=visit.asking.route.policy)
        if record is None:
            return False
        now = visit.engine.clock()
        found = Found(
            outcome="stale",
            reason="stale-if-error",
            source="exact",
            similarity=1.0,
            record=record,
            now=now,
        )
        try:
            replay = replayed(visit.asking, found, now=now, stands_in=True, upstream_status=code)
        except Exception as error:  # noqa: BLE001  see _on_start
            self._gave_up(error)
            return False
        if not isinstance(replay, Replay):
            return False
        visit.conclude(found)
        await send_replay(visit.send, replay)
        return True

    def _gave_up(self, error: Exception) -> None:
        self._recording = None
        self._visit.engine.observatory.fault("record", error)
        self._flight.fail(alone=True)


def scope_without_directives(scope: Scope) -> Scope:
    """Return the scope for the application, without the fields that are meant for the cache."""
    headers = scope["headers"]
    if STRIPPED.isdisjoint([name for name, _ in headers]):
        return scope
    return {**scope, "headers": rules.without(headers, STRIPPED)}
