"""Frames a chat completion that came as one JSON body as an equivalent stream of chunks. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

import msgspec

from semcache_core.authoring.sse import framed

from .assembly import REASONING
from .reasoning import DETAILS
from .renewal import Renewal
from .tool_calls import TEXT_OF

__all__ = ["chunks_of"]

_encode = msgspec.json.Encoder().encode
_WORDS = re.compile(r"\s*\S+|\s+")


def chunks_of(body: dict[str, Any], renewal: Renewal, *, wants_usage: bool) -> Iterator[bytes]:
    """Yield every event but the last, ``[DONE]``."""
    envelope, at_the_end = _envelope(body, renewal)
    choices = [(choice.get("index", at), choice) for at, choice in enumerate(body["choices"])]
    for index, choice in choices:
        message = choice["message"]
        first = {"content": "" if isinstance(message.get("content"), str) else None}
        if "role" in message:
            first = {"role": message["role"], **first}
        before, after = _around(envelope, index, wants_usage)
        yield before + _encode(first) + after
    for index, choice in choices:
        before, after = _around(envelope, index, wants_usage)
        for delta in _deltas(choice["message"]):
            yield before + _encode(delta) + after
    for at, (index, choice) in enumerate(choices, 1):
        members = {name: value for name, value in choice.items() if name not in ("index", "message", "logprobs")}
        last = at_the_end if at == len(choices) else {}
        yield _event(
            {**envelope, "choices": [{"index": index, "delta": {}, **members}], **_no_usage(wants_usage), **last}
        )
    if wants_usage:
        yield _event({**envelope, "choices": [], "usage": body["usage"]})


def _envelope(body: dict[str, Any], renewal: Renewal) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the members of every chunk, and those of the last chunk only: nested ones."""
    envelope = renewal.envelope({name: value for name, value in body.items() if name not in ("choices", "usage")})
    if "object" in envelope:
        envelope["object"] = "chat.completion.chunk"
    structured = {name: value for name, value in envelope.items() if isinstance(value, dict | list)}
    return {name: value for name, value in envelope.items() if name not in structured}, structured


def _deltas(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if message.get(DETAILS):
        yield {DETAILS: message[DETAILS]}
    yield from _side_by_side(message, REASONING)
    yield from _side_by_side(message, ("content",))
    yield from _side_by_side(message, ("refusal",))
    for at, call in enumerate(message.get("tool_calls") or ()):
        (kind,) = call.keys() & TEXT_OF.keys()
        index, function, text = call.get("index"), call[kind], TEXT_OF[kind]
        index = at if index is None else index
        yield {"tool_calls": [{**call, "index": index, kind: {**function, text: ""}}]}
        for piece in _WORDS.findall(function.get(text, "")):
            yield {"tool_calls": [{"index": index, kind: {text: piece}}]}
    call = message.get("function_call")
    if call is not None:
        yield {"function_call": {**call, "arguments": ""}}
        for piece in _WORDS.findall(call.get("arguments", "")):
            yield {"function_call": {"arguments": piece}}


def _side_by_side(message: dict[str, Any], names: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Yield the words of these texts; a word of each comes in one delta, as where one text has two names."""
    told = [name for name in names if isinstance(message.get(name), str)]
    for words in zip_longest(*(_WORDS.findall(message[name]) for name in told)):
        yield {name: word for name, word in zip(told, words, strict=True) if word is not None}


def _around(envelope: dict[str, Any], index: int, wants_usage: bool) -> tuple[bytes, bytes]:
    """Return the bytes before and after the delta in the chunks of a choice: equal for all its words."""
    choice = {"index": index, "delta": None, "finish_reason": None}
    whole = _event({**envelope, **_no_usage(wants_usage), "choices": [choice]})
    before, _, after = whole.rpartition(b'"delta":null')
    return before + b'"delta":', after


def _no_usage(wanted: bool) -> dict[str, None]:
    # By the protocol, a caller that requests usage gets the member on every chunk, null until the last one.
    return {"usage": None} if wanted else {}


def _event(chunk: dict[str, Any]) -> bytes:
    return framed(_encode(chunk))
