"""Answers of a generic API: stored byte for byte if they are whole and no error, replayed byte for byte."""

from __future__ import annotations

import msgspec

from semcache_core.extractors.openai_answers import content_type
from semcache_core.protocols import Answer, AnswerHead, Framing, Recorder, Refused, Reply
from semcache_core.settings import Policy
from semcache_core.types import Key

# Their end cannot be told from a broken connection: no protocol says which event is the last.
_ENDLESS = frozenset({b"text/event-stream", b"application/x-ndjson", b"application/jsonl", b"application/json-seq"})
_decode = msgspec.json.Decoder().decode


class JsonAnswers:
    """The answer half of the ``json`` extractor (``semcache_core.protocols.SupportsAnswers``)."""

    def recorder(self, key: Key, head: AnswerHead, *, policy: Policy) -> Recorder | Refused:
        """Return what records an answer of this content type, or why such an answer is not stored."""
        kind = content_type(head)
        if kind in _ENDLESS or kind.startswith(b"multipart/"):
            return Refused("content-type", complete=False)
        return _BodyRecorder(is_json=kind == b"application/json" or kind.endswith(b"+json"))

    def reply(self, answer: Answer, framing: Framing) -> Reply | None:
        """Return the stored body; its content type stands among the stored headers."""
        return Reply(b"", (answer.body,))


class _BodyRecorder:
    def __init__(self, *, is_json: bool) -> None:
        self._is_json = is_json
        self._pieces: list[bytes] = []

    def feed(self, chunk: bytes) -> None:
        self._pieces.append(chunk)

    def finish(self) -> Answer | Refused:
        body = b"".join(self._pieces)
        if not body.strip():
            return Refused("empty-answer")
        if self._is_json:
            try:
                content = _decode(body)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                return Refused("malformed-answer", complete=False)
            if isinstance(content, dict) and content.get("error") is not None:
                return Refused("error-member", complete=False)
        return Answer(status=200, headers=(), body=body, offers=frozenset({"whole"}))
