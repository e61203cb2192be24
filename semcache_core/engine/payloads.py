"""Python values as payloads: str, bytes, and JSON that comes back equal and of the same types."""

from __future__ import annotations

import math

import msgspec

from semcache_core.protocols import Answer
from semcache_core.reasons import Code

_MOST_DEPTH = 128
_encode = msgspec.json.encode
_decode = msgspec.json.decode
_decode_answer = msgspec.msgpack.Decoder(Answer).decode
_SCALARS = frozenset({str, int, bool, type(None)})


NOT_JSON: Code = "not-json"
"""Reason code of a value that would not come back equal."""


class NotStorable(Exception):
    """The answer may not be stored, and ``reason`` says why. ``not-json``: it would not come back equal."""

    def __init__(self, reason: Code) -> None:
        super().__init__(reason)
        self.reason = reason


def pack(value: object) -> tuple[str, bytes]:
    """Return the kind and the payload of ``value``. Raises NotStorable."""
    kind = type(value)
    if kind is bytes:
        return "bytes", value  # type: ignore[return-value]
    try:
        if kind is str:
            return "str", value.encode()  # type: ignore[attr-defined]
        if _is_plain(value, 0):
            return "json", _encode(value)
    except (UnicodeEncodeError, msgspec.MsgspecError, OverflowError) as error:
        raise NotStorable(NOT_JSON) from error
    raise NotStorable(NOT_JSON)


def unpack(kind: str, payload: bytes) -> object:
    """Return the value that was packed: a fresh one each time, so that no two callers share a mutable."""
    if kind == "str":
        return payload.decode()
    return payload if kind == "bytes" else _decode(payload)


def offender(value: object) -> object:
    """Return the part of ``value`` because of which it cannot be packed: a member deep inside, or the value itself."""
    parts = value if type(value) is list else [*value, *value.values()] if type(value) is dict else ()
    return next((offender(part) for part in parts if not _is_plain(part, 0)), value)


def value_of(kind: str, payload: bytes) -> object:
    """Return what a payload holds: the value that was packed, or the answer of an HTTP protocol."""
    return _decode_answer(payload) if kind == "http" else unpack(kind, payload)


def _is_plain(value: object, depth: int) -> bool:
    """Say whether JSON keeps ``value`` as it is: exact types only, since a subclass or a tuple would come back as
    another.
    """
    kind = type(value)
    if kind in _SCALARS:
        return True
    if kind is float:
        return math.isfinite(value)  # type: ignore[arg-type]
    if depth >= _MOST_DEPTH:
        return False
    if kind is list:
        return all(_is_plain(item, depth + 1) for item in value)  # type: ignore[attr-defined]
    if kind is dict:
        return all(type(name) is str and _is_plain(item, depth + 1) for name, item in value.items())  # type: ignore[attr-defined]
    return False


class DoNotCache(Exception):
    """Raise ``DoNotCache(value)`` or return it from a cached function: the caller gets ``value``, nothing is stored."""

    def __init__(self, value: object = None) -> None:
        super().__init__("not to be cached")
        self.value = value
        """What the caller gets."""
