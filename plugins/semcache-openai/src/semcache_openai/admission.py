"""Says which complete chat completions may be stored, and for which requests. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from semcache_core.authoring.bodies import decode_json
from semcache_core.protocols import Refused
from semcache_core.reasons import Code
from semcache_core.types import Key

from .assembly import FINISHED, REASONING
from .faults import is_fault
from .merging import says_nothing
from .modes import JSON
from .options import Terms
from .reasoning import DETAILS, are_blocks, are_signed
from .tool_calls import TEXT_OF

__all__ = ["Admission", "admit"]

_CUT: dict[str, Code] = {"length": "finish-length", "content_filter": "finish-content_filter"}
_USUAL = frozenset({"role", "content", "refusal", "tool_calls", "function_call"})
_STREAMABLE = _USUAL | {DETAILS}


class Admission(msgspec.Struct, frozen=True):
    """The answer may be stored. ``streamable``: it has only members that can be framed as a stream."""

    exact_only: bool
    streamable: bool


_PLAIN = Admission(exact_only=False, streamable=True)


def admit(content: object, key: Key, terms: Terms) -> Admission | Refused:
    """Say whether a complete chat completion may be stored, and for which requests."""
    if not isinstance(content, dict):
        return Refused("malformed-answer", complete=False)
    if is_fault(content):
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
    # A whole answer of one's own application may lack the member; a stream is assembled with it, null or not.
    finish = choice.get("finish_reason", "stop")
    if not isinstance(finish, str):
        return Refused("finish-reason")
    if finish not in FINISHED and finish not in terms.finish_reasons:
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
    details = message.get(DETAILS) or []
    strange = not message.keys() <= _USUAL and (_is_strange(message) or not are_blocks(details))
    plain = (content is None or isinstance(content, str)) and choice.get("logprobs") is None
    signed = not strange and are_signed(details)
    if plain and not strange and not signed and not calls:
        return _PLAIN
    return Admission(
        exact_only=strange or signed or (calls and terms.tool_calls == "exact"),
        streamable=plain and not strange and (not calls or _plain_tools(message)),
    )


def _is_strange(message: dict[str, Any]) -> bool:
    """Say whether the message has an unknown, non-empty member, or thoughts that are no text."""
    return any(
        not (says_nothing(value) or name in _STREAMABLE or (name in REASONING and isinstance(value, str)))
        for name, value in message.items()
    )


def _plain_tools(message: dict[str, Any]) -> bool:
    """Say whether the tool calls have only members that a stream of chunks can carry."""
    calls = message.get("tool_calls") or []
    return (
        isinstance(calls, list)
        and all(isinstance(call, dict) and _plain_tool(call) for call in calls)
        and (message.get("function_call") is None or _plain_function(message["function_call"], "arguments"))
    )


def _plain_tool(call: dict[str, Any]) -> bool:
    kinds = call.keys() & TEXT_OF.keys()
    return (
        len(kinds) == 1
        and call.keys() <= {"id", "type", "index", *kinds}
        and all(_plain_function(call[kind], TEXT_OF[kind]) for kind in kinds)
    )


def _plain_function(function: object, text: str) -> bool:
    return (
        isinstance(function, dict)
        and function.keys() <= {"name", text}
        and all(isinstance(value, str) for value in function.values())
    )


def _is_json(content: object) -> bool:
    if not isinstance(content, str):
        return False
    try:
        decode_json(content.encode())
    except (ValueError, RecursionError):
        return False
    return True
