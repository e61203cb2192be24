"""Sends a request through a driver, as a client would, and says what came back."""

from __future__ import annotations

import asyncio
import io
import json
import re
import zlib
from collections.abc import Callable
from typing import Any

import brotli
import httpx
import msgspec
import zstandard

from .asks import Ask

_UNPACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: zlib.decompressobj(31).decompress(data),
    "br": lambda data: brotli.Decompressor().process(data),
    "zstd": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
}
_EVENT = re.compile(rb"data: (\{.*\})\n\n")


class Outcome(msgspec.Struct):
    """What a client has of an answer when it ends or leaves."""

    status: int = 0
    headers: list[tuple[str, str]] = []
    body: bytes = b""
    complete: bool = False
    left: bool = False
    error: BaseException | None = None

    def header(self, name: str) -> str | None:
        """Return the values of a header, joined; None if there is none."""
        return ", ".join(value for field, value in self.headers if field == name) or None

    @property
    def content(self) -> bytes:
        """The body without its content coding; as far as it came."""
        unpack = _UNPACK.get(self.header("content-encoding") or "")
        return self.body if unpack is None else unpack(self.body)

    def told(self) -> str:
        """Return what the answer says, as far as it came: a text of the upstream's."""
        content = self.content
        if (self.header("content-type") or "").startswith("text/event-stream"):
            choices = [each for event in _EVENT.findall(content) for each in json.loads(event).get("choices", ())]
            return "".join(choice["delta"].get("content") or "" for choice in choices)
        if not self.complete:
            return ""
        said = json.loads(content)
        if "told" in said:
            return str(said["told"])
        return str(said["choices"][0]["message"]["content"] if "choices" in said else said["error"]["message"])

    def usage(self) -> list[int]:
        """Return the number that each usage in the answer names."""
        return [int(number) for number in re.findall(rb'"prompt_tokens": ?(\d+)', self.content)]


async def over_asgi(app: Any, ask: Ask) -> Outcome:
    """Send a request to an ASGI application in this loop."""
    path, _, query = ask.target.partition("?")
    outcome, left, pieces = Outcome(), asyncio.Event(), iter(ask.pieces)
    remaining = len(ask.pieces)
    messages = 0

    async def receive() -> dict[str, Any]:
        nonlocal remaining
        if remaining:
            remaining -= 1
            return {"type": "http.request", "body": next(pieces), "more_body": remaining > 0}
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        nonlocal messages
        if left.is_set():
            return
        messages += 1
        if message["type"] == "http.response.start":
            assert not outcome.status, "two heads"
            outcome.status = message["status"]
            outcome.headers = [(name.decode(), value.decode("latin-1")) for name, value in message["headers"]]
        else:
            assert not outcome.complete, "a body after its end"
            outcome.body += message.get("body", b"")
            outcome.complete = not message.get("more_body", False)
        if messages == ask.leaves_after:
            outcome.left = not outcome.complete
            left.set()

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": ask.method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(b"host", ask.host.encode()), *ask.headers],
        "client": ("127.0.0.1", 1),
        "server": ("testserver", 80),
    }
    try:
        await app(scope, receive, send)
    except Exception as error:  # noqa: BLE001  the oracle says whether it had to come
        outcome.error = error
    return outcome


def over_wsgi(app: Any, ask: Ask) -> Outcome:
    """Send a request to a WSGI application in this thread."""
    path, _, query = ask.target.partition("?")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": ask.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "RAW_URI": ask.target,
        "QUERY_STRING": query,
        "SERVER_NAME": "testserver",
        "SERVER_PORT": "80",
        "HTTP_HOST": ask.host,
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(ask.body),
    }
    for name, value in ask.headers:
        key = name.decode().upper().replace("-", "_")
        key = key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"
        joint = "; " if name == b"cookie" else ","
        environ[key] = f"{environ[key]}{joint}{value.decode()}" if key in environ else value.decode()
    outcome = Outcome()

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        outcome.status = int(status[:3])
        outcome.headers = [(name.lower(), value) for name, value in headers]

    try:
        answer = app(environ, start_response)
        try:
            for count, piece in enumerate(answer, 1):
                outcome.body += piece
                if count == ask.leaves_after:
                    outcome.left = True
                    break
            else:
                outcome.complete = True
        finally:
            if hasattr(answer, "close"):
                answer.close()
    except Exception as error:  # noqa: BLE001  the oracle says whether it had to come
        outcome.error = error
    return outcome


async def over_http(client: httpx.AsyncClient, url: str, ask: Ask) -> Outcome:
    """Send a request over a socket."""
    headers = [(b"host", ask.host.encode()), *ask.headers]
    # httpx would resolve dot segments.
    target = {"target": ask.target.encode()}
    request = httpx.Request(ask.method, url + ask.target, headers=headers, content=ask.body, extensions=target)
    outcome = Outcome()
    try:
        answer = await client.send(request, stream=True)
        try:
            outcome.status = answer.status_code
            outcome.headers = [(name.lower(), value) for name, value in answer.headers.multi_items()]
            count = 1
            async for piece in answer.aiter_raw():
                outcome.body += piece
                count += 1
                if count == ask.leaves_after:
                    outcome.left = True
                    return outcome
            outcome.complete = True
        finally:
            await answer.aclose()
    except httpx.HTTPError as error:
        outcome.error = error
    return outcome
