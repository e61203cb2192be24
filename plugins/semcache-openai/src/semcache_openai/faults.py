"""Recognises an error that comes in place of an answer, or of a chunk, although the status is 200. Pure."""

from __future__ import annotations

from typing import Any

from semcache_core.authoring.bodies import is_error

__all__ = ["is_fault"]

_NOT_IN_A_CHUNK = ("message", "msg", "detail", "code", "status_code", "statusCode", "error_code", "error_msg", "errors")


def is_fault(content: dict[str, Any]) -> bool:
    """Say whether this body or this chunk of a stream says that the request failed."""
    if is_error(content) or is_error(content.get("x_groq")):  # Groq says there why it stopped early.
        return True
    choices = content.get("choices")
    if isinstance(choices, list):
        return any(isinstance(choice, dict) and choice.get("error") is not None for choice in choices)
    # Without choices it is usage, a ping, or a failure in the words of some framework or gateway.
    return any(content.get(name) not in (None, "", 0, [], {}) for name in _NOT_IN_A_CHUNK)
