"""How long an answer is fresh. Pure: time and randomness are passed in.

An entry's expiry is fixed at birth and never slides; ``decide.serves`` says whether it may be served at a given time.
The names follow RFC 9111 and RFC 5861 (stale-while-revalidate, stale-if-error).
"""

from __future__ import annotations

import re
from collections.abc import Collection

from semcache_core.settings import Duration

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)\s*\Z")


def parse_duration(value: object) -> Duration:
    """Return seconds for ``"7d"``, ``"90s"``, ``"500ms"`` or a number; None for ``"never"``. Raises ValueError."""
    if value == "never":
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    else:
        found = _DURATION.match(value) if isinstance(value, str) else None
        if found is None:
            raise ValueError(f"not a duration: {value!r}; write seconds, '90s', '15m', '1h', '7d' or 'never'")
        seconds = float(found[1]) * _UNITS[found[2]]
    if not 0 <= seconds < 1e12:
        raise ValueError(f"not a duration: {value!r}; it must be 0 or more, and 'never' is spelt out")
    return seconds


def check_tags(tags: object) -> None:
    """Raise TypeError unless ``tags`` is a list of str: in a plain str each letter would become a useless tag."""
    if isinstance(tags, str | bytes) or not isinstance(tags, Collection):
        raise TypeError(f"tags= takes a list of str, not {tags!r}")
    if not all(isinstance(tag, str) for tag in tags):
        raise TypeError(f"tags= takes a list of str, not {list(tags)!r}")


def expiry(born_at: float, ttl: Duration, *, jitter: float, draw: float) -> float | None:
    """Return when an entry born at ``born_at`` expires; ``draw`` in [0, 1) takes off up to the share ``jitter``."""
    return None if ttl is None else born_at + ttl * (1.0 - jitter * draw)


def keep_until(expires_at: float | None, *, stale_window: float) -> float | None:
    """Return when a store may drop the entry: its expiry plus the longest window in which it may be served stale."""
    return None if expires_at is None else expires_at + stale_window
