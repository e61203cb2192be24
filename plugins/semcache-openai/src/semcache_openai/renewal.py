"""What changes in an answer that is served again: its id and time for another question, and perhaps its usage. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from semcache_core.protocols import Framing

__all__ = ["Renewal"]

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class Renewal:
    """Renews the members of one answer for one caller."""

    __slots__ = ("_framing", "_zero_usage", "changes")

    def __init__(self, framing: Framing, *, zero_usage: bool) -> None:
        self._framing = framing
        self._zero_usage = zero_usage
        self.changes = zero_usage or not framing.exact
        """Whether anything changes at all."""

    def members(self, members: dict[str, msgspec.Raw]) -> dict[str, msgspec.Raw]:
        """Return the encoded members of a body or a chunk, those renewed that it has."""
        fresh = dict(members)
        if not self._framing.exact:
            about = self.envelope({name: _decode(members[name]) for name in ("id", "created") if name in members})
            fresh.update((name, msgspec.Raw(_encode(value))) for name, value in about.items())
        if self._zero_usage:
            for name, value in members.items():
                if name == "usage" or b'"usage"' in bytes(value):
                    fresh[name] = msgspec.Raw(_encode(self.usage({name: _decode(value)})[name]))
        return fresh

    def envelope(self, members: dict[str, Any]) -> dict[str, Any]:
        """Return the members with a new id and time, unless the caller's question is the very same."""
        if self._framing.exact:
            return members
        fresh = dict(members)
        # What is blank stays blank: some servers send a first chunk that belongs to no answer yet.
        if "id" in members and members["id"] != "":
            fresh["id"] = self._id(members["id"])
        if "created" in members and members["created"] != 0:
            fresh["created"] = int(self._framing.now)
        return fresh

    def usage(self, content: Any) -> Any:
        """Return a decoded body or member with the usage that this caller gets, wherever it is in it."""
        return _with_zero_usage(content) if self._zero_usage else content

    def _id(self, stored: object) -> str:
        prefix, dash, _ = stored.partition("-") if isinstance(stored, str) else ("", "", "")
        return prefix + dash + self._framing.fresh_id


def _with_zero_usage(content: Any) -> Any:
    if isinstance(content, dict):
        return {name: _zeroed(value) if name == "usage" else _with_zero_usage(value) for name, value in content.items()}
    return [_with_zero_usage(each) for each in content] if isinstance(content, list) else content


def _zeroed(usage: object) -> object:
    if isinstance(usage, dict):
        return {name: _zeroed(value) for name, value in usage.items()}
    return 0 if isinstance(usage, int | float) and not isinstance(usage, bool) else usage
