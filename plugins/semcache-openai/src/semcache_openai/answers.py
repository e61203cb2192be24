"""Answers of the OpenAI chat protocol: which may be stored, and in which form.

A JSON answer is stored unchanged. A streamed one is assembled into the same form, so that one entry serves both kinds
of caller; an answer that cannot be assembled is stored as its event log (``form = "events"``) and serves streams only.
"""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import msgspec

from semcache_core.authoring.bodies import JsonRecorder, content_type, is_json
from semcache_core.authoring.sse import Event, EventStream, framed
from semcache_core.protocols import Answer, AnswerHead, Recorder, Refused
from semcache_core.reasons import Code
from semcache_core.types import Key

from .assembly import Assembly, Broken
from .options import Terms

WHOLE = "whole"
"""``Answer.offers``: everything that a caller in JSON mode gets from this upstream."""
STREAM = "stream"
"""``Answer.offers``: it can be framed as a stream without losing anything."""
USAGE = "usage"
JSON = "json"
"""``Mode.required``: the caller requested a JSON format, so a text that is not JSON cannot answer it."""

_FINISHED = frozenset({"stop", "tool_calls", "function_call", "end_turn", "stop_sequence", "tool_use", "completed"})
_CUT: dict[str, Code] = {"length": "finish-length", "content_filter": "finish-content_filter"}
_STREAMABLE = frozenset({"role", "content", "refusal", "tool_calls", "function_call", "reasoning_content", "reasoning"})
_decode = msgspec.json.Decoder().decode


def recorder_for(key: Key, head: AnswerHead, terms: Terms) -> Recorder | Refused:
    """Return a recorder for this content type, or why such an answer is not stored."""
    kind = content_type(head)
    if kind == b"text/event-stream":
        return _StreamRecorder(key, terms)
    if is_json(kind):
        return JsonRecorder(partial(_judged, key, terms))
    return Refused("content-type", complete=False)


def _judged(key: Key, terms: Terms, content: Any, body: bytes) -> Answer | Refused:
    verdict = admit(content, key, terms)
    if isinstance(verdict, Refused):
        return verdict
    return _answer(body, content, verdict, whole=True, stream=verdict.streamable)


class _StreamRecorder:
    def __init__(self, key: Key, terms: Terms) -> None:
        self._key, self._terms = key, terms
        self._stream = EventStream()
        self._assembly = Assembly()
        self._log: list[Event] = []
        self._broken: Code | None = None
        self.done = False
        """Whether the terminal event has come."""

    def feed(self, chunk: bytes) -> None:
        if self._broken is not None:
            return
        assembly = self._assembly
        try:
            for event in self._stream.feed(chunk):
                if not assembly.done:
                    self._log.append(event)
                assembly.take(event)
        except Broken as broken:
            self._broken = broken.reason
            self._log.clear()
        else:
            self.done = assembly.done

    def finish(self) -> Answer | Refused:
        if self._stream.end() is not None:
            self.feed(b"\n\n")  # The last event counts even without the empty line after it.
        if self._broken is not None:
            return Refused(self._broken, complete=False)
        assembly = self._assembly
        if not assembly.done:
            return Refused("no-terminal-event", complete=False)
        content = assembly.body()
        verdict = admit(content, self._key, self._terms)
        if isinstance(verdict, Refused):
            return verdict
        if assembly.raw or not verdict.streamable:
            # An answer with unknown members is for equal requests only.
            log = b"".join([framed(event.data, name=event.name) for event in self._log])
            verdict = msgspec.structs.replace(verdict, exact_only=True)
            return _answer(log, content, verdict, whole=False, stream=True, form="events")
        return _answer(msgspec.json.encode(content), content, verdict, whole=assembly.usage is not None, stream=True)


class Admission(msgspec.Struct, frozen=True):
    """The answer may be stored. ``streamable``: it has only members that can be framed as a stream."""

    exact_only: bool
    streamable: bool


_PLAIN = Admission(exact_only=False, streamable=True)


def admit(content: object, key: Key, terms: Terms) -> Admission | Refused:
    """Say whether a complete chat completion may be stored, and for which requests."""
    if not isinstance(content, dict):
        return Refused("malformed-answer", complete=False)
    if content.get("error") is not None:
        return Refused("error-member", complete=False)
    choices = content.get("choices")
    if not isinstance(choices, list) or not choices:
        return Refused("empty-answer")
    whole = _PLAIN
    for choice in choices:
        verdict = _admit_choice(choice, key, terms)
        if isinstance(verdict, Refused):
            return verdict
        if verdict is not _PLAIN:
            whole = Admission(whole.exact_only or verdict.exact_only, whole.streamable and verdict.streamable)
    return whole


def _admit_choice(choice: Any, key: Key, terms: Terms) -> Admission | Refused:
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict):
        return Refused("malformed-answer", complete=False)
    finish = choice.get("finish_reason")
    if not isinstance(finish, str):
        return Refused("finish-reason")
    if finish not in _FINISHED and finish not in terms.finish_reasons:
        return Refused(_CUT.get(finish, "finish-reason"))
    if message.get("refusal"):
        return Refused("refusal")
    calls = bool(message.get("tool_calls") or message.get("function_call"))
    content = message.get("content")
    if not calls and not (content.strip() if isinstance(content, str) else content) and not message.get("audio"):
        return Refused("empty-answer")
    if calls and terms.tool_calls == "never":
        return Refused("tool-calls")
    if JSON in key.mode.required and not calls and not _is_json(content):
        return Refused("invalid-json")
    strange = not message.keys() <= _STREAMABLE and _is_strange(message)
    plain = (content is None or isinstance(content, str)) and choice.get("logprobs") is None
    if plain and not strange and not calls:
        return _PLAIN
    return Admission(
        exact_only=strange or (calls and terms.tool_calls == "exact"),
        streamable=plain and not strange and (not calls or _plain_tools(message)),
    )


def _is_strange(message: dict[str, Any]) -> bool:
    """Say whether the message has an unknown, non-empty member."""
    return any(name not in _STREAMABLE and value not in (None, "", [], {}) for name, value in message.items())


def _plain_tools(message: dict[str, Any]) -> bool:
    """Say whether the tool calls have only members that a stream of chunks can carry."""
    calls = message.get("tool_calls") or []
    return (
        isinstance(calls, list)
        and all(
            isinstance(call, dict)
            and call.keys() <= {"id", "type", "function", "index"}
            and _plain_function(call.get("function"))
            for call in calls
        )
        and (message.get("function_call") is None or _plain_function(message["function_call"]))
    )


def _plain_function(function: object) -> bool:
    return (
        isinstance(function, dict)
        and function.keys() <= {"name", "arguments"}
        and all(isinstance(value, str) for value in function.values())
    )


def _is_json(content: object) -> bool:
    if not isinstance(content, str):
        return False
    try:
        _decode(content)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _answer(
    body: bytes, content: dict[str, Any], verdict: Admission, *, whole: bool, stream: bool, form: str = "body"
) -> Answer:
    usage = content.get("usage")
    return Answer(
        status=200,
        headers=(),
        body=body,
        form=form,
        offers=_held(whole, stream, isinstance(usage, dict)),
        tokens=_tokens(usage),
        exact_only=verdict.exact_only,
    )


@cache
def _held(whole: bool, stream: bool, usage: bool) -> frozenset[str]:
    return frozenset(name for name, held in ((WHOLE, whole), (STREAM, stream), (USAGE, usage)) if held)


def _tokens(usage: object) -> int:
    if not isinstance(usage, dict):
        return 0
    total = usage.get("total_tokens")
    if not isinstance(total, int):
        total = sum(n for n in (usage.get("prompt_tokens"), usage.get("completion_tokens")) if isinstance(n, int))
    return max(0, total)
