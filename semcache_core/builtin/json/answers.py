"""Answers of an ordinary JSON API: stored and replayed byte for byte if they are complete and not an error."""

from __future__ import annotations

from typing import Any

from semcache_core.authoring.bodies import BodyRecorder, JsonRecorder, content_type, is_error, is_json
from semcache_core.protocols import Answer, AnswerHead, Framing, Recorder, Refused, Reply
from semcache_core.settings import Policy
from semcache_core.types import Key

# Their end cannot be distinguished from a broken connection: no protocol marks the last event.
_ENDLESS = frozenset({b"text/event-stream", b"application/x-ndjson", b"application/jsonl", b"application/json-seq"})
_EMPTY = Refused("empty-answer")


class JsonAnswers:
    """The answer half of the ``json`` extractor (``semcache_core.protocols.SupportsAnswers``)."""

    def recorder(self, key: Key, head: AnswerHead, *, policy: Policy) -> Recorder | Refused:
        """Return a recorder for this content type, or why such an answer is not stored."""
        kind = content_type(head)
        if kind in _ENDLESS or kind.startswith(b"multipart/"):
            return Refused("content-type", complete=False)
        return JsonRecorder(_judged, _EMPTY) if is_json(kind) else BodyRecorder(_whole)

    def reply(self, answer: Answer, framing: Framing) -> Reply | None:
        """Return the stored body; its content type is one of the stored headers."""
        return Reply(b"", (answer.body,))


def _judged(content: Any, body: bytes) -> Answer | Refused:
    if is_error(content):
        return Refused("error-member", complete=False)
    return _whole(body)


def _whole(body: bytes) -> Answer | Refused:
    if not body.strip():
        return _EMPTY
    return Answer(status=200, headers=(), body=body, offers=frozenset({"whole"}))
