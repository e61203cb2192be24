"""Merges what the chunks of a stream say about one member: a value that pads, repeats or grows is one value. Pure."""

from __future__ import annotations

from typing import Any, Final

__all__ = ["CONFLICT", "PADDING", "merged", "says_nothing", "without_padding"]

CONFLICT: Final = object()
"""``merged``: the two values contradict each other."""

#: Random text that some servers add to every chunk, so that its length gives nothing away.
PADDING = frozenset({"obfuscation", "p", "padding"})

_MOST_NAMES = 64
"""An object that grows beyond this is not merged: each step copies it, which must stay linear work."""


def says_nothing(value: object) -> bool:
    """Say whether a value is null, an empty text or list, or an object of such values."""
    if isinstance(value, dict):
        return all(says_nothing(each) for each in value.values())
    return value is None or value == "" or value == []


def merged(known: Any, value: Any) -> Any:
    """Return the value that holds both, or CONFLICT. An object or a list may grow; what was there must stay."""
    if known == value or says_nothing(value):
        return known
    if says_nothing(known):
        return value
    if isinstance(known, dict) and isinstance(value, dict):
        return _merged_objects(known, value)
    if isinstance(known, list) and isinstance(value, list):
        short, long = sorted((known, value), key=len)
        return long if long[: len(short)] == short else CONFLICT
    return CONFLICT


def without_padding(members: dict[str, Any]) -> dict[str, Any]:
    """Return the members of a chunk without its padding."""
    if PADDING.isdisjoint(members):
        return members
    return {name: value for name, value in members.items() if not (name in PADDING and isinstance(value, str))}


def _merged_objects(known: dict[str, Any], value: dict[str, Any]) -> Any:
    if len(known) > _MOST_NAMES:
        return CONFLICT
    whole = dict(known)
    for name, each in value.items():
        whole[name] = merged(whole[name], each) if name in whole else each
        if whole[name] is CONFLICT:
            return CONFLICT
    return whole
