"""Whatever an upstream streams, recording and framing it take time in proportion to its length."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from semcache_core.protocols import Answer, AnswerHead, Framing, Refused
from semcache_core.settings import Policy
from semcache_core.types import Key
from semcache_openai.chat import OpenAIChat

CHAT = OpenAIChat()
KEY = Key(template=b"")
BRACKETS = b'data: {"choices":[],"x":[' + b"[]," * 1_000_000 + b"[]]}\n\n"


def recorded(*pieces: bytes) -> Answer | Refused:
    head = AnswerHead(200, ((b"content-type", b"text/event-stream"),))
    recorder = CHAT.recorder(KEY, head, policy=Policy())
    assert not isinstance(recorder, Refused)
    for piece in pieces:
        recorder.feed(piece)
    return recorder.finish()


def event(**delta: Any) -> bytes:
    chunk = {"id": "c", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta}]}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


END = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
STREAMS: dict[str, Callable[[int], bytes]] = {
    "words": lambda n: event(content="word ") * n,
    "single letters": lambda n: event(content="a") * n,
    "one long event": lambda n: event(content="a b " * (10 * n)),
    "choices": lambda n: b"".join(
        b'data: {"choices":[{"index":%d,"delta":{"content":"a"}}]}\n\n' % number for number in range(n)
    ),
    "tool calls": lambda n: b"".join(
        event(tool_calls=[{"index": number, "id": "a", "function": {"name": "f", "arguments": "{}"}}])
        for number in range(n)
    ),
    "arguments": lambda n: event(tool_calls=[{"index": 0, "id": "a", "function": {"arguments": "a "}}]) * n,
    "unknown members": lambda n: b"".join(event(**{f"m{number}": "a"}) for number in range(n)),
    "members of the chunk": lambda n: b"".join(b'data: {"m%d":1,"choices":[]}\n\n' % number for number in range(n)),
    "growing objects": lambda n: b"".join(b'data: {"m":{"a%d":1},"choices":[]}\n\n' % number for number in range(n)),
    "pings": lambda n: b"data: {}\n\n: ping\n\n" * n,
    "white space": lambda n: event(content=" " * (20 * n)),
}


@pytest.mark.parametrize("case", STREAMS)
def test_a_stream_is_recorded_and_framed_in_time_in_proportion(case: str) -> None:
    def seconds(length: int) -> float:
        stream = event(role="assistant", content="x") + STREAMS[case](length) + END
        began = time.thread_time()
        answer = recorded(stream)
        if isinstance(answer, Answer):
            for streamed in (True, False):
                framing = Framing(streamed=streamed, required=frozenset(), exact=False, fresh_id="f", now=0.0)
                CHAT.reply(answer, framing)
        return time.thread_time() - began

    # Four times the length: 16 times as long if the work were quadratic.
    assert min(seconds(4_000) for _ in range(3)) < 9 * min(seconds(1_000) for _ in range(3))


def test_an_event_with_too_much_structure_is_refused_before_it_is_read() -> None:
    began = time.thread_time()
    assert recorded(event(content="a"), BRACKETS, END) == Refused("too-complex", complete=False)
    assert time.thread_time() - began < 0.25


def answered(**members: Any) -> Answer:
    message = {"role": "assistant", "content": "a " * 10_000}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    body = json.dumps({"id": "c", "model": "m", "choices": choices, **members}).encode()
    head = AnswerHead(200, ((b"content-type", b"application/json"),))
    recorder = CHAT.recorder(KEY, head, policy=Policy())
    assert not isinstance(recorder, Refused)
    recorder.feed(body)
    answer = recorder.finish()
    assert isinstance(answer, Answer)
    return answer


def framing(*, streamed: bool) -> Framing:
    return Framing(streamed=streamed, required=frozenset(), exact=True, fresh_id="", now=0.0)


MANY_CALLS = [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}] * 2000
CALLING = [{"index": 0, "message": {"content": None, "tool_calls": MANY_CALLS}, "finish_reason": "tool_calls"}]


@pytest.mark.parametrize("members", [{"model": "m" * 100_000}, {"id": "c" * 1_000_000}, {"note": "x" * 50_000}])
def test_what_every_chunk_repeats_does_not_multiply_with_the_words(members: dict[str, Any]) -> None:
    reply = CHAT.reply(answered(**members), framing(streamed=True))
    assert reply is not None
    assert sum(map(len, reply.chunks)) < 6_000_000
    deltas = [json.loads(each[6:])["choices"][0]["delta"] for each in reply.chunks[:-1]]
    assert "".join(delta.get("content", "") for delta in deltas) == "a " * 10_000


def test_an_answer_whose_parts_alone_would_repeat_too_much_is_no_stream() -> None:
    answer = answered(model="m" * 100_000, choices=CALLING)
    assert CHAT.reply(answer, framing(streamed=True)) is None
    assert CHAT.reply(answer, framing(streamed=False)) is not None
