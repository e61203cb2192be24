"""Reduces the forms and spellings of a word to one stem. Deliberately a light stemmer.

A strong one would give "organ" and "organization" one stem.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

_NO_PLURAL = ("ss", "us", "is")
_SIBILANT_PLURALS = ("sses", "shes", "ches", "xes", "zes")
_NO_SUPERLATIVES = frozenset(("interest", "request", "forest", "harvest", "protest"))
_VOWELS = re.compile("[aeiouy]")
_OUR = re.compile(r"(?<=[a-z]{3})our")


class Stemmer:
    """Stems words of English: ``stemmer("cancelled") == stemmer("canceling")``."""

    def __init__(
        self, *, irregular: Mapping[str, str], no_plurals: Collection[str], spellings: Mapping[str, str]
    ) -> None:
        self.irregular, self._no_plurals = irregular, no_plurals
        self._spellings = tuple(spellings.items())

    def __call__(self, word: str) -> str:
        """Return the word without plural, tense and comparison endings, in one spelling."""
        word = self._singular(self.irregular.get(word, word))
        word = _without_tense(word)
        return self._spelled(word[:-1] if len(word) > 3 and word.endswith("e") else word)

    def _singular(self, word: str) -> str:
        size = len(word)
        if size > 4 and word.endswith("ies"):
            return word[:-3] + "y"
        if size < 4 or not word.endswith("s") or word.endswith(_NO_PLURAL) or word in self._no_plurals:
            return word
        return word[:-2] if word.endswith(_SIBILANT_PLURALS) else word[:-1]

    def _spelled(self, stem: str) -> str:
        """Return one spelling of a stem that has two: "summaris" / "summariz", "cancell" / "cancel"."""
        if len(stem) < 4:
            return stem
        for british, american in self._spellings:
            if british in stem:
                stem = stem.replace(british, american)
        if "our" in stem:
            stem = _OUR.sub("or", stem)
        return _ended(stem)


def _without_tense(word: str) -> str:
    size = len(word)
    if size > 5 and word.endswith("ing") and _VOWELS.search(word[:-3]):
        return _trim(word[:-3])
    if size > 4 and word.endswith("ied"):
        return word[:-3] + "y"
    if size > 4 and word.endswith("ed") and _VOWELS.search(word[:-2]):
        return _trim(word[:-2])
    if size > 5 and word.endswith("iest"):
        return word[:-4] + "y"
    if size > 5 and word.endswith("est") and word not in _NO_SUPERLATIVES:
        return _trim(word[:-3])
    return word


def _trim(word: str) -> str:
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "lsz":
        return word[:-1]
    return word


def _ended(stem: str) -> str:
    if stem.endswith(("is", "ys")):
        return stem[:-1] + "z"
    if stem.endswith("y"):  # one of movie and movies, city and cities
        return stem[:-1] + "i"
    if stem.endswith(("tr", "br")):  # centre, fibre
        return stem[:-1] + "er"
    if stem.endswith(("ogu", "ll")) and len(stem) > 5:
        return stem[:-1]
    return stem
