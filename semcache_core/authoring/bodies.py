"""Recorders for answers with one whole body: they collect and decode it; the protocol decides whether to store it.

Each is a ``semcache_core.protocols.Recorder``. The core bounds the size of the body (``max_body``).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec

from semcache_core.protocols import Answer, AnswerHead, Refused
from semcache_core.types import Entity

__all__ = ["BodyRecorder", "JsonRecorder", "content_type", "is_error", "is_json"]

_MALFORMED = Refused("malformed-answer", complete=False)
_TRUNCATED = Refused("malformed-answer", complete=False, cut_off=True)
_decode = msgspec.json.Decoder().decode


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


class BodyRecorder(Entity):
    """Collects a whole body and returns the result of ``judge(body)`` at its end."""

    judge: Callable[[bytes], Answer | Refused]
    _pieces: list[bytes] = []

    def feed(self, chunk: bytes) -> None:
        """Take the next piece of the body."""
        self._pieces.append(chunk)

    def finish(self) -> Answer | Refused:
        """Return the answer to store, or why the body is refused."""
        return self.judge(b"".join(self._pieces))


class JsonRecorder(Entity):
    """Collects a whole JSON body and returns the result of ``judge(content, body)``: decoded, and as received.

    A body that is no JSON is ``malformed-answer``; it is never judged. ``if_empty`` is what becomes of an empty one.
    """

    judge: Callable[[Any, bytes], Answer | Refused]
    if_empty: Refused = _MALFORMED
    _pieces: list[bytes] = []

    def feed(self, chunk: bytes) -> None:
        """Take the next piece of the body."""
        self._pieces.append(chunk)

    def finish(self) -> Answer | Refused:
        """Return the answer to store, or why the body is refused."""
        body = b"".join(self._pieces)
        if not body or body.isspace():
            return self.if_empty
        try:
            content = _decode(body)
        except msgspec.DecodeError as error:
            return _TRUNCATED if _breaks_off(error) else _MALFORMED
        except (UnicodeDecodeError, RecursionError):
            return _MALFORMED
        return self.judge(content, body)


def _breaks_off(error: msgspec.DecodeError) -> bool:
    # msgspec says it in the message only; a test holds it to its word.
    return "truncated" in str(error)
