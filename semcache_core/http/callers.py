"""Who asks, where the application says it: its ``identity`` function, called with the transport's own request."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

R = TypeVar("R")

_log = logging.getLogger("semcache.http")


def caller_name(identity: Callable[[R], str | None], request: R) -> str | None:
    """Return the caller's name; None if it names none, or what it returns cannot tell callers apart. Never raises."""
    try:
        who = identity(request)
    except Exception as error:  # noqa: BLE001  the edge to the application's code
        _log.warning("identity() raised %s: the request bypasses the cache", type(error).__name__)
        return None
    if who is None or isinstance(who, str):
        return who
    # A number that an ORM gave, or the coroutine of an async function.
    _log.warning("identity() returned %s, not str or None: the request bypasses the cache", type(who).__name__)
    return None
