"""Assembles the tool calls of a message from their pieces. Pure."""

from __future__ import annotations

from typing import Any

__all__ = ["TEXT_OF", "ToolCalls", "add_function", "whole_function"]

#: What a tool call holds by its type, and the member of it that comes in pieces.
TEXT_OF = {"function": "arguments", "custom": "input"}

Json = dict[str, Any]


class ToolCalls:
    """The tool calls of one choice so far, by index; a server may leave the index out, or use one for all."""

    __slots__ = ("_at", "_calls", "_named", "raw")

    def __init__(self) -> None:
        self._calls: list[Json] = []
        self._at: dict[int, int] = {}
        """Where the call is that the next piece with this index belongs to."""
        self._named: dict[str, Json] = {}
        """The calls that came without an index, by id."""
        self.raw = False
        """True once a piece had content that only the event log can keep."""

    def take(self, pieces: list[Any]) -> None:
        """Receive the ``tool_calls`` of one delta."""
        for piece in pieces:
            if isinstance(piece, dict):
                self._take(piece)
            else:
                self.raw = True

    def whole(self) -> list[Json]:
        """Return the calls."""
        numbered = sorted((index, at) for index, at in self._at.items())
        order = [at for _, at in numbered] if len(numbered) == len(self._calls) else range(len(self._calls))
        return [_whole(self._calls[at]) for at in order]

    def _take(self, piece: Json) -> None:
        call = self._call_of(piece)
        for name, value in piece.items():
            if name in TEXT_OF and isinstance(value, dict):
                self.raw = not add_function(call.setdefault(name, {}), value, text=TEXT_OF[name]) or self.raw
            elif name in ("id", "type"):
                if value:
                    self.raw = call.setdefault(name, value) != value or self.raw
            elif name != "index" and value not in (None, "", [], {}):
                self.raw = True

    def _call_of(self, piece: Json) -> Json:
        """Return the call that a piece belongs to: a new one if it names itself and the one known is another."""
        index, own_id = piece.get("index"), piece.get("id")
        is_named = bool(own_id) and any(
            isinstance(piece.get(kind), dict) and piece[kind].get("name") for kind in TEXT_OF
        )
        if isinstance(index, int):
            at = self._at.get(index)
            if at is None or (is_named and self._calls[at].get("id", own_id) != own_id):
                at = self._at[index] = self._begun()
            return self._calls[at]
        if isinstance(own_id, str) and own_id in self._named:
            return self._named[own_id]
        # Without an index and a name of its own it is unknown to which call a piece belongs.
        self.raw = self.raw or not is_named
        call = self._calls[self._begun()]
        if isinstance(own_id, str):
            self._named[own_id] = call
        return call

    def _begun(self) -> int:
        self._calls.append({})
        return len(self._calls) - 1


def add_function(whole: Json, piece: Json, *, text: str = "arguments") -> bool:
    """Add a piece of a function call; return whether all of it could be assembled. ``text`` comes in pieces."""
    understood = True
    for name, value in piece.items():
        if name == text and isinstance(value, str):
            whole.setdefault(text, []).append(value)
        elif name == "name":
            understood = (not value or whole.setdefault(name, value) == value) and understood
        elif value is not None:
            understood = False
    return understood


def whole_function(function: Json, *, text: str = "arguments") -> Json:
    """Return the function call that the pieces make."""
    return {**function, text: "".join(function.get(text, ()))}


def _whole(call: Json) -> Json:
    return call | {kind: whole_function(call[kind], text=text) for kind, text in TEXT_OF.items() if kind in call}
