"""One claimed HTTP request, whatever carries it: the only place of the decision order.

    step = await exchange.open(body)      # Serve, Wait, Forward or Pass
    step = await exchange.wait(step)      # after Wait: Follow, or another step

A driver (ASGI, WSGI, an HTTP client) only moves bytes: it does what the step says. After ``Forward`` it asks upstream
and tells ``step.answer`` what comes (``UpstreamAnswer``). All of it runs on the cache's home loop.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator
from typing import Any, cast

from semcache_core.engine.decide import Found
from semcache_core.engine.flight import Flight, FlightFailed
from semcache_core.engine.offload import Busy
from semcache_core.errors import AnswerAborted
from semcache_core.http import headers as rules
from semcache_core.http import status
from semcache_core.http.answer import UpstreamAnswer
from semcache_core.http.context import DriverContext
from semcache_core.http.missed import Missed
from semcache_core.http.recording import Shared
from semcache_core.http.replay import Replay, framed
from semcache_core.http.request import BUSY, CacheableRequest, RequestHead, Unread, recognise
from semcache_core.http.route import Route
from semcache_core.http.steps import Follow, Forward, Pass, Serve, Step, Wait, not_cached
from semcache_core.reasons import Code
from semcache_core.types import Bypass, Entity, Key

UNPROVEN = Found(outcome="miss", reason="unproven-credential")
"""Under a shared identity: upstream has not lately accepted this credential, so nothing is looked up for it."""

_TOO_LARGE = Bypass(reason="body-too-large")
_BROKEN = Bypass(reason="extract-error")
_UNTOUCHED = Pass(None)


class Exchange(Entity):
    """One claimed request on its way through the cache."""

    context: DriverContext
    route: Route
    head: RequestHead
    started: float
    """When the request came in, by the cache's clock."""
    request: CacheableRequest | None = None
    """What it asks, once ``open`` has read it and it is for the cache."""
    _answer: UpstreamAnswer | None = None

    async def open(self, body: bytes | None) -> Step:
        """Decide what happens to the request. ``body`` as it was sent; None: too large, or its end never came."""
        request = self._identified(body)
        if isinstance(request, Unread):
            request = await self._read(request)
        if request is None:
            return _UNTOUCHED
        if isinstance(request, Bypass):
            return self._bypass(request.reason)
        self.request = request
        return await self._decide(request)

    async def wait(self, step: Wait) -> Step:
        """Return the shared answer once it begins, or what to do where there is none to share."""
        missed, engine = step.missed, self.context.engine
        items = step.flight.items(patience=engine.limits.waiter_patience)
        try:
            shared = await anext(items, None)
        except FlightFailed as failed:
            if failed.alone:
                return self._lead(missed, engine.flights.alone_flight())
            return await self._decide(missed.request)
        digests = self.context.digests
        if not isinstance(shared, Shared) or not rules.matches(shared.vary, self.head.headers, digests=digests):
            await items.aclose()
            return self._lead(missed, engine.flights.alone_flight())
        missed.conclude()
        private = (status.PRIVATE,) if self.route.traits.private_hits else ()
        return Follow(shared.status, [*shared.headers, *private, *status.collapsed()], _pieces(items))

    async def refresh(self, step: Serve) -> Forward | None:
        """After a stale answer was served: ask upstream for a new one, without a caller; None: not now."""
        stale, flights = step.stale, self.context.engine.flights
        if stale is None:
            return None
        flight = flights.refresh(stale.flight_key)
        return None if flight is None else self._lead(stale, flight)

    def close(self) -> None:
        """The caller has left before the last step was done: it leads nothing any more. Harmless twice."""
        if self._answer is not None:
            self._answer.close()

    def abandon(self, _: object) -> None:
        """Do what ``close`` does, where a step came too late for its caller to take."""
        self.close()

    def _identified(self, body: bytes | None) -> CacheableRequest | Bypass | Unread | None:
        if body is None or len(body) > self.route.policy.max_body:
            return _TOO_LARGE
        try:
            return recognise(self.context, self.route, self.head, body, now=self.started)
        except Exception as error:  # noqa: BLE001  the edge to extractors: what cannot be keyed is not for the cache
            return self._unreadable(error)

    async def _read(self, request: Unread) -> CacheableRequest | Bypass | None:
        try:
            return await request.read_off_loop()
        except Exception as error:  # noqa: BLE001  the edge to extractors: what cannot be keyed is not for the cache
            return self._unreadable(error)

    def _unreadable(self, error: Exception) -> Bypass:
        """Return why a request that could not be read is not for the cache, and report what went wrong."""
        if isinstance(error, Busy):
            return BUSY
        self.context.engine.observatory.fault("extract", error)
        return _BROKEN

    async def _decide(self, request: CacheableRequest) -> Step:
        context, engine, profile = self.context, self.context.engine, request.profile
        policy, address = request.route.policy, request.known.address
        found = UNPROVEN
        if not (context.shared and self._is_unproven(request)):
            found = engine.find_nowait(address, policy=policy, directives=profile.directives, now=engine.clock())
            if found.outcome == "miss":
                searched = await self._searched(request, found)
                if isinstance(searched, Bypass):
                    return self._bypass(searched.reason)
                found = searched
        if found.record is not None:
            fresh_id = secrets.token_hex(12) if found.source == "semantic" else ""
            replay = await framed(request, found, now=self.started, fresh_id=fresh_id)
            if not isinstance(replay, Replay):
                found = self._unfit(request, found, replay)
            elif policy.mode != "observe":
                engine.observatory.conclude(found, address, policy=policy, started=self.started)
                return Serve(replay, await self._due(request, found) if found.outcome == "stale" else None)
        if found.outcome == "bypass":
            return self._bypass(found.reason)
        missed = await self._missed(request, found)
        return self._bypass(missed.reason) if isinstance(missed, Bypass) else self._upstream(missed)

    async def _searched(self, request: CacheableRequest, known: Found) -> Found | Bypass:
        """Return what the whole look-up finds after the miss of its first part, or why it is not for the cache."""
        try:
            return await self.context.engine.find(
                request.query or request.known.address,
                request.queried if request.query is None else None,
                policy=request.route.policy,
                directives=request.profile.directives,
                known=known,
            )
        except Exception as error:  # noqa: BLE001  the edge to extractors: what cannot be keyed is not for the cache
            return self._unreadable(error)

    async def _due(self, request: CacheableRequest, found: Found) -> Missed | None:
        """Return the request whose answer refreshes a stale one; None: the next caller refreshes it."""
        if not request.profile.joins:
            return None
        stale = await self._missed(request, found, concluded=True)
        if isinstance(stale, Bypass) or (self.context.shared and not stale.may_replace):
            return None
        return stale

    async def _missed(self, request: CacheableRequest, found: Found, *, concluded: bool = False) -> Missed | Bypass:
        """Return the request as one for upstream, or why it is not for the cache."""
        context = self.context
        try:
            query = request.query or await request.queried()
        except Exception as error:  # noqa: BLE001  the edge to extractors: what cannot be keyed is not for the cache
            return self._unreadable(error)
        flight_key = query.nearby.flight
        if found is UNPROVEN:
            # It shares with its like only.
            flight_key += request.credential()
        is_withheld = found.record is not None and request.route.policy.mode == "observe"
        key = cast("Key", request.key)
        return Missed(context, request, key, query, found, flight_key, self.started, is_withheld, concluded)

    def _upstream(self, missed: Missed) -> Step:
        """Ask upstream, or wait for an equal request that does already."""
        flights, policy, profile = self.context.engine.flights, missed.request.route.policy, missed.request.profile
        observing = policy.mode == "observe"
        if profile.directives.only_if_cached and not observing:
            missed.conclude()
            return not_cached()
        if observing or not profile.joins or policy.ttl == 0:
            return self._lead(missed, flights.alone_flight())
        flight, is_leader = flights.join(missed.flight_key)
        if not is_leader:
            return Wait(missed, flight)
        return self._lead(missed, flight)

    def _lead(self, missed: Missed, flight: Flight[Any]) -> Forward:
        self._answer = UpstreamAnswer.led(missed, flight)
        return Forward(self._answer)

    def _bypass(self, reason: Code) -> Pass:
        context = self.context
        context.engine.observatory.bypassed(
            reason, policy=self.route.policy, started=self.started, namespace=context.namespace
        )
        return Pass(status.bypassed(reason) if context.options.status_headers else ())

    def _is_unproven(self, request: CacheableRequest) -> bool:
        """Say whether upstream has to accept the caller's credential first: under a shared identity only."""
        directives = request.profile.directives
        if directives.off or not directives.lookup:
            return False  # Nothing is looked up in any case.
        return not self.context.proofs.hold(request.proof(), now=self.started)

    def _unfit(self, request: CacheableRequest, found: Found, reason: Code) -> Found:
        """Return the miss that becomes of an entry which does not fit this caller."""
        engine = self.context.engine
        if reason == "undecodable":
            engine.spawn(engine.maintenance.forget(found.entry_id or request.known.address.entry_id))
        similarity = found.similarity if found.source == "semantic" else None
        return Found(outcome="miss", reason=reason, vector=found.vector, similarity=similarity)


async def _pieces(items: AsyncGenerator[Any, None]) -> AsyncGenerator[bytes, None]:
    """Yield the pieces of a shared answer. Raises AnswerAborted where it breaks off."""
    try:
        async for piece in items:
            yield piece
    except FlightFailed:
        # Half an answer must not look whole. To return would not do: a middleware around may end what was left without
        # its end, as BaseHTTPMiddleware of Starlette 0.40 does.
        raise AnswerAborted("the answer that this request shared with an equal one broke off") from None
    finally:
        await items.aclose()
