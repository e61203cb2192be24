"""The demo's upstream: an OpenAI-like chat server with canned answers, as slow as a real model.

It does not know the cache, and answers over real HTTP: in one piece, or word by word as server-sent events.
"""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

_ANSWERS = (
    (
        r"password",
        "Open Settings, choose Security, then Reset password. A link that is good for one hour comes by mail.",
    ),
    (r"\brefund", "Refunds are paid back to the card that was charged, within five working days of your request."),
    (
        r"\bteam|\busers?\b",
        "Teams share one bill. The seats you pay for are listed under Billing, and you can add some there.",
    ),
    (r"\binvoice|\breceipt", "Every invoice is under Billing, Documents. Choose one and press Download."),
)
_ELSE = "This is the demo's stand-in for a model. It knows a little about passwords, refunds, teams and invoices."


def stand_in(*, seconds: float = 0.6) -> Starlette:
    """Return the upstream as an ASGI app that takes about ``seconds`` over each answer."""

    async def complete(request: Request) -> Response:
        asked = msgspec.json.decode(await request.body())
        answer = _Answer(asked)
        if asked.get("stream"):
            return StreamingResponse(_stream(answer, seconds=seconds), media_type="text/event-stream")
        await asyncio.sleep(seconds)
        return Response(msgspec.json.encode(answer.whole()), media_type="application/json")

    return Starlette(routes=[Route("/v1/chat/completions", complete, methods=["POST"])])


class _Answer:
    """One answer, in the forms of the chat protocol."""

    def __init__(self, asked: dict[str, Any]) -> None:
        question = asked["messages"][-1]["content"]
        self.text = next((answer for pattern, answer in _ANSWERS if re.search(pattern, question, re.I)), _ELSE)
        self.wants_usage = bool((asked.get("stream_options") or {}).get("include_usage"))
        prompt, completion = _tokens(question), _tokens(self.text)
        self.usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
        self._common = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": asked["model"]}

    def whole(self) -> dict[str, Any]:
        message = {"role": "assistant", "content": self.text}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return {**self._common, "object": "chat.completion", "choices": [choice], "usage": self.usage}

    def piece(self, delta: dict[str, str], *, finish: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return {**self._common, "object": "chat.completion.chunk", "choices": [choice]}

    def usage_piece(self) -> dict[str, Any]:
        return {**self._common, "object": "chat.completion.chunk", "choices": [], "usage": self.usage}


async def _stream(answer: _Answer, *, seconds: float) -> AsyncIterator[bytes]:
    words = re.findall(r"\S+\s*", answer.text)
    yield _event(answer.piece({"role": "assistant", "content": ""}))
    for word in words:
        await asyncio.sleep(seconds / len(words))
        yield _event(answer.piece({"content": word}))
    yield _event(answer.piece({}, finish="stop"))
    if answer.wants_usage:
        yield _event(answer.usage_piece())
    yield b"data: [DONE]\n\n"


def _event(data: dict[str, Any]) -> bytes:
    return b"data: " + msgspec.json.encode(data) + b"\n\n"


def _tokens(text: str) -> int:
    # The rule of thumb for English, four characters a token: this server has no tokenizer.
    return max(1, round(len(text) / 4))
