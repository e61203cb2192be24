"""Words that differ in their accents only: the other rules fold accents, and so do most embedders."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict

_TOKEN = re.compile(r"[^\s!-/:-@\[-`{-~]+")


def respelled(one: str, other: str) -> bool:
    """Say whether a word of one text is in the other with other accents: años and anos, drucken and drücken."""
    if one.isascii() and other.isascii():
        return False
    mine, theirs = _spellings(one), _spellings(other)
    return any(mine[word] != theirs[word] for word in mine.keys() & theirs.keys())


def _spellings(text: str) -> dict[str, set[str]]:
    """Return how each word is written, by its letters without marks."""
    found: dict[str, set[str]] = defaultdict(set)
    for token in _TOKEN.findall(unicodedata.normalize("NFD", text.lower())):
        if token.isascii():
            found[token].add(token)
        else:
            letters = "".join([each for each in token if each.isalnum()])
            marked = "".join([each for each in token if each.isalnum() or unicodedata.category(each) == "Mn"])
            found[letters].add(marked)
    return found
