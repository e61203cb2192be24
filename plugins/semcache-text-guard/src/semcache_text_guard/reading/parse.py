"""Reads a text once: its items in figures and symbols, its words in order, its names, quotes and negations."""

from __future__ import annotations

import re
from collections.abc import Set
from functools import lru_cache

import msgspec

from semcache_core.types import Quiet
from semcache_text_guard.language.english import HEDGES
from semcache_text_guard.language.lexicon import Word, as_group

from .figures import figures
from .folding import MAX_FOUND, composed, fold
from .letters import Spellings, is_plain, signs, spellings
from .operators import operators
from .phrases import counted, settled
from .quantities import Literal
from .reader import Reader
from .symbols import symbols

MAX_CHARS = 4096
_MAX_QUOTES = 32
_QUOTE = re.compile(r'"([^"]{1,200})"|(?<!\w)\'([^\']{1,200})\'(?!\w)')
_MORE = frozenset(("more", "less", "fewer", "later", "earlier"))
_NEGATED_WITHIN = 5  # words between "not" and what it negates


class Parsed(Quiet, msgspec.Struct, frozen=True):
    """A text as the rules see it.

    ``words`` are its words in order, items as placeholder words; ``content`` maps the keys of the words that carry
    content, or have an opposite, to the word; ``names`` are the keys of what is written like a proper name; ``negated``
    the keys that a negation governs; ``owners`` are the keys of relatives in the possessive; ``groups`` maps the keys
    of words that have synonyms to their groups. ``spellings`` (none for plain ASCII) and ``signs`` are what reading
    drops.
    """

    folded: str
    words: tuple[Word, ...]
    content: dict[str, Word]
    names: frozenset[str]
    literals: tuple[Literal, ...]
    quotes: tuple[str, ...]
    negations: int
    negated: frozenset[str]
    owners: frozenset[str]
    groups: dict[str, str]
    spellings: Spellings
    signs: tuple[str, ...]

    def regrouped(self, keys: Set[str]) -> Parsed:
        """Return the text with these words known by their groups."""
        words = tuple([as_group(word.form) if word.key in keys else word for word in self.words])
        groups = {key: self.groups[key] for key in keys}
        return msgspec.structs.replace(
            self,
            words=words,
            content={word.key: word for word in words if word.tells},
            names=frozenset([groups.get(key, key) for key in self.names]),
            negated=frozenset([groups.get(key, key) for key in self.negated]),
            owners=frozenset([groups.get(key, key) for key in self.owners]),
        )


def squash(text: str) -> str:
    """Return the text in lower case with single spaces."""
    return " ".join(text.lower().split())


def form_at(words: tuple[Word, ...], here: int) -> str:
    """Return the word at a place as it is written; "" beyond the end."""
    return words[here].form if here < len(words) else ""


@lru_cache(maxsize=2048)
def parse(text: str) -> Parsed | None:
    """Return the parts of a text that the rules need; None for one that takes too long to compare. Linear time."""
    if len(text) > MAX_CHARS:
        return None
    text = composed(text)
    folded = fold(text.strip())
    if len(folded) > MAX_CHARS:  # one compatibility character may stand for 18 others
        return None
    return _read(text, settled(folded))


def _read(text: str, folded: str) -> Parsed | None:
    found: list[Literal] = []
    rest = figures(symbols(folded, found), found)
    if len(found) >= MAX_FOUND:
        return None
    reader = Reader(found)
    reader.read(operators(rest, found))
    if reader.counted and (numbered := counted(folded)) != folded:
        return _read(text, numbered)
    quotes = _quotes(folded) if '"' in folded or "'" in folded else ()
    if len(quotes) > _MAX_QUOTES:
        return None
    words, plain = reader.words, is_plain(text)
    return Parsed(
        folded,
        tuple(words),
        {word.key: word for word in words if word.tells},
        frozenset(reader.names),
        tuple(found),
        quotes,
        len(reader.negators),
        _negated(words, reader.negators) if reader.negators else frozenset(),
        frozenset(reader.owners),
        {word.key: word.group for word in words if word.grouped},
        {} if plain else spellings(text),
        () if plain else signs(text, rest),
    )


def _quotes(folded: str) -> tuple[str, ...]:
    return tuple(squash((a or b).strip(" .,!?")) for a, b in _QUOTE.findall(folded))


def _negated(words: list[Word], negators: list[int]) -> frozenset[str]:
    """Return the keys of the first word of meaning after each negator, unless it only wraps the question."""
    keys = set()
    for place in negators:
        if place + 1 < len(words) and words[place].form in _MORE and words[place + 1].form == "than":
            continue  # "no more than 5" is at most 5
        for word in words[place : place + _NEGATED_WITHIN]:
            if word.open or word.frame:
                if word.form not in HEDGES:
                    keys.add(word.key)
                break
    return frozenset(keys)
