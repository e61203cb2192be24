"""Drives an ASGI application in the running loop, as a server would, and says what went over the wire."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from semcache_core import SemanticCache
from semcache_core.config import load
from semcache_core.http.asgi import SemanticCacheASGI
from semcache_core.http.route import Deployment
from semcache_core.runtime.registry import Registry
from semcache_core.testing import CountingEmbedder, FrozenClock, RecordingObserver
from semcache_core.types import Decision

KEY = (b"authorization", b"Bearer alice")
CONFIG: Mapping[str, Any] = {
    "semcache": {"jitter": 0.0},
    "vector_store": {"use": "memory"},
    "response_store": {"use": "memory"},
    "key_extractors": {"use": ["openai-chat", "json"]},
    "verifiers": {"use": []},
    "http": {"identity_secret": "0123456789abcdef0123456789abcdef"},
}


def configured(**tables: Mapping[str, Any]) -> dict[str, Any]:
    """Return the test configuration with some tables' members replaced."""
    merged = dict(CONFIG)
    for name, table in tables.items():
        merged[name] = {**CONFIG.get(name, {}), **table} if isinstance(table, Mapping) else table
    return merged


@dataclass
class Response:
    """What came back: the head, every body message, and whether the answer came to its end."""

    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    chunks: list[bytes] = field(default_factory=list)
    complete: bool = False

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)

    def json(self) -> Any:
        return json.loads(self.body)

    def all(self, name: str) -> list[str]:
        return [value.decode() for field_name, value in self.headers if field_name.decode().lower() == name]

    def header(self, name: str) -> str | None:
        return ", ".join(self.all(name)) or None

    @property
    def cache(self) -> str | None:
        return self.header("x-cache")

    @property
    def cache_status(self) -> str | None:
        return self.header("cache-status")


class Client:
    """A client of one application. ``pieces`` are the request body's messages; ``leave`` ends the connection."""

    def __init__(self, app: Any, *, headers: Sequence[tuple[bytes, bytes]] = (KEY,)) -> None:
        self.app = app
        self.headers = list(headers)

    def open(
        self,
        path: str,
        pieces: Iterable[bytes],
        *,
        method: str = "POST",
        headers: Sequence[tuple[bytes, bytes]] = (),
        scope: Mapping[str, Any] | None = None,
    ) -> Exchange:
        raw_path, _, query = path.encode().partition(b"?")
        host = () if b"host" in dict(self.headers) else ((b"host", b"testserver"),)
        base: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": raw_path.decode(),
            "raw_path": raw_path,
            "query_string": query,
            "root_path": "",
            "headers": [*host, *self.headers, *headers],
            "client": ("127.0.0.1", 1),
            "server": ("testserver", 80),
        }
        return Exchange(self.app, {**base, **(scope or {})}, list(pieces))

    async def send(self, path: str, body: Any = b"", **options: Any) -> Response:
        """Send one request to its end and return the response. ``body``: bytes, a list of pieces, or JSON."""
        if isinstance(body, dict):
            body = json.dumps(body).encode()
        exchange = self.open(path, [body] if isinstance(body, bytes) else body, **options)
        await exchange.run()
        return exchange.response

    async def chat(
        self, text: str = "What is the capital of France?", *, headers: Any = (), **members: Any
    ) -> Response:
        return await self.send("/v1/chat/completions", chat(text, **members), headers=headers)


class Exchange:
    """One request on its way. ``run`` returns or raises what the application does."""

    def __init__(self, app: Any, scope: dict[str, Any], pieces: list[bytes]) -> None:
        self.app, self.scope = app, scope
        self._pieces = pieces
        self._sent = 0
        self.left = asyncio.Event()
        self.response = Response()
        self.news = asyncio.Event()
        self.on_send: Callable[[Any], Awaitable[None]] | None = None

    async def run(self) -> None:
        await self.app(self.scope, self._receive, self._send)

    def start(self) -> asyncio.Task[None]:
        return asyncio.create_task(self.run())

    def leave(self) -> None:
        self.left.set()

    async def until(self, condition: Callable[[Response], bool]) -> None:
        while not condition(self.response):
            self.news.clear()
            await asyncio.wait_for(self.news.wait(), 5)

    async def _receive(self) -> dict[str, Any]:
        if self._sent < len(self._pieces):
            piece = self._pieces[self._sent]
            self._sent += 1
            return {"type": "http.request", "body": piece, "more_body": self._sent < len(self._pieces)}
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        if self.on_send is not None:
            await self.on_send(message)
        if self.left.is_set():
            return
        if message["type"] == "http.response.start":
            assert self.response.status == 0, "two heads"
            self.response.status = message["status"]
            self.response.headers = [(octets(name), octets(value)) for name, value in message.get("headers", ())]
        elif message["type"] == "http.response.body":
            assert not self.response.complete, "a body after its end"
            self.response.chunks.append(bytes(message.get("body", b"")))
            self.response.complete = not message.get("more_body", False)
        self.news.set()


def octets(text: Any) -> bytes:
    """Return what a server writes of a header's name or value: h11 takes str too."""
    return text.encode() if isinstance(text, str) else bytes(text)


class Upstream:
    """A scripted application: counts calls, keeps what it received, answers with ``answer``."""

    def __init__(self, answer: Callable[[Any, Any, Any], Awaitable[None]] | None = None) -> None:
        self.calls: list[dict[str, Any]] = []
        self.bodies: list[list[bytes]] = []
        self.answer = answer

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise RuntimeError("this application knows http only")
        self.calls.append(scope)
        pieces: list[bytes] = []
        self.bodies.append(pieces)
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            pieces.append(message["body"])
            more = message["more_body"]
        await (self.answer or says())(scope, receive, send)


def says(
    body: Any = None,
    *,
    status: int = 200,
    headers: Sequence[tuple[bytes, bytes]] = (),
    content_type: bytes = b"application/json",
    pieces: Sequence[bytes] | None = None,
) -> Callable[[Any, Any, Any], Awaitable[None]]:
    """Return an answer: ``body`` is bytes or JSON (default: a chat completion), or ``pieces`` as they are."""

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        whole = completion() if body is None else body
        data = whole if isinstance(whole, bytes) else json.dumps(whole).encode()
        parts = [data] if pieces is None else list(pieces)
        await send(
            {"type": "http.response.start", "status": status, "headers": [(b"content-type", content_type), *headers]}
        )
        for part in parts[:-1]:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": parts[-1], "more_body": False})

    return answer


def chat(text: str = "What is the capital of France?", **members: Any) -> dict[str, Any]:
    """Return a chat request."""
    return {"model": "gpt-test", "messages": [{"role": "user", "content": text}], **members}


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


def streams(pieces: Sequence[bytes], *, headers: Sequence[tuple[bytes, bytes]] = ()) -> Any:
    """Return an answer that is an event stream of these pieces."""
    return says(pieces=pieces, content_type=b"text/event-stream", headers=headers)


def events_of(body: bytes) -> list[Any]:
    """Return the data of every event in a stream, decoded; ``[DONE]`` as it is."""
    datas = [block.removeprefix(b"data: ") for block in body.split(b"\n\n") if block]
    return [data.decode() if data == b"[DONE]" else json.loads(data) for data in datas]


@dataclass
class Rig:
    """A cache in front of a scripted application, open; ``client`` asks through it."""

    client: Client
    upstream: Upstream
    cache: SemanticCache
    clock: FrozenClock
    heard: RecordingObserver
    embedder: CountingEmbedder

    @property
    def decisions(self) -> list[tuple[str, str]]:
        """Outcome and reason of every decision, in order."""
        return [(event.outcome, event.reason) for event in self.heard.events if isinstance(event, Decision)]

    async def asked_twice(self, **options: Any) -> str | None:
        """Ask the same question twice; return X-Cache of the second answer."""
        await self.client.chat(**options)
        return (await self.client.chat(**options)).cache


@asynccontextmanager
async def serving(
    answer: Any = None,
    *,
    place: Deployment | None = None,
    identity: Any = None,
    components: Any = None,
    plugins: Any = (),
    embedder: CountingEmbedder | None = None,
    **tables: Any,
) -> AsyncIterator[Rig]:
    """Open a cache in front of ``answer`` (an answer, or a whole application). ``tables`` change the configuration."""
    upstream = answer if isinstance(answer, Upstream) or getattr(answer, "is_app", False) else Upstream(answer)
    clock, heard, embedder = FrozenClock(), RecordingObserver(), embedder or CountingEmbedder()
    registry = Registry.installed()
    for number, plugin in enumerate([heard, *plugins]):
        assert registry.add(plugin, distribution=f"tests-{number}"), registry.failures
    cache = SemanticCache(
        load(configured(**tables)), registry=registry, clock=clock, embedder=embedder, **(components or {})
    )
    async with cache:
        app = SemanticCacheASGI(upstream, cache=cache, deployment=place or Deployment(), identity=identity)
        yield Rig(Client(app), upstream, cache, clock, heard, embedder)
