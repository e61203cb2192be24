"""What a rule is, and the pair of texts that it sees."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from semcache_core.types import Penalty, Reject
from semcache_text_guard.language.lexicon import Word
from semcache_text_guard.reading.parse import Parsed

from .opposed import cancelled, opposed


class Pair(NamedTuple):
    """Two texts, and the words of content that only one of them has.

    A synonym excuses a difference and nothing else: where each text has a word that the other lacks, and the two are of
    one group, both are known by the group from here on. A word that both texts have stays what it is.
    """

    a: Parsed
    b: Parsed
    only_a: list[Word]
    only_b: list[Word]
    opposed: set[tuple[Word, Word]]
    """Words of ``a`` of which ``b`` has an opposite, each with it."""
    differing: int
    """How many words of content differ."""

    @classmethod
    def of(cls, a: Parsed, b: Parsed) -> Pair:
        """Return the pair of two texts."""
        if a.groups and b.groups:
            a, b = _excused(a, b)
        only_a = [word for key, word in a.content.items() if key not in b.content]
        only_b = [word for key, word in b.content.items() if key not in a.content]
        pairs = opposed(only_a, only_b)
        if len(pairs) == 1:
            ((x, y),) = pairs
            if cancelled(a, x, b, y):  # they say the same of it; what they say it of still counts
                only_a.remove(x)
                only_b.remove(y)
        return cls(a, b, only_a, only_b, pairs, len(only_a) + len(only_b))


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
    """A thing in which two texts must agree.

    ``differs`` gives the reason code where they do not; it must not depend on the order of the texts. Its docstring has
    cases, which a test runs: ``= one text | another`` for a pair that is accepted, ``!=`` for one that is rejected.
    """

    differs: Callable[[Pair], str | None]
    reasons: tuple[str, ...]
    """The codes that ``differs`` may give."""
    within: int | None = None
    """Looked at only where at most this many words of content differ."""
    certain: bool = True
    """False where many a word has a second sense."""
    penalty: float = 0.0
    """What a difference takes off the similarity; 0: it rejects."""

    def verdict(self, reason: str) -> Reject | Penalty:
        """Return what a difference means."""
        if self.penalty:
            return Penalty(amount=self.penalty, reason=reason)
        return Reject(reason=reason, certain=self.certain)
