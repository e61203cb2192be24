"""Recorders for answers with one whole body: they collect and decode it; the protocol decides whether to store it.

Each is a ``semcache_core.protocols.Recorder``. The core bounds the size of the body (``max_body``).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec

from semcache_core.authoring.json_form import MAX_VALUES, has_long_number, outside_strings
from semcache_core.protocols import Answer, AnswerHead, Refused
from semcache_core.types import Entity

__all__ = ["BodyRecorder", "JsonRecorder", "TooComplex", "content_type", "decode_json", "is_error", "is_json"]

_MALFORMED = Refused("malformed-answer", complete=False)
_TOO_COMPLEX = Refused("too-complex")
_TRUNCATED = Refused("malformed-answer", complete=False, cut_off=True)
_decode = msgspec.json.Decoder().decode


class TooComplex(ValueError):
    """The JSON would take too long to read."""


def content_type(head: AnswerHead) -> bytes:
    """Return the media type without its parameters, in lower case; empty if the answer has none."""
    for name, value in head.headers:
        if name == b"content-type":
            return _media_type(value)
    return b""


def is_json(media_type: bytes) -> bool:
    """Say whether a media type, as ``content_type`` returns it, is JSON."""
    return media_type == b"application/json" or media_type.endswith(b"+json")


def is_error(content: object) -> bool:
    """Say whether a decoded body, or an event of a stream, is an error object, although the status is 200."""
    if not isinstance(content, dict):
        return False
    base = content.get("base_resp")  # MiniMax: the status of an answer, 0 for success.
    return (
        content.get("error") is not None
        or content.get("object") == "error"
        or content.get("type") == "error"
        or (isinstance(base, dict) and base.get("status_code") not in (0, None))
    )


@lru_cache(maxsize=256)
def _media_type(value: bytes) -> bytes:
    return value.partition(b";")[0].strip().lower()


def decode_json(body: bytes) -> Any:
    """Return the value of JSON that an upstream sent: a whole answer, or the data of one event.

    Raises ValueError, and RecursionError where it is nested too deep; TooComplex, before anything is decoded, for more
    than 50,000 lists and objects (or 100,000 strings): to decode them would hold up every other thread.
    """
    if len(body) > MAX_VALUES:
        plain = outside_strings(body)
        if plain is None or plain.count(b"[") + plain.count(b"{") > MAX_VALUES or has_long_number(plain):
            raise TooComplex("too many lists and objects, or too long a number")
    return _decode(body)


class BodyRecorder(Entity):
    """Collects a whole body and returns the result of ``judge(body)`` at its end."""

    judge: Callable[[bytes], Answer | Refused]
    # Not a list: an upstream may send single bytes, and each would be an object.
    _body: bytearray = msgspec.field(default_factory=bytearray)

    def feed(self, chunk: bytes) -> None:
        """Take the next piece of the body."""
        self._body += chunk

    def finish(self) -> Answer | Refused:
        """Return the answer to store, or why the body is refused."""
        return self.judge(bytes(self._body))


class JsonRecorder(Entity):
    """Collects a whole JSON body and returns the result of ``judge(content, body)``: decoded, and as received.

    A body that is no JSON is ``malformed-answer``, one with too many lists and objects ``too-complex``; neither is
    judged. ``if_empty`` is what becomes of an empty one.
    """

    judge: Callable[[Any, bytes], Answer | Refused]
    if_empty: Refused = _MALFORMED
    _body: bytearray = msgspec.field(default_factory=bytearray)

    def feed(self, chunk: bytes) -> None:
        """Take the next piece of the body."""
        self._body += chunk

    def finish(self) -> Answer | Refused:
        """Return the answer to store, or why the body is refused."""
        body = bytes(self._body)
        if not body or body.isspace():
            return self.if_empty
        try:
            content = decode_json(body)
        except TooComplex:
            return _TOO_COMPLEX
        except msgspec.DecodeError as error:
            return _TRUNCATED if _breaks_off(error) else _MALFORMED
        except (UnicodeDecodeError, RecursionError):
            return _MALFORMED
        return self.judge(content, body)


def _breaks_off(error: msgspec.DecodeError) -> bool:
    # msgspec says it in the message only; a test holds it to its word.
    return "truncated" in str(error)
