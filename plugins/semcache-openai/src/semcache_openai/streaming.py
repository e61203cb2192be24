"""Frames a chat completion that came as one JSON body as an equivalent stream of chunks. Pure.

Every chunk repeats the members of the answer, and a server may repeat in ``model`` what a caller sent. So the number of
chunks depends on the size of these members: where there are too many words, several come in one chunk.
"""

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

__all__ = ["chunks_of", "pieces_of_each_text"]

_encode = msgspec.json.Encoder().encode
_WORDS = re.compile(r"\s*\S+|\s+")
_MOST_REPEATED = 4 * 1024 * 1024
"""Bytes of all that the chunks of one answer repeat."""
_BARE_CHUNK = 80
"""Bytes of a chunk without text and without members of the answer."""


def pieces_of_each_text(body: dict[str, Any]) -> int:
    """Return in how many chunks each text of the answer may come; 0: it has too many texts to be a stream."""
    repeated = len(_encode({name: value for name, value in body.items() if not isinstance(value, dict | list)}))
    texts = sum(_texts(choice["message"]) for choice in body["choices"])
    left = _MOST_REPEATED // (repeated + _BARE_CHUNK) - 2 * len(body["choices"]) - texts
    return max(0, left // max(1, texts))


def _texts(message: dict[str, Any]) -> int:
    named = sum(isinstance(message.get(name), str) for name in (*REASONING, "content", "refusal"))
    return named + len(message.get("tool_calls") or ()) + (message.get("function_call") is not None)


def chunks_of(body: dict[str, Any], renewal: Renewal, *, wants_usage: bool, pieces: int) -> Iterator[bytes]:
    """Yield every event but the last, ``[DONE]``; each text in ``pieces`` chunks at most."""
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
        for delta in _deltas(choice["message"], pieces):
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


def _deltas(message: dict[str, Any], pieces: int) -> Iterator[dict[str, Any]]:
    if message.get(DETAILS):
        yield {DETAILS: message[DETAILS]}
    yield from _side_by_side(message, REASONING, pieces)
    yield from _side_by_side(message, ("content",), pieces)
    yield from _side_by_side(message, ("refusal",), pieces)
    for at, call in enumerate(message.get("tool_calls") or ()):
        (kind,) = call.keys() & TEXT_OF.keys()
        index, function, text = call.get("index"), call[kind], TEXT_OF[kind]
        index = at if index is None else index
        yield {"tool_calls": [{**call, "index": index, kind: {**function, text: ""}}]}
        for piece in _split(function.get(text, ""), pieces):
            yield {"tool_calls": [{"index": index, kind: {text: piece}}]}
    call = message.get("function_call")
    if call is not None:
        yield {"function_call": {**call, "arguments": ""}}
        for piece in _split(call.get("arguments", ""), pieces):
            yield {"function_call": {"arguments": piece}}


def _side_by_side(message: dict[str, Any], names: tuple[str, ...], pieces: int) -> Iterator[dict[str, Any]]:
    """Yield the words of these texts; a word of each comes in one delta, as where one text has two names."""
    present = [name for name in names if isinstance(message.get(name), str)]
    for words in zip_longest(*(_split(message[name], pieces) for name in present)):
        yield {name: word for name, word in zip(present, words, strict=True) if word is not None}


def _split(text: str, pieces: int) -> list[str]:
    """Return the words of a text; several in one string where they are more than ``pieces``."""
    words = _WORDS.findall(text)
    if len(words) <= pieces:
        return words
    together = -(-len(words) // pieces)
    return ["".join(words[at : at + together]) for at in range(0, len(words), together)]


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
