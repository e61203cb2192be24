"""An upstream whose every answer names who asked, what and where, as ASGI and as WSGI, with a ledger of its calls."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

import brotli
import msgspec
import zstandard

from .asks import Ask
from .view import CHAT, Headers, Terms, View, view_of

_ADDED_BY_PROXY = (b"via", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"host")
_PACK: Mapping[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, 1),
    "br": lambda data: brotli.compress(data, quality=1),
    "zstd": lambda data: zstandard.ZstdCompressor(level=1).compress(data),
}


class Call(msgspec.Struct, frozen=True):
    """One request that came through, and what it was answered."""

    number: int
    view: View
    ask: Ask
    at: float
    """By the cache's clock."""
    wave: int
    tick: int
    """Its place in the order of everything that happens in a world."""
    text: str
    """What the answer says: it names the caller."""


class Broken(Exception):
    """The upstream's connection breaks, as its script says."""


class Upstream:
    """Answers requests by their scripts. ``asks`` is filled before a request is sent."""

    def __init__(self, terms: Terms, clock: Callable[[], float]) -> None:
        self.terms = terms
        self.clock = clock
        self.asks: dict[int, Ask] = {}
        self.ledger: dict[int, Call] = {}
        self.wave = 0
        self.tick = 0
        self.ended: dict[int, int] = {}
        """The wave in which the last piece of each answer went out."""
        self.on_call: Callable[[Call], None] = lambda call: None
        self.on_end: Callable[[Call], None] = lambda call: None

    def take(self, method: str, target: str, headers: Headers, body: bytes) -> Call:
        """Note a request; return the call with its answer."""
        headers = [(name, value) for name, value in headers if name != b"content-length"]
        ask = self.asks[int(dict(headers)[b"x-ask"])]
        host = dict(headers)[b"x-forwarded-host" if self.terms.proxied else b"host"].decode()
        if self.terms.proxied:
            headers = [each for each in headers if each[0] not in _ADDED_BY_PROXY]
        plain = gzip.decompress(body) if dict(headers).get(b"content-encoding") == b"gzip" else body
        view = view_of(self.terms, method, host, target, headers, plain)
        self.tick += 1
        told = json.dumps({"n": ask.number, "view": msgspec.to_builtins(view)})
        text = f"{ask.number} {zlib.crc32(told.encode()):08x} {told} end-of-{ask.number}"
        call = Call(ask.number, view, ask, self.clock(), self.wave, self.tick, text)
        self.ledger[ask.number] = call
        self.on_call(call)
        return call

    async def asgi(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer as an ASGI application."""
        if scope["type"] != "http":
            raise RuntimeError("this application knows http only")
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body, more = body + message.get("body", b""), message.get("more_body", False)
        query = scope["query_string"].decode()
        target = scope["raw_path"].decode() + (f"?{query}" if query else "")
        call = self.take(scope["method"], target, scope["headers"], body)
        script = call.ask.script
        await _turns(script.before)
        fields, pieces = answer(call)
        await send({"type": "http.response.start", "status": script.status, "headers": fields})
        async for piece in _slowly(pieces, script.between):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        if script.fault == "cut":
            raise Broken
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        self._end(call)

    def wsgi(self, environ: Any, start_response: Any) -> Iterator[bytes]:
        """Answer as a WSGI application."""
        headers = [
            (name[5:].replace("_", "-").lower().encode(), value.encode("latin-1"))
            for name, value in environ.items()
            if name.startswith("HTTP_")
        ]
        headers.append((b"content-type", environ["CONTENT_TYPE"].encode()))
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"] or 0))
        query = environ["QUERY_STRING"]
        target = environ["RAW_URI"].partition("?")[0] + (f"?{query}" if query else "")
        call = self.take(environ["REQUEST_METHOD"], target, headers, body)
        fields, pieces = answer(call)
        start_response(
            f"{call.ask.script.status} Scripted", [(name.decode(), value.decode("latin-1")) for name, value in fields]
        )
        yield from pieces
        if call.ask.script.fault == "cut":
            raise Broken
        self._end(call)

    def _end(self, call: Call) -> None:
        self.ended[call.number] = self.wave
        self.on_end(call)


def answer(call: Call) -> tuple[list[tuple[bytes, bytes]], list[bytes]]:
    """Return the fields and the pieces of the answer to a call."""
    script, number = call.ask.script, b"%d" % call.number
    chat = call.view.where[2].endswith(CHAT)
    streamed = chat and call.ask.streamed and script.status == 200
    fields = [
        (b"content-type", b"text/event-stream" if streamed else b"application/json"),
        (b"x-answer", number),
        (b"x-request-id", b"up-" + number),
        *script.headers,
    ]
    if script.status != 200:
        pieces = [json.dumps({"error": {"message": call.text}}).encode()]
    elif streamed:
        pieces = _events(call)
    elif chat:
        pieces = [json.dumps(_completion(call)).encode()]
    else:
        said = {"told": call.text} | ({"error": "late"} if script.fault == "event" else {})
        pieces = [json.dumps(said).encode()]
    if script.coding:
        fields.append((b"content-encoding", script.coding.encode()))
        pieces = [_PACK[script.coding](b"".join(pieces))]
    if len(pieces) == 1:
        whole, size = pieces[0], max(1, len(pieces[0]) // script.pieces)
        fields += [(b"content-length", b"%d" % len(whole))] if script.fault != "cut" else []
        pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
    if script.fault == "cut":
        pieces = pieces[: len(pieces) // 2] or [pieces[0][: len(pieces[0]) // 2]]
    return fields, pieces


def _completion(call: Call) -> dict[str, Any]:
    fault = call.ask.script.fault
    finish = {"length": "length", "unmarked": None}.get(fault, "stop")
    choice = {"index": 0, "message": {"role": "assistant", "content": call.text}, "finish_reason": finish}
    return {
        **_head(call, "chat.completion"),
        "choices": [choice],
        "usage": _usage(call),
        **({"error": {"message": "late"}} if fault == "event" else {}),
    }


def _events(call: Call) -> list[bytes]:
    script, head = call.ask.script, _head(call, "chat.completion.chunk")

    def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

    size = len(call.text) // script.pieces + 1
    events = [chunk({"role": "assistant", "content": ""})]
    events += [chunk({"content": call.text[at : at + size]}) for at in range(0, len(call.text), size)]
    if script.fault != "unmarked":
        events.append(chunk({}, "length" if script.fault == "length" else "stop"))
    if script.fault == "event":
        events.append({"error": {"message": "late"}})
    if b'"include_usage": true' in call.ask.body or call.ask.parts.form == 3:
        events.append({**head, "choices": [], "usage": _usage(call)})
    done = [] if script.fault == "unmarked" else [b"data: [DONE]\n\n"]
    return [*(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events), *done]


def _head(call: Call, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{call.number}", "object": kind, "created": call.number, "model": "m-1"}


def _usage(call: Call) -> dict[str, int]:
    """Usage that names its call, too."""
    return {"prompt_tokens": call.number, "completion_tokens": 1, "total_tokens": call.number + 1}


async def _turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def _slowly(pieces: list[bytes], between: int) -> AsyncIterator[bytes]:
    for piece in pieces:
        await _turns(between)
        yield piece
