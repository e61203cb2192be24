"""The type of a rule, and the pair of texts that it compares."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from semcache_core.types import Penalty, Reject
from semcache_text_guard.language.lexicon import Word
from semcache_text_guard.reading.parse import Parsed

from .opposed import cancelled, opposed


class Pair:
    """Two texts, and the content words that only one of them has.

    A synonym only excuses a difference: if each text has a word that the other lacks, and the two are of one group,
    both get the group as their key. A word that both texts have keeps its own key.
    """

    __slots__ = ("_only", "a", "b")

    def __init__(self, a: Parsed, b: Parsed) -> None:
        self.a, self.b = _excused(a, b) if a.groups and b.groups else (a, b)
        self._only: _Only | None = None

    @property
    def only(self) -> _Only:
        """The content of only one of the texts. Computed at first use: many pairs differ already in a number."""
        if self._only is None:
            self._only = _only(self.a, self.b)
        return self._only


class _Only(NamedTuple):
    """The words of content that only one text has, without an opposite that a negation cancels out."""

    a: list[Word]
    b: list[Word]
    opposed: set[tuple[Word, Word]]
    """Words of the one of which the other has an opposite, each with it."""
    differing: int
    """How many words of content differ."""


def _only(a: Parsed, b: Parsed) -> _Only:
    only_a = [word for key, word in a.content.items() if key not in b.content]
    only_b = [word for key, word in b.content.items() if key not in a.content]
    found = opposed(only_a, only_b) if only_a and only_b else set()
    if len(found) == 1:
        ((x, y),) = found
        if cancelled(a, x, b, y):  # they say the same of it; what they say it of still counts
            only_a.remove(x)
            only_b.remove(y)
    return _Only(only_a, only_b, found, len(only_a) + len(only_b))


def _excused(a: Parsed, b: Parsed) -> tuple[Parsed, Parsed]:
    only_a = {key: group for key, group in a.groups.items() if key not in b.groups}
    only_b = {key: group for key, group in b.groups.items() if key not in a.groups}
    shared = set(only_a.values()).intersection(only_b.values())
    if not shared:
        return a, b
    return (
        a.regrouped({key for key, group in only_a.items() if group in shared}),
        b.regrouped({key for key, group in only_b.items() if group in shared}),
    )


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """Something in which two texts must agree.

    ``differs`` returns the reason code if they do not; it must not depend on the order of the texts. Its docstring has
    cases, which a test runs: ``= one text | another`` for an accepted pair, ``!=`` for a rejected one.
    """

    differs: Callable[[Pair], str | None]
    reasons: tuple[str, ...]
    """The codes that ``differs`` may return."""
    within: int | None = None
    """The rule runs only if at most this many content words differ."""
    certain: bool = True
    """False if many of the rule's words have a second sense."""
    penalty: float = 0.0
    """Subtracted from the similarity for a difference; 0: a difference rejects."""

    def verdict(self, reason: str) -> Reject | Penalty:
        """Return the verdict for a difference."""
        if self.penalty:
            return Penalty(amount=self.penalty, reason=reason)
        return Reject(reason=reason, certain=self.certain)
