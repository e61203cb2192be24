"""Answers as an upstream of the OpenAI chat protocol sends them."""

from __future__ import annotations

import json
from typing import Any


def completion(text: str | None = "Paris is the capital of France.", **members: Any) -> dict[str, Any]:
    """Return a chat completion with one choice."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "gpt-test-2",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": text}, "logprobs": None, "finish_reason": "stop"}
        ],
        "usage": {"prompt_tokens": 7, "completion_tokens": 8, "total_tokens": 15},
        **members,
    }


def chunk(delta: Any, *, finish: str | None = None, index: int = 0, **members: Any) -> dict[str, Any]:
    """Return one chunk of a streamed chat completion."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1700000000,
        "model": "gpt-test-2",
        "choices": [{"index": index, "delta": delta, "finish_reason": finish}],
        **members,
    }


def sse(*events: Any, done: bool = True) -> list[bytes]:
    """Return the pieces of an event stream, one an event."""
    pieces = [b"data: " + json.dumps(event).encode() + b"\n\n" for event in events]
    return [*pieces, b"data: [DONE]\n\n"] if done else pieces


def stream(*words: str, usage: bool = False) -> list[bytes]:
    """Return a streamed chat completion of these words."""
    events: list[Any] = [chunk({"role": "assistant", "content": ""})]
    events += [chunk({"content": word}) for word in words]
    events.append(chunk({}, finish="stop"))
    if usage:
        tokens = {"prompt_tokens": 7, "completion_tokens": len(words), "total_tokens": 7 + len(words)}
        events.append({**chunk({}), "choices": [], "usage": tokens})
    return sse(*events)


def events_of(body: bytes) -> list[Any]:
    """Return the data of every event in a stream, decoded; ``[DONE]`` as it is."""
    datas = [block.removeprefix(b"data: ") for block in body.split(b"\n\n") if block]
    return [data.decode() if data == b"[DONE]" else json.loads(data) for data in datas]
