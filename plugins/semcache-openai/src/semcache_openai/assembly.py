"""Builds one canonical chat completion from a stream of chunks: choices, tool calls, reasoning, usage. Pure.

Deltas that it cannot assemble without guessing (log probabilities, unknown members) make the assembly *raw*: such an
answer is kept as its event log only. A member that contradicts itself between chunks is detail of the stream: the
canonical answer leaves it out. Nothing is invented.
"""

from __future__ import annotations

from typing import Any

from semcache_core.reasons import Code

from .merging import CONFLICT, PADDING, merged, says_nothing
from .reasoning import DETAILS, ReasoningDetails
from .tool_calls import ToolCalls, add_function, whole_function

__all__ = ["FINISHED", "REASONING", "TEXTS", "Assembly", "Broken"]

#: Reasons of a choice that is whole.
FINISHED = frozenset({"stop", "tool_calls", "function_call", "end_turn", "stop_sequence", "tool_use", "completed"})

#: Names under which providers send the model's thoughts; some servers send them under two at once.
REASONING = ("reasoning_content", "reasoning", "reasoning_text", "thinking")
TEXTS = frozenset({*REASONING, "content", "refusal"})

_UNFINISHED = ("", "null", "none", "None")
# These may differ between chunks without a meaning: a server stamps each chunk, or leaves them blank in the first.
_FIRST_COUNTS = frozenset({"id", "created", "model"})
# Counters and statistics: the last chunk has those of the whole answer.
_LAST_COUNTS = frozenset(
    {"system_fingerprint", "service_tier", "seed", "stop_reason", "stats", "time_info", "timings", "x_groq"}
)
_NOT_KEPT = PADDING | {"object", "choices", "usage"}
# What a choice says of its own chunk only.
_OF_A_CHUNK = PADDING | {"index", "token_id", "content_filter_offsets"}

Json = dict[str, Any]


class Broken(Exception):
    """The stream contains something that makes it unstorable."""

    def __init__(self, reason: Code) -> None:
        super().__init__(reason)
        self.reason = reason


class Assembly:
    """Receives chunks in order and assembles the answer."""

    __slots__ = ("_choices", "_members", "usage")

    def __init__(self) -> None:
        self._choices: dict[int, _Choice] = {}
        self._members: Json = {}
        self.usage: Json | None = None
        """The token usage in the last chunk that had one."""

    @property
    def raw(self) -> bool:
        """Whether a chunk had content that only the event log can keep."""
        return any(choice.is_raw for choice in self._choices.values())

    @property
    def is_finished(self) -> bool:
        """Whether every choice has its finish reason."""
        return bool(self._choices) and all(choice.finish is not None for choice in self._choices.values())

    def take(self, chunk: Json) -> None:
        """Receive the next chunk. Raises Broken for what is none."""
        usage = chunk.get("usage")
        if isinstance(usage, dict) and usage:
            self.usage = usage
        for name, value in chunk.items():
            if name not in _NOT_KEPT and value is not None:
                _note(self._members, name, value)
        choices = chunk.get("choices")
        if choices is None:
            return
        if not isinstance(choices, list):
            raise Broken("malformed-event")
        for at, part in enumerate(choices):
            index = part.get("index") if isinstance(part, dict) else "none"
            if index is None:
                index = at
            if not isinstance(index, int):
                raise Broken("malformed-event")
            choice = self._choices.get(index)
            if choice is None:
                choice = self._choices[index] = _Choice()
            choice.take(part)

    def body(self) -> Json:
        """Return the answer as a ``chat.completion`` object, with ``usage`` only if the stream had it."""
        members = _settled(self._members)
        body: Json = {name: members[name] for name in ("id",) if name in members}
        body["object"] = "chat.completion"
        body.update((name, value) for name, value in members.items() if name != "id")
        body["choices"] = [
            {
                "index": index,
                "message": choice.message(),
                **_settled(choice.members),
                "finish_reason": choice.finish,
            }
            for index, choice in sorted(self._choices.items())
        ]
        if self.usage is not None:
            body["usage"] = self.usage
        return body


class _Choice:
    """The content of one choice so far."""

    __slots__ = ("call", "details", "finish", "members", "raw", "role", "sent", "texts", "tools", "varies")

    def __init__(self) -> None:
        self.role: str | None = None
        self.texts: dict[str, list[str]] = {}
        self.details = ReasoningDetails()
        self.tools = ToolCalls()
        self.call: Json | None = None
        self.finish: str | None = None
        self.members: Json = {}
        self.sent: Json = {}
        """The last whole message that a chunk had beside its delta, or in place of one."""
        self.varies = False
        """The whole messages are not one that grows: the last one does not say all."""
        self.raw = False

    @property
    def is_raw(self) -> bool:
        """Whether a chunk had content that only the event log can keep."""
        return self.raw or self.tools.raw or self.details.raw or self._comes_in_pieces

    @property
    def _comes_in_pieces(self) -> bool:
        return self.varies and not self.texts and not self.tools.whole()

    def take(self, part: Json) -> None:
        for name, value in part.items():
            if value is None or name in _OF_A_CHUNK:
                continue
            if name == "delta":
                if isinstance(value, dict):
                    self._take_delta(value)
            elif name == "finish_reason":
                self._take_finish(value)
            elif name == "text":
                self.raw = self.raw or not _repeats(value, part.get("delta"))
            elif name == "logprobs":
                self.raw = self.raw or not says_nothing(value)
            elif name == "token_ids" and isinstance(value, list) and isinstance(self.members.get(name, []), list):
                self.members.setdefault(name, []).extend(value)
            elif name == "message":
                if isinstance(value, dict) and not says_nothing(value):
                    self.varies = self.varies or not _grows(self.sent.get("content"), value.get("content"))
                    self.sent = value
            else:
                _note(self.members, name, value)

    def message(self) -> Json:
        """Return the whole message. What was assembled counts; a whole message fills in what no delta had."""
        sent = {} if self.varies and not self._comes_in_pieces else self.sent
        texts = {name: "".join(parts) for name, parts in self.texts.items()}
        texts.update((name, sent[name]) for name in sorted(TEXTS) if _fills(sent.get(name), texts.get(name)))
        role = sent.get("role") if self.role is None else self.role
        message: Json = {} if role is None else {"role": role}
        message["content"] = texts.pop("content", None)
        message.update((name, text) for name, text in texts.items() if text)
        details = self.details.whole() or sent.get(DETAILS)
        if details:
            message[DETAILS] = details
        calls = self.tools.whole() or sent.get("tool_calls")
        if calls:
            message["tool_calls"] = calls
        call = sent.get("function_call") if self.call is None else whole_function(self.call)
        if call is not None:
            message["function_call"] = call
        return message

    def _take_finish(self, value: object) -> None:
        # A choice that was cut or filtered stays so, whatever comes after.
        if isinstance(value, str) and value not in _UNFINISHED and (self.finish is None or self.finish in FINISHED):
            self.finish = value

    def _take_delta(self, delta: Json) -> None:
        for name, value in delta.items():
            if value is None:
                continue
            if name in TEXTS and isinstance(value, str):
                self.texts.setdefault(name, []).append(value)
            elif name == "role" and isinstance(value, str):
                self.role = self.role or value
            elif name == DETAILS and isinstance(value, list):
                self.details.take(value)
            elif name == "tool_calls" and isinstance(value, list):
                self.tools.take(value)
            elif name == "function_call" and isinstance(value, dict):
                self.call = self.call or {}
                self.raw = not add_function(self.call, value) or self.raw
            elif not (name in PADDING or isinstance(value, int | float) or says_nothing(value)):
                self.raw = True


def _repeats(text: object, delta: object) -> bool:
    """Say whether a choice's own text is that of its delta again (Together)."""
    return text == "" or (isinstance(delta, dict) and text == delta.get("content"))


def _fills(text: object, known: str | None) -> bool:
    return not known and isinstance(text, str)


def _grows(known: object, text: object) -> bool:
    """Say whether a text is what was known of it, or more."""
    return not known or (isinstance(known, str) and isinstance(text, str) and text.startswith(known))


def _note(members: Json, name: str, value: object) -> None:
    known = members.get(name)
    if known == value:
        return
    whole = merged(known, value)
    if whole is CONFLICT and name in _FIRST_COUNTS:
        whole = known or value
    elif whole is CONFLICT and name in _LAST_COUNTS:
        whole = value
    members[name] = whole


def _settled(members: Json) -> Json:
    return {name: value for name, value in members.items() if value is not CONFLICT}
