"""What the ASGI driver does with one claimed request."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from semcache_core.decide import Found
from semcache_core.http import headers as rules
from semcache_core.http import status
from semcache_core.http.exchange import ANSWER_STRIPPED, Asking, Call, ask
from semcache_core.http.messages import App, Incoming, Message, Receive, Scope, Send
from semcache_core.http.replay import Replay, replayed
from semcache_core.http.site import Desk, Route
from semcache_core.http.upstream import Upstream, scope_without_directives
from semcache_core.http.visit import UNPROVEN, Visit, send_replay
from semcache_core.http.waiting import Ending, wait_for
from semcache_core.types import Bypass, Headers

_TOO_LARGE = Bypass(reason="body-too-large")
_BROKEN = Bypass(reason="extract-error")
_ONLY_IF_CACHED = (
    b'{"error":{"message":"not in the cache, and the request allows nothing else","type":"only-if-cached"}}'
)


class Responder:
    """One claimed request, from its first message to its last."""

    __slots__ = ("_app", "_desk", "_incoming", "_receive", "_route", "_scope", "_send", "_started")

    def __init__(self, app: App, desk: Desk, route: Route, scope: Scope, receive: Receive, send: Send) -> None:
        self._app, self._desk, self._route = app, desk, route
        self._scope, self._receive, self._send = scope, receive, send
        self._started = desk.engine.clock()

    async def respond(self, *, path: bytes, who: str | None) -> None:
        """Answer it: from the cache, from an equal request's flight, or from the application."""
        route, engine = self._route, self._desk.engine
        first = await self._receive()
        self._incoming = Incoming(self._receive, first)
        if first["type"] == "http.request" and not first.get("more_body", False):
            body: bytes | None = first.get("body", b"")
        else:
            body = await self._incoming.rest(most=route.policy.max_body, announced=_announced(self._scope["headers"]))
        asking = self._asking(body, path, who)
        if asking is None:
            await self._app(self._scope, self._incoming.receive, self._send)
            return
        if isinstance(asking, Bypass):
            await self._bypass(asking.reason)
            return
        ending = Ending.AGAIN
        while ending is Ending.AGAIN:
            found = UNPROVEN
            if not self._is_unproven(asking):
                found = await engine.find(asking.query, policy=asking.route.policy, directives=asking.directives)
            replay = None
            if found.record is not None:
                replay, found = _framed(asking, found, self._started)
            if replay is not None and route.policy.mode != "observe":
                engine.conclude(found, asking.query, policy=route.policy, started=self._started)
                await send_replay(self._send, replay)
                if found.outcome == "stale" and asking.directives.joins:
                    await _refreshed(self._visit(asking, found))
                return
            if found.outcome == "bypass":
                await self._bypass(found.reason)
                return
            ending = await _forwarded(self._visit(asking, found))

    def _asking(self, body: bytes | None, path: bytes, who: str | None) -> Asking | Bypass | None:
        if body is None or len(body) > self._route.policy.max_body:
            return _TOO_LARGE
        scope = self._scope
        headers = tuple(scope["headers"])
        call = Call(
            scope["method"],
            scope.get("scheme", "http"),
            scope.get("root_path", ""),
            path,
            scope.get("query_string", b""),
            headers,
            dict(headers),
            who,
        )
        try:
            return ask(self._desk, self._route, call, body, now=self._started)
        except Exception as error:  # noqa: BLE001  the edge to extractors: what cannot be keyed is not for the cache
            self._desk.engine.observatory.fault("extract", error)
            return _BROKEN

    def _is_unproven(self, asking: Asking) -> bool:
        """Say whether upstream would have to take the caller's credential first: under a shared identity only."""
        desk = self._desk
        if not desk.shared or not asking.directives.lookup:
            return False
        credential = asking.credential
        return credential != desk.nobody and not desk.proofs.hold(credential, now=self._started)

    async def _bypass(self, reason: str) -> None:
        """Forward a request that is recognised and refused: nothing of it changes but two fields that say so."""
        desk = self._desk
        desk.engine.bypassed(reason, policy=self._route.policy, started=self._started, namespace=desk.namespace)
        send = _Marked(self._send, status.bypassed(reason) if desk.options.status_headers else ()).send
        await self._app(
            scope_without_directives(self._scope, dict(self._scope["headers"])), self._incoming.receive, send
        )

    def _visit(self, asking: Asking, found: Found) -> Visit:
        return Visit(
            self._app, self._scope, self._send, self._incoming, asking=asking, found=found, started=self._started
        )


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
        engine.spawn(engine.upkeep.forget(found.entry_id or asking.query.entry_id))
    return None, Found(outcome="miss", reason=replay, vector=found.vector)


async def _forwarded(visit: Visit) -> Ending:
    """Ask upstream, or wait for an equal request that does already; AGAIN if that one failed."""
    directives, engine = visit.asking.directives, visit.engine
    if directives.only_if_cached and not visit.observed:
        visit.conclude()
        await _send_json(visit.send, 504, _ONLY_IF_CACHED)
        return Ending.SERVED
    flight, leads = engine.flights.solo(), True
    if directives.joins and not visit.observed and visit.asking.route.policy.ttl != 0:
        flight, leads = engine.flights.board(visit.flight)
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
    flight = engine.flights.refresh(visit.flight)
    if flight is None:
        return
    work = Upstream(visit.again(), flight).run()
    if engine.background:
        engine.spawn(work)
        return
    try:
        await work
    except Exception as error:  # noqa: BLE001  the caller has its answer; nobody waits for this one
        engine.observatory.fault("background", error)


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
            return int(value) if value.isdigit() else None
    return None
