"""Frames stored chat completions: as the JSON body, or as an equivalent stream of chunks. Pure.

Nothing is added to the stored content. A stream begins with each choice's role, continues with its text split on word
boundaries, ends with the finish reasons, has a usage chunk only if the caller requested one, and closes with
``[DONE]``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from semcache_core.authoring.sse import EventStream, framed
from semcache_core.protocols import Answer, Framing, Reply

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
# The members are kept byte for byte, except those that must change.
_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_WORDS = re.compile(r"\s*\S+|\s+")
_JSON = b"application/json"
_STREAM = b"text/event-stream; charset=utf-8"
_END = framed(b"[DONE]")
_TEXTS = ("reasoning_content", "reasoning", "content", "refusal")


def reply(answer: Answer, framing: Framing, *, zero_usage: bool = False) -> Reply | None:
    """Return the framed answer; None if it lacks a member that the caller's mode requires.

    ``zero_usage``: report zero tokens for a hit.
    """
    if not framing.streamed:
        if "whole" not in answer.offers or answer.form != "body":
            return None
        return Reply(_JSON, (_json(answer.body, framing, zero_usage),))
    if "stream" not in answer.offers or ("usage" in framing.required and "usage" not in answer.offers):
        return None
    pieces = (
        _replayed(answer.body, framing, zero_usage)
        if answer.form == "events"
        else _chunks(_decode(answer.body), framing, zero_usage)
    )
    return Reply(_STREAM, tuple(pieces))


def _json(body: bytes, framing: Framing, zero_usage: bool) -> bytes:
    if framing.exact and not zero_usage:
        return body
    return _encode(_renewed(_decode_members(body), framing, zero_usage))


def _renewed(members: dict[str, msgspec.Raw], framing: Framing, zero_usage: bool) -> dict[str, msgspec.Raw]:
    """Return the members with a new id, time and usage, where the stored answer has them."""
    fresh = dict(members)
    if not framing.exact:
        if "id" in members:
            fresh["id"] = msgspec.Raw(_encode(_fresh_id(_decode(members["id"]), framing)))
        if "created" in members:
            fresh["created"] = msgspec.Raw(_encode(int(framing.now)))
    if zero_usage and "usage" in members:
        fresh["usage"] = msgspec.Raw(_encode(_zeroed(_decode(members["usage"]))))
    return fresh


def _fresh_id(stored: object, framing: Framing) -> str:
    prefix, dash, _ = stored.partition("-") if isinstance(stored, str) else ("", "", "")
    return prefix + dash + framing.fresh_id


def _zeroed(usage: object) -> object:
    if isinstance(usage, dict):
        return {name: _zeroed(value) for name, value in usage.items()}
    return 0 if isinstance(usage, int | float) and not isinstance(usage, bool) else usage


# -- a canonical body as a stream -------------------------------------------------------------------------------------


def _chunks(body: dict[str, Any], framing: Framing, zero_usage: bool) -> Iterator[bytes]:
    wants_usage = "usage" in framing.required
    envelope, at_the_end = _envelope(body, framing)
    choices = [(choice.get("index", at), choice) for at, choice in enumerate(body["choices"])]
    for index, choice in choices:
        message = choice["message"]
        first = {"content": "" if isinstance(message.get("content"), str) else None}
        if "role" in message:
            first = {"role": message["role"], **first}
        yield _chunk(envelope, index, first, wants_usage)
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
        usage = _zeroed(body["usage"]) if zero_usage else body["usage"]
        yield _event({**envelope, "choices": [], "usage": usage})
    yield _END


def _envelope(body: dict[str, Any], framing: Framing) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the members of every chunk, and those of the last chunk only: nested ones."""
    envelope = {name: value for name, value in body.items() if name not in ("choices", "usage")}
    if "object" in envelope:
        envelope["object"] = "chat.completion.chunk"
    if not framing.exact:
        if "id" in envelope:
            envelope["id"] = _fresh_id(envelope["id"], framing)
        if "created" in envelope:
            envelope["created"] = int(framing.now)
    structured = {name: value for name, value in envelope.items() if isinstance(value, dict | list)}
    return {name: value for name, value in envelope.items() if name not in structured}, structured


def _deltas(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for name in _TEXTS:
        for word in _WORDS.findall(message.get(name) or ""):
            yield {name: word}
    for at, call in enumerate(message.get("tool_calls") or ()):
        function = call.get("function", {})
        opening = {**call, "index": call.get("index", at), "function": {**function, "arguments": ""}}
        yield {"tool_calls": [opening]}
        for piece in _WORDS.findall(function.get("arguments", "")):
            yield {"tool_calls": [{"index": opening["index"], "function": {"arguments": piece}}]}
    call = message.get("function_call")
    if call is not None:
        yield {"function_call": {**call, "arguments": ""}}
        for piece in _WORDS.findall(call.get("arguments", "")):
            yield {"function_call": {"arguments": piece}}


def _chunk(envelope: dict[str, Any], index: int, delta: dict[str, Any], wants_usage: bool) -> bytes:
    before, after = _around(envelope, index, wants_usage)
    return before + _encode(delta) + after


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


# -- an event log, unchanged ------------------------------------------------------------------------------------------


def _replayed(log: bytes, framing: Framing, zero_usage: bool) -> Iterator[bytes]:
    for event in EventStream().feed(log):
        if event.data.strip() == b"[DONE]":
            yield _END
            return
        members = _decode_members(event.data)
        is_usage = members.get("choices") == msgspec.Raw(b"[]") and members.get("usage", b"null") != msgspec.Raw(
            b"null"
        )
        if is_usage and "usage" not in framing.required:
            continue
        if framing.exact and not zero_usage:
            yield framed(event.data, name=event.name)
        else:
            yield framed(_encode(_renewed(members, framing, zero_usage)), name=event.name)
