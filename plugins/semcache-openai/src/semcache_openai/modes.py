"""What a stored chat completion offers, by the names in ``Answer.offers`` and ``Mode.required``."""

from __future__ import annotations

from collections.abc import Set
from functools import cache

__all__ = ["JSON", "STREAM", "UNASKED_USAGE", "USAGE", "WHOLE", "held", "own_mode"]

WHOLE = "whole"
"""``Answer.offers``: everything that a caller in JSON mode gets from this upstream."""
STREAM = "stream"
"""``Answer.offers``: it can be framed as a stream without losing anything."""
USAGE = "usage"
UNASKED_USAGE = "unasked-usage"
"""``Answer.offers``: the stream had usage that was not asked for, so every stream gets it."""
JSON = "json"
"""``Mode.required``: the caller requested a JSON format, so a text that is not JSON cannot answer it."""


@cache
def held(*names: str) -> frozenset[str]:
    """Return these names without the empty ones: one set for all answers that offer the same."""
    return frozenset(name for name in names if name)


def own_mode(streamed: bool, required: Set[str]) -> str:
    """Return the name in ``Answer.offers`` that stands for one mode.

    An entry answers the mode that made it, whatever it lacks: upstream gave that caller nothing else either.
    """
    return f"made-{'streamed' if streamed else 'whole'}{'-with-usage' if USAGE in required else ''}"
