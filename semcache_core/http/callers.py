"""Who asks, where the application says it: its ``identity`` function, called with the transport's own request."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import TypeVar

from semcache_core.keys.credentials import is_unset

R = TypeVar("R")

_ADDRESS = re.compile(r" at 0x[0-9A-Fa-f]+>")

_log = logging.getLogger("semcache.http")


def caller_name(identity: Callable[[R], str | None], request: R) -> str | None:
    """Return the caller's name; None if it names none, or what it returns cannot tell callers apart. Never raises."""
    try:
        who = identity(request)
    except Exception as error:  # noqa: BLE001  the edge to the application's code
        _log.warning("identity() raised %s: the request bypasses the cache", type(error).__name__)
        return None
    if who is None:
        return None
    if isinstance(who, str):
        if is_unset(who.encode("utf-8", "replace")):
            return None  # str(user) of nobody is "None", and so would all be one caller.
        if not _ADDRESS.search(who):
            return who
        # The next object may be at the same address, and belong to somebody else.
        _log.warning("identity() returned the text of an object at an address: the request bypasses the cache")
        return None
    # A number that an ORM gave, or the coroutine of an async function.
    _log.warning("identity() returned %s, not str or None: the request bypasses the cache", type(who).__name__)
    return None
