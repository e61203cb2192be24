"""Reads the data files of a language, and rejects entries that would not have the effect they seem to have.

Two forms: lines of text with ``#`` comments, and TOML whose strings are lists of words. A refusal names the file, the
line and the remedy.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from importlib.resources.abc import Traversable

import msgspec


class DataError(ValueError):
    """A data file has an invalid entry: ``synonyms.txt:12: ...; remove ...``."""


class Line(msgspec.Struct, frozen=True, gc=False):
    """A line of a text file: its words and its place."""

    place: str
    words: tuple[str, ...]


class Toml:
    """A TOML file whose strings are lists of words."""

    def __init__(self, file: Traversable) -> None:
        self._name, self._text = file.name, file.read_text("utf-8")
        try:
            self.table = tomllib.loads(self._text)
        except tomllib.TOMLDecodeError as error:
            raise DataError(f"{self._name}: {error}; correct the TOML") from error

    def words(self, key: str) -> tuple[str, ...]:
        """Return the list of words at a key; raise DataError if there is none, or if it repeats a word."""
        if not isinstance(self.table.get(key), str):
            raise DataError(f'{self._name}:1: there is no list {key!r}; write {key} = "..."')
        return self._listed(key, self.table[key], start=0)

    def lists(self, name: str) -> dict[str, tuple[str, ...]]:
        """Return the table of that name, each value as a list of words."""
        table = self.table.get(name)
        if not table:
            raise DataError(f"{self._name}:1: there is no table [{name}]; add it")
        start = self._start(rf"\[{re.escape(name)}\]", 0)
        return {key: self._listed(key, text, start=start) for key, text in table.items()}

    def _listed(self, key: str, text: str, *, start: int) -> tuple[str, ...]:
        words = tuple(text.split())
        if len(set(words)) != len(words):
            twice = next(word for here, word in enumerate(words) if word in words[:here])
            place = self._place(key, twice, start)
            raise DataError(f"{place}: {twice!r} stands twice in the list {key!r}; remove one of the two")
        return words

    def _place(self, key: str, word: str, start: int) -> str:
        """Return the file and the line of a word's second occurrence in a list."""
        spot = self._start(rf'"?{re.escape(key)}"? =', start)
        for _ in range(2):
            spot = re.compile(rf"(?<![^\s\"]){re.escape(word)}(?![^\s\"])").search(self._text, spot).end()  # type: ignore[union-attr]
        return f"{self._name}:{self._text.count(chr(10), 0, spot) + 1}"

    def _start(self, pattern: str, start: int) -> int:
        found = re.compile(rf"^{pattern}", re.MULTILINE).search(self._text, start)
        return found.end() if found else start


def lines(file: Traversable) -> Iterator[Line]:
    """Yield the lines of a text file without comments; raise DataError for a repeated line."""
    seen: dict[frozenset[str], int] = {}
    for number, text in enumerate(file.read_text("utf-8").splitlines(), start=1):
        words = tuple(text.partition("#")[0].split())
        if not words:
            continue
        place = f"{file.name}:{number}"
        first = seen.setdefault(frozenset(words), number)
        if first != number:
            raise DataError(f"{place}: says what line {first} says; remove one of the two")
        yield Line(place, words)
