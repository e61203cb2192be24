"""Loads a language: its lists from a folder of data files, checked against each other.

| file | holds |
|---|---|
| ``words.toml`` | function words, the calendar, spellings, affixes |
| ``irregular.tsv`` | words with their irregular forms |
| ``synonyms.txt`` | groups of words with the same meaning |
| ``antonyms.txt`` | words that turn a question into its opposite |
| ``sets.toml`` | names that never replace each other |
| ``units.toml`` | units, money, spelled numbers |

A word is in one synonym group at most, no pair is both synonym and antonym, no line and no word of a list is repeated.
A violation raises DataError with the file, the line and the remedy.
"""

from __future__ import annotations

from importlib.resources.abc import Traversable
from itertools import product

import msgspec

from .files import DataError, Line, Toml, lines
from .stems import Stemmer


class Language(msgspec.Struct, frozen=True):
    """The vocabulary of a language. All keys are stems; the key of a group is the stem of its first word."""

    words: Toml
    units: Toml
    stem: Stemmer
    groups: dict[str, str]
    """The group of each word that has synonyms."""
    opposites: dict[str, set[str]]
    """The opposites of a group, or of a word without synonyms: groups, or such words."""
    sets: dict[str, set[str]]
    """The names of the sets that a word belongs to."""
    named: frozenset[str]
    """The sets of proper names."""


def load(folder: Traversable) -> Language:
    """Return the language whose data files are in that folder. Raises DataError."""
    words = Toml(folder / "words.toml")
    stem = Stemmer(
        irregular=_irregular(folder / "irregular.tsv"),
        no_plurals=frozenset(words.words("no_plurals")),
        spellings={british: american for british, (american,) in words.lists("spellings").items()},
    )
    groups, places = _groups(folder / "synonyms.txt", stem)
    sets = Toml(folder / "sets.toml")
    return Language(
        words=words,
        units=Toml(folder / "units.toml"),
        stem=stem,
        groups=groups,
        opposites=_opposites(folder / "antonyms.txt", stem, groups, places),
        sets=_sets(sets, stem),
        named=frozenset(sets.words("named")),
    )


def _irregular(file: Traversable) -> dict[str, str]:
    bases: dict[str, str] = {}
    for line in lines(file):
        base, *forms = line.words
        for form in forms:
            if form in bases:
                raise DataError(f"{line.place}: {form!r} is a form of {bases[form]!r} already; remove one of the two")
            bases[form] = base
    return bases


def _groups(file: Traversable, stem: Stemmer) -> tuple[dict[str, str], dict[str, str]]:
    """Return the group of each word, and the place of the word."""
    groups: dict[str, str] = {}
    places: dict[str, str] = {}
    for line in lines(file):
        if len(line.words) == 1:
            raise DataError(f"{line.place}: {line.words[0]!r} is alone; a group needs two words, or remove the line")
        name = stem(line.words[0])
        for word in line.words:
            key = stem(word)
            if places.get(key) == line.place:
                raise DataError(f"{line.place}: {word!r} has the stem of a word before it; remove {word!r}")
            if key in groups:
                remedy = "keep it in one of the two, or make them one group"
                raise DataError(f"{line.place}: {word!r} stands in another group, {places[key]}; {remedy}")
            groups[key], places[key] = name, line.place
    return groups, places


def _opposites(file: Traversable, stem: Stemmer, groups: dict[str, str], places: dict[str, str]) -> dict[str, set[str]]:
    table: dict[str, set[str]] = {}
    for line in lines(file):
        left, right = _sides(line, stem)
        for (one, x), (other, y) in product(left, right):
            if x == y:
                raise DataError(f"{line.place}: {one!r} and {other!r} have one stem; remove one of the two")
            a, b = groups.get(x, x), groups.get(y, y)
            if a == b:
                remedy = "take one out of that group, or out of this line"
                raise DataError(f"{line.place}: {one!r} and {other!r} are synonyms, {places[x]}; {remedy}")
            table.setdefault(a, set()).add(b)
            table.setdefault(b, set()).add(a)
    return table


def _sides(line: Line, stem: Stemmer) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Return the words of either side, each with its stem."""
    if line.words.count("-") != 1 or "-" in (line.words[0], line.words[-1]):
        raise DataError(f'{line.place}: expected two sides with " - " between them; write "open - close shut"')
    middle = line.words.index("-")
    stems = [(word, stem(word)) for word in line.words]
    return stems[:middle], stems[middle + 1 :]


def _sets(file: Toml, stem: Stemmer) -> dict[str, set[str]]:
    table: dict[str, set[str]] = {}
    for name, members in file.lists("sets").items():
        for member in members:
            table.setdefault(stem(member), set()).add(name)
    return table
