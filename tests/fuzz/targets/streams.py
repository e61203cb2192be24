"""Streams: events and answers do not depend on where the network cuts them, and no stream fails the recorder."""

from __future__ import annotations

from semcache_core.authoring.ndjson import LineStream
from semcache_core.authoring.sse import EventStream
from semcache_core.protocols import Answer, AnswerHead, Framing, Refused
from semcache_core.settings import Policy
from semcache_core.types import Key, Request
from semcache_openai.chat import OpenAIChat

from ..reader import Reader, pieces

_CHAT = OpenAIChat()
_POLICY = Policy(threshold=0.9)
_TYPES = (b"text/event-stream", b"application/json")


def check(data: bytes) -> None:
    """Record the stream whole and in pieces, and frame what is stored for every caller."""
    reader = Reader(data)
    kind, sizes = reader.pick(_TYPES), reader.take(reader.number(8))
    streamed = kind == _TYPES[0]
    body = reader.rest()
    cut = pieces(body, sizes)
    assert _events([body]) == _events(cut), f"the events of {body!r} depend on {sizes!r}"
    assert _lines([body]) == _lines(cut), f"the lines of {body!r} depend on {sizes!r}"
    key = _key(streamed)
    whole, parts = _recorded(key, kind, [body]), _recorded(key, kind, cut)
    assert whole == parts, f"the answer in {body!r} depends on {sizes!r}"
    if isinstance(whole, Answer):
        for mode in (False, True):
            for exact in (False, True):
                for required in (frozenset[str](), frozenset(("usage",))):
                    _CHAT.reply(whole, Framing(streamed=mode, required=required, exact=exact, fresh_id="f", now=1.0))


def _key(streamed: bool) -> Key:
    flag = b"true" if streamed else b"false"
    body = b'{"model": "m", "messages": [{"role": "user", "content": "hello there"}], "stream": %s}' % flag
    key = _CHAT.extract(Request(method="POST", path=b"/v1/chat/completions", body=body))
    assert isinstance(key, Key)
    return key


def _recorded(key: Key, kind: bytes, cut: list[bytes]) -> Answer | Refused:
    recorder = _CHAT.recorder(key, AnswerHead(200, ((b"content-type", kind),)), policy=_POLICY)
    if isinstance(recorder, Refused):
        return recorder
    for piece in cut:
        recorder.feed(piece)
    return recorder.finish()


def _events(cut: list[bytes]) -> list[object]:
    stream = EventStream()
    events: list[object] = [event for piece in cut for event in stream.feed(piece)]
    return [*events, stream.end()]


def _lines(cut: list[bytes]) -> list[object]:
    stream = LineStream()
    lines: list[object] = [line for piece in cut for line in stream.feed(piece)]
    return [*lines, stream.end()]
