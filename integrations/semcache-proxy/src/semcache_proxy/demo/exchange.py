"""One request of the demo, sent over real HTTP, and the facts in its answer. Nothing here uses the cache directly."""

from __future__ import annotations

import re
import time
from typing import Any

import httpx
import msgspec

from semcache_core.types import Quiet


class Step(Quiet, msgspec.Struct, frozen=True, kw_only=True):
    """A request of the demo: its text, its caller, and what it demonstrates."""

    shows: str
    prompt: str
    caller: str = "alice"
    stream: bool = False


class Seen(Quiet, msgspec.Struct, frozen=True, kw_only=True):
    """The facts of one answer: every field is read from the HTTP answer or measured on it."""

    status: int
    outcome: str
    """``X-Cache``: HIT, MISS, BYPASS, STALE, or ``-`` if the answer has none."""
    reason: str
    similarity: float | None
    """``Semcache-Similarity``, which the debug token unlocks."""
    milliseconds: float
    """Until the first byte of the body."""
    tokens: int | None
    """``usage.total_tokens`` of the body."""
    text: str

    @property
    def saved(self) -> int | None:
        """Tokens saved: those of an answer from the cache."""
        return self.tokens if self.outcome in ("HIT", "STALE") else None


def send(client: httpx.Client, step: Step, *, model: str, key: str, debug_token: str) -> Seen:
    """Send one step's request and read its answer. Raises httpx.HTTPError."""
    body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": step.prompt}]}
    if step.stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    headers = {"authorization": f"Bearer {key}", "semcache-debug": debug_token}
    started = time.perf_counter()
    with client.stream("POST", "/v1/chat/completions", json=body, headers=headers) as response:
        pieces = response.iter_bytes()
        data = next(pieces, b"")
        elapsed = time.perf_counter() - started
        data += b"".join(pieces)
    text, tokens = _read_stream(data) if step.stream else _read_whole(data)
    similarity = response.headers.get("semcache-similarity")
    return Seen(
        status=response.status_code,
        outcome=response.headers.get("x-cache", "-"),
        reason=reason_of(response.headers),
        similarity=None if similarity is None else float(similarity),
        milliseconds=elapsed * 1000,
        tokens=tokens,
        text=text,
    )


def reason_of(headers: httpx.Headers) -> str:
    """Return the reason code: from the debug field if present, else from Cache-Status."""
    if said := headers.get("semcache-reason"):
        return str(said)
    status = headers.get("cache-status", "")
    if detail := re.search(r"detail=([\w-]+)", status):
        return detail[1]
    return "exact" if "; hit" in status else "-"


def _read_whole(data: bytes) -> tuple[str, int | None]:
    try:
        body = msgspec.json.decode(data)
        return body["choices"][0]["message"]["content"] or "", (body.get("usage") or {}).get("total_tokens")
    except (msgspec.DecodeError, KeyError, IndexError, TypeError):
        return "", None


def _read_stream(data: bytes) -> tuple[str, int | None]:
    text, tokens = "", None
    for line in data.splitlines():
        if not line.startswith(b"data: {"):
            continue
        event = msgspec.json.decode(line.removeprefix(b"data: "))
        for choice in event.get("choices") or ():
            text += choice.get("delta", {}).get("content") or ""
        tokens = (event.get("usage") or {}).get("total_tokens", tokens)
    return text, tokens
