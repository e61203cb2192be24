"""What the ASGI driver does with one claimed request."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from semcache_core.decide import Found
from semcache_core.http import status
from semcache_core.http.exchange import Asking, Call, ask
from semcache_core.http.messages import App, Incoming, Message, Receive, Scope, Send
from semcache_core.http.replay import Replay, replayed
from semcache_core.http.site import Desk, Route
from semcache_core.http.upstream import Upstream, scope_without_directives
from semcache_core.http.visit import Visit, send_replay
from semcache_core.http.waiting import Ending, wait_for
from semcache_core.types import Bypass, Headers

_TOO_LARGE = Bypass(reason="body-too-large")
_BROKEN = Bypass(reason="extract-error")
_OFF = Bypass(reason="off")
_UNPROVEN = Found(outcome="miss", reason="unproven-credential")
_ONLY_IF_CACHED = (
    b'{"error":{"message":"not in the cache, and the request allows nothing else","type":"only-if-cached"}}'
)


async def respond(
    app: App, desk: Desk, route: Route, scope: Scope, receive: Receive, send: Send, *, path: bytes, who: str | None
) -> None:
    """Answer one request that ``route`` claims: from the cache, from an equal request's flight, or from ``app``."""
    started = desk.engine.clock()
    incoming = Incoming(receive)
    body = await incoming.read(most=route.policy.max_body, announced=_announced(scope["headers"]))
    asking = _TOO_LARGE if body is None else _asked(desk, route, scope, body, path=path, who=who, now=started)
    if asking is None:
        await app(scope, incoming.receive, send)
        return
    if isinstance(asking, Bypass):
        await _bypassed(app, desk, route, scope, incoming, send, reason=asking.reason, started=started)
        return
    ending = Ending.AGAIN
    while ending is Ending.AGAIN:
        found = await _found(asking, started)
        if found.outcome == "bypass":
            await _bypassed(app, desk, route, scope, incoming, send, reason=found.reason, started=started)
            return
        replay = None
        if found.record is not None:
            replay, found = _framed(asking, found, started)
        visit = Visit(app, scope, send, incoming, asking=asking, found=found, started=started)
        if replay is not None and not visit.observed:
            await _answered(visit, replay)
            return
        ending = await _forwarded(visit)


def _asked(
    desk: Desk, route: Route, scope: Scope, body: bytes, *, path: bytes, who: str | None, now: float
) -> Asking | Bypass | None:
    call = Call(
        scope["method"],
        scope.get("scheme", "http"),
        scope.get("root_path", ""),
        path,
        scope.get("query_string", b""),
        tuple(scope["headers"]),
        who,
    )
    try:
        return ask(desk, route, call, body, now=now)
    except Exception as error:  # noqa: BLE001  the edge to extractors: what cannot be keyed is not for the cache
        desk.engine.observatory.fault("extract", error)
        return _BROKEN


async def _found(asking: Asking, now: float) -> Found:
    desk = asking.desk
    if desk.shared and asking.directives.lookup:
        credential = asking.credential
        if credential != desk.nobody and not desk.proofs.hold(credential, now=now):
            return _UNPROVEN
    return await desk.engine.find(asking.query, policy=asking.route.policy, directives=asking.directives)


def _framed(asking: Asking, found: Found, now: float) -> tuple[Replay | None, Found]:
    """Return the entry as this caller gets it; where it does not fit this caller, the decision becomes a miss."""
    fresh_id = secrets.token_hex(12) if found.source == "semantic" else ""
    try:
        replay = replayed(asking, found, now=now, fresh_id=fresh_id)
    except Exception as error:  # noqa: BLE001  the edge to extractors: what cannot be framed is asked for again
        asking.desk.engine.observatory.fault("replay", error)
        replay = "undecodable"
    if isinstance(replay, Replay):
        return replay, found
    if replay == "undecodable":
        engine = asking.desk.engine
        engine.spawn(engine.forget(found.entry_id or asking.query.entry_id))
    return None, Found(outcome="miss", reason=replay, vector=found.vector)


async def _answered(visit: Visit, replay: Replay) -> None:
    visit.conclude()
    await send_replay(visit.send, replay)
    if visit.found.outcome == "stale":
        await _refreshed(visit)


async def _forwarded(visit: Visit) -> Ending:
    """Ask upstream, or wait for an equal request that does already; AGAIN if that one failed."""
    directives, engine = visit.asking.directives, visit.engine
    if directives.only_if_cached:
        visit.conclude()
        await _send_json(visit.send, 504, _ONLY_IF_CACHED)
        return Ending.SERVED
    flight, leads = engine.flights.solo(), True
    if directives.joins and not visit.observed and visit.asking.route.policy.ttl != 0:
        flight, leads = engine.flights.board(visit.asking.query.flight)
    if not leads:
        ending = await wait_for(visit, flight)
        if ending is not Ending.ALONE:
            return ending
        flight = engine.flights.solo()
    await Upstream(visit, flight).run()
    return Ending.SERVED


async def _refreshed(visit: Visit) -> None:
    """Ask upstream once for the caller who was served a stale answer; equal requests do not ask meanwhile."""
    engine = visit.engine
    flight, leads = engine.flights.board(visit.asking.query.flight)
    if not leads:
        return
    work = Upstream(visit.again(), flight).run()
    if engine.background:
        engine.spawn(work)
        return
    try:
        await work
    except Exception as error:  # noqa: BLE001  the caller has its answer; nobody waits for this one
        engine.observatory.fault("background", error)


async def _bypassed(
    app: App, desk: Desk, route: Route, scope: Scope, incoming: Incoming, send: Send, *, reason: str, started: float
) -> None:
    """Forward a request that is recognised and refused: nothing of it changes but two fields that say so."""
    desk.engine.bypassed(reason, policy=route.policy, started=started, namespace=desk.namespace)
    if desk.options.status_headers:
        send = _Marked(send, status.bypassed(reason)).send
    await app(scope_without_directives(scope), incoming.receive, send)


class _Marked:
    """A ``send`` that adds fields to the answer's head."""

    __slots__ = ("_fields", "_send")

    def __init__(self, send: Send, fields: Headers) -> None:
        self._send, self._fields = send, fields

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*(message.get("headers") or ()), *self._fields]}
        await self._send(message)


async def _send_json(send: Send, code: int, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": code, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _announced(headers: Sequence[tuple[bytes, bytes]]) -> int | None:
    for name, value in headers:
        if name == b"content-length":
            return int(value) if value.isdigit() else None
    return None
