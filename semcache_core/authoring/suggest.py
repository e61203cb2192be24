"""Suggestions for error messages: the name that was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["did_you_mean", "listed", "nearest"]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the known word nearest to ``word``, or "" if none is near."""
    near = nearest(word, known)
    return f"; did you mean {near!r}?" if near is not None else ""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word most similar to ``word``, or None. Case, and ``-`` for ``_``, are ignored."""
    plain = {_plain(candidate): candidate for candidate in known}
    near = difflib.get_close_matches(_plain(word), plain, n=1, cutoff=0.6)
    return plain[near[0]] if near else None


def listed(names: Iterable[str]) -> str:
    """Return ``"'a', 'b'"``, sorted; "none" if there are no names."""
    return ", ".join(repr(name) for name in sorted(set(names))) or "none"


def _plain(word: str) -> str:
    return word.lower().replace("-", "_")
