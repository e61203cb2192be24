"""A failed opening: reported once, retried after a pause."""

from __future__ import annotations

import logging
import time

from semcache_core.errors import SemcacheError
from semcache_core.runtime.opening import OPENING

_log = logging.getLogger("semcache")

_PAUSE = 10.0
"""Seconds between a failed opening and the next try."""


class Outage:
    """Keeps whether the last opening failed, and when to retry."""

    __slots__ = ("_not_before", "is_on")

    def __init__(self) -> None:
        self.is_on = False
        """Whether the last try failed."""
        self._not_before = 0.0

    @property
    def pauses(self) -> bool:
        """Whether it is too early to retry."""
        return time.monotonic() < self._not_before

    def end_pause(self) -> None:
        """Let the next use retry immediately."""
        self._not_before = 0.0

    def began(self, error: Exception) -> None:
        """Note that opening failed; only the first of several failures is logged."""
        self._not_before = time.monotonic() + _PAUSE
        if not self.is_on:
            self.is_on = True
            # A library's message may contain a password; a semcache error is safe and names the remedy.
            text = f": {error}" if isinstance(error, SemcacheError) else _noted(error)
            why = type(error).__name__ + text
            _log.warning("the cache cannot be opened (%s): requests pass uncached until it can be", why)

    def ended(self) -> None:
        """Note that the cache is open."""
        if self.is_on:
            self.is_on = False
            _log.info("the cache is open")


def _noted(error: Exception) -> str:
    """Return the component being opened, from the note of ``open_cache``; other notes are a library's text."""
    return next((f" {note}" for note in getattr(error, "__notes__", ()) if note.startswith(OPENING)), "")
