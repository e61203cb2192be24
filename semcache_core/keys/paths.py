"""Which raw paths may name another resource to another server. Pure."""

from __future__ import annotations

import re
from functools import lru_cache

from semcache_core.types import Bypass

LONGEST_PATH = 1024
"""Bytes of the longest path that is kept: callers choose paths, and servers accept long ones."""

_PATH = Bypass(reason="path-form")
_DOUBTFUL = re.compile(rb"//|/(?:\.|%2[eE]){1,2}(?:/|\Z)|%2[fF]|%5[cC]|\\")


def doubtful_path(path: bytes) -> Bypass | None:
    """Return a Bypass for a raw path that servers may resolve differently: dot segments, ``//``, encoded slashes."""
    return _known_path(path) if len(path) <= LONGEST_PATH else _judged_path(path)


def _judged_path(path: bytes) -> Bypass | None:
    return _PATH if _DOUBTFUL.search(path) else None


_known_path = lru_cache(maxsize=1024)(_judged_path)
