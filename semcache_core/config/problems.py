"""Collects the problems of a configuration, each with its key path, and raises them together."""

from __future__ import annotations

from collections.abc import Callable

from semcache_core.errors import ConfigError

Problem = tuple[str, str]
"""A key path and what is wrong there."""


class Problems:
    """Collects problems, so that one startup shows all of them.

    ``place_of`` says where the value at a key path comes from: a file's name, or a variable's.
    """

    def __init__(self, place_of: Callable[[str], str]) -> None:
        self._place_of = place_of
        self._lines: list[str] = []

    def __bool__(self) -> bool:
        return bool(self._lines)

    def add(self, path: str, message: str) -> None:
        """Note a problem at the key path ``path``, for example ``vector_store.dsn``."""
        place = self._place_of(path)
        self._lines.append(f"{place}: {path}: {message}" if path else f"{place}: {message}")

    def note(self, message: str) -> None:
        """Note a problem whose message already names its place; once, however many components report it."""
        if message not in self._lines:
            self._lines.append(message)

    def messages(self) -> tuple[str, ...]:
        """Return every problem in the order in which it was noted."""
        return tuple(self._lines)

    def raise_any(self) -> None:
        """Raise one ConfigError that shows every problem; do nothing if there is none."""
        if len(self._lines) == 1:
            raise ConfigError(self._lines[0])
        if self._lines:
            raise ConfigError(f"{len(self._lines)} problems in the configuration:\n  " + "\n  ".join(self._lines))


def is_text(text: str) -> bool:
    """Say whether a string can be written: an argument's or a variable's byte that is not UTF-8 is half a character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text
