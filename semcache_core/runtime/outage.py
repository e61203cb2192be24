"""What is down when a cache opens: told once, tried again after a pause."""

from __future__ import annotations

import logging
import time

from semcache_core.errors import SemcacheError
from semcache_core.runtime.opening import OPENING

_log = logging.getLogger("semcache")

_PAUSE = 10.0
"""Seconds without a new try after the cache could not be opened."""


class Outage:
    """Knows whether the cache could not be opened lately, and when to try again."""

    __slots__ = ("_not_before", "is_on")

    def __init__(self) -> None:
        self.is_on = False
        """Whether the last try failed."""
        self._not_before = 0.0

    @property
    def pauses(self) -> bool:
        """Whether it is too early for a new try."""
        return time.monotonic() < self._not_before

    def end_pause(self) -> None:
        """Let the next use try again at once."""
        self._not_before = 0.0

    def began(self, error: Exception) -> None:
        """Take note that the cache could not be opened; the log hears of the first of several failures."""
        self._not_before = time.monotonic() + _PAUSE
        if not self.is_on:
            self.is_on = True
            # A library's own text may hold a password; what a component raises on purpose names the remedy.
            text = f": {error}" if isinstance(error, SemcacheError) else _noted(error)
            why = type(error).__name__ + text
            _log.warning("the cache cannot be opened (%s): requests pass uncached until it can be", why)

    def ended(self) -> None:
        """Take note that the cache is open."""
        if self.is_on:
            self.is_on = False
            _log.info("the cache is open")


def _noted(error: Exception) -> str:
    """Return which component was being opened, as ``open_cache`` has noted. Other notes are a library's own text."""
    return next((f" {note}" for note in getattr(error, "__notes__", ()) if note.startswith(OPENING)), "")
