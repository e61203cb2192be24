"""What the steps of one claimed request share."""

from __future__ import annotations

from semcache_core.decide import Found
from semcache_core.http.exchange import Asking
from semcache_core.http.messages import App, Incoming, Scope, Send, again, nowhere
from semcache_core.http.replay import Replay

UNPROVEN = Found(outcome="miss", reason="unproven-credential")
"""Under a shared identity: upstream has not lately taken this credential, so nothing is looked up for it."""


class Visit:
    """One claimed request after its look-up: where it came from, what it asks, what was found."""

    __slots__ = (
        "_concluded",
        "app",
        "asking",
        "body",
        "engine",
        "found",
        "incoming",
        "observed",
        "scope",
        "send",
        "started",
    )

    def __init__(
        self,
        app: App,
        scope: Scope,
        send: Send,
        incoming: Incoming,
        *,
        asking: Asking,
        found: Found,
        started: float,
    ) -> None:
        self.app, self.scope, self.send, self.incoming = app, scope, send, incoming
        self.asking, self.found, self.started = asking, found, started
        self.engine = asking.desk.engine
        self.observed = asking.route.policy.mode == "observe"
        self._concluded = False

    @property
    def flight(self) -> bytes:
        """What single-flight shares: a credential that upstream has yet to take waits for none but its own."""
        key = self.asking.query.flight
        return key + self.asking.credential if self.found is UNPROVEN else key

    def conclude(self, found: Found | None = None) -> None:
        """Count and tell the request's one decision; ``found`` if it is another than what the look-up brought."""
        if self._concluded:
            return
        self._concluded = True
        decided = self.found if found is None else found
        self.engine.conclude(
            decided,
            self.asking.query,
            policy=self.asking.route.policy,
            started=self.started,
            observed=self.observed and decided.record is not None,
        )

    def again(self) -> Visit:
        """Return the same request without a client, for a refresh; its decision is told already."""
        copy = Visit(
            self.app,
            dict(self.scope),
            nowhere,
            again(self.asking.body),
            asking=self.asking,
            found=self.found,
            started=self.started,
        )
        copy._concluded = True
        return copy


async def send_replay(send: Send, replay: Replay) -> None:
    """Send an answer from the cache."""
    await send({"type": "http.response.start", "status": replay.status, "headers": replay.headers})
    chunks = replay.chunks
    for chunk in chunks[:-1]:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": chunks[-1], "more_body": False})
