"""What the steps of one claimed request share."""

from __future__ import annotations

import msgspec

from semcache_core.engine.decide import Found
from semcache_core.engine.engine import Engine
from semcache_core.http.asgi.messages import App, Incoming, Scope, Send, again, nowhere
from semcache_core.http.exchange import CacheableRequest
from semcache_core.http.replay import Replay
from semcache_core.types import Entity

UNPROVEN = Found(outcome="miss", reason="unproven-credential")
"""Under a shared identity: upstream has not lately taken this credential, so nothing is looked up for it."""


class Visit(Entity):
    """One claimed request after its look-up: where it came from, what it asks, what was found."""

    app: App
    scope: Scope
    send: Send
    incoming: Incoming
    asking: CacheableRequest
    found: Found
    started: float
    engine: Engine
    observed: bool
    """It goes upstream whatever was found (``mode = "observe"``)."""
    concluded: bool = False

    @property
    def flight(self) -> bytes:
        """What single-flight shares: a credential that upstream has yet to take waits for none but its own."""
        key = self.asking.query.flight
        return key + self.asking.credential if self.found is UNPROVEN else key

    def conclude(self, found: Found | None = None) -> None:
        """Count and tell the request's one decision; ``found`` if it is another than what the look-up brought."""
        if self.concluded:
            return
        self.concluded = True
        decided = self.found if found is None else found
        asking = self.asking
        self.engine.observatory.conclude(
            decided,
            asking.query,
            policy=asking.known.head.route.policy,
            started=self.started,
            observed=self.observed and decided.record is not None,
        )

    def again(self) -> Visit:
        """Return the same request without a client, for a refresh; its decision is told already."""
        incoming = again(self.asking.body)
        return msgspec.structs.replace(self, scope=dict(self.scope), send=nowhere, incoming=incoming, concluded=True)


async def send_replay(send: Send, replay: Replay) -> None:
    """Send an answer from the cache."""
    await send({"type": "http.response.start", "status": replay.status, "headers": replay.headers})
    chunks = replay.chunks
    for chunk in chunks[:-1]:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": chunks[-1], "more_body": False})
