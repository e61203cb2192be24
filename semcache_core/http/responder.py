"""What the ASGI driver does with one claimed request."""

from __future__ import annotations

import secrets
import time
from collections.abc import Coroutine, Sequence
from typing import Any

from semcache_core.engine.decide import Found
from semcache_core.engine.single_flight import Flight
from semcache_core.http import headers as rules
from semcache_core.http import status
from semcache_core.http.asgi.messages import App, Incoming, Message, Receive, Scope, Send
from semcache_core.http.context import DriverContext
from semcache_core.http.exchange import ANSWER_STRIPPED, CacheableRequest, RequestHead, ask
from semcache_core.http.replay import Replay, replayed
from semcache_core.http.route import Route
from semcache_core.http.upstream import lead, scope_without_directives
from semcache_core.http.visit import UNPROVEN, Visit, send_replay
from semcache_core.http.waiting import Ending, wait_for
from semcache_core.types import Bypass, Headers

_TOO_LARGE = Bypass(reason="body-too-large")
_BROKEN = Bypass(reason="extract-error")
_ONLY_IF_CACHED = (
    b'{"error":{"message":"not in the cache, and the request allows nothing else","type":"only-if-cached"}}'
)


async def respond(
    app: App,
    context: DriverContext,
    route: Route,
    scope: Scope,
    receive: Receive,
    send: Send,
    *,
    path: bytes,
    who: str | None,
) -> None:
    """Answer one claimed request: from the cache, from an equal request's flight, or from the application."""
    engine = context.engine
    started = engine.clock()
    first = await receive()
    incoming = Incoming(receive, [first])
    if first["type"] == "http.request" and not first.get("more_body", False):
        body: bytes | None = first.get("body", b"")
    else:
        body = await incoming.rest(most=route.policy.max_body, announced=_announced(scope["headers"]))
    asking = _asked(context, route, scope, body, path=path, who=who, now=started)
    if asking is None:
        await app(scope, incoming.receive, send)
        return
    if isinstance(asking, Bypass):
        engine.observatory.bypassed(asking.reason, policy=route.policy, started=started, namespace=context.namespace)
        await _passed_by(app, context, scope, incoming, send, asking.reason)
        return
    known, head = asking.known, asking.known.head
    policy, directives = head.route.policy, head.directives
    observing = policy.mode == "observe"
    ending: Ending | None = Ending.AGAIN
    while ending is Ending.AGAIN:
        found = UNPROVEN
        if not (context.shared and _is_unproven(asking, started)):
            found = engine.find_nowait(known, policy=policy, directives=directives, now=engine.clock())
        if found.outcome == "miss":
            found = _unsearched(asking, found) or await _searched(asking, found)
        replay = None
        if found.record is not None:
            replay, found = _framed(asking, found, started)
            if replay is not None and not observing:
                engine.observatory.conclude(found, known, policy=policy, started=started)
                await send_replay(send, replay)
                if found.outcome == "stale" and directives.joins:
                    visit = Visit(app, scope, send, incoming, asking, found, started, engine, observed=observing)
                    _refresh(visit)
                return
        if found.outcome == "bypass":
            engine.observatory.bypassed(found.reason, policy=policy, started=started, namespace=known.namespace)
            await _passed_by(app, context, scope, incoming, send, found.reason)
            return
        visit = Visit(app, scope, send, incoming, asking, found, started, engine, observed=observing)
        ending = await _forwarded(visit)


def _asked(
    context: DriverContext, route: Route, scope: Scope, body: bytes | None, *, path: bytes, who: str | None, now: float
) -> CacheableRequest | Bypass | None:
    if body is None or len(body) > route.policy.max_body:
        return _TOO_LARGE
    call = RequestHead(
        scope["method"],
        scope.get("scheme", "http"),
        scope.get("root_path", ""),
        path,
        scope.get("query_string", b""),
        tuple(scope["headers"]),
        who,
    )
    try:
        return ask(context, route, call, body, now=now)
    except Exception as error:  # noqa: BLE001  the edge to extractors: what cannot be keyed is not for the cache
        context.engine.observatory.fault("extract", error)
        return _BROKEN


def _unsearched(asking: CacheableRequest, missed: Found) -> Found | None:
    """Return what comes of a look-up that found nothing at hand, where that waits for nothing; None: go on looking."""
    if missed.reason == "unread":
        return None
    engine, head = asking.context.engine, asking.known.head
    try:
        # One that was known by its bytes is read only here.
        query = asking.query
    except Exception as error:  # noqa: BLE001  the edge to extractors: what cannot be keyed is not for the cache
        engine.observatory.fault("extract", error)
        return Found(outcome="bypass", reason=_BROKEN.reason)
    if missed is UNPROVEN:
        return missed
    return engine.unsearched(query, missed, policy=head.route.policy, directives=head.directives)


async def _searched(asking: CacheableRequest, missed: Found) -> Found:
    """Return what answers the request, where that has to be waited for."""
    engine, known, head = asking.context.engine, asking.known, asking.known.head
    policy, directives = head.route.policy, head.directives
    spent = 0.0
    if missed.reason == "unread":
        began = time.monotonic()
        missed = await engine.read(known, policy=policy, directives=directives)
        spent = time.monotonic() - began
        found = missed if missed.outcome != "miss" else _unsearched(asking, missed)
        if found is not None:
            return found
    return await engine.search(asking.query, missed, policy=policy, directives=directives, spent=spent)


def _is_unproven(asking: CacheableRequest, now: float) -> bool:
    """Say whether upstream would have to take the caller's credential first: under a shared identity only."""
    context, directives = asking.context, asking.directives
    if directives.off or not directives.lookup:
        return False  # Nothing is looked up for it anyway.
    return not context.proofs.hold(asking.proof, now=now)


async def _passed_by(
    app: App, context: DriverContext, scope: Scope, incoming: Incoming, send: Send, reason: str
) -> None:
    """Forward a request that is recognised and refused: nothing of it changes but two fields that say so."""
    marked = _Marked(send, status.bypassed(reason) if context.options.status_headers else ()).send
    await app(scope_without_directives(scope), incoming.receive, marked)


def _framed(asking: CacheableRequest, found: Found, now: float) -> tuple[Replay | None, Found]:
    """Return the entry as this caller gets it; where it does not fit this caller, the decision becomes a miss."""
    fresh_id = secrets.token_hex(12) if found.source == "semantic" else ""
    try:
        replay = replayed(asking, found, now=now, fresh_id=fresh_id)
    except Exception as error:  # noqa: BLE001  the edge to extractors: what cannot be framed is asked for again
        asking.context.engine.observatory.fault("replay", error)
        replay = "undecodable"
    if isinstance(replay, Replay):
        return replay, found
    if replay == "undecodable":
        engine = asking.context.engine
        engine.spawn(engine.maintenance.forget(found.entry_id or asking.known.entry_id))
    return None, Found(outcome="miss", reason=replay, vector=found.vector)


def _forwarded(visit: Visit) -> Coroutine[Any, Any, Ending | None]:
    """Ask upstream, or wait for an equal request that does already; AGAIN if that one failed."""
    head, flights = visit.asking.known.head, visit.engine.flights
    directives = head.directives
    if directives.only_if_cached and not visit.observed:
        return _not_cached(visit)
    if visit.observed or not directives.joins or head.route.policy.ttl == 0:
        return lead(visit, flights.alone_flight())
    flight, is_leader = flights.join(visit.flight)
    return lead(visit, flight) if is_leader else _joined(visit, flight)


async def _not_cached(visit: Visit) -> None:
    visit.conclude()
    await _send_json(visit.send, 504, _ONLY_IF_CACHED)


async def _joined(visit: Visit, flight: Flight[Any]) -> Ending | None:
    ending = await wait_for(visit, flight)
    if ending is Ending.ALONE:
        await lead(visit, visit.engine.flights.alone_flight())
    return ending


def _refresh(visit: Visit) -> None:
    """Ask upstream once for the caller who was served a stale answer; equal requests do not ask meanwhile."""
    engine = visit.engine
    try:
        flight = engine.flights.refresh(visit.flight)
    except Exception as error:  # noqa: BLE001  the edge to extractors: the caller has its answer
        engine.observatory.fault("extract", error)
        return
    if flight is None:
        return
    engine.spawn(lead(visit.again(), flight))


class _Marked:
    """A ``send`` that adds fields to the answer's head, and takes out what was meant for the cache."""

    __slots__ = ("_fields", "_send")

    def __init__(self, send: Send, fields: Headers) -> None:
        self._send, self._fields = send, fields

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            kept = rules.without(message.get("headers") or (), ANSWER_STRIPPED)
            message = {**message, "headers": [*kept, *self._fields]}
        await self._send(message)


async def _send_json(send: Send, code: int, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": code, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _announced(headers: Sequence[tuple[bytes, bytes]]) -> int | None:
    for name, value in headers:
        if name == b"content-length":
            # No length has more than 20 digits, and Python refuses to read thousands of them.
            return int(value) if value.isdigit() and len(value) <= 20 else None
    return None
