"""Answers of the OpenAI chat protocol: which may be stored, and in which form.

A JSON answer is stored unchanged. A streamed one is assembled into the same form, so that one entry serves both kinds
of caller, and its log stands beside it for callers of streams; an answer that cannot be assembled is stored as its
event log alone (``form = "events"``) and serves streams only.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec

from semcache_core.authoring.bodies import JsonRecorder, TooComplex, content_type, decode_json, is_json
from semcache_core.authoring.sse import Event, EventStream
from semcache_core.protocols import Answer, AnswerHead, Recorder, Refused
from semcache_core.reasons import Code
from semcache_core.types import Key

from .admission import Admission, admit
from .assembly import Assembly, Broken
from .event_log import EventLog
from .faults import is_fault
from .merging import says_nothing
from .modes import STREAM, UNASKED_USAGE, USAGE, WHOLE, held, own_mode
from .options import Terms

__all__ = ["recorder_for"]

DONE = b"[DONE]"
_PINGS = frozenset({b"ping", b"heartbeat", b"keepalive", b"keep-alive"})
_encode = msgspec.json.Encoder().encode


def recorder_for(key: Key, head: AnswerHead, terms: Terms) -> Recorder | Refused:
    """Return a recorder for this content type, or why such an answer is not stored."""
    kind = content_type(head)
    if kind == b"text/event-stream":
        return _StreamRecorder(key, terms)
    if is_json(kind):
        return JsonRecorder(partial(_judged, key, terms))
    return Refused("content-type", complete=False)


def _judged(key: Key, terms: Terms, content: Any, body: bytes) -> Answer | Refused:
    verdict = admit(content, key, terms)
    if isinstance(verdict, Refused):
        return verdict
    stream = STREAM if verdict.streamable else ""
    return _answer(key, content, body, WHOLE, stream, exact_only=verdict.exact_only)


class _StreamRecorder:
    def __init__(self, key: Key, terms: Terms) -> None:
        self._key, self._terms = key, terms
        self._stream = EventStream()
        self._assembly = Assembly()
        self._log = EventLog()
        self._broken: Code | None = None
        self.done = False
        """Whether the terminal event has come."""

    def feed(self, chunk: bytes) -> None:
        if self._broken is not None:
            return
        try:
            for event in self._stream.feed(chunk):
                if self.done:
                    return
                self._take(event)
        except (Broken, RecursionError) as broken:
            self._broken = broken.reason if isinstance(broken, Broken) else "malformed-event"
            self._log = EventLog()
            self.done = False

    def finish(self) -> Answer | Refused:
        was_broken = self._broken is not None
        if self._stream.end() is not None:
            self.feed(b"\n\n")  # The last event counts even without the empty line after it.
        if self._broken is not None:
            cut_off = not was_broken and self._broken == "malformed-event"
            return Refused(self._broken, complete=False, cut_off=cut_off)
        assembly = self._assembly
        if not self.done:
            # Some servers close the connection instead of a terminal event: nothing shows that such a stream is whole.
            lacks_usage = USAGE in self._key.mode.required and assembly.usage is None
            return Refused("no-terminal-event", complete=False, cut_off=lacks_usage or not assembly.is_finished)
        content = assembly.body()
        verdict = admit(content, self._key, self._terms)
        if isinstance(verdict, Refused):
            return verdict
        if assembly.raw:
            return self._log_alone(content)
        return self._canonical(content, verdict)

    def _take(self, event: Event) -> None:
        data = event.data.strip()
        if data == DONE:
            self.done = True
            return
        if event.name == b"error":
            raise Broken("error-event")
        if not data or event.name in _PINGS:
            return
        try:
            chunk = decode_json(data)
        except TooComplex:
            raise Broken("too-complex") from None
        except (ValueError, RecursionError):
            raise Broken("malformed-event") from None
        if not isinstance(chunk, dict):
            raise Broken("malformed-event")
        if is_fault(chunk):
            raise Broken("error-event")
        if says_nothing(chunk) or chunk.get("type") == "ping":
            return
        self._assembly.take(chunk)
        self._log.add(event, chunk)

    def _canonical(self, content: dict[str, Any], verdict: Admission) -> Answer:
        whole = "" if self._assembly.usage is None else WHOLE
        return _answer(
            self._key,
            content,
            _encode(content),
            whole,
            STREAM,
            "" if USAGE in self._key.mode.required else UNASKED_USAGE,
            exact_only=verdict.exact_only,
            stream=self._log.encoded(),
        )

    def _log_alone(self, content: dict[str, Any]) -> Answer:
        """Return an answer with members of unknown meaning: for equal requests only."""
        log = b"".join([event for run in self._log.runs() for event in run.framed()])
        unasked = "" if USAGE in self._key.mode.required else UNASKED_USAGE
        return _answer(self._key, content, log, STREAM, unasked, exact_only=True, form="events")


def _answer(
    key: Key,
    content: dict[str, Any],
    body: bytes,
    *offers: str,
    exact_only: bool,
    form: str = "body",
    stream: bytes = b"",
) -> Answer:
    usage = content.get("usage")
    with_usage = USAGE if isinstance(usage, dict) else ""
    return Answer(
        status=200,
        headers=(),
        body=body,
        form=form,
        offers=held(*offers, with_usage, own_mode(key.mode.streamed, key.mode.required)),
        tokens=_tokens(usage),
        exact_only=exact_only,
        stream=stream,
    )


def _tokens(usage: object) -> int:
    if not isinstance(usage, dict):
        return 0
    total = usage.get("total_tokens")
    if not isinstance(total, int):
        total = sum(n for n in (usage.get("prompt_tokens"), usage.get("completion_tokens")) if isinstance(n, int))
    return max(0, total)
