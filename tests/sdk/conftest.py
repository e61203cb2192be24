"""The real proxy, with the embedded default, in front of a chat server whose every move a test controls.

One proxy serves the whole session. Each test asks with an API key of its own, which is a partition of its own, so no
test sees another's entries.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import threading
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import msgspec
import pytest
from openai import AsyncOpenAI, OpenAI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from semcache_proxy import create_app
from semcache_proxy.loopback import Served

PATIENCE = 20.0


class RequestHead(msgspec.Struct):
    """One request as the upstream got it."""

    body: dict[str, Any]
    headers: dict[str, str]


class ScriptedUpstream:
    """An OpenAI-like chat server. Without a script it answers ``answer N``, N counting its calls."""

    def __init__(self) -> None:
        self.calls: list[RequestHead] = []
        self.reset()

    def reset(self) -> None:
        """Forget the calls and the script."""
        self.calls.clear()
        self.text: str | None = None
        self.tool_call: dict[str, str] | None = None
        self.headers: dict[str, str] = {}
        """Added to every answer."""
        self.compresses = False
        """Whole answers come as gzip where the caller takes it."""
        self.failures: list[int] = []
        """Statuses of the next answers, taken before anything else."""
        self.hold: threading.Event | None = None
        """Answers wait until it is set."""
        self.seconds = 0.0
        """How long it takes over each answer."""
        self.each_piece: threading.Semaphore | None = None
        """Every piece of a stream takes one."""
        self.lingers: threading.Event | None = None
        """After its last event a stream stays open until this is set, as many servers' streams do for a moment."""
        self.dies_after: int | None = None
        """The connection breaks after so many pieces of a stream."""
        self.client_left = threading.Event()
        """Set when a stream that was being made is no longer wanted."""

    def app(self) -> Starlette:
        """Return the server as an ASGI app."""
        return Starlette(
            routes=[
                Route("/v1/chat/completions", self._complete, methods=["POST"]),
                Route("/v1/files", self._upload, methods=["POST"]),
            ]
        )

    async def _upload(self, request: Request) -> Response:
        digest = hashlib.sha256()
        async for piece in request.stream():
            digest.update(piece)
        return JSONResponse({"sha256": digest.hexdigest()})

    async def _complete(self, request: Request) -> Response:
        sent = await request.body()
        body = msgspec.json.decode(gzip.decompress(sent) if "content-encoding" in request.headers else sent)
        self.calls.append(RequestHead(body, dict(request.headers)))
        number = len(self.calls)
        failure = self.failures.pop(0) if self.failures else None
        if self.hold is not None:
            await asyncio.to_thread(self.hold.wait, PATIENCE)
        await asyncio.sleep(self.seconds)
        if failure is not None:
            return JSONResponse({"error": {"message": "scripted", "type": "server_error"}}, status_code=failure)
        if body.get("stream"):
            return StreamingResponse(self._stream(body, number), media_type="text/event-stream")
        headers = {"x-request-id": uuid.uuid4().hex, **self.headers}
        whole = msgspec.json.encode(self._whole(body, number))
        if self.compresses and "gzip" in request.headers.get("accept-encoding", ""):
            whole, headers = gzip.compress(whole), headers | {"content-encoding": "gzip"}
        return Response(whole, headers=headers, media_type="application/json")

    def _content(self, body: dict[str, Any], number: int, choice: int) -> str:
        if body.get("response_format", {}).get("type") in ("json_object", "json_schema"):
            return f'{{"answer": {number}}}'
        return (self.text or f"answer {number} of this server") + (f" (choice {choice})" if choice else "")

    def _whole(self, body: dict[str, Any], number: int) -> dict[str, Any]:
        choices: list[dict[str, Any]] = []
        for index in range(body.get("n") or 1):
            message: dict[str, Any] = {"role": "assistant", "content": self._content(body, number, index)}
            if self.tool_call is not None:
                message |= {"content": None, "tool_calls": [self._called()]}
            choices.append({"index": index, "message": message, "finish_reason": self._finish()})
        return {**_common(body, number, "chat.completion"), "choices": choices, "usage": _usage(number)}

    async def _stream(self, body: dict[str, Any], number: int) -> AsyncIterator[bytes]:
        events = self._events(body, number)
        try:
            for sent, event in enumerate(events):
                if self.each_piece is not None:
                    await asyncio.to_thread(self.each_piece.acquire, timeout=PATIENCE)
                if sent == self.dies_after:
                    raise ConnectionResetError("scripted")
                yield b"data: " + (event if isinstance(event, bytes) else msgspec.json.encode(event)) + b"\n\n"
            if self.lingers is not None:
                await asyncio.to_thread(self.lingers.wait, PATIENCE)
        except (asyncio.CancelledError, GeneratorExit):
            self.client_left.set()
            raise

    def _events(self, body: dict[str, Any], number: int) -> list[dict[str, Any] | bytes]:
        common = _common(body, number, "chat.completion.chunk")
        deltas: list[tuple[int, dict[str, Any], str | None]] = []
        for index in range(body.get("n") or 1):
            deltas.append((index, {"role": "assistant", "content": ""}, None))
            if self.tool_call is not None:
                deltas += [(index, {"tool_calls": [piece]}, None) for piece in self._called_in_pieces()]
            else:
                words = self._content(body, number, index).split(" ")
                deltas += [(index, {"content": word + " " * (word is not words[-1])}, None) for word in words]
            deltas.append((index, {}, self._finish()))
        events: list[dict[str, Any] | bytes] = [
            {**common, "choices": [{"index": index, "delta": delta, "finish_reason": finish}]}
            for index, delta, finish in deltas
        ]
        if (body.get("stream_options") or {}).get("include_usage"):
            events.append({**common, "choices": [], "usage": _usage(number)})
        return [*events, b"[DONE]"]

    def _called(self) -> dict[str, Any]:
        return {"id": "call_1", "type": "function", "function": self.tool_call}

    def _called_in_pieces(self) -> list[dict[str, Any]]:
        assert self.tool_call is not None
        arguments = self.tool_call["arguments"]
        head = {"id": "call_1", "type": "function", "function": {"name": self.tool_call["name"], "arguments": ""}}
        halves = (arguments[: len(arguments) // 2], arguments[len(arguments) // 2 :])
        return [{"index": 0, **head}, *({"index": 0, "function": {"arguments": half}} for half in halves)]

    def _finish(self) -> str:
        return "stop" if self.tool_call is None else "tool_calls"


def _common(body: dict[str, Any], number: int, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{number}", "object": kind, "created": 1_700_000_000 + number, "model": body["model"]}


def _usage(number: int) -> dict[str, int]:
    return {"prompt_tokens": 10, "completion_tokens": number, "total_tokens": 10 + number}


@pytest.fixture(scope="session")
def scripted() -> Iterator[tuple[ScriptedUpstream, str]]:
    upstream = ScriptedUpstream()
    with Served(upstream.app()) as server:
        yield upstream, server.url


@pytest.fixture(scope="session")
def proxy_url(scripted: tuple[ScriptedUpstream, str]) -> Iterator[str]:
    config = {"vector_store": {"use": "memory"}, "response_store": {"use": "memory"}, "embedder": {"use": "onnx"}}
    with Served(create_app(scripted[1], config=config, loopback=True)) as server:
        yield server.url


@pytest.fixture
def upstream(scripted: tuple[ScriptedUpstream, str]) -> Iterator[ScriptedUpstream]:
    scripted[0].reset()
    yield scripted[0]
    if scripted[0].hold is not None:
        scripted[0].hold.set()


@pytest.fixture
def key() -> str:
    return f"sk-{uuid.uuid4().hex}"


@pytest.fixture
def client(proxy_url: str, key: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{proxy_url}/v1", api_key=key, max_retries=0, timeout=PATIENCE) as made:
        yield made


@pytest.fixture
def another(proxy_url: str) -> Iterator[OpenAI]:
    """Return a client with another API key."""
    with OpenAI(base_url=f"{proxy_url}/v1", api_key=f"sk-{uuid.uuid4().hex}", max_retries=0, timeout=PATIENCE) as made:
        yield made


@pytest.fixture
def async_client(proxy_url: str, key: str) -> Callable[[], AsyncOpenAI]:
    """Return what makes an async client, to be called (and used with ``async with``) inside the loop."""
    return lambda: AsyncOpenAI(base_url=f"{proxy_url}/v1", api_key=key, max_retries=0, timeout=PATIENCE)


@pytest.fixture(scope="session")
def dead_proxy_url() -> Iterator[str]:
    """Return where a proxy listens whose upstream is not there."""
    with Served(Starlette()) as gone:
        nowhere = gone.url
    config = {"vector_store": {"use": "memory"}, "response_store": {"use": "memory"}, "semcache": {"match": "exact"}}
    with Served(create_app(nowhere, config=config, loopback=True)) as server:
        yield server.url
