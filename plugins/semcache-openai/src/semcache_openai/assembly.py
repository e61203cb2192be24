"""Builds one canonical chat completion from a stream of chunks: choices, tool calls by index, reasoning, usage. Pure.

Members that it cannot assemble without guessing (log probabilities, unknown members) make the assembly *raw*: such an
answer is kept as its event log. Nothing is dropped silently or invented.
"""

from __future__ import annotations

from typing import Any

import msgspec

from semcache_core.authoring.sse import Event
from semcache_core.reasons import Code

DONE = b"[DONE]"
_TEXTS = ("content", "reasoning_content", "reasoning", "refusal")
# These may differ between chunks without a meaning: a server stamps each chunk, or leaves them blank in the first.
_FIRST_COUNTS = frozenset({"id", "created", "model"})
_LAST_COUNTS = frozenset({"system_fingerprint", "service_tier"})
_NOT_KEPT = frozenset({"object", "choices", "usage", "obfuscation"})
_decode = msgspec.json.Decoder().decode

Json = dict[str, Any]


class Broken(Exception):
    """The stream contains something that makes it unstorable."""

    def __init__(self, reason: Code) -> None:
        super().__init__(reason)
        self.reason = reason


class _Choice:
    """The content of one choice so far."""

    __slots__ = ("call", "finish", "members", "role", "texts", "tools")

    def __init__(self) -> None:
        self.role: str | None = None
        self.texts: dict[str, list[str]] = {}
        self.tools: dict[int, Json] = {}
        self.call: Json | None = None
        self.finish: str | None = None
        self.members: Json = {}

    def message(self) -> Json:
        texts = {name: "".join(parts) for name, parts in self.texts.items()}
        message: Json = {} if self.role is None else {"role": self.role}
        message["content"] = texts.pop("content", None)
        message.update((name, text) for name, text in texts.items() if text)
        if self.tools:
            message["tool_calls"] = [_whole(self.tools[index]) for index in sorted(self.tools)]
        if self.call is not None:
            message["function_call"] = _whole_function(self.call)
        return message


class Assembly:
    """Receives events in order and assembles the answer."""

    __slots__ = ("_choices", "_members", "done", "raw", "usage")

    def __init__(self) -> None:
        self._choices: dict[int, _Choice] = {}
        self._members: Json = {}
        self.usage: Json | None = None
        self.done = False
        self.raw = False
        """True once an event had content that only the event log can keep."""

    def take(self, event: Event) -> None:
        """Receive the next event. Raises Broken for an error event and for data that is not a chunk."""
        if self.done:
            return
        if event.name == b"error":
            raise Broken("error-event")
        if event.data.strip() == DONE:
            self.done = True
            return
        try:
            chunk = _decode(event.data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise Broken("malformed-event") from None
        if not isinstance(chunk, dict):
            raise Broken("malformed-event")
        if chunk.get("error") is not None:
            raise Broken("error-event")
        self._merge(chunk)

    def body(self) -> Json:
        """Return the answer as a ``chat.completion`` object, with ``usage`` only if the stream had it."""
        members = self._members
        body: Json = {name: members[name] for name in ("id",) if name in members}
        body["object"] = "chat.completion"
        body.update((name, value) for name, value in members.items() if name != "id")
        body["choices"] = [
            {"index": index, "message": choice.message(), **choice.members, "finish_reason": choice.finish}
            for index, choice in sorted(self._choices.items())
        ]
        if self.usage is not None:
            body["usage"] = self.usage
        return body

    def _merge(self, chunk: Json) -> None:
        usage = chunk.get("usage")
        if isinstance(usage, dict):
            self.usage = usage
        for name, value in chunk.items():
            if name not in _NOT_KEPT and value is not None:
                self._note(self._members, name, value)
        choices = chunk.get("choices")
        if choices is None:
            return
        if not isinstance(choices, list):
            raise Broken("malformed-event")
        for part in choices:
            self._merge_choice(part)

    def _note(self, members: Json, name: str, value: object) -> None:
        known = members.get(name)
        if not known or name in _LAST_COUNTS:
            members[name] = value
        elif known != value and name not in _FIRST_COUNTS:
            self.raw = True

    def _merge_choice(self, part: object) -> None:
        if not isinstance(part, dict) or not isinstance(part.get("index", 0), int):
            raise Broken("malformed-event")
        choice = self._choices.setdefault(part.get("index", 0), _Choice())
        for name, value in part.items():
            if name == "delta":
                if isinstance(value, dict):
                    self._merge_delta(choice, value)
            elif name == "finish_reason":
                choice.finish = value if isinstance(value, str) else choice.finish
            elif name == "logprobs":
                self.raw = self.raw or value is not None
            elif name != "index" and value is not None:
                self._note(choice.members, name, value)

    def _merge_delta(self, choice: _Choice, delta: Json) -> None:
        for name, value in delta.items():
            if value is None:
                continue
            if name in _TEXTS and isinstance(value, str):
                choice.texts.setdefault(name, []).append(value)
            elif name == "role" and isinstance(value, str):
                choice.role = choice.role or value
            elif name == "tool_calls" and isinstance(value, list):
                for call in value:
                    self._merge_tool(choice, call)
            elif name == "function_call" and isinstance(value, dict):
                choice.call = choice.call or {}
                self._merge_function(choice.call, value)
            elif value not in ("", [], {}):
                self.raw = True

    def _merge_tool(self, choice: _Choice, call: object) -> None:
        if not isinstance(call, dict) or not isinstance(call.get("index"), int):
            # Without an index it is unknown to which call a piece belongs.
            self.raw = True
            choice.tools.setdefault(-1, {})
            return
        whole = choice.tools.setdefault(call["index"], {})
        for name, value in call.items():
            if name == "function" and isinstance(value, dict):
                self._merge_function(whole.setdefault("function", {}), value)
            elif name in ("id", "type"):
                if value:
                    self._note(whole, name, value)
            elif name != "index" and value is not None:
                self.raw = True

    def _merge_function(self, whole: Json, piece: Json) -> None:
        for name, value in piece.items():
            if name == "arguments" and isinstance(value, str):
                whole.setdefault("arguments", []).append(value)
            elif name == "name":
                if value:
                    self._note(whole, name, value)
            elif value is not None:
                self.raw = True


def _whole(tool: Json) -> Json:
    return {**tool, "function": _whole_function(tool["function"])} if "function" in tool else tool


def _whole_function(function: Json) -> Json:
    return {**function, "arguments": "".join(function.get("arguments", ()))}
